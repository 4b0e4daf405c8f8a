"""Whose resources are used, for which roles offers are wanted, and what else an offer is refused for."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from headrace.marathon.core.events import Answer, ChangeGroup
from headrace.marathon.core.records import Goal
from headrace.marathon.core.settings import Settings
from headrace.mesos.client import Connected
from headrace.mesos.messages.common import (
    DomainInfo,
    DurationInfo,
    FaultDomain,
    MasterInfo,
    Named,
    Secret,
    SecretValue,
    TimeInfo,
    Unavailability,
)
from headrace.mesos.resources import Reservation, Resources, Tag

from .simulation import ORIGIN, ROOM, Cluster

STATIC = Tag((Reservation("dev"),))
DYNAMIC = Tag((Reservation("dev", True, "operator"),))


def start(**settings: Any) -> Cluster:
    return Cluster(Settings(**{"min_revive_offers_interval": 0.0, **settings}))


def taken(it: Cluster) -> Resources:
    """What the latest task has."""
    return list(it.held.values())[-1][1]


def refusals(it: Cluster, app_id: str = "/a") -> dict[str, int]:
    return dict(it.core.queue.attempts[app_id].refusals)


@pytest.mark.parametrize("tag", [STATIC, DYNAMIC])
def test_reserved_resources_are_used_first(tag: Tag) -> None:
    it = start(role="dev")
    it.create("/a", cpus=1, mem=100)
    it.offer(room=ROOM + Resources.of(cpus=0.5, mem=200).tagged(tag))
    held = taken(it)
    assert held.parts[tag] == Resources.of(cpus=0.5, mem=100)
    assert held.plain.scalars == {"cpus": 500}
    assert held.ranges["ports"]


@pytest.mark.parametrize(
    ("default", "given", "room", "reason"),
    [
        ("any", None, "both", None),
        ("any", None, "plain", None),
        ("unreserved", None, "reserved", "UnfulfilledRole"),
        ("reserved", None, "plain", "UnfulfilledRole"),
        ("reserved", None, "reserved", None),
        ("any", ["dev"], "plain", "UnfulfilledRole"),
        ("any", ["dev"], "reserved", None),
        ("reserved", ["*"], "plain", None),
        ("reserved", ["*"], "reserved", "UnfulfilledRole"),
    ],
)
def test_accepted_resource_roles(default: str, given: list[str] | None, room: str, reason: str | None) -> None:
    it = start(role="dev", accepted_resource_roles_default_behavior=default)
    fields: dict[str, Any] = {} if given is None else {"acceptedResourceRoles": given}
    it.create("/a", **fields)
    reserved = ROOM.tagged(STATIC)
    it.offer(room={"both": ROOM + reserved, "plain": ROOM, "reserved": reserved}[room])
    if reason is None:
        assert len(it.alive()) == 1
    else:
        assert refusals(it) == {reason: 1}


def test_ports_come_from_both() -> None:
    it = start(role="dev")
    ports = [{"port": 0}, {"port": 0}]
    it.create("/a", portDefinitions=ports, cpus=0.1)
    one = Resources(ranges={"ports": ((31000, 31000),)})
    other = Resources(ranges={"ports": ((32000, 32000),)})
    it.offer(room=Resources.of(cpus=1, mem=100) + one + other.tagged(STATIC))
    assert it.instances("/a")[0].ports == [31000, 32000]
    assert taken(it).parts == {STATIC: other}


def test_a_role_comes_with_its_first_app_and_goes_with_its_last() -> None:
    it = start()
    assert it.roles == ["*"]
    it.create("/dev/a", role="dev")
    assert it.roles == ["*", "dev"]
    assert it.wanted_roles == {"dev"}
    it.offer(role="*")
    assert not it.alive()
    it.offer(role="dev")
    assert len(it.alive()) == 1
    it.settle()
    assert it.wanted_roles == set()
    it.crash()
    assert it.roles == ["*", "dev"]
    it.delete("/dev/a")
    assert it.roles == ["*", "dev"], "its task is still there"
    it.end_killed()
    assert it.roles == ["*"]


def test_offers_are_wanted_for_those_roles_that_need_them() -> None:
    it = start()
    it.create("/dev/a", role="dev")
    it.create("/b")
    assert it.wanted_roles == {"*", "dev"}
    it.offer(role="*")
    assert it.wanted_roles == {"dev"}
    it.crash()
    assert it.wanted_roles == {"dev"}


def test_a_role_that_comes_while_subscribing() -> None:
    """The subscription that is under way does not name it."""
    it = Cluster(Settings(min_revive_offers_interval=0.0), connect=False)
    it.create("/dev/a", role="dev")
    it.roles = ["*"]
    it.connect()
    assert it.roles == ["*", "dev"]
    assert it.wanted_roles == {"dev"}
    before = len(it.calls)
    it.connect()
    assert len(it.calls) > before
    it.offer(role="dev")
    assert len(it.alive()) == 1


def test_a_changed_role_is_that_of_the_new_tasks() -> None:
    it = start()
    it.create("/dev/a", role="dev")
    it.settle()
    it.update("/dev/a", role="*")
    it.settle()
    assert [one.role for one in it.instances("/dev/a")] == ["*"]
    assert it.roles == ["*"]


def test_a_changed_role_is_that_of_what_still_waits() -> None:
    it = start()
    it.create("/dev/a", role="dev")
    it.update("/dev/a", role="*", force=True)
    assert it.wanted_roles == {"*"}
    assert it.roles == ["*"]
    it.settle()
    assert [one.role for one in it.instances("/dev/a")] == ["*"]


def test_an_instance_with_volumes_keeps_its_role() -> None:
    """Its app is in a role that the group no longer allows; what is reserved stays in it."""
    it = start(role="data")
    volume = {"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}
    it.create("/dev/db", role="dev", container={"type": "MESOS", "volumes": [volume]})
    it.settle()
    (before,) = it.instances("/dev/db")
    it.update("/dev/db", role="data")
    it.settle()
    assert not it.core.deployments.running
    (after,) = it.instances("/dev/db")
    assert (after.id, after.role, after.incarnation, after.goal) == (before.id, "dev", 2, Goal.RUNNING)
    assert it.roles == ["data", "dev"]
    it.delete("/dev/db")
    it.settle()
    assert it.roles == ["data"]


def test_an_agent_that_is_being_serviced() -> None:
    def service(at: float, seconds: float | None) -> Unavailability:
        duration = None if seconds is None else DurationInfo(int(seconds * 1e9))
        return Unavailability(TimeInfo(int(at * 1e9)), duration)

    it = start(draining_seconds=60.0)
    it.create("/a")
    it.offer(unavailability=service(it.now + 59, 10))
    it.offer(unavailability=service(it.now - 1000, None))
    assert refusals(it) == {"AgentMaintenance": 2}
    it.offer(unavailability=service(it.now + 61, 10))
    assert len(it.alive()) == 1
    it.create("/b")
    it.offer(unavailability=service(it.now - 11, 10))
    assert len(it.alive()) == 2
    careless = start(maintenance_mode=False)
    careless.create("/a")
    careless.offer(unavailability=service(it.now, None))
    assert len(careless.alive()) == 1


def test_gpus_are_for_those_who_ask() -> None:
    gpus = ROOM + Resources.of(gpus=2)
    it = start(features=frozenset({"gpu_resources"}))
    it.create("/a")
    it.offer(room=gpus)
    assert refusals(it) == {"DeclinedScarceResources": 1}
    it.create("/gpu", gpus=1)
    it.create("/label", labels={"GPU_SCHEDULING_BEHAVIOR": "unrestricted"})
    it.offer(room=gpus)
    assert sorted(one.app_id for one in it.core.books.instances.values() if one.has_task) == ["/gpu", "/label"]
    free = start(gpu_scheduling_behavior="unrestricted")
    free.create("/a")
    free.offer(room=gpus)
    assert len(free.alive()) == 1


def test_another_region_is_for_those_who_ask() -> None:
    def domain(region: str) -> DomainInfo:
        return DomainInfo(FaultDomain(Named(region), Named("zone")))

    it = Cluster(Settings(min_revive_offers_interval=0.0), connect=False)
    it.post(Connected("framework-1", MasterInfo("m", 0, 0, domain=domain("home"))))
    it.create("/a")
    it.offer(domain=domain("far"))
    assert refusals(it) == {"UnfulfilledConstraint": 1}
    it.create("/b", constraints=[["@region", "IS", "far"]])
    it.offer(domain=domain("far"))
    assert [one.app_id for one in it.core.books.instances.values() if one.has_task] == ["/b"]
    it.offer(domain=domain("home"))
    assert len(it.alive()) == 2


SECRETS: dict[str, Any] = {"env": {"PASSWORD": {"secret": "pw"}}, "secrets": {"pw": {"source": "db/password"}}}


def test_a_secret_is_told_to_the_agent_alone() -> None:
    it = start(features=frozenset({"secrets"}))
    it.secrets["db/password"] = b"hush"
    container = {"type": "MESOS", "volumes": [{"containerPath": "file", "secret": "pw"}]}
    it.create("/a", container=container, **SECRETS)
    it.settle()
    (info,) = it.infos.values()
    assert info.command is not None
    assert info.command.environment is not None
    (variable,) = [one for one in info.command.environment.variables or () if one.name == "PASSWORD"]
    data = base64.b64encode(b"hush").decode()
    secret = Secret("VALUE", value=SecretValue(data))
    assert (variable.type, variable.value, variable.secret) == ("SECRET", None, secret)
    assert info.container is not None
    (volume,) = info.container.volumes or []
    assert volume.source is not None
    assert (volume.container_path, volume.source.type, volume.source.secret) == ("file", "SECRET", secret)
    everything = [*map(str, it.events), *map(str, it.store.values()), str(it.core.books.stories.of("/a"))]
    assert not [one for one in everything if "hush" in one or data in one]


def test_an_app_waits_for_its_secret() -> None:
    it = start(features=frozenset({"secrets"}), secrets_dir="/etc/keys/")
    it.create("/a", **SECRETS)
    it.offer()
    assert not it.alive()
    assert not it.wants_offers
    (one,) = it.core.explainer.app(it.core.books.apps["/a"], it.now)
    assert (one.kind, one.text) == ("secrets", "there is no secret pw (no file /etc/keys/db/password that can be read)")
    assert one.text in str(it.core.books.stories.of("/a"))
    it.secrets["db/password"] = b"hush"
    it.settle(15)
    assert len(it.alive()) == 1


def test_secrets_are_read_for_what_is_launched_only_and_once_per_event(monkeypatch: pytest.MonkeyPatch) -> None:
    it = start(features=frozenset({"secrets"}))
    it.secrets["db/password"] = b"hush"
    reads: list[str] = []
    monkeypatch.setattr(it.core._secrets, "_find", lambda source: reads.append(source) or it.secrets.get(source))  # type: ignore[func-returns-value]
    it.create("/big", cpus=64, **SECRETS)
    it.create("/everywhere", cpus=64, instancesPer="agent", **SECRETS)
    it.offer("h1")
    it.offer("h2")
    assert not reads
    it.create("/a", instances=3, **SECRETS)
    it.create("/b", **SECRETS)
    it.offer("h1")
    assert (len(it.alive()), reads) == (4, ["db/password"])
    it.create("/c", **SECRETS)
    it.secrets["db/password"] = b"new"
    it.offer("h1")
    assert (len(it.alive()), len(reads)) == (5, 2)
    assert base64.b64encode(b"new").decode() in str(it.infos[next(one for one in it.infos if one.startswith("c."))])


def test_without_a_directory_of_secrets_the_flag_is_named() -> None:
    it = start(features=frozenset({"secrets"}))
    it.create("/a", **SECRETS)
    it.offer()
    (one,) = it.core.explainer.app(it.core.books.apps["/a"], it.now)
    assert "--secrets_dir" in one.text


def test_what_waits_has_its_app_s_role_before_the_deployment_has_come_to_it() -> None:
    """It is launched as the new version while the step of another app is carried out."""
    it = Cluster(Settings(role="data", min_revive_offers_interval=0.0))
    it.create("/dev/b", instances=1, role="dev")
    apps = [{"id": "one", "cmd": "x"}, {"id": "b", "cmd": "x", "dependencies": ["/dev/one"]}]
    it.ask(lambda to: ChangeGroup(to, "/dev", {"apps": apps}, False, False, True, ORIGIN))
    it.settle()
    assert [one.role for one in it.instances("/dev/b")] == ["data"]
    assert it.roles == ["data"]


def test_a_group_does_not_begin_to_enforce_its_role_while_its_apps_change() -> None:
    it = Cluster()
    it.create("/dev/a", cmd="x")

    def put(**body: Any) -> Answer:
        return it.ask(lambda to: ChangeGroup(to, "/dev", body, False, False, True, ORIGIN))

    refused = put(enforceRole=True, apps=[{"id": "a", "cmd": "y"}])
    assert (refused.status, refused.body["details"][0]["path"]) == (422, "/enforceRole")
    assert it.core.books.specs["/dev/a"].role == "*"
    assert put(enforceRole=True).status == 200
    assert put(apps=[{"id": "a", "cmd": "y"}]).status == 200
    it.settle()
    (task,) = it.instances("/dev/a")
    told = it.infos[task.task_id].command
    assert told is not None
    assert told.environment is not None
    variables = {one.name: one.value for one in told.environment.variables or ()}
    assert variables["MARATHON_APP_ENFORCE_GROUP_ROLE"] == "TRUE"
