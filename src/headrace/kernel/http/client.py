"""The HTTP client: keep-alive connections, whole answers, and streams.

client = HttpClient()
answer = await client.request("GET", "http://127.0.0.1:5050/health")
stream = await client.stream("POST", url, body=call)
async for chunk in stream: ...
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import httptools
import msgspec

from headrace.kernel.http.target import HttpClientError, HttpTimeoutError, HttpUnreachableError, request_head, split_url
from headrace.kernel.http.upload import ClientUpload

if TYPE_CHECKING:
    import ssl  # 4 MB that a daemon without TLS can do without

MAX_BODY = 64 * 1024 * 1024
MAX_IDLE_TIME = 30.0
"""Seconds after which an unused connection is not used again: well before servers close theirs."""
MAX_IDLE = 64
"""Unused connections that are kept in all."""
_REPEATABLE = frozenset(("GET", "HEAD"))
_MAX_BUFFERED = 1024 * 1024
"""Bytes of an answer that may wait for their reader before the server is made to wait."""


class ClientResponse(msgspec.Struct, frozen=True):
    """A whole answer. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises msgspec.DecodeError."""
        try:
            return msgspec.json.decode(self.body)
        except (RecursionError, UnicodeDecodeError) as error:
            raise msgspec.DecodeError(f"the JSON can't be read: {error}") from None

    @property
    def message(self) -> str:
        """What the server says of an error: its ``message`` field if there is one, else the body's start."""
        try:
            content = self.json()
        except msgspec.DecodeError:
            content = None
        if isinstance(content, dict) and isinstance(content.get("message"), str):
            return cast("str", content["message"])
        return self.body[:500].decode("utf-8", "replace").strip()


class ClientStream:
    """An answer whose body goes on; iterate over it for chunks, and close it."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.status = connection.status
        self.headers = connection.headers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks until the server ends the body. Raises HttpClientError if it breaks off."""
        while (chunk := await self._connection.next_chunk()) is not None:
            yield chunk

    async def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([chunk async for chunk in self])

    def close(self) -> None:
        """Drop the connection."""
        self._connection.abort()


