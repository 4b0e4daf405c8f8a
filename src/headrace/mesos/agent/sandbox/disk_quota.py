"""Disk quotas as Mesos's ``disk/du`` has them: what a container's files take, against the disk that it holds.

The sandbox may take what the container holds of plain disk, nested sandboxes included; a persistent volume has
its own size. A MOUNT disk is bounded by its file system. One directory is measured at a time, in a thread, with
pauses nine times as long: however many containers there are, measuring takes a tenth of one processor at most.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Iterable

import msgspec

from headrace.mesos.agent.core.containers import Limitation, Place
from headrace.mesos.agent.core.events import LimitExceeded
from headrace.mesos.agent.flags.units import exact_size
from headrace.mesos.agent.isolation.persistent import path_of
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import Resource

log = logging.getLogger(__name__)

MIB = 1024 * 1024
REASON = "REASON_CONTAINER_LIMITATION_DISK"
_REST = 9.0
"""Pause after measuring, in times of what it took."""

_BLOCK = 512
"""Bytes in which the system counts ``st_blocks``."""


class Watched(msgspec.Struct, frozen=True):
    """A running container and what it holds."""

    place: Place
    resources: list[Resource]


class Quota(msgspec.Struct, frozen=True):
    """What a directory may take, in bytes, and for which resources; what lies in ``without`` does not count."""

    directory: str
    limit: int
    resources: list[Resource]
    without: tuple[str, ...] = ()


def quotas(layout: Layout, watched: Watched) -> list[Quota]:
    """The directories of a container that have a bound."""
    sandbox = layout.sandbox(watched.place)
    own: list[Resource] = []
    volumes: list[Quota] = []
    inside: list[str] = []
    for resource in watched.resources:
        if resource.name != "disk" or resource.scalar is None:
            continue
        disk = resource.disk
        if disk is None or disk.persistence is None:
            own.append(resource)
            continue
        if disk.volume is not None:
            inside.append(str(sandbox / disk.volume.container_path))
        if disk.source is not None and disk.source.type != "PATH":
            continue
        directory = path_of(layout, resource)
        volumes.append(Quota(str(directory), _bytes([resource]), [resource]))
    if own:
        volumes.insert(0, Quota(str(sandbox), _bytes(own), own, tuple(inside)))
    return volumes


def _bytes(resources: Iterable[Resource]) -> int:
    return round(sum(one.scalar.value for one in resources if one.scalar is not None) * MIB)


def judge(quota: Quota, used: int) -> Limitation | None:
    """What to say if ``used`` bytes are too many."""
    if used <= quota.limit:
        return None
    message = f"Disk usage ({exact_size(used)}) exceeds quota ({exact_size(quota.limit)})"
    return Limitation(REASON, message, quota.resources)


def usage(directory: str, without: Collection[str] = ()) -> int:
    """Bytes on disk of what is in a directory; a file with several names counts once. Links are not followed."""
    try:
        total = os.lstat(directory).st_blocks * _BLOCK
    except OSError:
        return 0
    seen: set[tuple[int, int]] = set()
    todo = [directory]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.path in without:
                        continue
                    status = entry.stat(follow_symlinks=False)
                    if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if (status.st_dev, status.st_ino) in seen:
                            continue
                        seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
        except OSError:  # it has just been removed
            continue
    return total


class DiskWatch:
    """Measures the running containers in turn; LimitExceeded is posted for those that take too much."""

    def __init__(
        self,
        layout: Layout,
        running: Callable[[], list[Watched]],
        interval: float,
        post: Callable[[LimitExceeded], None],
    ) -> None:
        """``interval`` in seconds: how often each is measured at most."""
        self._layout = layout
        self._running = running
        self._interval = interval
        self._post = post
        self.used: dict[str, int] = {}
        """Bytes in the sandbox of a container when it was last measured."""

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            round_of = self._running()
            known = {watched.place.container_id for watched in round_of}
            for gone in [container_id for container_id in self.used if container_id not in known]:
                del self.used[gone]
            for watched in round_of:
                at = loop.time()
                await self._look(watched)
                await asyncio.sleep((loop.time() - at) * _REST)
            await asyncio.sleep(max(0.05, self._interval - (loop.time() - began)))

    async def _look(self, watched: Watched) -> None:
        container_id = watched.place.container_id
        for quota in quotas(self._layout, watched):
            used = await asyncio.to_thread(usage, quota.directory, frozenset(quota.without))
            if quota.directory == str(self._layout.sandbox(watched.place)):
                self.used[container_id] = used
            limitation = judge(quota, used)
            if limitation is not None:
                log.warning("container %s: %s", container_id, limitation.message)
                self._post(LimitExceeded(container_id, limitation))
                return
