"""Arithmetic of resources: scalars, ranges and sets.

A ``Resources`` value is immutable. Scalars are kept in thousandths as integers, which is the
precision that Mesos guarantees, so sums and differences are exact. Ranges are kept sorted,
disjoint and merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from headrace.mesos.messages.common import AllocationInfo, Range, Ranges, Resource, Scalar, Set

MILLI = 1000
_ORDER = {"ports": 0, "cpus": 1, "gpus": 2, "mem": 3, "disk": 4}

Spans = tuple[tuple[int, int], ...]


class InvalidResourceError(ValueError):
    """A resource that makes no sense; the message says which and why."""


class Resources:
    """Amounts by name. Names with nothing left are not kept."""

    __slots__ = ("ranges", "scalars", "sets")

    def __init__(
        self,
        scalars: Mapping[str, int] | None = None,
        ranges: Mapping[str, Spans] | None = None,
        sets: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        """``scalars`` in thousandths; ``ranges`` sorted and disjoint, both ends included."""
        self.scalars: dict[str, int] = {k: v for k, v in (scalars or {}).items() if v}
        self.ranges: dict[str, Spans] = {k: v for k, v in (ranges or {}).items() if v}
        self.sets: dict[str, frozenset[str]] = {k: v for k, v in (sets or {}).items() if v}

    @classmethod
    def of(cls, **scalars: float) -> Resources:
        """Scalars by name: ``Resources.of(cpus=1.5, mem=1024)``."""
        return cls({name: round(value * MILLI) for name, value in scalars.items()})

    @classmethod
    def parse(cls, messages: Iterable[Resource] | None) -> Resources:
        """From the API's form. Raises InvalidResourceError."""
        total = EMPTY
        for message in messages or ():
            total = total + _parse_one(message)
        return total

    def messages(self, role: str | None = None) -> list[Resource]:
        """In the API's form, in Mesos's order; ``role`` is whom they are allocated to, if to anybody."""
        allocation = AllocationInfo(role) if role is not None else None
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
        """The amount of a scalar; 0 if there is none."""
        return self.scalars.get(name, 0) / MILLI

    @property
    def ports(self) -> Iterator[int]:
        """All port numbers, lowest first."""
        return (port for begin, end in self.ranges.get("ports", ()) for port in range(begin, end + 1))

    def with_ports(self, ports: Iterable[int]) -> Resources:
        """The same with these ports instead of its own."""
        spans = merge((port, port) for port in ports)
        return Resources(self.scalars, {**self.ranges, "ports": spans}, self.sets)

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
        return Resources(scalars, ranges, sets)

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
        return Resources(scalars, ranges, sets)

    def contains(self, other: Resources) -> bool:
        """Whether ``other`` can be taken from this."""
        return (
            all(self.scalars.get(name, 0) >= value for name, value in other.scalars.items())
            and all(not without(spans, self.ranges.get(name, ())) for name, spans in other.ranges.items())
            and all(self.sets.get(name, frozenset()) >= items for name, items in other.sets.items())
        )

    def __bool__(self) -> bool:
        return bool(self.scalars or self.ranges or self.sets)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Resources)
            and self.scalars == other.scalars
            and self.ranges == other.ranges
            and self.sets == other.sets
        )

    def __hash__(self) -> int:
        return hash((frozenset(self.scalars.items()), frozenset(self.ranges.items()), frozenset(self.sets.items())))

    def __str__(self) -> str:
        """As Mesos writes it: ``cpus:1; mem:1024; ports:[31000-31001]``."""
        parts = []
        for message in self.messages():
            if message.scalar is not None:
                parts.append(f"{message.name}:{message.scalar.value:g}")
            elif message.name in self.ranges:
                inner = ", ".join(f"{b}-{e}" for b, e in self.ranges[message.name])
                parts.append(f"{message.name}:[{inner}]")
            else:
                parts.append(f"{message.name}:{{{', '.join(sorted(self.sets[message.name]))}}}")
        return "; ".join(parts)

    __repr__ = __str__


EMPTY = Resources()


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
