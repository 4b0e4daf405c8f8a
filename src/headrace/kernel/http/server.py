"""The HTTP server: one protocol object per connection, one request at a time on each.

A handler gets a Request and returns a Response, at once or as an awaitable. HttpError becomes its
status with ``{"message": …}``; any other exception is logged and becomes a 500 without details.

Nobody can make it hold much: while a request waits for the one before it, or for the client to read
the last answer, nothing more is read; a request has to arrive within a time, and a connection that
is kept for nothing is closed. Requests of other web sites' pages are refused (``origin``).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import httptools

from headrace.kernel.http import origin
from headrace.kernel.http.messages import EventStream, FileBody, HttpError, Request, Response

if TYPE_CHECKING:
    import ssl  # 4 MB that a daemon without TLS can do without

log = logging.getLogger(__name__)

Handler = Callable[[Request], Response | Awaitable[Response]]

MAX_BODY = 8 * 1024 * 1024
REQUEST_TIMEOUT, IDLE_TIMEOUT = 30.0, 75.0
"""Seconds; our own client gives up idle connections long before the server does."""
ALLOWED_HOSTS = "HEADRACE_ALLOWED_HOSTS"
"""Environment variable: further names of this server, separated by commas."""

_MAX_HEAD = 64 * 1024
_MAX_HOSTS = 64
_PART = 16 * 1024
"""Bytes parsed at a time: bounds how many requests can come to wait at once."""
_NO_SNIFFING = "X-Content-Type-Options: nosniff"
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class HttpServer:
    """Listens on one address.

    ``max_body`` (bytes) bounds request bodies: larger ones get 413. Port 0 takes a free port,
    which ``port`` tells after ``start``. ``request_timeout`` (seconds from its first byte) bounds a
    request's arrival, ``idle_timeout`` the rest between two requests; answers and streams may take
    any time. ``allowed_hosts``, and those in HEADRACE_ALLOWED_HOSTS, are names that ``Host`` may
    have besides localhost, IP addresses, ``host`` and the machine's own names.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_body: int = MAX_BODY,
        request_timeout: float = REQUEST_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
        allowed_hosts: Collection[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.handler = handler
        self.max_body = max_body
        self.request_timeout = request_timeout
        self.idle_timeout = idle_timeout
        more = os.environ.get(ALLOWED_HOSTS, "").split(",")
        names = ("localhost", host, socket.gethostname(), *allowed_hosts, *more)
        self._names = {origin.host_name(name) for name in names if name}
        self._known_hosts = {""}  # as the headers say them; a program may leave it out
        self._full_name: asyncio.Future[str] | None = None
        self.host = host
        self.port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Bind and listen. Raises OSError with a message that names the address."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self, self._connections), self.host, self.port, ssl=self._tls, backlog=1024
            )
        except OSError as error:
            hint = (
                "another process listens there; stop it or give another port"
                if (error.errno == errno.EADDRINUSE)
                else (error.strerror or str(error))
            )
            raise OSError(error.errno, f"can't listen on {self.host}:{self.port}: {hint}") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)

    def answer(self, request: Request) -> Response | Awaitable[Response]:
        """The handler's answer. Raises HttpError 403 for what another web site's page may have sent."""
        host = request.headers.get("host", "")
        if host not in self._known_hosts and not self._is_ours(host):
            return self._answer_by_full_name(request, host)
        if request.method not in origin.READING and (source := origin.foreign_source(request.headers)) is not None:
            raise HttpError(
                403,
                f"{request.method} from {source} is refused: only pages of http(s)://{host or self.host} itself"
                " and programs that send no Origin header may change anything here",
            )
        return self.handler(request)

    def _is_ours(self, host: str) -> bool:
        name = origin.host_name(host)
        if name not in self._names and not origin.is_address(name):
            return False
        if len(self._known_hosts) < _MAX_HOSTS:
            self._known_hosts.add(host)
        return True

    async def _answer_by_full_name(self, request: Request, host: str) -> Response:
        """Ask the resolver for the machine's full name, once and only if somebody uses a name not known yet."""
        if self._full_name is None:
            self._full_name = asyncio.get_running_loop().run_in_executor(None, socket.getfqdn)
        self._names.add(origin.host_name(await asyncio.shield(self._full_name)))
        if not self._is_ours(host):
            raise HttpError(
                403,
                f"This server is not known as {origin.host_name(host)!r} (the request's Host header);"
                f" ask it by IP address or as localhost, or start it with the name in {ALLOWED_HOSTS}"
                " (names separated by commas)",
            )
        answer = self.answer(request)
        return answer if isinstance(answer, Response) else await answer


