"""Containers of operators, whatever happens: nothing runs twice or below what has ended, all get answers.

Launches anywhere, kills, removals, ends in any order, connections that go, crashes before or after an event is stored.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from headrace.kernel.process import Ended
from headrace.mesos.agent.core.events import ContainerAnswer, ContainerGivenUp, FetchFailed, StartFailed
from headrace.mesos.agent.core.nesting import id_of, place_of
from headrace.mesos.agent.core.records import load
from headrace.mesos.messages.agent_operator import Call, Launch
from headrace.mesos.messages.common import CommandInfo, CommandUri
from tests.unit.mesos.agent.agent_world import World, default, task
from tests.unit.mesos.agent.test_agent_nested import Operator
from tests.unit.mesos.walks import Walker, walk

STEPS_AT_A_TIME = 40

ENDS = st.sampled_from([Ended(0), Ended(3), Ended(137, 9)])
ANY = st.integers(0, 10_000)
SOON = st.sampled_from([True, True, True, False])
RARELY = st.sampled_from([False, False, False, True])


class NestedMachine(Walker):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.register()
        self.operator = Operator(self.world)
        self.names = 0
        self.waiting: dict[int, str] = {}
        """Requests for the end of containers; those of before a crash are gone with their connections."""

    def name(self) -> str:
        self.names += 1
        return f"x{self.names}"

    def paths(self) -> list[str]:
        """Where something may be nested."""
        tasks = [
            f"{place.parent_id}.{place.container_id}" if place.parent_id else place.container_id
            for place in (spec.place for spec in self.world.specs.values())
            if place.framework_id and "." not in place.container_id
        ]
        executors = [spec.place.parent_id for spec in self.world.specs.values() if spec.place.parent_id]
        return [*tasks, *executors, *self.world.core.nested.containers, "nowhere"]

    def pick(self, n: int) -> str:
        paths = self.paths()
        running = [p for p in paths if p.rpartition(".")[2] in self.world.running or p in self.world.running]
        chosen = running if running and n % 8 else paths
        return chosen[n // 8 % len(chosen)]

    def start_at_once(self, wanted: bool) -> None:
        """Most containers are given the time to start."""
        while wanted and self.world.starting:
            self.world.start(self.world.starting[0])

    @rule(group=st.booleans(), at_once=SOON)
    @precondition(lambda self: self.names < 40 and self.world.core.connected)
    def run(self, group: bool, at_once: bool) -> None:
        if group:
            self.world.run_group(default("d"), task(self.name()))
        else:
            self.world.run(task(self.name()))
        self.start_at_once(at_once)

    @rule(n=ANY, uris=RARELY, at_once=SOON)
    def launch(self, n: int, uris: bool, at_once: bool) -> None:
        path = f"{self.pick(n)}.{self.name()}"
        if path.count(".") > 6:
            return
        launch = Launch(id_of(path), CommandInfo("true", uris=[CommandUri("/f")] if uris else None))
        self.operator.call(Call("LAUNCH_NESTED_CONTAINER", launch_nested_container=launch))
        self.start_at_once(at_once)

    @rule(n=ANY, at_once=SOON)
    def open_session(self, n: int, at_once: bool) -> None:
        path = f"{self.pick(n)}.{self.name()}"
        if path.count(".") < 6:
            self.operator.session(path)
            self.start_at_once(at_once)

    @rule(at_once=SOON)
    def launch_alone(self, at_once: bool) -> None:
        self.operator.standalone(self.name())
        self.start_at_once(at_once)

    @rule(n=ANY)
    @precondition(lambda self: not self.world.dies_next)
    def launch_again(self, n: int) -> None:
        if known := list(self.world.core.nested.containers):
            assert self.operator.launch(known[n % len(known)]) == ContainerAnswer(202)

    @rule(n=ANY)
    def wait(self, n: int) -> None:
        path, dies = self.pick(n), self.world.dies_next
        if self.operator.wait(path) is None and not dies:
            self.waiting[self.operator.last] = path

    @rule(n=ANY, number=st.sampled_from([None, 9, 15]))
    def kill(self, n: int, number: int | None) -> None:
        self.operator.kill(self.pick(n), number)

    @rule(n=ANY)
    def remove(self, n: int) -> None:
        self.operator.remove(self.pick(n))

    @rule(n=ANY, launcher=SOON)
    def give_up(self, n: int, launcher: bool) -> None:
        path = self.pick(n)
        held = self.world.core.nested.containers.get(path)
        self.world.handle(ContainerGivenUp(path, held.launcher if held is not None and launcher else 1))

    @rule(n=ANY)
    @precondition(lambda self: self.world.starting)
    def start(self, n: int) -> None:
        self.world.start(self.world.starting[n % len(self.world.starting)])

    @rule(n=ANY)
    @precondition(lambda self: self.world.starting)
    def start_fails(self, n: int) -> None:
        self.world.handle(StartFailed(self.world.starting.pop(n % len(self.world.starting)), "why not"))

    @rule(n=ANY, fails=st.booleans())
    @precondition(lambda self: self.world.fetching)
    def fetched(self, n: int, fails: bool) -> None:
        path = sorted(self.world.fetching)[n % len(self.world.fetching)]
        if fails:
            self.world.fetching.remove(path)
            self.world.handle(FetchFailed(path, "why not"))
        else:
            self.world.fetched(path)

    @rule(n=ANY, end=ENDS)
    @precondition(lambda self: self.world.running)
    def end(self, n: int, end: Ended) -> None:
        self.world.end(sorted(self.world.running)[n % len(self.world.running)], end)

    @rule()
    @precondition(lambda self: self.world.core.connected)
    def acknowledge(self) -> None:
        self.world.acknowledge_all()

    @rule()
    @precondition(lambda self: self.names % 4 == 3)
    def crash(self) -> None:
        self.waiting.clear()
        self.world.crash()
        self.world.register()

    @rule()
    @precondition(lambda self: self.names % 4 == 2)
    def dies_over_the_next(self) -> None:
        self.waiting.clear()
        self.world.dies_next = True

    @invariant()
    def the_store_says_the_same(self) -> None:
        if not self.world.dies_next:
            held = self.world.core.nested.containers.values()
            stored = {one.spec.place.container_id: one for one in load(self.world.store).nested}
            assert {one.container_id: one.record for one in held} == stored

    @invariant()
    def nothing_goes_on_below_what_has_ended(self) -> None:
        core = self.world.core
        for path, held in core.nested.containers.items():
            parent = path.rpartition(".")[0]
            above = core.nested.containers.get(parent)
            there = above.live if above is not None else not parent or place_of(core._books, parent) is not None
            assert there or held.record.ending or not held.live, f"{path} goes on"
            assert not held.record.ending or path not in self.world.running or (path, True) in self.world.signals

    @invariant()
    def who_waits_is_answered(self) -> None:
        for number, path in list(self.waiting.items()):
            held = self.world.core.nested.containers.get(path)
            if held is None or not held.live:
                assert self.operator.answer(number) is not None, f"nobody tells of the end of {path}"
                del self.waiting[number]

    def teardown(self) -> None:
        """In the end nothing is left of what belongs to tasks."""
        world = self.world
        world.dies_next = False
        for path in list(world.core.nested.containers):
            self.operator.kill(path)
        while world.fetching or world.starting or world.running:
            for path in list(world.fetching):
                world.fetched(path)
            for path in list(world.starting):
                world.start(path)
            for path in list(world.running):
                world.end(path, Ended(0))
        for path in list(world.core.nested.containers):
            assert self.operator.remove(path) == ContainerAnswer(200)
        assert not load(world.store).nested


def test_nested() -> None:
    walk(NestedMachine, 1200, STEPS_AT_A_TIME)
