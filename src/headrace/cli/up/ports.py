"""Says before anything is started which of the wanted ports is taken, and by whom."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from headrace.kernel.daemon import UserError

_LISTEN = "0A"


def check_free(host: str, wanted: Iterable[tuple[str, int, str]]) -> None:
    """``wanted``: component, port (0 is always free) and the option that sets it.

    Raises UserError that names the port and, where the kernel tells, who listens there.
    """
    seen: dict[int, str] = {}
    for component, port, option in wanted:
        if port == 0:
            continue
        if port in seen:
            raise UserError(f"port {port} is given to both {seen[port]} and {component}; change it with {option}")
        seen[port] = component
        _check(host, component, port, option)


def _check(host: str, component: str, port: int, option: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UserError(
                    f"{component} can't listen on {host}:{port}: {error.strerror}; change --host or {option}"
                ) from error
            raise UserError(
                f"port {port}, wanted for {component}, is in use{_by(port)}; stop that process "
                f"(`ss -ltnp 'sport = :{port}'` shows it) or give another port with {option} (0 takes a free one)"
            ) from None


def _by(port: int) -> str:
    pid = owner(port)
    if pid is None:
        return " by another process"
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return f" by process {pid} ({command[:80]})"


def owner(port: int) -> int | None:
    """The process that listens on a TCP port, if this user may know it."""
    wanted = {f"socket:[{inode}]" for inode in _listeners(port)}
    if not wanted:
        return None
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError), os.scandir(f"/proc/{entry}/fd") as descriptors:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor.path) in wanted:
                        return int(entry)
    return None


def _listeners(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes
