"""What Mesos checks of resources wherever they are given, in its words.

``form`` is for each resource by itself, ``use`` for those of a task or an executor together. Most resources
have nothing special about them, which is noticed first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from headrace.mesos.master.core.validation.names import identifier
from headrace.mesos.messages.common import DiskInfo, ReservationInfo, Resource
from headrace.mesos.resources import Resources, describe, is_plain
from headrace.mesos.resources.roles import is_subrole, role

_KINDS = {"SCALAR": "scalar", "RANGES": "ranges", "SET": "set"}


def form(resources: Sequence[Resource] | None) -> str | None:
    """Whether each resource makes sense by itself."""
    for resource in resources or ():
        plain = is_plain(resource) and resource.role != ""
        if plain and resource.type == "SCALAR" and resource.name and _is_scalar(resource):
            continue
        if wrong := _value(resource) or (None if plain else _special(resource)):
            return f"Resource '{describe([resource])}' is invalid: {wrong}"
    return None


def _is_scalar(resource: Resource) -> bool:
    scalar = resource.scalar
    return scalar is not None and 0 <= scalar.value < 1e15 and resource.ranges is None and resource.set is None


def _value(resource: Resource) -> str | None:
    if not resource.name:
        return "Empty resource name"
    given = [field for field in _KINDS.values() if getattr(resource, field) is not None]
    kind = _KINDS.get(resource.type or "", given[0] if given else None)
    if kind is None:
        return "Unsupported resource type" if resource.type else "Neither scalar nor ranges nor set is given"
    if given != [kind]:
        return f"Invalid {kind} resource"
    if resource.scalar is not None:
        if resource.scalar.value < 0:
            return "Invalid scalar resource: value <= 0"
        if resource.scalar.value >= 1e15:
            return "Invalid scalar resource: value is too large"
    elif resource.ranges is not None:
        spans = sorted((span.begin, span.end) for span in resource.ranges.range or ())
        if any(not 0 <= begin <= end for begin, end in spans):
            return "Invalid ranges resource: begin > end or begin < 0"
        if any(spans[i][0] <= spans[i - 1][1] for i in range(1, len(spans))):
            return "Invalid ranges resource: overlapping ranges"
    elif resource.set is not None:
        items = resource.set.item or []
        if len(set(items)) != len(items):
            return "Invalid set resource: duplicated elements"
    return None


def _special(resource: Resource) -> str | None:
    if resource.disk is not None and resource.name != "disk":
        return f"DiskInfo should not be set for {resource.name} resource"
    if wrong := _old_reservation(resource) if not resource.reservations else _reservations(resource):
        return wrong
    if resource.shared is not None:
        if resource.name != "disk":
            return f"Resource {resource.name} cannot be shared"
        if resource.disk is None or resource.disk.persistence is None:
            return "Only persistent volumes can be shared"
    return None


def _old_reservation(resource: Resource) -> str | None:
    if resource.role is not None and (wrong := role(resource.role)):
        return wrong
    if resource.reservation is None:
        return None
    for field in ("type", "role"):
        if getattr(resource.reservation, field) is not None:
            return f"'Resource.ReservationInfo.{field}' must not be set for the 'Resource.reservation' field"
    if resource.role in (None, "*"):
        return 'Invalid reservation: role "*" cannot be dynamically reserved'
    return None


def _reservations(resource: Resource) -> str | None:
    given = resource.reservations or []
    for one in given:
        if one.type not in ("STATIC", "DYNAMIC"):
            return "Invalid reservation: 'Resource.ReservationInfo.type' field must be set."
        if one.role is None:
            return "Invalid reservation: 'Resource.ReservationInfo.role' field must be set."
        if wrong := role(one.role):
            return wrong
        if one.role == "*":
            return 'Invalid reservation: role "*" cannot be reserved'
    return _refinement(given) or _both_forms(resource, given)


def _refinement(given: Sequence[ReservationInfo]) -> str | None:
    for outer, inner in pairwise(given):
        if inner.type == "STATIC":
            return "Invalid refined reservation: A refined reservation cannot be STATIC"
        if not is_subrole(inner.role or "", outer.role or ""):
            return f"Invalid refined reservation: role '{inner.role}' is not a refinement of '{outer.role}'"
    return None


def _both_forms(resource: Resource, given: Sequence[ReservationInfo]) -> str | None:
    if len(given) > 1:
        for field in ("role", "reservation"):
            if getattr(resource, field) is not None:
                return (
                    f"Invalid resource format: 'Resource.{field}' must not be set if there is more than one "
                    "reservation in 'Resource.reservations'"
                )
        return None
    if resource.role is not None and resource.role != given[0].role:
        return (
            f"Invalid resource format: 'Resource.role' field with '{resource.role}' does not match the role "
            f"'{given[0].role}' in 'Resource.reservations'"
        )
    if given[0].type == "STATIC" and resource.reservation is not None:
        return (
            "Invalid resource format: 'Resource.reservation' must not be set if the single reservation in "
            "'Resource.reservations' is STATIC"
        )
    return None


def content(resources: Sequence[Resource]) -> str | None:
    """Whether GPUs are whole, and volumes and reservations are of a kind that there is."""
    if wrong := _gpus(resources):
        return wrong
    for resource in resources:
        if resource.disk is not None and (wrong := _disk(resource, resource.disk)):
            return f"Invalid DiskInfo: {wrong}"
        if resource.revocable is not None and is_dynamic(resource):
            return (
                f"Invalid ReservationInfo: Dynamically reserved resource {describe([resource])} "
                "cannot be created from revocable resources"
            )
    return None


def _gpus(resources: Sequence[Resource]) -> str | None:
    for resource in resources:
        if resource.name == "gpus" and resource.scalar is not None and resource.scalar.value % 1:
            return "Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer"
    return None


def _disk(resource: Resource, disk: DiskInfo) -> str | None:
    if disk.persistence is None:
        if disk.volume is not None:
            return "Non-persistent volume not supported"
        return None if disk.source is not None else "DiskInfo is set but empty"
    if resource.revocable is not None:
        return "Persistent volumes cannot be created from revocable resources"
    if reserved_role(resource) == "*":
        return "Persistent volumes cannot be created from unreserved resources"
    if disk.volume is None:
        return "Expecting 'volume' to be set for persistent volume"
    if disk.volume.host_path is not None:
        return "Expecting 'host_path' to be unset for persistent volume"
    if wrong := identifier(disk.persistence.id):
        return f"Invalid persistence ID for persistent volume: {wrong}"
    return None


def reserved_role(resource: Resource) -> str:
    """For whom a resource is reserved; ``*`` if for nobody."""
    if resource.reservations:
        return resource.reservations[-1].role or "*"
    return resource.role or "*"


def is_dynamic(resource: Resource) -> bool:
    """Whether its innermost reservation was made at run time."""
    if resource.reservations:
        return resource.reservations[-1].type != "STATIC"
    return resource.reservation is not None


def use(who: str, lower: str, resources: Sequence[Resource]) -> str | None:
    """Whether these may be used together by ``who`` (Task, Executor); their form has been checked."""
    if all(map(is_plain, resources)):
        wrong = _gpus(resources)
        if wrong is None and (wrong := one_allocation(resources)):
            return f"Invalid {lower} resources: {wrong}"
        return f"{who} uses invalid resources: {wrong}" if wrong else None
    if wrong := content(resources):
        return f"{who} uses invalid resources: {wrong}"
    if wrong := unique_volumes(resources):
        return f"{who} uses duplicate persistence ID: {wrong}"
    if wrong := one_allocation(resources):
        return f"Invalid {lower} resources: {wrong}"
    if wrong := unmixed(resources):
        return f"{who} mixes revocable and non-revocable resources: {wrong}"
    return None


def unique_volumes(resources: Sequence[Resource]) -> str | None:
    """Whether no two volumes of a role have the same id; the same shared volume may be named more than once."""
    seen: dict[tuple[str, str], Resource] = {}
    for resource in resources:
        if resource.disk is None or resource.disk.persistence is None:
            continue
        key = (reserved_role(resource), resource.disk.persistence.id)
        other = seen.setdefault(key, resource)
        again = resource.shared is not None and Resources.parse([other]) == Resources.parse([resource])
        if other is not resource and not again:
            return f"Persistence ID '{key[1]}' is not unique"
    return None


def one_allocation(resources: Sequence[Resource]) -> str | None:
    """Whether all that say so are allocated to the same role."""
    first: str | None = None
    for resource in resources:
        given = resource.allocation_info.role if resource.allocation_info is not None else None
        if given is not None and first is not None and given != first:
            return (
                f"The resources have multiple allocation roles ('{given}' and '{first}') "
                "but only one allocation role is allowed"
            )
        first = first or given
    return None


def unmixed(resources: Sequence[Resource]) -> str | None:
    """Whether no resource is given both revocable and not."""
    revocable = {resource.name for resource in resources if resource.revocable is not None}
    for resource in resources if revocable else ():
        if resource.revocable is None and resource.name in revocable:
            return f"Cannot use both revocable and non-revocable '{resource.name}' at the same time"
    return None


def overlap(parts: Sequence[Resources]) -> bool:
    """Whether a port or an item stands in more than one of ``parts``."""
    total = Resources()
    for part in parts:
        together = Resources(ranges=total.ranges, sets=total.sets)
        if together - part != together:
            return True
        total = total + part
    return False
