"""What surrounds the application master's core in tests: a store, a master with tasks, a driver, a process that dies.

Everything happens one message at a time, so that anything can come between: a batch of effects is lost as a whole or
in part, calls are lost with the connection, statuses come late, twice or in another order.
"""

from __future__ import annotations

import enum

import msgspec

from headrace.flink.appmaster import events, records
from headrace.flink.appmaster.core import ApplicationMaster
from headrace.flink.appmaster.events import Attachment, Driver, Goal, TellDriver
from headrace.kernel.core import CancelTimer, Delete, Effect, Put, Reply, SetTimer, TimerFired
from headrace.mesos.messages.common import AgentID, TaskID, TaskStatus, is_terminal
from headrace.mesos.messages.scheduler import Call, Launch
from tests.unit.flink.appmaster_helpers import apply, make, offer, status, stored_workers, worker

SOON = 200.0
"""Seconds: longer than all pauses but that between reconciliations of everything."""
MOST_MOVES = 2000


class Stage(enum.Enum):
    """When a process dies of an event: before anything of it is stored, before anything else is done, after that."""

    BEFORE = "before"
    STORED = "stored"
    DONE = "done"


class Master:
    """Frameworks and their tasks. A status is told again until it is acknowledged."""

    def __init__(self) -> None:
        self.frameworks: dict[str, dict[str, str]] = {}
        """Task states by framework id; ended tasks are not among them."""
        self.removed: set[str] = set()
        self.launched: dict[str, int] = {}
        self.unacknowledged: list[TaskStatus] = []
        self.offers: set[str] = set()
        self.wanted = False
        """Whether offers are revived."""
        self._numbers = 0

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def tasks(self) -> dict[str, str]:
        return {task: state for tasks in self.frameworks.values() for task, state in tasks.items()}

    def change(self, framework: str, task: str, state: str) -> None:
        """A task comes to a state, which is told."""
        if is_terminal(state):
            del self.frameworks[framework][task]
        else:
            self.frameworks[framework][task] = state
        self.unacknowledged.append(status(task, state, uuid=f"{self.number()}"))

    def forget(self, framework: str) -> None:
        """The framework is removed, and its tasks with it, of which nothing is told."""
        gone = self.frameworks.pop(framework, {})
        self.removed.add(framework)
        self.unacknowledged = [one for one in self.unacknowledged if one.task_id.value not in gone]

    def take(self, framework: str, call: Call) -> list[TaskStatus]:
        """Carry out a call; returns statuses that are answers, and are told only once."""
        if call.accept is not None:
            offered = {one.value for one in call.accept.offer_ids or ()}
            launches = [one.launch for one in call.accept.operations or () if one.launch is not None]
            return self._accept(framework, offered, launches)
        if call.decline is not None:
            self.offers -= {one.value for one in call.decline.offer_ids or ()}
        elif call.acknowledge is not None:
            self.unacknowledged = [one for one in self.unacknowledged if one.uuid != call.acknowledge.uuid]
        elif call.kill is not None:
            task = call.kill.task_id.value
            if task not in self.frameworks[framework]:
                return [self._unknown(task)]
            self.change(framework, task, "TASK_KILLED")
        elif call.reconcile is not None:
            asked = [one.task_id.value for one in call.reconcile.tasks or ()]
            mine = self.frameworks[framework]
            return [self._latest(framework, task) if task in mine else self._unknown(task) for task in asked or mine]
        elif call.type in ("REVIVE", "SUPPRESS"):
            self.wanted = call.type == "REVIVE"
        return []

    def _accept(self, framework: str, offered: set[str], launches: list[Launch]) -> list[TaskStatus]:
        tasks = [task.task_id.value for launch in launches for task in launch.task_infos or ()]
        if not offered <= self.offers:
            self.offers -= offered
            return [status(task, "TASK_DROPPED", uuid=None) for task in tasks]
        self.offers -= offered
        for task in tasks:
            self.launched[task] = self.launched.get(task, 0) + 1
            self.frameworks[framework][task] = "TASK_STAGING"
        return []

    def _latest(self, framework: str, task: str) -> TaskStatus:
        return status(task, self.frameworks[framework][task], uuid=None)

    def _unknown(self, task: str) -> TaskStatus:
        return TaskStatus(TaskID(task), "TASK_GONE", agent_id=AgentID("agent-1"))


