"""Every endpoint of Marathon's API against a real daemon with one agent: status, and the answer's shape."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from headrace.marathon.api.endpoints import ENDPOINTS
from tests.cluster.harness import cluster, wait_for

COMMAND = {"cmd": "exec sleep 1000", "cpus": 0.1, "mem": 16}
NOWHERE = {"constraints": [["hostname", "LIKE", "none"]]}
"""With it a deployment is under way until another one takes its place."""
POD = {
    "containers": [{"name": "one", "resources": {"cpus": 0.1, "mem": 16}, "exec": {"command": {"shell": "sleep 1000"}}}]
}
DEPLOYMENT = {"version", "deploymentId"}
APP = {"id", "cmd", "cpus", "mem", "instances", "version", "versionInfo", "networks", "upgradeStrategy", "role"}
LIVE = APP | {"tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy", "deployments"}
TASK = {"id", "appId", "host", "slaveId", "state", "ports", "stagedAt", "startedAt", "version", "ipAddresses", "role"}
GROUP = {"id", "apps", "groups", "pods", "dependencies", "version"}
PLAN = {
    *("id", "version", "affectedApps", "affectedPods", "steps", "currentActions", "currentStep", "totalSteps"),
}
QUEUED = {"count", "delay", "since", "processedOffersSummary", "app"}


class Marathon:
    """Asks, and remembers which endpoints were asked."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: set[tuple[str, str]] = set()
        self.headers: dict[str, str] = {}

    def __call__(self, status: int, method: str, pattern: str, body: Any = None, query: str = "", **names: str) -> Any:
        self.asked.add((method, pattern))
        path = pattern
        for name, value in names.items():
            path = path.replace("{" + name + "}", value)
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path + query, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            self.headers = dict(answer.getheaders())
            text = answer.read()
        finally:
            connection.close()
        assert answer.status == status, (method, path, answer.status, text)
        return json.loads(text) if text and answer.getheader("Content-Type") == "application/json" else text

    def settled(self) -> bool:
        under_way: list[Any] = self(200, "GET", "/v2/deployments")
        return not under_way


@pytest.fixture(scope="module")
def marathon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marathon]:
    with cluster(tmp_path_factory.mktemp("endpoints")) as it:
        yield Marathon(it.add_marathon().url.removeprefix("http://"))


def keys(found: Any, wanted: set[str]) -> Any:
    assert wanted <= set(found), wanted - set(found)
    return found


def test_every_endpoint(marathon: Marathon) -> None:
    apps(marathon)
    groups(marathon)
    pods(marathon)
    waiting(marathon)
    system(marathon)
    assert {(one.method, one.path) for one in ENDPOINTS} - marathon.asked == set()


def apps(ask: Marathon) -> None:
    first = keys(ask(201, "POST", "/v2/apps", {"id": "/g/a", **COMMAND}), LIVE)
    assert ask.headers["Location"] == "/g/a"
    assert [{"id": ask.headers["Marathon-Deployment-Id"]}] == first["deployments"]
    assert ask(409, "POST", "/v2/apps", {"id": "/g/a", **COMMAND})["message"] == "An app with id [/g/a] already exists."
    wait_for(ask.settled, "the app runs")
    keys(ask(200, "GET", "/v2/apps", query="?embed=apps.tasks")["apps"][0], LIVE | {"tasks"})
    assert ask(200, "GET", "/v2/apps", query="?id=none") == {"apps": []}
    shown = keys(ask(200, "GET", "/v2/apps/{id}", id="/g/a", query="?embed=app.taskStats")["app"], LIVE | {"taskStats"})
    keys(shown["tasks"][0], TASK | {"servicePorts"})
    keys(ask(200, "GET", "/v2/apps/{group}/*", group="g")["*"][0], LIVE)
    (task,) = ask(200, "GET", "/v2/apps/{id}/tasks", id="g/a")["tasks"]
    keys(task, TASK)
    keys(ask(200, "GET", "/v2/tasks", query="?status=running")["tasks"][0], TASK | {"servicePorts"})
    assert ask(200, "GET", "/v2/tasks", query="?status[]=staging") == {"tasks": []}
    (version,) = ask(200, "GET", "/v2/apps/{id}/versions", id="g/a")["versions"]
    keys(ask(200, "GET", "/v2/apps/{id}/versions/{version}", id="g/a", version=version), APP)
    assert "tasksRunning" not in ask(200, "GET", "/v2/apps/{id}/versions/{version}", id="g/a", version=version)
    for other in (version.replace("Z", "+00:00"), version.replace("Z", "000Z")):
        ask(200, "GET", "/v2/apps/{id}/versions/{version}", id="g/a", version=other)
    ask(422, "GET", "/v2/apps/{id}/versions/{version}", id="g/a", version="yesterday")
    ask(404, "GET", "/v2/apps/{id}", id="/none")
    ask(404, "GET", "/v2/apps/{id}", id="/g")  # a group
    kills(ask, task["id"])
    changes(ask)


