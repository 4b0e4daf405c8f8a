"""The HTTP server: one protocol object per connection, one request at a time on each.

A handler gets a Request and returns a Response, at once or as an awaitable. HttpError becomes its
status with ``{"message": …}``; any other exception is logged and becomes a 500 without details.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import httptools
import msgspec

from headrace.kernel.http.messages import JSON, EventStream, FileBody, HttpError, Request, Response

if TYPE_CHECKING:
    import ssl  # 4 MB that a daemon without TLS can do without

log = logging.getLogger(__name__)

Handler = Callable[[Request], Response | Awaitable[Response]]

_MAX_HEAD = 64 * 1024
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class HttpServer:
    """Listens on one address.

    ``max_body`` (bytes) bounds request bodies: larger ones get 413. Port 0 takes a free port,
    which ``port`` tells after ``start``.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_body: int = 64 * 1024 * 1024,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.handler = handler
        self.max_body = max_body
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
        self._reset()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._stream is not None:
            self._stream.gone()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
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

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._transport.close()

    # the parser's side

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_size = 0
        self._body: list[bytes] = []
        self._body_size = 0

    def on_message_begin(self) -> None:
        self._reset()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value))
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > self._server.max_body:
            raise HttpError(413, f"The request body is above the limit of {self._server.max_body} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
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
        self._waiting.append((request, self._parser.should_keep_alive()))
        if self._task is None and self._stream is None:
            self._next()

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > _MAX_HEAD:
            raise HttpError(431, f"The request's head is above the limit of {_MAX_HEAD} bytes")

    # answering

    def _next(self) -> None:
        while self._waiting and self._task is None and self._stream is None:
            request, keep_alive = self._waiting.popleft()
            try:
                answer = self._server.handler(request)
            except Exception as error:
                answer = _failed(request, error)
            if isinstance(answer, Response) and not isinstance(answer.body, FileBody):
                self._write(request, answer, keep_alive)
            else:
                self._task = asyncio.get_running_loop().create_task(self._finish(request, answer, keep_alive))

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
        self._next()

    def _write(self, request: Request, response: Response, keep_alive: bool) -> None:
        body = response.body
        if isinstance(body, EventStream):
            self._stream = body
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
        if not self._transport.is_closing():
            body = msgspec.json.encode({"message": message})
            self._transport.write(_head(Response(status, content_type=JSON), len(body), False) + body)
            self._transport.close()


def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, HttpError):
        return Response.json({"message": error.message}, error.status)
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return Response.json({"message": "Internal error; the log of this process has the details"}, 500)


def _head(response: Response, length: int | None, keep_alive: bool) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}", f"Date: {_date()}"]
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