class JobManager:
    """Flink with its driver: the book of workers, what is not yet confirmed, how far events were read."""

    def __init__(self, number: int) -> None:
        self.driver = Driver(f"attempt-{number}", "http://h:1", "h:2")
        self.attached = False
        self.live: list[str] = []
        self.pending: list[str] = []
        self.outbox: dict[str, str] = {}
        self._sent: set[str] = set()
        self.sequence = 0
        self._count = 0

    def balance(self, wanted: int) -> None:
        """Ask for workers, or release some."""
        if not self.attached:
            return
        while len(self.live) + len(self.pending) < wanted:
            self._count += 1
            name = worker(self._count, attempt=self.driver.attempt).id
            self.pending.append(name)
            self.outbox[name] = "request"
        while len(self.live) + len(self.pending) > wanted:
            self._release(self.pending.pop() if self.pending else self.live.pop())

    def send(self) -> events.AppMasterEvent | None:
        """The command that goes out now."""
        if not self.outbox:
            return None
        name, kind = next(iter(self.outbox.items()))
        self._sent.add(name)
        if kind == "release":
            return events.WorkerReleased(1, name)
        return events.WorkerRequested(1, msgspec.structs.replace(worker(1), id=name))

    def confirmed(self) -> None:
        """It was answered."""
        del self.outbox[next(iter(self.outbox))]

    def _release(self, name: str) -> None:
        if self.outbox.pop(name, "release") == "release" or name in self._sent:
            self.outbox[name] = "release"

    def told(self, event: TellDriver) -> None:
        assert event.sequence > self.sequence
        self.sequence = event.sequence
        if event.kind == "started":
            self._started(event.id)
        else:
            self._ended(event.id)

    def answered(self, attachment: Attachment) -> None:
        """Attached, for the first time or again."""
        assert attachment.sequence >= self.sequence
        self.sequence = attachment.sequence
        if not self.attached:
            self.attached = True
            self.live = list(attachment.workers)
            return
        for name in attachment.workers:
            self._started(name)
        for name in set(self.live) - set(attachment.workers):
            self._ended(name)
        for name in self.pending:
            if name not in self.outbox:
                self._sent.add(name)
                self.outbox[name] = "request"

    def _started(self, name: str) -> None:
        if name in self.pending:
            self.pending.remove(name)
            self.live.append(name)
        elif name not in self.live:
            self._release(name)

    def _ended(self, name: str) -> None:
        for names in (self.live, self.pending):
            if name in names:
                names.remove(name)


