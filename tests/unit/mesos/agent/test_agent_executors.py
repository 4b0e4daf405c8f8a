"""Custom executors, one event at a time."""

from __future__ import annotations

import pytest

from headrace.kernel.core import Reply
from headrace.kernel.process import Ended
from headrace.mesos.agent.core.containers import POSIX, Limitation
from headrace.mesos.agent.core.events import (
    Answer,
    ContainerEnded,
    ExecutorCalls,
    ExecutorStreamClosed,
    FetchFailed,
    LimitExceeded,
    LinkLost,
    StartContainer,
    StartFailed,
    Tell,
)
from headrace.mesos.agent.core.executors import CustomExecutor
from headrace.mesos.messages import executor as api
from headrace.mesos.messages.agent_link import (
    ExecutorExited,
    KillTask,
    RunGroup,
    RunTasks,
    ShutdownExecutor,
    ShutdownFramework,
    ToExecutor,
    ToFramework,
)
from headrace.mesos.messages.common import (
    Capability,
    ContainerID,
    DurationInfo,
    FrameworkID,
    Identifier,
    KillPolicy,
    Resource,
    Scalar,
    TaskStatus,
)
from headrace.mesos.resources import Resources
from tests.unit.mesos.agent.agent_world import World, custom, default, delivered, framework, task

FW, E = FrameworkID("fw"), Identifier("e")


@pytest.fixture
def world() -> World:
    world = World()
    world.register()
    return world


def subscribed(world: World, *task_ids: str) -> int:
    """An executor that runs and listens, with these tasks delivered; returns its stream."""
    world.run(*(delivered(task_id) for task_id in task_ids or ("t",)))
    world.start("c-1")
    return world.subscribe()


def last(world: World, task_id: str = "t") -> TaskStatus:
    found = world.core._books.find("fw", task_id)
    assert found is not None
    return found.updates.latest


def exits(world: World) -> list[tuple[str, int]]:
    return [(call.executor_id.value, call.status) for call in world.calls if isinstance(call, ExecutorExited)]


def test_the_first_task_starts_the_executor_and_the_others_wait_for_it(world: World) -> None:
    [start] = [e for e in world.run(delivered("a"), delivered("b")) if isinstance(e, StartContainer)]
    assert start.spec.task_id == ""
    assert start.spec.place.executor_id == "e"
    assert start.spec.variables == {
        "LIBPROCESS_IP": "127.0.0.1",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs",
        "MESOS_HTTP_COMMAND_EXECUTOR": "0",
        "MESOS_RECOVERY_TIMEOUT": "15mins",
        "MESOS_SLAVE_PID": "slave(1)@127.0.0.1:5051",
        "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs",
    }
    world.run(delivered("c"))
    assert world.starting == ["c-1"]
    world.start("c-1")
    stream = world.subscribe()
    assert world.events(stream) == ["SUBSCRIBED", "LAUNCH", "LAUNCH", "LAUNCH"]
    body = world.told[stream][0].subscribed
    assert body
    assert (body.executor_info.framework_id, body.container_id) == (FW, ContainerID("c-1"))
    assert body.agent_info.id == Identifier("S0")
    world.run(delivered("d"))
    assert world.events(stream)[-1] == "LAUNCH"
    assert world.core.used() == Resources.of(cpus=0.5 + 4 * 0.1)


def test_statuses_are_completed_stored_acknowledged_and_passed_on(world: World) -> None:
    stream = subscribed(world)
    assert world.says("t", "TASK_RUNNING", "u1", data="aGk=").status == 202
    acknowledged = world.told[stream][-1].acknowledged
    assert acknowledged == api.Acknowledged(Identifier("t"), "u1")
    status = world.updates[-1].status
    assert (status.state, status.uuid, status.data, status.agent_id) == ("TASK_RUNNING", "u1", "aGk=", Identifier("S0"))
    assert status.executor_id is None
    assert status.timestamp == world.now
    assert status.container_status
    assert status.container_status.container_id == ContainerID("c-1")
    assert status.container_status.executor_pid == 42
    world.says("t", "TASK_FINISHED", "u2", message="done")
    world.acknowledge_all()
    assert world.states("t") == ["TASK_RUNNING", "TASK_FINISHED"]
    assert not any(key.startswith(("tasks/", "states/")) for key in world.store)
    assert world.core.used() == Resources.of(cpus=0.5)


