"""Resource limits of processes that a container asks for (``rlimit_info``), set by util-linux's ``prlimit``."""

from __future__ import annotations

import os
import resource

from headrace.mesos.agent.isolation.problems import IsolationProblem
from headrace.mesos.messages.common import RLimit, RLimitInfo

PRLIMIT = "/usr/bin/prlimit"
# fmt: off
_NAMES = (
    "AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NICE",
    "NOFILE", "NPROC", "RSS", "RTPRIO", "RTTIME", "SIGPENDING", "STACK",
)
# fmt: on


def limited(info: RLimitInfo | None, argv: list[str]) -> list[str]:
    """The command line that runs ``argv`` within the limits. Raises IsolationProblem."""
    if info is None or not info.rlimits:
        return argv
    options = []
    for i, limit in enumerate(info.rlimits):
        where = f"container.rlimit_info.rlimits[{i}]"
        name, soft, hard = _checked(where, limit)
        options.append(f"--{name.lower()}={_text(soft)}:{_text(hard)}")
    if not os.access(PRLIMIT, os.X_OK):
        raise IsolationProblem(f"container.rlimit_info: the agent needs {PRLIMIT} (package util-linux) for that")
    return [PRLIMIT, *options, "--", *argv]


def _checked(where: str, limit: RLimit) -> tuple[str, int | None, int | None]:
    name = (limit.type or "").removeprefix("RLMT_")
    if name not in _NAMES or name == limit.type:
        raise IsolationProblem(f"{where}.type: {limit.type!r} is not one of {', '.join('RLMT_' + n for n in _NAMES)}")
    if (limit.soft is None) != (limit.hard is None):
        raise IsolationProblem(f"{where}: give both soft and hard, or neither for no limit")
    if limit.soft is not None and limit.hard is not None and not 0 <= limit.soft <= limit.hard:
        raise IsolationProblem(f"{where}: soft ({limit.soft}) must be from 0 to hard ({limit.hard})")
    if os.geteuid() != 0:
        most = _own_hard(name)
        if most is not None and (limit.hard is None or limit.hard > most):
            raise IsolationProblem(
                f"{where}: this agent does not run as root and its own hard limit is {most}; ask for at most that"
            )
    return name, limit.soft, limit.hard


def _own_hard(name: str) -> int | None:
    number = getattr(resource, f"RLIMIT_{name}", None)
    hard = resource.RLIM_INFINITY if number is None else resource.getrlimit(number)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def _text(bound: int | None) -> str:
    return "unlimited" if bound is None else str(bound)
