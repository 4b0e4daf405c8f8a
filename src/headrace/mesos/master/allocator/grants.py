"""What may be offered to whom of what is free: by reservation, by capability, by amount.

Reserved resources are for the role that they are reserved for and those below it. Shared volumes
can be held by several at once, so they are never used up; they go along with something else and
are not worth an offer alone. Quota counts what is neither reserved nor revocable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from headrace.mesos.messages.common import DiskSource
from headrace.mesos.resources import EMPTY, Resources, Tag

GPUS, REGIONS = "GPU_RESOURCES", "REGION_AWARE"
REFINED, SHARED, REVOCABLE = "RESERVATION_REFINEMENT", "SHARED_RESOURCES", "REVOCABLE_RESOURCES"


def allocatable(resources: Resources, least: tuple[Resources, ...]) -> bool:
    """Whether ``resources`` are worth an offer: they contain one of ``least``, or are any at all if that is empty."""
    if not resources.parts:
        return any(resources.contains(one) for one in least) if least else bool(resources)
    if not private(resources):
        return False
    return not least or any(_amounts_to(resources, one) for one in least)


def _amounts_to(resources: Resources, least: Resources) -> bool:
    return all(resources.quantity(name) >= amount for name, amount in least.scalars.items())


def private(resources: Resources) -> Resources:
    """Without shared volumes: what only one can hold."""
    if not resources.parts or not any(tag.shared_size for tag in resources.parts):
        return resources
    parts = {tag: part for tag, part in resources.parts.items() if not tag.shared_size}
    return Resources(resources.scalars, resources.ranges, resources.sets, parts)


def once(resources: Resources) -> Resources:
    """As an agent has them: each shared volume counts one use, however many there are."""
    parts = resources.parts
    if not parts or not any(tag.shared_size for tag in parts):
        return resources
    of_agent = {tag: Resources({"disk": 1000}) if tag.shared_size else part for tag, part in parts.items()}
    return Resources(resources.scalars, resources.ranges, resources.sets, of_agent)


# Whose it is


def below(role: str, ancestor: str) -> bool:
    """Whether ``role`` is ``ancestor`` or below it."""
    return role == ancestor or (role.startswith(ancestor) and role[len(ancestor)] == "/")


def missing_capability(tag: Tag, capabilities: Collection[str]) -> str | None:
    """Without which a framework can't have resources of ``tag``."""
    if len(tag.reservations) > 1 and REFINED not in capabilities:
        return REFINED
    if tag.shared_size and SHARED not in capabilities:
        return SHARED
    if tag.revocable and REVOCABLE not in capabilities:
        return REVOCABLE
    return None


def entitled(free: Resources, role: str, capabilities: Collection[str]) -> Resources:
    """What a framework with these capabilities may have of ``free`` in ``role``."""
    parts = free.parts
    if not parts:
        return free
    kept = {
        tag: part
        for tag, part in parts.items()
        if (not tag.reservations or below(role, tag.reservations[-1].role))
        and missing_capability(tag, capabilities) is None
    }
    return free if len(kept) == len(parts) else Resources(free.scalars, free.ranges, free.sets, kept)


def owners(free: Resources) -> set[str] | None:
    """The roles that all of ``free`` is reserved for; None if some of it is anybody's."""
    if not free.parts or free.scalars or free.ranges or free.sets:
        return None
    roles = {tag.role for tag in free.parts if not tag.shared_size}
    return None if "*" in roles else roles


# Amounts


def unreserved(resources: Resources) -> dict[str, int]:
    """Thousandths, by name, of what counts against quota only while it is held."""
    if not resources.parts:
        return resources.scalars
    total = dict(resources.scalars)
    for tag, part in resources.parts.items():
        if _counts(tag):
            for name, amount in part.scalars.items():
                total[name] = total.get(name, 0) + amount
    return total


def reserved(resources: Resources) -> dict[str, dict[str, int]]:
    """Thousandths of what is reserved, by role and name; a shared volume counts once."""
    by_role: dict[str, dict[str, int]] = {}
    for tag, part in resources.parts.items():
        if tag.reservations:
            total = by_role.setdefault(tag.role, {})
            for name, amount in part.scalars.items():
                total[name] = total.get(name, 0) + (tag.shared_size or amount)
    return by_role


def capped(resources: Resources, caps: Mapping[str, int]) -> Resources:
    """With no more of the unreserved amounts than ``caps`` by name; what can't be split and is too much is left out."""
    left = dict(caps)
    scalars = {name: _take(left, name, amount) for name, amount in resources.scalars.items()}
    parts = {tag: _capped_part(tag, part, left) if _counts(tag) else part for tag, part in resources.parts.items()}
    return Resources(scalars, resources.ranges, resources.sets, parts)


def _capped_part(tag: Tag, part: Resources, left: dict[str, int]) -> Resources:
    if not _divisible(tag) and any(left.get(name, amount) < amount for name, amount in part.scalars.items()):
        return EMPTY
    return Resources({name: _take(left, name, amount) for name, amount in part.scalars.items()}, part.ranges, part.sets)


def _take(left: dict[str, int], name: str, amount: int) -> int:
    if name not in left:
        return amount
    taken = min(amount, left[name])
    left[name] -= taken
    return taken


def _counts(tag: Tag) -> bool:
    return not tag.reservations and not tag.revocable


def _divisible(tag: Tag) -> bool:
    return not tag.whole and (not tag.source or msgspec.json.decode(tag.source, type=DiskSource).type == "PATH")
