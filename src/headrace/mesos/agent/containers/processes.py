"""Processes of this machine as /proc shows them: who belongs to a session, who holds a lock, and what sessions use."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
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
    _signal({leader}, number)


def end_session(leader: int) -> None:
    """SIGKILL to all of a session; twice, as the first may miss who was just being forked."""
    for _ in range(2):
        _signal({leader}, signal.SIGKILL)


def end_holders(lock: Path, fd: int, leaders: Iterable[int] = ()) -> None:
    """SIGKILL to all who hold ``lock`` as their descriptor ``fd``, to who comes from them, and to some sessions."""
    for _ in range(2):
        found = {*leaders, *holders(lock, fd)}
        if found:
            _signal(found, signal.SIGKILL)


def holders(lock: Path, fd: int) -> list[int]:
    """The processes that have ``lock`` as their descriptor ``fd``."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _holds(name, lock, fd)]


def session_of(pid: int) -> int:
    """Whose session a process is in; 0 if there is no such process."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _holds(name: str, lock: Path, fd: int) -> bool:
    with contextlib.suppress(OSError):
        place = f"/proc/{name}/fd/{fd}"
        # the name first: to look at a file that is somebody else's may take as long as its server likes
        return os.readlink(place).endswith(f"/{lock.parent.name}/{lock.name}") and os.path.samefile(place, lock)
    return False


def _signal(leaders: set[int], number: int) -> None:
    by_parent: dict[int, list[int]] = {}
    members = list(leaders)
    for one in processes():
        by_parent.setdefault(one.parent, []).append(one.pid)
        if one.session in leaders and one.pid not in leaders:
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
