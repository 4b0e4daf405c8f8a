"""Requests, responses and streams, as handlers see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qs

import msgspec

from headrace.kernel.http.request_stream import RequestStream

JSON = "application/json"


class HttpError(Exception):
    """A request that can't be met: a status, and a message that tells the client what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_T = TypeVar("_T")


def decode_json(body: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    """A request's body as the decoder's type. Raises HttpError 400, also if it is nested too deeply."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HttpError(400, f"The request body is not valid JSON: {error}") from error
    except RecursionError:
        raise HttpError(400, "The request body is not valid JSON: it is nested too deeply") from None


class Request(msgspec.Struct, frozen=True):
    """One request with its whole body. Header names are lower case; the path is percent-decoded.

    ``stream`` is its body instead if the server hands such requests over before it is there (``streams``).
    """

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    body: bytes
    peer: str = ""
    stream: RequestStream | None = None

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters; a name without ``=`` has the value ``""``."""
        return parse_qs(self.query_string, keep_blank_values=True)

    def parameter(self, name: str, default: str = "") -> str:
        """The last value of a query parameter."""
        return self.query.get(name, [default])[-1]

    def json(self) -> Any:
        """The body as JSON. Raises HttpError 400 if it is none."""
        return decode_json(self.body, _ANY)


class FileBody(msgspec.Struct, frozen=True):
    """A part of a file as a response body, sent without reading it into memory.

    ``opener`` opens it when it is sent, for files that not everything at ``path`` may stand in for. It may raise
    OSError or HttpError.
    """

    path: Path
    offset: int
    length: int
    opener: Callable[[], BinaryIO] | None = None

    def open(self) -> BinaryIO:
        """The file, which the caller closes. Raises OSError, HttpError."""
        return self.opener() if self.opener is not None else self.path.open("rb")


class EventStream:
    """A response body that goes on: chunks are sent as they come, until either side closes.

    Nothing here blocks: what a slow client does not read is buffered up to ``limit`` bytes; a
    client that falls further behind is cut off, and nobody else is delayed by it.
    ``head_waits``: there will be a first chunk at once, and the head goes out with it, in one write.
    """

    def __init__(self, limit: int = 64 * 1024 * 1024, *, head_waits: bool = False) -> None:
        self.limit = limit
        self._head_waits = head_waits
        self._head = b""
        self._transport: asyncio.WriteTransport | None = None
        self._early: list[bytes] = []
        self._watchers: list[Callable[[], None]] = []
        self._on_pace: Callable[[bool], None] | None = None
        self.closed = False

    def send(self, chunk: bytes) -> None:
        """Send one chunk; does nothing once the stream is closed."""
        self.send_all((chunk,))

    def send_all(self, chunks: Sequence[bytes]) -> None:
        """Send several chunks in one write."""
        if self.closed:
            return
        if self._transport is None:
            self._early.extend(chunk for chunk in chunks if chunk)
            return
        if data := self._take_head() + _chunked(chunks):
            self._transport.write(data)
        if self._transport.get_write_buffer_size() > self.limit:
            self.cut()

    @property
    def unread(self) -> int:
        """Bytes that wait for the client."""
        if self._transport is None:
            return sum(map(len, self._early))
        return self._transport.get_write_buffer_size()

    def cut(self) -> None:
        """End the stream at once, whatever was not read yet."""
        if self._transport is not None:
            self._transport.abort()
        self.gone()

    def close(self) -> None:
        """End the stream in an orderly way."""
        if self.closed:
            return
        if self._transport is not None:
            self._transport.write(self._take_head() + _END)
            self._transport.close()
        self.gone()

    def on_close(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` once when the stream ends, whoever ended it."""
        if self.closed:
            watcher()
        else:
            self._watchers.append(watcher)

    def on_pace(self, watcher: Callable[[bool], None]) -> None:
        """Call ``watcher`` with False when the client does not keep up any more, with True when it does again."""
        self._on_pace = watcher

    def pace(self, keeps_up: bool) -> None:
        """The server's side: see ``on_pace``."""
        if self._on_pace is not None and not self.closed:
            self._on_pace(keeps_up)

    def attach(self, transport: asyncio.WriteTransport, head: bytes = b"") -> None:
        """The server's side: the head is written, or will be with the first chunk; chunks may follow."""
        self._transport = transport
        early, self._early = self._early, []
        if self.closed:
            transport.write(head + _chunked(early) + _END)
            transport.close()
        elif early or not self._head_waits:
            self._head = head
            self.send_all(early)
        else:
            self._head = head

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head

    def gone(self) -> None:
        """The server's side: the connection is no more."""
        if self.closed:
            return
        self.closed = True
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher()


_END = b"0\r\n\r\n"


def _chunked(chunks: Sequence[bytes]) -> bytes:
    """In chunked encoding, to which an empty chunk would be the end."""
    return b"".join([b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk])


class Response(msgspec.Struct, frozen=True):
    """An answer: bytes, a part of a file, or a stream."""

    status: int = 200
    body: bytes | FileBody | EventStream = b""
    content_type: str | None = None
    headers: Mapping[str, str] = {}

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """``value`` as JSON; msgspec structs, dicts and lists all do."""
        return cls(status, msgspec.json.encode(value), JSON, headers or {})

    @classmethod
    def text(cls, text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Plain text, UTF-8."""
        return cls(status, text.encode(), "text/plain; charset=utf-8", headers or {})