def kills(ask: Marathon, task: str) -> None:
    assert keys(ask(200, "DELETE", "/v2/apps/{id}/tasks/{task}", id="g/a", task=task), {"task"})["task"]["id"] == task
    ask(404, "DELETE", "/v2/apps/{id}/tasks/{task}", id="g/a", task=task.replace("_app.1", "_app.7"))
    assert ask(200, "DELETE", "/v2/apps/{id}/tasks", id="g/a", query="?host=nowhere") == {"tasks": []}
    assert "scale and wipe" in ask(400, "POST", "/v2/tasks/delete", {"ids": []}, "?scale=true&wipe=True")["message"]
    assert ask(200, "POST", "/v2/tasks/delete", {"ids": []}) == {"tasks": []}


def changes(ask: Marathon) -> None:
    update = {"id": "/g/a", "labels": {"x": "y"}}
    keys(ask(200, "PUT", "/v2/apps", [update]), DEPLOYMENT)
    keys(ask(200, "PATCH", "/v2/apps", [update], "?force=True"), DEPLOYMENT)
    keys(ask(200, "PUT", "/v2/apps/{id}", {"labels": {}, **NOWHERE}, "?force=true", id="/g/a"), DEPLOYMENT)
    keys(ask(201, "PUT", "/v2/apps/{id}", COMMAND, id="/g/b"), DEPLOYMENT)
    keys(ask(200, "PATCH", "/v2/apps/{id}", {"instances": 0}, "?force=true", id="/g/b"), DEPLOYMENT)
    ask(404, "PATCH", "/v2/apps/{id}", {"instances": 0}, id="/none")
    nowhere = {"constraints": [["hostname", "LIKE", "none"]]}  # a deployment that lasts
    keys(ask(200, "PUT", "/v2/apps/{id}", nowhere, "?force=true", id="/g/a"), DEPLOYMENT)
    keys(ask(200, "POST", "/v2/apps/{id}/restart", id="/g/a", query="?force=true"), DEPLOYMENT)
    locked = ask(409, "POST", "/v2/apps/{id}/restart", id="/g/a")
    assert locked["message"].startswith("App is locked by one or more deployments.")
    keys(locked, {"deployments"})
    keys(ask(200, "PUT", "/v2/apps/{id}", {"constraints": []}, "?force=true", id="/g/a"), DEPLOYMENT)
    keys(ask(200, "PUT", "/v2/apps/{id}", {"constraints": []}, "?force=true", id="/g/a"), DEPLOYMENT)
    keys(ask(200, "DELETE", "/v2/apps/{id}", id="/g/b"), DEPLOYMENT)
    keys(ask(200, "GET", "/v2/apps/{id}/history", id="/g/a"), {"id", "instances", "deployments"})
    ask(404, "GET", "/v2/apps/{id}/history", id="/none")


