"""Launch, updates, acknowledgement, kill, reconciliation."""

from __future__ import annotations

import pytest

from headrace.mesos.messages.agent_link import AcknowledgeUpdate, KillTask, RunTasks, ShutdownFramework, StatusUpdate
from headrace.mesos.messages.common import FrameworkID
from headrace.mesos.resources import Resources
from tests.unit.mesos.master.master_world import FakeAgent, FakeFramework, World


@pytest.fixture
def world() -> World:
    return World()


def started(world: World, *, task: str = "t1") -> tuple[FakeAgent, FakeFramework]:
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task(task, agent))
    return agent, framework


def test_a_launch_reaches_the_agent_and_the_rest_is_offered_at_once(world: World) -> None:
    agent, framework = world.agent(), world.framework()
    (offer,) = framework.offers.values()
    assert framework.accept(framework.task("t1", agent)).status == 202
    (run,) = agent.heard(RunTasks)
    assert [task.task_id.value for task in run.tasks] == ["t1"]
    assert run.framework.id.value == framework.id
    assert run.tasks[0].resources[0].allocation_info.role == "test"
    (rest,) = framework.offers.values()
    assert rest.id != offer.id
    assert Resources.parse(rest.resources) == Resources.of(cpus=7, mem=8160)


def test_the_rest_stays_away_for_as_long_as_the_filter_says(world: World) -> None:
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent), refuse=5)
    assert not framework.offers
    world.advance(4.9)
    assert not framework.offers
    world.advance(0.2)
    assert len(framework.offers) == 1


def test_several_offers_of_one_agent_are_used_together(world: World) -> None:
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent, resources={"cpus": 4, "mem": 64}))
    agent.update("t1", "TASK_RUNNING")
    framework.acknowledge(framework.statuses[-1])
    status = agent.update("t1", "TASK_FINISHED")
    assert len(framework.offers) == 2
    both = list(framework.offers)
    framework.accept(framework.task("t2", agent, resources={"cpus": 8, "mem": 8192}), offers=both)
    assert [task.task_id.value for run in agent.heard(RunTasks) for task in run.tasks] == ["t1", "t2"]
    assert status.uuid


def test_updates_go_to_the_framework_and_acknowledgements_to_the_agent(world: World) -> None:
    agent, framework = started(world)
    status = agent.update("t1", "TASK_RUNNING")
    assert framework.statuses[-1] == status
    framework.acknowledge(status)
    (acknowledged,) = agent.heard(AcknowledgeUpdate)
    assert acknowledged.uuid == status.uuid
    assert world.books.frameworks[framework.id].tasks["t1"].state == "TASK_RUNNING"


def test_a_task_that_has_ended_frees_its_resources_before_its_end_is_acknowledged(world: World) -> None:
    agent, framework = started(world)
    framework.take()
    status = agent.update("t1", "TASK_FAILED", message="no luck")
    assert framework.kinds == ["UPDATE", "OFFERS"]
    books = world.books.frameworks[framework.id]
    assert books.tasks["t1"].ended
    framework.acknowledge(status)
    assert not books.tasks
    assert [task.id for task in books.completed] == ["t1"]
    assert world.books.counters["tasks_failed"] == 1


def test_an_older_update_with_a_newer_state_frees_the_resources(world: World) -> None:
    from headrace.mesos.messages.agent_link import StatusUpdate
    from headrace.mesos.messages.common import FrameworkID

    agent, framework = started(world)
    running = agent.status("t1", "TASK_RUNNING")
    agent.call(StatusUpdate(FrameworkID(framework.id), running, "TASK_FINISHED"))
    task = world.books.frameworks[framework.id].tasks["t1"]
    assert (task.state, task.holds) == ("TASK_FINISHED", False)
    framework.acknowledge(running)
    assert "t1" in world.books.frameworks[framework.id].tasks
    finished = agent.update("t1", "TASK_FINISHED")
    framework.acknowledge(finished)
    assert not world.books.frameworks[framework.id].tasks


def test_acknowledging_another_uuid_does_not_complete_a_task(world: World) -> None:
    agent, framework = started(world)
    agent.update("t1", "TASK_FINISHED")
    framework.acknowledge(agent.status("t1", "TASK_FINISHED"))
    assert "t1" in world.books.frameworks[framework.id].tasks


def test_kill_goes_to_the_agent(world: World) -> None:
    agent, framework = started(world)
    policy = {"grace_period": {"nanoseconds": 5}}
    framework.call("KILL", kill={"task_id": {"value": "t1"}, "kill_policy": policy})
    (kill,) = agent.heard(KillTask)
    assert kill.task_id.value == "t1"
    assert kill.kill_policy.grace_period.nanoseconds == 5


def test_kill_with_another_agent_id_does_nothing_and_says_so(world: World) -> None:
    agent, framework = started(world)
    framework.call("KILL", kill={"task_id": {"value": "t1"}, "agent_id": {"value": "other"}})
    assert not agent.heard(KillTask)
    assert world.books.stories.of(f"task/{framework.id}/t1")[-1].what == "not killed"


def test_kill_waits_for_an_agent_that_is_away(world: World) -> None:
    agent, framework = started(world)
    agent.disconnect()
    framework.call("KILL", kill={"task_id": {"value": "t1"}})
    agent.register()
    assert len(agent.heard(KillTask)) == 1


