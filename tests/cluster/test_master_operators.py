"""Operators' orders over HTTP at a real master with a real agent: quota, weights, reservations, maintenance."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.harness import Cluster, cluster, get, wait_for

CPUS = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}}


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("operators")) as running:
        wait_for(lambda: get(running.master.url + "/slaves")["slaves"], "the agent is registered")
        yield running


def send(url: str, body: Any, method: str = "POST", kind: str = "application/json") -> tuple[int, str, str]:
    """Status, content type and text of the answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)  # noqa: S310 - our own master
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, answer.headers.get("Content-Type", ""), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Content-Type", ""), error.read().decode()


def order(it: Cluster, kind: str, **body: Any) -> tuple[int, str]:
    status, _, text = send(it.master.url + "/api/v1", {"type": kind, **body})
    return status, text


def asked(it: Cluster, kind: str) -> Any:
    status, content_type, text = send(it.master.url + "/api/v1", {"type": kind})
    assert (status, content_type) == (200, "application/json")
    return json.loads(text)


def form(it: Cluster, path: str, **fields: Any) -> tuple[int, str]:
    data = urllib.parse.urlencode({k: v if isinstance(v, str) else json.dumps(v) for k, v in fields.items()}).encode()
    status, _, text = send(it.master.url + path, data, kind="application/x-www-form-urlencoded")
    return status, text


def agents(it: Cluster) -> list[dict[str, Any]]:
    return [agent for agent in get(it.master.url + "/slaves")["slaves"] if agent["active"]]


def test_quota(it: Cluster) -> None:
    url = it.master.url
    assert get(url + "/quota") == {}
    assert asked(it, "GET_QUOTA") == {"type": "GET_QUOTA", "get_quota": {"status": {}}}
    config = {"role": "qr", "guarantees": {"cpus": {"value": 1.0}}, "limits": {"cpus": {"value": 2.0}}}
    assert order(it, "UPDATE_QUOTA", update_quota={"quota_configs": [config]}) == (200, "")
    expected = {"infos": [{"role": "qr", "guarantee": [CPUS]}], "configs": [config]}
    assert get(url + "/master/quota") == expected
    assert asked(it, "GET_QUOTA")["get_quota"]["status"] == expected
    (role,) = [role for role in get(url + "/roles")["roles"] if role["name"] == "qr"]
    assert role["quota"] == {"role": "qr", "guarantee": {"cpus": 1.0}, "limit": {"cpus": 2.0}, "consumed": {}}
    assert send(url + "/quota", {"role": "old", "guarantee": [CPUS], "force": True})[0] == 200
    assert send(url + "/quota", {"role": "big", "guarantee": [{**CPUS, "scalar": {"value": 500}}]})[0] == 409
    assert send(url + "/master/quota/old", b"", "DELETE")[0] == 200
    status, _, text = send(url + "/master/quota/old", b"", "DELETE")
    assert (status, text) == (
        400,
        "Failed to remove quota for path '/master/quota/old': Role 'old' has no quota set",
    )
    status, _, text = send(url + "/quota", b"", "PUT")
    allowed = "'GET', 'POST', 'DELETE'"
    assert (status, text) == (405, f"405 Method Not Allowed. Expecting one of {{ {allowed} }}, but received 'PUT'.")
    assert send(url + "/quota", b"{")[0] == 400


def test_weights(it: Cluster) -> None:
    url = it.master.url
    assert get(url + "/weights") == []
    assert asked(it, "GET_WEIGHTS") == {"type": "GET_WEIGHTS"}
    assert send(url + "/weights", [{"role": "wr", "weight": 2.5}], "PUT")[0] == 200
    assert get(url + "/master/weights") == [{"role": "wr", "weight": 2.5}]
    assert asked(it, "GET_WEIGHTS")["get_weights"] == {"weight_infos": [{"weight": 2.5, "role": "wr"}]}
    status, _, text = send(url + "/weights", [{"role": "wr", "weight": 0}], "PUT")
    assert (status, text) == (
        400,
        "Failed to validate update weights request JSON for role 'wr': Invalid weight '0': Weights must be positive",
    )


