"""The rolling upgrade: which old instances may go now, how many new ones may come. Pure.

Marathon computes this once at the start and then counts along; here the same rule is applied to
the present state at every change, so that it survives crashes and takes failures into account:

* at least ``ceil(n * minimumHealthCapacity)`` instances stay healthy (as far as there are so many);
* at most ``floor(n * (1 + maximumOverCapacity))`` exist at a time;
* where these two leave no room to move, one more than that may exist; of those that keep volumes, which are
  replaced in place, one less stays healthy instead.

Unhealthy old instances go first, and go even while new ones are not healthy yet: they carry nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec


class Member(msgspec.Struct, frozen=True):
    """One instance as the upgrade sees it. ``leaving``: it is being killed already.
    ``good``: running, healthy, and ready if it is new."""

    id: str
    new: bool
    leaving: bool
    good: bool


class Moves(msgspec.Struct, frozen=True):
    """What to do now. ``done`` when only good new instances are left, as many as wanted."""

    kill: list[str]
    launch: int
    done: bool


def moves(
    instances: int, minimum_health: float, over_capacity: float, members: Sequence[Member], *, in_place: bool = False
) -> Moves:
    """The next moves towards ``instances`` new instances; members stand in the order in which they may be killed.

    ``in_place``: what is killed comes back as a new one, with its volumes.
    """
    minimum, most = limits(instances, minimum_health, over_capacity, in_place=in_place)
    old = [one for one in members if not one.new and not one.leaving]
    new = [one for one in members if one.new and not one.leaving]
    good_new = sum(one.good for one in new)
    surplus = sorted(new, key=lambda one: one.good)[: max(0, len(new) - instances)]
    keep = max(0, minimum - good_new + sum(one.good for one in surplus))
    kill = sorted(old, key=lambda one: one.good)[: max(0, len(old) - keep)]
    room = max(0, most - len(members))
    launch = min(max(0, instances - len(new)), room)
    done = not old and len(members) == len(new) == good_new == instances
    return Moves([one.id for one in (*kill, *surplus)], launch, done)


def limits(instances: int, minimum_health: float, over_capacity: float, *, in_place: bool = False) -> tuple[int, int]:
    """How many must stay healthy, how many may exist."""
    minimum = math.ceil(round(instances * minimum_health, 9))
    most = math.floor(round(instances * (1 + over_capacity), 9))
    if in_place:
        return max(0, min(minimum, most - 1)), most
    return minimum, max(most, minimum + 1) if minimum >= most else most
