"""Reads the command line and the environment by the table of flags.

``--flag value`` and ``--flag=value``, with ``_`` or ``-``; ``--x`` and ``--disable_x``. MARATHON_FLAG is ``--flag``,
with an empty value for a flag that takes none (``MARATHON_DISABLE_HA=``). A flag that stands in both places is a
mistake, and so is one that is not known; of variables that are no flags the log tells. MARATHON_APP_ and
MARATHON_CONTAINER_ are what tasks get, so Marathon can run on Marathon.
"""

from __future__ import annotations

import argparse
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from headrace import __version__
from headrace.kernel.daemon import UserError
from headrace.kernel.flags import Parser
from headrace.marathon.flags.flag import Fate, Flag, Kind
from headrace.marathon.flags.table import BY_SPELLING, TABLE

log = logging.getLogger(__name__)

PREFIX = "MARATHON_"
OF_TASKS = ("MARATHON_APP_", "MARATHON_CONTAINER_")
"""What tasks get; never read as a flag."""
ALIASES = {
    "MESOSPHERE_HTTP_CREDENTIALS": "http_credentials",
    "MESOSPHERE_KEYSTORE_PATH": "ssl_keystore_path",
    "MESOSPHERE_KEYSTORE_PASS": "ssl_keystore_password",
}
"""Variables that are flags under other names; the command line wins over these."""
_JVM = ("-D", "-J", "-X")
"""What these words begin with is for a JVM, and dropped."""
_METAVARS = {Kind.MILLISECONDS: "MS", Kind.SECONDS: "SECONDS", Kind.COUNT: "N", Kind.PORT: "PORT"}


def parser() -> Parser:
    """What reads the words; flags that are not honoured are not in its help."""
    reader = Parser("headrace marathon", "Marathon-compatible service orchestrator")
    reader.add_argument("command", nargs="?", choices=["run_jar", "start"], help="accepted for scripts, means nothing")
    reader.add_argument("--version", action="version", version=f"headrace {__version__}", help="tell it and end")
    for flag in TABLE:
        _add(reader, flag)
    return reader


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    """The value of each flag. Raises UserError."""
    words = [word for word in arguments if not word.startswith(_JVM)]
    given = _given(words)
    added = _from_environment(environment, given)
    return _reader().parse_args([*added, *words])


@functools.cache
def _reader() -> Parser:
    return parser()


def _given(words: Sequence[str]) -> dict[str, str]:
    """The flags on the command line, by name, as they stand there. Raises UserError for those that are not known."""
    given = {}
    for word in words:
        spelling = word.partition("=")[0]
        if not word.startswith("--") or spelling in ("--", "--help", "--version"):
            continue
        flag = BY_SPELLING.get(spelling)
        if flag is None:
            raise UserError(f"there is no flag {spelling}{_nearest(spelling)}; --help lists the flags")
        _check_fate(flag, spelling)
        given[flag.name] = spelling
    return given


def _from_environment(environment: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    added = []
    for variable in sorted(environment):
        if variable in ALIASES:
            name = ALIASES[variable]
            if name not in given and PREFIX + name.upper() not in environment:
                added.append(f"--{name}={environment[variable]}")
        elif variable.startswith(PREFIX) and not variable.startswith(OF_TASKS):
            added += _variable(variable, environment[variable], given)
    return added


def _variable(variable: str, value: str, given: Mapping[str, str]) -> list[str]:
    spelling = "--" + variable.removeprefix(PREFIX).lower()
    flag = BY_SPELLING.get(spelling)
    if flag is None:
        log.warning("%s in the environment is no flag of Marathon and is left alone", variable)
        return []
    if flag.name in given:
        raise UserError(
            f"{given[flag.name]} stands on the command line and {variable} in the environment: leave one away"
        )
    _check_fate(flag, variable)
    if flag.takes_value:
        if not value.strip():
            raise UserError(f"{variable} in the environment is empty; give it a value, or unset it")
        return [f"{spelling}={value}"]
    if value:
        off = f", or {PREFIX}DISABLE_{flag.name.upper()}= to switch it off" if flag.kind is Kind.TOGGLE else ""
        raise UserError(f"{variable} in the environment takes no value: write {variable}={off}")
    return [spelling]


def _check_fate(flag: Flag, name: str) -> None:
    """Raises UserError for what is refused; ``name`` is what the user wrote."""
    off = flag.kind is Kind.TOGGLE and name.lower().replace("-", "_").endswith("disable_" + flag.name)
    if flag.fate is Fate.REFUSED and not off:
        said = flag.why if flag.why.startswith("not supported") else f"not supported: {flag.why}"
        raise UserError(f"{name} is {said}")


def _nearest(spelling: str) -> str:
    import difflib  # few command lines need it

    near = difflib.get_close_matches(spelling.replace("-", "_"), [f"--{flag.name}" for flag in TABLE], 1)
    near = near or difflib.get_close_matches(spelling, BY_SPELLING, 1)
    return f"; do you mean {near[0]}?" if near else ""


def _add(reader: Parser, flag: Flag) -> None:
    shown = flag.about if flag.fate is Fate.HONOURED else argparse.SUPPRESS
    if not flag.takes_value:
        action = reader.add_argument(
            *flag.spellings, dest=flag.name, action="store_true", help=_toggle_help(flag, shown)
        )
        action.default = flag.default
        if flag.off_spellings:
            reader.add_argument(
                *flag.off_spellings, dest=flag.name, action="store_false", default=flag.default, help=argparse.SUPPRESS
            )
        return
    options: dict[str, Any] = {"dest": flag.name, "default": flag.default, "help": shown.replace("%", "%%")}
    if flag.choices:
        options |= {"choices": flag.choices, "type": str.lower}
    elif flag.kind in _READERS:
        options["type"] = _READERS[flag.kind]
    if flag.required:
        options["required"] = True
    if not flag.choices:
        options["metavar"] = flag.metavar or _METAVARS.get(flag.kind)
    reader.add_argument(*flag.spellings, **options)


def _toggle_help(flag: Flag, shown: str) -> str:
    if shown is argparse.SUPPRESS or flag.kind is Kind.SWITCH:
        return shown
    return shown if flag.default is None else f"{shown} (default: {'on' if flag.default else 'off'})"


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _time(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e15:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: give a number of 0 or more")
    return value


_READERS = {Kind.COUNT: _count, Kind.MILLISECONDS: _time, Kind.SECONDS: _time}
