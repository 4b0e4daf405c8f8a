"""The framework of the benches: launches what it is told, and notes when each task runs and ends.

One stream of events and one keep-alive connection for calls, as in the measurements of the original; it
shares the machine's cores with what it measures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Self

from headrace.kernel.clock import SystemClock
from headrace.kernel.http import HttpClient
from headrace.mesos.client import ClientEvent, Received, SchedulerClient
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import (
    Capability,
    CommandInfo,
    ExecutorInfo,
    Filters,
    FrameworkInfo,
    Offer,
    TaskID,
    TaskInfo,
    TaskStatus,
    is_terminal,
)
from headrace.mesos.resources import Resources

EACH = Resources.of(cpus=0.1, mem=32)
PATIENCE = 60.0


class Launcher:
    """A framework at ``master``."""

    def __init__(self, master: str) -> None:
        self._http = HttpClient()
        info = FrameworkInfo("root", "bench", checkpoint=True, roles=["*"], capabilities=[Capability("MULTI_ROLE")])
        self._client = SchedulerClient(master, info, self._on_event, http=self._http, clock=SystemClock())
        self._offers: dict[str, Offer] = {}
        self._running: dict[str, float] = {}
        self._ended: dict[str, float] = {}
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

    async def offered(self, agents: int = 1) -> list[list[Offer]]:
        """The offers of so many agents, by agent; they are taken."""
        await self._until(lambda: len(self._by_agent()) >= agents)
        chosen = list(self._by_agent().values())[:agents]
        for offer in (offer for offers in chosen for offer in offers):
            del self._offers[offer.id.value]
        return chosen

    def _by_agent(self) -> dict[str, list[Offer]]:
        found: dict[str, list[Offer]] = {}
        for offer in self._offers.values():
            found.setdefault(offer.agent_id.value, []).append(offer)
        return found

    async def launch(self, count: int, command: str) -> list[float]:
        """Launch ``count`` tasks in one ACCEPT; returns for each the seconds from ACCEPT to TASK_RUNNING."""
        [offers] = await self.offered()
        names = self._names(count)
        began = time.perf_counter()
        self.accept(offers, [self.task(name, offers[0], command=CommandInfo(value=command)) for name in names])
        await self._until(lambda: self._running.keys() >= set(names))
        return [self._running[name] - began for name in names]

    async def execute(self, count: int, executor: Callable[[int], ExecutorInfo], agents: int) -> tuple[float, float]:
        """Launch ``count`` tasks on as many agents, each with its executor; seconds until all run, until all ended."""
        by_agent = await self.offered(agents)
        names = self._names(count)
        began = time.perf_counter()
        for number, offers in enumerate(by_agent):
            mine = names[number::agents]
            self.accept(offers, [self.task(name, offers[0], executor=executor(number)) for name in mine])
        await self._until(lambda: self._ended.keys() >= set(names))
        return max(self._running[n] for n in names) - began, max(self._ended[n] for n in names) - began

    def task(
        self, name: str, offer: Offer, command: CommandInfo | None = None, executor: ExecutorInfo | None = None
    ) -> TaskInfo:
        return TaskInfo(name, TaskID(name), offer.agent_id, EACH.messages(), executor, command)

    def accept(self, offers: list[Offer], tasks: list[TaskInfo]) -> None:
        """Launch ``tasks`` on ``offers`` of one agent; what is left may be offered again at once."""
        launch = scheduler.Operation("LAUNCH", launch=scheduler.Launch(tasks))
        body = scheduler.Accept([offer.id for offer in offers], [launch], Filters(0))
        self._client.call(scheduler.Call("ACCEPT", accept=body))

    async def all_run(self, count: int) -> None:
        """Wait until so many tasks have run."""
        await self._until(lambda: len(self._running) >= count)

    async def all_ended(self) -> None:
        """Wait until every launched task has ended."""
        await self._until(lambda: len(self._ended) == self._count)

    def _names(self, count: int) -> list[str]:
        names = [f"bench-{self._count + i}" for i in range(count)]
        self._count += count
        return names

    async def _until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _on_event(self, event: ClientEvent) -> None:
        if not isinstance(event, Received):
            return
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
            self._ended.setdefault(task, time.perf_counter())
        self._changed.set()
