"""Reads JSON values by a schema and gathers every violation, not just the first.

A reader is a function ``(value, path, problems) -> value``. ``null`` is the same as absent. The
error keys are the ones that Marathon's clients know from its JSON library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from headrace.marathon.definitions.errors import Violation

Problems = list[Violation]
Reader = Callable[[Any, str, Problems], Any]


def string(*, at_least: int = 0, at_most: int | None = None, pattern: re.Pattern[str] | None = None) -> Reader:
    def read(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, str):
            problems.append(Violation(path, "error.expected.jsstring"))
        elif len(value) < at_least:
            problems.append(Violation(path, "error.minLength"))
        elif at_most is not None and len(value) > at_most:
            problems.append(Violation(path, "error.maxLength"))
        elif pattern is not None and not pattern.fullmatch(value):
            problems.append(Violation(path, "error.pattern"))
        return value

    return read


def boolean(value: Any, path: str, problems: Problems) -> Any:
    if not isinstance(value, bool):
        problems.append(Violation(path, "error.expected.jsboolean"))
    return value


def integer(at_least: int | None = None, at_most: int | None = None) -> Reader:
    def read(value: Any, path: str, problems: Problems) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            problems.append(Violation(path, "error.expected.jsnumber"))
        elif isinstance(value, float) and not value.is_integer():
            problems.append(Violation(path, "error.expected.int"))
        elif _bounded(value, at_least, at_most, path, problems):
            return int(value)
        return value

    return read


def number(at_least: float | None = None, at_most: float | None = None) -> Reader:
    def read(value: Any, path: str, problems: Problems) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            problems.append(Violation(path, "error.expected.jsnumber"))
        elif _bounded(value, at_least, at_most, path, problems):
            return float(value)
        return value

    return read


def enum(*literals: str) -> Reader:
    """One of ``literals`` in any case; becomes the literal as it is written here."""
    table = {literal.lower(): literal for literal in literals}

    def read(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, str):
            problems.append(Violation(path, "error.expected.jsstring"))
        elif value.lower() not in table:
            problems.append(Violation(path, "error.unknown.enum.literal"))
        else:
            return table[value.lower()]
        return value

    return read


def array(item: Reader, *, at_least: int = 0, at_most: int | None = None) -> Reader:
    def read(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, list):
            problems.append(Violation(path, "error.expected.jsarray"))
            return value
        if len(value) < at_least:
            problems.append(Violation(path, "error.minLength"))
        if at_most is not None and len(value) > at_most:
            problems.append(Violation(path, "error.maxLength"))
        return [item(one, f"{path}({index})", problems) for index, one in enumerate(value)]

    return read


def mapping(item: Reader) -> Reader:
    def read(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, dict):
            problems.append(Violation(path, "error.expected.jsobject"))
            return value
        return {key: item(one, f"{path}/{key}", problems) for key, one in value.items()}

    return read


def anything(value: Any, path: str, problems: Problems) -> Any:
    return value


def record(fields: Mapping[str, Reader], required: frozenset[str] = frozenset()) -> Reader:
    """An object with these fields; unknown ones are dropped, and so are fields that are ``null``."""

    def read(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, dict):
            problems.append(Violation(path or "/", "error.expected.jsobject"))
            return value
        out = {}
        for name, reader in fields.items():
            if value.get(name) is not None:
                out[name] = reader(value[name], f"{path}/{name}", problems)
            elif name in required:
                problems.append(Violation(f"{path}/{name}", "error.path.missing"))
        return out

    return read


def _bounded(value: float, at_least: float | None, at_most: float | None, path: str, problems: Problems) -> bool:
    if at_least is not None and value < at_least:
        problems.append(Violation(path, "error.min"))
        return False
    if at_most is not None and value > at_most:
        problems.append(Violation(path, "error.max"))
        return False
    if value != value or abs(value) > 1e15:
        problems.append(Violation(path, "error.max" if value > 0 else "error.min"))
        return False
    return True
