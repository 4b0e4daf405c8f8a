"""Marathon's GroupDeployIntegrationTest and pods of its MesosAppIntegrationTest: one Marathon, one agent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import cluster, wait_for
from tests.cluster.marathon_rows import (
    FAILS,
    MOCK,
    NOWHERE,
    OF_POD,
    QUICK,
    SLEEP,
    SMALL,
    Events,
    declined,
    queued,
    removed,
)
from tests.cluster.test_marathon_apps import Marathon

UP = {"exec": {"command": {"shell": "exec sleep 1000"}}, "resources": {"cpus": 0.05, "mem": 16}}
SERVER = Path(__file__).parent / "app_mock.py"


@pytest.fixture(scope="module")
def marathon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marathon]:
    with cluster(tmp_path_factory.mktemp("groups")) as it:
        yield Marathon(it)


def done(marathon: Marathon, method: str, path: str, body: Any = None) -> str:
    """Ask, wait until the deployment is over; its id."""
    plan = marathon.deploy(method, path, body)
    over(marathon, plan)
    return plan


def over(marathon: Marathon, plan: str) -> None:
    wait_for(lambda: plan not in [one["id"] for one in marathon.ask("GET", "/v2/deployments")[1]], "it is over")


def group(marathon: Marathon, path: str) -> dict[str, Any]:
    status, body = marathon.ask("GET", f"/v2/groups{path}")
    assert status == 200, body
    return dict(body)


def test_empty_groups(marathon: Marathon) -> None:
    """§7.1 GroupDeploy: create empty; update empty; delete empty; delete a non existing; 404."""
    done(marathon, "POST", "/v2/groups", {"id": "/empty"})
    assert (group(marathon, "/empty")["apps"], group(marathon, "/empty")["groups"]) == ([], [])
    done(marathon, "PUT", "/v2/groups/empty", {"dependencies": ["/elsewhere"]})
    assert group(marathon, "/empty")["dependencies"] == ["/elsewhere"]
    done(marathon, "DELETE", "/v2/groups/empty")
    assert marathon.ask("GET", "/v2/groups/empty")[0] == 404
    assert marathon.ask("DELETE", "/v2/groups/empty")[0] == 404


def test_a_group_with_apps_is_updated(marathon: Marathon) -> None:
    """§7.1 GroupDeploy: apps start; apps restart; no restart on same; rollback by version; health checks."""
    check = {"protocol": "HTTP", "path": "/ping", **QUICK}
    body: dict[str, Any] = {
        "id": "/team",
        "apps": [{"id": "web", **MOCK, "healthChecks": [check]}, {"id": "sleep", **SLEEP}],
    }
    done(marathon, "POST", "/v2/groups", body)
    assert marathon.app("/team/web")["tasksHealthy"] == 1
    first = marathon.tasks("/team/web"), marathon.tasks("/team/sleep")
    version = group(marathon, "/team")["version"]
    done(marathon, "PUT", "/v2/groups/team", body)
    assert (marathon.tasks("/team/web"), marathon.tasks("/team/sleep")) == first
    changed = {**body, "apps": [{**body["apps"][0], "labels": {"new": "yes"}}, body["apps"][1]]}
    done(marathon, "PUT", "/v2/groups/team", changed)
    assert not marathon.tasks("/team/web") & first[0]
    assert marathon.tasks("/team/sleep") == first[1]
    done(marathon, "PUT", "/v2/groups/team", {**body, "apps": [{"id": "third", **SLEEP}]})
    assert [one["id"] for one in group(marathon, "/team")["apps"]] == ["/team/third"]
    done(marathon, "PUT", "/v2/groups/team", {"version": version})
    assert {one["id"] for one in group(marathon, "/team")["apps"]} == {"/team/web", "/team/sleep"}
    assert marathon.app("/team/web")["labels"] == {}
    assert len(marathon.tasks("/team/web")) == 1
    done(marathon, "DELETE", "/v2/groups/team")
    assert not marathon.ask("GET", "/v2/apps?id=/team")[1]["apps"]


def test_an_upgrade_keeps_the_health_capacity(marathon: Marathon) -> None:
    """§7.1 GroupDeploy: min health never undershot, old and new versions; rollback before it is over."""
    check = {"protocol": "HTTP", "path": "/health", **QUICK}
    half = {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.5}
    app = {"id": "web", **MOCK, "instances": 2, "healthChecks": [check], "upgradeStrategy": half}
    done(marathon, "POST", "/v2/groups", {"id": "/capacity", "apps": [app]})
    before = marathon.tasks("/capacity/web")
    sick = {**app, "env": {"HEALTH": "/no-such-file"}}
    marathon.deploy("PUT", "/v2/groups/capacity", {"apps": [sick]})
    wait_for(lambda: marathon.tasks("/capacity/web") - before, "a new task runs")
    assert marathon.app("/capacity/web")["tasksHealthy"] >= 1
    done(marathon, "PUT", "/v2/groups/capacity?force=true", {"apps": [app]})
    assert marathon.app("/capacity/web")["tasksHealthy"] == 2
    assert len(marathon.tasks("/capacity/web")) == 2
    removed(marathon, "/capacity")


def test_locks_of_groups(marathon: Marathon) -> None:
    """§7.1 GroupDeploy: 409 + group_change_failed without force (update, delete); with force it can be done."""
    plan = marathon.deploy("POST", "/v2/groups", {"id": "/lock", "apps": [{"id": "stuck", **NOWHERE}]})
    with Events(marathon, "group_change_failed", "deployment_failed", "group_change_success") as events:
        for method, body in (("PUT", {"apps": [{"id": "stuck", **SLEEP}]}), ("DELETE", None)):
            status, answer = marathon.ask(method, "/v2/groups/lock", body)
            assert (status, answer["deployments"]) == (409, [{"id": plan}])
        events.wait("group_change_failed", 2, groupId="/lock")
        over(marathon, marathon.deploy("PUT", "/v2/groups/lock?force=true", {"apps": [{"id": "stuck", **SLEEP}]}))
        events.wait("deployment_failed", id=plan)
        events.wait("group_change_success", groupId="/lock")
    marathon.settled("/lock/stuck", 1)
    removed(marathon, "/lock")


def test_dependencies(marathon: Marathon, tmp_path: Path) -> None:
    """§7.1 GroupDeploy: circular 422; app & group dependency order; relative dependencies become absolute."""
    order = tmp_path / "order"

    def app(name: str, *needs: str) -> dict[str, Any]:
        """It is there when it has written its name."""
        command = f"echo {name} >>{order}; exec sleep 1000"
        check = {"protocol": "COMMAND", "command": {"value": f"grep -qx {name} {order}"}, **QUICK}
        return {"id": name, "cmd": command, **SMALL, "dependencies": list(needs), "healthChecks": [check]}

    circle = {"id": "/tree", "apps": [app("one", "/tree/two"), app("two", "/tree/one")]}
    status, answer = marathon.ask("POST", "/v2/groups", circle)
    assert (status, "cyclic" in str(answer)) == (422, True)
    body = {"id": "/tree", "apps": [app("db"), app("service", "db"), app("front", "../tree/service")]}
    done(marathon, "POST", "/v2/groups", body)
    assert marathon.app("/tree/front")["dependencies"] == ["/tree/service"]
    assert order.read_text().split() == ["db", "service", "front"]
    removed(marathon, "/tree")
    order.unlink()
    inner = [
        {"id": "front", "apps": [app("web")], "dependencies": ["/tree/middle"]},
        {"id": "middle", "apps": [app("service")], "dependencies": ["/tree/base"]},
        {"id": "base", "apps": [app("db")]},
    ]
    done(marathon, "POST", "/v2/groups", {"id": "/tree", "groups": inner})
    assert order.read_text().split() == ["db", "service", "web"]
    removed(marathon, "/tree")


def test_enforce_role(marathon: Marathon, tmp_path: Path) -> None:
    """§7.1 GroupDeploy: enforceRole change 422; PATCH second level 422; top 200. MultiRole: apps in roles
    dev/metrics."""
    told = {**SLEEP, "cmd": f"echo $MARATHON_APP_ENFORCE_GROUP_ROLE >{tmp_path / 'told'}; exec sleep 1000"}
    done(marathon, "POST", "/v2/groups", {"id": "/dev", "enforceRole": True, "apps": [{"id": "app", **told}]})
    wait_for(lambda: (tmp_path / "told").read_text() == "TRUE\n", "the task is told so")
    done(marathon, "POST", "/v2/groups", {"id": "/metrics", "apps": [{"id": "app", **SLEEP, "role": "metrics"}]})
    assert (marathon.app("/dev/app")["role"], marathon.app("/metrics/app")["role"]) == ("dev", "metrics")
    body = {"enforceRole": False, "apps": [{"id": "app", **SLEEP, "mem": 17}]}
    assert marathon.ask("PUT", "/v2/groups/dev", body)[0] == 422
    assert marathon.ask("POST", "/v2/apps", {"id": "/dev/other", **SLEEP, "role": "*"})[0] == 422
    assert marathon.ask("PATCH", "/v2/groups/dev/inner", {"enforceRole": False})[0] in (404, 422)
    assert marathon.ask("PATCH", "/v2/groups/dev", {"enforceRole": False})[0] == 200
    assert marathon.ask("POST", "/v2/apps", {"id": "/dev/other", **SLEEP, "role": "*"})[0] == 201
    for name in ("/dev", "/metrics"):
        removed(marathon, name)


# Pods


def pod(name: str, *containers: dict[str, Any], instances: int = 1, **more: Any) -> dict[str, Any]:
    """A pod that runs at once."""
    scaling = {"kind": "fixed", "instances": instances}
    own = [{"name": f"c{index}", **UP, **one} for index, one in enumerate(containers or ({},))]
    return {"id": name, "containers": own, "scaling": scaling, **more}


def instances(marathon: Marathon, name: str, count: int) -> list[dict[str, Any]]:
    """The pod's instances, once so many are stable and no deployment of it runs."""

    def look() -> Any:
        status = marathon.ask("GET", f"/v2/pods{name}::status")[1]
        if name in str(marathon.ask("GET", "/v2/deployments")[1]) or len(status.get("instances", ())) != count:
            return None
        return all(one["status"] == "STABLE" for one in status["instances"]) and status["instances"]

    return list(wait_for(look, f"{name} has {count} stable instances"))


