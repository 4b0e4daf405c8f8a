"""Task groups in the default executor, one event at a time."""

from __future__ import annotations

import msgspec
import pytest

from headrace.kernel.process import Ended
from headrace.mesos.agent.core.containers import Limitation
from headrace.mesos.agent.core.events import FetchFailed, Probed, StartContainer, StartFailed
from headrace.mesos.messages import executor as api
from headrace.mesos.messages.agent_link import ExecutorExited, ShutdownExecutor, ShutdownFramework, ToExecutor
from headrace.mesos.messages.common import (
    Capability,
    CommandInfo,
    ContainerID,
    ContainerInfo,
    DiskInfo,
    DockerInfo,
    DurationInfo,
    ExecutorInfo,
    FrameworkID,
    HealthCheck,
    Identifier,
    KillPolicy,
    Persistence,
    ReservationInfo,
    Resource,
    Scalar,
    TaskInfo,
    TaskStatus,
    Volume,
)
from headrace.mesos.resources import Resources
from tests.unit.mesos.agent.agent_world import World, custom, default, framework, task

FW, D = FrameworkID("fw"), Identifier("d")


@pytest.fixture
def world() -> World:
    world = World()
    world.register()
    return world


def runs(world: World, *names: str) -> dict[str, str]:
    """A group of these tasks, up to TASK_RUNNING and acknowledged; their containers by name."""
    effects = world.run_group(default(), *(task(name) for name in names))
    places = {e.spec.task_id: e.spec.place.container_id for e in effects if isinstance(e, StartContainer)}
    for name in names:
        world.start(places[name])
    world.acknowledge_all()
    return places


def last(world: World, task_id: str) -> TaskStatus:
    return next(u.status for u in reversed(world.updates) if u.status.task_id.value == task_id)


def exits(world: World) -> list[tuple[str, int]]:
    return [(call.executor_id.value, call.status) for call in world.calls if isinstance(call, ExecutorExited)]


def test_each_task_runs_in_a_container_below_the_executors(world: World) -> None:
    effects = world.run_group(default(), task("a"), task("b"))
    specs = [e.spec for e in effects if isinstance(e, StartContainer)]
    assert [spec.place.parent_id for spec in specs] == ["c-1", "c-1"]
    assert [spec.place.executor_id for spec in specs] == ["d", "d"]
    assert {spec.place.container_id for spec in specs} == set(world.starting)
    assert "executors/fw/d" in world.store
    assert world.core.used() == Resources.of(cpus=0.25 + 0.2)
    registration = world.core.registration()
    assert registration
    assert [e.executor for e in registration.executors] == [default()]
    assert [t.executor_id for t in registration.tasks] == [D, D]


def test_statuses_name_the_container_and_its_parent(world: World) -> None:
    places = runs(world, "a")
    starting, running = [u.status for u in world.updates]
    container = ContainerID(places["a"], ContainerID("c-1"))
    assert (starting.state, starting.executor_id, starting.source) == ("TASK_STARTING", D, "SOURCE_EXECUTOR")
    assert starting.container_status
    assert starting.container_status.container_id == container
    assert starting.container_status.executor_pid is None
    assert running.container_status
    assert running.container_status.container_id == container
    assert running.container_status.executor_pid == 42
    assert running.container_status.network_infos
    world.end(places["a"], Ended(0))
    ended = world.updates[-1].status
    assert (ended.state, ended.message) == ("TASK_FINISHED", "Command exited with status 0")
    assert ended.container_status
    assert ended.container_status.network_infos is None


def test_one_that_finishes_leaves_the_others_and_the_last_one_ends_the_executor(world: World) -> None:
    places = runs(world, "a", "b")
    world.end(places["a"], Ended(0))
    world.acknowledge_all()
    assert world.signals == []
    world.end(places["b"], Ended(0))
    assert exits(world) == []  # the framework is to hear of the end of the task first
    world.acknowledge_all()
    assert exits(world) == [("d", 0)]
    assert world.core.used() == Resources()
    assert [one.place.container_id for one in world.core.completed.executors_of("fw")] == ["c-1"]
    assert not any(key.startswith(("tasks/", "states/", "executor")) for key in world.store)


def test_an_executor_does_not_wait_for_acknowledgements_for_long(world: World) -> None:
    places = runs(world, "a")
    world.end(places["a"], Ended(0))
    assert world.timers["executor/c-1"] == world.now + 1
    world.fire("executor/c-1")
    assert exits(world) == [("d", 0)]
    world.acknowledge_all()
    assert world.core.tasks == []


@pytest.mark.parametrize("how", ["fails", "signal", "fetch", "start", "limit", "unhealthy"])
def test_one_that_fails_takes_its_group_along_but_no_other(world: World, how: str) -> None:
    check = HealthCheck("COMMAND", CommandInfo("no"), consecutive_failures=1, grace_period_seconds=0.0)
    more = {"health_check": check} if how == "unhealthy" else {}
    world.run_group(default(), task("a", uris=how == "fetch", **more), task("b"))
    world.run_group(default(), task("other"))
    a, b, other = (world.core.frameworks["fw"].tasks[name].container_id for name in ("a", "b", "other"))
    world.start(b)
    world.start(other)
    if how == "fetch":
        world.fetching.remove(a)
        world.handle(FetchFailed(a, "no"))
    elif how == "start":
        world.starting.remove(a)
        world.handle(StartFailed(a, "no", lost=True))
    else:
        world.start(a)
        if how == "unhealthy":
            world.handle(Probed(a, False, "no"))
            assert world.signals == [(a, False)]
        world.running.remove(a)
        limit = Limitation("REASON_CONTAINER_LIMITATION_MEMORY", "too much") if how == "limit" else None
        world.ended[a] = Ended(143, 15) if how in ("signal", "unhealthy") else Ended(2)
        world.handle(world._fact(a).__class__(a, world._fact(a).found, 0, world.ended[a], limit))
    assert (b, False) in world.signals
    assert (other, False) not in world.signals
    world.end(b, Ended(143, 15))
    world.acknowledge_all()
    assert last(world, "a").state == ("TASK_KILLED" if how == "unhealthy" else "TASK_FAILED")
    assert last(world, "a").source == "SOURCE_EXECUTOR"
    assert (last(world, "b").state, last(world, "b").reason) == ("TASK_KILLED", None)
    assert last(world, "other").state == "TASK_RUNNING"
    assert exits(world) == []