def test_nothing_is_answered_before_it_is_stored(world: World) -> None:
    subscribed(world)
    update = world.update("t", "TASK_RUNNING", "u1")
    call = api.Call("UPDATE", E, FW, update=update)
    effects = world.core.handle(ExecutorCalls(99, call), world.now)
    kinds = [type(effect).__name__ for effect in effects]
    assert kinds == ["Reply", "Tell", "Put", "Send", "SetTimer"]  # the shell carries out each Put first


def test_an_update_that_is_sent_again_is_acknowledged_and_not_told_twice(world: World) -> None:
    stream = subscribed(world)
    world.says("t", "TASK_RUNNING", "u1")
    world.acknowledge_all()
    world.crash()
    world.register()
    stream = world.subscribe(said=[world.update("t", "TASK_RUNNING", "u1")])
    assert world.events(stream) == ["SUBSCRIBED", "ACKNOWLEDGED"]
    assert world.states("t") == ["TASK_RUNNING"]
    world.says("t", "TASK_FINISHED", "u2")
    world.says("t", "TASK_RUNNING", "u3")  # after its end
    world.acknowledge_all()
    world.says("t", "TASK_FINISHED", "u2")
    assert world.events(stream)[2:] == ["ACKNOWLEDGED"] * 3
    assert world.states("t") == ["TASK_RUNNING", "TASK_FINISHED"]


def test_an_update_of_an_unknown_task_is_passed_on_once(world: World) -> None:
    stream = subscribed(world)
    assert world.says("who", "TASK_RUNNING", "u1").status == 202
    assert world.events(stream)[-1] == "LAUNCH"
    assert world.updates[-1].status.uuid == "u1"
    assert world.updates[-1].status.agent_id == Identifier("S0")
    assert world.updates[-1].status.container_status is None


def test_calls_of_nobody_are_refused(world: World) -> None:
    world.run(delivered("t"), task("command"))
    world.start("c-1")
    assert world.says("t", "TASK_RUNNING") == Answer(403, "Executor is not subscribed")
    assert world.call("SUBSCRIBE", "nope", 1, subscribe=api.Subscribe()) == Answer(400, "Executor cannot be found")
    assert world.call("SUBSCRIBE", "command", 1, subscribe=api.Subscribe()) == Answer(400, "Executor cannot be found")
    world.core.handle(ExecutorCalls(1, api.Call("UPDATE", E, FrameworkID("nope"))), world.now)
    effects = world.core.handle(ExecutorCalls(1, api.Call("UPDATE", E, FrameworkID("nope"))), world.now)
    assert effects == [Reply(1, Answer(400, "Framework cannot be found"))]


def test_messages_go_both_ways(world: World) -> None:
    stream = subscribed(world)
    world.handle(ToExecutor(FW, E, "aGk="))
    assert world.told[stream][-1] == api.Event("MESSAGE", message=api.Data("aGk="))
    assert world.call("MESSAGE", message=api.Data("aG8=")).status == 202
    assert world.calls[-1] == ToFramework(FW, E, "aG8=")
    world.handle(ToExecutor(FW, Identifier("nope"), "aGk="))


def test_a_kill_is_told_and_told_again_after_a_new_subscription(world: World) -> None:
    stream = subscribed(world)
    world.says("t", "TASK_RUNNING")
    world.handle(KillTask(FW, Identifier("t"), KillPolicy(DurationInfo(0))))
    kill = world.told[stream][-1].kill
    assert kill == api.Kill(Identifier("t"), KillPolicy(DurationInfo(0)))
    again = world.subscribe()
    assert world.closed == [stream]
    assert world.events(again) == ["SUBSCRIBED", "KILL"]
    world.handle(ExecutorStreamClosed("fw", "e", stream))  # the older one: the newer goes on
    assert world.says("t", "TASK_KILLED").status == 202
    world.handle(ExecutorStreamClosed("fw", "e", again))
    assert world.says("t", "TASK_KILLED").status == 403


