"""Whatever happens, in whatever order, crashes included: nothing runs twice, nothing is lost, each task ends once."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from headrace.kernel.process import Ended
from headrace.mesos.agent.events import FetchFailed, LinkLost, StartFailed
from headrace.mesos.messages.agent_link import Refused, ShutdownFramework
from headrace.mesos.messages.common import Capability, FrameworkID, is_terminal
from tests.unit.mesos.agent.agent_world import World, framework, task

ENDS = st.sampled_from([Ended(0), Ended(1), Ended(137, 9), Ended(143, 15)])
ANY = st.integers(0, 10_000)


class AgentMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.register()
        self.names = 0
        self.forgotten = False

    @rule(uris=st.booleans(), knows_killing=st.booleans())
    @precondition(lambda self: self.world.core.connected and self.names < 12)
    def run(self, uris: bool, knows_killing: bool) -> None:
        self.names += 1
        capabilities = [Capability("TASK_KILLING_STATE")] if knows_killing else None
        self.world.run(task(f"t{self.names}", uris=uris), of=framework(capabilities=capabilities))

    @rule(n=ANY)
    @precondition(lambda self: self.world.core.connected)
    def run_again(self, n: int) -> None:
        if held := self.world.core.tasks:
            self.world.run(held[n % len(held)].info)

    @rule(n=ANY)
    @precondition(lambda self: self.world.core.connected and self.names)
    def kill(self, n: int) -> None:
        self.world.kill(f"t{1 + n % self.names}")

    @rule(n=ANY, fails=st.booleans())
    @precondition(lambda self: self.world.fetching)
    def fetch_ends(self, n: int, fails: bool) -> None:
        container = sorted(self.world.fetching)[n % len(self.world.fetching)]
        if fails:
            self.world.fetching.remove(container)
            self.world.handle(FetchFailed(container, "no"))
        else:
            self.world.fetched(container)

    @rule(n=ANY, outcome=st.sampled_from(["starts", "fails", "spawns"]))
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

    @rule(n=ANY, end=ENDS, unseen=st.booleans())
    @precondition(lambda self: self.world.running)
    def process_ends(self, n: int, end: Ended, unseen: bool) -> None:
        container = sorted(self.world.running)[n % len(self.world.running)]
        if unseen:
            self.world.running.remove(container)
            self.world.ended[container] = end
            self.world.crash()
        else:
            self.world.end(container, end)

    @rule(n=ANY)
    @precondition(lambda self: self.world.core.connected and self.world.unacknowledged())
    def acknowledge(self, n: int) -> None:
        pending = self.world.unacknowledged()
        self.world.acknowledge(pending[n % len(pending)])

    @rule(n=ANY)
    @precondition(lambda self: self.world.timers)
    def timer(self, n: int) -> None:
        keys = sorted(self.world.timers)
        self.world.fire(keys[n % len(keys)])

    @rule()
    def link_is_lost(self) -> None:
        self.world.handle(LinkLost("test"))

    @rule()
    @precondition(lambda self: self.world.core.registration() is not None)
    def registers(self) -> None:
        self.world.register()

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule()
    @precondition(lambda self: self.world.core.connected)
    def framework_ends(self) -> None:
        self.world.handle(ShutdownFramework(FrameworkID("fw")))
        self.forgotten = True

    @rule()
    @precondition(lambda self: self.world.core.connected)
    def refused(self) -> None:
        self.world.handle(Refused("test"))
        self.forgotten = True

    def teardown(self) -> None:
        """Let everything come to its end; then each task has had exactly one end, and the books are empty."""
        world = self.world
        while world.fetching or world.starting or world.running:
            for container in list(world.fetching):
                world.fetched(container)
            for container in list(world.starting):
                world.start(container)
            for container in list(world.running):
                world.end(container, Ended(0))
        world.register()
        world.acknowledge_all()
        assert world.core.tasks == []
        assert not any(key.startswith(("tasks/", "states/")) for key in world.store)
        if not self.forgotten:
            for number in range(1, self.names + 1):
                assert is_terminal(world.states(f"t{number}")[-1])


TestAgentMachine = AgentMachine.TestCase
TestAgentMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
