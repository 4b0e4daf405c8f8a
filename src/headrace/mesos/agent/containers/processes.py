"""Processes of this machine as /proc shows them: who belongs to a session, and what sessions use."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """One process: times in seconds, memory in bytes."""

    pid: int
    parent: int
    session: int
    user_time: float
    system_time: float
    memory: int


class Usage(NamedTuple):
    """What the processes of a session use together, and those that they have waited for."""

    processes: int = 0
    user_time: float = 0.0
    system_time: float = 0.0
    memory: int = 0


def processes() -> Iterator[Process]:
    """All that this process can see."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                yield _read(name)


def _read(name: str) -> Process:
    with open(f"/proc/{name}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    user, system, user_waited, system_waited = (int(field) for field in fields[11:15])
    return Process(
        int(name),
        int(fields[1]),
        int(fields[3]),
        (user + user_waited) / _TICK,
        (system + system_waited) / _TICK,
        int(fields[21]) * _PAGE,
    )


def usage_by_session() -> dict[int, Usage]:
    """What is used, by the leaders of sessions."""
    found: dict[int, Usage] = {}
    for one in processes():
        sum_ = found.get(one.session, Usage())
        found[one.session] = Usage(
            sum_.processes + 1,
            sum_.user_time + one.user_time,
            sum_.system_time + one.system_time,
            sum_.memory + one.memory,
        )
    return found


def signal_session(leader: int, number: int) -> None:
    """Signal the session of ``leader``, and those who left it but come from it; none of them has been waited for."""
    by_parent: dict[int, list[int]] = {}
    members = [leader]
    for one in processes():
        by_parent.setdefault(one.parent, []).append(one.pid)
        if one.session == leader and one.pid != leader:
            members.append(one.pid)
    seen = set(members)
    for pid in members:  # grows meanwhile
        for child in by_parent.get(pid, ()):
            if child not in seen:
                seen.add(child)
                members.append(child)
    for pid in members:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_session(leader: int) -> None:
    """SIGKILL to all of a session; twice, as the first may miss who was just being forked."""
    for _ in range(2):
        signal_session(leader, signal.SIGKILL)