def test_a_task_that_waits_is_killed_at_once_and_an_executor_without_tasks_with_it(world: World) -> None:
    world.run(delivered("a"), delivered("b"))
    world.start("c-1")
    world.kill("a")
    status = world.updates[-1].status
    assert (status.state, status.reason) == ("TASK_KILLED", "REASON_TASK_KILLED_DURING_LAUNCH")
    assert status.message == "Killed before delivery to the executor"
    assert world.signals == []
    world.kill("b")
    assert world.signals == [("c-1", False)]
    world.end("c-1", Ended(143, 15))
    assert exits(world) == [("e", 15)]


def test_groups_are_delivered_whole_and_killed_whole_while_they_wait(world: World) -> None:
    plain = [task("a"), task("b")]
    world.run_group(custom(), *plain)
    world.run_group(custom(), task("c"), task("d"))
    world.start("c-1")
    world.kill("c")
    assert (last(world, "c").state, last(world, "d").state) == ("TASK_KILLED", "TASK_KILLED")
    stream = world.subscribe()
    assert world.events(stream) == ["SUBSCRIBED", "LAUNCH_GROUP"]
    group = world.told[stream][1].launch_group
    assert group
    assert [t.task_id.value for t in group.task_group.tasks or ()] == ["a", "b"]


def test_tasks_of_an_executor_that_ends_have_failed(world: World) -> None:
    subscribed(world, "a", "b", "c")
    world.says("a", "TASK_FINISHED")
    world.says("b", "TASK_RUNNING")
    world.end("c-1", Ended(9))
    assert exits(world) == [("e", 9 << 8)]
    for name in "bc":
        status = last(world, name)
        assert (status.state, status.reason, status.source) == (
            "TASK_FAILED",
            "REASON_EXECUTOR_TERMINATED",
            "SOURCE_AGENT",
        )
        assert (status.message, status.executor_id) == ("Executor terminated", E)
    assert last(world, "a").state == "TASK_FINISHED"
    world.acknowledge_all()
    [shown] = world.core.completed.executors_of("fw")
    assert sorted(t.task.task_id.value for t in shown.tasks) == ["a", "b", "c"]
    world.crash()
    assert sorted(t.task.task_id.value for t in world.core.completed.executors_of("fw")[0].tasks) == ["a", "b", "c"]
    assert not any(key.startswith(("tasks/", "states/", "executor")) for key in world.store)


def test_a_limit_that_an_executor_went_over_is_told_of_its_tasks(world: World) -> None:
    subscribed(world)
    limit = Limitation("REASON_CONTAINER_LIMITATION_MEMORY", "too much", [Resource("mem", "SCALAR", scalar=Scalar(8))])
    world.running.remove("c-1")
    world.handle(ContainerEnded("c-1", Ended(137, 9), limit))
    status = last(world)
    assert (status.state, status.reason, status.message) == ("TASK_FAILED", limit.reason, "too much")
    assert status.limitation
    assert status.limitation.resources == limit.resources


def test_a_limit_that_the_agent_enforces_ends_the_executor_also_after_a_crash(world: World) -> None:
    subscribed(world)
    world.handle(LimitExceeded("c-1", Limitation("REASON_CONTAINER_LIMITATION_DISK", "full")))
    assert world.signals == [("c-1", True)]
    world.crash()
    world.register()
    world.end("c-1", Ended(137, 9))
    assert (last(world).reason, last(world).message) == ("REASON_CONTAINER_LIMITATION_DISK", "full")


@pytest.mark.parametrize("fetches", [True, False])
def test_an_executor_that_can_not_be_started_fails_its_tasks(world: World, fetches: bool) -> None:
    world.run(delivered("t", uris=fetches))
    if fetches:
        world.fetching.clear()
        world.handle(FetchFailed("c-1", "no /file"))
        why = "Failed to fetch all URIs for container 'c-1': no /file"
    else:
        world.starting.clear()
        world.handle(StartFailed("c-1", "no room"))
        why = "no room"
    status = last(world)
    assert (status.state, status.reason) == ("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED")
    assert status.message == f"Failed to launch container: {why}"
    assert exits(world) == [("e", -1)]


def test_one_that_never_subscribes_is_ended_after_a_minute(world: World) -> None:
    world.run(delivered("t"))
    world.start("c-1")
    assert world.timers["executor/c-1"] == world.now + 60
    world.fire("executor/c-1")
    assert world.signals == [("c-1", True)]
    world.end("c-1", Ended(137, 9))
    assert last(world).reason == "REASON_EXECUTOR_REGISTRATION_TIMEOUT"
    assert last(world).message == "Executor did not register within 1mins"


def test_one_that_does_not_come_back_after_a_restart_is_ended(world: World) -> None:
    subscribed(world)
    world.says("t", "TASK_RUNNING")
    world.crash()
    world.register()
    assert world.timers["executor/c-1"] == world.now + 2
    registration = world.core.registration()
    assert registration  # at once: the master does not wait for the executor
    assert [e.executor.executor_id for e in registration.executors] == [E]
    assert [t.executor_id for t in registration.tasks] == [E]
    world.fire("executor/c-1")
    world.end("c-1", Ended(137, 9))
    assert last(world).reason == "REASON_EXECUTOR_REREGISTRATION_TIMEOUT"
    assert last(world).message == "Executor did not reregister within 2secs"


def test_after_a_restart_only_what_the_executor_has_not_got_is_delivered(world: World) -> None:
    subscribed(world, "got", "missed", "runs")
    world.says("runs", "TASK_RUNNING")
    world.crash()
    world.register()
    world.run(delivered("new"))
    stream = world.subscribe(known=[delivered("got")])
    assert world.events(stream) == ["SUBSCRIBED", "LAUNCH", "LAUNCH"]
    launched = [event.launch.task.task_id.value for event in world.told[stream] if event.launch]
    assert launched == ["missed", "new"]
    assert "executor/c-1" not in world.timers


def test_a_shutdown_is_asked_for_then_enforced(world: World) -> None:
    stream = subscribed(world)
    world.handle(ShutdownExecutor(FW, E))
    assert world.events(stream)[-1] == "SHUTDOWN"
    assert world.timers["executor/c-1"] == world.now + 5
    world.run(delivered("late"))
    assert (last(world, "late").state, last(world, "late").message) == ("TASK_LOST", "Executor terminating")
    late = world.subscribe()
    assert world.events(late) == ["SHUTDOWN"]
    assert world.closed == [stream, late]
    world.fire("executor/c-1")
    assert world.signals == [("c-1", True)]
    world.end("c-1", Ended(137, 9))
    assert (last(world).state, last(world).message) == ("TASK_FAILED", "Executor terminated")


def test_a_shutdown_goes_on_after_a_crash(world: World) -> None:
    world.run(delivered("t", shutdown_grace_period=DurationInfo(9_000_000_000)))
    world.start("c-1")
    world.subscribe()
    world.handle(ShutdownExecutor(FW, E))
    deadline = world.timers["executor/c-1"]
    assert deadline == world.now + 9
    world.crash()
    assert world.timers["executor/c-1"] == deadline
    assert world.signals == [("c-1", False)]


def test_a_framework_that_is_no_more_takes_its_executors_along(world: World) -> None:
    stream = subscribed(world, "a", "b")
    world.says("a", "TASK_RUNNING")
    world.run(delivered("other", "e2", uris=True))
    world.handle(ShutdownFramework(FW))
    assert world.events(stream)[-1] == "SHUTDOWN"
    assert world.fetching == set()
    sent = len(world.updates)
    world.says("a", "TASK_KILLED")
    world.end("c-1", Ended(0))
    assert len(world.updates) == sent
    assert world.core.tasks == []
    assert not any(key.startswith(("tasks/", "states/", "executor")) for key in world.store)


def test_an_executor_that_was_never_spawned_is_started_after_a_crash(world: World) -> None:
    world.run(delivered("t"))
    world.crash()
    assert world.starting == ["c-1"]
    world.start("c-1")
    assert world.events(world.subscribe()) == ["SUBSCRIBED", "LAUNCH"]


