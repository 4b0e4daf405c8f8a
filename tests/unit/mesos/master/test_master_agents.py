"""Registration, loss, return and removal of agents; restart of the master."""

from __future__ import annotations

import pytest

from headrace.kernel.core import Put
from headrace.mesos.master.core.events import AgentRegisters, AgentStreamClosed
from headrace.mesos.messages.agent_link import (
    KillTask,
    Ping,
    Refused,
    Register,
    Registered,
    ShutdownFramework,
    Unregister,
)
from headrace.mesos.messages.common import AgentID
from tests.unit.mesos.master.master_world import FakeAgent, FakeFramework, World, agent_info

AWARE = ("MULTI_ROLE", "RESERVATION_REFINEMENT", "PARTITION_AWARE")


@pytest.fixture
def world() -> World:
    return World()


def with_task(world: World, capabilities: tuple[str, ...] = AWARE) -> tuple[FakeAgent, FakeFramework]:
    agent, framework = world.agent(), world.framework(capabilities=capabilities)
    framework.accept(framework.task("t1", agent))
    framework.acknowledge(agent.update("t1", "TASK_RUNNING"))
    return agent, framework


def test_an_agent_is_stored_before_it_is_told(world: World) -> None:
    effects = world.feed(AgentRegisters("s", Register(agent_info(), "0.1"), "10.0.0.9"))
    kinds = [type(effect).__name__ for effect in effects]
    assert kinds.index("Put") < kinds.index("SendToAgent")
    assert [effect.key for effect in effects if isinstance(effect, Put)] == ["agents/m-S0"]


def test_registered_names_the_ping_interval(world: World) -> None:
    assert world.agent().events == [Registered(AgentID("m-S0"), 15.0)]


def test_every_agent_is_pinged_once_in_each_interval(world: World) -> None:
    agents = [world.agent(port=port) for port in range(20)]
    world.advance(60)
    assert {len(agent.heard(Ping)) for agent in agents} == {4}


def test_an_agent_that_answers_no_ping_is_unreachable(world: World) -> None:
    agent, framework = with_task(world)
    stream = agent.stream
    agent.answers_pings = False
    world.advance(15 * 7)
    assert framework.statuses[-1].state == "TASK_UNREACHABLE"
    assert stream in world.closed
    assert not world.books.agents


def test_when_the_stream_ends_offers_are_rescinded_and_tasks_keep_their_state(world: World) -> None:
    agent, framework = with_task(world)
    (offer,) = framework.offers
    framework.take()
    agent.disconnect()
    assert framework.kinds == ["RESCIND"]
    assert offer not in framework.offers
    assert world.books.frameworks[framework.id].tasks["t1"].state == "TASK_RUNNING"


@pytest.mark.parametrize(
    ("capabilities", "state"), [(AWARE, "TASK_UNREACHABLE"), (AWARE[:2], "TASK_LOST")], ids=["aware", "plain"]
)
def test_an_agent_that_stays_away_is_unreachable(world: World, capabilities: tuple[str, ...], state: str) -> None:
    agent, framework = with_task(world, capabilities)
    agent.disconnect()
    framework.take()
    world.advance(74)
    assert "UPDATE" not in framework.kinds
    world.advance(2)
    status = framework.statuses[-1]
    assert (status.state, status.reason, status.source) == (state, "REASON_AGENT_REMOVED", "SOURCE_MASTER")
    assert status.unreachable_time is not None
    assert [event.failure.agent_id.value for event in framework.events if event.failure and event.failure.agent_id] == [
        agent.id
    ]
    framework.take()
    agent.register()
    back = framework.statuses[-1]
    assert (back.state, back.reason, back.uuid) == ("TASK_RUNNING", "REASON_AGENT_REREGISTERED", None)
    assert world.books.frameworks[framework.id].tasks["t1"].state == "TASK_RUNNING"
    assert len(framework.offers) == 1
    framework.acknowledge(agent.update("t1", "TASK_FINISHED"))
    assert not world.books.frameworks[framework.id].tasks