def test_pods_are_created_scaled_and_removed(marathon: Marathon) -> None:
    """§7.1 MesosApp: pod create; scale; delete; versions list; versions content; delete instance -> same id higher
    incarnation; wipe -> new id. §7.2 create_pod; multi_instance_pod; scale_up_pod; scale_down_pod; remove_pod;
    create_and_update_pod; head_request_to_pods_endpoint; event_channel_for_pods."""
    assert marathon.ask("HEAD", "/v2/pods")[0] == 200
    with Events(marathon, "pod_created_event", "pod_updated_event", "pod_deleted_event") as events:
        assert marathon.ask("POST", "/v2/pods", pod("/p"))[0] == 201
        (first,) = instances(marathon, "/p", 1)
        assert marathon.ask("PUT", "/v2/pods/p", pod("/p", instances=2))[0] == 200
        both = instances(marathon, "/p", 2)
        assert first["id"] in [one["id"] for one in both]
        versions = marathon.ask("GET", "/v2/pods/p::versions")[1]
        contents = [marathon.ask("GET", f"/v2/pods/p::versions/{one}")[1] for one in versions]
        assert sorted(one["scaling"]["instances"] for one in contents) == [1, 2]
        assert marathon.ask("PUT", "/v2/pods/p", pod("/p", instances=1))[0] == 200
        (left,) = instances(marathon, "/p", 1)
        assert marathon.ask("DELETE", f"/v2/pods/p::instances/{left['id']}")[0] == 200

        def task() -> str:
            status = marathon.ask("GET", "/v2/pods/p::status")[1]
            stable = [one for one in status["instances"] if one["status"] == "STABLE"]
            return str(stable[0]["containers"][0]["containerId"]) if stable else ""

        wait_for(lambda: task().startswith(left["id"]) and task().endswith(".2"), "the next incarnation")
        assert marathon.ask("DELETE", f"/v2/pods/p::instances/{left['id']}?wipe=true")[0] == 200
        wait_for(lambda: task() and not task().startswith(left["id"]), "another instance")
        assert marathon.ask("DELETE", "/v2/pods/p")[0] == 202
        wait_for(lambda: marathon.ask("GET", "/v2/pods/p")[0] == 404, "it is gone")
        events.wait("pod_deleted_event")
        kinds = [one for one in events.kinds() if one.startswith("pod_")]
        assert kinds == ["pod_created_event", "pod_updated_event", "pod_updated_event", "pod_deleted_event"]
    removed(marathon, "/p")


