"""Taking a worker's resources out of what an agent offers: those reserved for our role first, as in Mesos itself.

Pure. What is reserved for others, persistent volumes, special disks, and what is revocable or shared are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from headrace.mesos.messages.common import Resource
from headrace.mesos.resources import EMPTY, MILLI, PLAIN, Resources, Spans, Tag, merge

PORTS_PER_WORKER = 2


def usable(resources: Iterable[Resource], role: str) -> Resources:
    """What a framework in ``role`` may take of an offer."""
    return Resources.parse(resources).where(lambda tag: tag == PLAIN or _own(tag, role))


def lacks(free: Resources, scalars: Mapping[str, float], ports: int) -> str:
    """What is too little for a worker; empty if all is there."""
    short = [
        f"{name} {free.quantity(name) / MILLI:g} of {wanted:g}"
        for name, wanted in scalars.items()
        if free.quantity(name) < round(wanted * MILLI)
    ]
    if count(all_ports(free)) < ports:
        short.append(f"fewer than {ports} ports")
    return ", ".join(short)


def take(free: Resources, scalars: Mapping[str, float], ports: Iterable[int]) -> Resources:
    """These amounts and ports; they have to be there."""
    left = {name: round(wanted * MILLI) for name, wanted in scalars.items()}
    wanted_ports = set(ports)
    taken = EMPTY
    for tag, part in [*free.parts.items(), (PLAIN, free.plain)]:
        share = {name: min(amount, part.scalars.get(name, 0)) for name, amount in left.items()}
        here = {port for port in wanted_ports if _within(port, part.ranges.get("ports", ()))}
        left = {name: amount - share[name] for name, amount in left.items()}
        wanted_ports -= here
        taken = taken + Resources(share).with_ports(sorted(here)).tagged(tag)
    return taken


def all_ports(free: Resources) -> Spans:
    """Port numbers, whoever they are reserved for."""
    if not free.parts:
        return free.ranges.get("ports", ())
    return merge(span for part in (free.plain, *free.parts.values()) for span in part.ranges.get("ports", ()))


def choose_ports(free: Spans, after: int, count: int = PORTS_PER_WORKER) -> list[int]:
    """The next ports after ``after``, then from the lowest: a new worker does not get a dead one's at once."""
    later = [(max(begin, after + 1), end) for begin, end in free if end > after]
    earlier = [(begin, min(end, after)) for begin, end in free if begin <= after]
    return list(islice(_numbers(later + earlier), count))


def _own(tag: Tag, role: str) -> bool:
    special = tag.whole or tag.source or tag.revocable or tag.shared
    return not special and (tag.role == role or role.startswith(tag.role + "/"))


def _within(port: int, spans: Spans) -> bool:
    return any(begin <= port <= end for begin, end in spans)


def count(spans: Spans) -> int:
    """How many ports there are."""
    return sum(end - begin + 1 for begin, end in spans)


def _numbers(spans: Iterable[tuple[int, int]]) -> Iterator[int]:
    return (port for begin, end in spans for port in range(begin, end + 1))
