"""An agent that is drained: its tasks are killed in no more than the given time, and told of with the reason."""

from __future__ import annotations

from headrace.kernel.process import Ended
from headrace.mesos.agent.core.records import DRAIN
from headrace.mesos.messages.agent_link import DrainAgent
from headrace.mesos.messages.common import Capability, DurationInfo, FrameworkInfo, KillPolicy
from tests.unit.mesos.agent.agent_world import World, default, delivered, framework, task

AWARE = [Capability("PARTITION_AWARE"), Capability("TASK_KILLING_STATE")]
SECOND = 1_000_000_000


def running(*, grace: float | None = None, of: FrameworkInfo | None = None) -> World:
    world = World()
    world.register()
    policy = KillPolicy(DurationInfo(round(grace * SECOND))) if grace is not None else None
    world.run(task("t1", kill_policy=policy), of=of or framework(capabilities=AWARE))
    world.start(world.starting[0])
    world.acknowledge_all()
    return world


def drain(world: World, limit: float | None = None, *, mark_gone: bool = False) -> None:
    world.handle(DrainAgent(DurationInfo(round(limit * SECOND)) if limit is not None else None, mark_gone))


def test_tasks_are_killed_and_told_of_with_the_reason() -> None:
    world = running()
    (container,) = world.running
    drain(world)
    assert world.signals == [(container, False)]
    world.end(container, Ended(143, 15))
    world.acknowledge_all()
    killing, killed = world.updates[-2].status, world.updates[-1].status
    assert (killing.state, killing.reason) == ("TASK_KILLING", "REASON_AGENT_DRAINING")
    assert (killed.state, killed.reason) == ("TASK_KILLED", "REASON_AGENT_DRAINING")
    assert killed.message == "Command terminated with signal Terminated"
    assert world.core.drain is None
    assert DRAIN not in world.store


def test_on_an_agent_that_is_to_be_gone_they_are_gone_by_operator() -> None:
    world = running()
    (container,) = world.running
    drain(world, mark_gone=True)
    world.end(container, Ended(143, 15))
    world.acknowledge_all()
    assert world.updates[-1].status.state == "TASK_GONE_BY_OPERATOR"


def test_frameworks_that_are_not_partition_aware_know_no_such_state() -> None:
    world = running(of=framework())
    (container,) = world.running
    drain(world, mark_gone=True)
    world.end(container, Ended(143, 15))
    assert world.updates[-1].status.state == "TASK_KILLED"


def test_a_task_that_has_not_begun_ends_at_once() -> None:
    world = running()
    world.run(task("t2", uris=True))
    drain(world)
    assert world.states("t2") == ["TASK_KILLED"], "it had not begun"
    assert world.updates[-1].status.reason == "REASON_AGENT_DRAINING"


def test_the_grace_period_is_that_of_the_task_unless_the_limit_is_shorter() -> None:
    for own, limit, expected in ((30, 5, 5), (30, None, 30), (4, 60, 4), (None, 60, 3), (None, 1, 1), (30, 0, None)):
        world = running(grace=own)
        (container,) = world.running
        drain(world, limit)
        due = world.timers.get(f"kill/{container}")
        assert due == (world.now + expected if expected is not None else None), (own, limit)
        if expected is None:
            assert world.signals == [(container, True)]


def test_a_second_order_can_shorten_the_time_but_not_lengthen_it() -> None:
    world = running(grace=60)
    (container,) = world.running
    drain(world, 30)
    drain(world, 50)
    assert world.timers[f"kill/{container}"] == world.now + 30
    drain(world, 2)
    assert world.timers[f"kill/{container}"] == world.now + 2


def test_an_agent_that_is_restarted_goes_on_draining() -> None:
    world = running(grace=30)
    (container,) = world.running
    world.dies_next = True
    drain(world, 5)
    assert world.signals == [(container, False)], "said anew after the restart"
    assert world.timers[f"kill/{container}"] == world.now + 5
    world.register()
    drain(world, 5)
    assert world.timers[f"kill/{container}"] == world.now + 5
    world.end(container, Ended(143, 15))
    world.acknowledge_all()
    assert world.updates[-1].status.reason == "REASON_AGENT_DRAINING"
    assert world.core.drain is None


def test_tasks_of_executors_are_killed_by_them_and_told_of_with_the_reason() -> None:
    world = World()
    world.register()
    world.run(delivered("t1"))
    world.start(world.starting[0])
    stream = world.subscribe()
    drain(world, 2)
    kill = world.told[stream][-1].kill
    assert kill is not None
    assert kill.kill_policy == KillPolicy(DurationInfo(2 * SECOND))
    drain(world, 2)
    assert world.events(stream).count("KILL") == 1
    world.says("t1", "TASK_KILLED")
    assert (world.updates[-1].status.state, world.updates[-1].status.reason) == (
        "TASK_KILLED",
        "REASON_AGENT_DRAINING",
    )


def test_groups_end_together() -> None:
    world = World()
    world.register()
    long = KillPolicy(DurationInfo(60 * SECOND))
    world.run_group(default(), task("t1", kill_policy=long), task("t2", kill_policy=long))
    for container in list(world.starting):
        world.start(container)
    drain(world, 1)
    for container in list(world.running):
        assert world.timers[f"kill/{container}"] == world.now + 1
        world.end(container, Ended(143, 15))
    world.acknowledge_all()
    reasons = {update.status.reason for update in world.updates if update.status.state == "TASK_KILLED"}
    assert reasons == {"REASON_AGENT_DRAINING"}
    assert world.core.drain is None


def test_an_agent_without_tasks_has_nothing_to_remember() -> None:
    world = World()
    world.register()
    drain(world)
    assert world.core.drain is None
    assert DRAIN not in world.store


def test_a_task_that_comes_all_the_same_is_run() -> None:
    world = running()
    drain(world)
    world.run(task("t2"))
    world.start(world.starting[-1])
    assert "TASK_KILLED" not in world.states("t2")
    assert world.core.drain is None