class HttpClient:
    """Connections to any number of servers; at most ``max_idle`` unused ones are kept for each, MAX_IDLE in all.

    With ``unix_socket``, the path of one, all requests go there, whatever host their URLs name. ``connect_timeout``
    (seconds) bounds the time to connect; the whole has a time of its own.
    """

    def __init__(
        self,
        *,
        max_idle: int = 8,
        tls: ssl.SSLContext | None = None,
        unix_socket: str = "",
        connect_timeout: float | None = None,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._idle: dict[tuple[str, str, int], deque[_Connection]] = {}  # that used last is last; none is empty
        self._kept = 0
        self._max_idle = max_idle
        self._tls = tls
        self._unix_socket = unix_socket
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 30.0,
        max_body: int = MAX_BODY,
    ) -> ClientResponse:
        """One request and its whole answer, of ``max_body`` bytes at most, within ``timeout`` seconds.

        Raises HttpClientError.
        """
        try:
            async with asyncio.timeout(timeout):
                connection = await self._exchange(method, url, headers or {}, [body])
                try:
                    chunks, size = [], 0
                    while (chunk := await connection.next_chunk()) is not None:
                        chunks.append(chunk)
                        size += len(chunk)
                        if size > max_body:
                            raise HttpClientError(f"{method} {url}: the answer is above the limit of {max_body} bytes")
                except BaseException:
                    connection.abort()
                    raise
        except TimeoutError:
            raise HttpTimeoutError(f"{method} {url}: no answer within {timeout:g} s") from None
        self._give_back(url, connection)
        return ClientResponse(connection.status, connection.headers, b"".join(chunks))

    async def request_all(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        bodies: Sequence[bytes],
        timeout: float = 30.0,
    ) -> list[ClientResponse]:
        """Requests that differ in their bodies, sent at once on one connection; their answers, in the same order.

        Raises HttpClientError if one of them is not answered, or with more than a MiB; any may have been acted on.
        """
        try:
            async with asyncio.timeout(timeout):
                connection = await self._exchange(method, url, headers or {}, bodies, whole=True)
                try:
                    answers = await connection.answers()
                except BaseException:
                    connection.abort()
                    raise
        except TimeoutError:
            raise HttpTimeoutError(f"{method} {url}: no answer within {timeout:g} s") from None
        self._give_back(url, connection)
        return answers

    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 30.0,
    ) -> ClientStream:
        """One request; returns when the answer's head is there. Raises HttpClientError."""
        try:
            async with asyncio.timeout(timeout):
                return ClientStream(await self._exchange(method, url, headers or {}, [body]))
        except TimeoutError:
            raise HttpTimeoutError(f"{method} {url}: no answer within {timeout:g} s") from None

    async def upload(self, method: str, url: str, *, headers: Mapping[str, str] | None = None) -> ClientUpload:
        """A request whose body goes on, on a connection of its own. Raises HttpClientError."""
        origin, target, host = split_url(url)
        head = request_head(method, target, host, headers or {}, None)
        connection = await self._connect(origin, url)
        connection.begin(head, method, url)
        return ClientUpload(connection)

    def close(self) -> None:
        """Drop all idle connections, and keep none any more: not those either whose answers are still to come."""
        self._closed = True
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        self._kept = 0

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], bodies: Sequence[bytes], *, whole: bool = False
    ) -> _Connection:
        """Send; ``whole``: what is awaited then are ``answers``, not chunks."""
        origin, target, host = split_url(url)
        data = b"".join(request_head(method, target, host, headers, body) + body for body in bodies)
        now = asyncio.get_running_loop().time()
        while idle := self._idle.get(origin):
            connection = self._take(origin, idle.pop)
            if not connection.usable or now - connection.idle_since > MAX_IDLE_TIME:
                connection.abort()
                continue
            try:
                await connection.send(data, method, url, len(bodies) if whole else 0)
                return connection
            except _StaleConnection:
                if method not in _REPEATABLE:  # the server may have acted on it
                    raise HttpClientError(f"{method} {url}: {_NO_ANSWER}") from None
        connection = await self._connect(origin, url)
        try:
            await connection.send(data, method, url, len(bodies) if whole else 0)
        except _StaleConnection:
            raise HttpClientError(f"{method} {url}: {_NO_ANSWER}") from None
        return connection

    async def _connect(self, origin: tuple[str, str, int], url: str) -> _Connection:
        scheme, host, port = origin
        tls: ssl.SSLContext | bool | None = None
        if scheme == "https":
            tls = self._tls if self._tls is not None else True
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                if self._unix_socket:
                    _, connection = await loop.create_unix_connection(_Connection, self._unix_socket)
                else:
                    _, connection = await loop.create_connection(_Connection, host, port, ssl=tls)
        except OSError as error:
            if isinstance(error, TimeoutError) and not error.errno:
                raise HttpTimeoutError(f"can't reach {url}: no connection in time") from None
            place = self._unix_socket or url
            raise HttpUnreachableError(f"can't reach {place}: {error.strerror or error}") from error
        except ValueError as error:  # UnicodeError is one, too
            raise HttpUnreachableError(f"can't reach {url}: {host!r} is not a host name: {error}") from error
        return connection

    def _give_back(self, url: str, connection: _Connection) -> None:
        origin = split_url(url)[0]
        idle = self._idle.get(origin) or deque()
        now = asyncio.get_running_loop().time()
        if connection.usable and len(idle) < self._max_idle and not self._closed:
            connection.idle_since = now
            idle.append(connection)
            self._kept += 1
            self._idle.pop(origin, None)
            self._idle[origin] = idle
        else:
            connection.abort()
        self._drop_oldest(now)

    def _drop_oldest(self, now: float) -> None:
        while self._idle:
            origin, idle = next(iter(self._idle.items()))
            if self._kept <= MAX_IDLE and now - idle[-1].idle_since <= MAX_IDLE_TIME:
                return
            self._take(origin, idle.popleft).abort()

    def _take(self, origin: tuple[str, str, int], pop: Callable[[], _Connection]) -> _Connection:
        connection = pop()
        self._kept -= 1
        if not self._idle[origin]:
            del self._idle[origin]
        return connection


_NO_ANSWER = "the server closed the connection without an answer"


