"""Says before anything is started which of the wanted ports is taken, and by whom."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from headrace.kernel.daemon import UserError
from headrace.kernel.listeners import command, owner


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
    return f" by process {pid} ({command(pid)[:80]})"
