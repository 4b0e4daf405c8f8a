"""Keeping workers: from Flink's request over a seat in an offer to their end, and a KILL until that has come.

Pure. Each worker's goal, New, Launched or Released, is stored before it is acted upon; what Mesos tells of tasks,
asked for or not, is compared with it. The driver hears of workers by numbered events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.flink.appmaster import launch, reconciliation
from headrace.flink.appmaster.events import Goal, SendCall, TellDriver, Worker
from headrace.flink.appmaster.finishing import Finishing
from headrace.flink.appmaster.launch import LaunchCoordinator
from headrace.flink.appmaster.placement import Terms
from headrace.flink.appmaster.reconciliation import ReconciliationCoordinator
from headrace.flink.appmaster.tasks import TaskTemplate, task_info
from headrace.flink.appmaster.workers import WorkerBook
from headrace.kernel.core import CancelTimer, Effect, SetTimer, Stories
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import AgentID, Offer, TaskID, TaskStatus, is_terminal

LAUNCH_TIMEOUT = 30.0
KILL_RETRY, LONGEST_KILL_RETRY = 5.0, 80.0
"""Seconds between two KILLs of a task, which double: its agent may be away for long."""
REMEMBERED = 500
"""Workers that have ended, the latest, and their stories."""

_LAUNCH, _KILL = "launch/", "kill/"


class WorkerKeeper:
    """Decides about workers.

    ``keep``: they outlive their JobManager. ``sequence``: the number before that of the first event for the driver.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        template: TaskTemplate,
        stories: Stories,
        end: Finishing,
        *,
        terms: Terms,
        refuse_seconds: float,
        keep: bool,
        sequence: int,
        jitter: Callable[[], float],
    ) -> None:
        self.sequence = sequence
        self.connected = False
        self._book = WorkerBook(workers)
        self._template = template
        self._stories = stories
        self._end = end
        self._keep = keep
        self._counts_places = bool(terms.constraints.keys)
        self._launches = LaunchCoordinator(terms, refuse_seconds)
        self._reconciliation = ReconciliationCoordinator(jitter)
        self._kills: dict[str, int] = {}
        self._ended: dict[str, None] = {}

    def validate(self) -> None:
        """Assert what must always hold; for tests."""
        self._book.validate()
        assert set(self._kills) <= {worker.id for worker in self._book.of(Goal.RELEASED)}  # noqa: S101

    @property
    def launched(self) -> list[str]:
        """Those that run, or are about to."""
        return [worker.id for worker in self._book.of(Goal.LAUNCHED)]

    @property
    def suppressed(self) -> bool:
        """Whether the master was told that no offers are wanted."""
        return self._launches.suppressed

    # the master

    def started(self, now: float) -> None:
        for worker in self._book.demand:
            self._launches.waiting.wanted(worker, now)

    def subscribed(self, now: float) -> list[Effect]:
        self.connected = True
        effects = self._reconciliation.connected(self._agents(), now)
        for worker in self._book.of(Goal.RELEASED):
            effects += self._kill(worker.id, now, first=True)
        return [*effects, *self._launches.connected(now, bool(self._book.demand))]

    def disconnected(self, why: str, now: float) -> list[Effect]:
        for worker in self._book.demand:
            self._stories.tell(worker.id, now, "waits", f"not connected to the master: {why}")
        return [*self._launches.disconnected(why), *self._reconciliation.disconnected()]

    def lost(self, why: str, now: float) -> list[Effect]:
        """The framework is no more, and all tasks with it."""
        gone = self._book.of(Goal.LAUNCHED) + self._book.of(Goal.RELEASED)
        return [effect for worker in gone for effect in self._remove(worker, why, now)]

    def offered(self, offers: Sequence[Offer], now: float) -> list[Effect]:
        return self._place(now) if self._launches.offered(offers) else []

    def rescinded(self, offer_id: str) -> None:
        self._launches.rescinded(offer_id)

    def told(self, status: TaskStatus, now: float) -> tuple[list[Effect], Worker | None]:
        """What to do about a status; with it the worker that has ended by it although it was wanted."""
        worker_id, agent_id = status.task_id.value, status.agent_id.value if status.agent_id else ""
        effects = [CancelTimer(_LAUNCH + worker_id), *self._reconciliation.answered(worker_id)]
        worker, failed = self._book.get(worker_id), None
        if is_terminal(status.state) or status.state == "TASK_UNKNOWN":
            if worker is not None:
                effects += self._remove(worker, _reason(status), now)
                failed = None if worker.goal is Goal.RELEASED or self._end.begun else worker
        elif worker is None:
            effects.append(launch.kill(worker_id, agent_id))
        else:
            effects += self._lives(worker, status, agent_id, now)
        if failed is not None:
            self._launches.waiting.failed(worker_id, _reason(status), now)
        if status.uuid and agent_id:
            acknowledge = scheduler.Acknowledge(AgentID(agent_id), TaskID(worker_id), status.uuid)
            effects.append(SendCall(scheduler.Call("ACKNOWLEDGE", acknowledge=acknowledge)))
        return effects, failed

    def _lives(self, worker: Worker, status: TaskStatus, agent_id: str, now: float) -> list[Effect]:
        before = self._book.states.get(worker.id)
        self._book.states[worker.id] = status.state
        self._stories.tell(worker.id, now, status.state, status.message or "")
        if worker.goal is Goal.RELEASED:
            waits = status.state in ("TASK_KILLING", "TASK_UNREACHABLE")
            return [] if waits else self._kill(worker.id, now, first=True)
        effects: list[Effect] = []
        if worker.goal is Goal.NEW:
            effects += [self._book.adopt(worker, agent_id), *self._supply(now)]
        if status.state == "TASK_RUNNING" and before != "TASK_RUNNING":
            effects.append(self._tell("started", worker.id, ""))
        return effects

    def _remove(self, worker: Worker, reason: str, now: float) -> list[Effect]:
        self._stories.tell(worker.id, now, "ended", reason)
        effects: list[Effect] = [*self._forget(worker), CancelTimer(_KILL + worker.id)]
        effects += [CancelTimer(_LAUNCH + worker.id), *self._reconciliation.answered(worker.id)]
        if worker.goal is not Goal.RELEASED:
            effects.append(self._tell("terminated", worker.id, reason))
        return effects + (self._supply(now) if worker.goal is Goal.NEW else [])

    def _forget(self, worker: Worker) -> list[Effect]:
        """It is out of the book; its story stays for a while, so that those who ask why find it."""
        self._kills.pop(worker.id, None)
        self._ended[worker.id] = None
        if len(self._ended) > REMEMBERED:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            self._stories.forget(oldest)
        return [self._book.remove(worker.id)]

    # the driver

    def request(self, worker: Worker, now: float) -> list[Effect]:
        """Flink wants it; asked for twice, it is one. What has ended is not started again: the driver hears so."""
        if self._book.get(worker.id) is not None or self._end.begun:
            return []
        if worker.id in self._ended:  # asked for again while the news was on its way
            return [self._tell("terminated", worker.id, "has ended already")]
        self._stories.tell(worker.id, now, "requested", f"cpus {worker.cpus:g}, mem {worker.memory_mib}")
        self._launches.waiting.wanted(worker, now)
        return [self._book.request(worker), *self._launches.wanted(now)]

    def release(self, worker_id: str, now: float) -> list[Effect]:
        """Flink does not want it any more."""
        worker = self._book.get(worker_id)
        if worker is None or worker.goal is Goal.RELEASED:
            return []
        return self._drop(worker, "released by Flink", now)

    def drop_orphans(self, why: str, now: float) -> list[Effect]:
        """Drop what the next JobManager can't use."""
        orphans = self._book.demand + ([] if self._keep else self._book.of(Goal.LAUNCHED))
        return [effect for worker in orphans for effect in self._drop(worker, why, now)]

    def _drop(self, worker: Worker, why: str, now: float) -> list[Effect]:
        """A worker is not wanted any more; the driver knows or does not care."""
        self._stories.tell(worker.id, now, "released", why)
        if worker.goal is Goal.NEW:
            return [*self._forget(worker), *self._supply(now)]
        effects = [CancelTimer(_LAUNCH + worker.id), *self._reconciliation.answered(worker.id)]
        return [self._book.release(worker), *effects, *self._kill(worker.id, now, first=True)]

    def _tell(self, kind: str, worker_id: str, reason: str) -> TellDriver:
        self.sequence += 1
        return TellDriver(self.sequence, kind, worker_id, reason)

    # launching and killing

    def timer(self, key: str, now: float) -> list[Effect]:
        """A timer that is not anybody else's."""
        match key:
            case launch.GATHER_TIMER:
                self._launches.gathered()
                return self._place(now)
            case launch.REVIVE_TIMER:
                return [] if self._end.begun else self._launches.revive_again(now)
            case reconciliation.RETRY_TIMER:
                return self._reconciliation.retry(now)
            case reconciliation.PERIODIC_TIMER:
                return self._reconciliation.everything(self._agents(), now)
        if key.startswith(_KILL):
            return self._kill(key.removeprefix(_KILL), now)
        return self._launch_overdue(key.removeprefix(_LAUNCH), now)

    def _supply(self, now: float) -> list[Effect]:
        """Demand has shrunk."""
        return [] if self._book.demand else self._launches.unwanted()

    def _place(self, now: float) -> list[Effect]:
        demand = self._book.demand
        if not demand or self._end.begun:
            return self._launches.unwanted()
        offers = self._launches.offers
        placement = self._launches.place(demand, self._book.placed if self._counts_places else ())
        effects: list[Effect] = [*self._book.launch(placement.seats)]
        effects += self._launches.settle(placement, lambda seat: task_info(self._template, seat))
        for seat in placement.seats:
            self._stories.tell(seat.worker.id, now, "launched", f"on {seat.hostname}")
            effects.append(SetTimer(_LAUNCH + seat.worker.id, now + LAUNCH_TIMEOUT))
        for worker_id, why in self._launches.waiting.placed(placement, self._book.demand, offers, now).items():
            self._stories.tell(worker_id, now, "waits", why)
        return effects + self._supply(now)

    def _launch_overdue(self, worker_id: str, now: float) -> list[Effect]:
        worker = self._book.get(worker_id)
        if worker is None or worker.goal is not Goal.LAUNCHED:
            return []
        self._stories.tell(worker_id, now, "asked about", f"no word for {LAUNCH_TIMEOUT:g} s after its launch")
        return self._reconciliation.ask({worker_id: worker.agent_id}, now)

    def _kill(self, worker_id: str, now: float, *, first: bool = False) -> list[Effect]:
        """KILL, again with growing pauses until the task has ended; ``first``: there is news, the pauses begin anew."""
        worker = self._book.get(worker_id)
        if worker is None or worker.goal is not Goal.RELEASED or not self.connected:
            return []
        before = 0 if first else self._kills.get(worker_id, 0)
        self._kills[worker_id] = before + 1
        pause = min(LONGEST_KILL_RETRY, KILL_RETRY * 2.0 ** min(before, 30))
        return [launch.kill(worker_id, worker.agent_id), SetTimer(_KILL + worker_id, now + pause)]

    def _agents(self) -> dict[str, str]:
        return {worker.id: worker.agent_id for worker in self._book.of(Goal.LAUNCHED)}

    # for people

    def state(self) -> dict[str, object]:
        """What ``/state`` says of workers."""
        return {
            "unreconciled": self._reconciliation.unanswered,
            "waiting": self._launches.waiting.shown(self._book.demand),
            "last_failure": self._launches.waiting.last_failure,
            "workers": [
                {
                    "id": worker.id,
                    "goal": worker.goal.value,
                    "state": self._book.states.get(worker.id, ""),
                    "cpus": worker.cpus,
                    "mem": worker.memory_mib,
                    "agent_id": worker.agent_id,
                    "hostname": worker.hostname,
                    "ports": worker.ports,
                    "story": self._stories.of(worker.id),
                }
                for worker in self._book.all()
            ],
        }


def _reason(status: TaskStatus) -> str:
    return ": ".join(part for part in (status.state, status.reason, status.message) if part)
