"""The whole core in a simulated cluster: requests, deployments, failures, kills, crashes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.kernel.core import Put, Reply
from headrace.marathon.core.events import (
    CancelDeployment,
    CreateApp,
    KillTasks,
    ResetDelay,
    SendCall,
    UpdateApps,
)
from headrace.marathon.core.records import STOP
from headrace.marathon.core.settings import Settings

from .simulation import ORIGIN, Cluster


def kill(it: Cluster, *task_ids: str, scale: bool = False, wipe: bool = False) -> Any:
    return it.ask(
        lambda to: KillTasks(
            to, None, list(task_ids), None, scale=scale, wipe=wipe, single=False, force=False, origin=ORIGIN
        )
    )


def test_an_instance_is_stored_before_it_is_accepted() -> None:
    it = Cluster()
    it.create("/a")
    before = len(it.store)
    it.offer()
    assert len(it.store) == before
    (stored,) = [json.loads(value) for key, value in it.store.items() if key.startswith("instance/")]
    assert stored["condition"] == "Provisioned"
    assert stored["agent_id"] == "agent-host-1"


def test_a_create_is_stored_before_it_is_answered() -> None:
    it = Cluster()
    body = {"id": "/a", "cmd": "x"}
    effects = list(it.core.handle(CreateApp(1, body, False, ORIGIN), it.now))
    keys = {one.key.split("/")[0] for one in effects if isinstance(one, Put)}
    assert keys == {"app", "version", "deployment", "instance", "change"}
    assert [one.value.status for one in effects if isinstance(one, Reply)] == [201]


def test_a_new_app_runs() -> None:
    it = Cluster()
    answer = it.create("/a", instances=3)
    assert answer.status == 201
    it.settle()
    assert len(it.alive()) == 3
    assert not it.core.deployments.running
    assert it.kinds().count("deployment_step_success") == 2
    assert it.kinds()[-1] == "deployment_success"
    order = ["api_post_event", "group_change_success", "deployment_info", "status_update_event", "deployment_success"]
    places = [it.kinds().index(kind) for kind in order]
    assert sorted(places[1:]) == places[1:]


def test_the_same_again_changes_nothing() -> None:
    it = Cluster()
    it.create("/a", instances=2)
    it.settle()
    version, tasks = it.core.books.apps["/a"].version, it.alive()
    answer = it.update("/a", instances=2)
    assert answer.status == 200
    assert (it.core.books.apps["/a"].version, it.alive()) == (version, tasks)
    assert not it.core.deployments.running


def test_scaling_keeps_the_configuration_version_and_a_change_does_not() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    first = it.core.books.apps["/a"]
    it.advance(5)
    it.update("/a", instances=2)
    it.settle()
    scaled = it.core.books.apps["/a"]
    assert scaled.config_version == first.config_version
    assert scaled.version > first.version
    it.update("/a", cmd="other")
    changed = it.core.books.apps["/a"]
    assert changed.config_version == changed.version > scaled.version


def test_a_locked_app_needs_force() -> None:
    it = Cluster()
    first = it.create("/a", instances=2).body["deployments"][0]["id"]
    refused = it.update("/a", instances=1)
    assert refused.status == 409
    assert refused.body["deployments"] == [{"id": first}]
    assert it.core.books.apps["/a"].instances == 2
    assert it.update("/a", force=True, instances=1).status == 200
    assert ("deployment_failed", first) in [(kind, fields.get("id")) for kind, fields in it.events]
    it.settle()
    assert len(it.alive()) == 1


def test_a_failing_app_backs_off() -> None:
    it = Cluster()
    it.create("/a", backoffSeconds=10, backoffFactor=2)
    for delay in (10, 20):
        it.offer()
        (task,) = it.alive()
        it.status(task, "TASK_RUNNING")
        it.status(task, "TASK_FAILED", "exit 1")
        until = it.core.queue.delayed_until("/a", it.now)
        assert until == pytest.approx(it.now + delay)
        assert not it.wants_offers
        it.offer()
        assert not it.alive(), "nothing is launched during the delay"
        it.advance(delay)
        assert it.wants_offers
    assert it.core.books.failures["/a"].message == "exit 1"
    it.settle()
    assert it.alive() == {f"{it.instances('/a')[0].id}._app.3"}


def test_back_off_survives_scaling_but_not_a_change_or_a_reset() -> None:
    it = Cluster()
    it.create("/a", backoffSeconds=100)
    it.offer()
    (task,) = it.alive()
    it.status(task, "TASK_RUNNING")
    it.status(task, "TASK_FINISHED")
    assert it.update("/a", instances=2).status == 200
    assert it.core.queue.delayed_until("/a", it.now)
    assert it.ask(lambda to: ResetDelay(to, "/a")).status == 204
    assert it.core.queue.delayed_until("/a", it.now) is None
    assert it.wants_offers
    assert it.ask(lambda to: ResetDelay(to, "/nope")).status == 404


def test_a_killed_task_comes_back_at_once_as_the_next_incarnation() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    (task,) = it.alive()
    answer = kill(it, task)
    assert [one["id"] for one in answer.body["tasks"]] == [task]
    it.end_killed()
    it.settle()
    assert it.alive() == {task.removesuffix(".1") + ".2"}
    assert "/a" not in it.core.books.delays


def test_wiping_takes_the_instance_along_and_scaling_wants_fewer() -> None:
    it = Cluster()
    it.create("/a", instances=3)
    it.settle()
    one, two, three = sorted(it.alive())
    kill(it, one, wipe=True)
    it.settle()
    assert len(it.alive()) == 3
    assert one.removesuffix("1") + "2" not in it.alive()
    kill(it, two, scale=True)
    it.settle()
    assert it.core.books.apps["/a"].instances == 2
    assert two not in it.alive()
    assert three in it.alive()
    assert kill(it, three, scale=True, wipe=True).status == 400


def test_an_ended_task_leaves_its_place_to_others() -> None:
    it = Cluster()
    it.create("/a", instances=2, constraints=[["hostname", "UNIQUE"]])
    it.offer("host-1")
    it.offer("host-1")
    (first,) = it.alive()
    it.run_all()
    kill(it, first)
    it.end_killed()
    it.offer("host-1")
    assert len(it.alive()) == 1, "its next incarnation may be where it was"
    it.offer("host-2")
    it.run_all()
    assert it.update("/a", force=True, instances=0).status == 200
    it.end_killed()
    assert not it.alive()
    it.update("/a", force=True, instances=2)
    it.offer("host-1")
    it.offer("host-2")
    assert len(it.alive()) == 2


def test_a_kill_is_said_again_until_it_works() -> None:
    it = Cluster(Settings(kill_retry_interval=30))
    it.create("/a")
    it.settle()
    it.delete("/a")
    assert len(it.killed) == 1
    it.advance(65)
    assert len(it.killed) == 3
    it.crash()
    assert len(it.killed) == 4
    it.end_killed()
    it.advance(100)
    assert not it.killed
    assert [key for key in it.store if key != "framework" and not key.startswith(("change/", "past/"))] == []
    assert "app_terminated_event" in it.kinds()


def test_a_rolling_restart_never_has_too_few() -> None:
    it = Cluster()
    it.create("/a", instances=4, upgradeStrategy={"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0})
    it.settle()
    old = it.alive()
    it.restart("/a")
    assert len(it.killed) == 2
    for _ in range(20):
        running = [one for one in it.tasks.values() if one == "TASK_RUNNING"]
        assert 2 <= len(running) <= len(it.alive()) <= 4
        it.end_killed()
        it.offer()
        it.run_all()
    assert not it.core.deployments.running
    assert not it.alive() & old
    assert len(it.alive()) == 4


def test_dependencies_come_first() -> None:
    it = Cluster()
    it.create("/web", dependencies=["/db"], instances=0)
    it.create("/db", instances=0)
    body = [("/web", {"instances": 1}), ("/db", {"instances": 1})]
    answer = it.ask(lambda to: UpdateApps(to, body, True, True, False, True, ORIGIN))
    assert answer.status == 200
    it.offer()
    assert [task.split(".")[0] for task in it.alive()] == ["db"]
    it.run_all()
    it.offer()
    assert len(it.alive()) == 2


def test_cancel_leaves_and_revert_takes_back() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    old = it.alive()
    deployment = it.update("/a", cmd="other", instances=2).body["deploymentId"]
    assert it.ask(lambda to: CancelDeployment(to, deployment, force=False)).status == 200
    it.settle()
    assert it.core.books.apps["/a"].cmd == "sleep 1000"
    assert it.alive() == old, "what still ran of the old version stays"
    second = it.create("/b", instances=2).body["deployments"][0]["id"]
    assert it.ask(lambda to: CancelDeployment(to, second, force=True)).status == 202
    assert "/b" in it.core.books.apps
    third = it.update("/b", instances=5).body["deploymentId"]
    assert it.ask(lambda to: CancelDeployment(to, third, force=False)).status == 200
    assert it.core.books.apps["/b"].instances == 2


def test_an_app_is_said_to_be_stopped_for_as_long_as_its_tasks_are_being_killed() -> None:
    """By that the application master of Flink knows that its app is destroyed, and that its jobs' files may go."""
    it = Cluster()
    it.create("/a")
    it.settle()
    it.delete("/a")
    assert it.killed

    def stopped() -> list[str]:
        actions = [action for one in it.core.deployments.running.values() for action in one.actions()]
        return [action.app for action in actions if action.action == STOP]

    assert stopped() == ["/a"]
    it.crash()
    assert stopped() == ["/a"]
    it.end_killed()
    it.settle()
    assert not it.core.deployments.running


