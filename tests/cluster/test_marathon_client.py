"""Marathon's clients as they are in the world: PyPI's ``marathon``, and what reads like marathon-lb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.harness import cluster, get, wait_for
from tests.cluster.test_marathon_reads import Client

PROGRAM = Path(__file__).parent / "clients" / "marathon_client.py"
CLIENTS = Path(os.environ.get("HEADRACE_CLIENTS") or Path(sys.prefix) / "clients")
ABSENT = {"list_event_subscriptions", "create_event_subscription", "delete_event_subscription"}
"""Methods for what Marathon has not had since 1.5."""


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="make setup-test leaves the clients out")
def test_every_method_of_the_client(tmp_path: Path) -> None:
    assert (CLIENTS / "marathon").exists(), "the client is not installed: make setup-test"
    with cluster(tmp_path) as it:
        marathon = it.add_marathon()
        ended = subprocess.run(
            [sys.executable, PROGRAM, marathon.url],
            env={**os.environ, "PYTHONPATH": str(CLIENTS)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        wait_for(lambda: marathon.status is not None, "the leader goes")
        assert marathon.status == 103
    known = subprocess.run(
        [sys.executable, "-c", "import marathon; print(*(n for n in dir(marathon.MarathonClient) if n[0] != '_'))"],
        env={**os.environ, "PYTHONPATH": str(CLIENTS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert set(known.stdout.split()) - set(json.loads(ended.stdout)) == ABSENT | {"delete_leader"}


def test_a_load_balancer_finds_its_back_ends(tmp_path: Path) -> None:
    """It reads all apps with their tasks once, then follows the event stream and reads again."""
    with cluster(tmp_path) as it:
        marathon = it.add_marathon()
        client = Client(marathon)
        stream = client.open("/v2/events?event_type=status_update_event&event_type=health_status_changed_event")
        body = {
            "id": "/lb/web",
            "cmd": "exec python3 -m http.server --bind 127.0.0.1 $PORT0",
            "cpus": 0.1,
            "mem": 32,
            "instances": 2,
            "labels": {"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "web.test"},
            "portDefinitions": [{"port": 10080, "name": "http"}, {"port": 0}],
            "healthChecks": [{"protocol": "HTTP", "portIndex": 0, "path": "/", "intervalSeconds": 1}],
        }
        assert client.ask("POST", "/v2/apps", body)[0] == 201
        wait_for(lambda: len([one for one in stream.seen() if one.get("alive")]) == 2, "both are healthy")
        (app,) = get(f"{marathon.url}/v2/apps?embed=apps.tasks&label=HAPROXY_GROUP%3D%3Dexternal")["apps"]
        assert app["labels"]["HAPROXY_0_VHOST"] == "web.test"
        assert len(app["healthChecks"]) == 1
        for task in app["tasks"]:
            assert (task["servicePorts"][0], len(task["ports"]), task["state"]) == (10080, 2, "TASK_RUNNING")
            assert all(one["alive"] for one in task["healthCheckResults"])
            assert (task["host"], task["ipAddresses"][0]["ipAddress"]) == ("127.0.0.1", "127.0.0.1")
        started = [one for one in stream.seen() if one.get("taskStatus") == "TASK_RUNNING"]
        assert {one["taskId"] for one in started} == {one["id"] for one in app["tasks"]}
        assert all(one["ports"] and one["host"] and one["appId"] == "/lb/web" for one in started)
        stream.close()
