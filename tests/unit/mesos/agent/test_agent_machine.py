"""Whatever happens, in whatever order, killed at any point: nothing runs twice, nothing is lost, each task ends once.

Command tasks, groups, custom executors with their calls, operations; a crash before or after any event is stored.
After each event the store says the same as the core, and what is in use is what lives (``World.validate``).
``walks`` says how many steps it takes.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from headrace.kernel.process import Ended
from headrace.mesos.agent.core.agent import AgentCore
from headrace.mesos.agent.core.events import ExecutorStreamClosed, FetchFailed, LinkLost, StartFailed
from headrace.mesos.agent.core.executors import CustomExecutor
from headrace.mesos.messages import executor as api
from headrace.mesos.messages.agent_link import (
    AcknowledgeOperation,
    ApplyOperation,
    DrainAgent,
    ExecutorExited,
    OperationUpdate,
    Refused,
    Register,
    ShutdownExecutor,
    ShutdownFramework,
)
from headrace.mesos.messages.common import (
    Capability,
    DurationInfo,
    FrameworkID,
    Identifier,
    ReservationInfo,
    Resource,
    Scalar,
    TaskInfo,
    is_terminal,
)
from headrace.mesos.messages.scheduler import Operation, Reserve, Unreserve
from headrace.mesos.resources import Resources
from tests.unit.mesos.agent.agent_world import World, custom, default, delivered, framework, task
from tests.unit.mesos.walks import Walker, walk

STEPS_AT_A_TIME = 50

FW = FrameworkID("fw")
ENDS = st.sampled_from([Ended(0), Ended(1), Ended(137, 9), Ended(143, 15)])
ANY = st.integers(0, 10_000)
RESERVED = Resource("cpus", "SCALAR", scalar=Scalar(1), reservations=[ReservationInfo("DYNAMIC", "ours")])


class Process:
    """A custom executor as it should be: it remembers what has not been acknowledged, and never gets a task twice."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskInfo] = {}
        self.fresh: set[str] = set()
        self.said: dict[str, list[str]] = {}
        self.unacknowledged: list[api.Update] = []

    def hears(self, event: api.Event) -> None:
        group = event.launch_group.task_group.tasks or [] if event.launch_group else []
        for one in [event.launch.task, *group] if event.launch else group:
            assert one.task_id.value not in self.tasks, "delivered twice"
            self.tasks[one.task_id.value] = one
            self.fresh.add(one.task_id.value)
        if event.acknowledged:
            self.unacknowledged = [u for u in self.unacknowledged if u.status.uuid != event.acknowledged.uuid]
            self.fresh.discard(event.acknowledged.task_id.value)

    def ended(self, task_id: str) -> bool:
        return any(is_terminal(state) for state in self.said.get(task_id, ()))


