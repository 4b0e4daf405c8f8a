"""``headrace node|role|quota|weight|maintenance|task`` against real daemons: a service moves, and comes to no harm."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from headrace.cli.main import main
from tests.cluster.harness import Cluster, Daemon, cluster, get, wait_for

APP = {
    "id": "/web",
    "cmd": "trap '' TERM; while :; do sleep 0.1; done",
    "cpus": 0.1,
    "mem": 32,
    "instances": 1,
    "taskKillGracePeriodSeconds": 1,
}
SECONDS = 60
"""Patience with a loaded machine."""


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Daemon]]:
    with cluster(tmp_path_factory.mktemp("commands"), agents=2) as running:
        marathon = running.add_marathon()
        yield running, marathon


def headrace(it: tuple[Cluster, Daemon], *arguments: str, status: int = 0) -> str:
    environment = {"HEADRACE_MASTER": it[0].master.url, "HEADRACE_MARATHON": it[1].url}
    result = CliRunner().invoke(main, list(arguments), env=environment)
    assert result.exit_code == status, result.output
    return result.output


def nodes(it: tuple[Cluster, Daemon]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in json.loads(headrace(it, "node", "list", "--json"))["slaves"]}


def web(it: tuple[Cluster, Daemon]) -> Any:
    """The running task of the app, if there is just one."""
    rows = [one for one in get(it[1].url + "/v2/apps/web/tasks")["tasks"] if one["state"] == "TASK_RUNNING"]
    return rows[0] if len(rows) == 1 else None


def test_a_drained_node_is_empty_and_its_service_is_elsewhere(it: tuple[Cluster, Daemon], tmp_path: Any) -> None:
    (tmp_path / "app.json").write_text(json.dumps(APP))
    headrace(it, "app", "create", str(tmp_path / "app.json"), "--wait")
    task = wait_for(lambda: web(it), "the app runs", SECONDS)
    node = task["slaveId"]
    assert task["id"] in headrace(it, "node", "show", node)
    assert "TASK_RUNNING" in headrace(it, "task", "show", task["id"])
    assert "is drained" in headrace(it, "node", "drain", node, "--grace", "0.5", "--wait", "--yes")
    moved = wait_for(lambda: web(it), "the app runs elsewhere", SECONDS)
    assert moved["slaveId"] != node
    (seen,) = get(it[0].master.url + f"/master/slaves?slave_id={node}")["slaves"]
    assert (seen["active"], seen["deactivated"], seen["drain_info"]["state"]) == (False, True, "DRAINED")
    # it holds whatever becomes of master and agent
    it[0].master.kill()
    it[0].master.start()
    wait_for(lambda: len(nodes(it)) == 2, "both agents are registered again", SECONDS)
    assert nodes(it)[node]["drain_info"]["state"] == "DRAINED"
    assert web(it)["id"] == moved["id"]
    headrace(it, "node", "reactivate", node)
    assert nodes(it)[node]["active"]
    assert "drain_info" not in nodes(it)[node]


def test_an_agent_that_is_away_is_drained_when_it_is_back(it: tuple[Cluster, Daemon]) -> None:
    task = wait_for(lambda: web(it), "the app runs", SECONDS)
    node = task["slaveId"]
    port = nodes(it)[node]["port"]
    agent = next(one for one in it[0].agents if one.url.endswith(f":{port}"))
    agent.kill()
    wait_for(lambda: not nodes(it)[node]["active"], "the master knows", SECONDS)
    headrace(it, "node", "drain", node, "--grace", "0", "--yes")
    assert "draining" in headrace(it, "node", "show", node)
    assert "can't be called off" in headrace(it, "node", "reactivate", node, status=1)
    agent.start()
    wait_for(lambda: nodes(it)[node]["drain_info"]["state"] == "DRAINED", "it is drained", SECONDS)
    assert wait_for(lambda: web(it), "the app runs elsewhere", SECONDS)["slaveId"] != node
    headrace(it, "node", "reactivate", node)


def test_roles_quota_and_weights(it: tuple[Cluster, Daemon]) -> None:
    headrace(it, "weight", "set", "dev", "2")
    assert headrace(it, "weight", "list").splitlines()[-1].split() == ["dev", "2"]
    headrace(it, "quota", "set", "dev", "--guarantee", "cpus:1", "--limit", "cpus:2;mem:512")
    headrace(it, "quota", "update", "dev", "--limit", "cpus:3")
    config = json.loads(headrace(it, "quota", "list", "--json"))["configs"][0]
    assert config["limits"] == {"cpus": {"value": 3.0}, "mem": {"value": 512.0}}
    assert "exceed cluster capacity" in headrace(it, "quota", "set", "big", "--guarantee", "cpus:1000", status=1)
    assert "dev" in [line.split()[0] for line in headrace(it, "role", "list").splitlines()]
    headrace(it, "quota", "remove", "dev")
    assert "cpus 3" not in headrace(it, "quota", "list")


def test_maintenance(it: tuple[Cluster, Daemon]) -> None:
    headrace(it, "maintenance", "schedule", "spare@10.9.9.9", "--duration", "60")
    host = next(iter(nodes(it).values()))["hostname"]
    headrace(it, "maintenance", "schedule", host, "--start", "+3600", "--duration", "60")
    assert "maintenance  from " in headrace(it, "node", "show", next(iter(nodes(it))))
    assert len(headrace(it, "maintenance", "status").splitlines()) == 3
    headrace(it, "maintenance", "start", "spare", "--yes")
    assert "deactivated and cannot be removed" in headrace(it, "maintenance", "cancel", "spare", status=1)
    headrace(it, "maintenance", "stop", "spare")
    headrace(it, "maintenance", "cancel", "--all")
    assert "No maintenance is planned." in headrace(it, "maintenance", "status")


def test_a_task_is_killed_and_started_anew(it: tuple[Cluster, Daemon]) -> None:
    before = wait_for(lambda: web(it), "the app runs", SECONDS)
    headrace(it, "task", "kill", before["id"])
    wait_for(lambda: (now := web(it)) and now["id"] != before["id"], "another one runs", SECONDS)
    headrace(it, "task", "kill", before["id"], status=3)


def test_a_node_that_is_drained_for_good_is_gone(it: tuple[Cluster, Daemon]) -> None:
    node = wait_for(lambda: web(it), "the app runs", SECONDS)["slaveId"]
    port = nodes(it)[node]["port"]
    agent = next(one for one in it[0].agents if one.url.endswith(f":{port}"))
    assert "is gone" in headrace(it, "node", "drain", node, "--grace", "0", "--gone", "--yes", "--wait")
    wait_for(lambda: agent.status is not None, "its agent has ended", SECONDS)
    assert node not in nodes(it)
    assert wait_for(lambda: web(it), "the app runs elsewhere", SECONDS)["slaveId"] != node
    agent.stop(signal.SIGKILL)
