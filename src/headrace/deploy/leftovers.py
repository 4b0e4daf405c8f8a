"""Finds and ends the processes of tasks that outlived their agent.

A task and all its descendants carry the path of their sandbox in their environment, whatever
session they moved to; so the kernel's process table tells who belongs to a data directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

_VARIABLE = b"MESOS_SANDBOX="
_PATIENCE = 2.0


def find(root: Path) -> set[int]:
    """The processes whose sandbox lies under ``root``, this process excluded."""
    prefix = _VARIABLE + str(root.resolve()).encode() + b"/"
    return {pid for pid in _processes() if _belongs(pid, prefix)}


async def end(root: Path) -> int:
    """Ask them to end, then kill them; returns how many there were."""
    found = find(root)
    _send(root, signal.SIGTERM)
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while left := find(root):
        if asyncio.get_running_loop().time() > deadline:
            _send(root, signal.SIGKILL)
        found |= left
        await asyncio.sleep(0.02)
    return len(found)


def end_now(root: Path) -> int:
    """The same where no loop runs."""
    return asyncio.run(end(root))


def _send(root: Path, number: signal.Signals) -> None:
    prefix = _VARIABLE + str(root.resolve()).encode() + b"/"
    for pid in _processes():
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)  # from here on the id can't come to mean another process
            try:
                if _belongs(pid, prefix):
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def _processes() -> set[int]:
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()} - {os.getpid()}


def _belongs(pid: int, prefix: bytes) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return any(variable.startswith(prefix) for variable in environment.split(b"\0"))
