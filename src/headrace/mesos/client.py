"""The scheduler client: how a framework of ours talks to any Mesos v1 HTTP master.

One long connection carries events, another the calls, in order. The client subscribes, watches
heartbeats, and subscribes again with the same framework id when the stream ends, with back-off. Where masters
stand for election it follows the leader, and a master that does not lead may name the one that does.
It decides nothing about tasks: events go to ``on_event`` and calls come from ``call``.

Calls made while there is no subscription are dropped: whatever they meant has to be looked at
again after ``Connected`` anyway (reconciliation), and a stale one could do harm.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urljoin

import msgspec

from headrace.kernel import recordio
from headrace.kernel.backoff import Backoff
from headrace.kernel.clock import Clock
from headrace.kernel.http import ClientStream, HttpClient, HttpClientError
from headrace.kernel.tasks import first_of
from headrace.mesos.masters import masters
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import FrameworkInfo, MasterInfo

log = logging.getLogger(__name__)

PATH = "/api/v1/scheduler"
FIRST_DELAY, LAST_DELAY = 0.05, 5.0
"""Seconds between attempts to subscribe: the first, and what doubling stops at."""
MAX_CALLS, MAX_SIZE = 100, 100_000
"""So many calls, or so many bytes and the call that passes them, are sent before their answers are awaited."""
MISSED_HEARTBEATS = 5
"""So many heartbeat intervals without a word mean that the connection is dead."""

TRIES_TO_WARN, TRIES_BETWEEN = 8, 16
"""So many tries in vain, about 5 s and more, and every further so many, about a minute, are worth a warning."""

_decode_event = msgspec.json.Decoder(scheduler.Event).decode
_encode_call = msgspec.json.Encoder().encode
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class Connected(msgspec.Struct, frozen=True):
    """The master has subscribed the framework under this id; tasks should be reconciled."""

    framework_id: str
    master: MasterInfo | None


class Disconnected(msgspec.Struct, frozen=True):
    """The subscription is gone; outstanding offers with it. The client tries again by itself."""

    why: str


class Received(msgspec.Struct, frozen=True):
    """Any event of the master but SUBSCRIBED and HEARTBEAT."""

    event: scheduler.Event


ClientEvent = Connected | Disconnected | Received


def level_of_try(tries: int) -> int:
    """How loudly the ``tries``-th try in a row that was in vain is told."""
    late = tries - TRIES_TO_WARN
    return logging.WARNING if late >= 0 and late % TRIES_BETWEEN == 0 else logging.INFO


class SchedulerClient:
    """Keeps one framework subscribed.

    ``framework`` is what the next subscription says; set its id (from a store) before ``run`` to
    take over from an earlier process. ``before`` returns when the next subscription may be asked for: one ends that
    of any other process. Raises UserError if ``master`` is not understood.
    """

    def __init__(
        self,
        master: str,
        framework: FrameworkInfo,
        on_event: Callable[[ClientEvent], None],
        *,
        http: HttpClient,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
        suppressed_roles: Sequence[str] = (),
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._before = before
        self.framework = framework
        self.suppressed_roles = list(suppressed_roles)
        self._masters = masters(master)
        self._url = ""
        self._on_event = on_event
        self._http = http
        self._clock = clock
        self._backoff = Backoff(FIRST_DELAY, LAST_DELAY, jitter)
        self._calls: deque[scheduler.Call] = deque()
        self._calls_waiting = asyncio.Event()
        self._connected = False
        self._tries = 0

    @property
    def leader(self) -> str:
        """``http://host:port`` of the master that has us subscribed; empty if none has."""
        return self._url.removesuffix(PATH) if self._connected else ""

    def call(self, call: scheduler.Call) -> None:
        """Send a call after those before it; framework id and stream id are filled in."""
        if self._connected:
            self._calls.append(call)
            self._calls_waiting.set()

    async def run(self) -> None:
        """Stay subscribed until cancelled. Raises UserError if the master can't be looked for."""
        try:
            await self._run()
        finally:
            await self._masters.close()

    async def _run(self) -> None:
        while True:
            master = await self._masters.leader()
            self._url = master + PATH
            if self._before is not None:
                await self._before()
            why = await self._subscription(master)
            if self._connected:
                self._connected = False
                self._calls.clear()
                self._on_event(Disconnected(why))
            delay = self._backoff.next()
            self._tries += 1
            level = level_of_try(self._tries)
            hint = "; look whether the master runs there" if level == logging.WARNING else ""
            log.log(level, "not subscribed to %s: %s; trying again in %.2f s%s", self._url, why, delay, hint)
            await first_of(self._masters.moved(master), _pause(delay))

    async def _subscription(self, master: str) -> str:
        """Subscribe and handle events until the stream ends or another master leads; returns why it is over."""
        subscribe = scheduler.Subscribe(self.framework, self.suppressed_roles or None)
        call = scheduler.Call("SUBSCRIBE", framework_id=self.framework.id, subscribe=subscribe)
        try:
            stream = await self._http.stream("POST", self._url, headers=_JSON, body=_encode_call(call))
            if stream.status in (302, 307) and "location" in stream.headers:
                stream.close()
                self._url = urljoin(self._url, stream.headers["location"])
                stream = await self._http.stream("POST", self._url, headers=_JSON, body=_encode_call(call))
        except HttpClientError as error:
            return str(error)
        try:
            if stream.status != 200:
                return f"the master answered {stream.status}: {await _beginning(stream)}"
            stream_id = stream.headers.get("mesos-stream-id", "")
            return await first_of(self._handle(stream), self._send_calls(stream_id), self._masters.moved(master))
        except (HttpClientError, recordio.RecordIOError, msgspec.DecodeError) as error:
            return str(error)
        finally:
            stream.close()

    async def _handle(self, stream: ClientStream) -> str:
        decoder = recordio.Decoder()
        chunks = stream.__aiter__()
        patience = 30.0
        while True:
            try:
                async with asyncio.timeout(patience):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                return f"no heartbeat for {patience:g} s"
            if chunk is None:
                return "the master ended the stream"
            for record in decoder.feed(chunk):
                event = _decode_event(record)
                if event.subscribed is not None:
                    patience = MISSED_HEARTBEATS * (event.subscribed.heartbeat_interval_seconds or 15.0)
                    self._subscribed(event.subscribed)
                elif event.type != "HEARTBEAT":
                    self._on_event(Received(event))

    def _subscribed(self, subscribed: scheduler.Subscribed) -> None:
        self.framework = msgspec.structs.replace(self.framework, id=subscribed.framework_id)
        self._connected = True
        self._backoff.reset()
        self._tries = 0
        self._on_event(Connected(subscribed.framework_id.value, subscribed.master_info))

    async def _send_calls(self, stream_id: str) -> str:
        """Send calls as they come; returns why it can't go on."""
        headers = {**_JSON, "Mesos-Stream-Id": stream_id}
        while True:
            self._calls_waiting.clear()
            while self._calls:
                kinds = self._calls[0].type
                try:
                    calls = self._next_calls()
                    kinds = ", ".join(dict.fromkeys(kind for kind, _ in calls))
                    bodies = [body for _, body in calls]
                    answers = await self._http.request_all("POST", self._url, headers=headers, bodies=bodies)
                except HttpClientError as error:
                    # the calls after it may build on it: begin anew, and have the framework reconcile
                    return f"{kinds} was not delivered: {error}"
                except Exception as error:
                    log.exception("%s could not be sent", kinds)
                    return f"{kinds} could not be sent: {error}"
                for (kind, _), answer in zip(calls, answers, strict=True):
                    if answer.status // 100 != 2:
                        log.warning("the master refused %s with %d: %s", kind, answer.status, answer.message)
            await self._calls_waiting.wait()

    def _next_calls(self) -> list[tuple[str, bytes]]:
        """The first of those that wait, as types and bodies: a round trip for each would make thousands slow."""
        calls: list[tuple[str, bytes]] = []
        size = 0
        while self._calls and len(calls) < MAX_CALLS and size < MAX_SIZE:
            call = msgspec.structs.replace(self._calls.popleft(), framework_id=self.framework.id)
            calls.append((call.type or "", _encode_call(call)))
            size += len(calls[-1][1])
        return calls


async def _pause(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return ""


async def _beginning(stream: ClientStream) -> str:
    """How an answer begins, without waiting long for it."""
    text = b""
    try:
        async with asyncio.timeout(5):
            async for chunk in stream:
                text += chunk
                if len(text) >= 500:
                    break
    except TimeoutError:
        pass
    return text[:500].decode("utf-8", "replace")
