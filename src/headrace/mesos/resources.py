"""Arithmetic of resources: scalars, ranges and sets; plain, reserved, on volumes, revocable or shared.

A ``Resources`` value is immutable. Scalars are kept in thousandths as integers, which is the
precision that Mesos guarantees, so sums and differences are exact. Ranges are kept sorted,
disjoint and merged.

What is nothing special stands in ``scalars``, ``ranges`` and ``sets``. Everything else stands in
``parts``: by ``Tag`` (whose it is, which volume it is, …) the amounts that have it. Most resources
have no parts, and cost nothing for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from headrace.mesos.messages.common import (
    AllocationInfo,
    DiskInfo,
    Identifier,
    Labels,
    Persistence,
    Range,
    Ranges,
    ReservationInfo,
    Resource,
    Scalar,
    Set,
    Volume,
)

MILLI = 1000
_ORDER = {"ports": 0, "cpus": 1, "gpus": 2, "mem": 3, "disk": 4}

Spans = tuple[tuple[int, int], ...]


class Reservation(msgspec.Struct, frozen=True, order=True):
    """For whom something is reserved. ``labels`` are (key, value or None) pairs."""

    role: str
    dynamic: bool = False
    principal: str | None = None
    labels: tuple[tuple[str, str | None], ...] = ()


class Tag(msgspec.Struct, frozen=True):
    """What is special about resources that are not just anybody's.

    ``reservations``: outermost first, so the last says whose it is. ``volume``: the id of a persistent
    volume, ``owner`` the principal that made it, ``mount`` its Volume as JSON; ``source``: the disk that it is on,
    as JSON. ``copies``: for a shared volume its size in thousandths; its amount then counts users, not size.
    """

    reservations: tuple[Reservation, ...] = ()
    volume: str | None = None
    owner: str | None = None
    mount: bytes = b""
    source: bytes = b""
    revocable: bool = False
    shared_size: int = 0
    provider: str | None = None

    @property
    def role(self) -> str:
        """Whose it is; ``*`` if it is anybody's."""
        return self.reservations[-1].role if self.reservations else "*"

    @property
    def dynamic(self) -> bool:
        """Whether its innermost reservation can be taken off."""
        return bool(self.reservations) and self.reservations[-1].dynamic

    @property
    def whole(self) -> bool:
        """Whether it can't be split: it is a volume."""
        return self.volume is not None

    @property
    def shared(self) -> bool:
        """Whether several may use it at a time."""
        return self.shared_size > 0


PLAIN = Tag()


class InvalidResourceError(ValueError):
    """A resource that makes no sense; the message says which and why."""


