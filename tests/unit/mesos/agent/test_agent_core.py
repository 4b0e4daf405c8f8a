"""The agent's decisions, one event at a time."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.kernel.process import Ended
from headrace.mesos.agent.core.completed import SHOWN_PER_FRAMEWORK
from headrace.mesos.agent.core.events import (
    ContainerEnded,
    Fetch,
    FetchFailed,
    LinkLost,
    Probed,
    ProbeHealth,
    Send,
    ShutdownRequested,
    StartFailed,
)
from headrace.mesos.messages.agent_link import KillTask, Ping, Pong, Refused, ShutdownFramework, Unregister
from headrace.mesos.messages.common import (
    AgentID,
    Capability,
    CommandInfo,
    CommandUri,
    ContainerInfo,
    DockerInfo,
    DurationInfo,
    Environment,
    EnvironmentVariable,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    HealthCheck,
    KillPolicy,
    Resource,
    Scalar,
    TaskID,
)
from tests.unit.mesos.agent.agent_world import World, framework, task


@pytest.fixture
def world() -> World:
    world = World()
    world.register()
    return world


def running(world: World, task_id: str = "t", **more: Any) -> str:
    """Run a task up to TASK_RUNNING; returns its container."""
    world.run(task(task_id, **more))
    container_id = world.starting[-1]
    world.start(container_id)
    return container_id


def test_a_ping_is_answered(world: World) -> None:
    assert world.handle(Ping()) == [Send(Pong())]


def test_a_task_is_stored_before_it_is_started(world: World) -> None:
    world.run(task("t"))
    assert {"tasks/fw/t", "states/fw/t", "frameworks/fw"} <= set(world.store)
    assert world.starting == ["c-1"]
    assert world.states("t") == []
    world.start("c-1")
    assert world.states("t") == ["TASK_STARTING"]
    assert world.updates[0].status.container_status
    assert world.updates[0].status.container_status.executor_pid == 42


def test_the_next_update_waits_for_the_acknowledgement_and_the_latest_state_is_told(world: World) -> None:
    container = running(world)
    assert world.states("t") == ["TASK_STARTING"]
    world.end(container, Ended(0))
    world.handle(ContainerEnded(container, Ended(1)))  # told twice: the first counts
    assert len(world.updates) == 1
    world.fire("update/fw/t")
    assert world.updates[-1].latest_state == "TASK_FINISHED"
    world.acknowledge(world.updates[-1])
    assert world.states("t") == ["TASK_STARTING", "TASK_RUNNING"]
    world.acknowledge_all()
    assert world.states("t") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
    assert world.core.tasks == []
    assert set(world.store) == {"agent", "frameworks/fw", "completed/c-1"}


def test_updates_are_sent_again_after_10_s_20_s_and_so_on_up_to_10_min(world: World) -> None:
    running(world)
    waits = []
    for _ in range(9):
        sent = world.now
        waits.append(world.timers["update/fw/t"] - sent)
        world.fire("update/fw/t")
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert len(world.updates) == 10
    assert len({update.status.uuid for update in world.updates}) == 1


def test_a_repeated_acknowledgement_changes_nothing(world: World) -> None:
    running(world)
    first = world.updates[0]
    world.acknowledge(first)
    sent = len(world.updates)
    assert world.acknowledge(first) == []
    assert len(world.updates) == sent


def test_while_the_master_is_away_nothing_is_sent_and_then_all_at_once(world: World) -> None:
    container = running(world)
    world.handle(LinkLost("gone"))
    world.end(container, Ended(1))
    sent = len(world.updates)
    world.fire("update/fw/t")
    assert len(world.updates) == sent
    registration = world.core.registration()
    assert registration is not None
    assert [known.status.state for known in registration.tasks] == ["TASK_FAILED"]
    world.register()
    assert len(world.updates) == sent + 1
    assert world.timers["update/fw/t"] == world.now + 10


@pytest.mark.parametrize(
    ("end", "state", "message"),
    [
        (Ended(0), "TASK_FINISHED", "Command exited with status 0"),
        (Ended(3), "TASK_FAILED", "Command exited with status 3"),
        (Ended(137, 9), "TASK_FAILED", "Command terminated with signal Killed"),
    ],
)
def test_how_a_task_ends(world: World, end: Ended, state: str, message: str) -> None:
    container = running(world)
    world.end(container, end)
    world.acknowledge_all()
    status = world.updates[-1].status
    assert (status.state, status.message, status.source, status.reason) == (state, message, "SOURCE_EXECUTOR", None)


def test_kill_signals_then_forces(world: World) -> None:
    container = running(world)
    world.kill("t")
    assert world.signals == [(container, False)]
    assert world.timers[f"kill/{container}"] == world.now + 3
    world.kill("t")
    assert world.signals == [(container, False)]
    world.fire(f"kill/{container}")
    assert world.signals[-1] == (container, True)
    world.end(container, Ended(137, 9))
    world.acknowledge_all()
    assert world.states("t")[-1] == "TASK_KILLED"
    assert f"kill/{container}" not in world.timers


def test_a_killed_task_that_exits_by_itself_is_killed_all_the_same(world: World) -> None:
    container = running(world)
    world.kill("t")
    world.end(container, Ended(0))
    world.acknowledge_all()
    assert world.states("t")[-1] == "TASK_KILLED"


def test_the_grace_period_is_the_calls_else_the_tasks(world: World) -> None:
    policy = KillPolicy(DurationInfo(20_000_000_000))
    container = running(world, kill_policy=policy)
    world.kill("t")
    assert world.timers[f"kill/{container}"] == world.now + 20
    world.handle(KillTask(FrameworkID("fw"), TaskID("t"), KillPolicy(DurationInfo(1_000_000_000))))
    assert world.timers[f"kill/{container}"] == world.now + 1


def test_task_killing_goes_only_to_those_who_know_it(world: World) -> None:
    knows = framework("fw", capabilities=[Capability("TASK_KILLING_STATE")])
    world.run(task("t"), of=knows)
    world.start("c-1")
    world.kill("t")
    world.end("c-1", Ended(143, 15))
    world.acknowledge_all()
    assert world.states("t") == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_KILLED"]


def test_a_time_limit_is_a_kill_that_is_told_too(world: World) -> None:
    knows = framework("fw", capabilities=[Capability("TASK_KILLING_STATE")])
    world.run(task("t", max_completion_time=DurationInfo(1_000_000_000)), of=knows)
    world.start("c-1")
    world.fire("limit/c-1")
    world.end("c-1", Ended(143, 15))
    world.acknowledge_all()
    assert world.states("t") == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_FAILED"]


def test_kill_while_fetching_and_while_starting(world: World) -> None:
    world.run(task("f", uris=True), task("s"))
    world.kill("f")
    assert world.fetching == set()
    assert world.updates[-1].status.reason == "REASON_TASK_KILLED_DURING_LAUNCH"
    world.kill("s")
    assert world.signals == []
    world.start("c-2")
    assert world.signals == [("c-2", False)]


def test_an_unknown_task_is_lost_without_a_uuid(world: World) -> None:
    world.kill("nobody")
    status = world.updates[-1].status
    assert (status.state, status.uuid, status.source) == ("TASK_LOST", None, "SOURCE_AGENT")


def test_launch_failures_say_why(world: World) -> None:
    world.run(task("f", uris=True), task("s"))
    world.handle(FetchFailed("c-1", "no such file"), StartFailed("c-2", "no such user"))
    first = next(u.status for u in world.updates if u.status.task_id.value == "f")
    assert first.state == "TASK_FAILED"
    assert first.message == "Failed to launch container: Failed to fetch all URIs for container 'c-1': no such file"
    assert first.reason == "REASON_CONTAINER_LAUNCH_FAILED"
    world.acknowledge_all()
    assert world.states("s") == ["TASK_FAILED"]


@pytest.mark.parametrize(("aware", "state"), [(False, "TASK_LOST"), (True, "TASK_DROPPED")])
def test_a_task_without_even_a_sandbox_is_lost(world: World, aware: bool, state: str) -> None:
    capabilities = [Capability("PARTITION_AWARE")] if aware else None
    world.run(task("t"), of=framework(capabilities=capabilities))
    world.handle(StartFailed("c-1", "No such user 'nobody-here'", lost=True))
    status = world.updates[-1].status
    assert (status.state, status.source, status.reason) == (state, "SOURCE_AGENT", "REASON_EXECUTOR_TERMINATED")
    assert status.message == "No such user 'nobody-here'"


def environment(name: str, value: str | None = "", kind: str | None = None) -> CommandInfo:
    return CommandInfo("true", environment=Environment([EnvironmentVariable(name, value, kind)]))


@pytest.mark.parametrize(
    ("task_id", "fields", "where"),
    [
        ("a/b", {}, "task_id"),
        ("..", {}, "task_id"),
        ("a\nb", {}, "task_id"),
        ("x" * 256, {}, "task_id"),
        ("t", {"command": None}, "command"),
        ("t", {"command": CommandInfo()}, "command.value"),
        ("t", {"command": CommandInfo("a\0b")}, "command"),
        ("t", {"command": environment("A=B")}, "command.environment.variables[0].name"),
        ("t", {"command": environment("A", "\0")}, "command.environment.variables[0].value"),
        ("t", {"command": environment("A", None, "SECRET")}, "command.environment.variables[0]"),
        ("t", {"command": CommandInfo("true", uris=[CommandUri("")])}, "command.uris[0].value"),
        (
            "t",
            {"command": CommandInfo("true", uris=[CommandUri("/a", output_file="../b")])},
            "command.uris[0].output_file",
        ),
        (
            "t",
            {"command": CommandInfo("true", uris=[CommandUri("/a", output_file="/b")])},
            "command.uris[0].output_file",
        ),
        ("t", {"resources": [Resource("cpus", scalar=Scalar(-1.0))]}, "resources"),
        ("t", {"executor": ExecutorInfo(ExecutorID("e"))}, "executor"),
        ("t", {"container": ContainerInfo("DOCKER", docker=DockerInfo("i"))}, "container"),
    ],
)
def test_a_task_that_makes_no_sense_is_an_error(world: World, task_id: str, fields: dict[str, Any], where: str) -> None:
    world.run(task(task_id, **fields))
    status = world.updates[-1].status
    assert (status.state, status.reason) == ("TASK_ERROR", "REASON_TASK_INVALID")
    assert (status.message or "").startswith(where)
    world.acknowledge_all()
    assert world.core.tasks == []
    assert (world.starting, world.fetching) == ([], set())


def test_the_time_limit(world: World) -> None:
    container = running(world, max_completion_time=DurationInfo(5_000_000_000))
    assert world.timers[f"limit/{container}"] == world.now + 5
    world.fire(f"limit/{container}")
    world.end(container, Ended(143, 15))
    world.acknowledge_all()
    status = world.updates[-1].status
    assert (status.state, status.reason) == ("TASK_FAILED", "REASON_MAX_COMPLETION_TIME_REACHED")


def test_a_task_that_is_known_is_not_run_again(world: World) -> None:
    container = running(world)
    world.run(task("t"))
    assert world.starting == []
    assert [t.container_id for t in world.core.tasks] == [container]


def test_recovery_at_each_step(world: World) -> None:
    world.run(task("fetching", uris=True), task("not spawned"), task("spawned"), task("ran"), task("ended"))
    world.spawn("c-3")
    world.start("c-4")
    world.start("c-5")
    world.running.remove("c-5")
    world.ended["c-5"] = Ended(7)
    world.crash()
    assert world.fetching == {"c-1"}
    assert world.starting == ["c-2"]
    latest = {t.info.task_id.value: t.updates.latest.state for t in world.core.tasks}
    assert latest == {
        "fetching": "TASK_STAGING",
        "not spawned": "TASK_STAGING",
        "spawned": "TASK_RUNNING",
        "ran": "TASK_RUNNING",
        "ended": "TASK_FAILED",
    }
    world.register()
    world.acknowledge_all()
    assert world.states("ended") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]


def test_a_kill_goes_on_after_a_crash(world: World) -> None:
    container = running(world)
    world.kill("t")
    world.now += 1
    world.crash()
    assert world.signals == [(container, False)] * 2
    assert world.timers[f"kill/{container}"] == world.now + 2
    world.now += 5
    world.crash()
    assert world.signals[-1] == (container, True)


def test_a_run_whose_files_are_gone_fails(world: World) -> None:
    container = running(world)
    world.running.remove(container)
    world.crash()
    world.register()
    world.acknowledge_all()
    assert world.states("t")[-1] == "TASK_FAILED"
    assert "files of its run are gone" in (world.updates[-1].status.message or "")


def test_a_framework_that_is_no_more_is_forgotten_without_a_word(world: World) -> None:
    container = running(world)
    sent = len(world.updates)
    world.handle(ShutdownFramework(FrameworkID("fw")))
    assert world.signals == [(container, False)]
    world.crash()
    world.register()
    world.end(container, Ended(143, 15))
    assert world.core.tasks == []
    assert len(world.updates) == sent


def registers_as_new(world: World) -> bool:
    registration = world.core.registration()
    return registration is not None and registration.agent_id is None and registration.tasks == []


def test_a_refused_agent_comes_as_a_new_one_when_its_tasks_have_ended(world: World) -> None:
    container = running(world)
    world.handle(Refused("removed"))
    assert world.core.registration() is None
    assert world.reconnects == 0
    world.end(container, Ended(143, 15))
    assert world.reconnects == 1
    assert registers_as_new(world)
    assert "agent" not in world.store
    world.register("S1")
    running(world, "u")
    assert world.core.tasks[0].record.place.agent_id == "S1"


def test_a_refused_agent_without_tasks_comes_at_once(world: World) -> None:
    world.handle(Refused("removed"))
    assert world.reconnects == 1


def test_a_new_agent_that_is_refused_does_not_hurry() -> None:
    world = World()
    world.handle(Refused("bad attributes"))
    assert world.reconnects == 0
    assert world.core.registration() is not None


@pytest.mark.parametrize("patient", [True, False])
def test_a_shutdown_for_good(world: World, patient: bool) -> None:
    container = running(world)
    world.run(task("f", uris=True))
    world.handle(ShutdownRequested("enough"))
    assert world.signals == [(container, False)]
    left_early = world.exited
    if patient:
        world.end(container, Ended(143, 15))
    else:
        world.fire("shutdown")
    assert (left_early, world.exited) == (False, True)
    assert sum(isinstance(call, Unregister) for call in world.calls) == 1
    assert isinstance(world.calls[-1], Unregister)
    assert not any(key.startswith(("agent", "tasks", "states")) for key in world.store)


def test_a_shutdown_with_nothing_to_end(world: World) -> None:
    world.handle(ShutdownRequested("enough"))
    assert world.exited


def test_sandboxes_go_by_age_also_after_a_crash() -> None:
    world = World(gc_delay=100)
    world.register()
    for name in ("a", "b"):
        container = running(world, name)
        world.end(container, Ended(0))
        world.acknowledge_all()
        world.now += 30
    assert world.timers["gc"] == 200
    world.crash()
    assert world.timers["gc"] == 200
    world.fire("gc")
    assert world.removed == ["c-1"]
    assert world.timers["gc"] == 230
    world.fire("gc")
    assert world.removed == ["c-1", "c-2"]
    assert set(world.store) == {"agent"}
    assert world.core.frameworks == {}


def test_only_the_last_of_many_completed_tasks_are_shown(world: World) -> None:
    for i in range(SHOWN_PER_FRAMEWORK + 5):
        world.run(task(f"t{i}", command=None))
        world.acknowledge_all()
    shown = world.core.completed.of("fw")
    assert len(shown) == SHOWN_PER_FRAMEWORK
    assert shown[0].task.task_id.value == "t5"
    assert world.core.completed.waiting == SHOWN_PER_FRAMEWORK + 5


def test_every_decision_can_be_told(world: World) -> None:
    running(world)
    world.kill("t")
    assert [line.what for line in world.core.stories.of("fw/t")][:3] == [
        "accepted",
        "TASK_RUNNING",
        "kill asked for",
    ]


def test_the_registration_holds_all_that_a_master_without_memory_needs(world: World) -> None:
    world.run(task("f", uris=True))
    registration = world.core.registration()
    assert registration is not None
    assert registration.agent_id == AgentID("S0")
    assert [f.name for f in registration.frameworks] == ["fw"]
    assert [(k.task.task_id.value, k.status.state, k.acknowledged) for k in registration.tasks] == [
        ("f", "TASK_STAGING", None)
    ]


def test_the_fetch_names_what_the_task_asked_for(world: World) -> None:
    effects = world.run(task("f", uris=True))
    fetch = next(effect for effect in effects if isinstance(effect, Fetch))
    assert [uri.value for uri in fetch.uris] == ["/file"]
    world.fetched("c-1")
    assert world.starting == ["c-1"]


def check(**more: Any) -> HealthCheck:
    times = {"delay_seconds": 1.0, "interval_seconds": 2.0, "grace_period_seconds": 5.0, "consecutive_failures": 2}
    return HealthCheck("COMMAND", command=CommandInfo("true"), **{**times, **more})


def probe(world: World, container: str, passed: bool) -> None:
    """Let the next check come and answer it."""
    effects = world.fire(f"health/{container}")
    assert [e.timeout for e in effects if isinstance(e, ProbeHealth)] == [20.0]
    world.handle(Probed(container, passed, "because"))
    world.acknowledge_all()


def health_told(world: World) -> list[tuple[str, bool | None]]:
    told: dict[str | None, tuple[str, bool | None]] = {}
    for update in world.updates:
        told.setdefault(update.status.uuid, (update.status.state, update.status.healthy))
    return list(told.values())[2:]


def test_a_healthy_task_is_told_once_and_a_failing_one_is_killed(world: World) -> None:
    container = running(world, health_check=check())
    assert world.timers[f"health/{container}"] == world.now + 1
    probe(world, container, True)
    assert world.timers[f"health/{container}"] == world.now + 2
    probe(world, container, True)
    assert health_told(world) == [("TASK_RUNNING", True)]
    probe(world, container, False)
    probe(world, container, False)
    assert world.signals == [(container, False)]
    world.end(container, Ended(143, 15))
    world.acknowledge_all()
    assert health_told(world)[1:] == [("TASK_RUNNING", False), ("TASK_RUNNING", False), ("TASK_KILLED", False)]


def test_failures_in_the_grace_period_do_not_count_before_the_first_success(world: World) -> None:
    container = running(world, health_check=check())
    for _ in range(2):  # 1 s and 3 s after the start
        probe(world, container, False)
    assert (health_told(world), world.signals) == ([], [])
    probe(world, container, False)
    probe(world, container, False)
    assert world.signals == [(container, False)]


def test_health_goes_on_after_a_crash_and_is_not_told_twice(world: World) -> None:
    container = running(world, health_check=check())
    probe(world, container, True)
    world.crash()
    world.register()
    probe(world, container, True)
    assert health_told(world) == [("TASK_RUNNING", True)]


def test_an_absent_master_does_not_make_health_updates_pile_up(world: World) -> None:
    container = running(world, health_check=check(consecutive_failures=0, grace_period_seconds=0.0))
    world.handle(LinkLost("gone"))
    for _ in range(20):
        world.fire(f"health/{container}")
        world.handle(Probed(container, False, "because"))
    assert len(world.core.tasks[0].updates.pending) == 3


@pytest.mark.parametrize("kind", ["COMMAND", "HTTP", "TCP", "OTHER", None])
def test_a_check_without_its_body_is_an_error(world: World, kind: str | None) -> None:
    world.run(task("t", health_check=HealthCheck(kind)))
    status = world.updates[-1].status
    assert status.state == "TASK_ERROR"
    assert (status.message or "").startswith("health_check.")
