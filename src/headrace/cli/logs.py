"""Reads files in sandboxes, byte by byte as they are, and follows them while they grow and are rotated.

A position counts all bytes that were ever written: those that rotation has cut off the front of the file (the agent
tells how many, ``Headrace-Rotated``) and those in it. What was cut off before it was read is taken from ``stdout.1``
and so on. An agent that doesn't rotate always says none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from headrace.cli.api import Server

PIECE = 256 * 1024
_POLL = 0.5
_UNSATISFIABLE = 416


class Part(msgspec.Struct, frozen=True):
    """Bytes of a file from ``offset`` on; ``size`` of the file, ``cut``: what was cut off its front before."""

    data: bytes
    offset: int
    size: int
    cut: int


async def read_part(agent: Server, path: str, first: int, length: int) -> Part:
    """``length`` bytes from ``first`` on, or as many as there are. Raises CommandError."""
    headers = {"Range": f"bytes={first}-{first + length - 1}"}
    where = f"/files/download?path={quote(path, safe='')}"
    answer = await agent.call("GET", where, headers=headers, also=(_UNSATISFIABLE,))
    cut = int(answer.headers.get("headrace-rotated", "0"))
    if answer.status == 200:  # it knows no ranges
        return Part(answer.body[first : first + length], first, len(answer.body), cut)
    span, _, size = answer.headers.get("content-range", "bytes */0").removeprefix("bytes ").partition("/")
    if answer.status == _UNSATISFIABLE:
        return Part(b"", first, int(size), cut)
    return Part(answer.body, int(span.partition("-")[0]), int(size), cut)


async def read_end(agent: Server, path: str, size: int) -> str:
    """The last ``size`` bytes of a file as text. Raises CommandError."""
    there = await read_part(agent, path, 0, 1)
    begin = max(0, there.size - size)
    return (await read_part(agent, path, begin, size)).data.decode("utf-8", "replace")


class Reader:
    """One file; ``write`` gets its bytes in order, each once, ``tell`` what a reader should know."""

    def __init__(
        self,
        agent: Server,
        path: str,
        write: Callable[[bytes], object],
        tell: Callable[[str], object],
        piece: int = PIECE,
    ) -> None:
        """``piece``: how many bytes are asked for at a time."""
        self._agent = agent
        self._path = path
        self._write = write
        self._tell = tell
        self._piece = piece
        self._at = 0
        self._cut = 0

    async def run(self, last: int | None, follow: bool) -> None:
        """From the beginning, or the ``last`` bytes, to the end; with ``follow`` it has none. Raises CommandError."""
        part = await read_part(self._agent, self._path, 0, 1)
        self._cut = part.cut
        self._at = part.cut if last is None else part.cut + max(0, part.size - last)
        while True:
            if await self._step():
                continue
            if not follow:
                return
            await asyncio.sleep(_POLL)

    async def _step(self) -> bool:
        """Read a piece; False if there is nothing new."""
        part = await read_part(self._agent, self._path, max(0, self._at - self._cut), self._piece)
        if part.cut < self._cut:  # another file in its place
            self._at = part.cut
        if part.cut != self._cut or self._at < self._cut:
            self._cut = part.cut
            await self._catch_up(part.cut)
            return True
        if self._cut + part.size < self._at:
            self._tell("the file has been truncated")
            self._at = self._cut
            return True
        if not part.data:
            return False
        self._write(part.data)
        self._at = self._cut + part.offset + len(part.data)
        return True

    async def _catch_up(self, cut: int) -> None:
        """Read what was cut off before it could be read, up to ``cut``, if the rotated files still have it.

        If the file is rotated again meanwhile, the rotated files have other numbers: the next step begins anew.
        """
        end, number = cut, 0
        pieces: list[tuple[int, int]] = []
        while end > self._at:
            number += 1
            size = await self._size(number)
            if not size:
                break
            end -= size
            pieces.append((number, end))
        if await self._rotated_since(cut):
            return
        if end > self._at:
            self._tell(f"{end - self._at} bytes were rotated away before they were read")
            self._at = end
        for number, begin in reversed(pieces):
            while True:
                part = await read_part(self._agent, f"{self._path}.{number}", self._at - begin, self._piece)
                if await self._rotated_since(cut):
                    return
                if not part.data:
                    break
                self._write(part.data)
                self._at += len(part.data)

    async def _size(self, number: int) -> int:
        answer = await self._agent.call("GET", self._of(number), headers={"Range": "bytes=0-0"}, also=(404, 416))
        return int(answer.headers.get("content-range", "/0").rpartition("/")[2]) if answer.status == 206 else 0

    async def _rotated_since(self, cut: int) -> bool:
        return (await read_part(self._agent, self._path, 0, 1)).cut != cut

    def _of(self, number: int) -> str:
        return f"/files/download?path={quote(f'{self._path}.{number}', safe='')}"