class World:
    """All of it. ``step`` methods return whether there was something to do."""

    def __init__(self, *, keep_workers: bool) -> None:
        self._keep_workers = keep_workers
        self.content: dict[str, bytes] = {}
        self.now = 0.0
        self.master = Master()
        self.wants = 0
        self.core: ApplicationMaster | None = None
        self.job_manager: JobManager | None = None
        self._run = 0
        """Of the JobManager that lives."""
        self._attempts = 0
        self._worked = False
        """Whether a driver has ever attached; else three ends of the JobManager are the cluster's."""
        self.doom: Stage | None = None
        """How the process dies of the next event."""
        self.connected = ""
        """The framework id of the subscription."""
        self._known_as = ""
        self.calls: list[Call] = []
        """Under way to the master."""
        self._log: list[TellDriver] = []
        self._log_from = 0
        self._timers: dict[str, float] = {}

    # the process

    def start(self) -> None:
        """The application master is started; the JobManager may have outlived the one before."""
        recovered = records.recover(self.content)
        self.core = make(recovered, keep_workers=self._keep_workers)
        self._known_as = recovered.framework_id
        self._log, self._log_from = [], recovered.generation + 1 << 32
        run = recovered.job_manager.run if recovered.job_manager else 0
        self.feed(events.Started(job_manager_alive=self.job_manager is not None and run == self._run))

    def die(self) -> None:
        self.core = None
        self.doom = None
        self._timers.clear()
        self._lose_connection()

    def feed(self, event: events.AppMasterEvent) -> list[Effect] | None:
        """One turn of the shell; None if the process died of it before it acted."""
        if self.core is None or self.doom is Stage.BEFORE:
            self.die()
            return None
        effects = self.core.handle(event, self.now)
        self.core.validate()
        apply(effects, self.content)
        if self.doom is Stage.STORED:
            self.die()
            return None
        for effect in effects:
            self._perform(effect)
        if self.doom is Stage.DONE:
            self.die()
        return effects

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SetTimer(key, at):
                self._timers[key] = at
            case CancelTimer(key):
                self._timers.pop(key, None)
            case events.SendCall(call):
                if self.connected:
                    self.calls.append(call)
            case TellDriver():
                self._log.append(effect)
            case events.StartJobManager(run):
                assert self.job_manager is None, "there are two JobManagers"
                self._attempts += 1
                self._run, self.job_manager = run, JobManager(self._attempts)
            case events.ForgetFramework():
                self._known_as = ""
            case Put() | Delete() | Reply() | events.ShowWebUi():
                pass
            case _:
                raise AssertionError(f"unexpected: {effect}")

    def fire(self) -> bool:
        """The next timer goes off, when its time has come."""
        if self.core is None or not self._timers:
            return False
        key = min(self._timers, key=lambda key: self._timers[key])
        self.now = max(self.now, self._timers.pop(key))
        self.feed(TimerFired(key))
        return True

    # the connection

    def connect(self) -> bool:
        if self.core is None or self.connected:
            return False
        if self._known_as in self.master.removed:
            self.feed(events.MasterRefused("Framework has been removed"))
            return True
        framework = self._known_as or f"framework-{self.master.number()}"
        self.master.frameworks.setdefault(framework, {})
        self.connected = self._known_as = framework
        self.feed(events.MasterConnected(framework))
        return True

    def disconnect(self) -> bool:
        """Calls under way are lost."""
        if self.core is None or not self.connected:
            return False
        self._lose_connection()
        self.feed(events.MasterDisconnected("test"))
        return True

    def _lose_connection(self) -> None:
        self.connected = ""
        self.calls.clear()
        self.master.offers.clear()
        self.master.wanted = False

    def remove_framework(self) -> bool:
        """An operator or a timeout removes it."""
        if not self._known_as or self._known_as in self.master.removed:
            return False
        self.master.forget(self._known_as)
        if self.connected:
            self._lose_connection()
            self.feed(events.MasterRefused("Framework has been removed"))
            if self.core is not None:
                self.feed(events.MasterDisconnected("test"))
        return True

    def deliver(self) -> bool:
        """The master takes a call; what it answers comes at once."""
        if not self.calls:
            return False
        call = self.calls.pop(0)
        if call.accept is not None:
            stored = stored_workers(self.content)
            for operation in call.accept.operations or ():
                for task in (operation.launch.task_infos if operation.launch else None) or ():
                    kept = stored.get(task.task_id.value)
                    assert kept is None or kept.goal is not Goal.NEW, "acted before writing"
        for answer in self.master.take(self.connected, call):
            self.tell(answer)
        return True

    def lose(self) -> bool:
        """The master refuses a call, and nobody hears of it but a log."""
        if not self.calls or self.calls[0].type not in ("ACCEPT", "KILL", "RECONCILE", "ACKNOWLEDGE"):
            return False
        call = self.calls.pop(0)
        if call.accept is not None:
            self.master.offers -= {one.value for one in call.accept.offer_ids or ()}
        return True

    def tell(self, what: TaskStatus) -> None:
        if self.connected and self.core is not None:
            self.feed(events.StatusReceived(what))

    def offer(self, cpus: int) -> bool:
        if not self.connected:
            return False
        number = self.master.number()
        self.master.offers.add(f"offer-{number}")
        self.feed(events.OffersReceived([offer(number, cpus=cpus)]))
        return True

    def rescind(self) -> bool:
        """Before or after it was used."""
        if not self.master.offers or not self.connected:
            return False
        gone = min(self.master.offers)
        self.master.offers.discard(gone)
        self.feed(events.OfferRescinded(gone))
        return True

    # Flink

    def job_manager_dies(self) -> bool:
        if self.job_manager is None or not self._worked:
            return False
        self.job_manager = None
        if self.core is not None:
            self.feed(events.JobManagerEnded(self._run, "test"))
        return True

    def driver_restarts(self) -> bool:
        """The JobManager leads once more: another driver in the same process."""
        if self.job_manager is None or not self._worked:
            return False
        self._attempts += 1
        self.job_manager = JobManager(self._attempts)
        return True

    def want(self, workers: int) -> None:
        self.wants = workers
        self.balance()

    def balance(self) -> None:
        if self.job_manager is not None:
            self.job_manager.balance(self.wants)

    def command(self) -> bool:
        """Flink's driver sends a command, again if it was not answered."""
        flink = self.job_manager
        if flink is None or self.core is None or (event := flink.send()) is None:
            return False
        if self._answer(event) is not None:
            flink.confirmed()
        return True

    def poll(self) -> bool:
        """The driver attaches, or reads events."""
        flink = self.job_manager
        if flink is None or self.core is None:
            return False
        last = self._log[-1].sequence if self._log else self._log_from
        if not flink.attached or not self._log_from <= flink.sequence <= last:
            reply = self._answer(events.DriverAttached(1, flink.driver))
            if reply is not None:
                assert isinstance(reply.value, Attachment)
                flink.answered(reply.value)
                self._worked = True
        else:
            fresh = [event for event in self._log if event.sequence > flink.sequence]
            for event in fresh:
                flink.told(event)
            if not fresh:
                return False
        self.balance()
        return True

    def _answer(self, event: events.AppMasterEvent) -> Reply | None:
        """What the core answers; None if the answer is lost."""
        effects = self.feed(event)
        if effects is None or self.core is None:
            return None
        (reply,) = (effect for effect in effects if isinstance(effect, Reply))
        return reply

    # the end of all trouble

    def settle(self) -> None:
        """From now on all goes well: soon everything is as Flink wants it."""
        self.doom = None
        end, moves = self.now + SOON, 0
        while self.now < end:
            while self._move():
                moves += 1
                assert moves < MOST_MOVES, "it goes round in circles"
            if not self.fire():
                break
        self._check()

    def _move(self) -> bool:
        """One thing that happens without waiting."""
        if self.core is None:
            self.start()
            return True
        if self.connect() or self.deliver() or self.poll() or self.command():
            return True
        if self.master.unacknowledged and self.connected:
            self.tell(self.master.unacknowledged[0])
            return True
        for task, state in self.master.frameworks.get(self.connected, {}).items():
            if state != "TASK_RUNNING":
                self.master.change(self.connected, task, "TASK_RUNNING")
                return True
        return self.master.wanted and not self.master.offers and self.offer(8)

    def _check(self) -> None:
        flink = self.job_manager
        assert flink is not None
        assert flink.attached
        assert not flink.pending
        assert not flink.outbox
        assert len(flink.live) == self.wants
        stored = stored_workers(self.content)
        assert {name: kept.goal for name, kept in stored.items()} == dict.fromkeys(flink.live, Goal.LAUNCHED)
        assert self.master.tasks() == dict.fromkeys(flink.live, "TASK_RUNNING")
        assert not self.master.unacknowledged