def test_an_agent_that_is_back_in_time_changes_nothing(world: World) -> None:
    agent, framework = with_task(world)
    agent.disconnect()
    world.advance(30)
    framework.take()
    agent.register()
    assert framework.kinds == ["OFFERS"]
    framework.take()
    world.advance(90)
    assert not framework.statuses


def test_a_launch_that_never_reached_the_agent_is_dropped_when_it_registers(world: World) -> None:
    agent, framework = with_task(world)
    framework.accept(framework.task("t2", agent))
    del agent.tasks["t2"]
    agent.disconnect()
    agent.register()
    status = framework.statuses[-1]
    assert (status.task_id.value, status.state) == ("t2", "TASK_DROPPED")
    assert set(world.books.frameworks[framework.id].tasks) == {"t1"}


def test_a_second_registration_takes_the_place_of_the_first(world: World) -> None:
    agent, framework = with_task(world)
    old = agent.stream
    agent.register()
    assert old in world.closed
    assert len(world.books.agents) == 1
    assert len(framework.offers) == 1
    world.feed(AgentStreamClosed(old or ""))
    assert world.books.agents[agent.id].connected


def test_resources_may_change_when_an_agent_registers_again(world: World) -> None:
    agent, framework = with_task(world)
    agent.disconnect()
    agent.info = agent_info(cpus=2, mem=64)
    agent.register()
    from headrace.mesos.resources import Resources

    (offer,) = framework.offers.values()
    assert Resources.parse(offer.resources) == Resources.of(cpus=1, mem=32)


def test_an_agent_that_unregisters_is_removed_and_refused(world: World) -> None:
    agent, framework = with_task(world)
    stream, known = agent.stream, agent.id
    framework.take()
    agent.call(Unregister("bye"))
    status = framework.statuses[-1]
    assert (status.state, status.reason) == ("TASK_LOST", "REASON_AGENT_REMOVED")
    assert status.message == "Agent h1 removed: the agent unregistered"
    assert framework.kinds[-1] == "FAILURE"
    assert stream in world.closed
    assert f"removed/{known}" in world.store
    agent.events.clear()
    agent.register()
    assert [type(event) for event in agent.events] == [Refused]
    agent.id = None
    agent.tasks.clear()
    agent.register()
    assert agent.id == "m-S1"


def test_an_agent_that_forgot_itself_takes_the_place_of_the_one_at_its_address(world: World) -> None:
    agent, framework = with_task(world)
    agent.disconnect()
    agent.id = None
    agent.tasks.clear()
    agent.register()
    assert framework.statuses[-1].message == "Agent h1 removed: a new agent registered at the same address"
    assert list(world.books.agents) == ["m-S1"]


def test_an_agent_may_move_and_another_one_may_take_its_address(world: World) -> None:
    agent = world.agent()
    agent.disconnect()
    agent.info = agent_info(port=6000)
    agent.register()
    agent.call(Unregister())
    other = world.agent()
    assert list(world.books.agents) == [other.id]


def test_an_agent_that_has_moved_is_not_removed_with_its_old_address(world: World) -> None:
    agent = world.agent()
    agent.disconnect()
    agent.info = agent_info(port=6000)
    agent.register()
    agent.disconnect()
    other = world.agent()
    assert list(world.books.agents) == [agent.id, other.id]


def test_a_task_that_came_back_beside_its_successor_is_killed_quietly(world: World) -> None:
    agent, framework = with_task(world)
    agent.disconnect()
    world.advance(80)
    world.restart()  # a master that remembered the lost task would refuse its id
    framework.subscribe()
    other = world.agent(port=5052)
    framework.accept(framework.task("t1", other))
    framework.take()
    agent.register()
    assert [kill.task_id.value for kill in agent.heard(KillTask)] == ["t1"]
    agent.update("t1", "TASK_KILLED")
    assert "UPDATE" not in framework.kinds
    assert world.books.frameworks[framework.id].tasks["t1"].agent_id == other.id