class _StaleConnection(Exception):  # noqa: N818 - a signal between two methods, not an error for users
    """A kept connection turned out to be closed before any byte of an answer came."""


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpResponseParser(self)
        self._closed = False
        self._busy = False
        self.idle_since = 0.0
        self._what = ""
        self.status = 0
        self.headers: dict[str, str] = {}
        self._head: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._done = False
        self._left = 0
        self._answers: list[ClientResponse] = []
        self._keep_alive = True
        self._awaited: asyncio.Event = asyncio.Event()
        self._until_close = False
        self._head_request = False
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def takes_more(self) -> bool:
        return self._head is not None and not self._head.done() and not self._transport.is_closing()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent on it."""
        return not self._closed and not self._transport.is_closing() and not self._busy and self._keep_alive

    async def send(self, data: bytes, method: str, url: str, answers: int) -> None:
        self.begin(data, method, url, answers)
        assert self._head is not None  # noqa: S101 - made by begin
        try:
            await self._head
        except asyncio.CancelledError:
            self.abort()
            raise

    async def head(self) -> None:
        assert self._head is not None  # noqa: S101 - made by begin
        try:
            await asyncio.shield(self._head)
        except _StaleConnection:
            raise HttpClientError(f"{self._what}: {_NO_ANSWER}") from None

    def begin(self, data: bytes, method: str, url: str, answers: int = 0) -> None:
        self._what = f"{method} {url}"
        self._left, self._answers = answers, []
        self._busy, self._done, self._until_close = True, False, False
        self._head_request = method == "HEAD"
        self.status, self.headers = 0, {}
        self._chunks.clear()
        self._buffered = 0
        self._head = asyncio.get_running_loop().create_future()
        self._transport.write(data)

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def drain(self) -> None:
        await self._flowing.wait()

    async def next_chunk(self) -> bytes | None:
        while not self._chunks:
            if self._done:
                return None
            if self._closed:
                raise HttpClientError(f"{self._what}: the server broke off its answer")
            self._awaited.clear()
            await self._awaited.wait()
        # servers may send many small chunks: all that is there at once costs readers less
        chunk = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if not self._closed and not self._transport.is_closing():
            self._transport.resume_reading()
        return chunk

    async def answers(self) -> list[ClientResponse]:
        """Of several requests."""
        while self._left:
            if self._closed:
                raise HttpClientError(f"{self._what}: the server broke off its answers")
            self._awaited.clear()
            await self._awaited.wait()
        return self._answers

    def abort(self) -> None:
        self._keep_alive = False
        if self._transport is not None:
            self._transport.abort()

    def drop(self) -> None:
        """Abort, and wait for no answer any more."""
        if self._head is not None and not self._head.done():
            self._head.cancel()
        self.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    def eof_received(self) -> bool:
        if self._until_close:
            self._finish()
        return False

    def pause_writing(self) -> None:
        self._flowing.clear()

    def resume_writing(self) -> None:
        self._flowing.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._flowing.set()
        if self._head is not None and not self._head.done():
            self._head.set_exception(_StaleConnection())
        self._awaited.set()

    # the parser's side

    def on_message_begin(self) -> None:
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status // 100 == 1:
            return
        self._keep_alive = self._parser.should_keep_alive()
        self._until_close = "content-length" not in self.headers and "transfer-encoding" not in self.headers
        if self._head is not None and not self._head.done():
            self._head.set_result(None)
            self._flowing.set()  # nobody takes what may still wait
        if self._head_request:
            # the parser would wait for the body that a HEAD answer only announces
            self._keep_alive = False
            self._finish()

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        self._awaited.set()
        if self._buffered <= _MAX_BUFFERED:
            return
        if self._left:  # nobody reads before the last answer is there
            self.abort()
        else:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.status // 100 != 1:
            self._finish()

    def _finish(self) -> None:
        self._until_close = False  # the answer that it was said of is whole
        if self._left:
            self._answers.append(ClientResponse(self.status, self.headers, b"".join(self._chunks)))
            self._chunks.clear()
            self._buffered = 0
            self._left -= 1
            if self._left:
                return
        self._done = True
        self._busy = False
        self._awaited.set()
