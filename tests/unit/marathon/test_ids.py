"""Ids among each other: one of an app, one of a pod or one of a group; what they may be as long as."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from headrace.marathon.core.events import Answer, ChangeGroup, CreatePod, UpdateApps
from headrace.marathon.core.settings import Settings

from .simulation import ORIGIN, Cluster

POD = {"containers": [{"name": "c", "exec": {"command": {"shell": "x"}}, "resources": {"cpus": 0.1, "mem": 16}}]}


def change_group(it: Cluster, path: str, body: Any, *, create: bool = False, dry_run: bool = False) -> Answer:
    return it.ask(lambda to: ChangeGroup(to, path, body, create, dry_run, False, ORIGIN))


def create_pod(it: Cluster, pod_id: str, **fields: Any) -> Answer:
    return it.ask(lambda to: CreatePod(to, {"id": pod_id, **POD, **fields}, False, ORIGIN))


@pytest.mark.parametrize("path", ["/nul", "/nul/below", "/nul/further/below"])
@pytest.mark.parametrize("body", [{}, {"dependencies": ["/x"]}, {"apps": []}, {"groups": [{"id": "in"}]}])
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("kind", ["Applications", "Pods"])
def test_no_group_where_an_app_or_a_pod_is(path: str, body: Any, dry_run: bool, kind: str) -> None:
    it = Cluster()
    assert (it.create("/nul") if kind == "Applications" else create_pod(it, "/nul")).status == 201
    answer = change_group(it, path, body, dry_run=dry_run)
    assert answer.status == 422
    assert f"Groups and {kind} may not have the same identifier." in str(answer.body)
    assert not it.core.books.groups


def test_an_app_may_make_room_for_a_group() -> None:
    it = Cluster()
    it.create("/g/a", instances=0)
    it.settle()
    assert change_group(it, "/g", {"apps": [], "groups": [{"id": "a"}]}).status == 200
    assert "/g/a" in it.core.books.groups
    assert it.create("/g/a").status == 422


@pytest.mark.parametrize("path", ["/g/h", "/g", "/g/h/i"])
def test_no_app_where_an_empty_group_is_or_is_below(path: str) -> None:
    it = Cluster()
    change_group(it, "/g/h/i", {})
    assert it.create(path).status == 422
    assert it.create("/g-h").status == 201


@pytest.mark.parametrize("body", [{"id": "/", "groups": []}, {"groups": []}])
def test_the_root_is_there_already(body: Any) -> None:
    it = Cluster()
    it.create("/g/a")
    answer = change_group(it, "/", body, create=True)
    assert answer.status == 409
    assert answer.body == {"message": "Group / is already created. Use PUT to change this group."}
    assert "/g/a" in it.core.books.apps


@pytest.mark.parametrize("app_id", ["/" + "a" * 201, "/" + "/".join(["a"] * 300), "/" + "a" * 5000])
def test_an_id_that_no_task_could_have(app_id: str) -> None:
    it = Cluster()
    answer = it.create(app_id)
    assert answer.status == 422
    assert "197 are possible" in str(answer.body)
    assert create_pod(it, app_id).status == 422


def test_the_longest_ids_start() -> None:
    it = Cluster()
    numbers = itertools.count()
    it.core.books.ids = lambda: f"{next(numbers):036}"  # as long as a uuid
    assert it.create("/" + "a" * 197).status == 201
    assert create_pod(it, "/p" + "a" * 199).status == 201
    it.settle()
    assert len(it.alive()) == 2
    assert all(len(one) <= 255 for one in it.tasks)


def test_a_volume_can_have_an_id() -> None:
    it = Cluster(Settings(role="data"))
    for length, status in ((21, 422), (20, 201)):
        volume = {"containerPath": "v" * length, "mode": "RW", "persistent": {"size": 10}}
        container = {"type": "MESOS", "volumes": [volume]}
        assert it.create("/" + "a" * 197, container=container).status == status


def test_an_app_is_named_once() -> None:
    it = Cluster()
    updates = [("/a", {"cmd": "x"}), ("/b", {"cmd": "x"}), ("/a", {"cmd": "y"})]
    answer = it.ask(lambda to: UpdateApps(to, updates, True, True, False, False, ORIGIN))
    assert answer.status == 422
    assert "/a" in str(answer.body)
    assert not it.core.books.apps


def test_a_version_is_a_time() -> None:
    it = Cluster()
    it.create("/g/a")
    version = it.core.books.apps["/g/a"].version
    for wanted, status in (("nonsense", 422), ("2020-01-01T00:00:00Z", 404), (version.replace("Z", "+00:00"), 200)):
        assert it.update("/g/a", version=wanted).status == status
        assert change_group(it, "/g", {"version": wanted}).status == status
