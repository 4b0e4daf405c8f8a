"""What appears in a container from outside: images and volumes."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Enum
from headrace.mesos.messages.common.values import Labels, Message, Parameters, Secret


class AppcImage(Message, frozen=True):
    name: Annotated[str, 1]
    id: Annotated[str | None, 2] = None
    labels: Annotated[Labels | None, 3] = None


class Credential(Message, frozen=True):
    principal: Annotated[str, 1]
    secret: Annotated[str | None, 2] = None


class DockerImage(Message, frozen=True):
    """``config``: a Docker configuration file with the keys of a registry."""

    name: Annotated[str, 1]
    credential: Annotated[Credential | None, 2] = None
    config: Annotated[Secret | None, 3] = None


class Image(Message, frozen=True):
    """A container image for the machine itself to run, without Docker's engine. Unset ``cached`` means true."""

    type: Annotated[Annotated[str, Enum(APPC=1, DOCKER=2)] | None, 1] = None
    appc: Annotated[AppcImage | None, 2] = None
    docker: Annotated[DockerImage | None, 3] = None
    cached: Annotated[bool | None, 4] = None


Propagation: TypeAlias = Annotated[str, Enum(UNKNOWN=0, HOST_TO_CONTAINER=1, BIDIRECTIONAL=2)]


class MountPropagation(Message, frozen=True):
    mode: Annotated[Propagation | None, 1] = None


class DockerVolume(Message, frozen=True):
    name: Annotated[str, 2]
    driver: Annotated[str | None, 1] = None
    driver_options: Annotated[Parameters | None, 3] = None


class HostPath(Message, frozen=True):
    path: Annotated[str, 1]
    mount_propagation: Annotated[MountPropagation | None, 2] = None


class SandboxPath(Message, frozen=True):
    """``type`` SELF: below this sandbox; PARENT: below that of the task group."""

    path: Annotated[str, 2]
    type: Annotated[Annotated[str, Enum(UNKNOWN=0, SELF=1, PARENT=2)] | None, 1] = None


VolumeSourceType: TypeAlias = Annotated[
    str, Enum(UNKNOWN=0, DOCKER_VOLUME=1, HOST_PATH=4, SANDBOX_PATH=2, SECRET=3, CSI_VOLUME=5)
]


class VolumeSource(Message, frozen=True):
    type: Annotated[VolumeSourceType | None, 1] = None
    docker_volume: Annotated[DockerVolume | None, 2] = None
    host_path: Annotated[HostPath | None, 5] = None
    sandbox_path: Annotated[SandboxPath | None, 3] = None
    secret: Annotated[Secret | None, 4] = None


class Volume(Message, frozen=True):
    """Where something outside appears in a container; ``mode`` is RW or RO."""

    container_path: Annotated[str, 1]
    mode: Annotated[Annotated[str, Enum(RW=1, RO=2)] | None, 3] = None
    host_path: Annotated[str | None, 2] = None
    image: Annotated[Image | None, 4] = None
    source: Annotated[VolumeSource | None, 5] = None