def test_v0_reservations(it: Cluster) -> None:
    (agent,) = agents(it)
    cpus = [{**CPUS, "scalar": {"value": 0.5}, "role": "v0", "reservation": {}}]
    assert form(it, "/master/reserve", slaveId=agent["id"], resources=cpus) == (202, "")
    (after,) = agents(it)
    assert after["reserved_resources"] == {"v0": {"disk": 0.0, "mem": 0.0, "gpus": 0.0, "cpus": 0.5}}
    assert after["unreserved_resources"]["cpus"] == 7.5
    assert after["resources"] == agent["resources"]
    full = {**cpus[0], "reservations": [{"type": "DYNAMIC", "role": "v0"}]}
    assert after["reserved_resources_full"] == {"v0": [full]}
    assert form(it, "/unreserve", slaveId=agent["id"], resources=cpus) == (202, "")
    assert agents(it) == [agent]
    missing = (400, "Missing 'slaveId' query parameter in the request body")
    assert form(it, "/reserve", resources=cpus) == missing
    assert form(it, "/reserve", slaveId=agent["id"])[0] == 400
    assert form(it, "/create-volumes", slaveId=agent["id"], volumes="[")[0] == 400
    assert form(it, "/reserve", slaveId="nope", resources=cpus) == (400, "No agent found with specified ID")


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"type": "UNKNOWN"}, 501, "501 Not Implemented."),
        ({"type": "READ_FILE"}, 400, "Failed to validate master::Call: Expecting 'read_file' to be present"),
        ({"type": "NONSENSE"}, 400, "Failed to validate master::Call: Expecting 'type' to be present"),
        ({}, 400, "Failed to validate master::Call: Expecting 'type' to be present"),
        ({"type": "RESERVE_RESOURCES"}, 400, "Failed to validate master::Call: Expecting 'reserve_resources' to be"),
        ({"type": "REMOVE_QUOTA", "remove_quota": {}}, 400, "Failed to convert JSON into Call protobuf: Missing req"),
        ([], 400, "Failed to convert JSON into Call protobuf: Expecting a JSON object"),
    ],
)
def test_calls_that_make_no_sense(it: Cluster, body: Any, status: int, text: str) -> None:
    code, _, said = send(it.master.url + "/api/v1", body)
    assert code == status
    assert said.startswith(text)


def test_a_machine_goes_down_and_comes_up(it: Cluster) -> None:
    url = it.master.url
    (agent,) = agents(it)
    machine = {"hostname": agent["hostname"], "ip": "127.0.0.1"}
    start = {"start": {"nanoseconds": time.time_ns()}}
    windows = {"windows": [{"machine_ids": [machine], "unavailability": start}]}
    assert send(url + "/machine/down", [machine])[0] == 400
    assert send(url + "/maintenance/schedule", windows)[0] == 200
    assert get(url + "/maintenance/schedule") == windows
    assert get(url + "/maintenance/status") == {"draining_machines": [{"id": machine}]}
    assert send(url + "/machine/down", [machine])[0] == 200
    assert get(url + "/master/maintenance/status") == {"down_machines": [machine]}
    assert agents(it) == []
    it.master.kill()
    it.master.start()
    assert asked(it, "GET_MAINTENANCE_STATUS")["get_maintenance_status"] == {"status": {"down_machines": [machine]}}
    assert agents(it) == []
    assert order(it, "STOP_MAINTENANCE", stop_maintenance={"machines": [machine]}) == (200, "")
    assert asked(it, "GET_MAINTENANCE_SCHEDULE")["get_maintenance_schedule"] == {"schedule": {}}
    (back,) = wait_for(lambda: agents(it), "the agent is back by itself")
    assert back["id"] != agent["id"], "as a new one"


def test_after_sigkill_everything_is_as_it_was(it: Cluster) -> None:
    for _ in range(2):
        it.add_agent("--resources", "cpus:1;mem:64;disk:64")
    wait_for(lambda: len(agents(it)) == 3, "three agents are registered")
    before = sorted(agent["id"] for agent in agents(it))
    quota, weights = get(it.master.url + "/quota"), get(it.master.url + "/weights")
    it.master.kill()
    it.master.start()
    wait_for(lambda: len(agents(it)) == 3, "all agents are registered again")  # the bench says how soon
    assert sorted(agent["id"] for agent in agents(it)) == before
    assert (get(it.master.url + "/quota"), get(it.master.url + "/weights")) == (quota, weights)


def test_an_agent_that_is_marked_gone_ends(it: Cluster) -> None:
    known = {agent["pid"].rpartition(":")[2]: agent["id"] for agent in agents(it)}
    last = it.agents.pop()
    gone = known[last.url.rpartition(":")[2]]
    mark = {"mark_agent_gone": {"agent_id": {"value": gone}}}
    assert order(it, "MARK_AGENT_GONE", **mark) == (200, "")
    assert last.stop(0) == 0, "it ends by itself"
    assert gone not in [agent["id"] for agent in agents(it)]
    assert order(it, "MARK_AGENT_GONE", **mark) == (200, "")
