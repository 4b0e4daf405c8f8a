"""The smallest parts of the v1 API: ids, values, labels, times, resources, attributes."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What other languages' clients have room for."""


class Message(msgspec.Struct, omit_defaults=True, frozen=True):
    """The base of all messages: fields at their default are left out."""


class Identifier(Message, frozen=True):
    """Any Mesos id: framework, agent, offer, task, executor, container."""

    value: str


FrameworkID: TypeAlias = Identifier
AgentID: TypeAlias = Identifier
OfferID: TypeAlias = Identifier
TaskID: TypeAlias = Identifier
ExecutorID: TypeAlias = Identifier


class Scalar(Message, frozen=True):
    value: float


class Range(Message, frozen=True):
    """Both ends belong to the range."""

    begin: Int64
    end: Int64


class Ranges(Message, frozen=True):
    range: list[Range] | None = None


class Set(Message, frozen=True):
    item: list[str] | None = None


class Text(Message, frozen=True):
    value: str


class AllocationInfo(Message, frozen=True):
    role: str | None = None


class Label(Message, frozen=True):
    key: str
    value: str | None = None


class Labels(Message, frozen=True):
    labels: list[Label] | None = None


class ReservationInfo(Message, frozen=True):
    """One reservation. ``type`` is STATIC or DYNAMIC; a refined resource has several, the last is innermost."""

    type: str | None = None
    role: str | None = None
    principal: str | None = None
    labels: Labels | None = None


class Persistence(Message, frozen=True):
    """What makes a part of a disk a persistent volume: an id, unique on the agent for a role."""

    id: str
    principal: str | None = None


class MountPropagation(Message, frozen=True):
    mode: str | None = None


class DockerVolume(Message, frozen=True):
    name: str
    driver: str | None = None
    driver_options: dict[str, Any] | None = None


class HostPath(Message, frozen=True):
    path: str
    mount_propagation: MountPropagation | None = None


class SandboxPath(Message, frozen=True):
    """``type`` SELF: below this sandbox; PARENT: below that of the task group."""

    path: str
    type: str | None = None


class VolumeSource(Message, frozen=True):
    type: str | None = None
    docker_volume: DockerVolume | None = None
    host_path: HostPath | None = None
    sandbox_path: SandboxPath | None = None
    secret: dict[str, Any] | None = None


class Volume(Message, frozen=True):
    """Where something outside appears in a container; ``mode`` is RW or RO."""

    container_path: str
    mode: str | None = None
    host_path: str | None = None
    image: dict[str, Any] | None = None
    source: VolumeSource | None = None


class DiskInfo(Message, frozen=True):
    persistence: Persistence | None = None
    volume: Volume | None = None
    source: dict[str, Any] | None = None


class Resource(Message, frozen=True):
    """A named amount. ``mem`` and ``disk`` are in MiB (Mesos says MB and means MiB)."""

    name: str
    type: str | None = None
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    set: Set | None = None
    role: str | None = None
    allocation_info: AllocationInfo | None = None
    reservation: ReservationInfo | None = None
    reservations: list[ReservationInfo] | None = None
    disk: DiskInfo | None = None
    revocable: dict[str, Any] | None = None
    shared: dict[str, Any] | None = None
    provider_id: Identifier | None = None


class Attribute(Message, frozen=True):
    name: str
    type: str | None = None
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    set: Set | None = None
    text: Text | None = None


class DurationInfo(Message, frozen=True):
    nanoseconds: Int64


class TimeInfo(Message, frozen=True):
    nanoseconds: Int64
