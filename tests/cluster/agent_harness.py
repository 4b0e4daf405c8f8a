"""A master that is only a stub, and real agent processes under it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from headrace.kernel import process, recordio
from headrace.kernel.daemon import read_ready
from headrace.kernel.http import ClientResponse, EventStream, HttpClient, HttpError, HttpServer, Request, Response
from headrace.mesos.messages.agent_link import (
    AcknowledgeUpdate,
    AgentCall,
    AgentEvent,
    KillTask,
    Register,
    Registered,
    RunTasks,
    StatusUpdate,
)
from headrace.mesos.messages.common import (
    AgentID,
    CommandInfo,
    FrameworkID,
    FrameworkInfo,
    KillPolicy,
    Resource,
    Scalar,
    TaskID,
    TaskInfo,
    TaskStatus,
    is_terminal,
)
from tests.cluster.harness import PORTS, HeldPort

DEADLINE = 60.0
"""Seconds: a loaded machine is slow, and to wait longer costs nothing when all is well."""
PING_INTERVAL = 1000.0
"""The stub does not ping, and after three of these the agent would register again."""
FRAMEWORK = FrameworkInfo("root", "tests", FrameworkID("fw-1"), checkpoint=True, roles=["test"])


class StubMaster:
    """Registers agents and acknowledges updates. ``acknowledges`` can be turned off."""

    def __init__(self) -> None:
        self.acknowledges = True
        self.registrations: list[Register] = []
        self.calls: list[AgentCall] = []
        self.statuses: dict[str, list[TaskStatus]] = {}
        self.arrivals: dict[tuple[str, str], float] = {}
        self.resent = 0
        self.stream: EventStream | None = None
        self.on_register: Callable[[Register], AgentEvent] = lambda _: Registered(AgentID("agent-S0"), PING_INTERVAL)
        self._changed = asyncio.Event()
        self._server = HttpServer(self._answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    def send(self, event: AgentEvent) -> None:
        assert self.stream is not None
        self.stream.send(recordio.encode(msgspec.json.encode(event)))

    def launch(self, *tasks: TaskInfo, framework: FrameworkInfo = FRAMEWORK) -> None:
        self.send(RunTasks(framework, list(tasks)))

    def kill(self, task_id: str, policy: KillPolicy | None = None) -> None:
        self.send(KillTask(FrameworkID("fw-1"), TaskID(task_id), policy))

    def acknowledge(self, update: StatusUpdate) -> None:
        if update.status.uuid:
            self.send(AcknowledgeUpdate(update.framework_id, update.status.task_id, update.status.uuid))

    def states(self, task_id: str) -> list[str]:
        """The different states told of a task, in order."""
        return [status.state for status in self.statuses.get(task_id, [])]

    def last(self, task_id: str) -> TaskStatus:
        return self.statuses[task_id][-1]

    async def until(self, condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
        """Wait for a condition about what has come in."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            told = {task: [s.state for s in statuses] for task, statuses in self.statuses.items()}
            raise AssertionError(f"not within {seconds} s; told so far: {told}") from None

    async def until_state(self, task_id: str, state: str, seconds: float = DEADLINE) -> TaskStatus:
        await self.until(lambda: state in self.states(task_id), seconds)
        return next(status for status in self.statuses[task_id] if status.state == state)

    async def until_ended(self, task_id: str, seconds: float = DEADLINE) -> TaskStatus:
        await self.until(lambda: any(map(is_terminal, self.states(task_id))), seconds)
        return self.last(task_id)

    def _answer(self, request: Request) -> Response:
        if request.path != "/api/v1/agent":
            raise HttpError(404, "the stub has nothing there")
        if not request.body.startswith(b"["):
            return self._register(msgspec.json.decode(request.body, type=Register))
        for call in msgspec.json.decode(request.body, type=list[AgentCall]):
            self.calls.append(call)
            if isinstance(call, StatusUpdate):
                self._update(call)
        self._changed.set()
        return Response(202)

    def _register(self, register: Register) -> Response:
        self.registrations.append(register)
        self.stream = EventStream()
        self.send(self.on_register(register))
        self._changed.set()
        return Response(200, self.stream, "application/json", {"Mesos-Stream-Id": "s-1"})

    def _update(self, update: StatusUpdate) -> None:
        known = self.statuses.setdefault(update.status.task_id.value, [])
        if any(status.uuid == update.status.uuid for status in known):
            self.resent += 1
        else:
            known.append(update.status)
            self.arrivals[update.status.task_id.value, update.status.state] = time.monotonic()
        if self.acknowledges:
            self.acknowledge(update)


class Agent:
    """One agent process; ``kill`` is SIGKILL."""

    def __init__(self, master: str, data: Path, *flags: str) -> None:
        self._port = HeldPort()  # for later starts, too
        self._argv = [
            "--master",
            master,
            "--data",
            str(data),
            "--port",
            str(self._port.number),
            "--resources",
            f"cpus:64;mem:65536;disk:9999;ports:{PORTS}",
        ]
        self._argv += flags
        self.data = data
        self.http = HttpClient()
        self.url = ""
        self.log = data.parent / f"{data.name}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "headrace.mesos.agent", *self._argv, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), DEADLINE)
        ready = read_ready(line.decode())
        assert ready is not None, self.log.read_text()
        self.url = ready.url

    async def signal(self, number: int) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), DEADLINE)

    async def kill(self) -> None:
        await self.signal(signal.SIGKILL)

    async def wait(self) -> int:
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), DEADLINE)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def get(self, path: str) -> ClientResponse:
        return await self.http.request("GET", self.url + path)

    async def json(self, path: str) -> Any:
        answer = await self.get(path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    async def dispose(self) -> None:
        """End the agent and every task that it left."""
        if self.runs:
            await self.kill()
        for run_dir in (self.data / "meta" / "runs").glob("*"):
            process.signal_group(run_dir, signal.SIGKILL)
        self.http.close()

    def sandbox(self, task_id: str) -> Path:
        executors = self.data / "slaves" / "agent-S0" / "frameworks" / "fw-1" / "executors"
        return (executors / task_id / "runs" / "latest").resolve()


def task(task_id: str, command: str | CommandInfo, **more: Any) -> TaskInfo:
    """A command task of little resources."""
    info = CommandInfo(command) if isinstance(command, str) else command
    resources = [Resource("cpus", "SCALAR", scalar=Scalar(0.01)), Resource("mem", "SCALAR", scalar=Scalar(1))]
    return TaskInfo(task_id, TaskID(task_id), AgentID("agent-S0"), resources, command=info, **more)