class _Connection(asyncio.Protocol):
    def __init__(self, server: HttpServer, connections: set[_Connection]) -> None:
        self._server = server
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

    def resume_writing(self) -> None:
        self._write_paused = False
        self._go_on()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._transport.close()

    # reading, as long as nothing waits

    def _read(self) -> None:
        while self._unread and not self._waiting and self._stream is None and not self._transport.is_closing():
            part, self._unread = self._unread[:_PART], self._unread[_PART:]
            self._parse(part)
        # a stream's connection is always read: that is how its end is noticed
        pause = bool(self._waiting) and self._stream is None
        if pause != self._paused:
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

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
            self._deadline, self._timed = now + self._server.idle_timeout, False
        elif not self._timed:
            self._deadline, self._timed = now + self._server.request_timeout, True
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
            self._unsent, self._deadline = unsent, now + self._server.idle_timeout
            self._set_timer()
        elif unsent:
            self._transport.abort()
        elif self._receiving:
            self._receiving = False
            self._refuse(408, f"The request did not arrive within {self._server.request_timeout:g} s")
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

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > self._server.max_body:
            raise HttpError(413, f"The request body is above the limit of {self._server.max_body} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._receiving = False
        if self._stream is not None:
            return
        try:
            url = httptools.parse_url(self._url)
        except httptools.HttpParserInvalidURLError:
            raise HttpError(400, "The request's URL can't be read") from None
        request = Request(
            self._parser.get_method().decode("ascii"),
            unquote((url.path or b"/").decode("latin-1")),
            (url.query or b"").decode("latin-1"),
            self._headers,
            b"".join(self._body),
            self._peer,
        )
        keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._waiting.append((request, keep_alive))
        self._next()

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > _MAX_HEAD:
            raise HttpError(431, f"The request's head is above the limit of {_MAX_HEAD} bytes")

    # answering

    def _next(self) -> None:
        while self._waiting and self._is_free():
            request, keep_alive = self._waiting.popleft()
            try:
                answer = self._server.answer(request)
            except Exception as error:
                answer = _failed(request, error)
            if isinstance(answer, Response) and not isinstance(answer.body, FileBody):
                self._write(request, answer, keep_alive)
            else:
                self._task = asyncio.get_running_loop().create_task(self._finish(request, answer, keep_alive))
        if self._refusal is not None and not self._waiting and self._is_free():
            assert isinstance(self._refusal.body, bytes)  # noqa: S101 - made by _refuse
            self._transport.write(_head(self._refusal, len(self._refusal.body), False) + self._refusal.body)
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
            self._transport.write(_head(response, None, keep_alive))
            body.attach(self._transport)
            return
        assert isinstance(body, bytes)  # noqa: S101 - files are sent by _send_file
        head = _head(response, len(body), keep_alive)
        self._transport.write(head if request.method == "HEAD" else head + body)
        if not keep_alive:
            self._transport.close()

    async def _send_file(self, request: Request, response: Response, body: FileBody, keep_alive: bool) -> None:
        try:
            file = body.path.open("rb")
        except OSError as error:
            self._write(request, _failed(request, error), keep_alive)
            return
        with file:
            self._transport.write(_head(response, body.length, keep_alive))
            if request.method != "HEAD" and body.length:
                with contextlib.suppress(ConnectionError):
                    sent = await asyncio.get_running_loop().sendfile(self._transport, file, body.offset, body.length)
                    if sent < body.length:  # the file shrank; the promised length can't be kept
                        self._transport.abort()
        if not keep_alive:
            self._transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Take no more requests; say why when those before it are answered."""
        self._ended, self._unread = True, b""
        self._refusal = Response.json({"message": message}, status)
        self._next()


def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, HttpError):
        return Response.json({"message": error.message}, error.status)
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return Response.json({"message": "Internal error; the log of this process has the details"}, 500)


def _head(response: Response, length: int | None, keep_alive: bool) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}", f"Date: {_date()}", _NO_SNIFFING]
    if response.content_type:
        lines.append(f"Content-Type: {response.content_type}")
    lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
    for name, value in response.headers.items():
        lines.append(f"{name}: {_one_line(value)}")
    if not keep_alive:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")


_last_date: tuple[int, str] = (0, "")


def _date() -> str:
    global _last_date
    second = int(time.time())
    if _last_date[0] != second:
        _last_date = (second, formatdate(second, usegmt=True))
    return _last_date[1]
