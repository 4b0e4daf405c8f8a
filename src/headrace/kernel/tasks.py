"""A set of asyncio tasks that are begun one by one and given up together.

For works that nobody waits for and that tell their outcome by themselves. What one of them raises is logged by the
loop, as it is of any task that nobody awaits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Works:
    """Those under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside the others; returns at once."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up all, and wait for their end."""
        for task in self._tasks:
            task.cancel()
        await self.ended()

    async def ended(self) -> None:
        """Wait for the end of all that are under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._tasks)
