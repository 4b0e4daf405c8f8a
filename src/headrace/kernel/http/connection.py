"""One connection of the HTTP server: parses requests, has them answered one after the other, writes answers.

What a client may make it hold is bounded by ``Limits``, and reading stops while an answer is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import BinaryIO, NamedTuple, cast
from urllib.parse import unquote

import httptools

from headrace.kernel.http.head import head_of
from headrace.kernel.http.messages import EventStream, FileBody, HttpError, Request, Response
from headrace.kernel.http.request_stream import RequestStream

log = logging.getLogger(__name__)

Handler = Callable[[Request], Response | Awaitable[Response]]
Streams = Callable[[Request], bool]
"""Whether a request, of which only the head is there, is to be handed over with its body as a stream."""

_MAX_HEAD = 64 * 1024
_PART = 16 * 1024
"""Bytes parsed at a time: bounds how many requests can come to wait at once."""
_SLICE = 4 * 1024 * 1024
"""Bytes of a file that a reader must take within the idle time."""
_LINGER = 2.0
"""Seconds that a client has to read the answer to a body that it is still sending."""


class Limits(NamedTuple):
    """What a client may ask of a connection: bytes of a body, seconds of a request's arrival and of rest."""

    max_body: int
    request_timeout: float
    idle_timeout: float


