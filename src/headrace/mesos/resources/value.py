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
    DiskSource,
    Empty,
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
from headrace.mesos.resources.spans import Spans, merge, without
from headrace.mesos.resources.tags import MILLI, PLAIN, Tag, tag_of
from headrace.mesos.resources.text import describe

_ANYBODY = (None, "*", "")
_ORDER = {"ports": 0, "cpus": 1, "gpus": 2, "mem": 3, "disk": 4}


class InvalidResourceError(ValueError):
    """A resource that makes no sense; the message says which and why."""


class Resources:
    """Amounts by name. Names with nothing left are not kept.

    ``parts`` holds the amounts of those that are not plain, by what is special about them; the values have
    no parts themselves. Of a shared volume the part is ``disk`` = 1000 for each use of it.
    """

    __slots__ = ("_hash", "parts", "ranges", "scalars", "sets")

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
        self._hash: int | None = None

    @classmethod
    def of(cls, **scalars: float) -> Resources:
        """Scalars by name: ``Resources.of(cpus=1.5, mem=1024)``."""
        return cls({name: round(value * MILLI) for name, value in scalars.items()})

    @classmethod
    def parse(cls, messages: Iterable[Resource] | None) -> Resources:
        """From the API's form, old or new. Raises InvalidResourceError."""
        scalars: dict[str, int] = {}
        total = EMPTY
        for message in messages or ():
            if message.scalar is not None and is_plain(message):
                name, value = message.name, message.scalar.value
                if not name or not 0 <= value < 1e15:
                    _amount(message)
                scalars[name] = scalars.get(name, 0) + round(value * MILLI)
            else:
                part = _parse_one(message)
                total = total + part if total else part
        if total.scalars:
            return total + cls(scalars)
        return cls(scalars, total.ranges, total.sets, total.parts)

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
        """What is left; what is not there can't be taken: amounts stop at zero. Of a volume nothing is left."""
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
            parts[tag] = EMPTY if tag.whole and not tag.shared else parts.get(tag, EMPTY) - part
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
        if self._hash is None:
            self._hash = hash(
                (
                    frozenset(self.scalars.items()),
                    frozenset(self.ranges.items()),
                    frozenset(self.sets.items()),
                    frozenset(self.parts.items()) if self.parts else 0,
                )
            )
        return self._hash

    def __str__(self) -> str:
        """As Mesos writes it: ``cpus:1; mem(reservations: [(DYNAMIC,role,principal)]):64; ports:[31000-31001]``."""
        return describe(self.messages())

    __repr__ = __str__


EMPTY = Resources()


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
        special["revocable"] = Empty()
    if tag.provider is not None:
        special["provider_id"] = Identifier(tag.provider)
    if tag.shared:
        special["shared"] = Empty()
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
        msgspec.json.decode(tag.source, type=DiskSource) if tag.source else None,
    )


def is_plain(message: Resource) -> bool:
    """Whether there is nothing to a resource but its name and its amount."""
    return (
        message.reservations is None
        and message.disk is None
        and message.role in _ANYBODY
        and message.reservation is None
        and message.revocable is None
        and message.shared is None
        and message.provider_id is None
    )


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
        if not value >= 0:
            raise InvalidResourceError(f"resource '{name}' is {value}; it must be 0 or more")
        if value >= 1e15:
            raise InvalidResourceError(f"resource '{name}' is {value}; it must be less than 1e15")
        return Resources({name: round(value * MILLI)})
    if message.ranges is not None:
        spans = []
        for span in message.ranges.range or ():
            if not 0 <= span.begin <= span.end:
                raise InvalidResourceError(f"resource '{name}' has the range {span.begin}-{span.end}, which is none")
            if span.end >= 2**63:
                raise InvalidResourceError(f"resource '{name}' has a range up to {span.end}, which is beyond 64 bits")
            spans.append((span.begin, span.end))
        return Resources(ranges={name: merge(spans)})
    if message.set is not None:
        return Resources(sets={name: frozenset(message.set.item or ())})
    raise InvalidResourceError(f"resource '{name}' has neither scalar nor ranges nor set")
