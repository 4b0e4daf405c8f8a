"""Marathon's AppDeployIntegrationTest and what is like it, as black-box tests: one Marathon, one agent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.harness import cluster, wait_for
from tests.cluster.marathon_rows import (
    FAILS,
    MOCK,
    NOWHERE,
    QUICK,
    SLEEP,
    Events,
    declined,
    delayed,
    ping,
    queued,
    removed,
)
from tests.cluster.test_marathon_apps import Marathon


@pytest.fixture(scope="module")
def marathon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marathon]:
    with cluster(tmp_path_factory.mktemp("apps")) as it:
        yield Marathon(it, "--enable_features", "task_killing")


def test_an_app_of_two_tasks_and_its_events(marathon: Marathon) -> None:
    """§7.1 AppDeploy: create a simple app without health checks; create and deploy an app with two tasks; list
    running apps and tasks; increase the app count metric. Events: always receive only small events. §7.2
    launch_mesos_container; launch_app_timed; root: event_channel; app_with_no_health_check_not_healthy."""
    before = marathon.ask("GET", "/metrics")[1]["gauges"]["marathon.apps.active.gauge"]["value"]
    with Events(marathon) as events:
        status, app = marathon.ask(
            "POST", "/v2/apps", {"id": "/two", **MOCK, "instances": 2, "container": {"type": "MESOS"}}
        )
        assert (status, len(app["deployments"])) == (201, 1)
        plan = app["deployments"][0]["id"]
        events.wait("deployment_success", id=plan)
        kinds = events.kinds()
        order = ["event_stream_attached", "api_post_event", "group_change_success", "deployment_info"]
        assert sorted(one for one in dict.fromkeys(kinds) if one in order) == sorted(order)
        assert kinds[0] == "event_stream_attached"
        assert len(events.all("deployment_step_success")) == 2
        assert len(events.all("status_update_event", taskStatus="TASK_RUNNING", appId="/two")) == 2
        assert all("original" not in one["plan"] for one in events.all() if "plan" in one)
        (shown,) = marathon.ask("GET", "/v2/apps?id=/two")[1]["apps"]
        assert (shown["tasksRunning"], shown["tasksHealthy"], shown["container"]["type"]) == (2, 0, "MESOS")
        tasks = marathon.ask("GET", "/v2/apps/two/tasks")[1]["tasks"]
        assert len(tasks) == 2
        wait_for(lambda: [ping(one)[:4] for one in tasks] == ["pong", "pong"], "the tasks answer")
        after = marathon.ask("GET", "/metrics")[1]["gauges"]["marathon.apps.active.gauge"]["value"]
        assert after == before + 1
        removed(marathon, "/two")
        events.wait("app_terminated_event", appId="/two")


def test_the_same_again_restarts_nothing(marathon: Marathon) -> None:
    """§7.1 AppDeploy: redeploying an app without changes should not cause restarts."""
    marathon.deploy("POST", "/v2/apps", {"id": "/same", **SLEEP})
    tasks = marathon.settled("/same", 1)
    version = marathon.app("/same")["version"]
    marathon.deploy("PUT", "/v2/apps/same", {"id": "/same", **SLEEP})
    assert marathon.settled("/same", 1) == tasks
    assert marathon.app("/same")["version"] == version
    removed(marathon, "/same")


def test_back_off(marathon: Marathon) -> None:
    """§7.1 AppDeploy: backoff delays are reset on configuration changes; NOT reset on scaling changes; can be
    get/deleted on a crash looping app; restarting an app with backoff delay starts immediately. LaunchQueue:
    backed-off."""
    marathon.deploy("POST", "/v2/apps", {"id": "/loop", **FAILS})
    assert delayed(marathon, "/loop")["delay"]["timeLeftSeconds"] > 200

    def failed() -> str:
        return str(marathon.app("/loop")["lastTaskFailure"]["taskId"])

    def launched_again(last: str) -> None:
        wait_for(lambda: failed() != last, "launched again")

    for _ in range(2):
        last = failed()
        assert marathon.ask("DELETE", "/v2/queue//loop/delay")[0] == 204
        launched_again(last)
        delayed(marathon, "/loop")
    last = failed()
    marathon.deploy("PUT", "/v2/apps/loop?force=true", {"instances": 3})
    item = delayed(marathon, "/loop")
    assert (item["count"], item["delay"]["timeLeftSeconds"] > 200, failed()) == (3, True, last)
    marathon.deploy("POST", "/v2/apps/loop/restart?force=true")
    launched_again(last)
    delayed(marathon, "/loop")
    marathon.deploy("PUT", "/v2/apps/loop?force=true", {"cmd": "exec sleep 1000"})
    marathon.settled("/loop", 3)
    assert queued(marathon, "/loop") is None
    removed(marathon, "/loop")


@pytest.mark.parametrize("path", ["/health", "/none"])
def test_what_is_unhealthy_is_not_deployed(marathon: Marathon, path: str) -> None:
    """§7.1 AppDeploy: an unhealthy app fails to deploy (2 variants). §7.2
    failing_health_check_results_in_unhealthy_app."""
    port = {} if path == "/health" else {"port": 1}
    with Events(marathon, "failed_health_check_event", "deployment_success") as events:
        check = {
            "protocol": "HTTP",
            "path": path,
            **QUICK,
            **port,
            "gracePeriodSeconds": 0,
            "maxConsecutiveFailures": 0,
        }
        body = {"id": "/sick", **MOCK, "env": {"HEALTH": "/no-such-file"}, "healthChecks": [check]}
        plan = marathon.deploy("POST", "/v2/apps", body)
        events.wait("failed_health_check_event", 2, appId="/sick")
        wait_for(lambda: marathon.app("/sick")["tasksUnhealthy"] == 1, "it is told to be unhealthy")
        assert events.all("deployment_success", id=plan) == []
        assert [one["id"] for one in marathon.app("/sick")["deployments"]] == [plan]
        assert marathon.ask("DELETE", "/v2/apps/sick")[0] == 200
        wait_for(lambda: marathon.ask("GET", "/v2/apps/sick")[0] == 404, "it is gone")
        removed(marathon, "/sick")


def test_updates_and_versions(marathon: Marathon) -> None:
    """§7.1 AppDeploy: update an app; through patch request; restart an app; list app versions; correctly version
    apps on update. §7.2 app_update; app_update_rollback."""
    check = {"protocol": "HTTP", "path": "/ping", **QUICK}
    body = {"id": "/v", **MOCK, "env": {"MARK": "one"}, "healthChecks": [check], "disk": 0}
    marathon.deploy("POST", "/v2/apps", body)
    first = marathon.settled("/v", 1)
    (version,) = marathon.ask("GET", "/v2/apps/v/versions")[1]["versions"]
    assert marathon.app("/v")["version"] == version
    marathon.deploy("PUT", "/v2/apps/v", {"env": {"MARK": "two"}})
    second = marathon.settled("/v", 1)
    assert not first & second
    assert ping(marathon.app("/v")["tasks"][0]) == "pong two"
    marathon.deploy("PATCH", "/v2/apps/v", {"env": {"MARK": "three"}, "disk": 1})
    marathon.settled("/v", 1)
    shown = marathon.app("/v")
    assert (len(shown["healthChecks"]), ping(shown["tasks"][0])) == (1, "pong three")
    assert marathon.ask("GET", f"/v2/apps/v/versions/{version}")[1]["disk"] == 0
    assert marathon.ask("GET", f"/v2/apps/v/versions/{shown['version']}")[1]["disk"] == 1
    marathon.deploy("PUT", "/v2/apps/v", {"version": version})
    marathon.settled("/v", 1)
    shown = marathon.app("/v")
    assert (shown["env"], shown["disk"], ping(shown["tasks"][0])) == ({"MARK": "one"}, 0, "pong one")
    before = marathon.tasks("/v")
    marathon.deploy("POST", "/v2/apps/v/restart")
    assert not marathon.settled("/v", 1) & before
    removed(marathon, "/v")


def test_what_is_unhealthy_can_be_rolled_back(marathon: Marathon) -> None:
    """§7.2 unhealthy_app_can_be_rolled_back."""
    check = {"protocol": "HTTP", "path": "/health", **QUICK}
    marathon.deploy("POST", "/v2/apps", {"id": "/well", **MOCK, "healthChecks": [check], "instances": 2})
    before = marathon.settled("/well", 2)
    version = marathon.app("/well")["version"]
    marathon.deploy("PUT", "/v2/apps/well", {"env": {"HEALTH": "/no-such-file"}})
    wait_for(lambda: len(marathon.app("/well")["tasks"]) > 2, "new tasks")
    marathon.deploy("PUT", "/v2/apps/well?force=true", {"version": version})
    after = marathon.settled("/well", 2)
    shown = marathon.app("/well")
    assert (shown["tasksHealthy"], "HEALTH" in shown.get("env", {})) == (2, False)
    assert len(before) == len(after)
    removed(marathon, "/well")


def test_kills(marathon: Marathon) -> None:
    """§7.1 AppDeploy: kill a task; kill a task with scaling; kill all tasks; kill all tasks with scaling; delete an
    application. TaskKilling: kill -> incarnation+1; wipe -> new instance; TASK_KILLING event. §7.2
    task_failure_recovers."""
    with Events(marathon, "status_update_event") as events:
        marathon.deploy("POST", "/v2/apps", {"id": "/k", **SLEEP, "instances": 2})
        both = marathon.settled("/k", 2)
        one = min(both)
        assert marathon.ask("DELETE", f"/v2/apps/k/tasks/{one}")[1]["task"]["id"] == one
        wait_for(lambda: marathon.tasks("/k") == both - {one} | {one.removesuffix(".1") + ".2"}, "the next incarnation")
        events.wait("status_update_event", taskId=one, taskStatus="TASK_KILLING")
        now = marathon.settled("/k", 2)
        victim = max(now)
        assert marathon.ask("DELETE", f"/v2/apps/k/tasks/{victim}?wipe=true")[0] == 200

        def replaced() -> bool:
            tasks = marathon.tasks("/k")
            return len(tasks) == 2 and not any(task.startswith(victim.rpartition(".")[0]) for task in tasks)

        wait_for(replaced, "another instance has taken the place")
        now = marathon.settled("/k", 2)
        assert len(marathon.ask("DELETE", "/v2/apps/k/tasks")[1]["tasks"]) == 2
        wait_for(lambda: len(marathon.tasks("/k") - now) == 2, "both are replaced")
        marathon.deploy("DELETE", f"/v2/apps/k/tasks/{min(marathon.settled('/k', 2))}?scale=true")
        marathon.settled("/k", 1)
        assert marathon.app("/k")["instances"] == 1
        marathon.deploy("DELETE", "/v2/apps/k/tasks?scale=true")
        marathon.settled("/k", 0)
        assert marathon.app("/k")["instances"] == 0
        assert marathon.ask("DELETE", "/v2/apps/k")[0] == 200
        wait_for(lambda: marathon.ask("GET", "/v2/apps/k")[0] == 404, "it is gone")


def test_deployments_are_stopped_and_rolled_back(marathon: Marathon) -> None:
    """§7.1 AppDeploy: stop (forcefully delete) a deployment; rollback a deployment (by removing an app); manage yet
    another deployment rollback; with default strategy. LaunchQueue: impossible constraint."""
    with Events(marathon, "deployment_failed", "deployment_success") as events:
        first = marathon.deploy("POST", "/v2/apps", {"id": "/stop", **NOWHERE, "instances": 5})
        item = wait_for(lambda: queued(marathon, "/stop"), "it waits")
        assert (item["count"], item["delay"]) == (5, {"timeLeftSeconds": 0, "overdue": True})
        assert declined(marathon, "/stop", "UnfulfilledConstraint")["processed"] >= 1
        assert marathon.ask("DELETE", f"/v2/deployments/{first}?force=true") == (202, None)
        events.wait("deployment_failed", id=first)
        assert marathon.app("/stop")["instances"] == 5
        marathon.ask("DELETE", "/v2/apps/stop")

        second = marathon.deploy("POST", "/v2/apps", {"id": "/back", **NOWHERE})
        status, answer = marathon.ask("DELETE", f"/v2/deployments/{second}")
        assert status == 200
        events.wait("deployment_failed", id=second)
        events.wait("deployment_success", id=answer["deploymentId"])
        assert marathon.ask("GET", "/v2/apps/back")[0] == 404

        for strategy in ({}, {"upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.0}}):
            marathon.deploy("PUT", "/v2/apps/again", {"id": "/again", **SLEEP, "instances": 2, **strategy})
            before = marathon.settled("/again", 2)
            stuck = marathon.deploy("PATCH", "/v2/apps/again", {"constraints": NOWHERE["constraints"]})
            if strategy:
                wait_for(lambda: len(marathon.tasks("/again")) == 1, "an old task is ended")
            assert marathon.ask("DELETE", f"/v2/deployments/{stuck}")[0] == 200
            after = marathon.settled("/again", 2)
            assert (after & before) if strategy else (after == before)
            assert "constraints" not in marathon.app("/again") or marathon.app("/again")["constraints"] == []
            removed(marathon, "/again")


def test_docker_parts_of_definitions(marathon: Marathon) -> None:
    """§7.1 AppDeploy: Docker info is not automagically created; docker container and update it; update an app and
    make sure ports are set correctly. The definitions alone."""
    marathon.deploy("POST", "/v2/apps", {"id": "/plain", **SLEEP, "container": {"type": "MESOS"}, "instances": 0})
    marathon.deploy("PUT", "/v2/apps/plain", {"cmd": "sleep 5"})
    assert marathon.app("/plain")["container"] == {"type": "MESOS", "volumes": []}
    mappings = [{"containerPort": 80, "hostPort": 0, "name": "http"}]
    image = {"type": "DOCKER", "docker": {"image": "none"}, "portMappings": mappings}
    body: dict[str, Any] = {
        "id": "/mapped",
        **SLEEP,
        "instances": 0,
        "container": image,
        "networks": [{"mode": "container/bridge"}],
    }
    marathon.deploy("POST", "/v2/apps", body)
    before = marathon.app("/mapped")["container"]["portMappings"]
    marathon.deploy("PUT", "/v2/apps/mapped", {"mem": 32})
    assert marathon.app("/mapped")["container"]["portMappings"] == before
    assert before[0]["containerPort"] == 80
    old = {"type": "DOCKER", "docker": {"image": "none", "network": "HOST"}, "volumes": []}
    marathon.deploy("POST", "/v2/apps", {"id": "/host", **SLEEP, "instances": 0, "container": old})
    marathon.deploy("PUT", "/v2/apps/host", {"id": "/host", "cmd": "sleep 5", "container": old})
    (port,) = marathon.app("/host")["portDefinitions"]
    assert 10000 <= port["port"] <= 20000
    for one in ("/plain", "/mapped", "/host"):
        marathon.ask("DELETE", f"/v2/apps{one}")


def test_reasons_of_the_queue(marathon: Marathon) -> None:
    """§7.1 LaunchQueue: empty. §7.2 declined_offer_due_to_cpu_requirements; declined_offer_due_to_resource_role."""
    wait_for(lambda: marathon.ask("GET", "/v2/queue")[1] == {"queue": []}, "nothing waits")
    marathon.deploy("POST", "/v2/apps", {"id": "/much", **SLEEP, "cpus": 10_000})
    marathon.deploy("POST", "/v2/apps", {"id": "/role/own", **SLEEP, "role": "role", "acceptedResourceRoles": ["role"]})
    for app_id, reason in (("/much", "InsufficientCpus"), ("/role/own", "UnfulfilledRole")):
        row = declined(marathon, app_id, reason)
        assert row["processed"] >= row["declined"] >= 1
    removed(marathon, "/much")
    removed(marathon, "/role")


def test_groups_are_scaled(marathon: Marathon) -> None:
    """§7.2 launch_group; launch_and_scale_group; scale_app_in_group; scale_app_in_group_then_group."""
    members = [{"id": name, **SLEEP} for name in ("one", "two")]

    def counts() -> tuple[int, int] | None:
        """Running tasks of both, when no deployment runs."""
        if marathon.ask("GET", "/v2/deployments")[1]:
            return None
        apps = {one["id"]: one for one in marathon.ask("GET", "/v2/apps/scaled/*")[1]["*"]}
        return apps["/scaled/one"]["tasksRunning"], apps["/scaled/two"]["tasksRunning"]

    def become(wanted: tuple[int, int]) -> None:
        wait_for(lambda: counts() == wanted, f"{wanted}")

    assert marathon.ask("POST", "/v2/groups", {"id": "/scaled", "apps": members})[0] == 201
    become((1, 1))
    for body, path, wanted in (
        ({"scaleBy": 2}, "/v2/groups/scaled", (2, 2)),
        ({"instances": 1}, "/v2/apps/scaled/two", (2, 1)),
        ({"scaleBy": 2}, "/v2/groups/scaled", (4, 2)),
    ):
        assert marathon.ask("PUT", path, body)[0] == 200
        become(wanted)
    removed(marathon, "/scaled")
