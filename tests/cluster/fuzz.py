"""The fuzz: requests of every form to a master and an agent, and what must hold of every answer.

What is asked comes from the types of the messages (``fuzz_values``), so a new call is fuzzed from the day that it is
declared. Request ``number`` of a seed is always made in the same way; only ids that exist differ from run to run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec

from headrace.kernel import recordio
from headrace.kernel.protobuf import encoding
from headrace.kernel.protobuf.decoding import MAX_FIELDS
from headrace.kernel.protobuf.wire import varint
from headrace.mesos.agent.api.container_calls import NO_SESSION
from headrace.mesos.content import MAX_PROTOBUF
from headrace.mesos.door import MAX_ELEMENTS
from headrace.mesos.messages import agent_link, agent_operator, executor, operator, scheduler
from headrace.mesos.messages.common import ContainerID
from tests.cluster.fuzz_living import Known, Living, Watch
from tests.cluster.fuzz_seeds import Seeds
from tests.cluster.fuzz_values import COMMANDS, HUGE, WORDS, Maker, Spoiler, encode

PATIENCE = 60.0
"""Seconds for an answer; a loaded machine is slow, but nothing may hang."""
AT_ONCE = 8
STREAMS = 24
"""So many streams that were opened on the way are left open."""
LARGEST = 4_000_000
"""Bytes; what is above a daemon's limit is answered while it is still being sent, and that answer may be lost."""
JSON, PROTOBUF = "application/json", "application/x-protobuf"
RECORDIO = "application/recordio"
TYPES = [JSON] * 36 + [PROTOBUF] * 20 + ["text/plain", "", "application/json; charset=latin-1", RECORDIO, "\x01"]
NUMBERS = ["0", "10", "-5", "999999999999999999", "9223372036854775807", "99999999999999999999", "1e9", "1ns", "5mins"]
ALIVE = "ontainer has not terminated yet"
SLOW = 5.0
"""Seconds of work that metrics may take meanwhile; nothing that anybody sends may hold a daemon for longer."""
GETS = {
    "master": "state state-summary slaves frameworks tasks roles weights quota health version flags metrics/snapshot"
    " redirect maintenance/schedule maintenance/status logging/toggle files/browse files/read files/download"
    " files/debug story state.json tasks.json api/v1 api/v1/scheduler nothing",
    "agent": "state containers monitor/statistics files/browse files/read files/download files/debug flags version"
    " health metrics/snapshot logging/toggle story api/v1 api/v1/executor nothing",
}
PARAMETERS = [
    "limit",
    "offset",
    "order",
    "slave_id",
    "framework_id",
    "task_id",
    "jsonp",
    "path",
    "level",
    "duration",
    "role",
    "timeout",
    "length",
    "verbose",
]
FORMS = "teardown reserve unreserve create-volumes destroy-volumes quota weights machine/up machine/down"
FORMS += " maintenance/schedule logging/toggle"
WAITING = ("WAIT_CONTAINER", "WAIT_NESTED_CONTAINER", "ATTACH_CONTAINER_INPUT")
"""Calls that may take as long as a container does."""
DEADLY = ("MARK_AGENT_GONE", "DRAIN_AGENT", "DEACTIVATE_AGENT")
"""Calls that may be obeyed, but not for the agent that the tests go on with."""


@dataclass(frozen=True)
class Made:
    """A request as it is sent; ``broken``: it may be answered by the end of the connection alone."""

    data: bytes
    name: str
    broken: bool = False
    may_wait: bool = False


class Fuzz:
    """Makes the requests of a seed."""

    def __init__(self, seed: int, host: str, known: Known) -> None:
        self._seed, self._host, self.known = seed, host, known

    def make(self, number: int, whom: str) -> Made:
        """Request ``number``, to the master or to an agent."""
        rng = random.Random(f"{self._seed}/{number}")
        ids = {name: value for name, value in vars(self.known).items() if isinstance(value, list)}
        how = rng.random()
        if how < 0.12:
            return self._get(rng, whom)
        if how < 0.17 and whom == "master":
            return self._form(rng, Maker(rng, ids))
        if how < 0.22:
            return self._raw(rng, whom)
        if how < 0.222:
            return self._large(rng, whom)
        if how < 0.30 and whom == "agent":
            return self._input(rng, Maker(rng, ids))
        return self._post(rng, whom, ids)

    def _post(self, rng: random.Random, whom: str, ids: dict[str, Any]) -> Made:
        doors: dict[str, list[tuple[str, Callable[[Maker], Any], type | None]]] = {
            "master": [
                ("/api/v1/scheduler", lambda m: m.call(scheduler.Call), scheduler.Call),
                ("/api/v1/scheduler", lambda m: m.call(scheduler.Call), scheduler.Call),
                ("/api/v1", lambda m: m.call(operator.Call), operator.Call),
                ("/api/v1/agent", lambda m: m.one_of(agent_link.AgentCall), None),
            ],
            "agent": [
                ("/api/v1/executor", lambda m: m.call(executor.Call), executor.Call),
                ("/api/v1", lambda m: m.call(agent_operator.Call), agent_operator.Call),
            ],
        }
        path, make, kind = rng.choice(doors[whom])
        seeded = rng.random() < 0.4 and (whom, path) != ("agent", "/api/v1")
        document = Seeds(rng, ids).of(path) if seeded else make(Maker(rng, ids))
        name = str(document["type"])
        if name in DEADLY or (name in ("UPDATE", "UNREGISTER") and path.endswith("agent")):
            document = (
                json.loads(json.dumps(document).replace(ids["agent_id"][0], "S-nobody")) if ids["agent_id"] else {}
            )
        spoiler, content = Spoiler(rng), rng.choice(TYPES)
        sound = encode(document)
        if rng.random() < 0.6:
            document = spoiler.spoil(document, 1 if seeded else 3)
        body = encode(document)
        if content == PROTOBUF:
            content = JSON if kind is None and rng.random() < 0.95 else content
            body = body if kind is None else as_protobuf(kind, body, sound)
        if rng.random() < (0.4 if content == PROTOBUF else 0.08):
            body = spoiler.bytes_of(body)
        body = body[:LARGEST]
        more = {}
        if rng.random() < 0.85 and path.endswith("scheduler") and name != "SUBSCRIBE":
            more["Mesos-Stream-Id"] = self.known.stream
        elif rng.random() < 0.85 and path.endswith("agent") and name != "REGISTER":
            more["Mesos-Stream-Id"] = self.known.agent_stream
        elif rng.random() < 0.1:
            more["Mesos-Stream-Id"] = rng.choice(("nobody", self.known.stream, ""))
        return self._request("POST", path, f"{whom} {name}", body, content, rng, more, name in WAITING)

    def _request(
        self,
        method: str,
        path: str,
        name: str,
        body: bytes,
        content: str,
        rng: random.Random,
        more: dict[str, str] | None = None,
        may_wait: bool = False,
    ) -> Made:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        if content:
            lines.append(f"Content-Type: {content}")
        lines += [f"{key}: {value}" for key, value in (more or {}).items()]
        accept = rng.choice([JSON] * 30 + [PROTOBUF, "text/html", "application/recordio", "*/*;q=x", ""])
        lines += [f"Accept: {accept}"] if accept else []
        lines += ["Message-Accept: " + rng.choice((JSON, PROTOBUF, "?"))] if rng.random() < 0.1 else []
        if rng.random() < 0.15 and body:
            data = (
                "\r\n".join([*lines, "Transfer-Encoding: chunked"]).encode("latin-1") + b"\r\n\r\n" + chunked(rng, body)
            )
        else:
            data = "\r\n".join([*lines, f"Content-Length: {len(body)}"]).encode("latin-1") + b"\r\n\r\n" + body
        return Made(data, name, may_wait=may_wait)

    def _get(self, rng: random.Random, whom: str) -> Made:
        path = rng.choice(GETS[whom].split())
        prefix = rng.choice(("/", "/master/" if whom == "master" else "/slave(1)/"))
        values = [*WORDS, *NUMBERS, *self.known.path, *self.known.framework_id[-1:]]
        odd = ("%", "%zz", "&&=")
        query = "&".join(
            f"{rng.choice(PARAMETERS)}={quote(rng.choice(values)) if rng.random() < 0.9 else rng.choice(odd)}"
            for _ in range(rng.choice((0, 1, 2, 4)))
        )
        method = rng.choice(["GET"] * 12 + ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
        return self._request(method, f"{prefix}{path}?{query}", f"{whom} {method} {path}", b"", "", rng)

    def _form(self, rng: random.Random, maker: Maker) -> Made:
        """The master's v0 endpoints that change something."""
        path = rng.choice(FORMS.split())
        call = maker.call(operator.Call)
        [*bodies] = [value for key, value in call.items() if key != "type"]
        if rng.random() < 0.5:
            body = encode(Spoiler(rng).spoil(bodies or [call]))
        else:
            fields = {"slaveId": "nobody", "frameworkId": rng.choice((*WORDS, "nobody"))}
            fields |= {"resources": encode(bodies).decode(), "volumes": encode(Spoiler(rng).spoil(bodies)).decode()}
            body = "&".join(f"{key}={quote(value)}" for key, value in fields.items() if rng.random() < 0.9).encode()
        method = rng.choice(("POST", "POST", "PUT", "DELETE"))
        path = f"/master/{path}" + (f"/{quote(rng.choice(WORDS))}" if method == "DELETE" else "")
        return self._request(method, path, f"master {method} {path}", body, rng.choice(TYPES), rng)

    def _input(self, rng: random.Random, maker: Maker) -> Made:
        """Input of a container: records in a body that may come in parts."""
        kind = rng.choice((JSON, JSON, PROTOBUF, PROTOBUF, RECORDIO, "", "?"))
        first = {"type": "CONTAINER_ID", "container_id": maker.of(ContainerID, "container_id", 1)}
        spoiler, records = Spoiler(rng), []
        for number in range(rng.choice((0, 1, 2, 2, 5, 200))):
            body = first if number == 0 and rng.random() < 0.9 else maker.of(agent_operator.AttachInput, "", 1)
            call = {"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": body}
            sound = encode(call)
            record = encode(spoiler.spoil(call, 1)) if rng.random() < 0.2 else sound
            record = as_protobuf(agent_operator.Call, record, sound) if kind == PROTOBUF else record
            records.append(recordio.encode(spoiler.bytes_of(record) if rng.random() < 0.05 else record))
        said = b"".join(records)[:LARGEST]
        if rng.random() < 0.1:
            said = spoiler.bytes_of(said)
        more = {"Message-Content-Type": kind} if kind else {}
        return self._request("POST", "/api/v1", "agent input", said, RECORDIO, rng, more, may_wait=True)

    def _large(self, rng: random.Random, whom: str) -> Made:
        """At the limits of what is read, or just beyond."""
        small = rng.choice((b"{},", b'{"":[]},', b"1,", b"[],"))
        elements = b"[" + small * (MAX_ELEMENTS - 1 + rng.choice((0, 9))) + b"{}]"
        field = rng.choice((b"\x08\x01", b"\xf8\x7f\x00", b"\x0a\x00", b"\x52\x00", b"\xca\x01\x00"))
        fields = field * (MAX_FIELDS + rng.choice((0, 9)))
        forms = [
            (JSON, b'{"type":"GET_HEALTH","machines":' + elements + b"}"),
            (JSON, b'{"type":"START_MAINTENANCE","start_maintenance":{"machines":' + elements + b"}}"),
            (PROTOBUF, fields),
            (PROTOBUF, (field * MAX_PROTOBUF)[: MAX_PROTOBUF + rng.choice((0, 1))]),
            (PROTOBUF, b"\x12" + varint(len(fields)) + fields),
        ]
        content, body = rng.choice(forms)
        door = rng.choice(("/api/v1", "/api/v1/scheduler" if whom == "master" else "/api/v1/executor"))
        return self._request("POST", door, f"{whom} large", body, content, rng)

    def _raw(self, rng: random.Random, whom: str) -> Made:
        """What is hardly HTTP."""
        path = "/api/v1/scheduler" if whom == "master" else "/api/v1/executor"
        start = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: {JSON}\r\n".encode()
        forms: list[tuple[str, bytes]] = [
            ("random bytes", rng.randbytes(rng.choice((1, 20, 3000))) + b"\r\n\r\n"),
            ("no method", b"\r\n\r\n / HTTP/9.9\r\n\r\n"),
            ("bad chunk", start + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
            ("huge chunk", start + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
            ("negative length", start + b"Content-Length: -5\r\n\r\n{}"),
            ("huge length", start + b"Content-Length: 99999999999\r\n\r\n{}"),
            ("two lengths", start + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"),
            ("length and chunks", start + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("huge header", start + b"X: " + b"x" * HUGE + b"\r\n\r\n"),
            ("many headers", start + b"".join(b"X-%d: y\r\n" % one for one in range(20_000)) + b"\r\n"),
            ("huge path", b"GET /" + b"a" * HUGE + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("strange path", b"GET /%00%ff/../..//master//state?%00 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("upgrade", start + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}"),
            ("strange host", start.replace(self._host.encode(), b"\xff\x00evil") + b"Content-Length: 2\r\n\r\n{}"),
            ("cut body", start + b"Content-Length: 100\r\n\r\n{"),
            ("many requests", (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") * 200),
        ]
        name, data = rng.choice(forms)
        return Made(data, f"{whom} {name}", broken=True)


def as_protobuf(kind: type, said: bytes, sound: bytes) -> bytes:
    """What is said, or else what was before it was spoiled; the first as it is if neither has that form."""
    for one in (said, sound):
        with contextlib.suppress(msgspec.DecodeError, ValueError, RecursionError):
            return encoding.encode(msgspec.json.decode(one, type=kind))
    return said


def chunked(rng: random.Random, body: bytes) -> bytes:
    """In chunks, sometimes of one byte, sometimes with something wrong in between."""
    out: list[bytes] = []
    at = 0
    while at < len(body) and len(out) < 50:
        size = rng.choice((1, 7, 1000, len(body)))
        part = body[at : at + size]
        out.append(b"%x\r\n%b\r\n" % (len(part), part))
        at += size
    if at < len(body):
        out.append(b"%x\r\n%b\r\n" % (len(body) - at, body[at:]))
    return b"".join(out) + b"0\r\n\r\n"


@dataclass
class Outcome:
    """What was found."""

    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    slow: list[str] = field(default_factory=list)

    def note(self, number: int, made: Made, status: int, text: bytes) -> None:
        self.statuses[f"{made.name.partition(' ')[0]} {status}"] += 1
        if status >= 500 and not documented(status, text):
            self.fault(number, made, f"{status} {text[:200]!r}")

    def fault(self, number: int, made: Made, what: str) -> None:
        self.faults.append(f"request {number} ({made.name}): {what}\n    {made.data[:1500]!r}")


def documented(status: int, text: bytes) -> bool:
    """501 for what is not there, by name; 503 of an agent that is not registered yet; 500 as Mesos has it."""
    words = text.decode("utf-8", "replace")
    return (status in (501, 503) and bool(words.strip())) or words == NO_SESSION or words.endswith(ALIVE)


def _drop(writer: asyncio.StreamWriter) -> None:
    """End a connection at once; it may hold what nobody reads any more."""
    writer.transport.abort()


class Sender:
    """Sends requests to one address, each on a connection of its own, and looks at the answers."""

    def __init__(self, address: tuple[str, int], outcome: Outcome) -> None:
        self._address, self._outcome = address, outcome
        self._streams: list[asyncio.StreamWriter] = []

    async def send(self, number: int, made: Made) -> None:
        """Send it; note what comes back."""
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(*self._address)
        except (OSError, TimeoutError) as error:
            self._outcome.fault(number, made, f"no connection: {error!r}")
            return
        kept, begun = False, time.monotonic()
        try:
            with contextlib.suppress(ConnectionError):
                writer.write(made.data)
                if made.broken:
                    writer.write_eof()
            async with asyncio.timeout(PATIENCE if not made.may_wait else 0.5):
                kept = await self._answer(number, made, reader)
        except TimeoutError:
            if not made.may_wait:
                self._outcome.fault(number, made, f"no answer within {PATIENCE:g} s")
        except (OSError, asyncio.IncompleteReadError) as error:
            if not made.broken:
                self._outcome.fault(number, made, f"the connection ended without an answer: {error!r}")
        finally:
            if (took := time.monotonic() - begun) > SLOW / 5:
                self._outcome.slow.append(f"request {number} ({made.name}): {took:.1f} s")
            if not kept:
                _drop(writer)
            else:
                self._streams.append(writer)
                if len(self._streams) > STREAMS:
                    _drop(self._streams.pop(0))

    async def _answer(self, number: int, made: Made, reader: asyncio.StreamReader) -> bool:
        """Whether it is a stream."""
        head = await reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        text = b""
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
        if length is not None and " HEAD " not in made.name:
            text = await reader.readexactly(int(length.split(b":")[1]))
        self._outcome.note(number, made, status, text)
        return length is None and status == 200

    def close(self) -> None:
        for writer in self._streams:
            _drop(writer)


async def fuzz(seed: int, count: int, master: str, agent: str, agent_id: str) -> Outcome:
    """Send so many requests, most to the master; what was found."""
    assert all(command.split(" ")[0] in ("true", "exit", "sleep", "", "no-such-command") for command in COMMANDS)
    outcome, known = Outcome(), Known(agent_id=[agent_id])
    addresses = {whom: _address(url) for whom, url in (("master", master), ("agent", agent))}
    senders = {whom: Sender(address, outcome) for whom, address in addresses.items()}
    watch = Watch((master, agent))
    beside = [
        asyncio.create_task(Living(master, agent, known).run()),
        asyncio.create_task(asyncio.to_thread(watch.run)),
    ]
    makers = {whom: Fuzz(seed, f"{address[0]}:{address[1]}", known) for whom, address in addresses.items()}
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        for number in numbers:
            whom = "agent" if number % 3 == 0 else "master"
            await senders[whom].send(number, makers[whom].make(number, whom))
            if len(outcome.faults) > 20:
                return

    try:
        async with asyncio.timeout(PATIENCE):
            while not known.whole:
                await asyncio.sleep(0.01)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(one_after_the_other())
    finally:
        watch.stop()
        beside[0].cancel()
        ends = await asyncio.gather(*beside, return_exceptions=True)
        for sender in senders.values():
            sender.close()
    await asyncio.sleep(0)  # in which aborted connections come to their ends
    outcome.faults += [f"beside the requests: {end!r}" for end in ends if isinstance(end, Exception)]
    outcome.slowest = watch.slowest
    return outcome


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)