class Resources:
    """Amounts by name. Names with nothing left are not kept.

    ``parts`` holds the amounts of those that are not plain, by what is special about them; the values have
    no parts themselves. Of a shared volume the part is ``disk`` = 1000 for each use of it.
    """

    __slots__ = ("parts", "ranges", "scalars", "sets")

    def __init__(
        self,
        scalars: Mapping[str, int] | None = None,
        ranges: Mapping[str, Spans] | None = None,
        sets: Mapping[str, frozenset[str]] | None = None,
        parts: Mapping[Tag, Resources] | None = None,
    ) -> None:
        """``scalars`` in thousandths; ``ranges`` sorted and disjoint, both ends included."""
        self.scalars: dict[str, int] = {k: v for k, v in scalars.items() if v} if scalars else {}
        self.ranges: dict[str, Spans] = {k: v for k, v in ranges.items() if v} if ranges else {}
        self.sets: dict[str, frozenset[str]] = {k: v for k, v in sets.items() if v} if sets else {}
        self.parts: dict[Tag, Resources] = {k: v for k, v in parts.items() if v} if parts else {}

    @classmethod
    def of(cls, **scalars: float) -> Resources:
        """Scalars by name: ``Resources.of(cpus=1.5, mem=1024)``."""
        return cls({name: round(value * MILLI) for name, value in scalars.items()})

    @classmethod
    def parse(cls, messages: Iterable[Resource] | None) -> Resources:
        """From the API's form, old or new. Raises InvalidResourceError."""
        total = EMPTY
        for message in messages or ():
            total = total + _parse_one(message)
        return total

    def messages(self, role: str | None = None) -> list[Resource]:
        """In the API's form, in Mesos's order; ``role`` is whom they are allocated to, if to anybody."""
        allocation = AllocationInfo(role) if role is not None else None
        out = self._own_messages(allocation)
        for tag, part in self.parts.items():
            out += _tagged(part, tag, allocation)
        return out

    def _own_messages(self, allocation: AllocationInfo | None) -> list[Resource]:
        out = [
            Resource(name, "SCALAR", scalar=Scalar(value / MILLI), allocation_info=allocation)
            for name, value in self.scalars.items()
        ]
        out += [
            Resource(name, "RANGES", ranges=Ranges([Range(b, e) for b, e in spans]), allocation_info=allocation)
            for name, spans in self.ranges.items()
        ]
        out += [
            Resource(name, "SET", set=Set(sorted(items)), allocation_info=allocation)
            for name, items in self.sets.items()
        ]
        return sorted(out, key=lambda resource: (_ORDER.get(resource.name, 9), resource.name))

    def scalar(self, name: str) -> float:
        """The amount of a plain scalar; 0 if there is none."""
        return self.scalars.get(name, 0) / MILLI

    def quantity(self, name: str) -> int:
        """Thousandths of a scalar in all parts; a shared volume counts once."""
        total = self.scalars.get(name, 0)
        for tag, part in self.parts.items():
            total += tag.shared_size if tag.shared and name == "disk" else part.scalars.get(name, 0)
        return total

    @property
    def plain(self) -> Resources:
        """Without the parts."""
        return Resources(self.scalars, self.ranges, self.sets) if self.parts else self

    def without_tags(self) -> Resources:
        """The same amounts, all of them plain; a shared volume counts once."""
        total = self.plain
        for tag, part in self.parts.items():
            total = total + (Resources({"disk": tag.shared_size}) if tag.shared else part)
        return total

    def where(self, wanted: Callable[[Tag], bool]) -> Resources:
        """What has a tag that is wanted; PLAIN stands for what has none."""
        own = self.plain if wanted(PLAIN) else EMPTY
        parts = {tag: part for tag, part in self.parts.items() if wanted(tag)}
        return Resources(own.scalars, own.ranges, own.sets, parts) if parts else own

    def tagged(self, tag: Tag) -> Resources:
        """What is plain here, as that of ``tag``."""
        return Resources(parts={tag: self.plain}) if tag != PLAIN else self.plain

    @property
    def ports(self) -> Iterator[int]:
        """All plain port numbers, lowest first."""
        return (port for begin, end in self.ranges.get("ports", ()) for port in range(begin, end + 1))

    def with_ports(self, ports: Iterable[int]) -> Resources:
        """The same with these ports instead of its own."""
        spans = merge((port, port) for port in ports)
        return Resources(self.scalars, {**self.ranges, "ports": spans}, self.sets, self.parts)

    def __add__(self, other: Resources) -> Resources:
        scalars = dict(self.scalars)
        for name, value in other.scalars.items():
            scalars[name] = scalars.get(name, 0) + value
        ranges = dict(self.ranges)
        for name, spans in other.ranges.items():
            ranges[name] = merge((*ranges.get(name, ()), *spans))
        sets = dict(self.sets)
        for name, items in other.sets.items():
            sets[name] = sets.get(name, frozenset()) | items
        if not other.parts:
            return Resources(scalars, ranges, sets, self.parts)
        parts = dict(self.parts)
        for tag, part in other.parts.items():
            parts[tag] = parts[tag] + part if tag in parts else part
        return Resources(scalars, ranges, sets, parts)

    def __sub__(self, other: Resources) -> Resources:
        """What is left; what is not there can't be taken: amounts stop at zero."""
        scalars = dict(self.scalars)
        for name, value in other.scalars.items():
            scalars[name] = max(0, scalars.get(name, 0) - value)
        ranges = dict(self.ranges)
        for name, spans in other.ranges.items():
            ranges[name] = without(ranges.get(name, ()), spans)
        sets = dict(self.sets)
        for name, items in other.sets.items():
            sets[name] = sets.get(name, frozenset()) - items
        if not self.parts or not other.parts:
            return Resources(scalars, ranges, sets, self.parts)
        parts = dict(self.parts)
        for tag, part in other.parts.items():
            parts[tag] = parts.get(tag, EMPTY) - part
        return Resources(scalars, ranges, sets, parts)

    def contains(self, other: Resources) -> bool:
        """Whether ``other`` can be taken from this; of a volume that is not shared, only all."""
        return (
            all(self.scalars.get(name, 0) >= value for name, value in other.scalars.items())
            and all(not without(spans, self.ranges.get(name, ())) for name, spans in other.ranges.items())
            and all(self.sets.get(name, frozenset()) >= items for name, items in other.sets.items())
            and (not other.parts or self._contains_parts(other.parts))
        )

    def _contains_parts(self, parts: Mapping[Tag, Resources]) -> bool:
        for tag, part in parts.items():
            own = self.parts.get(tag, EMPTY)
            if not own.contains(part) or (tag.whole and not tag.shared and own != part):
                return False
        return True

    def __bool__(self) -> bool:
        return bool(self.scalars or self.ranges or self.sets or self.parts)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Resources)
            and self.scalars == other.scalars
            and self.ranges == other.ranges
            and self.sets == other.sets
            and self.parts == other.parts
        )

    def __hash__(self) -> int:
        return hash(
            (
                frozenset(self.scalars.items()),
                frozenset(self.ranges.items()),
                frozenset(self.sets.items()),
                frozenset(self.parts.items()) if self.parts else 0,
            )
        )

    def __str__(self) -> str:
        """As Mesos writes it: ``cpus:1; mem(reservations: [(DYNAMIC,role,principal)]):64; ports:[31000-31001]``."""
        return describe(self.messages())

    __repr__ = __str__


