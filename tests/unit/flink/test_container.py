"""Containers of tasks."""

from __future__ import annotations

import pytest

from headrace.flink.container import NETWORK, PREFIX, container
from headrace.flink.task_options import task_options
from headrace.kernel.daemon import UserError
from headrace.mesos.messages.common import ContainerInfo, DockerInfo, NetworkInfo, Parameter, PortMapping, Volume

DOCKER = {PREFIX + "type": "docker", PREFIX + "image.name": "flink:1.20"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({PREFIX + "type": "mesos"}, None),
        (
            {PREFIX + "image.name": "flink:1.20"},
            ContainerInfo("MESOS", mesos={"image": {"type": "DOCKER", "docker": {"name": "flink:1.20"}}}),  # type: ignore[arg-type]
        ),
        (DOCKER, ContainerInfo("DOCKER", docker=DockerInfo("flink:1.20", "HOST"))),
        ({**DOCKER, PREFIX + "type": " Docker "}, ContainerInfo("DOCKER", docker=DockerInfo("flink:1.20", "HOST"))),
        (
            {**DOCKER, PREFIX + "docker.force-pull-image": "true", PREFIX + "docker.parameters": "a=b=c, d=e"},
            ContainerInfo(
                "DOCKER",
                docker=DockerInfo(
                    "flink:1.20",
                    "HOST",
                    parameters=[Parameter("a", "b=c"), Parameter("d", "e")],
                    force_pull_image=True,
                ),
            ),
        ),
        (
            {**DOCKER, NETWORK: "streams"},
            ContainerInfo(
                "DOCKER", docker=DockerInfo("flink:1.20", "USER"), network_infos=[NetworkInfo(name="streams")]
            ),
        ),
    ],
)
def test_containers(options: dict[str, str], expected: ContainerInfo | None) -> None:
    import msgspec

    assert msgspec.to_builtins(container(options).info) == msgspec.to_builtins(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/in", [Volume("/in", "RW")]),
        ("/in:RO", [Volume("/in", "RO")]),
        ("/in:ro", [Volume("/in", "RO")]),
        ("/out:/in", [Volume("/in", "RW", "/out")]),
        ("/out:/in:RO, /b:/c:RW", [Volume("/in", "RO", "/out"), Volume("/c", "RW", "/b")]),
    ],
)
def test_volumes(text: str, expected: list[Volume]) -> None:
    for options in ({}, DOCKER):
        info = container({**options, PREFIX + "volumes": text}).info
        assert info is not None
        assert info.volumes == expected


@pytest.mark.parametrize("network", ["bridge", "streams"])
def test_ports_are_mapped_where_the_network_is_not_the_hosts(network: str) -> None:
    info = container({**DOCKER, NETWORK: network}).with_ports([31000, 31001])
    assert info is not None
    assert info.docker is not None
    assert info.docker.port_mappings == [PortMapping(31000, 31000, "tcp"), PortMapping(31001, 31001, "tcp")]


def test_ports_are_not_mapped_in_the_hosts() -> None:
    info = container(DOCKER).with_ports([31000, 31001])
    assert info is not None
    assert info.docker is not None
    assert info.docker.port_mappings is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({PREFIX + "type": "rkt"}, "invalid container type: 'rkt'"),
        ({PREFIX + "type": "docker"}, f"{PREFIX}image.name must be specified for docker container type"),
        ({**DOCKER, PREFIX + "volumes": "/a:/b:/c"}, "'/a:/b:/c' is not understood"),
        ({**DOCKER, PREFIX + "volumes": "/a:/b:RX"}, "'/a:/b:RX' is not understood"),
        ({**DOCKER, PREFIX + "volumes": ":RO"}, "':RO' is not understood"),
        ({**DOCKER, PREFIX + "docker.parameters": "privileged"}, "'privileged' is not of the form name=value"),
        ({**DOCKER, NETWORK: "none"}, "needs a network"),
        ({PREFIX + "docker.parameters": "a=b"}, f"needs {PREFIX}type=docker"),
        ({NETWORK: "bridge"}, f"needs {PREFIX}type=docker"),
        ({**DOCKER, "mesos.resourcemanager.tasks.gpus": "1"}, "no GPUs to Docker"),
        ({"mesos.resourcemanager.tasks.gpus": "-1"}, "tasks.gpus is -1"),
        ({"mesos.resourcemanager.tasks.disk": "-1"}, "tasks.disk is -1"),
        ({"mesos.resourcemanager.tasks.labels": "a:b,c"}, "'c' is not of the form name:value"),
    ],
)
def test_mistakes(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        task_options(options)
    assert message in str(error.value)
