"""The options of the application master: one table, the ``-D`` grammar, and typed reading.

Options come from the command line (``-Dkey=value``) and from Flink's configuration files; the
command line wins. What the table does not know belongs to Flink and is handed on unchanged, but a
``mesos.*`` or ``headrace.*`` key that nobody knows is an error, because nobody else would say so.

Source of names, defaults and meanings: Flink's documentation of 1.2 to 1.13.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

import msgspec

from headrace.kernel.daemon import UserError

FlinkOptions = dict[str, str]
"""Keys and values as Flink's own configuration has them: all text."""


class Option(msgspec.Struct, frozen=True):
    """One option: its name, the older names that are read too, what it is and does.

    ``default`` is shown to people; None means that there is none. ``supported`` is False for what the
    original had and this version refuses.
    """

    name: str
    about: str
    default: str | None = None
    aliases: tuple[str, ...] = ()
    supported: bool = True


TABLE: tuple[Option, ...] = (
    Option("mesos.master", "The Mesos master: host:port or http://host:port."),
    Option("mesos.initial-tasks", "TaskManagers that are there without any job.", "0"),
    Option("mesos.failover-timeout", "Seconds that TaskManagers outlive a lost application master.", "300"),
    Option("mesos.resourcemanager.tasks.cpus", "CPUs of one TaskManager; 0 takes one per slot.", "0.0"),
    Option("mesos.resourcemanager.tasks.mem", "Memory of one TaskManager's task, in MiB.", "1024"),
    Option("mesos.resourcemanager.framework.name", "The framework's name in Mesos.", "Flink"),
    Option("mesos.resourcemanager.framework.role", "The framework's role.", "*"),
    Option("mesos.resourcemanager.framework.user", "Who runs the tasks; empty: the user of this process.", ""),
    Option("mesos.resourcemanager.framework.principal", "The framework's principal.", supported=False),
    Option("mesos.resourcemanager.framework.secret", "The framework's secret.", supported=False),
    Option("mesos.resourcemanager.artifactserver.port", "Port of the application master; 0 takes a free one.", "0"),
    Option("mesos.resourcemanager.artifactserver.ssl.enabled", "TLS for artifacts.", supported=False),
    Option(
        "mesos.resourcemanager.declined-offer-refuse-duration", "How long a useless offer stays away, in ms.", "120000"
    ),
    Option(
        "mesos.resourcemanager.unused-offer-expiration",
        "Offers are never kept, so this has no meaning.",
        supported=False,
    ),
    Option("mesos.resourcemanager.tasks.disk", "Disk of one TaskManager, in MB.", "0", supported=False),
    Option("mesos.resourcemanager.tasks.gpus", "GPUs of one TaskManager.", "0", supported=False),
    Option("mesos.resourcemanager.tasks.network.bandwidth", "Network bandwidth.", "0", supported=False),
    Option("mesos.resourcemanager.network.resource.name", "Name of that resource.", "network", supported=False),
    Option("mesos.resourcemanager.tasks.hostname", "TaskManager's host name; _TASK_ is its id.", supported=False),
    Option("mesos.resourcemanager.tasks.bootstrap-cmd", "Command before the TaskManager.", supported=False),
    Option("mesos.resourcemanager.tasks.taskmanager-cmd", "Command of the TaskManager.", supported=False),
    Option("mesos.resourcemanager.tasks.uris", "More files for the sandbox.", supported=False),
    Option("mesos.resourcemanager.tasks.user", "User of the tasks.", supported=False),
    Option("mesos.resourcemanager.tasks.labels", "Labels of the tasks.", supported=False),
    Option("mesos.resourcemanager.tasks.port-assignments", "Options that get a port of the offer.", supported=False),
    Option("mesos.resourcemanager.tasks.container.type", "mesos or docker.", "mesos", supported=False),
    Option("mesos.resourcemanager.tasks.container.image.name", "Image.", supported=False),
    Option("mesos.resourcemanager.tasks.container.volumes", "Volumes.", supported=False),
    Option("mesos.resourcemanager.tasks.container.docker.parameters", "Parameters.", supported=False),
    Option("mesos.resourcemanager.tasks.container.docker.force-pull-image", "Pull.", "false", supported=False),
    Option("mesos.constraints.hard.hostattribute", "Constraints.", supported=False),
    Option("mesos.maximum-failed-tasks", "Failed TaskManagers before the end.", supported=False),
    Option("jobmanager.rpc.address", "The host name or address under which all this is reached."),
    Option("jobmanager.rpc.port", "Port of the JobManager's RPC; not set: a free one."),
    Option(
        "rest.port", "Port of REST and dashboard; not set: $PORT0, else a free one.", aliases=("jobmanager.web.port",)
    ),
    Option("headrace.flink.home", "Directory of Flink with lib/; not set: $FLINK_HOME, else the Python package."),
    Option("headrace.appmaster.store", "URL of the application master's store.", "sqlite:// in the sandbox"),
    Option(
        "headrace.sql.warm-up",
        "Plan a trivial script after the start, so that the first SQL job comes sooner.",
        "true",
    ),
)

KNOWN: dict[str, Option] = {option.name: option for option in TABLE}

_OWN = ("mesos.", "headrace.")
_MISSPELT = {"interval.jobgraph-path": "internal.jobgraph-path"}
"""Names that stood in Flink's documentation for years and never worked."""


def parse_arguments(arguments: Sequence[str]) -> FlinkOptions:
    """Read ``-Dk=v``, ``-D k=v`` and ``-Dk`` (true); the first ``=`` splits. Raises UserError."""
    options: FlinkOptions = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-D"):
            raise UserError(f"argument {argument!r} is not understood; options are given as -Dkey=value")
        pair = argument[2:] or (rest.pop(0) if rest else "")
        key, separator, value = pair.partition("=")
        if not key.strip():
            raise UserError(f"argument {argument!r} names no option; give -Dkey=value")
        options[key.strip()] = value if separator else "true"
    return options


def check_names(options: Mapping[str, str]) -> None:
    """Refuse what would otherwise be ignored in silence. Raises UserError."""
    for key in options:
        if key in _MISSPELT:
            raise UserError(f"option {key} does not exist; it is spelt {_MISSPELT[key]}")
        known = KNOWN.get(key)
        if known is not None and not known.supported:
            raise UserError(f"option {key} is not supported by this version; leave it away")
        if known is None and key.startswith(_OWN):
            raise UserError(f"option {key} does not exist{_hint(key)}")


def _hint(key: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, [o.name for o in TABLE if o.supported], 1)
    return f"; did you mean {near[0]}?" if near else ""


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
