"""An event costs what it touches: counted, not timed."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.marathon.core.books import Books
from headrace.marathon.core.deployments import Deployments
from headrace.marathon.core.events import ChangeGroup, DeleteGroup

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
