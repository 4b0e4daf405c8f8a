"""The container of TaskManagers' tasks, from ``mesos.resourcemanager.tasks.container.*``.

Pure. ``mesos`` without image and volumes is no container at all: the machine itself. In a Docker network of its own
a TaskManager's ports are mapped, each to the same number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from headrace.flink.reading import couples, flag, words
from headrace.kernel.daemon import UserError
from headrace.mesos.messages.common import (
    ContainerInfo,
    DockerImage,
    DockerInfo,
    Image,
    MesosInfo,
    NetworkInfo,
    Parameter,
    PortMapping,
    Volume,
)

PREFIX = "mesos.resourcemanager.tasks.container."
NETWORK = "headrace.container.docker.network"
_IMAGE = PREFIX + "image.name"
_FOR_DOCKER = (PREFIX + "docker.parameters", PREFIX + "docker.force-pull-image", NETWORK)


class Container(msgspec.Struct, frozen=True):
    """``info`` as Mesos is told, but for ports; ``mapped``: they need to be."""

    info: ContainerInfo | None = None
    image: str = ""
    mapped: bool = False

    @property
    def docker(self) -> bool:
        return self.info is not None and self.info.type == "DOCKER"

    def with_ports(self, ports: Sequence[int]) -> ContainerInfo | None:
        """The container of a TaskManager with these ports."""
        if not self.mapped or self.info is None or self.info.docker is None:
            return self.info
        mappings = [PortMapping(port, port, "tcp") for port in ports]
        docker = msgspec.structs.replace(self.info.docker, port_mappings=mappings)
        return msgspec.structs.replace(self.info, docker=docker)


def container(options: Mapping[str, str]) -> Container:
    """What the options say. Raises UserError."""
    kind = options.get(PREFIX + "type", "mesos").strip().lower()
    image = options.get(_IMAGE, "").strip()
    volumes = [_volume(text) for text in words(options, PREFIX + "volumes")]
    if kind == "docker":
        return _docker(options, image, volumes)
    if kind != "mesos":
        raise UserError(f"invalid container type: {kind!r}; {PREFIX}type must be mesos or docker")
    for key in _FOR_DOCKER:
        if key in options:
            raise UserError(f"option {key} needs {PREFIX}type=docker, but that is mesos")
    if not image and not volumes:
        return Container()
    mesos = MesosInfo(Image("DOCKER", docker=DockerImage(image))) if image else None
    return Container(ContainerInfo("MESOS", volumes or None, mesos=mesos), image)


def _docker(options: Mapping[str, str], image: str, volumes: list[Volume]) -> Container:
    if not image:
        raise UserError(f"{_IMAGE} must be specified for docker container type")
    parameters = [Parameter(*pair) for pair in couples(options, PREFIX + "docker.parameters", "=")]
    network = options.get(NETWORK, "host").strip() or "host"
    known = network.upper() if network.lower() in ("host", "bridge") else "USER"
    if network.lower() == "none":
        raise UserError(f"option {NETWORK} is none; a TaskManager needs a network: host, bridge, or a network's name")
    docker = DockerInfo(
        image,
        network=known,
        parameters=parameters or None,
        force_pull_image=True if flag(options, PREFIX + "docker.force-pull-image") else None,
    )
    infos = [NetworkInfo(name=network)] if known == "USER" else None
    info = ContainerInfo("DOCKER", volumes or None, docker=docker, network_infos=infos)
    return Container(info, image, mapped=known != "HOST")


def _volume(text: str) -> Volume:
    """``[host:]container[:RO|RW]``."""
    parts = text.split(":")
    mode = parts.pop().upper() if len(parts) > 1 and parts[-1].upper() in ("RO", "RW") else "RW"
    if len(parts) > 2 or not all(parts):
        raise UserError(f"option {PREFIX}volumes: {text!r} is not understood; write [host-path:]container-path[:RO|RW]")
    return Volume(parts[-1], mode, host_path=parts[0] if len(parts) == 2 else None)
