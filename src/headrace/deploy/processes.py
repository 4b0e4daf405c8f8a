"""Processes of this machine, told apart for certain: by id, time of start and boot, never by name alone.

A daemon's pid file says which process was started; the kernel gives ids away again, so what is signalled is first
held by a pidfd and then compared.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headrace.kernel.listeners import command
from headrace.kernel.process_identity import boot_id, start_time

_APACHE = {"mesos-master": "mesos-master", "mesos-slave": "mesos-agent", "mesos-agent": "mesos-agent"}
"""Programs of Apache Mesos, and which of our components each is."""


class Identity(msgspec.Struct, frozen=True):
    """One process, for ever: no other one has the same three."""

    pid: int
    start: int
    boot: str


class Noted(msgspec.Struct, frozen=True):
    """What a pid file holds: the daemon, where in its log this run begins, and where it answers, once that is known."""

    process: Identity
    log_begin: int = 0
    url: str = ""


def identify(pid: int) -> Identity | None:
    """Who has the id now; None if nobody has, or a process that has ended and not been collected."""
    start = start_time(pid)
    return Identity(pid, start, boot_id()) if start else None


def write_pid_file(path: Path, noted: Noted) -> None:
    """Write the file, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.encode(noted) + b"\n")
    fresh.replace(path)


def read_pid_file(path: Path) -> Noted | None:
    """What the file says, if its process is still that one."""
    try:
        noted = msgspec.json.decode(path.read_bytes(), type=Noted)
    except (OSError, msgspec.DecodeError):
        return None
    return noted if identify(noted.process.pid) == noted.process else None


def end(identity: Identity, number: int, patience: float) -> bool:
    """Signal a process and wait until it is gone; after ``patience`` seconds by SIGKILL. False if it took that.

    Raises PermissionError if it is another user's.
    """
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        if identify(identity.pid) != identity:
            return True
        signal.pidfd_send_signal(handle, number)
        if _gone(handle, patience):
            return True
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        _gone(handle, patience)
        return False
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


def kind(pid: int) -> str:
    """Which component a process is, ``mesos-master`` or ``mesos-agent``; empty if it is none, or we may not know."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        for word in words[:2]:  # a script's interpreter comes first
            if (name := os.path.basename(word).removeprefix("lt-")) in _APACHE:
                return _APACHE[name]
        for module, name in (("headrace.mesos.master", "mesos-master"), ("headrace.mesos.agent", "mesos-agent")):
            if ["-m", module] == words[1:3]:
                return name
    return ""


def apache_daemons(component: str) -> Iterator[int]:
    """Processes of Apache Mesos's that are this component."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and kind(int(entry)) == component and "headrace" not in command(int(entry)):
            yield int(entry)


def shown(pid: int) -> str:
    """A process for people: its id and its command line."""
    return f"process {pid} ({command(pid)[:100] or 'unknown'})"


def _gone(handle: int, patience: float) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(patience * 1000))
