"""Resources, and for whom they are."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Enum
from headrace.mesos.messages.common.values import (
    Empty,
    Identifier,
    Labels,
    Message,
    Ranges,
    Scalar,
    Set,
    ValueType,
)
from headrace.mesos.messages.common.volumes import Volume


class AllocationInfo(Message, frozen=True):
    role: Annotated[str | None, 1] = None


class ReservationInfo(Message, frozen=True):
    """One reservation. ``type`` is STATIC or DYNAMIC; a refined resource has several, the last is innermost."""

    type: Annotated[Annotated[str, Enum(UNKNOWN=0, STATIC=1, DYNAMIC=2)] | None, 4] = None
    role: Annotated[str | None, 3] = None
    principal: Annotated[str | None, 1] = None
    labels: Annotated[Labels | None, 2] = None


class Persistence(Message, frozen=True):
    """What makes a part of a disk a persistent volume: an id, unique on the agent for a role."""

    id: Annotated[str, 1]
    principal: Annotated[str | None, 2] = None


class DiskRoot(Message, frozen=True):
    """Where a disk of type PATH or MOUNT is."""

    root: Annotated[str | None, 1] = None


DiskType: TypeAlias = Annotated[str, Enum(UNKNOWN=0, PATH=1, MOUNT=2, BLOCK=3, RAW=4)]


class DiskSource(Message, frozen=True):
    """The disk that a resource is a part of."""

    type: Annotated[DiskType, 1]
    path: Annotated[DiskRoot | None, 2] = None
    mount: Annotated[DiskRoot | None, 3] = None
    id: Annotated[str | None, 4] = None
    metadata: Annotated[Labels | None, 5] = None
    profile: Annotated[str | None, 6] = None
    vendor: Annotated[str | None, 7] = None


class DiskInfo(Message, frozen=True):
    persistence: Annotated[Persistence | None, 1] = None
    volume: Annotated[Volume | None, 2] = None
    source: Annotated[DiskSource | None, 3] = None


class Resource(Message, frozen=True):
    """A named amount. ``mem`` and ``disk`` are in MiB (Mesos says MB and means MiB)."""

    name: Annotated[str, 1]
    type: Annotated[ValueType | None, 2] = None
    scalar: Annotated[Scalar | None, 3] = None
    ranges: Annotated[Ranges | None, 4] = None
    set: Annotated[Set | None, 5] = None
    role: Annotated[str | None, 6] = None
    allocation_info: Annotated[AllocationInfo | None, 11] = None
    reservation: Annotated[ReservationInfo | None, 8] = None
    reservations: Annotated[list[ReservationInfo] | None, 13] = None
    disk: Annotated[DiskInfo | None, 7] = None
    revocable: Annotated[Empty | None, 9] = None
    shared: Annotated[Empty | None, 10] = None
    provider_id: Annotated[Identifier | None, 12] = None


class ResourceQuantities(Message, frozen=True):
    quantities: Annotated[dict[str, Scalar] | None, 1] = None


class MinAllocatableResources(Message, frozen=True):
    """An offer must contain one of these."""

    quantities: Annotated[list[ResourceQuantities] | None, 1] = None


class OfferFilters(Message, frozen=True):
    min_allocatable_resources: Annotated[MinAllocatableResources | None, 1] = None
