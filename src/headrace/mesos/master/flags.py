"""The master's flags: Headrace's spelling and Mesos's (``--agent-ping-timeout``, ``--agent_ping_timeout``).

A flag that is not known is an error, also one of Mesos's that means nothing here (``mesos.unsupported_flags``).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from headrace.kernel.daemon import UserError
from headrace.kernel.flags import Parser, not_empty, port
from headrace.kernel.log import LEVELS
from headrace.mesos.flags import completed, domain_flag, hostname
from headrace.mesos.master.allocator.allocator import MIN_ALLOCATABLE
from headrace.mesos.master.core.books import Settings
from headrace.mesos.messages.common import DomainInfo
from headrace.mesos.resources import Resources

T = TypeVar("T")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|secs?|mins?|hrs?|days?|weeks?)?", re.ASCII)
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 0.001, "s": 1, "sec": 1, "min": 60, "hr": 3600, "day": 86400, "week": 7 * 86400}
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%", re.ASCII)
_LEAST = "|".join(";".join(f"{n}:{r.scalar(n):g}" for n in r.scalars) for r in MIN_ALLOCATABLE)


class Flags(msgspec.Struct, frozen=True):
    """What the master was started with. ``given`` is what /flags shows."""

    host: str
    port: int
    data: str
    hostname: str
    cluster: str
    settings: Settings
    given: dict[str, str]
    domain: DomainInfo | None = None
    log_level: str = "INFO"


def parse(arguments: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> Flags:
    """Read the command line, and MESOS_… of the environment for what it lacks. Raises UserError."""
    reader = parser()
    with completed(reader, arguments, environment) as words:
        return _parsed(reader.parse_args(words))


def _parsed(found: argparse.Namespace) -> Flags:
    not_empty(found, ("host", "port", "data", "hostname"))
    data = str(Path(found.data).expanduser().absolute())
    given = {name: str(value) for name, value in sorted(vars(found).items()) if value not in (None, "")}
    return Flags(
        found.host,
        port("--port", found.port),
        data,
        hostname(found.hostname),
        found.cluster,
        _settings(found),
        {**given, "data": data, "work_dir": data, "ip": found.host, "logging_level": found.log_level},
        domain_flag(found.domain),
        found.log_level,
    )


def _settings(found: argparse.Namespace) -> Settings:
    def read(name: str, reader: Callable[[str], T]) -> T:
        return _read(getattr(found, name), name.replace("_", "-"), reader)

    return Settings(
        agent_ping_timeout=read("agent_ping_timeout", _longer_than_zero),
        max_agent_ping_timeouts=read("max_agent_ping_timeouts", _positive),
        agent_reregister_timeout=read("agent_reregister_timeout", duration),
        allocation_interval=read("allocation_interval", duration),
        offer_timeout=read("offer_timeout", duration) if found.offer_timeout else None,
        weights=read("weights", weights),
        min_allocatable=read("min_allocatable_resources", min_allocatable),
        max_completed_frameworks=read("max_completed_frameworks", _count),
        max_completed_tasks=read("max_completed_tasks_per_framework", _count),
        max_unreachable_tasks=read("max_unreachable_tasks_per_framework", _count),
        removal_spacing=read("agent_removal_rate_limit", spacing) if found.agent_removal_rate_limit else 0.0,
        recovery_removal_limit=read("recovery_agent_removal_limit", percentage),
        registry_gc_interval=read("registry_gc_interval", _longer_than_zero),
        registry_max_agent_age=read("registry_max_agent_age", duration),
        registry_max_agent_count=read("registry_max_agent_count", _positive),
        require_agent_domain=read("require_agent_domain", _truth),
        filter_gpus=read("filter_gpu_resources", _truth),
    )


def duration(text: str) -> float:
    """Seconds of ``15secs``, ``10mins``, ``500ms`` or a plain number. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a time such as 15secs, 10mins or 500ms")
    unit = match[2] or "s"
    return float(match[1]) * _UNITS[unit if unit in _UNITS else unit.rstrip("s")]


def _longer_than_zero(text: str) -> float:
    seconds = duration(text)
    if seconds <= 0:
        raise ValueError("a time above 0 such as 15secs")
    return seconds


def spacing(text: str) -> float:
    """Seconds between two removals of a rate such as ``1/10mins`` or ``2/3hrs``. Raises ValueError."""
    number, slash, period = text.partition("/")
    try:
        if slash and _count(number) > 0:
            return _longer_than_zero(period) / int(number)
    except ValueError:
        pass
    raise ValueError("a number of agents and a time such as 1/10mins")


def percentage(text: str) -> float:
    """The share that ``20%`` means: 0.2. Raises ValueError."""
    match = _PERCENT.fullmatch(text.strip())
    if match is None or float(match[1]) > 100:
        raise ValueError("a percentage from 0% to 100%")
    return float(match[1]) / 100


def min_allocatable(text: str) -> tuple[Resources, ...]:
    """Of ``cpus:0.01|mem:32``: what of an agent is worth an offer, one of these; empty: anything. Raises ValueError."""
    return tuple(_quantities(part) for part in filter(None, text.split("|")))


