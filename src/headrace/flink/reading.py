"""Typed reading of options. Every error names the option and what it has to be."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from headrace.flink.options import KNOWN
from headrace.kernel.daemon import UserError


def integer(options: Mapping[str, str], key: str, default: int, *, at_least: int = 0, at_most: int = 2**31) -> int:
    """A whole number. Raises UserError that names the option."""
    text = options.get(key)
    if text is None:
        return default
    try:
        value = int(text.strip())
    except ValueError:
        raise UserError(f"option {key} is {text!r}; it must be a whole number") from None
    if not at_least <= value <= at_most:
        raise UserError(f"option {key} is {value}; it must be from {at_least} to {at_most}")
    return value


def number(options: Mapping[str, str], key: str, default: float, *, at_least: float = 0.0) -> float:
    """A finite number. Raises UserError that names the option."""
    text = options.get(key)
    if text is None:
        return default
    try:
        value = float(text.strip())
    except ValueError:
        raise UserError(f"option {key} is {text!r}; it must be a number") from None
    if not at_least <= value < float("inf"):
        raise UserError(f"option {key} is {text.strip()}; it must be {at_least:g} or more")
    return value


def flag(options: Mapping[str, str], key: str) -> bool:
    """``true`` or ``false``; the table's default if not set. Raises UserError that names the option."""
    known = KNOWN.get(key)
    text = options.get(key, (known and known.default) or "false").strip().lower()
    if text not in ("true", "false"):
        raise UserError(f"option {key} is {options[key]!r}; it must be true or false")
    return text == "true"


def jvm_arguments(options: Mapping[str, str], process: str) -> list[str]:
    """What the user wants the JVM of ``jobmanager`` or ``taskmanager`` to be told, split as a shell would.

    Raises UserError that names the option.
    """
    out: list[str] = []
    for key in ("env.java.opts.all", "env.java.opts", f"env.java.opts.{process}"):
        try:
            out += shlex.split(options.get(key, ""))
        except ValueError as error:
            raise UserError(f"option {key} can't be split into arguments: {error}") from None
    return out


_UNITS = {
    "": 1, "b": 1, "bytes": 1,
    "k": 1 << 10, "kb": 1 << 10, "kibibytes": 1 << 10,
    "m": 1 << 20, "mb": 1 << 20, "mebibytes": 1 << 20,
    "g": 1 << 30, "gb": 1 << 30, "gibibytes": 1 << 30,
    "t": 1 << 40, "tb": 1 << 40, "tebibytes": 1 << 40,
}  # fmt: skip


def memory(options: Mapping[str, str], key: str, *, bare: str = "") -> int | None:
    """A size in bytes as Flink writes them (``512m``), None if not set; ``bare`` is the unit of a mere number.

    Raises UserError that names the option.
    """
    text = options.get(key)
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*([a-zA-Z]*)\s*", text)
    unit = match and (match[2].lower() or bare)
    if match is None or unit not in _UNITS:
        raise UserError(f"option {key} is {text!r}; it must be a size such as 1024m or 2g")
    return int(match[1]) * _UNITS[unit]


def words(options: Mapping[str, str], key: str) -> list[str]:
    """Texts separated by commas, without the blanks around them; empty ones are left out."""
    return [word for word in map(str.strip, options.get(key, "").split(",")) if word]


def couples(options: Mapping[str, str], key: str, separator: str) -> list[tuple[str, str]]:
    """``name:value,name:value`` (or another separator, of which the first of each splits).

    Raises UserError that names the option and the entry.
    """
    out = []
    for word in words(options, key):
        name, found, value = (part.strip() for part in word.partition(separator))
        if not (name and found and value):
            raise UserError(
                f"option {key}: {word!r} is not of the form name{separator}value; "
                f"write name{separator}value,name{separator}value"
            )
        out.append((name, value))
    return out
