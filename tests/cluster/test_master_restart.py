"""A real master is killed and started again under real agents and a real framework: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from headrace.kernel.clock import SystemClock
from headrace.kernel.http import HttpClient
from headrace.mesos.client import ClientEvent, Connected, Received, SchedulerClient
from headrace.mesos.messages.common import (
    AgentID,
    Capability,
    CommandInfo,
    Filters,
    FrameworkInfo,
    Offer,
    TaskID,
    TaskInfo,
    is_terminal,
)
from headrace.mesos.messages.scheduler import (
    Accept,
    Acknowledge,
    Call,
    Kill,
    Launch,
    Operation,
    Reconcile,
    ReconcileTask,
)
from headrace.mesos.resources import Resources
from tests.cluster.harness import Cluster, cluster, get

INFO = FrameworkInfo(
    "root",
    "restart",
    failover_timeout=120.0,
    checkpoint=True,
    roles=["test"],
    capabilities=[Capability("MULTI_ROLE"), Capability("RESERVATION_REFINEMENT"), Capability("PARTITION_AWARE")],
)
EACH = Resources.of(cpus=0.1, mem=16)


class Scheduler:
    """Launches what is in ``todo`` on whatever is offered; notes every state of every task."""

    def __init__(self, master: str) -> None:
        self.states: dict[str, list[str]] = {}
        self.agents: dict[str, str] = {}
        self.connections: list[str] = []
        self.todo: list[tuple[str, str]] = []
        self._offers: dict[str, Offer] = {}
        self.http = HttpClient()
        self.client = SchedulerClient(master, INFO, self._hear, http=self.http, clock=SystemClock())

    def _hear(self, event: ClientEvent) -> None:
        if isinstance(event, Connected):
            self.connections.append(event.framework_id)
            self._offers.clear()
            self.client.call(Call("RECONCILE", reconcile=Reconcile()))
        elif isinstance(event, Received):
            if event.event.offers is not None:
                self._offers.update({offer.id.value: offer for offer in event.event.offers.offers})
                self.launch()
            if event.event.rescind is not None:
                self._offers.pop(event.event.rescind.offer_id.value, None)
            if event.event.update is not None:
                status = event.event.update.status
                self.states.setdefault(status.task_id.value, []).append(status.state)
                if status.uuid is not None and status.agent_id is not None:
                    self.client.call(
                        Call("ACKNOWLEDGE", acknowledge=Acknowledge(status.agent_id, status.task_id, status.uuid))
                    )

    def launch(self) -> None:
        """Put some of the tasks that wait on an offer, if there is one."""
        while self.todo and self._offers:
            offer = self._offers.pop(next(iter(self._offers)))
            batch, self.todo = self.todo[:5], self.todo[5:]
            tasks = []
            for name, command in batch:
                self.agents[name] = offer.agent_id.value
                tasks.append(
                    TaskInfo(name, TaskID(name), offer.agent_id, EACH.messages(), command=CommandInfo(command))
                )
            operation = Operation("LAUNCH", launch=Launch(tasks))
            self.client.call(Call("ACCEPT", accept=Accept([offer.id], [operation], Filters(0.0))))

    def start(self, *tasks: tuple[str, str]) -> None:
        self.todo += tasks
        self.launch()

    def latest(self, task: str) -> str:
        return self.states.get(task, ["nothing"])[-1]

    async def until(self, condition: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}; {self.states}"
            await asyncio.sleep(0.01)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Cluster, Scheduler]]:
    with cluster(tmp_path, agents=2) as it:
        scheduler = Scheduler(it.master.url)
        task = asyncio.create_task(scheduler.client.run())
        try:
            yield it, scheduler
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            scheduler.http.close()


async def test_sigkill_of_the_master_loses_nothing(running: tuple[Cluster, Scheduler]) -> None:
    it, scheduler = running
    names = [f"t{number}" for number in range(8)]
    scheduler.start(*[(name, "sleep 300") for name in names])
    await scheduler.until(lambda: all(scheduler.latest(n) == "TASK_RUNNING" for n in names), "all tasks run")
    agents = sorted(agent["id"] for agent in get(it.master.url + "/slaves")["slaves"])
    scheduler.states.clear()

    it.master.kill()
    await asyncio.to_thread(it.master.start)
    await scheduler.until(lambda: len(scheduler.connections) == 2, "the framework is subscribed again")
    assert scheduler.connections[0] == scheduler.connections[1]

    def known() -> bool:
        slaves = get(it.master.url + "/slaves")["slaves"]
        return sorted(agent["id"] for agent in slaves if agent["active"]) == agents

    await scheduler.until(known, "the agents are back under their ids")
    scheduler.client.call(Call("RECONCILE", reconcile=Reconcile()))
    await scheduler.until(lambda: all(scheduler.latest(n) == "TASK_RUNNING" for n in names), "all tasks are known")
    assert {state for states in scheduler.states.values() for state in states} == {"TASK_RUNNING"}

    scheduler.start(("after", "sleep 300"))
    await scheduler.until(lambda: scheduler.latest("after") == "TASK_RUNNING", "a new task runs")
    scheduler.client.call(Call("KILL", kill=Kill(TaskID("t0"))))
    await scheduler.until(lambda: scheduler.latest("t0") == "TASK_KILLED", "an old task can be killed")
    scheduler.client.call(Call("TEARDOWN"))
    await scheduler.until(lambda: not get(it.master.url + "/frameworks")["frameworks"], "the framework is gone")


async def test_a_task_that_ends_while_the_master_is_dead_is_heard_of(
    running: tuple[Cluster, Scheduler], tmp_path: Path
) -> None:
    it, scheduler = running
    end = tmp_path / "end"
    scheduler.start(("short", f"until [ -e {end} ]; do sleep 0.05; done; exit 3"))
    await scheduler.until(lambda: scheduler.latest("short") == "TASK_RUNNING", "the task runs")
    it.master.kill()
    end.touch()
    await scheduler.until(
        lambda: all(get(agent.url + "/containers") == [] for agent in it.agents), "the task has ended"
    )
    await asyncio.to_thread(it.master.start)
    await scheduler.until(lambda: scheduler.latest("short") == "TASK_FAILED", "its end is told")


async def test_a_master_that_is_killed_amid_launches_starts_nothing_twice(
    running: tuple[Cluster, Scheduler], tmp_path: Path
) -> None:
    it, scheduler = running
    marks = tmp_path / "marks"
    names = [f"b{number}" for number in range(60)]
    scheduler.start(*[(name, f"echo {name} >> {marks}") for name in names])
    for _ in range(2):
        await asyncio.sleep(0.05)
        it.master.kill()
        await asyncio.to_thread(it.master.start)
    await scheduler.until(lambda: not scheduler.todo, "everything was launched")

    ask_again = 0.0

    def settled() -> bool:
        nonlocal ask_again
        open_tasks = {name: scheduler.agents[name] for name in names if not is_terminal(scheduler.latest(name))}
        if open_tasks and time.monotonic() > ask_again:
            # a launch that died with the master: the master says so when it is asked
            scheduler.client.call(Call("RECONCILE", reconcile=_about(open_tasks)))
            ask_again = time.monotonic() + 0.2
        return not open_tasks

    await scheduler.until(settled, "every task is accounted for")
    ran = marks.read_text().split()
    assert len(ran) == len(set(ran)), "no task ran twice"
    finished = {name for name in names if "TASK_FINISHED" in scheduler.states[name]}
    assert finished == set(ran), "what ran is told to have finished, and only that"


def _about(tasks: dict[str, str]) -> Reconcile:
    """``tasks``: their agents."""
    return Reconcile([ReconcileTask(TaskID(task), AgentID(agent)) for task, agent in tasks.items()])
