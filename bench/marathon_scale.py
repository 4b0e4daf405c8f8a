"""Marathon at scale: a real master and a real Marathon, 1,000 simulated agents in one process beside them.

* many apps in one PUT of a group, and by many POSTs at a time; one app of many instances;
* what the UI asks for all the time, with 1,000 apps that run;
* how late events come to 200 readers, with and without one of them that reads nothing.

Everything shares the machine: agents, readers and the one who asks, too. The original's figures are its own published
ones (reference §8.1), each on whatever machine it was: its performance suite's aims and limits, and what its users
measured.

    python -m bench.marathon_scale [--posts 10000] [--agents 1000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Self

from bench.ending import status, unwind_when_asked_to_end
from bench.table import Row, render
from headrace.kernel.http import ClientResponse, HttpClient
from headrace.mesos.resources import Resources
from tests.cluster.harness import Cluster, cluster, get, wait_for
from tests.cluster.simulated_agents import simulated_agents

AGENT = Resources.of(cpus=8, mem=16384, disk=10_000) + Resources(ranges={"ports": ((31000, 31999),)})
APP: dict[str, Any] = {"cmd": "exec sleep 1000", "cpus": 0.01, "mem": 8}
AGENTS, APPS, POSTS, AT_ONCE, INSTANCES = 1000, 1000, 10_000, 100, 1000
READERS, CHANGES = 200, 20
PARTS = "group instances events posts"
EMBEDS = ["group.groups", "group.apps", "group.apps.deployments", "group.apps.counts", "group.apps.readiness"]
"""What the UI's list of apps asks for."""
RECEIVE_BUFFER = 4096
FILLERS, FILLER = 60, 100_000
"""Events of so many bytes are more than sockets take up; the rest waits in Marathon."""