def test_a_rollback_to_a_version() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    first = it.core.books.apps["/a"]
    it.update("/a", cmd="other")
    it.settle()
    assert it.update("/a", version=first.version).status == 200
    it.settle()
    assert it.core.books.apps["/a"].cmd == first.cmd
    assert it.update("/a", version="2020-01-01T00:00:00.000Z").status == 404


def waiting_create(it: Cluster, number: int, app_id: str) -> None:
    """A request that may have to wait; ``it.answers`` has the answer under its number."""
    it.post(CreateApp(number, {"id": app_id, "cmd": "x", "cpus": 0.1, "mem": 16}, False, ORIGIN))


def test_too_many_deployments_wait_for_a_while_and_are_refused_then() -> None:
    it = Cluster(Settings(max_running_deployments=1))
    it.create("/a")
    waiting_create(it, 1000, "/b")
    it.advance(4.9)
    assert 1000 not in it.answers
    assert "group_change_failed" not in it.kinds()
    it.advance(0.2)
    assert it.answers[1000].status == 403
    assert it.answers[1000].body["message"].startswith("Max number (1) of running deployments")
    assert it.events[-1][0] == "group_change_failed"
    assert "/b" not in it.core.books.apps


def test_deployments_beyond_the_limit_begin_in_their_order_when_others_end() -> None:
    it = Cluster(Settings(max_running_deployments=1, min_revive_offers_interval=0.0))
    it.create("/a")
    for number, app_id in enumerate(["/b", "/c", "/b"], 1000):
        waiting_create(it, number, app_id)
        it.advance(0.1)
    it.settle()
    statuses = [it.answers[number].status for number in (1000, 1001, 1002)]
    assert statuses == [201, 201, 409]  # the last one is about an app that is there by now
    assert [one.app_id for one in it.core.books.instances.values()] == ["/a", "/b", "/c"]
    it.advance(10)
    assert len(it.answers) == 3
    assert "group_change_failed" not in it.kinds()


