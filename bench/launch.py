"""How fast tasks start: one at a time, and in bursts, on a real master and a real agent.

The client is this process: one stream, one keep-alive connection for calls, as in the measurements
of the original (mesos-figures.md (b)); it shares the machine's cores with master and agent.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Self

from bench.table import Row
from headrace.kernel.clock import SystemClock
from headrace.kernel.http import HttpClient
from headrace.mesos.client import ClientEvent, Connected, Received, SchedulerClient
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import (
    Capability,
    CommandInfo,
    Filters,
    FrameworkInfo,
    Offer,
    TaskID,
    TaskInfo,
    TaskStatus,
    is_terminal,
)
from headrace.mesos.resources import Resources
from tests.cluster.harness import cluster

RESOURCES = "cpus:1000;mem:1000000;disk:100000;ports:[31000-32000]"
EACH = Resources.of(cpus=0.1, mem=32)


class Launcher:
    """A framework that launches what it is told and notes when each task runs."""

    def __init__(self, master: str) -> None:
        self._http = HttpClient()
        info = FrameworkInfo(user="root", name="bench", roles=["*"], capabilities=[Capability("MULTI_ROLE")])
        self._client = SchedulerClient(master, info, self._on_event, http=self._http, clock=SystemClock())
        self._offers: dict[str, Offer] = {}
        self._running: dict[str, float] = {}
        self._ended: set[str] = set()
        self._changed = asyncio.Event()
        self._count = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._client.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.call(scheduler.Call("TEARDOWN"))
        await asyncio.sleep(0.2)
        self._task.cancel()
        self._http.close()

    async def launch(self, count: int, command: str) -> list[float]:
        """Launch ``count`` tasks in one ACCEPT; returns for each the seconds from ACCEPT to TASK_RUNNING."""
        await self._until(lambda: self._offers)
        offers, self._offers = list(self._offers.values()), {}
        names = [f"bench-{self._count + i}" for i in range(count)]
        self._count += count
        tasks = [
            TaskInfo(n, TaskID(n), offers[0].agent_id, EACH.messages(), command=CommandInfo(value=command))
            for n in names
        ]
        launch = scheduler.Operation("LAUNCH", launch=scheduler.Launch(tasks))
        began = time.perf_counter()
        self._client.call(
            scheduler.Call("ACCEPT", accept=scheduler.Accept([offer.id for offer in offers], [launch], Filters(0)))
        )
        await self._until(lambda: self._running.keys() >= set(names))
        took = [self._running[name] - began for name in names]
        return took

    async def all_ended(self) -> None:
        """Wait until every launched task has ended."""
        await self._until(lambda: len(self._ended) == self._count)

    async def _until(self, condition: object) -> None:
        assert callable(condition)
        async with asyncio.timeout(60):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _on_event(self, event: ClientEvent) -> None:
        if isinstance(event, Connected):
            return
        if isinstance(event, Received):
            if event.event.offers is not None:
                for offer in event.event.offers.offers:
                    self._offers[offer.id.value] = offer
                self._changed.set()
            if event.event.rescind is not None:
                self._offers.pop(event.event.rescind.offer_id.value, None)
            if event.event.update is not None:
                self._update(event.event.update.status)

    def _update(self, status: TaskStatus) -> None:
        task = status.task_id.value
        if status.uuid is not None and status.agent_id is not None:
            acknowledge = scheduler.Acknowledge(status.agent_id, status.task_id, status.uuid)
            self._client.call(scheduler.Call("ACKNOWLEDGE", acknowledge=acknowledge))
        if status.state == "TASK_RUNNING":
            self._running.setdefault(task, time.perf_counter())
        elif is_terminal(status.state):
            assert status.state == "TASK_FINISHED", status
            self._ended.add(task)
        self._changed.set()


async def _measure(master: str) -> list[Row]:
    async with Launcher(master) as launcher:
        singles = []
        for _ in range(30):
            singles += await launcher.launch(1, "true")
            await launcher.all_ended()
        rows = [
            Row("one task, ACCEPT → RUNNING, median of 30", statistics.median(singles) * 1000, "ms", 20, 128),
            Row("one task, ACCEPT → RUNNING, 95th percentile", sorted(singles)[28] * 1000, "ms", None, 152),
        ]
        for count, original in ((100, 9.4), (500, 7.9)):
            rates = []
            for _ in range(3):
                took = await launcher.launch(count, "sleep 1")
                rates.append(count / max(took))
                await launcher.all_ended()
            bar = 100 if count == 100 else None
            name = f"{count} tasks in one ACCEPT, running a second, median of 3"
            rows.append(Row(name, statistics.median(rates), "tasks/s", bar, original, more_is_better=True))
    return rows


def rows() -> list[Row]:
    """The figures of this bench."""
    with tempfile.TemporaryDirectory() as directory, cluster(Path(directory), resources=RESOURCES) as it:
        return asyncio.run(_measure(it.master.url))
