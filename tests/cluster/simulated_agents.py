"""Many agents in one process: they speak the agent link with a real master, and their tasks run at once.

The link is the agent's own; in place of the agent's core there are a few lines. Runs in a thread, so that a test
may wait for it.
"""

from __future__ import annotations

import asyncio
import base64
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headrace.kernel.http import HttpClient
from headrace.mesos import MESOS_VERSION
from headrace.mesos.agent.core.events import LinkLost
from headrace.mesos.agent.link import MasterLink
from headrace.mesos.messages import agent_link
from headrace.mesos.messages.common import (
    AgentID,
    AgentInfo,
    FrameworkID,
    FrameworkInfo,
    TaskInfo,
    TaskStatus,
    is_terminal,
)
from headrace.mesos.resources import Resources

Key = tuple[str, str]
"""Ids of framework and task."""


class SimulatedAgent:
    """One agent. Statuses are told one by one, each after the one before it was acknowledged."""

    def __init__(self, name: str, resources: Resources, master: str, http: HttpClient) -> None:
        self.name = name
        self.id = ""
        self.tasks: dict[Key, TaskInfo] = {}
        """Those that run."""
        self._resources = resources.messages()
        self._frameworks: dict[str, FrameworkInfo] = {}
        self._untold: dict[Key, deque[TaskStatus]] = {}
        self._link = MasterLink(master, http, self._register, self._on_events, random.random)

    async def run(self) -> None:
        await self._link.run()

    def end(self, key: Key, state: str) -> None:
        """A task ends by itself."""
        if self.tasks.pop(key, None) is not None:
            self._tell(key, state)

    def _register(self) -> agent_link.Register:
        info = AgentInfo(self.name, 5051, self._resources)
        known = [
            agent_link.KnownTask(FrameworkID(key[0]), task, self._status(key, "TASK_RUNNING"))
            for key, task in self.tasks.items()
        ]
        found = AgentID(self.id) if self.id else None
        return agent_link.Register(info, MESOS_VERSION, found, list(self._frameworks.values()), known)

    def _on_events(self, *events: agent_link.AgentEvent | LinkLost) -> None:
        for event in events:
            match event:
                case agent_link.Registered(agent_id):
                    self.id = agent_id.value
                    for key in self._untold:
                        self._send(key)
                case agent_link.Ping():
                    self._link.send(agent_link.Pong())
                case agent_link.RunTasks(framework, tasks):
                    self._launch(framework, tasks)
                case agent_link.KillTask(framework_id, task_id):
                    self._kill((framework_id.value, task_id.value))
                case agent_link.AcknowledgeUpdate(framework_id, task_id):
                    self._acknowledged((framework_id.value, task_id.value))
                case agent_link.ShutdownFramework(framework_id):
                    self._forget(framework_id.value)
                case LinkLost():
                    pass
                case _:
                    raise TypeError(f"a simulated agent does not know {type(event).__name__}")

    def _launch(self, framework: FrameworkInfo, tasks: list[TaskInfo]) -> None:
        assert framework.id is not None
        self._frameworks[framework.id.value] = framework
        for task in tasks:
            key = (framework.id.value, task.task_id.value)
            assert key not in self.tasks, f"{key} is launched twice"
            self.tasks[key] = task
            self._tell(key, "TASK_RUNNING")

    def _kill(self, key: Key) -> None:
        if key in self.tasks:
            self.end(key, "TASK_KILLED")
        elif key not in self._untold:
            self._tell(key, "TASK_LOST")

    def _forget(self, framework_id: str) -> None:
        self._frameworks.pop(framework_id, None)
        for key in [key for key in (*self.tasks, *self._untold) if key[0] == framework_id]:
            self.tasks.pop(key, None)
            self._untold.pop(key, None)

    def _tell(self, key: Key, state: str) -> None:
        waiting = self._untold.setdefault(key, deque())
        waiting.append(self._status(key, state))
        if len(waiting) == 1:
            self._send(key)

    def _send(self, key: Key) -> None:
        statuses = self._untold[key]
        self._link.send(agent_link.StatusUpdate(FrameworkID(key[0]), statuses[0], statuses[-1].state))

    def _acknowledged(self, key: Key) -> None:
        statuses = self._untold.get(key)
        if not statuses:
            return
        statuses.popleft()
        if statuses:
            self._send(key)
        else:
            del self._untold[key]

    def _status(self, key: Key, state: str) -> TaskStatus:
        mark = base64.b64encode(uuid.uuid4().bytes).decode()
        source = "SOURCE_EXECUTOR" if not is_terminal(state) else "SOURCE_AGENT"
        return TaskStatus(
            AgentID(key[1]), state, source=source, agent_id=AgentID(self.id), timestamp=time.time(), uuid=mark
        )


class SimulatedAgents:
    """All of them, and their thread."""

    def __init__(self, master: str) -> None:
        self.master = master
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runs: list[asyncio.Task[None]] = []
        self._http: HttpClient | None = None
        self.agents: list[SimulatedAgent] = []

    def add(self, count: int, resources: Resources) -> None:
        """More agents of one size; they register from now on."""

        def start() -> None:
            http = self._http = self._http or HttpClient()
            for _ in range(count):
                agent = SimulatedAgent(f"host-{len(self.agents)}", resources, self.master, http)
                self.agents.append(agent)
                self._runs.append(self._loop.create_task(agent.run()))

        self._do(start)

    def tasks(self) -> dict[Key, TaskInfo]:
        """What runs."""
        return {key: task for agent in list(self.agents) for key, task in list(agent.tasks.items())}

    def end_all(self, which: slice, state: str = "TASK_FAILED") -> None:
        """All tasks of some agents end by themselves."""

        def end() -> None:
            for agent in self.agents[which]:
                for key in list(agent.tasks):
                    agent.end(key, state)

        self._do(end)

    def _do(self, what: Callable[[], object]) -> None:
        async def do() -> None:
            what()

        asyncio.run_coroutine_threadsafe(do(), self._loop).result(10)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End links and thread. Raises what an agent has raised."""

        async def cancel() -> list[BaseException | None]:
            for run in self._runs:
                run.cancel()
            outcomes = await asyncio.gather(*self._runs, return_exceptions=True)
            if self._http is not None:
                self._http.close()
            await asyncio.sleep(0)  # sockets are closed in the loop's next turn
            return outcomes

        outcomes = asyncio.run_coroutine_threadsafe(cancel(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome


@contextmanager
def simulated_agents(master: str) -> Iterator[SimulatedAgents]:
    """None at first; ended at the end."""
    them = SimulatedAgents(master)
    them.start()
    try:
        yield them
    finally:
        them.stop()
