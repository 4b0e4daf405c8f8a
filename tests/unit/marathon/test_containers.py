"""What tasks run in: volumes of drivers, images of private registries, and what is refused with its field."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from headrace.marathon.core.events import Answer, CreatePod
from headrace.marathon.core.settings import Settings
from headrace.mesos.messages.common import DockerImage, Parameter, Parameters, Secret, SecretValue

from .simulation import ORIGIN, Cluster

FEATURES = frozenset({"secrets", "external_volumes"})
DVDI = {
    "name": "vol",
    "provider": "dvdi",
    "options": {"dvdi/driver": "rexray", "dvdi/fs": "xfs", "other": "x"},
    "size": 5,
}
ONCE: dict[str, Any] = {"upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}}


def cluster(**settings: Any) -> Cluster:
    it = Cluster(Settings(features=FEATURES, min_revive_offers_interval=0.0, **settings))
    it.secrets["registry"] = b"{}"
    return it


def volume(**kind: Any) -> dict[str, Any]:
    return {"type": "MESOS", "volumes": [{"containerPath": "data", "mode": "RW", **kind}]}


def test_a_volume_of_a_driver_is_told_to_the_agent() -> None:
    it = cluster()
    assert it.create("/a", container=volume(external=DVDI), **ONCE).status == 201
    it.settle()
    (info,) = it.infos.values()
    assert info.container is not None
    assert info.container.volumes is not None
    (told,) = info.container.volumes
    assert told.source is not None
    wanted = told.source.docker_volume
    assert wanted is not None
    assert (told.container_path, told.source.type, wanted.name, wanted.driver) == (
        "data",
        "DOCKER_VOLUME",
        "vol",
        "rexray",
    )
    assert wanted.driver_options == Parameters([Parameter("fs", "xfs"), Parameter("size", "5")])


@pytest.mark.parametrize(
    ("container", "path", "text"),
    [
        (volume(external={**DVDI, "provider": "csi"}), "/container/volumes(0)/external/provider", "[dvdi]"),
        (volume(external={**DVDI, "options": {}}), "/container/volumes(0)/external/options", "dvdi/driver"),
        (
            {**volume(secret="s"), "type": "DOCKER", "docker": {"image": "x"}},
            "/container/volumes(0)/secret",
            "the type MESOS",
        ),
    ],
)
def test_what_can_not_be_had_is_refused_with_its_field(container: dict[str, Any], path: str, text: str) -> None:
    answer = cluster().create("/a", container=container, secrets={"s": {"source": "registry"}}, **ONCE)
    assert answer.status == 422
    assert text in {one["path"]: str(one["errors"]) for one in answer.body["details"]}[path]


def pod(it: Cluster, **more: Any) -> Answer:
    container = {"name": "c", "resources": {"cpus": 0.1, "mem": 16}, "exec": {"command": {"shell": "x"}}, **more}
    body = {"id": "/p", "containers": [container], "secrets": {"s": {"source": "registry"}}}
    return it.ask(lambda to: CreatePod(to, body, False, ORIGIN))


def test_a_private_image_comes_with_its_secret() -> None:
    it = cluster()
    image = {"image": "x", "pullConfig": {"secret": "s"}}
    it.create("/a", container={"type": "MESOS", "docker": image}, secrets={"s": {"source": "registry"}})
    assert pod(it, image={"kind": "DOCKER", "id": "x", "pullConfig": {"secret": "s"}}).status == 201
    it.settle()
    images = [one.container.mesos.image for one in it.infos.values() if one.container and one.container.mesos]
    secret = Secret("VALUE", value=SecretValue(base64.b64encode(b"{}").decode()))
    assert [one.docker for one in images if one] == [DockerImage("x", config=secret)] * 2
    assert not [key for key, value in it.store.items() if base64.b64encode(b"{}") in value], "it is kept nowhere"


def test_pods_have_no_pre_stop_call() -> None:
    answer = pod(cluster(), preStop={"http": {"path": "/leave"}})
    assert answer.status == 422
    assert answer.body["details"][0]["path"] == "/containers(0)/preStop"


def test_nobody_s_resources_are_for_any_app() -> None:
    """Definitions from elsewhere name the role ``*``; not where a group enforces its own."""
    it = cluster(role="marathon", new_group_enforce_role="top")
    assert it.create("/a", role="*").status == 201
    assert it.create("/group/a", role="*").status == 422
    kept = volume(persistent={"size": 5})
    assert it.create("/b", container=kept).status == 201
    assert it.create("/c", container=kept, role="*").status == 422
