"""Works that run side by side."""

from __future__ import annotations

import asyncio

from headrace.kernel.tasks import Works


async def test_they_are_forgotten_when_they_end_and_given_up_together() -> None:
    works, told = Works(), list[str]()

    async def work(name: str, lasts: asyncio.Event | None) -> None:
        try:
            if lasts is not None:
                await lasts.wait()
        except asyncio.CancelledError:
            told.append(f"{name} is given up")
            raise
        told.append(f"{name} is done")

    works.begin(work("short", None))
    works.begin(work("long", asyncio.Event()))
    assert len(works) == 2
    while len(works) > 1:
        await asyncio.sleep(0)
    assert told == ["short is done"]
    await works.stop()
    assert told == ["short is done", "long is given up"]
