"""Where an app may run: its ``constraints``, judged for one offer. Pure.

A constraint is ``[field, operator, value?]``; the field is ``hostname`` (``@hostname``),
``@region``, ``@zone`` or an agent's attribute. Siblings are the app's other placed instances.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from headrace.mesos.messages.common import Attribute

Fields = Mapping[str, str]
"""The values of a place by field, hostname under ``hostname``."""


def attribute_text(attribute: Attribute) -> str:
    """An agent's attribute as constraints compare it."""
    if attribute.scalar is not None:
        return f"{attribute.scalar.value:.3f}".rstrip("0").rstrip(".")
    if attribute.ranges is not None:
        return "[" + ",".join(f"{one.begin}-{one.end}" for one in attribute.ranges.range or ()) + "]"
    if attribute.set is not None:
        return "{" + ",".join(sorted(attribute.set.item or ())) + "}"
    return attribute.text.value if attribute.text is not None else ""


def unmet(constraints: Sequence[Sequence[str]], place: Fields, siblings: Sequence[Fields], instances: int) -> str:
    """Why an instance may not run at ``place``; empty if it may."""
    for constraint in constraints:
        field = "hostname" if constraint[0] == "@hostname" else constraint[0]
        value = constraint[2] if len(constraint) > 2 else None
        here = place.get(field)
        there = [sibling[field] for sibling in siblings if field in sibling]
        if not _meets(constraint[1], value, here, there, instances):
            shown = " ".join(constraint)
            return f"constraint '{shown}' is not met by {field}={here if here is not None else '(none)'}"
    return ""


def _meets(operator: str, value: str | None, here: str | None, there: list[str], instances: int) -> bool:
    if here is None:
        return operator == "UNLIKE"
    match operator:
        case "UNIQUE":
            return here not in there
        case "CLUSTER":
            return here == value if value else not there or here == there[0]
        case "LIKE":
            return re.fullmatch(value or "", here) is not None
        case "UNLIKE":
            return re.fullmatch(value or "", here) is None
        case "MAX_PER":
            return there.count(here) < int(value or 0)
        case "IS":
            return _same(here, value or "")
        case "GROUP_BY":
            return _balanced(here, there, instances, int(value) if value else None)
    return False


def _balanced(here: str, there: list[str], instances: int, groups: int | None) -> bool:
    """Even spread: over ``groups`` values if given, else over the values seen so far."""
    counts = Counter(there)
    if groups is None:
        return not counts or counts[here] <= min(counts.values())
    if here not in counts and len(counts) >= groups:
        return False
    share, rest = divmod(instances, max(1, groups))
    full = sum(1 for count in counts.values() if count > share)
    return counts[here] < share or (counts[here] == share and full < rest)


def _same(here: str, wanted: str) -> bool:
    try:
        return round(float(here), 3) == round(float(wanted), 3)
    except ValueError:
        return here == wanted
