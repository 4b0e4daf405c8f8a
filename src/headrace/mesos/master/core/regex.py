"""Matches texts against other people's patterns in time that grows with their product, never faster.

The syntax is Python's as far as RE2 has it too: no look-around and no back references. A pattern becomes a
machine of states; all states that the text may have led to are followed at a time, so nothing is tried twice.
Where a character leads from there is remembered, so most texts cost a look-up per character.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAX_STATES = 1000
"""A pattern that needs more is refused."""

MAX_REMEMBERED = 5000
"""Moves from one set of states to the next; when there are more, all are forgotten."""

_parser: Any = importlib.import_module("re._parser")

Accepts = Callable[[str], bool]
Edges = tuple[int, ...]


class RegexError(ValueError):
    """A pattern that can't be used; the message says why."""


class _Place:
    """A set of states that a text may have led to, and where characters lead from there."""

    __slots__ = ("accepts", "moves", "states")

    def __init__(self, states: int) -> None:
        self.states = states
        self.moves: dict[str, _Place] = {}
        self.accepts: bool | None = None


class Regex:
    """A pattern that matches texts as a whole."""

    def __init__(self, pattern: str) -> None:
        """Raises RegexError."""
        self._pattern = pattern
        self._steps: list[tuple[Accepts | None, Edges]] = []
        try:
            tree = _parser.parse(pattern)
        except re.error as error:
            raise RegexError(f"Failed to construct regex from pattern '{pattern}': {_explain(error)}") from None
        except (RecursionError, OverflowError):
            raise RegexError(f"Regex '{pattern}' is too complex") from None
        if tree.state.flags & ~(re.IGNORECASE | re.DOTALL | re.UNICODE):
            raise self._unsupported("flags other than i and s")
        self._ignore_case = bool(tree.state.flags & re.IGNORECASE)
        self._dot_all = bool(tree.state.flags & re.DOTALL)
        self._end = self._state(None, ())
        try:
            self._start = self._sequence(tree, self._end)
        except RecursionError:
            raise RegexError(f"Regex '{pattern}' is too complex") from None
        self._forget()

    @property
    def size(self) -> int:
        """How many states it needs."""
        return len(self._steps)

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        place = self._first
        for character in text:
            place = place.moves.get(character) or self._move(place, character)
        if place.accepts is None:
            reached = self._closure(_members(place.states), first=place is self._first, last=True)
            place.accepts = self._end in reached
        return place.accepts

    def _forget(self) -> None:
        self._first = _Place(1 << self._start)
        self._places: dict[int, _Place] = {}
        self._remembered = 0

    def _move(self, place: _Place, character: str) -> _Place:
        """Where the character leads; a dead end is a place without states."""
        reached = 0
        for state in self._closure(_members(place.states), first=place is self._first, last=False):
            accepts, edges = self._steps[state]
            if accepts is not None and edges and accepts(character):
                for edge in edges:
                    reached |= 1 << edge
        if self._remembered >= MAX_REMEMBERED:
            self._forget()
        following = self._places.get(reached)
        if following is None:
            following = self._places[reached] = _Place(reached)
        place.moves[character] = following
        self._remembered += 1
        return following

    def _closure(self, states: Iterable[int], *, first: bool, last: bool) -> set[int]:
        """All states that can be reached without reading on."""
        seen: set[int] = set()
        todo = list(states)
        while todo:
            state = todo.pop()
            if state in seen:
                continue
            seen.add(state)
            accepts, edges = self._steps[state]
            if accepts is None or (accepts is _at_start and first) or (accepts is _at_end and last):
                todo += edges
        return seen

    # Building, from the end: each part is given the state that follows it

    def _state(self, accepts: Accepts | None, edges: Edges) -> int:
        if len(self._steps) >= MAX_STATES:
            raise RegexError(
                f"Regex '{self._pattern}' is too complex: it needs more than the maximum of {MAX_STATES} states allowed"
            )
        self._steps.append((accepts, edges))
        return len(self._steps) - 1

    def _sequence(self, parts: Any, following: int) -> int:
        for operator, argument in reversed(list(parts)):
            following = self._part(str(operator), argument, following)
        return following

    def _part(self, operator: str, argument: Any, following: int) -> int:
        match operator:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                return self._state(self._character(operator, argument), (following,))
            case "BRANCH":
                return self._state(None, tuple(self._sequence(one, following) for one in argument[1]))
            case "SUBPATTERN":
                if argument[1] or argument[2]:
                    raise self._unsupported("flags for a part")
                return self._sequence(argument[3], following)
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, part = argument
                return self._repeat(least, most, part, following)
            case "AT":
                return self._anchor(str(argument), following)
        raise self._unsupported(operator.lower().replace("_", " "))

    def _repeat(self, least: int, most: Any, part: Any, following: int) -> int:
        if str(most) == "MAXREPEAT":
            loop = self._state(None, ())
            self._steps[loop] = (None, (self._sequence(part, loop), following))
            following = loop
        else:
            for _ in range(int(most) - least):
                following = self._state(None, (self._sequence(part, following), following))
        for _ in range(least):
            before, following = following, self._sequence(part, following)
            if following == before:
                break  # nothing, however often it is repeated, is nothing
        return following

    def _anchor(self, where: str, following: int) -> int:
        if where in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            return self._state(_at_start, (following,))
        if where in ("AT_END", "AT_END_STRING"):
            return self._state(_at_end, (following,))
        raise self._unsupported("word boundaries")

    def _character(self, operator: str, argument: Any) -> Accepts:
        if operator == "ANY":
            return (lambda c: True) if self._dot_all else (lambda c: c != "\n")
        if operator == "LITERAL":
            test = _literal(argument)
        elif operator == "NOT_LITERAL":
            wrong = _literal(argument)
            if self._ignore_case:
                return lambda c: not (wrong(c.lower()) or wrong(c.upper()))
            return lambda c: not wrong(c)
        else:
            return self._set(argument)
        return (lambda c: test(c.lower()) or test(c.upper())) if self._ignore_case else test

    def _set(self, parts: Any) -> Accepts:
        negated = bool(parts) and str(parts[0][0]) == "NEGATE"
        tests = [self._member(str(operator), argument) for operator, argument in parts[negated:]]
        fold = self._ignore_case

        def accepts(c: str) -> bool:
            forms = (c.lower(), c.upper()) if fold else (c,)
            return any(test(form) for test in tests for form in forms) != negated

        return accepts

    def _member(self, operator: str, argument: Any) -> Accepts:
        match operator:
            case "LITERAL":
                return _literal(argument)
            case "RANGE":
                low, high = argument
                return lambda c: low <= ord(c) <= high
            case "CATEGORY":
                return _category(str(argument))
        raise self._unsupported(operator.lower())

    def _unsupported(self, what: str) -> RegexError:
        return RegexError(f"Failed to construct regex from pattern '{self._pattern}': {what} not supported")


