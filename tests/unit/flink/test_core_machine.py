"""Any order of events, crashes of the process included: what is stored, launched and wanted stays true."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.flink.appmaster import events, records
from headrace.flink.appmaster.events import Driver, Goal
from headrace.flink.appmaster.jobmanager import START_TIMER
from headrace.flink.appmaster.launch import GATHER_TIMER
from headrace.kernel.core import Effect, Reply, TimerFired
from headrace.mesos.messages.common import is_terminal
from tests.unit.flink.appmaster_helpers import apply, make, offer, status, stored_workers, worker


class Machine(RuleBasedStateMachine):
    """A master that launches what it is sent, a driver that counts, a process that may die at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.content: dict[str, bytes] = {}
        self.now = 0.0
        self.tasks: dict[str, str] = {}
        self.wanted: set[str] = set()
        self.ended: set[str] = set()
        self.requests = 0
        self.offers = 0
        self.connected = False
        self.sequence = 0
        self.attempt = 1
        self.restart(connect=True)

    def feed(self, event: events.AppMasterEvent) -> list[Effect]:
        effects = self.core.handle(event, self.now)
        self.core.validate()
        apply(effects, self.content)
        for effect in effects:
            if isinstance(effect, events.SendCall) and self.connected:
                self.carry_out(effect)
            elif isinstance(effect, events.TellDriver):
                assert effect.sequence > self.sequence
                self.sequence = effect.sequence
                if effect.kind == "terminated":
                    self.wanted.discard(effect.id)
        return effects

    def carry_out(self, effect: events.SendCall) -> None:
        call = effect.call
        if call.accept is not None:
            for operation in call.accept.operations or ():
                for task in (operation.launch and operation.launch.task_infos) or ():
                    name = task.task_id.value
                    assert stored_workers(self.content)[name].goal is Goal.LAUNCHED, "acted before writing"
                    assert name not in self.tasks
                    assert name not in self.ended, "launched twice"
                    self.tasks[name] = "TASK_STAGING"

    @rule(connect=st.booleans())
    def restart(self, connect: bool) -> None:
        """SIGKILL and a new process; the driver attaches again, as it finds its events gone."""
        self.core = make(records.recover(self.content))
        self.connected = False
        self.feed(events.Started(job_manager_alive="job-manager" in self.content))
        before = self.sequence
        self.attach()
        assert self.sequence > before
        if connect:
            self.connect()

    def attach(self) -> None:
        driver = Driver(f"attempt-{self.attempt}", "http://h:1", "h:2")
        (reply,) = [e for e in self.feed(events.DriverAttached(1, driver)) if isinstance(e, Reply)]
        assert set(reply.value.workers) <= self.wanted
        self.sequence = reply.value.sequence

    @rule()
    def job_manager_dies(self) -> None:
        """Its workers die with it, and a new one attaches."""
        record = records.recover(self.content).job_manager
        assert record is not None
        self.wanted.clear()
        self.feed(events.JobManagerEnded(record.run, "test"))
        assert any(isinstance(e, events.StartJobManager) for e in self.feed(TimerFired(START_TIMER)))
        self.attempt += 1
        self.attach()

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        self.connected = True
        self.feed(events.MasterConnected("fw"))

    @precondition(lambda self: self.connected)
    @rule()
    def disconnect(self) -> None:
        self.connected = False
        self.feed(events.MasterDisconnected("test"))

    @rule()
    def request(self) -> None:
        self.requests += 1
        self.wanted.add(worker(self.requests).id)
        self.feed(events.WorkerRequested(1, worker(self.requests)))

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.wanted:
            name = data.draw(st.sampled_from(sorted(self.wanted)))
            self.wanted.discard(name)
            self.feed(events.WorkerReleased(1, name))

    @precondition(lambda self: self.connected)
    @rule(cpus=st.integers(0, 3))
    def offer(self, cpus: int) -> None:
        self.offers += 1
        self.feed(events.OffersReceived([offer(self.offers, cpus=cpus)]))

    @rule(seconds=st.sampled_from([0.01, 6.0, 31.0]))
    def gather(self, seconds: float) -> None:
        self.now += seconds
        self.feed(TimerFired(GATHER_TIMER))

    @precondition(lambda self: self.connected and self.tasks)
    @rule(data=st.data(), state=st.sampled_from(["TASK_RUNNING", "TASK_UNREACHABLE", "TASK_FAILED", "TASK_GONE"]))
    def tell(self, data: st.DataObject, state: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.tasks)))
        if is_terminal(state):
            del self.tasks[name]
            self.ended.add(name)
        self.feed(events.StatusReceived(status(name, state)))

    @invariant()
    def wanted_workers_are_stored(self) -> None:
        stored = stored_workers(self.content)
        alive = {name for name, kept in stored.items() if kept.goal is not Goal.RELEASED}
        assert alive == self.wanted

    @invariant()
    def nothing_unwanted_is_launched(self) -> None:
        if self.connected:
            released = {n for n, kept in stored_workers(self.content).items() if kept.goal is Goal.RELEASED}
            assert set(self.tasks) - self.wanted <= released

    @invariant()
    def every_task_is_known(self) -> None:
        assert set(self.tasks) <= set(stored_workers(self.content))


Machine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase
