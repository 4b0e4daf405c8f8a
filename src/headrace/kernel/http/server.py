"""The HTTP server: who may ask what; one ``Connection`` for each client, one request at a time on each.

A handler gets a Request and returns a Response, at once or as an awaitable. HttpError becomes its
status with ``{"message": …}``; any other exception is logged and becomes a 500 without details.

Nobody can make it hold much: while a request waits for the one before it, or for the client to read
the last answer, nothing more is read; a request has to arrive within a time, and a connection that
is kept for nothing is closed. Requests of other web sites' pages are refused (``origin``).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Collection
from typing import TYPE_CHECKING

from headrace.kernel.http import origin
from headrace.kernel.http.connection import Connection, Handler, Limits, Streams
from headrace.kernel.http.messages import HttpError, Request, Response

if TYPE_CHECKING:
    import ssl  # 4 MB that a daemon without TLS can do without

MAX_BODY = 8 * 1024 * 1024
REQUEST_TIMEOUT, IDLE_TIMEOUT = 30.0, 75.0
"""Seconds; our own client gives up idle connections long before the server does."""
ALLOWED_HOSTS = "HEADRACE_ALLOWED_HOSTS"
"""Environment variable: further names of this server, separated by commas."""

_MAX_HOSTS = 64


class HttpServer:
    """Listens on one address.

    ``max_body`` (bytes) bounds request bodies: larger ones get 413. Port 0 takes a free port,
    which ``port`` tells after ``start``. ``request_timeout`` (seconds from its first byte) bounds a
    request's arrival, ``idle_timeout`` the rest between two requests; answers and streams may take
    any time. ``allowed_hosts``, and those in HEADRACE_ALLOWED_HOSTS, are names that ``Host`` may
    have besides localhost, IP addresses, ``host`` and the machine's own names. ``streams`` says of a request's head
    whether the handler takes its body as it comes in, however long and for however long: ``Request.stream``.
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
        streams: Streams | None = None,
    ) -> None:
        self.handler = handler
        self._streams = streams
        self._limits = Limits(max_body, request_timeout, idle_timeout)
        more = os.environ.get(ALLOWED_HOSTS, "").split(",")
        names = ("localhost", host, socket.gethostname(), *allowed_hosts, *more)
        self._names = {origin.host_name(name) for name in names if name}
        self._known_hosts = {""}  # as the headers say them; a program may leave it out
        self._full_name: asyncio.Future[str] | None = None
        self.host = host
        self.port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()

    async def start(self) -> None:
        """Bind and listen. Raises OSError with a message that names the address."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Connection(self.answer, self._limits, self._connections, self._streams),
                self.host,
                self.port,
                ssl=self._tls,
                backlog=1024,
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
