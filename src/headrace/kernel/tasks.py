"""Sets of asyncio tasks that are given up together.

``Works`` are begun one by one; nobody waits for them, and they tell their outcome by themselves. What one of them
raises is logged by the loop, as it is of any task that nobody awaits. ``first_of`` begins several, and waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


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


async def first_of(*works: Coroutine[Any, Any, T]) -> T:
    """The outcome of whichever ends first, also what it raises; the others are cancelled, and have ended then.

    If several end at once one that raises counts more, and then one that comes first.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    outcomes = [task.result() for task in ended]
    return outcomes[0]
