"""What the flags of master and agent have in common, as Mesos has it.

A flag that is not on the command line is taken from the environment: MESOS_PORT is --port. What agents set in the
environment of tasks is no flag, so a daemon may be started inside a task. A flag of Mesos's that means nothing here
is an error that says what to do instead; other MESOS_ variables are left alone.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from headrace.kernel.daemon import UserError
from headrace.kernel.flags import Parser
from headrace.mesos.messages.common import DomainInfo

PREFIX = "MESOS_"
OF_TASKS = frozenset(
    PREFIX + name
    for name in (
        "AGENT_ENDPOINT",
        "AGENT_ID",
        "CHECKPOINT",
        "CONTAINER_ID",
        "CONTAINER_NAME",
        "DIRECTORY",
        "EXECUTOR_ID",
        "EXECUTOR_SHUTDOWN_GRACE_PERIOD",
        "FRAMEWORK_ID",
        "HTTP_COMMAND_EXECUTOR",
        "NATIVE_JAVA_LIBRARY",
        "NATIVE_LIBRARY",
        "RECOVERY_TIMEOUT",
        "SANDBOX",
        "SLAVE_ID",
        "SLAVE_PID",
        "SUBSCRIPTION_BACKOFF_MAX",
        "TASK_ID",
        "VERSION",
    )
)
"""What agents, Mesos's and Headrace's, and images set for tasks, executors and frameworks; never read as a flag."""

_EXAMPLE = 'JSON such as {"fault_domain": {"region": {"name": "eu"}, "zone": {"name": "eu-1"}}}'
_HOSTNAME = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,253}", re.ASCII)


@contextmanager
def completed(parser: Parser, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[list[str]]:
    """The command line with what the environment adds; a UserError raised within names the variable that it is about.

    Raises UserError for flags of Mesos's that are not supported.
    """
    given = {word.partition("=")[0] for word in arguments if word.startswith("--")}
    known: dict[str, argparse.Action] = {}
    for action in parser._actions:
        known.update(dict.fromkeys(action.option_strings, action))
    _refuse_unsupported((word, word) for word in given if word not in known)
    settled = {known[word].dest for word in given if word in known}
    used: dict[str, argparse.Action] = {}
    for variable, flag in _variables(environment):
        if flag not in known:
            _refuse_unsupported([(flag, variable)])
        elif known[flag].nargs != 0 and known[flag].dest not in settled:
            used[variable] = known[flag]
    added = [f"{action.option_strings[0]}={environment[variable]}" for variable, action in used.items()]
    try:
        yield [*added, *arguments]
    except UserError as error:
        to_blame = [variable for variable, action in used.items() if _mentions(str(error), action.option_strings)]
        if not to_blame:
            raise
        raise UserError(f"{error} (from {', '.join(to_blame)} in the environment)") from None


def _variables(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables that may be flags, with the flag's spelling."""
    names = sorted(name for name in environment if name.startswith(PREFIX) and name not in OF_TASKS)
    return [(name, "--" + name.removeprefix(PREFIX).lower()) for name in names]


def _mentions(text: str, flags: Sequence[str]) -> bool:
    return any(re.search(re.escape(flag) + r"(?![\w-])", text) for flag in flags)


def _refuse_unsupported(flags: Iterable[tuple[str, str]]) -> None:
    """Raise UserError for a flag of Mesos's without meaning here; each comes with the name that the user gave it."""
    for flag, name in flags:
        from headrace.mesos.unsupported_flags import advice  # few command lines need it

        said = advice(flag.removeprefix("--").replace("-", "_"))
        if said is not None:
            raise UserError(f"{name} is a flag of Mesos that is not supported: {said}")


def domain(text: str) -> DomainInfo:
    """The fault domain that ``text`` is, or the file that it names. Raises ValueError that says what would be right."""
    if not text.lstrip().startswith("{"):
        path = text.removeprefix("file://")
        try:
            text = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ValueError(f"{_EXAMPLE} or a file that holds it; {path} can't be read: {why}") from None
    try:
        found = msgspec.json.decode(text, type=DomainInfo)
    except msgspec.DecodeError as error:
        raise ValueError(f"{_EXAMPLE}; {error}") from None
    if found.fault_domain is None or not found.fault_domain.region.name or not found.fault_domain.zone.name:
        raise ValueError(f"{_EXAMPLE}; region and zone need a name")
    return found


def domain_flag(text: str) -> DomainInfo | None:
    """The flag --domain; None if it is not given. Raises UserError."""
    try:
        return domain(text) if text else None
    except ValueError as error:
        raise UserError(f"--domain {text!r} is not understood; give {error}") from None


def hostname(text: str | None) -> str:
    """The flag --hostname; empty if it is not given. Raises UserError."""
    if text is not None and not _HOSTNAME.fullmatch(text):
        raise UserError(f"--hostname {text!r} is no name of a host; give one such as node1.example, or an address")
    return text or ""
