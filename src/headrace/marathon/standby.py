"""A Marathon that does not lead answers requests by asking the one that does: see ``proxy`` for what it decides."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from headrace.kernel.http import (
    ClientResponse,
    HttpClient,
    HttpClientError,
    HttpTimeoutError,
    HttpUnreachableError,
    Request,
    Response,
)
from headrace.marathon import proxy
from headrace.marathon.api.system import ping

if TYPE_CHECKING:
    import ssl  # 4 MB that a daemon without TLS can do without

PATIENCE = 2.5
"""Seconds that a request waits until it is known who leads."""
MAX_ANSWER = 512 * 1024 * 1024


class Standby:
    """The handler while another one leads, or nobody. ``place`` says who does; ``moved`` is called when it changes."""

    def __init__(self, options: argparse.Namespace, place: Callable[[], proxy.Place]) -> None:
        self._place = place
        self._moved = asyncio.Event()
        self._over = False
        connecting, reading = options.leader_proxy_connection_timeout, options.leader_proxy_read_timeout
        most = options.leader_proxy_max_open_connections
        self._timeout = (connecting + reading) / 1000
        self._http = HttpClient(max_idle=most, tls=_tls(options), connect_timeout=connecting / 1000)
        self._turn = asyncio.Semaphore(most)

    def moved(self) -> None:
        """Another one leads."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def close(self) -> None:
        """This process leads; what waits is its own business."""
        self._over = True
        self.moved()
        self._http.close()

    async def __call__(self, request: Request) -> Response | None:
        """The answer; None if this process has come to lead meanwhile.

        A question to a leader that leads no more is put again to the next one; what changes something is not.
        """
        while not self._over:
            moved = self._moved
            match proxy.decide(request.method, request.path, request.query_string, request.headers, self._place()):
                case proxy.Own():
                    return ping(request)
                case proxy.Refuse(status, message):
                    return _said(status, message)
                case proxy.Redirect(url):
                    return Response(302, headers={"Location": url})
                case proxy.Wait():
                    try:
                        async with asyncio.timeout(PATIENCE):
                            await moved.wait()
                    except TimeoutError:
                        return _said(503, proxy.NO_LEADER)
                case proxy.Forward() as forward:
                    asking = asyncio.create_task(self._in_turn(forward, request))
                    if await _sooner(asking, moved if forward.method == "GET" else None):
                        return asking.result()
        return None

    async def _in_turn(self, forward: proxy.Forward, request: Request) -> Response:
        async with self._turn:
            return await self._ask(forward, request)

    async def _ask(self, forward: proxy.Forward, request: Request) -> Response:
        own = self._place().own
        via = {proxy.VIA: f"1.1 {own}"}
        try:
            answer = await self._http.request(
                forward.method,
                forward.url,
                headers=forward.headers,
                body=request.body,
                timeout=self._timeout,
                max_body=MAX_ANSWER,
            )
        except HttpTimeoutError:
            return _said(504, proxy.TOO_LATE, via)
        except HttpUnreachableError:
            return _said(502, proxy.REFUSED, via)
        except HttpClientError as error:
            return _said(502, f"Communication with the leader failed: {error}", via)
        return _passed_on(answer, own)


async def _sooner(asking: asyncio.Task[Response], moved: asyncio.Event | None) -> bool:
    """Whether there is an answer before the leader is another one; without one, the question is dropped."""
    waiting = asyncio.ensure_future((moved or asyncio.Event()).wait())
    try:
        await asyncio.wait((asking, waiting), return_when=asyncio.FIRST_COMPLETED)
        return asking.done()
    finally:
        waiting.cancel()
        asking.cancel()


def _passed_on(answer: ClientResponse, own: str) -> Response:
    headers = proxy.answered(answer.headers, own)
    return Response(answer.status, answer.body, answer.headers.get("content-type"), headers)


def _said(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return Response.json({"message": message}, status, headers)


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    """How a leader that has HTTPS alone is spoken to: its certificate, which may be our own, is looked at."""
    if not options.disable_http:
        return None
    import ssl

    made = ssl.create_default_context()
    made.load_verify_locations(options.ssl_keystore_path)
    made.check_hostname = not options.leader_proxy_ssl_ignore_hostname
    return made
