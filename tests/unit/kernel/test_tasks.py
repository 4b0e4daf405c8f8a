"""Works that run side by side."""

from __future__ import annotations

import asyncio

import pytest

from headrace.kernel.tasks import Works, first_of


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


async def test_the_first_that_ends_ends_the_others() -> None:
    told = []

    async def long() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            told.append("given up")
        return "long"

    async def short() -> str:
        await asyncio.sleep(0)
        return "short"

    async def fails() -> str:
        await asyncio.sleep(0)
        raise OSError("x")

    assert await first_of(long(), short()) == "short"
    with pytest.raises(OSError, match="x"):
        await first_of(short(), long(), fails())
    waiting = asyncio.create_task(first_of(long(), long()))
    for _ in range(3):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert told == ["given up"] * 4
