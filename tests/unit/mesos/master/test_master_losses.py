"""Loss of agents: rate limits, agents that are marked gone, what executors and operations of lost agents become."""

from __future__ import annotations

import pytest

from headrace.mesos.master.core.books import Settings
from headrace.mesos.messages.agent_link import Refused
from headrace.mesos.messages.common import ExecutorInfo, Identifier
from headrace.mesos.resources import Resources
from tests.unit.mesos.master.master_world import CAPABILITIES, FakeAgent, FakeFramework, World

AWARE = (*CAPABILITIES, "PARTITION_AWARE")


def agents(world: World, count: int) -> list[FakeAgent]:
    return [world.agent(port=5051 + number) for number in range(count)]


def with_task(world: World, *, aware: bool = True) -> tuple[FakeAgent, FakeFramework]:
    agent, framework = world.agent(), world.framework(capabilities=AWARE if aware else CAPABILITIES)
    framework.accept(framework.task("t1", agent))
    framework.acknowledge(agent.update("t1", "TASK_RUNNING"))
    framework.take()
    return agent, framework


def gone(world: World, agent: FakeAgent | str | None) -> int:
    agent_id = agent.id if isinstance(agent, FakeAgent) else agent
    return world.order("MARK_AGENT_GONE", mark_agent_gone={"agent_id": {"value": agent_id}}).status


# How many at a time


def test_agents_become_unreachable_one_after_the_other() -> None:
    world = World(Settings(removal_spacing=600.0))
    for agent in agents(world, 4):
        agent.disconnect()
    world.advance(75)
    assert len(world.books.agents) == 3, "the first at once"
    world.advance(599)
    assert len(world.books.agents) == 3
    world.advance(2)
    assert len(world.books.agents) == 2
    world.advance(1200)
    assert not world.books.agents
    assert world.books.counters["slave_unreachable_completed"] == 4


def test_an_agent_that_is_back_before_its_turn_has_lost_nothing_and_the_next_one_moves_up() -> None:
    world = World(Settings(removal_spacing=600.0))
    first, second, third = agents(world, 3)
    framework = world.framework(capabilities=AWARE)
    offer = next(o for o in framework.offers.values() if o.agent_id.value == second.id)
    framework.accept(framework.task("t", second), offers=[offer.id.value])
    framework.acknowledge(second.update("t", "TASK_RUNNING"))
    for agent in (first, second, third):
        agent.disconnect()
    world.advance(80)
    second.register()
    framework.take()
    world.advance(600)
    assert not [status for status in framework.statuses if status.state == "TASK_UNREACHABLE"]
    assert list(world.books.agents) == [second.id], "the third had its turn"
    assert world.books.counters["slave_unreachable_canceled"] == 1


def test_an_agent_that_answers_again_before_its_turn_stays() -> None:
    world = World(Settings(removal_spacing=600.0, agent_ping_timeout=1.0, max_agent_ping_timeouts=2))
    first, second = agents(world, 2)
    first.answers_pings = second.answers_pings = False
    world.advance(10)
    assert list(world.books.agents) == [second.id]
    second.answers_pings = True
    world.advance(1200)
    assert world.books.agents[second.id].connected


def test_without_a_limit_all_become_unreachable_at_once() -> None:
    world = World()
    for agent in agents(world, 4):
        agent.disconnect()
    world.advance(76)
    assert not world.books.agents


def test_the_limit_counts_after_a_restart_too() -> None:
    world = World(Settings(removal_spacing=600.0))
    agents(world, 3)
    world.restart()
    world.advance(76)
    assert len(world.books.awaited) == 2
    world.advance(1300)
    assert not world.books.awaited
    assert all(absent.since is not None for absent in world.books.absent.values())


def test_too_many_agents_that_are_missing_after_a_restart_are_waited_for() -> None:
    world = World(Settings(recovery_removal_limit=0.5))
    one, two, three = agents(world, 3)
    world.restart()
    one.register()
    world.advance(76)
    assert len(world.books.awaited) == 2
    (warning,) = world.warnings
    assert warning.startswith("2 of 3 agents have not registered again")
    assert "--recovery_agent_removal_limit=50%" in warning
    two.register()
    world.advance(76)
    assert not world.books.awaited, "one of three is not too many"
    assert three.id in world.books.absent


def test_the_ping_timeouts_say_how_long_an_agent_may_be_away() -> None:
    world = World(Settings(agent_ping_timeout=1.0, max_agent_ping_timeouts=3, agent_reregister_timeout=600.0))
    agent, framework = with_task(world)
    agent.disconnect()
    world.advance(3.5)
    assert framework.statuses[-1].state == "TASK_UNREACHABLE"


# Gone


