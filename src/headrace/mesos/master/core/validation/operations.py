"""What Mesos checks of operations on resources, in its words.

``role`` is whom the resources are allocated to, unset for an operator's; ``principal`` who asks, if known.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.mesos.master.core.model import Agent, Framework
from headrace.mesos.master.core.validation import resources
from headrace.mesos.messages.common import Resource
from headrace.mesos.messages.scheduler import GrowVolume, Operation, ShrinkVolume
from headrace.mesos.resources import Resources, describe, tag_of, thousandths

BODIES = {
    "RESERVE": "reserve",
    "UNRESERVE": "unreserve",
    "CREATE": "create",
    "DESTROY": "destroy",
    "GROW_VOLUME": "grow_volume",
    "SHRINK_VOLUME": "shrink_volume",
}


def named(operation: Operation) -> list[Resource]:
    """All resources that an operation names."""
    match operation:
        case Operation(type="RESERVE", reserve=body) if body is not None:
            return [*(body.resources or ()), *(body.source or ())]
        case Operation(type="UNRESERVE", unreserve=body) if body is not None:
            return body.resources or []
        case Operation(type="CREATE", create=body) if body is not None:
            return body.volumes or []
        case Operation(type="DESTROY", destroy=body) if body is not None:
            return body.volumes or []
        case Operation(type="GROW_VOLUME", grow_volume=body) if body is not None:
            return [body.volume, body.addition]
        case Operation(type="SHRINK_VOLUME", shrink_volume=body) if body is not None:
            return [body.volume]
    return []


def operation(
    given: Operation, agent: Agent, *, owner: Framework | None, role: str | None, principal: str | None
) -> str | None:
    """Whether an operation may be carried out; the form of its resources has been checked.

    ``owner`` and ``role`` are unset for an operator's.
    """
    match given:
        case Operation(type="RESERVE", reserve=body) if body is not None:
            return _reserve(body.resources or [], owner, role, principal)
        case Operation(type="UNRESERVE", unreserve=body) if body is not None:
            return _unreserve(body.resources or [], role)
        case Operation(type="CREATE", create=body) if body is not None:
            return _create(body.volumes or [], agent, owner, role, principal)
        case Operation(type="DESTROY", destroy=body) if body is not None:
            return _destroy(body.volumes or [], agent)
        case Operation(type="GROW_VOLUME", grow_volume=body) if body is not None:
            return _grow(body, role)
        case Operation(type="SHRINK_VOLUME", shrink_volume=body) if body is not None:
            return _shrink(body, role)
    return None


def _content(given: Sequence[Resource]) -> str | None:
    wrong = resources.content(given)
    return f"Invalid resources: {wrong}" if wrong else None


def _reserve(given: Sequence[Resource], owner: Framework | None, role: str | None, principal: str | None) -> str | None:
    if wrong := _content(given):
        return wrong
    for one in given:
        if not resources.is_dynamic(one):
            return f"Resource {describe([one], role)} is not dynamically reserved"
        if principal is not None and (wrong := _reserver(one, principal)):
            return wrong
        if role is not None and (wrong := _role(one, role, owner)):
            return wrong
        if role is None and one.allocation_info is not None:
            return (
                "A reserve operation was attempted with an allocated resource, but the operator API only allows "
                "reservations to be made to unallocated resources"
            )
    wrong = resources.one_allocation(given)
    return f"Invalid reservation resources: {wrong}" if wrong else None


def _reserver(one: Resource, principal: str) -> str | None:
    reservation = one.reservations[-1] if one.reservations else one.reservation
    given = reservation.principal if reservation is not None else None
    if given is None:
        return (
            f"A reserve operation was attempted by principal '{principal}', but there is a reserved resource "
            "in the request with no principal set"
        )
    if given != principal:
        return (
            f"A reserve operation was attempted by authenticated principal '{principal}', which does not match "
            f"a reserved resource in the request with principal '{given}'"
        )
    return None


def _role(one: Resource, role: str, owner: Framework | None) -> str | None:
    allocated = one.allocation_info.role if one.allocation_info is not None else None
    allocated = allocated or role
    reserved = resources.reserved_role(one)
    if allocated != reserved:
        return (
            f"A reserve operation was attempted for a resource with role '{reserved}', but "
            f"the resource was allocated to role '{allocated}'"
        )
    if owner is not None and reserved not in owner.roles:
        roles = f"{{ {', '.join(owner.roles)} }}"
        return (
            f"A reserve operation was attempted for a resource allocated to role '{reserved}', but "
            f"the framework only has roles '{roles}'"
        )
    return None


def _unreserve(given: Sequence[Resource], role: str | None) -> str | None:
    if wrong := _content(given):
        return wrong
    for one in given:
        if not resources.is_dynamic(one):
            return f"Resource {describe([one], role)} is not dynamically reserved"
        if one.disk is not None and one.disk.persistence is not None:
            return (
                f"A dynamically reserved persistent volume {describe([one], role)} cannot be unreserved directly. "
                "Please destroy the persistent volume first then unreserve the resource"
            )
    return None


def _persistent(given: Sequence[Resource], role: str | None) -> str | None:
    for one in given:
        if one.disk is None:
            return f"Resource {describe([one], role)} does not have DiskInfo"
        if one.disk.persistence is None:
            return "'persistence' is not set in DiskInfo"
        if one.disk.volume is None:
            return "Expecting 'volume' to be set for persistent volume"
        if one.disk.volume.mode == "RO":
            return "Read-only persistent volume not supported"
    return None


def _volumes(given: Sequence[Resource], role: str | None) -> str | None:
    if wrong := _content(given):
        return wrong
    wrong = _persistent(given, role)
    return f"Not a persistent volume: {wrong}" if wrong else None


def _create(
    given: Sequence[Resource], agent: Agent, owner: Framework | None, role: str | None, principal: str | None
) -> str | None:
    if wrong := _volumes(given, role):
        return wrong
    existing = [one for one in agent.total.messages() if one.disk is not None and one.disk.persistence is not None]
    if wrong := _new(existing, given):
        return wrong
    for one in given:
        if one.shared is not None and owner is not None and "SHARED_RESOURCES" not in owner.capabilities:
            return (
                f"Create volume operation for '{describe([one], role)}' has been attempted by framework '{owner.id}' "
                "with no SHARED_RESOURCES capability"
            )
        if principal is not None and (wrong := _creator(one, principal)):
            return wrong
    wrong = resources.one_allocation(given)
    return f"Invalid volume resources: {wrong}" if wrong else None


def _new(existing: Sequence[Resource], given: Sequence[Resource]) -> str | None:
    seen = {_id(one) for one in existing}
    for one in given:
        if _id(one) in seen:
            return f"Persistence ID '{_id(one)[1]}' is not unique"
        seen.add(_id(one))
    return None


def _id(one: Resource) -> tuple[str, str]:
    persistence = one.disk.persistence if one.disk is not None else None
    return resources.reserved_role(one), persistence.id if persistence is not None else ""


def _creator(one: Resource, principal: str) -> str | None:
    persistence = one.disk.persistence if one.disk is not None else None
    given = persistence.principal if persistence is not None else None
    if given is None:
        return (
            f"Create volume operation attempted by principal '{principal}', but there is a volume in the "
            "operation with no principal set in 'disk.persistence'"
        )
    if given != principal:
        return (
            f"Create volume operation attempted by authenticated principal '{principal}', which does not match "
            f"a volume in the operation with principal '{given}' set in 'disk.persistence'"
        )
    return None


def _destroy(given: Sequence[Resource], agent: Agent) -> str | None:
    if wrong := _volumes(given, None):
        return wrong
    volumes = [Resources.parse([one]) for one in given]
    if any(not agent.total.contains(volume) for volume in volumes):
        return "Persistent volumes not found"
    used = agent.used().values()
    if any(held.contains(volume) for held in used for volume in volumes):
        return "Persistent volumes in use"
    return None


def _grow(body: GrowVolume, role: str | None) -> str | None:
    if body.addition.scalar is None or thousandths(body.addition.scalar.value) <= 0:
        return "The size of 'GrowVolume.addition' field must be greater than zero"
    if body.volume.provider_id is not None:
        return "Growing a volume from a resource provider is not supported"
    if wrong := _persistent([body.volume], role):
        return f"Invalid persistent volume in the 'GrowVolume.volume' field: {wrong}"
    if body.volume.shared is not None:
        return "Growing a shared persistent volume is not supported"
    disk = msgspec.structs.replace(tag_of(body.volume), volume=None, owner=None, mount=b"")
    if body.addition.name != "disk" or tag_of(body.addition) != disk:
        return "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"
    return None


def _shrink(body: ShrinkVolume, role: str | None) -> str | None:
    less = thousandths(body.subtract.value)
    if less <= 0:
        return "Value of 'ShrinkVolume.subtract' must be greater than zero"
    if body.volume.scalar is None or thousandths(body.volume.scalar.value) <= less:
        return "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'"
    if body.volume.provider_id is not None:
        return "Shrinking a volume from a resource provider is not supported"
    disk = body.volume.disk.source if body.volume.disk is not None else None
    if disk is not None and disk.type == "MOUNT":
        return "Shrinking a volume on a MOUNT disk is not supported"
    if wrong := _persistent([body.volume], role):
        return f"Invalid persistent volume in the 'ShrinkVolume.volume' field: {wrong}"
    if body.volume.shared is not None:
        return "Shrinking a shared persistent volume is not supported"
    return None
