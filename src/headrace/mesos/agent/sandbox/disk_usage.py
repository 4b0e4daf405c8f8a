"""Looks how full the disk of the sandboxes is, and clears away what no record names any more.

The core decides which sandboxes go (``garbage``). A disk that is fuller than ``gc_disk_headroom`` allows is also told
in the log: what running tasks write is not the agent's to remove.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection
from pathlib import Path

from headrace.kernel import process
from headrace.kernel.process import Found
from headrace.mesos.agent.core.events import DiskUsage
from headrace.mesos.agent.sandbox.layout import Layout, remove_tree

log = logging.getLogger(__name__)


class DiskUsageWatch:
    """Posts DiskUsage at once and then every ``interval`` seconds."""

    def __init__(self, directory: Path, interval: float, headroom: float, post: Callable[[DiskUsage], None]) -> None:
        """``headroom``: the share of the disk that is to stay free."""
        self._directory = directory
        self._interval = interval
        self._headroom = headroom
        self._post = post
        self._warned = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                self._look(share_in_use(self._directory))
            except OSError as error:
                log.warning("can't tell how full the disk of %s is: %s", self._directory, error)
            await asyncio.sleep(self._interval)

    def _look(self, share: float) -> None:
        self._post(DiskUsage(share))
        full = share > 1.0 - self._headroom
        if full and not self._warned:
            log.warning(
                "the disk of %s is %.0f %% full, more than --gc_disk_headroom=%g allows; sandboxes of ended tasks are "
                "removed at once; what running tasks write can be bounded by --enforce_container_disk_quota and "
                "--max_stdout_size",
                self._directory,
                100 * share,
                self._headroom,
            )
        self._warned = full


def share_in_use(directory: Path) -> float:
    """How much of the disk that holds ``directory`` is in use, 0 to 1. Raises OSError."""
    disk = os.statvfs(directory)
    return 1.0 - disk.f_bfree / disk.f_blocks if disk.f_blocks else 0.0


def remove_leftovers(layout: Layout, known: Collection[str], older_than: float) -> int:
    """Remove sandboxes and run directories of no container in ``known`` that were last changed before ``older_than``.

    Such are left when an agent is killed after it forgot a sandbox and before it removed it. What still runs stays.
    Returns how many there were.
    """
    removed = 0
    for place in layout.places():
        if _is_left(layout, place.container_id, layout.sandbox(place), known, older_than):
            layout.remove(place)
            removed += 1
    for container_id in layout.run_dirs():
        run_dir = layout.run_dir(container_id)
        if _is_left(layout, container_id, run_dir, known, older_than):
            remove_tree(run_dir)
            removed += 1
    if removed:
        log.info("removed %d directories that an earlier agent had left", removed)
    return removed


def _is_left(layout: Layout, container_id: str, directory: Path, known: Collection[str], older_than: float) -> bool:
    if container_id in known:
        return False
    try:
        changed = os.stat(directory).st_mtime
    except OSError:
        return False
    return changed < older_than and process.find(layout.run_dir(container_id)) is not Found.RUNNING
