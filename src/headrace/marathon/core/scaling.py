"""Who goes when an app shrinks. Pure."""

from __future__ import annotations

from collections import Counter
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
    ``group_by``) stay even, then those that do least, then by age."""
    first = [one for one in instances if one.id in named][:count]
    rest = [one for one in instances if one not in first]
    rest.sort(key=lambda one: (_ORDER.get(one.condition, 6), -one.since if youngest_first else one.since))
    if group_by is None:
        return first + rest[: count - len(first)]
    chosen = list(first)
    sizes = Counter(one.place.get(group_by, "") for one in rest)
    while len(chosen) < count and rest:
        # those that hold no resources yet stand outside any group
        waiting = [one for one in rest if one.condition is Condition.SCHEDULED]
        largest = max(sizes.values())
        victim = waiting[0] if waiting else next(one for one in rest if sizes[one.place.get(group_by, "")] == largest)
        sizes[victim.place.get(group_by, "")] -= 1
        rest.remove(victim)
        chosen.append(victim)
    return chosen
