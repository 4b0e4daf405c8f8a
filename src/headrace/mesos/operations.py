"""What operations on resources do: RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME, SHRINK_VOLUME.

Each takes something away and puts something in its place (``Conversion``). Pure; master and agent
share it, so that both come to the same total. Whether somebody may do it is the master's question
(``master.validation.operations``). Source: Apache Mesos documentation, "Reservation" and "Persistent Volumes".
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from headrace.mesos.messages.common import Resource
from headrace.mesos.messages.scheduler import GrowVolume, Operation, ShrinkVolume
from headrace.mesos.resources import EMPTY, InvalidResourceError, Resources, Tag, describe, thousandths

CONVERSIONS = frozenset({"RESERVE", "UNRESERVE", "CREATE", "DESTROY", "GROW_VOLUME", "SHRINK_VOLUME"})
"""The types of operations that ``apply`` knows."""


class OperationError(ValueError):
    """The operation can't be applied; the message is Mesos's."""


class Conversion(msgspec.Struct, frozen=True):
    """``consumed`` becomes ``converted``."""

    consumed: Resources
    converted: Resources


def apply(operation: Operation, resources: Resources, role: str | None = None) -> Resources:
    """``resources`` after ``operation``. ``role``: whom they are allocated to, for the message.

    Raises OperationError if they don't hold what the operation needs; nothing has changed then.
    """
    left = resources
    for step in conversions(operation):
        if not left.contains(step.consumed):
            have, need = describe(left.messages(role)), describe(step.consumed.messages(role))
            raise OperationError(f"{have} does not contain {need}")
        left = left - step.consumed
        if operation.type == "DESTROY" and left.contains(step.consumed):
            volume = describe(step.consumed.messages(role))
            raise OperationError(f"Persistent volume {volume} cannot be removed due to additional shared copies")
        left = left + step.converted
    return left


def conversions(operation: Operation) -> list[Conversion]:
    """What ``operation`` does, one step for each resource that it names. Raises OperationError."""
    try:
        return _conversions(operation)
    except InvalidResourceError as error:
        raise OperationError(f"Invalid resources: {error}") from None


def _conversions(operation: Operation) -> list[Conversion]:
    match operation:
        case Operation(type="RESERVE", reserve=body) if body is not None:
            if body.source:
                return [Conversion(Resources.parse(body.source), Resources.parse(body.resources))]
            return [Conversion(unreserved(one), one) for one in _each(body.resources)]
        case Operation(type="UNRESERVE", unreserve=body) if body is not None:
            return [Conversion(one, unreserved(one)) for one in _each(body.resources)]
        case Operation(type="CREATE", create=body) if body is not None:
            return [Conversion(without_volume(one), one) for one in _each(body.volumes)]
        case Operation(type="DESTROY", destroy=body) if body is not None:
            return [Conversion(one, without_volume(one)) for one in _each(body.volumes)]
        case Operation(type="GROW_VOLUME", grow_volume=body) if body is not None:
            return [_grown(body)]
        case Operation(type="SHRINK_VOLUME", shrink_volume=body) if body is not None:
            return [_shrunk(body)]
    raise OperationError(f"Operation {operation.type} is not supported: the agents have no resource providers")


def _each(messages: Iterable[Resource] | None) -> list[Resources]:
    return [Resources.parse([message]) for message in messages or ()]


def unreserved(resources: Resources) -> Resources:
    """``resources`` without their innermost reservation. Raises OperationError where that is not a dynamic one."""
    if resources.plain:
        raise OperationError(f"Resource {resources.plain} is not dynamically reserved")
    total = EMPTY
    for tag, part in resources.parts.items():
        if not tag.dynamic:
            raise OperationError(f"Resource {Resources(parts={tag: part})} is not dynamically reserved")
        total = total + part.tagged(msgspec.structs.replace(tag, reservations=tag.reservations[:-1]))
    return total


def without_volume(resources: Resources) -> Resources:
    """The disk that persistent volumes are made of. Raises OperationError for what is no volume."""
    if resources.plain:
        raise OperationError(f"Resource {resources.plain} does not have DiskInfo")
    total = EMPTY
    for tag, part in resources.parts.items():
        if not tag.whole:
            raise OperationError(f"Resource {Resources(parts={tag: part})} is not a persistent volume")
        amount = Resources({"disk": tag.shared_size}) if tag.shared else part
        total = total + amount.tagged(_disk_of(tag))
    return total


def _disk_of(tag: Tag) -> Tag:
    return msgspec.structs.replace(tag, volume=None, owner=None, mount=b"", shared_size=0)


def _grown(body: GrowVolume) -> Conversion:
    volume, addition = Resources.parse([body.volume]), Resources.parse([body.addition])
    tag = _only_volume(volume)
    return Conversion(volume + addition, volume + Resources({"disk": addition.quantity("disk")}).tagged(tag))


def _shrunk(body: ShrinkVolume) -> Conversion:
    volume = Resources.parse([body.volume])
    tag = _only_volume(volume)
    freed = thousandths(body.subtract.value)
    smaller = Resources({"disk": max(0, volume.quantity("disk") - freed)})
    return Conversion(volume, smaller.tagged(tag) + Resources({"disk": freed}).tagged(_disk_of(tag)))


def _only_volume(volume: Resources) -> Tag:
    tags = [tag for tag in volume.parts if tag.whole]
    if len(tags) != 1 or volume.plain:
        raise OperationError(f"Resource {volume} is not a persistent volume")
    if tags[0].shared:
        raise OperationError(f"The size of shared persistent volume {volume} can't be changed")
    return tags[0]
