"""An offer as the matcher sees it: where it is, and what of it is for whom. Pure.

Ordinary resources (nobody's, or reserved to the offer's role) are for all; what is reserved for an instance that keeps
volumes is for that one alone; other disks are for volumes only. Revocable resources and providers' are not used.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.marathon.core.constraints import Fields, attribute_text
from headrace.marathon.core.residency import Kept, kept, marked
from headrace.mesos.messages.common import Offer, Unavailability
from headrace.mesos.resources import EMPTY, PLAIN, Resources, Spans, Tag, merge

NANOSECONDS = 1e9


class Place(msgspec.Struct):
    """An offer being used up: ``free`` and ``disks`` shrink with each match that is taken.

    ``role``: whom the offer is allocated to. ``kept``: by lease. ``gpus``: whether there are any.
    """

    offer: Offer
    role: str
    fields: Fields
    free: Resources
    kept: dict[str, Kept] = {}
    disks: Resources = EMPTY
    gpus: bool = False

    @classmethod
    def of(cls, offer: Offer, role: str = "*") -> Place:
        """``role``: if the offer says none."""
        allocation = offer.allocation_info
        role = (allocation.role if allocation is not None else None) or role
        offered = Resources.parse(offer.resources)
        gpus = offered.quantity("gpus") > 0
        if not offered.parts:
            return cls(offer, role, _fields(offer), offered, gpus=gpus)
        return cls(
            offer,
            role,
            _fields(offer),
            offered.where(lambda tag: tag == PLAIN or _for_all(tag, role)),
            kept(offered),
            offered.where(_spare_disk),
            gpus,
        )

    def tags(self, accepted: frozenset[str]) -> list[Tag]:
        """What a task may use that accepts resources of these roles; reserved ones first."""
        reserved = [tag for tag in self.free.parts if tag.role in accepted] if self.free.parts else []
        return [*reserved, PLAIN] if "*" in accepted else reserved

    def maintained(self, now: float, draining: float) -> bool:
        """Whether the agent's machine is being serviced, or will be in ``draining`` seconds."""
        given = self.offer.unavailability
        return given is not None and _during(given, now, draining)


def part(stock: Resources, tag: Tag) -> Resources:
    """What has this tag, as plain resources."""
    return stock.plain if tag == PLAIN else stock.parts.get(tag, EMPTY)


def amount(stock: Resources, tags: Sequence[Tag], name: str) -> int:
    """Thousandths of a scalar in all of these."""
    return sum(part(stock, tag).scalars.get(name, 0) for tag in tags)


def spans(stock: Resources, tags: Sequence[Tag], name: str = "ports") -> Spans:
    """The ranges in all of these."""
    if len(tags) == 1:
        return part(stock, tags[0]).ranges.get(name, ())
    return merge(span for tag in tags for span in part(stock, tag).ranges.get(name, ()))


def take(stock: Resources, tags: Sequence[Tag], wish: Resources) -> Resources:
    """``wish`` (plain) out of what has these tags, in their order; as much as there is."""
    if len(tags) == 1:
        return wish.tagged(tags[0])
    out = EMPTY
    for tag in tags:
        here = part(stock, tag)
        some = {name: min(value, here.scalars.get(name, 0)) for name, value in wish.scalars.items()}
        found = Resources(some, {name: _common(one, here.ranges.get(name, ())) for name, one in wish.ranges.items()})
        out, wish = out + found.tagged(tag), wish - found
    return out


def shares(stock: Resources, wishes: Sequence[Resources]) -> list[Resources]:
    """Each wish (plain) out of ``stock``, whatever tags it has."""
    out = []
    for wish in wishes:
        share = take(stock, [*stock.parts, PLAIN], wish)
        stock = stock - share
        out.append(share)
    return out


def _common(one: Spans, other: Spans) -> Spans:
    both = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return merge((begin, end) for begin, end in both if begin <= end)


def _for_all(tag: Tag, role: str) -> bool:
    special = tag.whole or tag.source or tag.revocable or tag.shared or tag.provider is not None
    if special or not tag.reservations or tag.role != role:
        return False
    return not marked(tag)


def _spare_disk(tag: Tag) -> bool:
    return bool(tag.source) and not (tag.whole or tag.reservations or tag.revocable or tag.provider is not None)


def _during(given: Unavailability, now: float, draining: float) -> bool:
    start = given.start.nanoseconds / NANOSECONDS
    lasts = given.duration.nanoseconds / NANOSECONDS if given.duration is not None else float("inf")
    return start - draining <= now < start + lasts


def _fields(offer: Offer) -> Fields:
    fields = {one.name: attribute_text(one) for one in offer.attributes or ()}
    domain = offer.domain.fault_domain if offer.domain is not None else None
    if domain is not None:
        fields |= {"@region": domain.region.name, "@zone": domain.zone.name}
    return {**fields, "hostname": offer.hostname}
