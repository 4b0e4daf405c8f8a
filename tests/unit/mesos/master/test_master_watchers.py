"""Operators that watch: what they are told, when, and that they know then what the books hold."""

from __future__ import annotations

import pytest

from headrace.mesos.master.core import watchers
from headrace.mesos.master.core.effects import CloseOperator, SendToOperators
from headrace.mesos.master.core.events import AgentCalled, OperatorStreamClosed, OperatorSubscribes
from headrace.mesos.messages.agent_link import Unregister
from headrace.mesos.messages.common import TaskStatus
from tests.unit.mesos.master.master_world import FakeOperator, World, framework_info


@pytest.fixture
def world() -> World:
    return World()


def test_it_begins_with_all_that_there_is_and_goes_on_with_heartbeats(world: World) -> None:
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent))
    watcher = FakeOperator(world)
    subscribed = watcher.events[0].subscribed
    assert subscribed is not None
    assert subscribed.heartbeat_interval_seconds == 15.0
    assert [task.name for task in subscribed.get_state.get_tasks.tasks] == ["t1"]
    assert watcher.kinds == ["SUBSCRIBED", "HEARTBEAT"]
    world.advance(31)
    assert watcher.kinds == ["HEARTBEAT", "HEARTBEAT"]


def test_a_framework_and_its_tasks(world: World) -> None:
    watcher = FakeOperator(world)
    agent = world.agent()
    framework = world.framework("one")
    assert watcher.kinds == ["SUBSCRIBED", "HEARTBEAT", "AGENT_ADDED", "FRAMEWORK_ADDED"]
    framework.accept(framework.task("t1", agent))
    framework.acknowledge(agent.update("t1", "TASK_RUNNING"))
    added, updated = watcher.events
    assert added.task_added is not None
    assert added.task_added.task.state == "TASK_STAGING"
    assert updated.task_updated is not None
    assert (updated.task_updated.state, updated.task_updated.status.state) == ("TASK_RUNNING", "TASK_RUNNING")
    assert watcher.kinds == ["TASK_ADDED", "TASK_UPDATED"]
    assert framework.call("UPDATE_FRAMEWORK", update_framework={"framework_info": _renamed(framework.id)}).status == 200
    framework.disconnect()
    framework.info = framework_info("two")
    framework.subscribe()
    infos = [event.framework_updated.framework.framework_info for event in watcher.events if event.framework_updated]
    assert [info.name for info in infos] == ["two", "two"]
    assert watcher.kinds == ["FRAMEWORK_UPDATED", "FRAMEWORK_UPDATED"]
    framework.call("TEARDOWN")
    assert watcher.kinds == ["TASK_UPDATED", "FRAMEWORK_REMOVED"]


def _renamed(framework_id: str) -> dict[str, object]:
    capabilities = [{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}]
    rest = {"roles": ["test"], "failover_timeout": 60.0, "capabilities": capabilities}
    return {"user": "root", "name": "two", "id": {"value": framework_id}, **rest}


def test_only_what_is_new_of_a_task_is_told(world: World) -> None:
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent))
    watcher = FakeOperator(world)
    status = agent.update("t1", "TASK_RUNNING")
    assert watcher.kinds == ["SUBSCRIBED", "HEARTBEAT", "TASK_UPDATED"]
    agent.update("t1", "TASK_RUNNING")
    framework.acknowledge(status)
    assert watcher.kinds == []
    agent.update("t1", "TASK_RUNNING", healthy=False, reason="REASON_TASK_HEALTH_CHECK_STATUS_UPDATED")
    assert watcher.kinds == ["TASK_UPDATED"]


def test_what_a_task_says_to_its_framework_alone_is_not_told(world: World) -> None:
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent))
    watcher = FakeOperator(world)
    agent.update("t1", "TASK_RUNNING", data="c2VjcmV0")
    updated = watcher.events[-1].task_updated
    assert updated is not None
    assert updated.status.data is None
    assert isinstance(updated.status, TaskStatus)
    assert world.books.described.tasks().tasks[0].statuses[0].data is None
    assert framework.statuses[-1].data == "c2VjcmV0"


