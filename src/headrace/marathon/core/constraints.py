"""Where an app may run: its ``constraints``, judged for one offer. Pure.

A constraint is ``[field, operator, value?]``; the field is ``hostname`` (``@hostname``),
``@region``, ``@zone`` or an agent's attribute. Where the app's other instances are is
counted (``Spread``), so that an offer costs the same however many there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from headrace.marathon.definitions import patterns
from headrace.mesos.messages.common import Attribute

Fields = Mapping[str, str]
"""The values of a place by field, hostname under ``hostname``."""
_COUNTED = frozenset({"UNIQUE", "CLUSTER", "MAX_PER", "GROUP_BY"})


def attribute_text(attribute: Attribute) -> str:
    """An agent's attribute as constraints compare it."""
    if attribute.scalar is not None:
        return f"{attribute.scalar.value:.3f}".rstrip("0").rstrip(".")
    if attribute.ranges is not None:
        return "[" + ",".join(f"{one.begin}-{one.end}" for one in attribute.ranges.range or ()) + "]"
    if attribute.set is not None:
        return "{" + ",".join(sorted(attribute.set.item or ())) + "}"
    return attribute.text.value if attribute.text is not None else ""


class Tally(msgspec.Struct):
    """One field: how many instances have each value, and how many values have each such number."""

    counts: dict[str, int] = {}
    sizes: dict[int, int] = {}

    def change(self, value: str, by: int) -> None:
        before = self.counts.get(value, 0)
        self._set_size(before, -1)
        self._set_size(before + by, 1)
        self.counts[value] = before + by
        if not self.counts[value]:
            del self.counts[value]

    def _set_size(self, size: int, by: int) -> None:
        if not size:
            return
        self.sizes[size] = self.sizes.get(size, 0) + by
        if not self.sizes[size]:
            del self.sizes[size]


class Spread:
    """Where the placed instances of one configuration are, by the fields that ``constraints`` name."""

    def __init__(self, constraints: Sequence[Sequence[str]]) -> None:
        self.constraints = constraints
        self.tallies = {_field(one): Tally() for one in constraints if one[1] in _COUNTED}

    def add(self, place: Fields) -> None:
        self._change(place, 1)

    def remove(self, place: Fields) -> None:
        self._change(place, -1)

    def _change(self, place: Fields, by: int) -> None:
        for field, tally in self.tallies.items():
            if field in place:
                tally.change(place[field], by)


_NOTHING = Tally()


def unmet(constraints: Sequence[Sequence[str]], place: Fields, spread: Spread, instances: int) -> str:
    """Why an instance may not run at ``place``; empty if it may. ``spread`` is of the same constraints."""
    for constraint in constraints:
        field = _field(constraint)
        value = constraint[2] if len(constraint) > 2 else None
        here = place.get(field)
        if not _meets(constraint[1], value, here, spread.tallies.get(field, _NOTHING), instances):
            shown = " ".join(constraint)
            return f"constraint '{shown}' is not met by {field}={here if here is not None else '(none)'}"
    return ""


def _field(constraint: Sequence[str]) -> str:
    return "hostname" if constraint[0] == "@hostname" else constraint[0]


def _meets(operator: str, value: str | None, here: str | None, there: Tally, instances: int) -> bool:
    if here is None:
        return operator == "UNLIKE"
    match operator:
        case "UNIQUE":
            return here not in there.counts
        case "CLUSTER":
            return here == value if value else not there.counts or here == next(iter(there.counts))
        case "LIKE":
            return patterns.matches(value or "", here) is True
        case "UNLIKE":
            return patterns.matches(value or "", here) is False
        case "MAX_PER":
            return there.counts.get(here, 0) < int(value or 0)
        case "IS":
            return _same(here, value or "")
        case "GROUP_BY":
            return _balanced(here, there, instances, int(value) if value else None)
    return False


def _balanced(here: str, there: Tally, instances: int, groups: int | None) -> bool:
    """Even spread: over ``groups`` values if given, else over the values seen so far."""
    count = there.counts.get(here, 0)
    if groups is None:
        return count <= min(there.sizes, default=0)
    if not count and len(there.counts) >= groups:
        return False
    share, rest = divmod(instances, max(1, groups))
    full = sum(values for size, values in there.sizes.items() if size > share)
    return count < share or (count == share and full < rest)


def _same(here: str, wanted: str) -> bool:
    try:
        return round(float(here), 3) == round(float(wanted), 3)
    except ValueError:
        return here == wanted
