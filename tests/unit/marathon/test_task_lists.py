"""What others' clients read: tasks of apps that wait, fail and run; lines for scripts; keys that old ones refuse."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.marathon.core.events import ChangeGroup
from tests.unit.marathon.simulation import ORIGIN
from tests.unit.marathon.test_api import Home

PORTS: dict[str, Any] = {"portDefinitions": [{"port": 10080}, {"port": 10081}]}
TEXT = "text/plain"


async def body(it: Home, path: str, accept: str = "*/*") -> Any:
    response = await it("GET", path, accept=accept)
    assert response.status == 200
    assert isinstance(response.body, bytes)
    return msgspec.json.decode(response.body)


def three() -> Home:
    """An app that waits, one that fails, and one that runs with one instance of two."""
    it = Home()
    it.cluster.create("/fails", backoffSeconds=100, **PORTS)
    it.cluster.offer()
    (failed,) = it.cluster.alive()
    it.cluster.status(failed, "TASK_FAILED")
    it.cluster.create("/team/runs", **PORTS)
    it.cluster.offer()
    it.cluster.run_all()
    it.cluster.create("/waits", cpus=1000, **PORTS)
    it.cluster.offer()
    return it


def back_ends(apps: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """As marathon-lb reads tasks: it asks each for its host, and later for its ports, whatever it is doing."""
    out = []
    for app in apps:
        for task in app["tasks"]:
            if not task["host"]:
                continue
            out += [(app["id"], task["host"], port) for port in task["ports"]]
    return out


async def test_marathon_lb_reads_on_when_an_app_waits_or_fails() -> None:
    it = three()
    found = back_ends((await body(it, "/v2/apps?embed=apps.tasks"))["apps"])
    ports = it.cluster.instances("/team/runs")[0].ports
    assert found == [("/team/runs", "host-1", port) for port in ports]
    assert len(ports) == 2


async def test_what_has_no_task_is_in_no_list_of_tasks() -> None:
    it = three()
    assert [one["appId"] for one in (await body(it, "/v2/tasks"))["tasks"]] == ["/team/runs"]
    for app, count in (("waits", 0), ("fails", 0), ("team/runs", 1)):
        assert len((await body(it, f"/v2/apps/{app}/tasks"))["tasks"]) == count
        assert len((await body(it, f"/v2/apps/{app}"))["app"]["tasks"]) == count
    assert [one["appId"] for one in (await body(it, "/v2/apps/team/*/tasks"))["tasks"]] == ["/team/runs"]
    it.cluster.advance(101)
    it.cluster.offer()
    (starting,) = (await body(it, "/v2/apps/fails"))["app"]["tasks"]
    assert (starting["state"], starting["host"], len(starting["ports"])) == ("TASK_STAGING", "host-1", 2)


@pytest.mark.parametrize("accept", ["text/plain", "text/*, application/json;q=0.5", "text/plain;q=0.9, */*;q=0.8"])
async def test_lines_for_scripts(accept: str) -> None:
    it = three()
    first, second = it.cluster.instances("/team/runs")[0].ports
    runs = f"team_runs\t10080\thost-1:{first}\t\nteam_runs\t10081\thost-1:{second}\t\n"
    everything = await it("GET", "/v2/tasks", accept=accept)
    assert everything.content_type is not None
    assert everything.content_type.startswith("text/plain")
    others = "fails\t10080\t\nfails\t10081\t\n", "waits\t10080\t\nwaits\t10081\t\n"
    assert everything.body == (others[0] + runs + others[1]).encode()
    for path in ("/v2/apps/team/runs/tasks", "/v2/apps/team/*/tasks"):
        assert (await it("GET", path, accept=accept)).body == runs.encode()
    assert (await it("GET", "/v2/apps/none/tasks", accept=accept)).status == 404


@pytest.mark.parametrize("accept", ["*/*", "application/json, text/plain", "text/html", "text/plain;q=x, */*", ""])
async def test_else_it_is_json(accept: str) -> None:
    assert await body(Home(), "/v2/tasks", accept) == {"tasks": []}


async def test_lines_of_apps_without_ports_and_in_networks_of_their_own() -> None:
    it = Home()
    it.cluster.create("/none", portDefinitions=[])
    mapped = [{"containerPort": 80, "servicePort": 10000}, {"containerPort": 81, "hostPort": 0, "servicePort": 10001}]
    container = {"type": "DOCKER", "docker": {"image": "x"}, "portMappings": mapped}
    it.cluster.create("/net", container=container, networks=[{"mode": "container", "name": "n"}])
    it.cluster.settle()
    (instance,) = it.cluster.instances("/net")
    instance.ip_addresses = ["9.0.0.7"]
    (port,) = filter(None, instance.ports)
    lines = (await it("GET", "/v2/tasks", accept=TEXT)).body
    assert lines == f"none\t \thost-1\t\nnet\t10000\t9.0.0.7:80\t\nnet\t10001\thost-1:{port}\t\n".encode()
    instance.ip_addresses = []
    lines = (await it("GET", "/v2/apps/net/tasks", accept=TEXT)).body
    assert lines == f"net\t10000\t\nnet\t10001\thost-1:{port}\t\n".encode()


async def test_what_older_clients_do_not_know_is_shown_where_it_is_not_the_default() -> None:
    it = Home()
    it.cluster.create("/one/waits", cpus=1000)
    it.cluster.ask(lambda to: ChangeGroup(to, "/two", {"enforceRole": True}, True, False, False, ORIGIN))
    it.cluster.create("/two/waits", cpus=1000)
    groups = {one["id"]: one.get("enforceRole") for one in (await body(it, "/v2/groups"))["groups"]}
    assert groups == {"/one": None, "/two": True}
    queued = {one["app"]["id"]: one.get("role") for one in (await body(it, "/v2/queue"))["queue"]}
    assert queued == {"/one/waits": None, "/two/waits": "two"}


async def test_an_app_has_what_is_in_its_way_with_numbers() -> None:
    it = three()
    shown = (await body(it, "/v2/apps/waits?embed=app.why"))["app"]
    (one,) = shown["waitsFor"]
    assert (one["kind"], one["needed"], one["largest"], one["host"]) == ("offers", 1000.0, 8.0, "host-1")
    assert one["text"].startswith("needs 1000 cpus")
    assert all(set(line) == {"at", "what", "why"} for line in shown["why"])
    assert (await body(it, "/v2/queue?embed=why"))["queue"][-1]["waitsFor"] == [one]
    assert not {"why", "waitsFor"} & set((await body(it, "/v2/apps/waits"))["app"])