def test_an_executor_whose_files_are_gone_fails_its_tasks(world: World) -> None:
    subscribed(world)
    world.running.remove("c-1")
    world.crash()
    world.register()
    assert world.starting == []
    assert (last(world).state, last(world).message) == ("TASK_FAILED", "Executor terminated")
    assert world.core.frameworks["fw"].executors == {}


@pytest.mark.parametrize(("aware", "state"), [(False, "TASK_LOST"), (True, "TASK_DROPPED")])
def test_a_lost_executor_loses_its_tasks(world: World, aware: bool, state: str) -> None:
    world.run(delivered("t"), of=framework(capabilities=[Capability("PARTITION_AWARE")] if aware else None))
    world.starting.clear()
    world.handle(StartFailed("c-1", "No such user 'x'", lost=True))
    assert (last(world).state, last(world).message) == (state, "No such user 'x'")


def test_an_executor_without_a_command_is_refused(world: World) -> None:
    world.run(task("t", command=None, executor=custom().__class__(E, "CUSTOM")))
    assert (last(world).state, last(world).message) == ("TASK_ERROR", "executor.command: a custom executor needs one")
    assert world.core.frameworks["fw"].executors == {}


def test_the_last_statuses_wait_for_the_master(world: World) -> None:
    stream = subscribed(world)

    world.core._context.connected = False
    world.says("t", "TASK_FINISHED")
    assert world.events(stream)[-1] == "ACKNOWLEDGED"
    assert world.updates == []
    world.register()
    assert world.updates[-1].status.state == "TASK_FINISHED"


def test_only_the_stream_that_is_there_is_told(world: World) -> None:
    world.run(delivered("t"))
    world.start("c-1")
    assert not any(isinstance(effect, Tell) for effect in world.handle(ToExecutor(FW, E, "aGk=")))


def test_tasks_for_an_executor_that_has_just_ended_are_dropped(world: World) -> None:
    world.handle(RunTasks(framework(), [delivered("t"), delivered("new", "e2")], [E]))
    world.handle(RunGroup(framework(), custom(), [task("g")], True))
    world.handle(RunGroup(framework(), default(), [task("h")], True))
    for name in "tgh":
        assert last(world, name).state == "TASK_LOST"
        assert last(world, name).message == "No executor is expected to launch and there is no executor running"
        assert last(world, name).reason == "REASON_EXECUTOR_TERMINATED"
    assert [*world.core.frameworks["fw"].executors] == ["e2"]
    world.handle(RunTasks(framework(), [delivered("t2", "e2")], [Identifier("e2")]))
    assert last(world, "t2").state == "TASK_STAGING"


def test_the_master_hears_of_an_executor_that_ended_while_the_agent_registered(world: World) -> None:
    subscribed(world)
    world.handle(LinkLost("test"))
    said = world.core.registration()
    assert said
    assert [one.executor.executor_id for one in said.executors] == [E]
    world.end("c-1", Ended(1))
    assert exits(world) == []
    world.register()
    assert exits(world) == [("e", 256)]
    world.handle(LinkLost("test"))
    said = world.core.registration()
    assert said
    assert said.executors == []
    world.register()
    assert exits(world) == [("e", 256)]


def test_updates_on_their_way_are_known_again_however_many_there_are(world: World) -> None:
    subscribed(world)
    said = [world.update("t", "TASK_RUNNING", f"x{i}") for i in range(100)]
    for update in said:
        world.call("UPDATE", update=update)
    world.subscribe(said=said)
    found = world.core._books.find("fw", "t")
    assert found
    assert [status.uuid for status in found.updates.pending] == [f"x{i}" for i in range(100)]


def test_what_kind_of_container_it_is_asks_nothing_of_its_tasks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subscribed(world, "a", "b")
    monkeypatch.setattr(CustomExecutor, "spec", None)
    assert list(world.core.left()) == [POSIX]
    world.handle(LimitExceeded("c-1", Limitation("REASON_CONTAINER_LIMITATION_DISK", "full")))
    assert world.signals == [("c-1", True)]