def test_deployments_of_pods(marathon: Marathon) -> None:
    """§7.1 MesosApp: force-cancel 202; rollback removes pod; UNIQUE pod stays 1 with UnfulfilledConstraint declined>=1;
    group delete removes pods. §7.2 two_pods_with_shared_volume; pod_restarts_on_nonzero_exit_code."""
    placement = {"placement": {"constraints": [{"fieldName": "hostname", "operator": "UNIQUE"}]}}
    assert marathon.ask("POST", "/v2/pods", pod("/pods/unique", instances=2, scheduling=placement))[0] == 201
    row = declined(marathon, "/pods/unique", "UnfulfilledConstraint")
    assert row["declined"] >= 1
    (item,) = [queued(marathon, "/pods/unique")]
    assert item is not None
    assert item["count"] == 1
    (plan,) = [one["id"] for one in marathon.ask("GET", "/v2/deployments")[1]]
    assert marathon.ask("DELETE", f"/v2/deployments/{plan}?force=true") == (202, None)
    assert marathon.ask("GET", "/v2/pods/pods/unique")[0] == 200
    nowhere = {"placement": {"constraints": [{"fieldName": "hostname", "operator": "LIKE", "value": "none"}]}}
    assert marathon.ask("POST", "/v2/pods", pod("/pods/back", scheduling=nowhere))[0] == 201
    (plan,) = [one["id"] for one in marathon.ask("GET", "/v2/deployments")[1] if "/pods/back" in one["affectedPods"]]
    assert marathon.ask("DELETE", f"/v2/deployments/{plan}")[0] == 200
    assert marathon.ask("GET", "/v2/pods/pods/back")[0] == 404

    def mounted(command: str) -> dict[str, Any]:
        return {"exec": {"command": {"shell": command}}, "volumeMounts": [{"name": "v", "mountPath": "here"}]}

    shared = pod(
        "/pods/shared",
        mounted("echo word >here/file; exec sleep 1000"),
        mounted("until grep -q word here/file; do sleep 0.05; done; exit 7"),
        volumes=[{"name": "v"}],
        scheduling={"backoff": {"backoff": 0}},
    )
    assert marathon.ask("POST", "/v2/pods", shared)[0] == 201

    def history() -> Any:
        return marathon.ask("GET", "/v2/pods/pods/shared::status")[1].get("terminationHistory")

    wait_for(history, "one container has read what the other wrote, and its end ended both")
    removed(marathon, "/pods")
    assert marathon.ask("GET", "/v2/pods")[1] == []