def groups(ask: Marathon) -> None:
    keys(ask(201, "POST", "/v2/groups", {"id": "/h", "apps": [{"id": "one", **COMMAND, "instances": 0}]}), DEPLOYMENT)
    assert ask.headers["Location"] == "/h"
    keys(ask(201, "POST", "/v2/groups/{id}", {"groups": []}, id="/h/inner"), DEPLOYMENT)
    ask(409, "POST", "/v2/groups", {"id": "/h"})
    root = keys(ask(200, "GET", "/v2/groups"), GROUP)
    assert "enforceRole" not in root
    assert {one["id"] for one in root["groups"]} == {"/g", "/h"}
    assert "enforceRole" not in keys(ask(200, "GET", "/v2/groups/{id}", id="//h"), GROUP)
    assert ask(404, "GET", "/v2/groups/{id}", id="/none") == {"message": "Group '/none' does not exist"}
    keys(ask(200, "GET", "/v2/groups/{id}/apps", id="h")[0], APP)
    wait_for(ask.settled, "the group is there")
    steps = ask(200, "PUT", "/v2/groups/{id}", {"apps": []}, "?dryRun=true", id="/h")["steps"]
    assert steps == [{"actions": [{"action": "StopApplication", "app": "/h/one"}]}]
    keys(ask(200, "PUT", "/v2/groups/{id}", {"scaleBy": 2}, id="/h"), DEPLOYMENT)
    versions = ask(200, "GET", "/v2/groups/{id}/versions", id="h")
    keys(ask(200, "GET", "/v2/groups/{id}/versions/{version}", id="h", version=versions[-1]), GROUP)
    wait_for(ask.settled, "it is scaled")
    keys(
        ask(200, "PUT", "/v2/groups/{id}/versions/{version}", id="/h", version=versions[0], query="?force=False"),
        DEPLOYMENT,
    )
    assert ask(200, "PATCH", "/v2/groups/{id}", {"enforceRole": True}, id="/h") == b""
    assert ask(200, "GET", "/v2/groups/{id}", id="h")["enforceRole"] is True
    assert (
        ask(422, "PATCH", "/v2/groups/{id}", {"enforceRole": True}, id="/h/inner")["message"]
        == "Path needs to be top-level"
    )
    keys(ask(200, "PUT", "/v2/groups", {"dependencies": []}, "?force=true"), DEPLOYMENT)
    keys(ask(200, "DELETE", "/v2/groups/{id}", id="/h", query="?force=true"), DEPLOYMENT)


def pods(ask: Marathon) -> None:
    assert ask(200, "HEAD", "/v2/pods") == b""
    created = keys(
        ask(201, "POST", "/v2/pods", {"id": "/p", **POD}), {"id", "containers", "version", "scaling", "role"}
    )
    assert "Marathon-Deployment-Id" in ask.headers
    assert ask.headers["Location"] == "/p"
    assert [one["id"] for one in ask(200, "GET", "/v2/pods")] == ["/p"]
    assert ask(200, "GET", "/v2/pods/{id}", id="/p")["version"] == created["version"]
    ask(404, "GET", "/v2/apps/{id}", id="/p")
    wait_for(ask.settled, "the pod runs")
    status = keys(
        ask(200, "GET", "/v2/pods/{id}::status", id="/p"),
        {"id", "spec", "status", "statusSince", "instances", "lastUpdated"},
    )
    assert status["status"] == "STABLE"
    assert [one["id"] for one in ask(200, "GET", "/v2/pods/::status")] == ["/p"]
    (version,) = ask(200, "GET", "/v2/pods/{id}::versions", id="/p")
    assert ask(200, "GET", "/v2/pods/{id}::versions/{version}", id="/p", version=version)["id"] == "/p"
    (instance,) = status["instances"]
    keys(ask(200, "DELETE", "/v2/pods/{id}::instances/{instance}", id="/p", instance=instance["id"]), {"instanceId"})
    assert ask(200, "DELETE", "/v2/pods/{id}::instances", [], id="/p") == []
    assert ask(400, "PUT", "/v2/pods/{id}", {"id": "/q", **POD}, id="/p")["message"].startswith("'/p' does not match")
    keys(ask(200, "PUT", "/v2/pods/{id}", {"id": "/p", **POD}, "?force=true", id="/p"), {"id", "containers"})
    keys(ask(200, "GET", "/v2/pods/{id}::history", id="/p"), {"id", "instances", "deployments"})
    assert ask(202, "DELETE", "/v2/pods/{id}", id="/p", query="?force=true") == b""
    assert ask.headers["Location"] == ask.headers["Marathon-Deployment-Id"]


