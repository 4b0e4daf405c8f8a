"""The master alone: thousands of agents that speak the agent link from another process, and one framework.

Measured as Apache Mesos was (reference, "The master alone, with fake agents"): one stream of events, one connection
for calls, one call at a time. Tasks are run a second time with eight calls under way, as Mesos's own client library
does it. Two processes share the machine's cores with the master: the agents, and this one.

    python -m bench.master_scale [--agents 10000]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import statistics
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from bench.link_agents import link_agents
from bench.table import Row, render
from headrace.kernel import recordio
from tests.cluster.harness import cluster


class Column(NamedTuple):
    """What was measured of the original with so many agents: s, MiB, tasks a second, ms of CPU a task, % of a core."""

    registered: float
    offered: float
    declined: float
    offered_again: float
    state: float
    summary: float
    slaves: float
    tasks: int
    per_accept: int
    rate: float
    cpu_a_task: float
    rss_before: float
    rss_after: float
    idle: float


ORIGINAL = {
    100: Column(0.12, 0.025, 0.009, 1.01, 0.009, 0.0065, 0.010, 1000, 10, 303, 2.7, 76, 86, 0.5),
    1000: Column(1.0, 0.203, 0.048, 1.07, 0.047, 0.042, 0.068, 5000, 5, 412, 2.8, 106, 162, 3.1),
    5000: Column(3.98, 0.749, 0.36, 1.7, 0.329, 0.227, 0.430, 5000, 1, 216, 4.2, 221, 527, 13.9),
    10000: Column(7.86, 1.363, 0.44, 2.6, 0.585, 0.356, 0.617, 2000, 1, 177, 5.1, 381, 1148, 26),
}
MOST = 10_000
IDLE_SECONDS = 16.0
PROBE_PAUSE = 0.02
WINDOW = 8
"""Calls under way when tasks run a second time."""
STATUS_HEAD = "POST /api/v1/scheduler HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"


class Id(msgspec.Struct):
    value: str


class Scalar(msgspec.Struct):
    value: float


class Resource(msgspec.Struct):
    name: str
    scalar: Scalar | None = None


class Offer(msgspec.Struct):
    id: Id
    agent_id: Id
    resources: list[Resource]

    @property
    def is_large(self) -> bool:
        """Whether there is room for the tasks of any ACCEPT."""
        return any(one.name == "cpus" and one.scalar is not None and one.scalar.value >= 1 for one in self.resources)


class Offers(msgspec.Struct):
    offers: list[Offer]


class Status(msgspec.Struct):
    task_id: Id
    state: str
    agent_id: Id
    uuid: str


class Update(msgspec.Struct):
    status: Status


class Subscribed(msgspec.Struct):
    framework_id: Id


class Said(msgspec.Struct):
    """What this framework reads of an event."""

    type: str
    subscribed: Subscribed | None = None
    offers: Offers | None = None
    update: Update | None = None


_read = msgspec.json.Decoder(Said).decode
_encode = msgspec.json.Encoder().encode


class Stream(asyncio.Protocol):
    """SUBSCRIBE, and all that comes."""

    def __init__(self, request: bytes, take: Callable[[bytes], None]) -> None:
        self._request, self._take = request, take
        self._head = b""
        self._buffer = bytearray()
        self._records = recordio.Decoder()
        self.id = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.id:
            head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 200 "), head
            [self.id] = [one for one in head.split(b"\r\n") if one.lower().startswith(b"mesos-stream-id:")]
            self._buffer = bytearray(rest)
        start, buffer = 0, self._buffer
        while (size := buffer.find(b"\r\n", start)) > 0:
            begin = size + 2
            end_at = begin + int(buffer[start:size], 16)
            if len(buffer) < end_at + 2:
                break
            for record in self._records.feed(bytes(buffer[begin:end_at])):
                self._take(record)
            start = end_at + 2
        del buffer[:start]


class Calls(asyncio.Protocol):
    """One connection; ``window`` calls may be under way at a time."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self.window = 1
        self._waiting: deque[bytes] = deque()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, call: dict[str, Any]) -> None:
        """Queue a call."""
        self._waiting.append(_encode(call))
        self._idle.clear()
        self._go_on()

    async def all_answered(self) -> None:
        await self._idle.wait()

    def _go_on(self) -> None:
        requests = []
        while self._waiting and self._under_way < self.window:
            body = self._waiting.popleft()
            requests.append(b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body))
            self._under_way += 1
        if requests:
            self.transport.write(b"".join(requests))
        elif not self._under_way:
            self._idle.set()

    def data_received(self, data: bytes) -> None:
        answers = data.count(b"HTTP/1.1 ")  # heads without bodies, each in one piece
        assert answers == data.count(b"HTTP/1.1 202 "), data
        self._under_way -= answers
        self._go_on()


