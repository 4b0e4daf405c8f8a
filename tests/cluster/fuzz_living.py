"""What lives while the fuzz goes on, whose ids its requests may have; and a watch on how soon is answered."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psutil

from headrace.kernel import recordio
from headrace.kernel.http import HttpClient, HttpClientError
from headrace.kernel.listeners import owner
from headrace.mesos import MESOS_VERSION
from tests.cluster.fuzz_seeds import PORTS, scalar
from tests.cluster.harness import get

JSON = "application/json"
HEADERS = {"Content-Type": JSON, "Accept": JSON}


@dataclass
class Known:
    """Ids that exist."""

    framework_id: list[str] = field(default_factory=list)
    agent_id: list[str] = field(default_factory=list)
    offer_id: list[str] = field(default_factory=list)
    task_id: list[str] = field(default_factory=lambda: [f"fuzz-{number}" for number in range(20)])
    role: list[str] = field(default_factory=lambda: ["test", "*", "test/below", "other"])
    container: list[str] = field(default_factory=list)
    """As ``parent/child``; the parent is of nobody, the child a session."""
    path: list[str] = field(default_factory=lambda: ["/master/log", "/slave/log", "/master/log/", "master/log"])
    stream: str = ""
    agent_stream: str = ""

    @property
    def whole(self) -> bool:
        """Whether all is there that lives."""
        return bool(self.stream and self.agent_stream and self.container)


class Living:
    """What stays, so that calls meet what exists: a framework and an agent with offers and tasks, and containers."""

    def __init__(self, master: str, agent: str, known: Known) -> None:
        self._master, self._at, self._known = master, agent, known
        self._numbers = itertools.count(1)

    async def run(self) -> None:
        """Until cancelled; whenever it is torn down, as a new one."""
        http = HttpClient()
        try:
            async with asyncio.TaskGroup() as group:  # which waits for all of them, cancelled or not
                for one in (self._framework, self._agent, self._containers):
                    group.create_task(self._again(http, one))
        finally:
            http.close()

    async def _again(self, http: HttpClient, once: Callable[[HttpClient], Awaitable[None]]) -> None:
        while True:
            with contextlib.suppress(HttpClientError, TimeoutError, KeyError):
                await once(http)
            await asyncio.sleep(0.05)

    async def _agent(self, http: HttpClient) -> None:
        resources = [scalar("cpus", 4), scalar("mem", 1024), scalar("disk", 1024), PORTS]
        info = {"hostname": "living", "port": 1, "resources": resources}
        body = json.dumps({"type": "REGISTER", "agent_info": info, "version": MESOS_VERSION}).encode()
        headers = {"Content-Type": JSON, "Accept": JSON}
        stream = await http.stream("POST", self._master + "/api/v1/agent", headers=headers, body=body)
        try:
            self._known.agent_stream = stream.headers["mesos-stream-id"]
            records = recordio.Decoder()
            async for chunk in stream:
                for record in records.feed(chunk):
                    self._take(msgspec.json.decode(record))
        finally:
            stream.close()

    async def _framework(self, http: HttpClient) -> None:
        capabilities = [{"type": name} for name in ("MULTI_ROLE", "RESERVATION_REFINEMENT", "PARTITION_AWARE")]
        info = {"user": "root", "name": "living", "roles": ["test", "*"], "capabilities": capabilities}
        body = json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}).encode()
        headers = {"Content-Type": JSON, "Accept": JSON}
        stream = await http.stream("POST", self._master + "/api/v1/scheduler", headers=headers, body=body)
        try:
            self._known.stream = stream.headers["mesos-stream-id"]
            records = recordio.Decoder()
            async for chunk in stream:
                for record in records.feed(chunk):
                    self._take(msgspec.json.decode(record))
        finally:
            stream.close()

    async def _containers(self, http: HttpClient) -> None:
        """One of nobody's, and a session in it, which writes what it is given; until the session ends."""
        name = {"value": f"living-{next(self._numbers)}"}
        if await self._call(http, "LAUNCH_CONTAINER", container_id=name, command={"value": "sleep 60"}) != 200:
            return
        try:
            await self._session(http, name["value"])
        finally:
            await self._call(http, "KILL_CONTAINER", container_id=name)

    async def _call(self, http: HttpClient, kind: str, **body: Any) -> int:
        said = json.dumps({"type": kind, kind.lower(): body}).encode()
        return (await http.request("POST", f"{self._at}/api/v1", headers=HEADERS, body=said)).status

    async def _session(self, http: HttpClient, parent: str) -> None:
        kind = "LAUNCH_NESTED_CONTAINER_SESSION"
        body = {"container_id": {"value": "cat", "parent": {"value": parent}}, "command": {"value": "cat"}}
        said = json.dumps({"type": kind, kind.lower(): body}).encode()
        stream = await http.stream("POST", f"{self._at}/api/v1", headers=HEADERS, body=said)
        try:
            self._known.container[:] = [f"{parent}/cat", f"{parent}/cat", parent]
            async for _ in stream:
                pass
        finally:
            stream.close()

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "SUBSCRIBED":
            self._known.framework_id[:] = [event["subscribed"]["framework_id"]["value"]]
        elif event["type"] == "REGISTERED":
            self._known.agent_id[1:] = [event["agent_id"]["value"]]
        elif event["type"] == "RUN_TASKS":
            self._known.task_id += [task["task_id"]["value"] for task in event["tasks"]]
            del self._known.task_id[:-30]
        elif event["type"] == "OFFERS":
            self._known.offer_id += [offer["id"]["value"] for offer in event["offers"]["offers"]]
            del self._known.offer_id[:-10]


class Watch:
    """Asks daemons for their metrics all the time, in a thread: what holds up the fuzz itself does not count.

    ``slowest`` is the longest that one took, in seconds of the daemon's own work, and which it was: what others do on
    the machine does not count either.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._daemons = {url: psutil.Process(owner(int(url.rpartition(":")[2]))) for url in urls}
        self._over = threading.Event()
        self.slowest = (0.0, "")

    def run(self) -> None:
        """Until ``stop``. Raises OSError if one does not answer."""
        while not self._over.wait(0.1):
            for url, daemon in self._daemons.items():
                begun = _worked(daemon)
                get(f"{url}/metrics/snapshot", timeout=60)
                self.slowest = max(self.slowest, (_worked(daemon) - begun, url))

    def stop(self) -> None:
        self._over.set()


def _worked(daemon: psutil.Process) -> float:
    """CPU seconds of a process so far."""
    times = daemon.cpu_times()
    return float(times.user + times.system)
