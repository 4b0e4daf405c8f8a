"""Regular expressions of strangers, kept from running for ever. Pure.

Python's matcher tries one possibility after the other. How many there can be is estimated from the expression
and the length of the text; an expression whose number can't be estimated, because something variable is
repeated, is refused.
"""

from __future__ import annotations

import functools
import math
import re

MAX_PATTERN = 256
MAX_TEXT = 1024
MAX_EFFORT = 1_000_000
"""Possibilities to try at most: some 50 ms."""

_COUNTED = re.compile(r"\{(\d*)(,?)(\d*)\}")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_GROUP = re.compile(r"\((?:\?(?:P<\w+>|P=\w+|[aiLmsux-]*:|<?[=!]|>|[aiLmsux]+|\(\w+\)|#))?")
_VERBOSE = re.compile(r"\(\?[aiLmsu]*x")


class _Scan:
    """Counts what makes an expression ambiguous; ``problem`` if that can't be counted."""

    def __init__(self, pattern: str) -> None:
        self.problem = ""
        self.repeats = 0
        self.choices = 1
        self._groups = [[1, 0]]  # per open group: its branches, and how many variable things it holds
        self._last_variable = False  # whether the item before holds something variable
        at = 0
        while at < len(pattern) and not self.problem:
            at = self._step(pattern, at)
        self.choices *= self._groups[0][0]

    def _step(self, pattern: str, at: int) -> int:
        char = pattern[at]
        if char in "*+?{":
            end = self._quantifier(pattern, at)
            if end:
                return end
        if char == "(":
            self._groups.append([1, 0])
            found = _GROUP.match(pattern, at)
            return found.end() if found else at + 1
        if char == ")":
            self._close()
            return at + 1
        self._last_variable = False
        if char == "|":
            self._groups[-1][0] += 1
        if char == "[" and (found := _CLASS.match(pattern, at)):
            return found.end()
        return at + (2 if char == "\\" else 1)

    def _close(self) -> None:
        branches, variable = self._groups.pop()
        if not self._groups:
            self.problem = "can't be checked"
            self._groups = [[1, 0]]
            return
        self.choices *= branches
        self._last_variable = branches > 1 or variable > 0
        self._groups[-1][1] += self._last_variable

    def _quantifier(self, pattern: str, at: int) -> int:
        """Position behind it; 0 if this brace is just a character."""
        end, fixed = at + 1, False
        if pattern[at] == "{":
            found = _COUNTED.match(pattern, at)
            if found is None or found.group() in ("{}", "{,}"):
                return 0
            end, fixed = found.end(), not found[2]
        if self._last_variable and pattern[at] != "?":
            self.problem = "repeats a group that itself holds a repetition or alternatives"
        if not fixed:
            self._groups[-1][1] += 1
            if pattern[at] == "?":
                self.choices *= 2
            else:
                self.repeats += 1
        self._last_variable = False
        return end + (pattern[end : end + 1] in ("?", "+") and end < len(pattern))


@functools.lru_cache(256)
def _scan(pattern: str) -> _Scan:
    return _Scan(pattern)


def problem(pattern: str) -> str:
    """What is wrong with an expression, to be put after it; empty if it may be used."""
    if len(pattern) > MAX_PATTERN:
        return f"has more than {MAX_PATTERN} characters"
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return "is not a valid regular expression"
    if _VERBOSE.search(pattern):
        return "uses the flag x, which is not allowed here"
    scan = _scan(pattern)
    if scan.problem:
        return f"{scan.problem}, and could take for ever"
    return "" if effort(pattern, 1) <= MAX_EFFORT else "has too many alternatives, and could take for ever"


def effort(pattern: str, length: int) -> int:
    """About how many possibilities there are to match a text of this length."""
    scan = _scan(pattern)
    return math.comb(length + scan.repeats, scan.repeats) * scan.choices


@functools.lru_cache(4096)
def matches(pattern: str, text: str) -> bool | None:
    """Whether the whole text matches; None if finding out could take too long."""
    if len(text) > MAX_TEXT or problem(pattern) or effort(pattern, len(text)) > MAX_EFFORT:
        return None
    return re.fullmatch(pattern, text) is not None
