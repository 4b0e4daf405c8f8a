"""Which agents may have, or had better have, TaskManagers: attributes of hosts, uniqueness, spreading.

Pure. ``mesos.constraints.hard.hostattribute`` is the original's; soft, unique and spread are ours. An agent's
attribute counts as text if it is one; a number has to be equal as a number; ranges have to contain the value, a
number or ``begin-end``; a set has to have it. HOSTNAME stands for the host's name, in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from headrace.flink.reading import couples
from headrace.mesos.messages.common import Attribute

HOSTNAME = "HOSTNAME"


class Rule(msgspec.Struct, frozen=True):
    """An attribute and the value that it is to have."""

    name: str
    value: str


class Constraints(msgspec.Struct, frozen=True):
    """``hard`` must hold, ``soft`` had better; ``unique`` and ``spread`` are names of attributes, or empty."""

    hard: tuple[Rule, ...] = ()
    soft: tuple[Rule, ...] = ()
    unique: str = ""
    spread: str = ""

    @property
    def keys(self) -> list[str]:
        """The attributes of which has to be known where the TaskManagers are."""
        return [name for name in (self.unique, self.spread) if name]

    def refusal(self, hostname: str, attributes: Iterable[Attribute]) -> str:
        """Why an agent can't have any TaskManager; empty if it can."""
        found = list(attributes)
        return "; ".join(why for rule in self.hard if (why := _refusal(rule, hostname, found)))

    def score(self, hostname: str, attributes: Iterable[Attribute]) -> int:
        """How many of the soft rules hold."""
        found = list(attributes)
        return sum(not _refusal(rule, hostname, found) for rule in self.soft)


def constraints(options: Mapping[str, str]) -> Constraints:
    """What the options say. Raises UserError that names a malformed entry."""
    return Constraints(
        hard=_rules(options, "mesos.constraints.hard.hostattribute"),
        soft=_rules(options, "headrace.constraints.soft.hostattribute"),
        unique=options.get("headrace.constraints.unique", "").strip(),
        spread=options.get("headrace.constraints.spread", "").strip(),
    )


def value_of(name: str, hostname: str, attributes: Iterable[Attribute]) -> str:
    """An agent's value for ``name``, as people read it; empty if it has no such attribute."""
    if name == HOSTNAME:
        return hostname.lower()
    return next((_shown(attribute) for attribute in attributes if attribute.name == name), "")


def _rules(options: Mapping[str, str], key: str) -> tuple[Rule, ...]:
    return tuple(Rule(name, value) for name, value in couples(options, key, ":"))


def _refusal(rule: Rule, hostname: str, attributes: list[Attribute]) -> str:
    if rule.name == HOSTNAME:
        return "" if hostname.lower() == rule.value.lower() else f"is not host {rule.value}"
    having = [attribute for attribute in attributes if attribute.name == rule.name]
    if not having:
        return f"has no attribute {rule.name}, which must be {rule.value}"
    if any(_matches(attribute, rule.value) for attribute in having):
        return ""
    return f"attribute {rule.name} is {', '.join(map(_shown, having))}, not {rule.value}"


def _matches(attribute: Attribute, value: str) -> bool:
    if attribute.scalar is not None:
        return _number(value) == attribute.scalar.value
    if attribute.ranges is not None:
        begin, _, end = value.partition("-")
        low, high = _number(begin), _number(end or begin)
        spans = attribute.ranges.range or ()
        return low is not None and high is not None and any(s.begin <= low <= high <= s.end for s in spans)
    if attribute.set is not None:
        return value in (attribute.set.item or ())
    return attribute.text is not None and attribute.text.value == value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _shown(attribute: Attribute) -> str:
    if attribute.scalar is not None:
        return f"{attribute.scalar.value:g}"
    if attribute.ranges is not None:
        return "[" + ", ".join(f"{span.begin}-{span.end}" for span in attribute.ranges.range or ()) + "]"
    if attribute.set is not None:
        return "{" + ", ".join(sorted(attribute.set.item or ())) + "}"
    return attribute.text.value if attribute.text is not None else ""