@pytest.mark.parametrize(
    ("capabilities", "state"), [((), "TASK_LOST"), (("PARTITION_AWARE",), "TASK_UNKNOWN")], ids=["plain", "aware"]
)
def test_kill_of_an_unknown_task_is_answered(world: World, capabilities: tuple[str, ...], state: str) -> None:
    framework = world.framework(capabilities=("MULTI_ROLE", "RESERVATION_REFINEMENT", *capabilities))
    framework.call("KILL", kill={"task_id": {"value": "nope"}})
    (status,) = framework.statuses
    assert (status.state, status.reason, status.source) == (state, "REASON_RECONCILIATION", "SOURCE_MASTER")
    assert status.message == "Reconciliation: Task is unknown"


def test_an_update_without_a_uuid_ends_a_task_for_good(world: World) -> None:
    from headrace.mesos.messages.agent_link import StatusUpdate
    from headrace.mesos.messages.common import FrameworkID, TaskID, TaskStatus

    agent, framework = started(world)
    agent.call(StatusUpdate(FrameworkID(framework.id), TaskStatus(TaskID("t1"), "TASK_LOST"), "TASK_LOST"))
    assert not world.books.frameworks[framework.id].tasks
    assert framework.statuses[-1].state == "TASK_LOST"


def test_implicit_reconciliation_tells_all_that_is_known(world: World) -> None:
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent), framework.task("t2", agent))
    agent.update("t1", "TASK_RUNNING", healthy=True)
    framework.take()
    framework.call("RECONCILE", reconcile={"tasks": []})
    told = {status.task_id.value: status for status in framework.statuses}
    assert {task: status.state for task, status in told.items()} == {"t1": "TASK_RUNNING", "t2": "TASK_STAGING"}
    assert told["t1"].message == "Reconciliation: Latest task state"
    assert told["t1"].uuid is None
    assert told["t1"].healthy is True


@pytest.mark.parametrize("aware", [False, True])
def test_explicit_reconciliation_of_what_is_not_known(world: World, aware: bool) -> None:
    agent = world.agent()
    gone = world.agent(port=5052)
    framework = world.framework(capabilities=("MULTI_ROLE", *(["PARTITION_AWARE"] if aware else [])))
    gone.disconnect()
    world.advance(80)
    framework.take()
    asked = [("a", agent.id), ("b", gone.id), ("c", "stranger"), ("d", None)]
    tasks = [{"task_id": {"value": t}, **({"agent_id": {"value": a}} if a else {})} for t, a in asked]
    framework.call("RECONCILE", reconcile={"tasks": tasks})
    states = {status.task_id.value: status.state for status in framework.statuses}
    expected = {"a": "TASK_GONE", "b": "TASK_UNREACHABLE", "c": "TASK_UNKNOWN", "d": "TASK_UNKNOWN"}
    assert states == (expected if aware else dict.fromkeys(expected, "TASK_LOST"))


def test_updates_of_a_framework_that_is_away_are_sent_when_it_is_back(world: World) -> None:
    agent, framework = started(world)
    framework.disconnect()
    status = agent.update("t1", "TASK_RUNNING")
    framework.take()
    framework.subscribe()
    assert framework.statuses == [status]
    framework.acknowledge(status)
    assert agent.heard(AcknowledgeUpdate)[-1].uuid == status.uuid


def test_an_agent_that_reports_of_an_unknown_framework_is_told_to_end_it(world: World) -> None:
    from headrace.mesos.messages.agent_link import StatusUpdate
    from headrace.mesos.messages.common import FrameworkID

    agent = world.agent()
    agent.call(StatusUpdate(FrameworkID("nobody"), agent.status("t", "TASK_RUNNING"), "TASK_RUNNING"))
    assert agent.heard(ShutdownFramework)[0].framework_id.value == "nobody"


def test_stories_tell_why_a_task_ended(world: World) -> None:
    agent, framework = started(world)
    agent.update("t1", "TASK_FAILED", message="Command exited with status 3")
    lines = [(line.what, line.why) for line in world.books.stories.of(f"task/{framework.id}/t1")]
    assert lines[0] == ("launched", f"on agent {agent.id}")
    assert lines[-1] == ("TASK_FAILED", "Command exited with status 3")


def test_completed_tasks_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, framework = world.agent(), world.framework()
    books = world.books.frameworks[framework.id]
    assert books.completed.maxlen == 1000
    for number in range(3):
        framework.accept(framework.task(f"t{number}", agent))
        framework.acknowledge(agent.update(f"t{number}", "TASK_FINISHED"))
    assert [task.id for task in books.completed] == ["t0", "t1", "t2"]
    assert books.completed[0].info.command is None


def test_an_acknowledgement_for_an_agent_that_is_away_has_no_effect(world: World) -> None:
    agent, framework = started(world)
    agent.update("t1", "TASK_RUNNING")
    framework.acknowledge(framework.statuses[-1])
    status = agent.update("t1", "TASK_FINISHED")
    agent.disconnect()
    framework.acknowledge(status)
    assert list(world.books.frameworks[framework.id].tasks) == ["t1"]
    agent.register()
    framework.take()
    agent.call(StatusUpdate(FrameworkID(framework.id), status, status.state))
    assert framework.statuses == [status], "the agent says it again"
    framework.acknowledge(status)
    assert agent.heard(AcknowledgeUpdate)[-1].uuid == status.uuid
    assert not world.books.frameworks[framework.id].tasks
    assert len(world.books.frameworks[framework.id].completed) == 1
    assert world.books.counters["tasks_finished"] == 1
