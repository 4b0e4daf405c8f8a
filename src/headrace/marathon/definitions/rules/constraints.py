"""Constraints: field, operator, value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from headrace.marathon.definitions import patterns
from headrace.marathon.definitions.errors import Violation

_OPERATORS = ("UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "MAX_PER", "UNLIKE", "IS")


def constraints(given: Sequence[Sequence[str]], path: str) -> Iterator[Violation]:
    """What is wrong with each."""
    for index, one in enumerate(given):
        error = constraint_error(one)
        if error:
            yield Violation(f"{path}({index})", error)


def constraint_error(constraint: Sequence[str]) -> str:
    """What is wrong with one constraint; empty if nothing is."""
    field, operator = constraint[0], constraint[1]
    value = constraint[2] if len(constraint) > 2 else None
    if operator not in _OPERATORS:
        names = "UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS"
        return f"operator must be one of the following {names}"
    if not field:
        return "illegal constraint specification"
    match operator:
        case "UNIQUE":
            return "UNIQUE does not accept a value" if value else ""
        case "GROUP_BY":
            ok = not value or (value.isascii() and value.isdigit() and int(value) > 0)
            return "" if ok else "GROUP BY must define an integer value or else no value at all"
        case "MAX_PER":
            ok = value is not None and value.isascii() and value.isdigit()
            return "" if ok else "MAX_PER must define an integer value"
        case "LIKE" | "UNLIKE":
            return _regex_error(value, operator)
        case "IS":
            if value is None or not re.fullmatch(r"[a-zA-Z0-9_/.-]*", value):
                return "IS only supports Mesos text and float values"
    return ""


def _regex_error(value: str | None, operator: str) -> str:
    if value is None:
        return f"{operator} must define a regular expression"
    problem = patterns.problem(value)
    return f"'{value}' {problem}" if problem else ""