def test_not_everybody_may_wait() -> None:
    it = Cluster(Settings(max_running_deployments=1, max_queued_root_group_updates=2))
    it.create("/a")
    for number, app_id in enumerate(["/b", "/c", "/d"], 1000):
        waiting_create(it, number, app_id)
    assert [number for number in it.answers if it.answers[number].status == 403] == [1002]


def test_nothing_changes_when_one_of_several_is_bad() -> None:
    it = Cluster()
    before = dict(it.store)
    body: list[tuple[str, Any]] = [("/a", {"id": "/a", "cmd": "x"}), ("/b", {"id": "/b"})]
    answer = it.ask(lambda to: UpdateApps(to, body, True, True, False, False, ORIGIN))
    assert answer.status == 422
    assert it.store == before


def test_versions_grow_also_within_a_millisecond() -> None:
    it = Cluster()
    versions = [it.core.books.next_version(it.now) for _ in range(2500)]
    assert versions == sorted(set(versions))


def test_calls_are_said_after_what_they_rest_on_is_stored() -> None:
    it = Cluster()
    it.create("/a")
    seen: list[str] = []
    original = it._carry_out
    it._carry_out = lambda effects: (seen.extend(type(one).__name__ for one in effects), original(effects))  # type: ignore[method-assign, assignment, func-returns-value]
    it.offer()
    assert seen.index("Put") < seen.index(SendCall.__name__)


def test_a_large_app_is_looked_at_once_for_many_statuses() -> None:
    it = Cluster(Settings(max_instances_per_offer=1000))
    it.create("/a", instances=300, cpus=0.01)
    it.offer()
    it.run_all()
    assert it.core.deployments.running, "nobody has looked yet"
    it.advance(0.01)
    assert not it.core.deployments.running
    assert len(it.alive()) == 300
