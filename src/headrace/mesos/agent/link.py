"""The agent's connection to the master: one stream of events in, batches of calls out.

REGISTER opens the stream; its end, or silence of three ping intervals, is the end of the connection, and a new
one is made after 50 ms, doubling to 2 s, with jitter; a master that refuses the agent is asked again after 1 s,
doubling to 15 s. Calls are sent in order; those that gather while one
request is under way go together in the next, as a JSON array.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import msgspec

from headrace.kernel import recordio
from headrace.kernel.backoff import Backoff
from headrace.kernel.http import ClientStream, HttpClient, HttpClientError
from headrace.mesos.agent.core.events import LinkLost
from headrace.mesos.masters import masters
from headrace.mesos.messages.agent_link import AgentCall, AgentEvent, Refused, Register, Registered

log = logging.getLogger(__name__)

PATH = "/api/v1/agent"
BACKOFF_MIN = 0.05
BACKOFF_MAX = 2.0
REFUSED_MIN = 1.0
REFUSED_MAX = 15.0
FIRST_WORD = 15.0
"""Seconds that the master may take until REGISTERED."""

_DECODER: msgspec.json.Decoder[AgentEvent] = msgspec.json.Decoder(AgentEvent)
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


class LinkError(Exception):
    """Why the connection is over, or could not be made."""


class MasterLink:
    """Keeps the connection. ``register`` gives the first word, None while there is none to say."""

    def __init__(
        self,
        master: str,
        http: HttpClient,
        register: Callable[[], Register | None],
        post: Callable[..., None],
        jitter: Callable[[], float],
    ) -> None:
        self._masters = masters(master)
        self._url = ""
        self._http = http
        self._register = register
        self._post = post
        self._backoff = Backoff(BACKOFF_MIN, BACKOFF_MAX, jitter)
        self._patience = Backoff(REFUSED_MIN, REFUSED_MAX, jitter)
        self._outbox: list[AgentCall] = []
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._stream: ClientStream | None = None
        self._hurry = asyncio.Event()
        self._last_complaint = ""
        self._registered = False
        self._refused = False
        self._last_refusal = ""
        self._why = ""

    def send(self, call: AgentCall) -> None:
        """Queue a call; dropped while there is no connection (the core sends again what matters)."""
        if self._stream is not None:
            self._outbox.append(call)
            self._drained.clear()
            self._filled.set()

    async def drain(self, timeout: float) -> None:
        """Wait until all calls are out, at most ``timeout`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._drained.wait()

    def reconnect(self) -> None:
        """Drop the connection, if any, and make a new one now."""
        if self._stream is not None:
            self._stream.close()
        self._hurry.set()

    async def run(self) -> None:
        """Connect again and again, to whichever master leads, until cancelled."""
        try:
            while True:
                await self._once(await self._masters.leader())
        finally:
            await self._masters.close()

    async def _once(self, master: str) -> None:
        self._url = master + PATH
        follower = asyncio.create_task(self._follow(master))
        try:
            await self._connect()
        finally:
            follower.cancel()

    async def _follow(self, master: str) -> None:
        self._why = await self._masters.moved(master)
        self.reconnect()

    async def _connect(self) -> None:
        """One attempt, its connection to the end, and the pause after it."""
        self._registered = self._refused = False
        first = self._register()
        if first is not None:
            try:
                await self._session(first)
            except (HttpClientError, LinkError) as error:
                self._lost(self._why or str(error))
        if self._registered:
            self._backoff.reset()
            self._patience.reset()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((self._patience if self._refused else self._backoff).next()):
                await self._hurry.wait()
        self._hurry.clear()

    async def _session(self, first: Register) -> None:
        """One connection, to its end. Raises LinkError or HttpClientError."""
        self._why = ""
        body = msgspec.json.encode(first)
        stream = await self._http.stream("POST", self._url, headers=_JSON, body=body, timeout=FIRST_WORD)
        if stream.status != 200:
            try:
                async with asyncio.timeout(FIRST_WORD):
                    text = (await stream.read())[:300].decode("utf-8", "replace")
            except TimeoutError:
                text = "(and then nothing)"
            finally:
                stream.close()
            raise LinkError(f"the master at {self._url} answered {stream.status}: {text.strip()}")
        self._stream = stream
        sender = asyncio.create_task(self._send_all(stream, stream.headers.get("mesos-stream-id", "")))
        try:
            await self._listen(stream)
        finally:
            self._stream = None
            self._outbox.clear()
            self._drained.set()
            sender.cancel()
            stream.close()

    async def _listen(self, stream: ClientStream) -> None:
        decoder = recordio.Decoder()
        chunks = aiter(stream)
        silence = FIRST_WORD
        while True:
            try:
                async with asyncio.timeout(silence):
                    chunk = await anext(chunks)
                events = [event for record in decoder.feed(chunk) if (event := _decode(record)) is not None]
            except TimeoutError:
                raise LinkError(f"the master at {self._url} has been silent for {silence:g} s") from None
            except StopAsyncIteration:
                raise LinkError(f"the master at {self._url} ended the connection") from None
            except recordio.RecordIOError as error:
                raise LinkError(f"the master at {self._url} sent something else than events: {error}") from None
            for event in events:
                if isinstance(event, Registered):
                    silence = max(1.0, 3 * event.ping_interval)
                    self._found(event.agent_id.value)
                elif isinstance(event, Refused):
                    self._refusal(event.message)
            self._post(*events)

    async def _send_all(self, stream: ClientStream, stream_id: str) -> None:
        headers = {**_JSON, "Mesos-Stream-Id": stream_id}
        try:
            while True:
                await self._filled.wait()
                self._filled.clear()
                batch, self._outbox = self._outbox, []
                if batch:
                    answer = await self._http.request(
                        "POST", self._url, headers=headers, body=msgspec.json.encode(batch)
                    )
                    if answer.status // 100 != 2:
                        raise LinkError(f"the master at {self._url} refused a call: {answer.status} {answer.message}")
                if not self._outbox:
                    self._drained.set()
        except (HttpClientError, LinkError) as error:
            self._why = str(error)
            stream.close()

    def _found(self, agent_id: str) -> None:
        self._registered = True
        self._last_complaint = self._last_refusal = ""
        log.info("registered with %s as %s", self._url, agent_id)

    def _refusal(self, message: str) -> None:
        self._refused = True
        if message != self._last_refusal:  # one that stays is told of once
            log.error("the master at %s refuses this agent: %s", self._url, message)
            self._last_refusal = message

    def _lost(self, why: str) -> None:
        if why != self._last_complaint and not self._refused:  # a master that is away for long is told of once
            log.warning("no connection to the master: %s", why)
            self._last_complaint = why
        self._post(LinkLost(why))


def _decode(record: bytes) -> AgentEvent | None:
    try:
        return _DECODER.decode(record)
    except msgspec.DecodeError as error:
        log.error("an event from the master can't be read and is left out: %s: %.200r", error, record)
        return None
