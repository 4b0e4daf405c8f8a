"""What a replay found: what was compared, what was unlike, and what may be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.conformance.differences import ANSWER_FIELDS, DIFFERENCES, FIELDS, SAME, Difference
from tests.conformance.replay import compare
from tests.conformance.replay.names import Names
from tests.conformance.replay.recording import Recording

PATIENCE, IMPATIENCE = 60.0, 4.0
"""Seconds until what was recorded must have come; the shorter ones once something has not come."""


class Verdict:
    """Differences of one transcript; those that are meant are none."""

    def __init__(self, recording: Recording, names: Names) -> None:
        self._recording = recording
        self._names = names
        self.compared = 0
        self.found: list[str] = []

    @property
    def patience(self) -> float:
        """Seconds to wait for anything."""
        return IMPATIENCE if self.found else PATIENCE

    def expect(self, condition: bool, what: str) -> None:
        """Note a difference, if the condition does not hold."""
        self.compared += 1
        if not condition:
            self.found.append(what)

    def same_form(self, what: str, recorded: Any, live: Any) -> None:
        """Compare two messages."""
        left_out = frozenset(FIELDS)
        expected, found = (compare.normal(value, self._names, left_out) for value in (recorded, live))
        self.expect(found == expected, "\n".join([f"{what}:", *compare.unlike(found, expected)]))

    def same_answer(self, what: str, recorded: Any, live: Any, left_out: Iterable[str] = ()) -> None:
        """Compare two messages of operators, whose lists may be in any order; ``left_out`` are further fields."""
        fields = frozenset((*FIELDS, *ANSWER_FIELDS, *left_out))
        expected, found = (compare.sorted_form(value, self._names, fields) for value in (recorded, live))
        self.expect(found == expected, "\n".join([f"{what}:", *compare.unlike(found, expected)]))

    def same(self, what: str, part: str, recorded: Any, live: Any, meant: Difference) -> None:
        """Compare the status or the body of an answer."""
        other = getattr(meant, part)
        expected = other if other is not None else recorded
        if isinstance(expected, str):
            expected, live = compare.normal_text(expected, self._names), compare.normal_text(live, self._names)
        self.expect(live == expected, f"{what}: {part} is {live!r}, not {expected!r}")

    def meant(self, where: str, narrower: str = "") -> Difference:
        """What is meant to differ there; ``narrower`` names one of several that are called the same."""
        name = self._recording.name
        return DIFFERENCES.get((name, narrower)) or DIFFERENCES.get((name, where), SAME)