class AgentMachine(Walker):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.on_tell = self.tells
        self.world.register()
        self.names = 0
        self.operations = 0
        self.forgotten = False
        self.peace = 0
        self.processes: dict[str, Process] = {}
        self.said: tuple[AgentCore, Register] | None = None

    def name(self) -> str:
        self.names += 1
        return f"t{self.names}"

    def tells(self, stream: int, event: api.Event) -> None:
        who = next((who for who, open_ in self.world.listening.items() if open_ == stream), None)
        if who is not None and (process := self.process(who)) is not None:
            process.hears(event)

    def process(self, executor_id: str) -> Process | None:
        """The process of the executor that the agent knows by this id."""
        container = self.container(executor_id)
        return self.processes.setdefault(container, Process()) if container else None

    def container(self, executor_id: str) -> str | None:
        """Where the newest executor of this id runs, if it does."""
        found = [c for c in self.world.running if c in self.customs() and self.customs()[c] == executor_id]
        return max(found, key=lambda c: int(c[2:]), default=None)

    def customs(self) -> dict[str, str]:
        return {c: spec.place.executor_id for c, spec in self.world.specs.items() if not spec.task_id}

    def live(self) -> bool:
        return self.world.core.connected and self.names < 30

    # the master

    @rule(uris=st.booleans(), knows_killing=st.booleans())
    @precondition(live)
    def run(self, uris: bool, knows_killing: bool) -> None:
        capabilities = [Capability("TASK_KILLING_STATE")] if knows_killing else None
        self.world.run(task(self.name(), uris=uris), of=framework(capabilities=capabilities))

    @rule(count=st.integers(1, 3), uris=st.booleans(), executor=st.sampled_from(["d1", "d2"]))
    @precondition(live)
    def run_group(self, count: int, uris: bool, executor: str) -> None:
        self.world.run_group(default(executor), *(task(self.name(), uris=uris and not i) for i in range(count)))

    @rule(count=st.integers(1, 3), group=st.booleans(), uris=st.booleans(), executor=st.sampled_from(["e1", "e2"]))
    @precondition(live)
    def run_custom(self, count: int, group: bool, uris: bool, executor: str) -> None:
        names = [self.name() for _ in range(count)]
        if group:
            self.world.run_group(custom(executor, uris=uris), *(task(name) for name in names))
        else:
            self.world.run(*(delivered(name, executor, uris=uris) for name in names))

    @rule(n=ANY)
    @precondition(lambda self: self.world.core.connected)
    def run_again(self, n: int) -> None:
        held = [t for t in self.world.core.tasks if t.record.sort == "COMMAND"]
        if held:
            self.world.run(held[n % len(held)].info)

    @rule(n=ANY)
    @precondition(lambda self: self.world.core.connected and self.names and self.peace > 4)
    def kill(self, n: int) -> None:
        self.world.kill(f"t{1 + n % self.names}")

    @rule(executor=st.sampled_from(["d1", "d2", "e1", "e2"]))
    @precondition(lambda self: self.world.core.connected and self.peace > 8)
    def shut_executor_down(self, executor: str) -> None:
        self.world.handle(ShutdownExecutor(FW, Identifier(executor)))

    @rule(seconds=st.sampled_from([0, 1, 60]), gone=st.booleans())
    @precondition(lambda self: self.world.core.connected and self.peace > 7)
    def drain(self, seconds: int, gone: bool) -> None:
        self.world.handle(DrainAgent(DurationInfo(seconds * 1_000_000_000), gone))

    @rule(n=ANY)
    @precondition(lambda self: self.world.core.connected and self.world.unacknowledged())
    def acknowledge(self, n: int) -> None:
        pending = self.world.unacknowledged()
        self.world.acknowledge(pending[n % len(pending)])

    @rule(back=st.booleans(), named=st.booleans())
    @precondition(lambda self: self.world.core.connected)
    def operate(self, back: bool, named: bool) -> None:
        self.operations += 1
        name = Identifier(f"o{self.operations}") if named else None
        what = (
            Operation("UNRESERVE", name, unreserve=Unreserve([RESERVED]))
            if back
            else Operation("RESERVE", name, reserve=Reserve([RESERVED]))
        )
        held = self.world.core.total.contains(Resources.parse([RESERVED]))
        self.world.handle(ApplyOperation(what, FW))
        if back and held and not self.world.core.total.contains(Resources.parse([RESERVED, RESERVED])):
            assert self.world.core.total.plain.scalar("cpus") >= 1

    @rule(n=ANY)
    @precondition(lambda self: self.world.core.connected)
    def acknowledge_operation(self, n: int) -> None:
        told = [call for call in self.world.calls if isinstance(call, OperationUpdate)]
        if told:
            status = told[n % len(told)].status
            assert status.uuid
            assert status.operation_id
            self.world.handle(AcknowledgeOperation(status.operation_id, status.uuid.value, FW))

    def apart(self) -> bool:
        """Whether the agent may register."""
        core = self.world.core
        return not core.connected and not core._refused and core._shutdown is None

    @rule(n=ANY, end=ENDS)
    @precondition(apart)
    def begins_to_register(self, n: int, end: Ended) -> None:
        """The first word is made before there is a connection; an executor may end until the answer."""
        self.speaks()
        if running := sorted(self.world.running & self.customs().keys()):
            self.world.end(running[n % len(running)], end)

    def speaks(self) -> None:
        said = self.world.core.registration()
        assert said
        self.said = (self.world.core, said)

    @rule()
    @precondition(apart)
    def registers(self) -> None:
        world = self.world
        if self.said is None or self.said[0] is not world.core:
            self.speaks()
        assert self.said
        said, self.said, before = self.said[1], None, len(world.calls)
        world.register()
        if world.core.connected:  # not killed meanwhile
            exited = [one.executor_id for one in world.calls[before:] if isinstance(one, ExecutorExited)]
            for one in said.executors:
                there = world.core._books.executor(one.framework_id.value, one.executor.executor_id.value)
                assert (there is None) == (one.executor.executor_id in exited)

    # containers

    @rule(n=ANY, fails=st.booleans())
    @precondition(lambda self: self.world.fetching)
    def fetch_ends(self, n: int, fails: bool) -> None:
        container = sorted(self.world.fetching)[n % len(self.world.fetching)]
        if fails:
            self.world.fetching.remove(container)
            self.world.handle(FetchFailed(container, "no"))
        else:
            self.world.fetched(container)

    @rule()
    @precondition(lambda self: len(self.world.starting) + len(self.world.fetching) > 1)
    def start_all(self) -> None:
        for container in list(self.world.fetching):
            if container in self.world.fetching:
                self.world.fetched(container)
        for container in list(self.world.starting):
            if container in self.world.starting:
                self.world.start(container)

    @rule(n=ANY, outcome=st.sampled_from(["starts"] * 6 + ["fails", "spawns"]))
    @precondition(lambda self: self.world.starting)
    def start(self, n: int, outcome: str) -> None:
        container = self.world.starting[n % len(self.world.starting)]
        if outcome == "starts":
            self.world.start(container)
        elif outcome == "spawns":  # and the agent dies before it hears of it
            self.world.spawn(container)
            self.world.crash()
        else:
            self.world.starting.remove(container)
            self.world.handle(StartFailed(container, "no"))

    @rule(n=ANY, end=ENDS, unseen=st.sampled_from([True] + [False] * 5))
    @precondition(lambda self: self.world.running)
    def process_ends(self, n: int, end: Ended, unseen: bool) -> None:
        container = sorted(self.world.running)[n % len(self.world.running)]
        if unseen:
            self.world.running.remove(container)
            self.world.ended[container] = end
            self.world.crash()
        else:
            self.world.end(container, end)

    # executors

    @rule(executor=st.sampled_from(["e1", "e2"]), count=st.integers(1, 3))
    @precondition(lambda self: self.live() and len(self.world.listening) < 2)
    def an_executor_gets_going(self, executor: str, count: int) -> None:
        self.world.run(*(delivered(self.name(), executor) for _ in range(count)))
        self.start_all()
        if executor in self.deaf():
            self.listens(executor)

    def deaf(self) -> list[str]:
        """Executors whose processes run, but do not listen."""
        return [who for who in ("e1", "e2") if self.container(who) and who not in self.world.listening]

    @rule(n=ANY)
    @precondition(lambda self: self.deaf())
    def subscribes(self, n: int) -> None:
        self.listens(self.deaf()[n % len(self.deaf())])

    def listens(self, executor: str) -> None:
        process = self.process(executor)
        if process is None or self.world.core._books.executor("fw", executor) is None:
            return
        stream = self.world._streams + 1
        known = [process.tasks[name] for name in sorted(process.fresh)]
        self.world.subscribe(executor, known=known, said=list(process.unacknowledged), patient=True)
        if self.world.listening.get(executor) == stream and "SHUTDOWN" in self.world.events(stream):
            del self.world.listening[executor]
        held = self.world.core._books.executor("fw", executor)
        if self.world.listening.get(executor) == stream and isinstance(held, CustomExecutor):
            assert all(name in process.tasks for name, one in held.tasks.items() if one.live), "not delivered"

    @rule(n=ANY, state=st.sampled_from(["TASK_RUNNING", "TASK_FINISHED"]))
    @precondition(lambda self: self.world.listening)
    def says(self, n: int, state: str) -> None:
        executor = sorted(self.world.listening)[n % len(self.world.listening)]
        process = self.process(executor)
        names = [name for name in process.tasks if not process.ended(name)] if process else []
        if process is None or not names or executor not in self.world.listening:
            return
        name = names[n % len(names)]
        update = self.world.update(name, state)
        process.said.setdefault(name, []).append(state)
        process.unacknowledged.append(update)
        self.world.call("UPDATE", executor, update=update)

    @rule(executor=st.sampled_from(["e1", "e2"]))
    @precondition(lambda self: self.world.listening)
    def disconnects(self, executor: str) -> None:
        if executor in self.world.listening:
            self.world.handle(ExecutorStreamClosed("fw", executor, self.world.listening.pop(executor)))

    # time, and death

    @rule(n=ANY)
    @precondition(lambda self: self.world.timers and self.peace > 2)
    def timer(self, n: int) -> None:
        keys = sorted(self.world.timers)
        self.world.fire(keys[n % len(keys)])

    @rule(what=st.sampled_from(["crash", "die", "link"] * 4 + ["framework", "refusal"]))
    @precondition(lambda self: self.peace >= 6)
    def trouble(self, what: str) -> None:
        """Seldom, or nothing would ever get far."""
        self.peace = 0
        match what:
            case "crash":
                self.world.crash()
            case "die":
                self.world.dies_next = True  # when it has stored what follows from the next event
            case "link":
                self.world.handle(LinkLost("test"))
            case "framework":
                self.world.handle(ShutdownFramework(FW))
                self.forgotten = True
            case "refusal" if self.world.core.connected:
                self.world.handle(Refused("test"))
                self.forgotten = True

    @invariant()
    def counts(self) -> None:
        self.peace += 1

    def teardown(self) -> None:
        """Let everything come to its end; then each task has had exactly one end, and the books are empty."""
        world = self.world
        world.dies_next = False
        while world.fetching or world.starting or world.running:
            for container in list(world.fetching):
                world.fetched(container)
            for container in list(world.starting):
                world.start(container)
            for container in list(world.running):
                world.end(container, Ended(0))
        world.register()
        world.acknowledge_all()
        for key in [key for key in world.timers if key.startswith("executor/")]:
            world.fire(key)
        assert world.core.tasks == []
        assert not any(key.startswith(("tasks/", "states/", "executor")) for key in world.store)
        assert world.core.used() == Resources()
        assert world.core.drain is None
        if not self.forgotten:
            for number in range(1, self.names + 1):
                assert is_terminal(world.states(f"t{number}")[-1])
        self.check_what_executors_said()

    def check_what_executors_said(self) -> None:
        """The framework has heard it in the order in which it was said, all of it unless the executor ended first."""
        for process in self.processes.values():
            for name, said in process.said.items():
                told = [state for state in self.world.states(name) if state in ("TASK_RUNNING", "TASK_FINISHED")]
                assert told == said[: len(told)]


def test_agent() -> None:
    walk(AgentMachine, 2000, STEPS_AT_A_TIME)
