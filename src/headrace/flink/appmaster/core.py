"""The application master's core: decides about workers, launches, reconciliation, the JobManager.

Flink, through its driver, asks for workers and releases them; Mesos offers resources and tells what
became of tasks. In between stands each worker's goal, New, Launched or Released, stored before it is
acted upon. An end of this process changes nothing about the cluster; only Flink's own shutdown
(``DriverDeregistered``) and SIGTERM do: it ends the JobManager (``StopAsked``) and then what ``StopDecided`` says.

The driver hears of workers by numbered events. Numbers begin with the count of process starts, so
they never go back; a driver that asks for events of an earlier process is told to attach again and
gets the whole list instead.
"""

from __future__ import annotations

from collections.abc import Callable

from headrace.flink.appmaster import events, jobmanager, launch, reconciliation, records
from headrace.flink.appmaster.events import (
    AppMasterEvent,
    Attachment,
    Driver,
    Goal,
    SendCall,
    Stop,
    TellDriver,
    Worker,
)
from headrace.flink.appmaster.finishing import STOP_TIMER, Finishing
from headrace.flink.appmaster.jobmanager import JobManagerKeeper
from headrace.flink.appmaster.launch import LaunchCoordinator
from headrace.flink.appmaster.placement import NO_TERMS, Terms
from headrace.flink.appmaster.reconciliation import ReconciliationCoordinator
from headrace.flink.appmaster.records import Recovered
from headrace.flink.appmaster.tasks import TaskTemplate, task_info
from headrace.flink.appmaster.workers import WorkerBook
from headrace.kernel.core import CancelTimer, Delete, Effect, Reply, SetTimer, Stories, TimerFired
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import AgentID, TaskID, TaskStatus, is_terminal

LAUNCH_TIMEOUT = 30.0
KILL_RETRY = 5.0

EXIT_MISTAKE = 2
EXIT_FAILED = 3
EXIT_JOB_MANAGER = 4
_LAUNCH, _KILL = "launch/", "kill/"
_FRAMEWORK_GONE = ("framework has been removed", "completed framework")
_SEQUENCE_BITS = 32


class ApplicationMaster:
    """One cluster's decisions.

    ``keep_workers``: Flink is highly available, so workers outlive their JobManager; otherwise they could
    not find the next one, and have nothing that it needs. ``most_failures``: the cluster ends when more workers
    than that have failed, None: never. ``jitter`` gives numbers in [0, 1).
    """

    def __init__(
        self,
        recovered: Recovered,
        template: TaskTemplate,
        *,
        terms: Terms = NO_TERMS,
        refuse_seconds: float,
        most_failures: int | None = None,
        keep_workers: bool = False,
        show_web_ui: bool = True,
        jitter: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.stories = Stories(objects=2000)
        self._template = template
        self._counts_places = bool(terms.constraints.keys)
        self._most_failures = most_failures
        self._failed = recovered.failed
        self._keep_workers = keep_workers
        self._show_web_ui = show_web_ui
        self._framework_id = recovered.framework_id
        self._driver = recovered.driver
        self._driver_run = recovered.job_manager.run if recovered.driver and recovered.job_manager else 0
        self._generation = recovered.generation + 1
        self._sequence = self._generation << _SEQUENCE_BITS
        self._workers = WorkerBook(recovered.workers)
        self._launches = LaunchCoordinator(terms, refuse_seconds)
        self._reconciliation = ReconciliationCoordinator(jitter)
        self._job_manager = JobManagerKeeper(recovered.job_manager)
        self._connected = False
        self._end = Finishing(self._job_manager)

    def handle(self, event: AppMasterEvent, now: float) -> list[Effect]:
        """Take one event; return what to do."""
        match event:
            case events.Started(alive, to_stop):
                return self._started(alive, to_stop, now)
            case events.MasterConnected(framework_id):
                return self._master_connected(framework_id, now)
            case events.MasterDisconnected(why):
                return self._master_disconnected(why, now)
            case events.MasterRefused(message):
                return self._master_refused(message, now)
            case events.OffersReceived(offers):
                return self._place(now) if self._launches.offered(offers) else []
            case events.OfferRescinded(offer_id):
                self._launches.rescinded(offer_id)
                return []
            case events.StatusReceived(status):
                return self._status(status, now)
            case events.DriverAttached(request, driver):
                return self._driver_attached(request, driver, now)
            case events.WorkerRequested(request, worker):
                return [*self._worker_requested(worker, now), Reply(request, None)]
            case events.WorkerReleased(request, worker_id):
                return [*self._worker_released(worker_id, now), Reply(request, None)]
            case events.DriverDeregistered(request, status, diagnostics):
                return [Reply(request, None), *self._deregistered(status, diagnostics, now)]
            case events.JobManagerEnded(run, how, mistake):
                return self._job_manager_ended(run, how, now, mistake)
            case events.StopAsked():
                return self._end.begin(now)
            case events.StopDecided(stop, why):
                said = f"asked to stop; {stop.value}: {why}"
                return self._stop(events.Finish(0, said, gone=stop is Stop.DESTROY, kept=stop is Stop.RESTART), now)
            case events.StateAsked(request):
                return [Reply(request, self._state())]
            case TimerFired(key):
                return self._timer(key, now)

    def validate(self) -> None:
        """Assert what must always hold; for tests."""
        self._workers.validate()

    # life

    def _started(self, job_manager_alive: bool, to_stop: bool, now: float) -> list[Effect]:
        effects: list[Effect] = [records.put_generation(self._generation)]
        for worker in self._workers.demand:
            self._launches.waiting.wanted(worker, now)
        if job_manager_alive:
            self._job_manager.found()
        if to_stop:
            return effects + self._end.begin(now)
        if job_manager_alive:
            return effects
        if self._job_manager.run:
            run, how = self._job_manager.run, "ended while nobody watched"
            return effects + self._job_manager_ended(run, how, now, watched=False)
        return effects + self._job_manager.start()

    def _stop(self, finish: events.Finish, now: float) -> list[Effect]:
        return self._end.decide(finish, self._framework_id, now, connected=self._connected)

    def _deregistered(self, status: str, diagnostics: str, now: float) -> list[Effect]:
        code = EXIT_FAILED if status in ("FAILED", "UNKNOWN") else 0
        why = f"Flink ended the cluster: {status} {diagnostics}".strip()
        return self._stop(events.Finish(code, why, gone=True, said=status), now)

    def _timer(self, key: str, now: float) -> list[Effect]:
        if key == launch.GATHER_TIMER:
            self._launches.gathered()
            return self._place(now)
        if key == reconciliation.RETRY_TIMER:
            return self._reconciliation.retry(now)
        if key == reconciliation.PERIODIC_TIMER:
            return self._reconciliation.everything(self._launched(), now)
        if key == jobmanager.START_TIMER:
            return self._job_manager.start()
        if key == jobmanager.KILL_TIMER:
            return self._job_manager.kill()
        if key == STOP_TIMER:
            return self._end.now()
        if key.startswith(_KILL):
            return self._kill(key.removeprefix(_KILL), now)
        return self._launch_overdue(key.removeprefix(_LAUNCH), now)

    # the master

    def _master_connected(self, framework_id: str, now: float) -> list[Effect]:
        self._connected = True
        if self._end.finish is not None:
            self._framework_id = framework_id
            return [records.put_framework(framework_id), *self._end.teardown()]
        effects: list[Effect] = []
        if self._framework_id != framework_id:
            self._framework_id = framework_id
            effects.append(records.put_framework(framework_id))
        effects += self._reconciliation.connected(self._launched(), now)
        for worker in self._workers.of(Goal.RELEASED):
            effects += self._kill(worker.id, now)
        # the subscription may have been sent before the dashboard was known
        return [*effects, *self._launches.connected(now, bool(self._workers.demand)), *self._web_ui()]

    def _master_disconnected(self, why: str, now: float) -> list[Effect]:
        self._connected = False
        if self._end.finish is not None:
            return []  # the next subscription tells whether the teardown arrived
        for worker in self._workers.demand:
            self.stories.tell(worker.id, now, "waits", f"not connected to the master: {why}")
        return [*self._launches.disconnected(why), *self._reconciliation.disconnected()]

    def _master_refused(self, message: str, now: float) -> list[Effect]:
        """A framework id that the master no longer accepts is given up; its tasks are gone already."""
        if not any(words in message.lower() for words in _FRAMEWORK_GONE):
            return []
        self._framework_id = ""
        if self._end.finish is not None:
            return [Delete(records.FRAMEWORK), events.LeaveMaster(), *self._end.when_done("")]
        effects: list[Effect] = [Delete(records.FRAMEWORK), events.ForgetFramework()]
        for worker in self._workers.of(Goal.LAUNCHED) + self._workers.of(Goal.RELEASED):
            effects += self._ended(worker, f"the master says: {message}", now)
        return effects

    def _status(self, status: TaskStatus, now: float) -> list[Effect]:
        worker_id, agent_id = status.task_id.value, status.agent_id.value if status.agent_id else ""
        effects = [CancelTimer(_LAUNCH + worker_id), *self._reconciliation.answered(worker_id)]
        worker = self._workers.get(worker_id)
        if is_terminal(status.state) or status.state == "TASK_UNKNOWN":
            if worker is not None:
                effects += self._ended(worker, _reason(status), now)
                effects += self._count_failure(worker, _reason(status), now)
        elif worker is None:
            effects.append(launch.kill(worker_id, agent_id))
        else:
            effects += self._lives(worker, status, agent_id, now)
        if status.uuid and agent_id:
            acknowledge = scheduler.Acknowledge(AgentID(agent_id), TaskID(worker_id), status.uuid)
            effects.append(SendCall(scheduler.Call("ACKNOWLEDGE", acknowledge=acknowledge)))
        return effects

    def _lives(self, worker: Worker, status: TaskStatus, agent_id: str, now: float) -> list[Effect]:
        before = self._workers.states.get(worker.id)
        self._workers.states[worker.id] = status.state
        self.stories.tell(worker.id, now, status.state, status.message or "")
        if worker.goal is Goal.RELEASED:
            return [] if status.state in ("TASK_KILLING", "TASK_UNREACHABLE") else self._kill(worker.id, now)
        effects: list[Effect] = []
        if worker.goal is Goal.NEW:
            effects += [self._workers.adopt(worker, agent_id), *self._supply(now)]
        if status.state == "TASK_RUNNING" and before != "TASK_RUNNING":
            effects.append(self._tell("started", worker.id, ""))
        return effects

    def _ended(self, worker: Worker, reason: str, now: float) -> list[Effect]:
        self.stories.tell(worker.id, now, "ended", reason)
        effects: list[Effect] = [self._workers.remove(worker.id), CancelTimer(_KILL + worker.id)]
        effects += [CancelTimer(_LAUNCH + worker.id), *self._reconciliation.answered(worker.id)]
        if worker.goal is not Goal.RELEASED:
            effects.append(self._tell("terminated", worker.id, reason))
        return effects + (self._supply(now) if worker.goal is Goal.NEW else [])

    def _count_failure(self, worker: Worker, reason: str, now: float) -> list[Effect]:
        """The end of a worker that was still wanted; too many of them are the end of the cluster."""
        if self._end.begun or worker.goal is Goal.RELEASED:
            return []
        self._launches.waiting.failed(worker.id, reason, now)
        if self._most_failures is None:
            return []
        self._failed += 1
        effects: list[Effect] = [records.put_failed(self._failed)]
        if self._failed > self._most_failures:
            most = f"the {self._most_failures} of mesos.maximum-failed-tasks"
            why = f"{self._failed} TaskManagers have failed, more than {most}"
            effects += self._stop(events.Finish(EXIT_FAILED, why), now)
        return effects

    # the driver

    def _driver_attached(self, request: int, driver: Driver, now: float) -> list[Effect]:
        """Answer with the workers that live."""
        effects: list[Effect] = []
        if self._driver is None or self._driver.attempt != driver.attempt:
            effects += self._drop_orphans("asked for by an earlier JobManager", now)
        if self._driver != driver:
            effects.append(records.put_driver(driver))
        self._driver = driver
        self._driver_run = self._job_manager.run
        effects += self._job_manager.attached()
        effects += self._web_ui()
        alive = [worker.id for worker in self._workers.of(Goal.LAUNCHED)]
        return [*effects, Reply(request, Attachment(alive, self._sequence))]

    def _web_ui(self) -> list[Effect]:
        if self._driver is None or not self._driver.web or not self._show_web_ui or not self._connected:
            return []
        return [events.ShowWebUi(self._driver.web, self._launches.suppressed)]

    def _worker_requested(self, worker: Worker, now: float) -> list[Effect]:
        if self._workers.get(worker.id) is not None or self._end.begun:
            return []
        self.stories.tell(worker.id, now, "requested", f"cpus {worker.cpus:g}, mem {worker.memory_mib}")
        self._launches.waiting.wanted(worker, now)
        return [self._workers.request(worker), *self._launches.wanted(now)]

    def _worker_released(self, worker_id: str, now: float) -> list[Effect]:
        worker = self._workers.get(worker_id)
        if worker is None or worker.goal is Goal.RELEASED:
            return []
        return self._drop(worker, "released by Flink", now)

    def _drop(self, worker: Worker, why: str, now: float) -> list[Effect]:
        """A worker is not wanted any more; the driver knows or does not care."""
        self.stories.tell(worker.id, now, "released", why)
        if worker.goal is Goal.NEW:
            return [self._workers.remove(worker.id), *self._supply(now)]
        effects = self._reconciliation.answered(worker.id)
        return [self._workers.release(worker), CancelTimer(_LAUNCH + worker.id), *effects, *self._kill(worker.id, now)]

    def _drop_orphans(self, why: str, now: float) -> list[Effect]:
        """Drop what the next JobManager can't use."""
        orphans = self._workers.demand + ([] if self._keep_workers else self._workers.of(Goal.LAUNCHED))
        return [effect for worker in orphans for effect in self._drop(worker, why, now)]

    def _tell(self, kind: str, worker_id: str, reason: str) -> TellDriver:
        self._sequence += 1
        return TellDriver(self._sequence, kind, worker_id, reason)

    # launching and killing

    def _supply(self, now: float) -> list[Effect]:
        """Demand has shrunk."""
        return [] if self._workers.demand else self._launches.unwanted()

    def _place(self, now: float) -> list[Effect]:
        demand = self._workers.demand
        if not demand or self._end.begun:
            return self._launches.unwanted()
        offers = self._launches.offers
        placement = self._launches.place(demand, self._workers.placed if self._counts_places else ())
        effects: list[Effect] = [*self._workers.launch(placement.seats)]
        effects += self._launches.settle(placement, lambda seat: task_info(self._template, seat))
        for seat in placement.seats:
            self.stories.tell(seat.worker.id, now, "launched", f"on {seat.hostname}")
            effects.append(SetTimer(_LAUNCH + seat.worker.id, now + LAUNCH_TIMEOUT))
        for worker_id, why in self._launches.waiting.placed(placement, self._workers.demand, offers, now).items():
            self.stories.tell(worker_id, now, "waits", why)
        return effects + self._supply(now)

    def _launch_overdue(self, worker_id: str, now: float) -> list[Effect]:
        worker = self._workers.get(worker_id)
        if worker is None or worker.goal is not Goal.LAUNCHED:
            return []
        self.stories.tell(worker_id, now, "asked about", f"no word for {LAUNCH_TIMEOUT:g} s after its launch")
        return self._reconciliation.ask({worker_id: worker.agent_id}, now)

    def _kill(self, worker_id: str, now: float) -> list[Effect]:
        """KILL, again until the task has ended."""
        worker = self._workers.get(worker_id)
        if worker is None or worker.goal is not Goal.RELEASED or not self._connected:
            return []
        return [launch.kill(worker_id, worker.agent_id), SetTimer(_KILL + worker_id, now + KILL_RETRY)]

    def _launched(self) -> dict[str, str]:
        return {worker.id: worker.agent_id for worker in self._workers.of(Goal.LAUNCHED)}

    # the JobManager

    def _job_manager_ended(
        self, run: int, how: str, now: float, mistake: str = "", *, watched: bool = True
    ) -> list[Effect]:
        if run != self._job_manager.run:
            return []
        self.stories.tell("job-manager", now, "ended", how)
        effects = self._job_manager.ended(self._driver_run == run, now, watched=watched)
        if self._end.begun:
            return effects + self._end.when_done(self._framework_id)
        effects += self._drop_orphans("its JobManager has ended", now)
        if mistake:
            effects += self._stop(events.Finish(EXIT_MISTAKE, mistake), now)
        elif self._job_manager.hopeless:
            why = f"the JobManager does not start: {how}; see jobmanager.log and jobmanager.err in the sandbox"
            effects += self._stop(events.Finish(EXIT_JOB_MANAGER, why), now)
        return effects

    # for people

    def _state(self) -> dict[str, object]:
        return {
            "cluster": self._template.cluster_id,
            "framework_id": self._framework_id,
            "connected": self._connected,
            "stopping": self._end.begun,
            "job_manager": {
                "run": self._job_manager.run,
                "alive": self._job_manager.alive,
                "attached": self._driver_run == self._job_manager.run and self._driver is not None,
                "web": self._driver.web if self._driver else "",
                "rpc": self._driver.rpc if self._driver else "",
                "story": self.stories.of("job-manager"),
            },
            "unreconciled": self._reconciliation.unanswered,
            "waiting": self._launches.waiting.shown(self._workers.demand),
            "last_failure": self._launches.waiting.last_failure,
            "workers": [
                {
                    "id": worker.id,
                    "goal": worker.goal.value,
                    "state": self._workers.states.get(worker.id, ""),
                    "cpus": worker.cpus,
                    "mem": worker.memory_mib,
                    "agent_id": worker.agent_id,
                    "hostname": worker.hostname,
                    "ports": worker.ports,
                    "story": self.stories.of(worker.id),
                }
                for worker in self._workers.all()
            ],
        }


def _reason(status: TaskStatus) -> str:
    return ": ".join(part for part in (status.state, status.reason, status.message) if part)