def subscription(head: bytes, events: str) -> bytes:
    """The request, for events in a form."""
    info = {"user": "root", "name": "bench", "roles": ["*"], "capabilities": [{"type": "MULTI_ROLE"}]}
    body = json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}).encode()
    return b"%bAccept: %b\r\nContent-Length: %d\r\n\r\n%b" % (head, events.encode(), len(body), body)


async def offered_in_protobuf(host: str, port: int, agents: int) -> float:
    """Seconds from SUBSCRIBE until the last byte of all offers; the framework leaves then."""
    loop = asyncio.get_running_loop()
    request = subscription(STATUS_HEAD.format(host=f"{host}:{port}").encode(), "application/x-protobuf")
    all_there: asyncio.Future[float] = loop.create_future()
    offers = 0

    def take(record: bytes) -> None:
        nonlocal offers
        offers += record.count(b"/slave(1)")  # once in each
        if offers == agents:
            all_there.set_result(time.perf_counter())

    began = time.perf_counter()
    transport, _ = await loop.create_connection(lambda: Stream(request, take), host, port)
    try:
        return await asyncio.wait_for(all_there, 120) - began
    finally:
        transport.abort()


class Framework:
    """The framework; ``offers`` by agent's id are those that it holds, what tasks have left aside."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._head = STATUS_HEAD.format(host=f"{host}:{port}").encode()
        self.offers: dict[str, str] = {}
        self.id = ""
        self.finished = 0
        self._changed = asyncio.Event()

    async def subscribe(self) -> None:
        loop = asyncio.get_running_loop()
        request = subscription(self._head, "application/json")
        _, self._stream = await loop.create_connection(lambda: Stream(request, self._take), *self._address)
        await self._until(lambda: self.id)
        head = self._head + self._stream.id + b"\r\n"
        _, self.calls = await loop.create_connection(lambda: Calls(head), *self._address)

    def close(self) -> None:
        self._stream.transport.abort()
        self.calls.transport.abort()

    async def offered(self, count: int) -> None:
        await self._until(lambda: len(self.offers) >= count)

    async def all_finished(self, count: int) -> None:
        await self._until(lambda: self.finished >= count)

    def call(self, kind: str, **body: Any) -> None:
        self.calls.send({"type": kind, "framework_id": {"value": self.id}, **body})

    def decline_all(self, refuse_seconds: float) -> None:
        ids = [{"value": one} for one in self.offers.values()]
        self.offers.clear()
        self.call("DECLINE", decline={"offer_ids": ids, "filters": {"refuse_seconds": refuse_seconds}})

    def launch(self, agent_id: str, names: list[str]) -> None:
        tasks = [
            {"name": name, "task_id": {"value": name}, "agent_id": {"value": agent_id}, "resources": EACH, **COMMAND}
            for name in names
        ]
        operation = {"type": "LAUNCH", "launch": {"task_infos": tasks}}
        self.call(
            "ACCEPT",
            accept={
                "offer_ids": [{"value": self.offers.pop(agent_id)}],
                "operations": [operation],
                "filters": {"refuse_seconds": 0},
            },
        )

    async def _until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(120):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _take(self, record: bytes) -> None:
        said = _read(record)
        if said.offers is not None:
            self.offers.update((one.agent_id.value, one.id.value) for one in said.offers.offers if one.is_large)
        elif said.update is not None:
            status = said.update.status
            ids = {"agent_id": {"value": status.agent_id.value}, "task_id": {"value": status.task_id.value}}
            self.call("ACKNOWLEDGE", acknowledge={**ids, "uuid": status.uuid})
            self.finished += status.state == "TASK_FINISHED"
        elif said.subscribed is not None:
            self.id = said.subscribed.framework_id.value
        self._changed.set()


EACH = [
    {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}, "allocation_info": {"role": "*"}},
    {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}, "allocation_info": {"role": "*"}},
]
COMMAND = {"command": {"value": "true"}}


class Process:
    """What the kernel knows of the master."""

    def __init__(self, pid: int) -> None:
        self._of = Path(f"/proc/{pid}")

    def cpu(self) -> float:
        """Seconds."""
        fields = (self._of / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self) -> float:
        """MiB."""
        [line] = [one for one in (self._of / "status").read_text().splitlines() if one.startswith("VmRSS")]
        return int(line.split()[1]) / 1024


@contextmanager
def probe(url: str) -> Iterator[Callable[[], list[float]]]:
    """A process that asks for ``url`` again and again; the function gives the seconds that each answer took so far."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_probe, args=(theirs, url), daemon=True)
    process.start()
    ours.recv()  # it has had its first answer

    def take() -> list[float]:
        ours.send(None)
        return cast("list[float]", ours.recv())

    try:
        yield take
    finally:
        ours.close()
        process.join(5)
        process.kill()


