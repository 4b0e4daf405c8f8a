"""A contest of znodes with ascending numbers: who leads, who waits for whom. Pure.

Candidates are children of one znode named ``<label><number>``; ZooKeeper gives the numbers, in the order of coming.
The lowest leads. Each waits for the one before it alone, so that an end wakes one candidate and not all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

MESOS_LABEL = "json.info_"
"""Of Mesos masters: such a znode holds a MasterInfo in JSON."""
CANDIDATE_LABEL = "candidate_"


class Standing(msgspec.Struct, frozen=True):
    """Where a candidate stands: ``before`` is whom it waits for, empty if it leads."""

    leader: str
    before: str = ""

    @property
    def leads(self) -> bool:
        return not self.before


def candidates(children: Iterable[str], label: str) -> list[str]:
    """The candidates among a znode's children, the leader first."""
    numbered = [(number, child) for child in children if (number := _number(child, label)) is not None]
    return [child for _, child in sorted(numbered)]


def leading(children: Iterable[str], label: str) -> str:
    """Who leads; empty if nobody does."""
    return next(iter(candidates(children, label)), "")


def standing(children: Iterable[str], label: str, own: str) -> Standing:
    """Where ``own`` stands, which is one of the children."""
    order = candidates(children, label)
    place = order.index(own)
    return Standing(order[0], order[place - 1] if place else "")


def _number(child: str, label: str) -> int | None:
    number = child.removeprefix(label)
    return int(number) if child.startswith(label) and number.removeprefix("-").isdigit() else None
