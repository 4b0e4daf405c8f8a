"""Pods with real master and agents: containers that start together, share ports and volumes, and go together."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import cluster, wait_for
from tests.cluster.test_marathon_apps import Marathon

SMALL = {"cpus": 0.1, "mem": 16}
SERVE = f"exec {sys.executable} -m http.server --bind 127.0.0.1 $EP_HOST_WEB"
POD: dict[str, Any] = {
    "id": "/shop/pod",
    "containers": [
        {
            "name": "web",
            "resources": SMALL,
            "exec": {"command": {"shell": SERVE}},
            "endpoints": [{"name": "web", "hostPort": 0}],
            "volumeMounts": [{"name": "shared", "mountPath": "data"}],
            "healthCheck": {
                "http": {"endpoint": "web", "path": "/data/word"},
                "intervalSeconds": 2,
                "timeoutSeconds": 1,
                "maxConsecutiveFailures": 1000,
                "delaySeconds": 0,
            },
        },
        {
            "name": "writer",
            "resources": SMALL,
            "exec": {"command": {"shell": "echo $WORD >here/new; mv here/new here/word; exec sleep 1000"}},
            "environment": {"WORD": "hello"},
            "volumeMounts": [{"name": "shared", "mountPath": "here"}],
        },
    ],
    "volumes": [{"name": "shared"}],
}


@pytest.fixture
def marathon(tmp_path: Path) -> Iterator[Marathon]:
    with cluster(tmp_path) as it:
        yield Marathon(it)


def stable(marathon: Marathon, instances: int, incarnation: str = "") -> list[dict[str, Any]]:
    """The instances, once all of them are stable and healthy, of this incarnation if given, and no deployment runs."""

    def look() -> Any:
        status = marathon.ask("GET", "/v2/pods/shop/pod::status")[1]
        good = status["status"] == "STABLE" and len(status["instances"]) == instances

        def healthy() -> bool:
            return all(
                one["containers"][0].get("conditions") and one["containers"][0]["containerId"].endswith(incarnation)
                for one in status["instances"]
            )

        return good and healthy() and not marathon.ask("GET", "/v2/deployments")[1] and status["instances"]

    return list(wait_for(look, f"{instances} stable instances"))


def test_a_pod_lives_scales_changes_and_goes(marathon: Marathon) -> None:
    status, pod = marathon.ask("POST", "/v2/pods", POD)
    assert (status, pod["scaling"]) == (201, {"kind": "fixed", "instances": 1})
    (instance,) = stable(marathon, 1)
    port = instance["containers"][0]["endpoints"][0]["allocatedHostPort"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/data/word")
    assert connection.getresponse().read() == b"hello\n"
    connection.close()

    status, pod = marathon.ask("PUT", "/v2/pods/shop/pod", {**POD, "scaling": {"kind": "fixed", "instances": 2}})
    assert status == 200
    both = stable(marathon, 2)
    assert instance["id"] in [one["id"] for one in both]
    assert len(marathon.ask("GET", "/v2/pods/shop/pod::versions")[1]) == 2

    changed = {**POD, "scaling": {"kind": "fixed", "instances": 1}, "environment": {"NEW": "1"}}
    assert marathon.ask("PUT", "/v2/pods/shop/pod", changed)[0] == 200
    (last,) = stable(marathon, 1)
    assert last["id"] not in [one["id"] for one in both]

    status, killed = marathon.ask("DELETE", f"/v2/pods/shop/pod::instances/{last['id']}")
    assert (status, killed["instanceId"]["idString"]) == (200, last["id"])
    (again,) = stable(marathon, 1, ".2")
    assert again["id"] == last["id"]

    assert marathon.ask("DELETE", "/v2/pods/shop/pod")[0] == 202
    wait_for(lambda: not marathon.ask("GET", "/v2/deployments")[1], "the pod is gone")
    assert marathon.ask("GET", "/v2/pods/shop/pod")[0] == 404


def test_sigkill_of_marathon_touches_no_pod(marathon: Marathon) -> None:
    marathon.ask("POST", "/v2/pods", POD)
    (before,) = stable(marathon, 1)
    marathon.daemon.kill()
    marathon.daemon.start()
    (after,) = stable(marathon, 1)
    assert after["containers"][0]["containerId"] == before["containers"][0]["containerId"]
    assert after["id"] == before["id"]