@pytest.mark.parametrize(("aware", "state"), [(True, "TASK_GONE_BY_OPERATOR"), (False, "TASK_LOST")])
def test_an_agent_that_is_marked_gone(aware: bool, state: str) -> None:
    world = World()
    agent, framework = with_task(world, aware=aware)
    known = agent.id or ""
    assert gone(world, agent) == 200
    status = framework.statuses[-1]
    assert (status.state, status.reason) == (state, "REASON_AGENT_REMOVED_BY_OPERATOR")
    assert status.message == "Agent has been marked gone"
    assert framework.kinds == ["UPDATE", "RESCIND", "FAILURE"]
    assert agent.heard(Refused) == [Refused("Agent has been marked gone", leave=True)]
    assert gone(world, known) == 200, "once more changes nothing"
    world.restart()
    agent.register()
    assert agent.events[-1] == Refused("Agent has been marked gone", leave=True)
    framework.subscribe()
    asked = {"task_id": {"value": "t1"}, "agent_id": {"value": known}}
    framework.call("RECONCILE", reconcile={"tasks": [asked]})
    status = framework.statuses[-1]
    assert (status.state, status.message) == (state, "Reconciliation: Task is gone")


def test_an_unreachable_agent_can_be_marked_gone() -> None:
    world = World()
    agent, framework = with_task(world)
    known = agent.id or ""
    agent.disconnect()
    world.advance(80)
    framework.take()
    assert gone(world, known) == 200
    assert [status.state for status in framework.statuses] == ["TASK_GONE_BY_OPERATOR"]
    assert not world.books.absent
    assert f"agents/{known}" not in world.store
    agent.register()
    assert isinstance(agent.events[-1], Refused)


# What else is on an agent


def test_executors_and_what_they_hold_come_back_with_their_agent() -> None:
    world = World()
    agent, framework = with_task(world)
    info = ExecutorInfo(Identifier("e1"), "DEFAULT", resources=Resources.of(cpus=2, mem=64).messages("test"))
    agent.executors[framework.id, "e1"] = (world.books.frameworks[framework.id].info, info)
    world.store.clear()
    world.restart()
    agent.register()
    framework.subscribe()
    (offer,) = framework.offers.values()
    assert Resources.parse(offer.resources) == Resources.of(cpus=5, mem=8192 - 96)
    assert offer.executor_ids == [Identifier("e1")]
    assert list(world.books.frameworks[framework.id].executors) == [(agent.id, "e1")]
    agent.disconnect()
    del agent.executors[framework.id, "e1"]
    agent.register()
    (offer,) = framework.offers.values()
    assert Resources.parse(offer.resources).scalar("cpus") == 7, "it ended meanwhile"
    agent.disconnect()
    world.advance(80)
    assert not world.books.frameworks[framework.id].executors


def test_what_operations_have_made_of_an_agent_is_its_own_to_say() -> None:
    world = World()
    agent = world.agent(cpus=4, mem=1024)
    reserved = {"name": "cpus", "scalar": {"value": 1}, "reservations": [{"type": "DYNAMIC", "role": "r"}]}
    world.order("RESERVE_RESOURCES", reserve_resources={"agent_id": {"value": agent.id}, "resources": [reserved]})
    made = world.books.agents[agent.id].total
    assert made.parts
    world.store.clear()
    world.restart()
    agent.register()
    assert world.books.agents[agent.id].total == made
    agent.total = None  # the agent was cut off before it had stored that
    agent.register()
    assert world.books.agents[agent.id].total == Resources.of(cpus=4, mem=1024)


# What is not remembered for ever


def test_removed_and_unreachable_agents_are_forgotten_some_day() -> None:
    world = World(Settings(registry_max_agent_age=1000.0, registry_gc_interval=100.0))
    one, two = agents(world, 2)
    one.disconnect()
    world.advance(80)
    gone(world, two)
    assert one.id in world.books.absent
    assert two.id in world.books.removed
    world.advance(1200)
    assert not world.books.absent
    assert not world.books.removed
    assert not [key for key in world.store if key.startswith(("agents/", "removed/"))]
    assert "registry" not in world.timers


def test_so_many_are_remembered_and_no_more() -> None:
    world = World(Settings(registry_max_agent_count=2))
    for agent in agents(world, 4):
        agent.disconnect()
    world.advance(80)
    assert len(world.books.absent) == 2
    assert len([key for key in world.store if key.startswith("agents/")]) == 2


def test_completed_and_unreachable_tasks_are_bounded() -> None:
    world = World(Settings(max_completed_tasks=2, max_unreachable_tasks=1, max_completed_frameworks=1))
    agent, framework = world.agent(), world.framework(capabilities=AWARE)
    framework.accept(*(framework.task(f"t{n}", agent) for n in range(6)))
    for n in range(3):
        framework.acknowledge(agent.update(f"t{n}", "TASK_FINISHED"))
    known = world.books.frameworks[framework.id]
    assert [task.id for task in known.completed] == ["t1", "t2"]
    agent.disconnect()
    world.advance(80)
    assert list(known.unreachable) == ["t5"]
    framework.call("TEARDOWN")
    other = world.framework("other")
    other.call("TEARDOWN")
    assert [completed.id for completed in world.books.completed] == [other.id]