def test_pods_talk_and_are_checked(marathon: Marathon) -> None:
    """§7.1 MesosApp: health-checked pods. §7.2 pod_multi_port; pod_port_communication; pod_health_check;
    health_failed_check."""
    serve = f"exec {sys.executable} -S {SERVER} $ENDPOINT_WEB"
    check = {"http": {"endpoint": "web", "path": "/ping"}, **OF_POD}
    web = {"exec": {"command": {"shell": serve}}, "endpoints": [{"name": "web", "hostPort": 0}], "healthCheck": check}
    second = {"endpoints": [{"name": "one", "hostPort": 0}, {"name": "two", "hostPort": 0}]}
    talk = {
        "exec": {
            "command": {
                "shell": f"until {sys.executable} -c 'import os,urllib.request as u;"
                ' u.urlopen("http://127.0.0.1:"+os.environ["EP_HOST_WEB"]+"/ping")\'; do sleep 0.1; done;'
                " echo heard >heard; exec sleep 1000"
            }
        },
        "healthCheck": {"exec": {"command": {"shell": "test -e heard"}}, **OF_POD},
    }
    assert marathon.ask("POST", "/v2/pods", pod("/talk", web, second, talk))[0] == 201
    (one,) = instances(marathon, "/talk", 1)
    ports = [end["allocatedHostPort"] for each in one["containers"] for end in each.get("endpoints", [])]
    assert len(set(ports)) == 3

    def healthy() -> bool:
        (it,) = marathon.ask("GET", "/v2/pods/talk::status")[1]["instances"]
        return [each["endpoints"][0].get("healthy") for each in it["containers"] if each["name"] == "c0"] == [True]

    wait_for(healthy, "the check has passed")
    removed(marathon, "/talk")
    failing = {"http": {"endpoint": "web", "path": "/health"}, **OF_POD, "gracePeriodSeconds": 0}
    failing["maxConsecutiveFailures"] = 1
    bad = {**web, "healthCheck": failing, "environment": {"HEALTH": "/no-such-file"}}
    assert marathon.ask("POST", "/v2/pods", pod("/ill", bad))[0] == 201
    wait_for(lambda: marathon.ask("GET", "/v2/pods/ill::status")[1].get("terminationHistory"), "it is ended")
    removed(marathon, "/ill")


def test_a_pod_that_fails_waits_before_it_is_tried_again(marathon: Marathon) -> None:
    """§7.1 LaunchQueue: backed-off (pods)."""
    failing = {"exec": {"command": {"shell": FAILS["cmd"]}}}
    body = pod("/fails", failing, scheduling={"backoff": {"backoff": 100}})
    assert marathon.ask("POST", "/v2/pods", body)[0] == 201

    def late() -> Any:
        item = queued(marathon, "/fails")
        return item is not None and not item["delay"]["overdue"] and item["delay"]["timeLeftSeconds"] > 50

    wait_for(late, "its launch is delayed")
    removed(marathon, "/fails")
