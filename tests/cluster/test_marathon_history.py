"""What Marathon has not got, with real daemons: history, reasons, an instance on every agent, calls before the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import PORTS, RESOURCES, Cluster, cluster, wait_for
from tests.cluster.house import HEADRACE
from tests.cluster.test_marathon_apps import SLEEP, Marathon

FIRST_PORT = int(PORTS.strip("[]").partition("-")[0])
ONE_OF_TWO = f"cpus:8;mem:8192;ports:[{FIRST_PORT}-{FIRST_PORT + 99}]"
OTHER_OF_TWO = f"cpus:8;mem:8192;ports:[{FIRST_PORT + 100}-{FIRST_PORT + 199}]"


@pytest.fixture
def it(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """With one agent; its resources may be given."""
    with cluster(tmp_path, resources=getattr(request, "param", RESOURCES)) as made:
        yield made


def test_what_ended_and_what_waits(it: Cluster, tmp_path: Path) -> None:
    marathon = Marathon(it)

    def headrace(*words: str) -> str:
        command = [str(HEADRACE), *words, "--marathon", str(marathon.daemon.url)]
        return str(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)

    bad = {**SLEEP, "id": "/bad", "cmd": "echo hi; echo no such file >&2; exit 3", "backoffSeconds": 600}
    marathon.deploy("POST", "/v2/apps", bad)

    def ended() -> Any:
        found = marathon.ask("GET", "/v2/apps/bad/history")[1]["instances"]
        return found and found[0].get("lastLines") and found[0]

    one = wait_for(ended, "the end of the task and its last lines")
    assert (one["exitStatus"], one["cause"], one["state"]) == (3, "ended", "TASK_FAILED")
    assert one["lastLines"]["stdout"][-1] == "hi"
    assert "no such file" in one["lastLines"]["stderr"]
    assert "no such file" in headrace("app", "history", "/bad", "--lines")
    assert "as tasks keep ending" in headrace("app", "show", "/bad")

    wide = marathon.deploy("POST", "/v2/apps", {**SLEEP, "id": "/wide", "cpus": 1000})
    wait_for(lambda: "needs 1000 cpus on one agent" in headrace("deployment", "show", wide), "the reason")
    marathon.ask("DELETE", f"/v2/deployments/{wide}?force=true")
    assert marathon.deploy("DELETE", "/v2/apps/bad")
    late = tmp_path / "late.json"
    late.write_text(json.dumps({**SLEEP, "id": "/late", "cpus": 1000}))
    headrace("app", "create", str(late), "--deadline", "1")
    wait_for(lambda: marathon.ask("GET", "/v2/apps/late")[0] == 404, "the app is undone")
    assert "its deadline has passed" in headrace("deployment", "list", "--ended")
    assert it.marathon is not None
    it.marathon.kill()
    it.marathon.start()
    wait_for(lambda: "cancelled" in headrace("deployment", "list", "--ended"), "the cancelled deployment")
    assert "cancelled through the API" in headrace("deployment", "show", wide)
    kept = json.loads(headrace("app", "history", "/bad", "--json"))
    assert kept["instances"][-1]["lastLines"] == one["lastLines"]


LEAVER = (
    "import http.server,os,pathlib\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "  def do_GET(self):\n"
    '    left=pathlib.Path(os.environ["LEFT"],os.environ["MESOS_TASK_ID"]); left.write_text(self.path)\n'
    "    self.send_response(200); self.end_headers()\n"
    "  def log_message(self,*a): pass\n"
    'http.server.HTTPServer(("127.0.0.1",int(os.environ["PORT0"])),H).serve_forever()\n'
)


@pytest.mark.parametrize("it", [ONE_OF_TWO], indirect=True, ids=["its ports are not the other agent's"])
def test_an_instance_on_every_agent_that_is_asked_before_its_end(it: Cluster, tmp_path: Path) -> None:
    left, script = tmp_path / "left", tmp_path / "leaver.py"
    left.mkdir()
    script.write_text(LEAVER)
    marathon = Marathon(it)
    body = {
        "id": "/guard",
        "cmd": f"exec {sys.executable} {script}",
        "cpus": 0.1,
        "mem": 32,
        "env": {"LEFT": str(left)},
        "instancesPer": "agent",
        "preStop": {"http": {"path": "/leave"}, "deadlineSeconds": 120},
        "readinessChecks": [{"portName": "web", "path": "/ready", "intervalSeconds": 61, "timeoutSeconds": 60}],
        "portDefinitions": [{"port": 0, "name": "web"}],
    }
    marathon.deploy("POST", "/v2/apps", body)
    first = marathon.settled("/guard", 1)
    it.add_agent("--resources", OTHER_OF_TWO)
    both = marathon.settled("/guard", 2)
    assert first < both
    wait_for(lambda: both == {one.name for one in left.iterdir()}, "both answer")
    assert len({task["slaveId"] for task in marathon.app("/guard")["tasks"]}) == 2
    assert marathon.app("/guard")["instances"] == 2
    assert marathon.ask("PATCH", "/v2/apps/guard", {"instances": 5})[0] == 422
    marathon.deploy("PATCH", "/v2/apps/guard", {"labels": {"changed": "yes"}})
    renewed = marathon.settled("/guard", 2)
    assert not renewed & both
    marathon.deploy("DELETE", "/v2/apps/guard")
    wait_for(lambda: not marathon.ask("GET", "/v2/tasks")[1]["tasks"], "the end of all")
    texts = {one.name: one.read_text() for one in left.iterdir()}
    assert {task for task, text in texts.items() if text == "/leave"} == both | renewed