def waiting(ask: Marathon) -> None:
    """What can't be placed is in the queue, and its deployment stays."""
    ask(201, "POST", "/v2/apps", {"id": "/w", **COMMAND, **NOWHERE})
    ask(201, "POST", "/v2/apps", {"id": "/v", **COMMAND, **NOWHERE})
    under_way = ask(200, "GET", "/v2/deployments")
    plans = [keys(one, PLAN) for one in under_way if {"/v", "/w"} & set(one["affectedApps"])]
    first, second = (one["id"] for one in plans)
    keys(ask(200, "GET", "/v2/deployments/{id}", id=first), PLAN)

    def processed() -> Any:
        queued = ask(200, "GET", "/v2/queue", query="?embed=lastUnusedOffers")["queue"]
        (mine,) = [one for one in queued if one.get("app", {}).get("id") == "/w"]
        return mine if mine["processedOffersSummary"]["processedOffersCount"] else None

    item = keys(wait_for(processed, "an offer is looked at"), QUEUED | {"lastUnusedOffers"})
    assert item["delay"] == {"timeLeftSeconds": 0, "overdue": True}
    reasons = {one["reason"]: one["declined"] for one in item["processedOffersSummary"]["rejectSummaryLastOffers"]}
    assert len(reasons) == 10
    assert reasons["UnfulfilledConstraint"] >= 1
    assert ask(204, "DELETE", "/v2/queue/{id}/delay", id="/w") == b""
    assert ask(404, "DELETE", "/v2/queue/{id}/delay", id="/g/none")["message"].startswith(
        "Application /g/none not found"
    )
    assert ask(202, "DELETE", "/v2/deployments/{id}", id=first, query="?force=true") == b""
    keys(ask(200, "DELETE", "/v2/deployments/{id}", id=second), DEPLOYMENT)
    assert ask(404, "DELETE", "/v2/deployments/{id}", id="x") == {"message": "DeploymentPlan x does not exist"}
    keys(ask(200, "DELETE", "/v2/groups", query="?force=true"), DEPLOYMENT)
    wait_for(ask.settled, "everything is gone")
    assert ask(200, "GET", "/v2/apps") == {"apps": []}


def system(ask: Marathon) -> None:
    for path in ("/ui/", "/help"):
        assert b"<table" in ask(200, "GET", path) or path == "/ui/"
        assert ask.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert ask(302, "GET", "/") == b""
    assert ask.headers["Location"] == "/ui/"
    assert ask(200, "GET", "/ping") == b"pong"
    info = ask(200, "GET", "/v2/info")
    assert set(info) == {
        *("name", "version", "buildref", "elected", "leader", "frameworkId", "marathon_config", "zookeeper_config"),
        "http_config",
    }
    assert (len(info["marathon_config"]), len(info["zookeeper_config"])) == (41, 8)
    assert info["leader"] == ask.address == f"{info['marathon_config']['hostname']}:{info['http_config']['http_port']}"
    assert ask(200, "GET", "/v2/leader") == {"leader": ask.address}
    assert ask.headers["X-Marathon-Leader"] == f"http://{ask.address}"
    assert ask(200, "GET", "/v2/plugins") == {"plugins": []}
    metrics = ask(200, "GET", "/metrics")
    assert metrics["version"] == "4.0.0"
    assert metrics["counters"]["marathon.tasks.launched.counter"]["count"] >= 3
    assert b"# TYPE marathon_apps_active_gauge gauge\nmarathon_apps_active_gauge 0\n" in ask(
        200, "GET", "/metrics/prometheus"
    )
    assert ask(200, "GET", "/config")["http_port"] is not None
    assert ask(200, "GET", "/logging")["ROOT"] == "INFO"
    asked = {"logger": "headrace.test", "level": "DEBUG", "durationSeconds": 600}
    assert ask(200, "POST", "/logging", asked) == asked
    assert ask(200, "GET", "/logging")["headrace.test"] == "DEBUG"
    ask(422, "POST", "/logging", {"logger": "x", "level": "LOUD"})
    ask(405, "GET", "/v2/events")
    ask(404, "GET", "/v2/nothing")
    ask(405, "DELETE", "/v2/info")
    assert ask(200, "OPTIONS", "/v2/apps") == b""
    assert ask.headers["Allow"] == "GET, HEAD, PATCH, POST, PUT, OPTIONS"
    assert ask(200, "HEAD", "/v2/info") == b""
    for name in ("Cache-Control", "Pragma", "Expires", "X-Frame-Options", "X-XSS-Protection", "X-Marathon-Leader"):
        assert name in ask.headers
    ask(422, "DELETE", "/v2/leader", query="?backup=file:///b")
    assert ask(200, "DELETE", "/v2/leader") == {"message": "Leadership abdicated"}
