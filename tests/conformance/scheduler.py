"""A scheduler of a few lines, for scenarios that are written by hand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from headrace.kernel.http import HttpClient
from tests.conformance.replay.streams import Stream

HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
PATIENCE = 60.0


class Scheduler:
    """A subscribed framework; what it heard is in ``stream.events``. It acknowledges nothing by itself."""

    def __init__(self, http: HttpClient, url: str, stream: Stream) -> None:
        self._http = http
        self._url = url
        self.stream = stream
        self.id = ""

    async def call(self, kind: str, **body: Any) -> tuple[int, str]:
        """Status and text of the answer to a call."""
        call: dict[str, Any] = {"type": kind, "framework_id": {"value": self.id}}
        if body:
            call[kind.lower()] = body
        headers = {**HEADERS, "Mesos-Stream-Id": self.stream.live.headers["mesos-stream-id"]}
        answer = await self._http.request("POST", self._url, headers=headers, body=json.dumps(call).encode())
        return answer.status, answer.body.decode()

    async def until(self, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """The first event, from the start on, for which ``condition`` holds."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = next((event for event in self.stream.events if condition(event)), None)
            if found is not None:
                return found
            assert time.monotonic() < deadline, f"not heard: {what}; {[e['type'] for e in self.stream.events]}"
            await asyncio.sleep(0.005)

    async def event(self, kind: str) -> dict[str, Any]:
        """The body of the first event of this kind."""
        body: dict[str, Any] = (await self.until(lambda e: e["type"] == kind, kind))[kind.lower()]
        return body

    async def offers(self, count: int, **fields: Any) -> list[dict[str, Any]]:
        """So many outstanding offers that have these fields."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [o for o in self.stream.outstanding() if all(o.get(k) == v for k, v in fields.items())]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"only {len(found)} offers with {fields}"
            await asyncio.sleep(0.005)

    async def status(self, task_id: str, state: str, **fields: Any) -> dict[str, Any]:
        """The first update of the task with this state and these fields."""

        def fits(event: dict[str, Any]) -> bool:
            status = event.get("update", {}).get("status", {})
            wanted = {"state": state, **fields}
            return status.get("task_id") == {"value": task_id} and all(status.get(k) == v for k, v in wanted.items())

        found: dict[str, Any] = (await self.until(fits, f"{state} of {task_id} {fields}"))["update"]["status"]
        return found

    async def launch(self, offer: dict[str, Any], *tasks: dict[str, Any], **filters: Any) -> None:
        """Accept an offer with tasks."""
        infos = [{**task, "agent_id": offer["agent_id"]} for task in tasks]
        operation = {"type": "LAUNCH", "launch": {"task_infos": infos}}
        answer = await self.call("ACCEPT", offer_ids=[offer["id"]], operations=[operation], filters=filters or None)
        assert answer == (202, "")

    async def acknowledge(self, status: dict[str, Any]) -> None:
        ids = {name: status[name] for name in ("agent_id", "task_id", "uuid")}
        assert await self.call("ACKNOWLEDGE", **ids) == (202, "")

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """The bodies of all events of a kind so far."""
        return [event[kind.lower()] for event in self.stream.events if event["type"] == kind]


def task(task_id: str, command: str = "sleep 300", cpus: float = 0.1, **more: Any) -> dict[str, Any]:
    """A command task."""
    resources = [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 16}},
    ]
    return {
        "name": task_id,
        "task_id": {"value": task_id},
        "resources": resources,
        "command": {"value": command},
        **more,
    }


async def subscribe(
    http: HttpClient, master: str, *capabilities: str, roles: tuple[str, ...] = ("test",), **info: Any
) -> Scheduler:
    """A framework of these roles, subscribed."""
    url = master + "/api/v1/scheduler"
    names = ("MULTI_ROLE", "RESERVATION_REFINEMENT", *capabilities)
    framework: dict[str, Any] = {
        "user": "root",
        "name": "scenario",
        "roles": roles,
        "checkpoint": True,
        "failover_timeout": 60.0,
        "capabilities": [{"type": name} for name in names],
        **info,
    }
    call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": framework}}
    if "id" in framework:
        call["framework_id"] = framework["id"]
    live = await http.stream("POST", url, headers=HEADERS, body=json.dumps(call).encode())
    assert live.status == 200, await live.read()
    scheduler = Scheduler(http, url, Stream(live))
    scheduler.id = (await scheduler.event("SUBSCRIBED"))["framework_id"]["value"]
    return scheduler


@asynccontextmanager
async def framework(master: str, *capabilities: str, **more: Any) -> AsyncIterator[Scheduler]:
    """A framework that is torn down at the end."""
    http = HttpClient()
    scheduler = await subscribe(http, master, *capabilities, **more)
    try:
        yield scheduler
    finally:
        await scheduler.call("TEARDOWN")
        await scheduler.stream.close()
        http.close()
