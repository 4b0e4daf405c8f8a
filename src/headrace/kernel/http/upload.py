"""The client's side of a request whose body goes on: parts are sent as they come, the answer may come at any moment."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Uploading(Protocol):
    """What a connection does for it."""

    status: int
    headers: dict[str, str]

    @property
    def takes_more(self) -> bool:
        """Whether the server has neither answered nor gone away."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    async def drain(self) -> None:
        """Wait until the server keeps up."""

    async def head(self) -> None:
        """Wait for the answer's head. Raises HttpClientError."""

    async def next_chunk(self) -> bytes | None:
        """A part of the answer's body. Raises HttpClientError."""

    def drop(self) -> None:
        """Abort, and wait for no answer any more."""


class UploadAnswer(msgspec.Struct, frozen=True):
    """What the server said to an upload."""

    status: int
    headers: dict[str, str]
    body: bytes


class ClientUpload:
    """One request whose body goes on. ``close`` it, whatever became of it."""

    def __init__(self, connection: Uploading) -> None:
        self._connection = connection

    async def send(self, chunk: bytes) -> bool:
        """Send a part, at the server's pace; False if it takes no more: ask for its ``answer``."""
        if not self._connection.takes_more:
            return False
        if chunk:
            self._connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await self._connection.drain()
        return True

    def finish(self) -> None:
        """That was all."""
        if self._connection.takes_more:
            self._connection.write(b"0\r\n\r\n")

    async def answer(self) -> UploadAnswer:
        """The server's answer; waits for it. Raises HttpClientError."""
        connection = self._connection
        await connection.head()
        chunks = []
        while (chunk := await connection.next_chunk()) is not None:
            chunks.append(chunk)
        return UploadAnswer(connection.status, connection.headers, b"".join(chunks))

    def close(self) -> None:
        """Drop the connection."""
        self._connection.drop()
