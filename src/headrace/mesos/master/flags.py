"""The master's flags: Headrace's spelling and Mesos's (``--agent-ping-timeout``, ``--agent_ping_timeout``)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from headrace.kernel.daemon import UserError
from headrace.mesos.master.books import Settings

T = TypeVar("T")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|secs?|mins?|hrs?|days?|weeks?)?")
_UNITS = {"ms": 0.001, "s": 1, "sec": 1, "min": 60, "hr": 3600, "day": 86400, "week": 7 * 86400}


class Flags(msgspec.Struct, frozen=True):
    """What the master was started with. ``given`` is what /flags shows."""

    host: str
    port: int
    data: str
    hostname: str
    cluster: str
    settings: Settings
    given: dict[str, str]


def parse(arguments: Sequence[str]) -> Flags:
    """Read the command line. Raises UserError."""
    found = _parser().parse_args(list(arguments))
    defaults = Settings()
    settings = Settings(
        agent_ping_timeout=_read(found.agent_ping_timeout, "agent-ping-timeout", duration),
        max_agent_ping_timeouts=_read(found.max_agent_ping_timeouts, "max-agent-ping-timeouts", _positive),
        agent_reregister_timeout=_read(found.agent_reregister_timeout, "agent-reregister-timeout", duration),
        allocation_interval=_read(found.allocation_interval, "allocation-interval", duration),
        offer_timeout=_read(found.offer_timeout, "offer-timeout", duration) if found.offer_timeout else None,
        heartbeat_interval=defaults.heartbeat_interval,
        weights=_read(found.weights, "weights", weights),
    )
    data = Path(found.data).expanduser().absolute()
    given = {name: str(value) for name, value in sorted(vars(found).items()) if value not in (None, "")}
    return Flags(
        found.host,
        _read(found.port, "port", _port),
        str(data),
        found.hostname,
        found.cluster,
        settings,
        {**given, "data": str(data)},
    )


def duration(text: str) -> float:
    """Seconds of ``15secs``, ``10mins``, ``500ms`` or a plain number. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a time such as 15secs, 10mins or 500ms")
    unit = match[2] or "s"
    return float(match[1]) * _UNITS[unit if unit in _UNITS else unit.rstrip("s")]


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
        out[role.strip()] = value
    return out


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError("a number above 0")
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise ValueError("a port from 0 to 65535")
    return int(text)


def _read(text: str, flag: str, reader: Callable[[str], T]) -> T:
    try:
        return reader(text)
    except ValueError as error:
        raise UserError(f"--{flag} {text!r} is not understood; give {error}") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; --help lists the flags")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("headrace-master", description="The Mesos-compatible master.", allow_abbrev=False)

    def add(*names: str, default: str, help: str) -> None:  # noqa: A002 - argparse's own name
        spellings = dict.fromkeys(s for name in names for s in (f"--{name}", f"--{name.replace('-', '_')}"))
        parser.add_argument(*spellings, dest=names[0].replace("-", "_"), default=default, help=help)

    add("host", "ip", default="127.0.0.1", help="address to listen on")
    add("port", default="5050", help="port to listen on; 0 takes a free one")
    add("data", "work-dir", default="headrace-master", help="directory for what must survive a restart")
    add("hostname", "advertise-ip", default="", help="name or address under which others reach the master")
    add("cluster", default="", help="name of the cluster, for people")
    add("weights", default="", help="weights of roles: a=2,b=1")
    add("agent-ping-timeout", default="15secs", help="time between pings of an agent")
    add("max-agent-ping-timeouts", default="5", help="unanswered pings until an agent is unreachable")
    add("agent-reregister-timeout", default="75secs", help="how long an agent may be away until it is unreachable")
    add("allocation-interval", default="500ms", help="the least time before declined resources are offered again")
    add("offer-timeout", default="", help="time until an unanswered offer is rescinded; never, if not given")
    return parser