def test_agents_that_go_and_come_back(world: World) -> None:
    watcher = FakeOperator(world)
    agent = world.agent()
    agent.disconnect()
    agent.register()
    assert watcher.kinds == ["SUBSCRIBED", "HEARTBEAT", "AGENT_ADDED"]
    agent.disconnect()
    world.advance(80)
    assert [kind for kind in watcher.kinds if kind != "HEARTBEAT"] == ["AGENT_REMOVED"]
    agent.register()
    assert watcher.kinds == ["AGENT_ADDED"]
    gone = {"agent_id": {"value": agent.id}}
    assert world.order("MARK_AGENT_GONE", mark_agent_gone=gone).status == 200
    assert watcher.kinds == ["AGENT_REMOVED"]


def test_an_agent_that_was_unreachable_is_not_removed_again_when_it_is_marked_gone(world: World) -> None:
    agent, watcher = world.agent(), FakeOperator(world)
    agent.disconnect()
    world.advance(80)
    assert watcher.kinds.count("AGENT_REMOVED") == 1
    assert world.order("MARK_AGENT_GONE", mark_agent_gone={"agent_id": {"value": agent.id}}).status == 200
    assert watcher.kinds == []


@pytest.mark.parametrize("how", ["gone", "machine down"])
def test_an_agent_that_is_waited_for_is_removed(how: str, world: World) -> None:
    agent = world.agent()
    machine = {"hostname": "h1", "ip": "10.0.0.1"}
    window = {"machine_ids": [machine], "unavailability": {"start": {"nanoseconds": 1}}}
    world.order("UPDATE_MAINTENANCE_SCHEDULE", update_maintenance_schedule={"schedule": {"windows": [window]}})
    world.restart()
    watcher = FakeOperator(world)
    if how == "gone":
        world.order("MARK_AGENT_GONE", mark_agent_gone={"agent_id": {"value": agent.id}})
    else:
        world.order("START_MAINTENANCE", start_maintenance={"machines": [machine]})
        agent.register()
    assert watcher.kinds == ["SUBSCRIBED", "HEARTBEAT", "AGENT_REMOVED"]
    assert watcher.agents == set()


def test_after_a_restart_agents_bring_their_frameworks_and_tasks(world: World) -> None:
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent))
    agent.update("t1", "TASK_RUNNING")
    world.store = {key: value for key, value in world.store.items() if "framework" not in key}
    world.restart()
    watcher = FakeOperator(world)
    assert watcher.agents == {agent.id}  # it is waited for
    agent.register()
    assert watcher.tasks == {(framework.id, "t1"): "TASK_RUNNING"}
    assert watcher.kinds == ["SUBSCRIBED", "HEARTBEAT", "FRAMEWORK_ADDED", "TASK_ADDED", "AGENT_ADDED"]


def test_nobody_watches_any_more(world: World) -> None:
    watcher = FakeOperator(world)
    assert world.books.watchers.count == 1
    world.feed(OperatorStreamClosed(watcher.stream))
    assert world.books.watchers.count == 0
    watcher.events.clear()
    effects = world.feed(OperatorStreamClosed("unknown"))
    assert effects == []
    del world.operators[watcher.stream]
    world.agent()
    world.advance(20)
    assert watcher.events == []


def test_one_event_for_all_who_watch(world: World) -> None:
    first, second = FakeOperator(world), FakeOperator(world)
    agent = world.agent()
    assert (first.kinds[-1], second.kinds[-1]) == ("AGENT_ADDED", "AGENT_ADDED")
    effects = world.feed(AgentCalled(agent.stream or "", [Unregister()]))
    (told,) = [effect for effect in effects if isinstance(effect, SendToOperators)]
    assert told.streams == (first.stream, second.stream)


def test_the_oldest_goes_when_too_many_watch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "MOST", 2)
    first, second = FakeOperator(world), FakeOperator(world)
    effects = world.core.handle(OperatorSubscribes("third"), world.now)
    assert [effect for effect in effects if isinstance(effect, CloseOperator)] == [CloseOperator(first.stream)]
    effects = world.core.handle(OperatorStreamClosed(first.stream), world.now)
    assert effects == []
    told = list(world.core.handle(OperatorSubscribes("fourth"), world.now))
    assert CloseOperator(second.stream) in told
    assert {effect.streams for effect in told if isinstance(effect, SendToOperators)} == {("fourth",)}