def _quantities(text: str) -> Resources:
    total: dict[str, float] = {}
    for part in filter(None, text.split(";")):
        name, colon, amount = (piece.strip() for piece in part.partition(":"))
        try:
            total[name] = float(amount)
        except ValueError:
            total[name] = 0.0
        if not colon or not name or not 0 < total[name] < 1e15:
            raise ValueError(f"amounts such as cpus:0.01|mem:32; {part!r} is none")
    return Resources.of(**total)


def weights(text: str) -> dict[str, float]:
    """Weights of ``role=2,other=0.5``. Raises ValueError."""
    out: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        role, separator, weight = part.partition("=")
        try:
            value = float(weight)
        except ValueError:
            value = 0.0
        if not separator or not role.strip() or not 0 < value < float("inf"):
            raise ValueError(f"role=weight pairs such as a=2,b=0.5 with weights above 0; {part!r} is none")
        if role.strip() in out:
            raise ValueError(f"each role once; {role.strip()!r} has two weights")
        out[role.strip()] = value
    return out


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("a number, 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ValueError("a number above 0")
    return int(text)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError("true or false")
    return text.lower() in ("true", "1")


def _read(text: str, flag: str, reader: Callable[[str], T]) -> T:
    try:
        return reader(text)
    except ValueError as error:
        raise UserError(f"--{flag} {text!r} is not understood; give {error}") from None


def parser() -> Parser:
    """What reads the command line."""
    parser = Parser("headrace master", "The Mesos-compatible master. MESOS_<FLAG> in the environment is read as well.")

    def add(*names: str, default: str | None, help: str) -> None:  # noqa: A002 - argparse's own name
        spellings = dict.fromkeys(s for name in names for s in (f"--{name}", f"--{name.replace('-', '_')}"))
        parser.add_argument(*spellings, dest=names[0].replace("-", "_"), default=default, help=help)

    def add_switch(name: str, default: str, help: str) -> None:  # noqa: A002 - argparse's own name
        spellings = (f"--{name}", f"--{name.replace('-', '_')}")
        opposites = (f"--no-{name}", f"--no-{name.replace('-', '_')}")
        dest = name.replace("-", "_")
        parser.add_argument(*spellings, dest=dest, nargs="?", const="true", default=default, help=help)
        parser.add_argument(*opposites, dest=dest, action="store_const", const="false", help=argparse.SUPPRESS)

    add("host", "ip", default="127.0.0.1", help="address to listen on")
    add("port", default="5050", help="port to listen on; 0 takes a free one")
    add("data", "work-dir", default="headrace-master", help="directory for what must survive a restart")
    add("hostname", "advertise-ip", default=None, help="name or address under which others reach the master")
    add("cluster", default="", help="name of the cluster, for people")
    add("weights", default="", help="weights of roles: a=2,b=1; those that an operator has set since count more")
    add("domain", default="", help="where the master is, as JSON or a file of it: a fault domain of region and zone")
    add_switch("require-agent-domain", default="false", help="refuse agents that name no domain")
    add_switch("filter-gpu-resources", default="true", help="offer agents with GPUs to frameworks for GPUs only")
    add("agent-ping-timeout", "slave-ping-timeout", default="15secs", help="time between pings of an agent")
    add(
        *("max-agent-ping-timeouts", "max-slave-ping-timeouts"),
        default="5",
        help="unanswered pings until an agent is unreachable; one whose connection has ended has as long to be back",
    )
    add(
        *("agent-reregister-timeout", "slave-reregister-timeout"),
        default="75secs",
        help="how long agents have to be back after a restart of the master until they are unreachable",
    )
    add(
        *("agent-removal-rate-limit", "slave-removal-rate-limit"),
        default="",
        help="how many agents may become unreachable in a time, such as 1/10mins; no limit, if not given",
    )
    add(
        *("recovery-agent-removal-limit", "recovery-slave-removal-limit"),
        default="100%",
        help="the greatest share of all agents that may become unreachable after a restart of the master",
    )
    add("allocation-interval", default="500ms", help="the least time before declined resources are offered again")
    add("offer-timeout", default="", help="time until an unanswered offer is rescinded; never, if not given")
    add("min-allocatable-resources", default=_LEAST, help="the least of an agent that is worth an offer")
    add("max-completed-frameworks", default="50", help="completed frameworks that are shown")
    add("max-completed-tasks-per-framework", default="1000", help="completed tasks that are shown")
    add("max-unreachable-tasks-per-framework", default="1000", help="unreachable tasks that are remembered")
    add("registry-gc-interval", default="15mins", help="time between looks for agents that need not be remembered")
    add("registry-max-agent-age", default="2weeks", help="how long unreachable and removed agents are remembered")
    add("registry-max-agent-count", default="102400", help="how many unreachable and removed agents are remembered")
    parser.add_argument(
        *("--log-level", "--log_level", "--logging-level", "--logging_level"),
        default="INFO",
        type=str.upper,
        choices=LEVELS,
        help="what is logged",
    )
    return parser