# Restart of the master


def test_after_a_restart_frameworks_and_agents_come_back_with_their_tasks(world: World) -> None:
    agent, framework = with_task(world)
    known = (agent.id, framework.id)
    world.restart()
    framework.subscribe()
    framework.take()
    agent.register()
    assert (agent.id, framework.id) == known
    assert world.books.frameworks[framework.id].tasks["t1"].state == "TASK_RUNNING"
    (offer,) = framework.offers.values()
    assert offer.id.value == "n-O0"
    framework.call("RECONCILE", reconcile={"tasks": []})
    assert framework.statuses[-1].state == "TASK_RUNNING"


def test_after_a_restart_agents_may_come_before_their_frameworks(world: World) -> None:
    agent, framework = with_task(world)
    world.restart()
    agent.register()
    assert world.books.frameworks[framework.id].recovered
    status = agent.update("t1", "TASK_FAILED")
    framework.take()
    framework.subscribe()
    assert framework.statuses == [status]


def test_after_a_restart_unknown_tasks_are_not_spoken_of_until_their_agents_are_back(world: World) -> None:
    agent, framework = with_task(world)
    world.restart()
    framework.subscribe()
    framework.take()
    asked = [{"task_id": {"value": "t1"}, "agent_id": {"value": agent.id}}, {"task_id": {"value": "x"}}]
    framework.call("RECONCILE", reconcile={"tasks": asked})
    assert not framework.statuses
    world.advance(80)
    framework.take()
    framework.call("RECONCILE", reconcile={"tasks": asked})
    assert [status.state for status in framework.statuses] == ["TASK_UNREACHABLE", "TASK_UNKNOWN"]
    world.restart("o")
    framework.subscribe()
    framework.call("RECONCILE", reconcile={"tasks": asked})
    assert framework.statuses[-2].state == "TASK_UNREACHABLE", "remembered by the store"


def test_after_a_restart_a_framework_that_does_not_come_back_ends_with_its_tasks(world: World) -> None:
    agent, framework = with_task(world)
    world.restart()
    agent.register()
    world.advance(74)
    assert framework.id in world.books.frameworks
    world.advance(2)
    assert framework.id not in world.books.frameworks
    assert agent.heard(ShutdownFramework)


def test_after_a_restart_removed_ids_stay_removed(world: World) -> None:
    agent, framework = with_task(world)
    framework.call("TEARDOWN")
    agent.call(Unregister())
    world.restart()
    framework.subscribe()
    assert framework.kinds[-1] == "ERROR"
    agent.register()
    assert isinstance(agent.events[-1], Refused)


def test_an_agent_that_missed_the_end_of_a_framework_is_told_when_it_is_back(world: World) -> None:
    agent, framework = with_task(world)
    agent.disconnect()
    framework.call("TEARDOWN")
    agent.register()
    assert agent.heard(ShutdownFramework)
    assert not world.books.frameworks


def test_a_master_without_a_store_learns_everything_from_agents(world: World) -> None:
    agent, framework = with_task(world)
    world.store.clear()
    world.restart()
    agent.register()
    framework.subscribe()
    assert framework.events[-1].offers is not None
    assert world.books.frameworks[framework.id].tasks["t1"].state == "TASK_RUNNING"


def test_agents_of_one_size_share_what_is_known_of_it(world: World) -> None:
    one, other, larger = (world.agent(f"h{n}", cpus=cpus) for n, cpus in enumerate((4, 4, 8)))
    books = [world.books.agents[agent.id or ""] for agent in (one, other, larger)]
    assert books[0].total is books[1].total
    assert books[0].info.resources is books[1].info.resources
    assert (books[0].total.scalar("cpus"), books[2].total.scalar("cpus")) == (4, 8)