class Connection(asyncio.Protocol):
    """The server's side of one connection; it is in ``connections`` for as long as it is open."""

    def __init__(
        self, answer: Handler, limits: Limits, connections: set[Connection], streams: Streams | None = None
    ) -> None:
        self._answer = answer
        self._streams = streams
        self._limits = limits
        self._connections = connections
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._stream: EventStream | None = None
        self._peer = ""
        self._unread = b""
        self._paused = False
        self._write_paused = False
        self._refusal: Response | None = None
        self._ended = False
        self._sending = False
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = math.inf
        self._unsent = 0
        self._receiving = False
        self._reset()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        self._connections.add(self)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._stream is not None:
            self._stream.gone()
        self._break_off("the connection is gone")
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def data_received(self, data: bytes) -> None:
        if self._stream is not None or self._ended:
            return  # there won't be an answer any more
        self._unread = self._unread + data if self._unread else data
        self._read()
        self._watch()

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._stream is not None:
            self._stream.pace(False)

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._stream is not None:
            self._stream.pace(True)
        self._go_on()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        if self._sending and self._task is not None:
            # the transport of Python 3.11 can't be closed under a file that it sends: InvalidStateError
            self._task.add_done_callback(lambda _: self._transport.abort())
            self._task.cancel()
            return
        self._transport.close()

    # reading, as long as nothing waits

    def _read(self) -> None:
        while self._unread and not self._must_wait() and self._stream is None and not self._transport.is_closing():
            part, self._unread = self._unread[:_PART], self._unread[_PART:]
            self._parse(part)
        # a stream's connection is always read: that is how its end is noticed
        pause = self._must_wait() and self._stream is None
        if pause != self._paused:
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _must_wait(self) -> bool:
        """Whether a request, or a part of one that is being answered, has to be taken first."""
        if self._incoming is not None:
            return self._incoming.full
        return bool(self._waiting)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "Upgrading the connection is not supported")
        except httptools.HttpParserError as error:
            refusal = error.__context__
            if isinstance(refusal, HttpError):
                self._refuse(refusal.status, refusal.message)
            else:
                self._refuse(400, f"This is not HTTP/1.1: {error}")

    def _go_on(self) -> None:
        self._next()
        self._read()
        self._watch()

    # the time limits: one timer, set anew only when it would come too late

    def _watch(self) -> None:
        if self._stream is not None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        if self._task is not None:
            self._deadline, self._timed = math.inf, False
            return
        now = asyncio.get_running_loop().time()
        if not self._receiving or self._waiting:
            self._deadline, self._timed = now + self._limits.idle_timeout, False
        elif not self._timed:
            self._deadline, self._timed = now + self._limits.request_timeout, True
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._deadline, self._expired)

    def _expired(self) -> None:
        self._timer = None
        if self._stream is not None or self._task is not None:
            return
        now = asyncio.get_running_loop().time()
        if now < self._deadline:
            self._set_timer()
            return
        unsent = self._transport.get_write_buffer_size()
        if unsent and unsent != self._unsent:  # a slow reader, but it reads
            self._unsent, self._deadline = unsent, now + self._limits.idle_timeout
            self._set_timer()
        elif unsent:
            self._transport.abort()
        elif self._receiving:
            self._receiving = False
            self._refuse(408, f"The request did not arrive within {self._limits.request_timeout:g} s")
            self._watch()
        else:
            self._transport.close()

    # the parser's side

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_size = 0
        self._body: list[bytes] = []
        self._body_size = 0
        self._timed = False
        self._incoming: RequestStream | None = None

    def on_message_begin(self) -> None:
        self._reset()
        self._receiving = True

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value))
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        free = self._task is None and not self._waiting
        if free and self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._streams is not None and self._stream is None and not self._ended:
            request = self._request(b"", RequestStream(self._read))
            if self._streams(request):
                self._incoming = request.stream
                self._take(request)

    def on_body(self, body: bytes) -> None:
        if self._incoming is not None:
            self._incoming.feed(body)
            return
        if self._ended:
            return
        self._body_size += len(body)
        if self._body_size > self._limits.max_body:
            raise HttpError(413, f"The request body is above the limit of {self._limits.max_body} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._receiving = False
        if self._incoming is not None:
            self._incoming.finish()
            self._incoming = None
        elif self._stream is None and not self._ended:
            self._take(self._request(b"".join(self._body)))

    def _request(self, body: bytes, stream: RequestStream | None = None) -> Request:
        try:
            url = httptools.parse_url(self._url)
        except httptools.HttpParserInvalidURLError:
            raise HttpError(400, "The request's URL can't be read") from None
        return Request(
            self._parser.get_method().decode("ascii"),
            unquote((url.path or b"/").decode("latin-1")),
            (url.query or b"").decode("latin-1"),
            self._headers,
            body,
            self._peer,
            stream,
        )

    def _take(self, request: Request) -> None:
        keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._waiting.append((request, keep_alive))
        self._next()

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > _MAX_HEAD:
            raise HttpError(431, f"The request's head is above the limit of {_MAX_HEAD} bytes")

    def _break_off(self, why: str) -> None:
        if self._incoming is not None:
            self._incoming.fail(why)
            self._incoming = None

    # answering

    def _next(self) -> None:
        while self._waiting and self._is_free():
            request, keep_alive = self._waiting.popleft()
            try:
                answer = self._answer(request)
            except Exception as error:
                answer = _failed(request, error)
            if isinstance(answer, Response) and not isinstance(answer.body, FileBody):
                self._write(request, answer, keep_alive)
            else:
                self._task = asyncio.get_running_loop().create_task(self._finish(request, answer, keep_alive))
        if self._refusal is not None and not self._waiting and self._is_free():
            assert isinstance(self._refusal.body, bytes)  # noqa: S101 - made by _refuse
            self._transport.write(head_of(self._refusal, len(self._refusal.body), False) + self._refusal.body)
            self._transport.close()

    def _is_free(self) -> bool:
        """Whether an answer may be written now: none is under way, and the client has read those before."""
        idle = self._task is None and self._stream is None
        return idle and not self._write_paused and not self._transport.is_closing()

    async def _finish(self, request: Request, answer: Response | Awaitable[Response], keep_alive: bool) -> None:
        try:
            response = answer if isinstance(answer, Response) else await answer
        except Exception as error:
            response = _failed(request, error)
        if self._transport.is_closing():
            if isinstance(response.body, EventStream):
                response.body.gone()
        elif isinstance(response.body, FileBody):
            await self._send_file(request, response, response.body, keep_alive)
        else:
            self._write(request, response, keep_alive)
        self._task = None
        self._go_on()

    def _write(self, request: Request, response: Response, keep_alive: bool) -> None:
        body = response.body
        if isinstance(body, EventStream):
            self._stream = body
            self._waiting.clear()  # a stream ends with its connection
            self._unread = b""
            body.attach(self._transport, head_of(response, None, False))
            return
        assert isinstance(body, bytes)  # noqa: S101 - files are sent by _send_file
        unfinished = request.stream is not None and not request.stream.complete
        keep_alive = keep_alive and not unfinished
        head = head_of(response, len(body), keep_alive)
        self._transport.write(head if request.method == "HEAD" else head + body)
        if unfinished:
            self._linger()
        elif not keep_alive:
            self._transport.close()

    def _linger(self) -> None:
        """Close for a client that still sends: at once, the system would drop the answer with what it has sent."""
        self._ended, self._receiving, self._unread, self._incoming = True, False, b"", None
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._read()
        asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)

    async def _send_file(self, request: Request, response: Response, body: FileBody, keep_alive: bool) -> None:
        try:
            file = body.open()
        except (OSError, HttpError) as error:
            self._write(request, _failed(request, error), keep_alive)
            return
        with file:
            self._transport.write(head_of(response, body.length, keep_alive))
            if request.method != "HEAD" and body.length:
                with contextlib.suppress(ConnectionError):
                    if await self._send_slices(file, body) < body.length:
                        self._transport.abort()  # the file shrank or the reader stalls: the length can't be kept
        if not keep_alive:
            self._transport.close()

    async def _send_slices(self, file: BinaryIO, body: FileBody) -> int:
        """Bytes sent; the reader has the idle time for each slice."""
        loop, sent = asyncio.get_running_loop(), 0
        self._sending = True
        with contextlib.suppress(TimeoutError):
            while sent < body.length:
                size = min(_SLICE, body.length - sent)
                async with asyncio.timeout(self._limits.idle_timeout):
                    done = await loop.sendfile(self._transport, file, body.offset + sent, size)
                sent += done
                if done < size:
                    break
        self._sending = False
        return sent

    def _refuse(self, status: int, message: str) -> None:
        """Take no more requests; say why when those before it are answered."""
        self._break_off(message)
        self._ended, self._unread = True, b""
        self._refusal = Response.json({"message": message}, status)
        self._next()


def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, HttpError):
        return Response.json({"message": error.message}, error.status)
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return Response.json({"message": "Internal error; the log of this process has the details"}, 500)