EMPTY = Resources()


def describe(resources: Iterable[Resource], role: str | None = None) -> str:
    """As Mesos writes resources in messages: ``cpus(allocated: test):1; ports(allocated: test):[31000-31001]``.

    ``role``: whom those are allocated to that do not say it themselves.
    """
    return "; ".join(_described(resource, role) for resource in resources)


def _described(resource: Resource, role: str | None) -> str:
    name = resource.name
    allocation = resource.allocation_info
    if owner := allocation.role if allocation is not None else role:
        name += f"(allocated: {owner})"
    if reservations := _reservations(resource):
        inner = ",".join(f"({_describe_reservation(one)})" for one in reservations)
        name += f"(reservations: [{inner}])"
    if resource.disk is not None:
        name += _describe_disk(resource.disk)
    if resource.revocable is not None:
        name += "{REV}"
    if resource.shared is not None:
        name += "<SHARED>"
    if resource.scalar is not None:
        return f"{name}:{round(resource.scalar.value * MILLI) / MILLI:.15g}"
    if resource.ranges is not None:
        return f"{name}:[{', '.join(f'{s.begin}-{s.end}' for s in resource.ranges.range or ())}]"
    if resource.set is not None:
        return f"{name}:{{{', '.join(resource.set.item or ())}}}"
    return name


def _describe_reservation(one: Reservation) -> str:
    labels = [f"{key}: {value}" if value is not None else key for key, value in one.labels]
    words = [
        "DYNAMIC" if one.dynamic else "STATIC",
        one.role,
        one.principal,
        f"{{{', '.join(labels)}}}" if labels else None,
    ]
    return ",".join(word for word in words if word)


def _describe_disk(disk: DiskInfo) -> str:
    persistence, volume = disk.persistence, disk.volume
    if persistence is None:
        return f"[{(disk.source or {}).get('type', 'PATH')}]" if disk.source else ""
    words = [persistence.id]
    if volume is not None:
        host = f"{volume.host_path}:" if volume.host_path else ""
        mode = f":{volume.mode.lower()}" if volume.mode else ""
        words.append(f"{host}{volume.container_path}{mode}")
    return f"[{':'.join(words)}]"


def _tagged(part: Resources, tag: Tag, allocation: AllocationInfo | None) -> list[Resource]:
    """A part in the API's form."""
    reservations = [
        ReservationInfo(
            "DYNAMIC" if one.dynamic else "STATIC",
            one.role,
            one.principal,
            msgspec.convert({"labels": [{"key": k, "value": v} for k, v in one.labels]}, Labels)
            if one.labels
            else None,
        )
        for one in tag.reservations
    ]
    special: dict[str, Any] = {"reservations": reservations or None, "disk": _disk(tag)}
    if tag.revocable:
        special["revocable"] = {}
    if tag.provider is not None:
        special["provider_id"] = Identifier(tag.provider)
    if tag.shared:
        special["shared"] = {}
        uses = part.scalars.get("disk", 0) // MILLI
        part = Resources({"disk": tag.shared_size})
        return uses * [msgspec.structs.replace(one, **special) for one in part._own_messages(allocation)]
    return [msgspec.structs.replace(one, **special) for one in part._own_messages(allocation)]