def _probe(pipe: Any, url: str) -> None:
    took: list[float] = []
    fetch(url)
    pipe.send(None)
    while True:
        if pipe.poll(PROBE_PAUSE):
            try:
                pipe.recv()
            except EOFError:
                return
            pipe.send(took)
            took = []
        took.append(fetch(url)[0])


def fetch(url: str) -> tuple[float, int]:
    """Seconds until the whole answer is there, and its bytes."""
    began = time.perf_counter()
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own daemon
        size = len(answer.read())
    return time.perf_counter() - began, size


def median_fetch(url: str, times: int = 5) -> tuple[float, int]:
    found = [fetch(url) for _ in range(times)]
    return statistics.median(seconds for seconds, _ in found), found[0][1]


async def _measure(url: str, agents: int, process: Process, registered: float) -> dict[str, float]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    at = ORIGINAL[agents]
    out = {"registered": registered, "rss_before": process.rss()}
    out["offered_in_protobuf"] = await offered_in_protobuf(host, int(port), agents)
    with probe(url + "/metrics/snapshot") as take:
        framework = Framework(host, int(port))
        gc.collect()
        take()
        began = time.perf_counter()
        await framework.subscribe()
        await framework.offered(agents)
        out["offered"] = time.perf_counter() - began
        out["probe_offers"] = max(await asyncio.to_thread(take))
        began = time.perf_counter()
        framework.decline_all(3600)
        await framework.calls.all_answered()
        out["declined"] = time.perf_counter() - began
        framework.call("REVIVE")
        await framework.offered(agents)
        began = time.perf_counter()
        framework.decline_all(0)
        await framework.offered(agents)
        out["offered_again"] = time.perf_counter() - began
        for name, path in (("state", "state"), ("summary", "state-summary"), ("slaves", "slaves")):
            seconds, size = await asyncio.to_thread(median_fetch, f"{url}/master/{path}")
            out[name], out[name + "_size"] = seconds, size / 1e6
            if name == "state":
                out["probe_state"] = max(await asyncio.to_thread(take))
        out["probe_views"] = max(await asyncio.to_thread(take))
        out["metrics"] = (await asyncio.to_thread(median_fetch, url + "/metrics/snapshot", 20))[0]
    for window, name in ((1, "rate"), (WINDOW, "rate_of_many")):
        cpu, began = process.cpu(), time.perf_counter()
        await _run_tasks(framework, at.tasks, at.per_accept, window)
        out[name] = at.tasks / (time.perf_counter() - began)
        out["cpu_" + name] = (process.cpu() - cpu) / at.tasks * 1000
    await framework.offered(agents)
    await asyncio.sleep(1)
    out["rss_after"] = process.rss()
    cpu, began = process.cpu(), time.perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    out["idle"] = (process.cpu() - cpu) / (time.perf_counter() - began) * 100
    framework.close()
    return out


