"""Changes while a deployment runs: what conflicts with it, and what is left of one that is replaced."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.marathon.core.events import Answer, CancelDeployment, ChangeGroup, KillTasks
from headrace.marathon.core.records import RESTART, SCALE, Condition, Goal
from headrace.marathon.core.settings import Settings

from .simulation import ORIGIN, Cluster


def put_group(it: Cluster, *, force: bool = False, instances: int = 3, **commands: str) -> Answer:
    """The whole of /grp: what each of its apps runs."""
    apps = [
        {"id": name, "cmd": command, "cpus": 0.1, "mem": 16, "instances": instances}
        for name, command in commands.items()
    ]
    return it.ask(lambda to: ChangeGroup(to, "/grp", {"apps": apps}, False, False, force, ORIGIN))


def rolling(it: Cluster) -> str:
    """/mid with three instances, of which the first is being replaced; the deployment's id."""
    it.create("/mid", instances=3)
    it.settle()
    it.update("/mid", cmd="sleep 502")
    it.offer()
    (deployment,) = it.core.deployments.running
    return deployment


def check_in_force(it: Cluster) -> None:
    """No deployment runs, and every instance runs what its app is now."""
    assert not it.core.deployments.running
    for app_id, app in it.core.books.specs.items():
        members = [one for one in it.instances(app_id) if one.goal is Goal.RUNNING]
        assert len(members) == app.instances, app_id
        assert all(one.condition is Condition.RUNNING for one in members)
        assert {one.config_version for one in members} <= {app.config_version}, app_id


def actions(it: Cluster) -> dict[str, str]:
    """By app what is still to be done."""
    plans = it.core.deployments.running.values()
    return {one.app: one.action for plan in plans for step in plan.steps for one in step}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("fields", [{"cmd": "sleep 502"}, {"bogus": None}, {"instances": 3}])
def test_what_changes_nothing_leaves_a_running_deployment_alone(force: bool, fields: dict[str, Any]) -> None:
    it = Cluster()
    deployment = rolling(it)
    assert it.update("/mid", force=force, **fields).status == 200
    assert list(it.core.deployments.running) == [deployment]
    it.settle()
    check_in_force(it)


@pytest.mark.parametrize("force", [False, True])
def test_only_what_a_plan_does_something_about_is_locked(force: bool) -> None:
    it = Cluster()
    put_group(it, a="sleep 1", b="sleep 1")
    it.settle()
    put_group(it, a="sleep 2", b="sleep 1")
    (first,) = it.core.deployments.running
    assert it.core.deployments.running[first].affected_apps == ["/grp/a"]
    assert put_group(it, force=force, a="sleep 2", b="sleep 2").status == 200
    assert first in it.core.deployments.running
    assert len(it.core.deployments.running) == 2
    it.settle()
    check_in_force(it)


def test_an_empty_plan_needs_no_room_among_the_deployments() -> None:
    it = Cluster(Settings(min_revive_offers_interval=0.0, max_running_deployments=1))
    rolling(it)
    assert it.update("/mid", cmd="sleep 502").status == 200


def test_a_forced_change_carries_on_what_it_interrupts() -> None:
    it = Cluster()
    put_group(it, a="sleep 1", b="sleep 1", c="sleep 1")
    it.settle()
    put_group(it, a="sleep 2", b="sleep 2", c="sleep 1")
    (first,) = it.core.deployments.running
    it.offer()
    assert it.update("/grp/a", cmd="sleep 3").status == 409
    assert it.update("/grp/a", force=True, cmd="sleep 3").status == 200
    assert first not in it.core.deployments.running
    assert actions(it) == {"/grp/a": RESTART, "/grp/b": RESTART}
    it.crash()
    assert actions(it) == {"/grp/a": RESTART, "/grp/b": RESTART}, "that is stored"
    it.settle()
    check_in_force(it)


def test_a_forced_scaling_does_not_end_an_upgrade() -> None:
    it = Cluster()
    rolling(it)
    assert it.update("/mid", force=True, instances=4).status == 200
    assert actions(it) == {"/mid": RESTART}
    it.settle()
    check_in_force(it)


def test_a_kill_with_scale_does_not_end_an_upgrade() -> None:
    it = Cluster()
    rolling(it)
    victim = it.instances("/mid")[1].task_id
    event = (None, [victim], None, True, False, False, True, ORIGIN)
    assert it.ask(lambda to: KillTasks(to, *event)).status == 200
    it.settle()
    assert victim not in it.alive()
    check_in_force(it)


def test_what_was_being_made_is_still_scaled() -> None:
    it = Cluster()
    put_group(it, a="sleep 1", b="sleep 1")
    assert it.update("/grp/a", force=True, instances=5).status == 200
    assert actions(it) == {"/grp/a": SCALE, "/grp/b": SCALE}
    it.settle()
    check_in_force(it)


def test_undoing_a_deployment_does_not_undo_what_it_carried_on() -> None:
    it = Cluster()
    put_group(it, a="sleep 1", b="sleep 1")
    it.settle()
    put_group(it, a="sleep 2", b="sleep 2")
    it.offer()
    it.update("/grp/a", force=True, cmd="sleep 3")
    (second,) = it.core.deployments.running
    assert it.ask(lambda to: CancelDeployment(to, second, False)).status == 200
    it.settle()
    check_in_force(it)
    assert [it.core.books.apps[one].cmd for one in ("/grp/a", "/grp/b")] == ["sleep 2", "sleep 2"]


COMMANDS = st.sampled_from(["sleep 1", "sleep 2"])
GROUP = st.tuples(st.just("group"), st.booleans(), st.integers(0, 3), COMMANDS, COMMANDS)
CHANGE = st.tuples(st.just("cmd"), st.booleans(), st.sampled_from(["/grp/a", "/grp/b"]), COMMANDS)
SCALING = st.tuples(st.just("instances"), st.booleans(), st.sampled_from(["/grp/a", "/grp/b"]), st.integers(0, 4))
UNDOING = st.tuples(st.just("undo"), st.integers(0, 1))
WORLD = st.tuples(st.sampled_from(["offer", "run", "kill", "crash"]))


@given(st.lists(st.one_of(GROUP, CHANGE, SCALING, UNDOING, WORLD, WORLD), max_size=25))
@settings(max_examples=60, deadline=None)
def test_after_any_changes_all_instances_come_to_run_what_is_in_force(events: list[tuple[Any, ...]]) -> None:
    it = Cluster()
    put_group(it, a="sleep 1", b="sleep 1")
    it.settle()
    for kind, *rest in events:
        happen(it, kind, rest)
    it.settle(100)
    check_in_force(it)


def happen(it: Cluster, kind: str, rest: list[Any]) -> None:
    match kind, rest:
        case "group", [force, instances, a, b]:
            status = put_group(it, force=force, instances=instances, a=a, b=b).status
            assert status in (200, *(() if force else (409,)))
        case "cmd" | "instances", [force, app, value]:
            status = it.update(app, force=force, **{kind: value}).status
            assert status in (200, *(() if force else (409,)))
        case "undo", [number] if number < len(it.core.deployments.running) and "/grp/a" in it.core.books.apps:
            deployment = list(it.core.deployments.running)[number]
            if None not in it.core.deployments.running[deployment].plan.original.values():
                assert it.ask(lambda to: CancelDeployment(to, deployment, False)).status == 200
        case "offer", _ if it.wants_offers:
            it.offer()
        case "run", _:
            it.run_all()
        case "kill", _:
            it.end_killed()
        case "crash", _:
            it.crash()
