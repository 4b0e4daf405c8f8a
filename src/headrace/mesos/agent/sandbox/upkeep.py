"""What the agent looks after beside its tasks: full disks, disk quotas, rotation of logs, forgotten files.

Each part runs only if the flags ask for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from headrace.mesos.agent.core.containers import Place
from headrace.mesos.agent.flags.agent import Flags
from headrace.mesos.agent.sandbox.disk_usage import DiskUsageWatch, remove_leftovers
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import Resource


class Inventory(Protocol):
    """What the core knows of containers."""

    def running(self) -> list[tuple[Place, list[Resource]]]:
        """Of all that run: where they lie, and what they hold, the tasks of a custom executor included."""

    def known(self) -> set[str]:
        """All containers whose files are not to be touched: those that run, and those that ``garbage`` will remove."""


def parts(flags: Flags, layout: Layout, core: Inventory, post: Callable[..., None]) -> list[Coroutine[Any, Any, None]]:
    """What is to run beside the agent; none of it ends by itself."""
    given = flags.sandboxes
    usage = DiskUsageWatch(flags.data, given.disk_watch_interval, given.gc_disk_headroom, post)
    found = [usage.run(), _clear_leftovers(flags, layout, core)]
    if given.enforce_container_disk_quota:
        from headrace.mesos.agent.sandbox.disk_quota import DiskWatch, Watched

        def watched() -> list[Watched]:
            return [Watched(place, resources) for place, resources in core.running()]

        found.append(DiskWatch(layout, watched, given.container_disk_watch_interval, post).run())
    limits = {"stdout": given.max_stdout_size, "stderr": given.max_stderr_size}
    if any(limits.values()):
        from headrace.mesos.agent.sandbox.log_rotation import Rotation

        rotation = Rotation(lambda: [layout.sandbox(place) for place, _ in core.running()], limits, given.rotated_files)
        found.append(rotation.run())
    return found


async def _clear_leftovers(flags: Flags, layout: Layout, core: Inventory) -> None:
    """Once after each start; files are left over only when an agent is killed."""
    known = core.known()
    await asyncio.to_thread(remove_leftovers, layout, known, time.time() - flags.gc_delay)
    await asyncio.Event().wait()