class Asker:
    """Marathon's API, as one who waits for everything."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = HttpClient(max_idle=AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._http.close()

    async def ask(self, method: str, path: str, body: Any = None) -> ClientResponse:
        data = b"" if body is None else json.dumps(body).encode()
        return await self._http.request(method, self.url + path, body=data, timeout=120)

    async def change(self, method: str, path: str, body: Any = None) -> None:
        answer = await self.ask(method, path, body)
        assert answer.status in (200, 201), (answer.status, answer.body[:500])

    async def time(self, path: str, times: int = 5) -> float:
        """Seconds until the whole answer is there, median."""
        took = []
        for _ in range(times):
            began = time.perf_counter()
            answer = await self.ask("GET", path)
            took.append(time.perf_counter() - began)
            assert answer.status == 200
        return statistics.median(took)

    async def until_deployed(self, patience: float) -> None:
        """Wait until no deployment runs."""
        async with asyncio.timeout(patience):
            while (await self.ask("GET", "/v2/deployments")).json():  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(0.1)

    async def running(self) -> int:
        """Tasks that run."""
        tasks = (await self.ask("GET", "/v2/tasks?status=running")).json()["tasks"]
        return sum(one["state"] == "TASK_RUNNING" for one in tasks)


async def _seconds(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def group_rows(asker: Asker, count: int = APPS) -> list[Row]:
    """Apps in one PUT; then, while they run, what is asked for most."""
    apps = [{"id": f"app-{number}", **APP} for number in range(count)]
    accepted = await _seconds(asker.change("PUT", "/v2/groups/scale", {"apps": apps}))
    ran = accepted + await _seconds(asker.until_deployed(300))
    assert await asker.running() == count
    embeds = "&".join(f"embed={one}" for one in EMBEDS)
    rows = [
        Row(f"{count} apps in one PUT of a group: accepted", accepted, "s", 2, 10),
        Row(f"{count} apps in one PUT of a group: all run", ran, "s", 30),
        Row(f"GET /v2/apps, {count} apps", await asker.time("/v2/apps") * 1000, "ms", 150, 2000),
        Row(f"GET /v2/groups with the UI's embeds, {count} apps", await asker.time(f"/v2/groups?{embeds}") * 1000,
            "ms", 500, 1000),
        Row(f"GET /v2/tasks, {count} tasks", await asker.time("/v2/tasks") * 1000, "ms"),
    ]  # fmt: skip
    rows.append(
        Row(f"{count} apps removed in one DELETE", await _removed(asker, "/v2/groups/scale"), "s", max(2.0, ran))
    )
    return rows


async def _removed(asker: Asker, path: str) -> float:
    """Seconds until all of a group is gone."""
    took = await _seconds(asker.change("DELETE", path))
    took += await _seconds(asker.until_deployed(300))
    assert await asker.running() == 0
    return took


async def post_rows(asker: Asker, count: int = POSTS) -> list[Row]:
    """Single apps, so many POSTs at a time, until all of them run."""
    numbers = iter(range(count))
    failures = 0

    async def post() -> None:
        nonlocal failures
        for number in numbers:
            answer = await asker.ask("POST", "/v2/apps", {"id": f"/posted/app-{number}", **APP})
            failures += answer.status != 201

    posted = await _seconds(asyncio.gather(*(post() for _ in range(AT_ONCE))))
    ran = posted + await _seconds(asker.until_deployed(600))
    assert await asker.running() == count - failures
    removed = await _removed(asker, "/v2/groups/posted")
    return [
        Row(f"{count} apps by {AT_ONCE} POSTs at a time: all accepted", posted, "s"),
        Row(f"{count} apps by {AT_ONCE} POSTs at a time: all run", ran, "s", 600 * count / 10_000, 3600 * count / 1e4),
        Row(f"{count} apps by {AT_ONCE} POSTs at a time: failures", failures, "", 0),
        Row(f"{count} apps removed in one DELETE", removed, "s", ran),
    ]


async def instance_rows(asker: Asker, count: int = INSTANCES) -> list[Row]:
    """One app: from nothing to half, to all, and back to nothing."""
    await asker.change("POST", "/v2/apps", {"id": "/one", "instances": 0, **APP})

    async def scale(instances: int) -> float:
        await asker.change("PUT", "/v2/apps/one?force=true", {"instances": instances})
        return await _seconds(asker.until_deployed(300))

    rows = [
        Row(f"one app to {count // 2} instances", await scale(count // 2), "s", None, 14.2),
        Row("one app down to 0", await scale(0), "s"),
        Row(f"one app to {count} instances", await scale(count), "s", 20, 240),
    ]
    assert await asker.running() == count
    rows.append(Row(f"one app down to 0 from {count} instances", await scale(0), "s", 20))
    await asker.change("DELETE", "/v2/apps/one")
    await asker.until_deployed(60)
    return rows


ATTACH = b"GET /v2/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


class Readers:
    """Readers of the event stream; ``seen`` has, for each event with a mark, when each of them got it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.seen: dict[str, list[float]] = {}
        self._transports: list[asyncio.Transport] = []
        self._stalled: list[socket.socket] = []

    async def attach(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            transport, _ = await loop.create_connection(lambda: _Reader(self.seen), *self._address)
            transport.write(ATTACH)
            self._transports.append(transport)

    def attach_stalled(self) -> None:
        """One more, which never reads."""
        it = socket.socket()
        it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        it.connect(self._address)
        it.sendall(ATTACH)
        self._stalled.append(it)

    def close(self) -> None:
        for one in self._stalled:
            one.close()
        for transport in self._transports:
            transport.close()


class _Reader(asyncio.Protocol):
    """Looks for the marks of some requests in all that comes."""

    _KIND, _MARK = b'"eventType":"api_post_event"', re.compile(rb'"id":"/marked-([^"]+)"')

    def __init__(self, seen: dict[str, list[float]]) -> None:
        self._seen = seen
        self._line = b""

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if self._KIND in line[:100] and (found := self._MARK.search(line)):
                self._seen.setdefault(found[1].decode(), []).append(now)


async def _delays(asker: Asker, readers: Readers, round_: str) -> list[float]:
    """Seconds from a request to its event, of all readers and some requests; much else happens meanwhile."""
    delays = []
    await asker.change("PUT", "/v2/apps/noise?force=true", {"id": "/noise", "instances": 100, **APP})
    for number in range(CHANGES):
        name = f"{round_}-{number}"
        began = time.perf_counter()
        await asker.change("PUT", f"/v2/apps//marked-{name}", {**APP, "instances": 0})
        async with asyncio.timeout(30):
            while len(readers.seen.get(name, [])) < READERS - 1:  # noqa: ASYNC110 - times are noted elsewhere
                await asyncio.sleep(0.005)
        delays += [at - began for at in readers.seen[name]]
    await asker.until_deployed(60)
    await asker.change("DELETE", "/v2/apps/noise?force=true")
    await asker.until_deployed(60)
    return sorted(delays)


async def event_rows(asker: Asker) -> list[Row]:
    """All but one read at once; then the last one comes, and does not read."""
    host, _, port = asker.url.removeprefix("http://").rpartition(":")
    readers = Readers((host, int(port)))
    try:
        await readers.attach(READERS - 1)
        await _delays(asker, readers, "warm")
        alone = await _delays(asker, readers, "alone")
        readers.attach_stalled()
        for number in range(FILLERS):
            await asker.change(
                "PUT", "/v2/apps//filler", {**APP, "instances": 0, "labels": {str(number): "x" * FILLER}}
            )
        beside = await _delays(asker, readers, "beside")
    finally:
        readers.close()
    await _removed(asker, "/v2/groups?force=true")
    rows = []
    for what, of in (("99 %", lambda some: some[len(some) * 99 // 100]), ("median", statistics.median)):
        before, after = of(alone) * 1000, of(beside) * 1000
        rows.append(Row(f"event to {READERS - 1} readers, {what}", before, "ms"))
        rows.append(Row(f"the same beside one that reads nothing, {what}", after, "ms", round(2 * before + 20)))
    return rows


@contextmanager
def _agents(master: str, count: int) -> Iterator[None]:
    """In a process of their own."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_run_agents, args=(master, count, stop), daemon=True)
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join(20)
        process.kill()


def _run_agents(master: str, count: int, stop: Event) -> None:
    with simulated_agents(master) as them:
        them.add(count, AGENT)
        stop.wait()


@contextmanager
def scene(agents: int) -> Iterator[Cluster]:
    """Master, Marathon with its default flags, and agents that are all there."""
    with (
        tempfile.TemporaryDirectory() as directory,
        cluster(Path(directory), agents=0) as it,
        _agents(it.master.url, agents),
    ):
        state = it.master.url + "/metrics/snapshot"
        wait_for(lambda: get(state)["master/slaves_active"] == agents, f"{agents} agents are there", 60, 0.2)
        it.add_marathon()
        yield it


async def measure(url: str, parts: list[Callable[[Asker], Awaitable[list[Row]]]]) -> list[Row]:
    async with Asker(url) as asker:
        return [row for part in parts for row in await part(asker)]


def rows(agents: int = AGENTS, posts: int = POSTS, parts: str = PARTS) -> list[Row]:
    """The figures of this bench."""
    all_parts: dict[str, Callable[[Asker], Awaitable[list[Row]]]] = {
        "group": group_rows,
        "posts": lambda asker: post_rows(asker, posts),
        "instances": instance_rows,
        "events": event_rows,
    }
    with scene(agents) as it:
        assert it.marathon is not None
        return asyncio.run(measure(it.marathon.url, [all_parts[one] for one in parts.split()]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Marathon at scale.")
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--posts", type=int, default=POSTS, help="apps that are POSTed, one by one")
    parser.add_argument("--parts", default=PARTS)
    given = parser.parse_args()
    unwind_when_asked_to_end()
    figures = rows(given.agents, given.posts, given.parts)
    print(render("Marathon at scale", figures))
    sys.exit(status(figures))


if __name__ == "__main__":
    main()