def _disk(tag: Tag) -> DiskInfo | None:
    if tag.volume is None and not tag.source:
        return None
    return DiskInfo(
        Persistence(tag.volume, tag.owner) if tag.volume is not None else None,
        msgspec.json.decode(tag.mount, type=Volume) if tag.mount else None,
        msgspec.json.decode(tag.source) if tag.source else None,
    )


def _reservations(message: Resource) -> tuple[Reservation, ...]:
    """Of the new form, or of the old one (``role`` and ``reservation``)."""
    if message.reservations:
        return tuple(_reservation(one) for one in message.reservations)
    old = message.reservation
    if message.role in (None, "", "*"):
        return (_reservation(old),) if old is not None and old.role else ()
    if old is None:
        return (Reservation(message.role or ""),)
    return (_reservation(msgspec.structs.replace(old, type="DYNAMIC", role=message.role)),)


def _reservation(one: ReservationInfo) -> Reservation:
    labels = tuple((label.key, label.value) for label in (one.labels.labels or ())) if one.labels is not None else ()
    return Reservation(one.role or "*", one.type != "STATIC", one.principal, labels)


def tag_of(message: Resource) -> Tag:
    """What is special about a resource; PLAIN if nothing is."""
    disk = message.disk
    persistence = disk.persistence if disk is not None else None
    shared = message.shared is not None and message.scalar is not None
    return Tag(
        _reservations(message),
        persistence.id if persistence is not None else None,
        persistence.principal if persistence is not None else None,
        msgspec.json.encode(disk.volume) if disk is not None and disk.volume is not None else b"",
        msgspec.json.encode(disk.source, order="sorted") if disk is not None and disk.source else b"",
        message.revocable is not None,
        round(message.scalar.value * MILLI) if shared and message.scalar is not None else 0,
        message.provider_id.value if message.provider_id is not None else None,
    )


def old_form(message: Resource) -> Resource:
    """For frameworks without RESERVATION_REFINEMENT: ``role`` and ``reservation`` instead of ``reservations``.

    Raises ValueError for a refined reservation, which the old form can't express.
    """
    given = message.reservations or []
    if len(given) > 1:
        raise ValueError(f"{describe([message])} has a refined reservation")
    if not given:
        return msgspec.structs.replace(message, role="*")
    one = given[0]
    old = None if one.type == "STATIC" else ReservationInfo(principal=one.principal, labels=one.labels)
    return msgspec.structs.replace(message, role=one.role, reservation=old, reservations=None)


def merge(spans: Iterable[tuple[int, int]]) -> Spans:
    """Sorted, disjoint, adjacent ones joined."""
    out: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if out and begin <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((begin, end))
    return tuple(out)


def without(spans: Spans, taken: Spans) -> Spans:
    """``spans`` less ``taken``; both sorted and disjoint."""
    out: list[tuple[int, int]] = []
    for begin, end in spans:
        at = begin
        for cut_begin, cut_end in taken:
            if cut_end < at or cut_begin > end:
                continue
            if cut_begin > at:
                out.append((at, cut_begin - 1))
            at = cut_end + 1
        if at <= end:
            out.append((at, end))
    return tuple(out)


def _parse_one(message: Resource) -> Resources:
    amount = _amount(message)
    tag = tag_of(message)
    if tag.shared:
        return Resources(parts={tag: Resources({"disk": MILLI})})
    return amount.tagged(tag)


def _amount(message: Resource) -> Resources:
    name = message.name
    if not name:
        raise InvalidResourceError("a resource has no name")
    if message.scalar is not None:
        value = message.scalar.value
        if not 0 <= value < 1e15:
            raise InvalidResourceError(f"resource '{name}' is {value}; it must be 0 or more")
        return Resources({name: round(value * MILLI)})
    if message.ranges is not None:
        spans = []
        for span in message.ranges.range or ():
            if not 0 <= span.begin <= span.end:
                raise InvalidResourceError(f"resource '{name}' has the range {span.begin}-{span.end}, which is none")
            spans.append((span.begin, span.end))
        return Resources(ranges={name: merge(spans)})
    if message.set is not None:
        return Resources(sets={name: frozenset(message.set.item or ())})
    raise InvalidResourceError(f"resource '{name}' has neither scalar nor ranges nor set")
