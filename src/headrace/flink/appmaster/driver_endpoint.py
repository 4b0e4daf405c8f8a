"""The door for the driver in the JobManager: JSON over HTTP below ``/driver/v1``, with a bearer token.

    POST /attach      {"attempt","web","rpc"}  -> 200 {"workers":[ids],"sequence":N}
    POST /request     {"id","cpus","memory_mib","slots","jvm","dynamic"}  -> 202
    POST /release     {"id"}  -> 202
    POST /deregister  {"status","diagnostics"}  -> 202
    GET  /events?after=N  -> 200 {"events":[{"sequence","type","id","reason"}],"sequence":N}, or 410: attach again

A 202 means that it is stored. ``/events`` answers at once if there are events, else within 20 s.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from headrace.flink.appmaster import events
from headrace.flink.appmaster.events import AppMasterEvent, Driver, TellDriver, Worker
from headrace.flink.appmaster.secret import same
from headrace.kernel.http import HttpError, Request, Response, Router

POLL = 20.0
"""Seconds that a poll without events is held."""
KEPT_EVENTS = 1000
_SEQUENCE = re.compile(r"[0-9]{1,18}")

BodyT = TypeVar("BodyT")
Ask = Callable[[Callable[[int], AppMasterEvent]], Awaitable[Any]]


class _AttachBody(msgspec.Struct, frozen=True):
    attempt: str
    web: str = ""
    rpc: str = ""


class _RequestBody(msgspec.Struct, frozen=True):
    id: str
    cpus: float
    memory_mib: int
    slots: int = 1
    jvm: str = ""
    dynamic: list[str] = []


class _ReleaseBody(msgspec.Struct, frozen=True):
    id: str


class _DeregisterBody(msgspec.Struct, frozen=True):
    status: str
    diagnostics: str = ""


class EventLog:
    """The latest events for the driver, and whoever waits for more. ``first`` is the sequence before them."""

    def __init__(self, first: int) -> None:
        self._base = self._last = first
        self._events: deque[TellDriver] = deque()
        self._news = asyncio.Event()

    def append(self, event: TellDriver) -> None:
        if len(self._events) == KEPT_EVENTS:
            self._base = self._events.popleft().sequence
        self._events.append(event)
        self._last = event.sequence
        self._news.set()
        self._news = asyncio.Event()

    async def after(self, sequence: int, patience: float) -> tuple[list[TellDriver], int]:
        """The events after ``sequence`` and the last one's number. Raises HttpError 410 if some are no longer held."""
        self._check(sequence)
        if sequence == self._last:
            try:
                async with asyncio.timeout(patience):
                    await self._news.wait()
            except TimeoutError:
                return [], self._last
            self._check(sequence)
        return [event for event in self._events if event.sequence > sequence], self._last

    def _check(self, sequence: int) -> None:
        if not self._base <= sequence <= self._last:
            raise HttpError(410, f"The events after {sequence} are not held any more; attach again")


class DriverEndpoint:
    """Checks the token and the bodies, and asks the core."""

    def __init__(self, ask: Ask, log: EventLog, token: str) -> None:
        self._ask = ask
        self._log = log
        self._expected = f"Bearer {token}".encode()

    def add_routes(self, router: Router) -> None:
        for path, handler in (
            ("attach", self._attach),
            ("request", self._request),
            ("release", self._release),
            ("deregister", self._deregister),
        ):
            router.add("POST", f"/driver/v1/{path}", self._guarded(handler))
        router.add("GET", "/driver/v1/events", self._guarded(self._events))

    def _guarded(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        def guard(request: Request) -> Awaitable[Response]:
            if not same(request.headers.get("authorization", "").encode("latin-1"), self._expected):
                raise HttpError(401, "This needs the driver's token in the header Authorization: Bearer")
            return handler(request)

        return guard

    async def _attach(self, request: Request) -> Response:
        body = _read(request, _AttachBody)
        driver = Driver(body.attempt, body.web, body.rpc)
        return Response.json(await self._ask(lambda number: events.DriverAttached(number, driver)))

    async def _request(self, request: Request) -> Response:
        body = _read(request, _RequestBody)
        if not body.id or "/" in body.id or body.cpus <= 0 or body.memory_mib <= 0:
            raise HttpError(400, "id must be a name without slashes, cpus and memory_mib above 0")
        worker = Worker(body.id, body.cpus, body.memory_mib, body.slots, body.jvm, body.dynamic)
        await self._ask(lambda number: events.WorkerRequested(number, worker))
        return Response(202)

    async def _release(self, request: Request) -> Response:
        body = _read(request, _ReleaseBody)
        await self._ask(lambda number: events.WorkerReleased(number, body.id))
        return Response(202)

    async def _deregister(self, request: Request) -> Response:
        body = _read(request, _DeregisterBody)
        await self._ask(lambda number: events.DriverDeregistered(number, body.status, body.diagnostics))
        return Response(202)

    async def _events(self, request: Request) -> Response:
        after = request.parameter("after")
        if not _SEQUENCE.fullmatch(after):
            raise HttpError(400, "Parameter after must be the number of the last event seen")
        found, last = await self._log.after(int(after), POLL)
        told = [{"sequence": e.sequence, "type": e.kind, "id": e.id, "reason": e.reason} for e in found]
        return Response.json({"events": told, "sequence": last})


def _read(request: Request, kind: type[BodyT]) -> BodyT:
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise HttpError(400, f"The request body is not what {request.path} takes: {error}") from error
