"""A request's body that is handed to its handler while it comes in, for requests that last as long as a session.

What the handler has not taken yet is bounded: beyond that the client is made to wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

_HIGH = 64 * 1024
"""Bytes that may wait for the handler before nothing more is read."""


class BrokenOffError(Exception):
    """The client went away, or sent what is no HTTP, before its body had an end."""


class RequestStream:
    """Iterate over it for chunks. ``complete``: the body's end has come."""

    def __init__(self, resume: Callable[[], None]) -> None:
        self._resume = resume
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._broken = ""
        self._news = asyncio.Event()
        self.complete = False

    @property
    def full(self) -> bool:
        """Whether nothing more should be read now."""
        return self._size >= _HIGH

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks until the body's end. Raises BrokenOffError."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                was_full, self._size = self.full, self._size - len(chunk)
                if was_full and not self.full:
                    self._resume()
                yield chunk
            if self._broken:
                raise BrokenOffError(self._broken)
            if self.complete:
                return
            self._news.clear()
            await self._news.wait()

    def feed(self, chunk: bytes) -> None:
        """The server's side: a part of the body."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._news.set()

    def finish(self) -> None:
        """The server's side: that was all."""
        self.complete = True
        self._news.set()

    def fail(self, why: str) -> None:
        """The server's side: the rest will not come; nothing if it was complete."""
        if not self.complete:
            self._broken = self._broken or why
            self._news.set()
