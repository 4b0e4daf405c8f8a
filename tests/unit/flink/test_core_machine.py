"""Any order of events, losses and crashes: no worker is launched twice, and in the end there are those Flink wants."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from headrace.flink.appmaster.events import AppMasterEvent, Goal
from headrace.kernel.core import Effect
from tests.unit.flink.appmaster_helpers import stored_workers
from tests.unit.flink.appmaster_world import Stage, World
from tests.unit.mesos.walks import Walker, walk

STATES = ["TASK_RUNNING", "TASK_UNREACHABLE", "TASK_FAILED", "TASK_GONE"]


class Machine(Walker):
    """Each rule is one thing that may happen next."""

    world: World | None = None

    @property
    def it(self) -> World:
        assert self.world is not None
        return self.world

    @initialize(keep_workers=st.booleans(), settled=st.booleans())
    def begin(self, keep_workers: bool, settled: bool) -> None:
        self.world = World(keep_workers=keep_workers)
        self.world.start()
        if settled:
            self.world.want(2)
            self.world.settle()

    @rule(stage=st.sampled_from(Stage))
    def doom(self, stage: Stage) -> None:
        """The process will die of the next event."""
        if self.it.core is not None:
            self.it.doom = stage

    @precondition(lambda self: self.world and self.world.core is not None)
    @rule()
    def die(self) -> None:
        self.it.die()

    @precondition(lambda self: self.world and self.world.core is None)
    @rule()
    def start(self) -> None:
        self.it.start()

    @rule()
    def connect(self) -> None:
        self.it.connect()

    @rule()
    def disconnect(self) -> None:
        self.it.disconnect()

    @rule()
    def remove_framework(self) -> None:
        self.it.remove_framework()

    @rule(count=st.integers(1, 4))
    def deliver(self, count: int) -> None:
        for _ in range(count):
            self.it.deliver()

    @rule()
    def lose(self) -> None:
        self.it.lose()

    @rule(workers=st.integers(0, 3))
    def want(self, workers: int) -> None:
        self.it.want(workers)

    @rule()
    def poll(self) -> None:
        self.it.poll()

    @rule()
    def command(self) -> None:
        self.it.command()

    @rule()
    def job_manager_dies(self) -> None:
        self.it.job_manager_dies()

    @rule()
    def driver_restarts(self) -> None:
        self.it.driver_restarts()

    @rule(cpus=st.integers(0, 3))
    def offer(self, cpus: int) -> None:
        self.it.offer(cpus)

    @rule()
    def rescind(self) -> None:
        self.it.rescind()

    @rule()
    def fire(self) -> None:
        self.it.fire()

    @precondition(lambda self: self.world and self.world.master.tasks())
    @rule(data=st.data(), state=st.sampled_from(STATES))
    def change(self, data: st.DataObject, state: str) -> None:
        """Something becomes of a task; the framework hears of it later."""
        frameworks = self.it.master.frameworks
        tasks = sorted((framework, task) for framework in frameworks for task in frameworks[framework])
        self.it.master.change(*data.draw(st.sampled_from(tasks)), state)

    @precondition(lambda self: self.world and self.world.master.unacknowledged)
    @rule(data=st.data())
    def tell(self, data: st.DataObject) -> None:
        """A status arrives: late, for the second time, out of order with other tasks'."""
        waiting = self.it.master.unacknowledged
        task = data.draw(st.sampled_from(sorted({one.task_id.value for one in waiting})))
        self.it.tell(next(one for one in waiting if one.task_id.value == task))

    @rule()
    def settle(self) -> None:
        self.it.settle()

    @invariant()
    def nothing_is_launched_twice(self) -> None:
        if self.world is not None:
            assert set(self.world.master.launched.values()) <= {1}

    @invariant()
    def every_task_is_known(self) -> None:
        """Of the framework that lives: a task that nobody knew would run for ever."""
        if self.world is not None:
            assert set(self.world.master.tasks()) <= set(stored_workers(self.world.content))

    @invariant()
    def what_flink_has_is_meant_to_run(self) -> None:
        """Or the driver is about to hear of its end."""
        world = self.world
        if world is not None and world.job_manager is not None:
            released = {name for name, kept in stored_workers(world.content).items() if kept.goal is Goal.RELEASED}
            assert not released & set(world.job_manager.live)

    def teardown(self) -> None:
        if self.world is not None:
            self.world.settle()


def test_any_walk_ends_with_the_workers_that_flink_wants() -> None:
    walk(Machine, least=600, at_a_time=30)


class Doomed(World):
    """The process dies of the ``at``-th event that it hears."""

    def __init__(self, at: int, stage: Stage, *, keep_workers: bool) -> None:
        super().__init__(keep_workers=keep_workers)
        self.left = at
        self._stage = stage

    def feed(self, event: AppMasterEvent) -> list[Effect] | None:
        if self.core is not None:
            self.left -= 1
            self.doom = self._stage if self.left == 0 else None
        return super().feed(event)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("keep_workers", [True, False])
def test_a_death_of_each_event_of_a_story_changes_nothing(stage: Stage, keep_workers: bool) -> None:
    events = 0
    while _outlives(events + 1, stage, keep_workers=keep_workers):
        events += 1
    assert events > 50


def _outlives(at: int, stage: Stage, *, keep_workers: bool) -> bool:
    """Whether the story was long enough to be killed."""
    world = Doomed(at, stage, keep_workers=keep_workers)
    world.start()
    for workers in (2, 1, 3):
        world.want(workers)
        world.settle()
    (framework,) = (name for name, tasks in world.master.frameworks.items() if tasks)
    world.master.change(framework, min(world.master.tasks()), "TASK_FAILED")
    world.settle()
    before = world.master.tasks()
    world.job_manager_dies()
    world.settle()
    assert (world.master.tasks() == before) is keep_workers
    world.remove_framework()
    world.settle()
    assert set(world.master.launched.values()) == {1}
    return world.left <= 0


class Deaf(World):
    """The master refuses the ``at``-th call, if it is one whose loss can be borne."""

    def __init__(self, at: int) -> None:
        super().__init__(keep_workers=True)
        self.left = at

    def deliver(self) -> bool:
        self.left -= bool(self.calls)
        return (self.left == 0 and self.lose()) or super().deliver()


def test_each_lost_call_of_a_story_is_made_up_for() -> None:
    at = 0
    while True:
        at += 1
        world = Deaf(at)
        world.start()
        for workers in (2, 1):
            world.want(workers)
            world.settle()
        if world.left > 0:
            break
    assert at > 10
