"""An event costs what it touches: counted, not timed."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.marathon.core import matcher
from headrace.marathon.core.books import Books
from headrace.marathon.core.deployments import Deployments
from headrace.marathon.core.events import ChangeGroup, DeleteGroup
from headrace.marathon.core.queue import LaunchQueue

from .simulation import ORIGIN, Cluster

APPS = 200


def count_calls(monkeypatch: pytest.MonkeyPatch, of: type, name: str) -> list[str]:
    """Grows by one with each call."""
    calls: list[str] = []
    inner = getattr(of, name)

    def counted(self: Any, *arguments: Any, **more: Any) -> Any:
        calls.append(name)
        return inner(self, *arguments, **more)

    monkeypatch.setattr(of, name, counted)
    return calls


def test_a_deployment_of_many_apps_looks_at_each_only_when_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count_calls(monkeypatch, Deployments, "_carry_out")
    it = Cluster()
    apps = [{"id": f"app-{n}", "cmd": "x", "cpus": 0.01, "mem": 1} for n in range(APPS)]
    event = ChangeGroup(0, "/g", {"apps": apps}, create=False, dry_run=False, force=False, origin=ORIGIN)
    assert (
        it.ask(lambda to: ChangeGroup(to, *(getattr(event, one) for one in event.__struct_fields__[1:]))).status == 200
    )
    it.settle()
    assert len(it.alive()) == APPS
    assert not it.core.deployments.running
    assert len(looks) <= 6 * APPS
    looks.clear()
    assert it.ask(lambda to: DeleteGroup(to, "/g", force=False, origin=ORIGIN)).status == 200
    it.settle()
    assert not it.alive()
    assert len(looks) <= 6 * APPS


def test_service_ports_are_not_searched_from_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count_calls(monkeypatch, Books, "port_taken")
    it = Cluster()
    for number in range(90):
        assert it.create(f"/app-{number}", instances=0).status == 201
    assert len(looks) <= 5 * 90
    assert it.core.books.first_port() == 10_090


def test_the_lowest_free_service_port_is_given_away() -> None:
    it = Cluster()

    def port(app_id: str) -> int:
        return it.core.books.apps[app_id].ports[0].service

    for number in range(4):
        it.create(f"/app-{number}", instances=0)
    assert [port(f"/app-{number}") for number in range(4)] == [10_000, 10_001, 10_002, 10_003]
    it.create("/own", instances=0, portDefinitions=[{"port": 10_004}])
    it.create("/next", instances=0)
    assert port("/next") == 10_005
    it.delete("/app-1")
    it.delete("/app-2")
    it.create("/low", instances=0, portDefinitions=[{"port": 9_000}])
    it.delete("/low")
    it.create("/again", instances=0)
    assert port("/again") == 10_001
    it.crash()
    it.create("/after", instances=0)
    assert port("/after") == 10_002


def change_group(it: Cluster, path: str, apps: list[dict[str, Any]]) -> None:
    answer = it.ask(
        lambda to: ChangeGroup(to, path, {"apps": apps}, create=False, dry_run=False, force=False, origin=ORIGIN)
    )
    assert answer.status == 200


def test_an_offer_that_refuses_one_app_is_not_tried_with_all_others_of_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matches: list[str] = []
    inner = matcher.match

    def counted(place: Any, app: Any, *arguments: Any, **more: Any) -> Any:
        matches.append(app.id)
        return inner(place, app, *arguments, **more)

    monkeypatch.setattr("headrace.marathon.core.offers.match", counted)
    it = Cluster()
    large = [{"id": f"large-{n}", "cmd": "x", "cpus": 100, "mem": 1} for n in range(APPS)]
    larger = [{"id": f"larger-{n}", "cmd": "x", "cpus": 100, "mem": 2} for n in range(APPS)]
    unique = [{"id": "unique", "cmd": "x", "cpus": 100, "mem": 1, "constraints": [["hostname", "UNIQUE"]]}]
    change_group(it, "/g", [*large, *larger, *unique, {"id": "small", "cmd": "x", "cpus": 0.1, "mem": 1}])
    it.offer()
    it.offer("host-2")
    assert sorted(matches) == sorted(["/g/large-0", "/g/larger-0", "/g/unique"] * 2 + ["/g/small"])
    for app_id in ("/g/large-7", "/g/unique"):
        attempt = it.core.queue.attempts[app_id]
        assert attempt.processed == 2
        assert attempt.refusals == {"InsufficientCpus": 2}
    assert len({id(one.refused) for one in it.core.queue.attempts.values()}) == 3
    it.update("/g/large-7", cpus=0.1, force=True)
    it.offer("host-3")
    assert len(it.instances("/g/large-7")) == 1
    assert it.instances("/g/large-7")[0].host == "host-3"


def test_apps_that_keep_failing_are_not_all_asked_for_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Cluster()
    change_group(it, "/g", [{"id": f"app-{n}", "cmd": "x", "cpus": 0.01, "mem": 1} for n in range(APPS)])
    it.settle()
    asked = count_calls(monkeypatch, LaunchQueue, "delayed_until")
    monkeypatch.setattr(it.core.queue, "validate", lambda now: None)
    for task_id in sorted(it.alive()):
        it.status(task_id, "TASK_FAILED")
    assert len(asked) <= 4 * APPS
    monkeypatch.undo()
    it.advance(2)
    it.settle()
    assert len(it.alive()) == APPS
