"""Who goes when an app shrinks. Pure."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence

from headrace.marathon.core.records import Condition, Instance

_ORDER = {
    Condition.SCHEDULED: 0,
    Condition.INACTIVE: 1,
    Condition.UNREACHABLE: 2,
    Condition.PROVISIONED: 3,
    Condition.STAGING: 4,
    Condition.STARTING: 5,
}


def victims(
    instances: Sequence[Instance],
    count: int,
    *,
    named: Sequence[str] = (),
    youngest_first: bool = True,
    group_by: str | None = None,
) -> list[Instance]:
    """``count`` instances to end: the named ones first, then so that groups (values of the field
    ``group_by``) stay even, then those that do least, then by age: since when they run, however long they were
    unreachable in between."""
    wanted = frozenset(named)
    first = [one for one in instances if one.id in wanted][:count]
    chosen = {one.id for one in first}
    rest = [one for one in instances if one.id not in chosen]
    rest.sort(key=lambda one: (_ORDER.get(one.condition, 6), -_born(one) if youngest_first else _born(one)))
    if group_by is not None:
        # those that hold no resources yet stand outside any group; they are the first
        waiting = sum(one.condition is Condition.SCHEDULED for one in rest)
        rest = rest[:waiting] + _evenly(rest[waiting:], count - len(first) - waiting, group_by)
    return first + rest[: count - len(first)]


def _born(instance: Instance) -> float:
    return instance.since if instance.started_at is None else instance.started_at


def _evenly(instances: list[Instance], count: int, field: str) -> list[Instance]:
    """``count`` of them, always one of the largest group: among equals the one that stands first."""
    groups: dict[str, deque[int]] = {}
    for index, one in enumerate(instances):
        groups.setdefault(one.place.get(field, ""), deque()).append(index)
    largest = [(-len(members), members[0], group) for group, members in groups.items()]
    heapq.heapify(largest)
    chosen: list[Instance] = []
    while len(chosen) < count and largest:
        _, index, group = heapq.heappop(largest)
        chosen.append(instances[index])
        members = groups[group]
        members.popleft()
        if members:
            heapq.heappush(largest, (-len(members), members[0], group))
    return chosen