def _members(states: int) -> Iterator[int]:
    while states:
        lowest = states & -states
        yield lowest.bit_length() - 1
        states ^= lowest


def _explain(error: re.error) -> str:
    """In RE2's words where they are known."""
    pattern, at = str(error.pattern), error.pos or 0
    if error.msg.startswith("missing )"):
        return f"missing ): {pattern}"
    if error.msg.startswith("unterminated character set"):
        return f"missing ]: {pattern[at:]}"
    if error.msg.startswith("nothing to repeat"):
        return f"no argument for repetition operator: {pattern[at : at + 1]}"
    return str(error)


def _at_start(_: str) -> bool:
    return False


def _at_end(_: str) -> bool:
    return False


def _literal(code: int) -> Accepts:
    wanted = chr(code)
    return lambda c: c == wanted


def _category(name: str) -> Accepts:
    """ASCII only, as in RE2."""
    kind = name.removeprefix("CATEGORY_").removeprefix("UNI_")
    tests: dict[str, Accepts] = {
        "DIGIT": lambda c: c.isascii() and c.isdigit(),
        "SPACE": lambda c: c in " \t\n\r\f\v",
        "WORD": lambda c: c.isascii() and (c.isalnum() or c == "_"),
    }
    test = tests[kind.removeprefix("NOT_")]
    return (lambda c: not test(c)) if kind.startswith("NOT_") else test