def test_a_kill_ends_the_group_with_the_grace_of_each(world: World) -> None:
    policy = KillPolicy(DurationInfo(9_000_000_000))
    knows = framework(capabilities=[Capability("TASK_KILLING_STATE")])
    effects = world.run_group(default(), task("a"), task("b", kill_policy=policy), of=knows)
    a, b = [e.spec.place.container_id for e in effects if isinstance(e, StartContainer)]
    world.start(a)
    world.start(b)
    world.kill("a")
    assert world.signals == [(a, False)]  # the others follow when it has ended
    world.end(a, Ended(143, 15))
    assert world.timers[f"kill/{b}"] == world.now + 9
    world.acknowledge_all()
    assert world.states("b") == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"]


def test_the_rest_of_a_group_is_killed_also_after_a_crash(world: World) -> None:
    places = runs(world, "a", "b")
    world.running.remove(places["a"])
    world.ended[places["a"]] = Ended(3)
    world.crash()
    assert set(world.signals) == {(places["b"], False)}
    world.register()
    world.end(places["b"], Ended(143, 15))
    world.acknowledge_all()
    assert world.states("a")[-1] == "TASK_FAILED"
    assert world.states("b")[-1] == "TASK_KILLED"
    assert exits(world) == [("d", 0)]


def test_a_shutdown_ends_all_tasks(world: World) -> None:
    places = runs(world, "a", "b")
    world.handle(ToExecutor(FW, D, "aGk="))  # nobody there to read it
    world.handle(ShutdownExecutor(FW, D))
    assert world.signals == [(places["a"], False), (places["b"], False)]
    world.end(places["a"], Ended(143, 15))
    world.end(places["b"], Ended(143, 15))
    world.acknowledge_all()
    assert world.states("a")[-1] == world.states("b")[-1] == "TASK_KILLED"
    assert exits(world) == [("d", 0)]
    world.handle(ShutdownExecutor(FW, D))


def test_nobody_can_speak_for_a_default_executor(world: World) -> None:
    runs(world, "a")
    answer = world.call("SUBSCRIBE", "d", 1, subscribe=api.Subscribe())
    assert (answer.status, answer.text) == (400, "Executor cannot be found")


def test_a_framework_that_is_no_more_takes_its_groups_along(world: World) -> None:
    places = runs(world, "a", "b")
    world.handle(ShutdownFramework(FW))
    world.end(places["a"], Ended(143, 15))
    world.end(places["b"], Ended(143, 15))
    assert world.core.tasks == []
    assert world.core.frameworks["fw"].executors == {}


@pytest.mark.parametrize(
    ("executor", "tasks", "what"),
    [
        (default(), [task("a"), task("b", command=None)], "Task 'b': command: a command task needs one"),
        (
            default(),
            [task("a", container=ContainerInfo("DOCKER", docker=DockerInfo("i")))],
            "container.type: this agent runs no DOCKER containers, only MESOS",
        ),
        (default(), [task("a", command=None, executor=custom())], "executor: the tasks of a group share"),
        (default(command=CommandInfo("x")), [task("a")], "executor.command: a DEFAULT executor has none"),
        (default("x/y"), [task("a")], "executor.executor_id: 'x/y' holds a slash"),
    ],
)
def test_a_group_of_which_one_makes_no_sense_is_refused_whole(
    world: World, executor: ExecutorInfo, tasks: list[TaskInfo], what: str
) -> None:
    world.run_group(executor, *tasks)
    for one in tasks:
        status = last(world, one.task_id.value)
        assert (status.state, status.reason) == ("TASK_ERROR", "REASON_TASK_GROUP_INVALID")
        assert what in (status.message or "")
    assert world.core.frameworks["fw"].executors == {}
    assert world.starting == []


def test_a_group_that_is_known_is_not_run_again(world: World) -> None:
    runs(world, "a", "b")
    world.run_group(default(), task("a"), task("b"))
    assert world.starting == []


def test_sandboxes_of_a_group_and_of_its_executor_go_by_age(world: World) -> None:
    places = runs(world, "a")
    world.end(places["a"], Ended(0))
    world.acknowledge_all()
    world.crash()
    world.fire("gc")
    assert world.removed == [places["a"], "c-1"]
    assert set(world.store) == {"agent"}


def test_the_tasks_of_a_group_know_the_volumes_of_their_executor(world: World) -> None:
    disk = DiskInfo(Persistence("v1"), Volume("data", "RW"))
    volume = Resource("disk", "SCALAR", scalar=Scalar(1), disk=disk, reservations=[ReservationInfo("DYNAMIC", "r")])
    executor = msgspec.structs.replace(default(), resources=[*(default().resources or ()), volume])
    for name in ("first", "in the running executor"):
        effects = world.run_group(executor, task(name))
        (spec,) = [e.spec for e in effects if isinstance(e, StartContainer)]
        assert spec.shared == [volume]