async def _run_tasks(framework: Framework, count: int, per_accept: int, window: int) -> None:
    """Launch them, each ACCEPT on another agent; until the end of the last one is acknowledged."""
    done = 0
    framework.calls.window, before = window, framework.finished
    while done < count:
        await framework.offered(1)
        agent_id = next(iter(framework.offers))
        names = [f"task-{window}-{number}" for number in range(done, min(count, done + per_accept))]
        framework.launch(agent_id, names)
        done += len(names)
    await framework.all_finished(before + count)
    await framework.calls.all_answered()


def measure(agents: int) -> dict[str, float]:
    """All figures with so many agents, as they were measured."""
    with tempfile.TemporaryDirectory() as directory, cluster(Path(directory), agents=0) as it:
        host, _, port = it.master.url.removeprefix("http://").rpartition(":")
        with link_agents(host, int(port), agents) as registered:
            return asyncio.run(_measure(it.master.url, agents, Process(it.master.pid), registered))


def rows(sizes: Sequence[int] = tuple(ORIGINAL)) -> list[Row]:
    """The figures of these sizes; those with most agents have bars."""
    return [row for agents in sizes for row in rows_of(agents, measure(agents))]


def rows_of(agents: int, found: dict[str, float]) -> list[Row]:
    """What was measured, beside the original."""
    was, of = ORIGINAL[agents], f"{agents:,} agents: "

    def bar(most: float) -> float | None:
        return most if agents == MOST else None

    def row(name: str, key: str, unit: str, times: float, most: float | None, original: float | None) -> Row:
        return Row(of + name, found[key] * times, unit, most, original)

    return [
        row("all registered", "registered", "s", 1, bar(4), was.registered),
        row("SUBSCRIBE to all offers", "offered", "s", 1, bar(0.6), was.offered),
        row("the same in protocol buffers", "offered_in_protobuf", "s", 1, bar(0.6), None),
        row("DECLINE of all offers", "declined", "ms", 1000, None, was.declined * 1000),
        row("DECLINE, refused for 0 s, to all offered again", "offered_again", "s", 1, None, was.offered_again),
        row(f"/master/state, {found['state_size']:.3g} MB", "state", "ms", 1000, bar(300), was.state * 1000),
        row(f"/master/state-summary, {found['summary_size']:.3g} MB", "summary", "ms", 1000, None, was.summary * 1000),
        row(f"/master/slaves, {found['slaves_size']:.3g} MB", "slaves", "ms", 1000, None, was.slaves * 1000),
        row("/metrics/snapshot, median", "metrics", "ms", 1000, None, None),
        row("the same while all offers are made, worst", "probe_offers", "ms", 1000, None, None),
        row("the same while /master/state is asked for, worst", "probe_state", "ms", 1000, None, None),
        Row(of + f"{was.tasks} tasks, {was.per_accept} an ACCEPT, finished", found["rate"], "a second",
            None, was.rate, more_is_better=True),
        row("the master's CPU for a task", "cpu_rate", "ms", 1, None, was.cpu_a_task),
        Row(of + f"the same, {WINDOW} calls under way", found["rate_of_many"], "a second",
            800 if agents == MOST else None, None, more_is_better=True),
        row("the master's CPU for a task", "cpu_rate_of_many", "ms", 1, None, None),
        row("resident before tasks", "rss_before", "MiB", 1, None, was.rss_before),
        row("resident after tasks", "rss_after", "MiB", 1, bar(350), was.rss_after),
        row("idle, all offers held", "idle", "% of a core", 1, bar(10), was.idle),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="The master with many agents.")
    parser.add_argument("--agents", type=int, default=MOST, choices=list(ORIGINAL))
    given = parser.parse_args()
    print(render("The master with many agents", rows([given.agents])))


if __name__ == "__main__":
    main()
