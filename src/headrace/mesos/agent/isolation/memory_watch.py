"""Tells when the kernel ends processes of a container because it is at its memory limit.

One epoll descriptor for all containers: cgroup v1 tells by an eventfd, v2 by a priority event on memory.events.
Either also tells of other things, such as the cgroup's removal or a limit further up: whoever is told must look.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from collections.abc import Callable
from pathlib import Path

from headrace.mesos.agent.isolation.cgroups import Part

EVENTS = "memory.events"


class MemoryWatch:
    """Calls ``look`` with a container's id whenever something may have happened to its memory."""

    def __init__(self, look: Callable[[str], None]) -> None:
        self._look = look
        self._epoll: select.epoll | None = None
        self._owners: dict[int, str] = {}
        self._open: dict[str, int] = {}
        self._counters: set[int] = set()

    def add(self, container_id: str, part: Part) -> None:
        """Begin to watch. Raises OSError."""
        if container_id in self._open:
            return
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._ready)
        if part.version == 1:
            fd, interest = _counter(Path(part.path)), select.EPOLLIN
            self._counters.add(fd)
        else:
            fd, interest = _events(Path(part.path)), select.EPOLLPRI
        self._owners[fd] = container_id
        self._open[container_id] = fd
        self._epoll.register(fd, interest)

    def drop(self, container_id: str) -> None:
        """Watch it no more; to be called before its cgroup is removed."""
        fd = self._open.pop(container_id, None)
        if fd is None or self._epoll is None:
            return
        del self._owners[fd]
        self._counters.discard(fd)
        self._epoll.unregister(fd)
        os.close(fd)

    def stop(self) -> None:
        """Watch nothing more."""
        for container_id in list(self._open):
            self.drop(container_id)
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _ready(self) -> None:
        assert self._epoll is not None  # noqa: S101 - it has just been ready
        for fd, _ in self._epoll.poll(0):
            with contextlib.suppress(OSError):
                os.read(fd, 8) if fd in self._counters else os.pread(fd, 4096, 0)  # it tells anew only after that
            container_id = self._owners.get(fd)
            if container_id is not None:
                self._look(container_id)


def _counter(path: Path) -> int:
    fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        control = os.open(path / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            (path / "cgroup.event_control").write_text(f"{fd} {control}")
        finally:
            os.close(control)
    except OSError:
        os.close(fd)
        raise
    return fd


def _events(path: Path) -> int:
    fd = os.open(path / EVENTS, os.O_RDONLY | os.O_CLOEXEC)
    os.read(fd, 4096)
    return fd
