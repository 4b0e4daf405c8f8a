"""An agent under a stub of a master that also knows /master/state, and its containers by the v1 operator API."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import pty
import random
import re
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from headrace.kernel import recordio
from headrace.kernel.http import ClientStream, ClientUpload, Request, Response
from tests.cluster.agent_harness import DEADLINE, Agent, StubMaster

HEADRACE = str(Path(sys.executable).with_name("headrace"))
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
STREAM = {**JSON, "Accept": "application/recordio", "Message-Accept": "application/json"}
UPLOAD = {"Content-Type": "application/recordio", "Message-Content-Type": "application/json"}


class StateMaster(StubMaster):
    """Tells commands where ``agent`` is, and that the tasks of the tests run."""

    agent: Agent

    def _answer(self, request: Request) -> Response:
        if request.path != "/master/state":
            return super()._answer(request)
        statuses = [{"state": "TASK_RUNNING", "timestamp": 1.0}]
        tasks = [
            {"id": task_id, "framework_id": "fw-1", "slave_id": "agent-S0", "state": states[-1].state}
            | {"statuses": statuses}
            for task_id, states in self.statuses.items()
        ]
        pid = f"slave(1)@{self.agent.url.removeprefix('http://')}"
        slaves = [{"id": "agent-S0", "hostname": "here", "pid": pid}]
        return Response.json({"slaves": slaves, "frameworks": [{"id": "fw-1", "name": "tests", "tasks": tasks}]})


class Containers:
    """The containers of an agent; ``parent`` is that of the task."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.parent: dict[str, Any] = {}

    async def in_task(self, task_id: str) -> None:
        """Go on in the container of this task."""
        shown = await self.agent.json("/containers?show_nested=true")
        found = next((one for one in shown if one.get("executor_id") == task_id), None)
        assert found is not None, shown
        self.parent = found["status"]["container_id"]

    def id(self, name: str) -> dict[str, Any]:
        return {"value": name, "parent": self.parent} if self.parent else {"value": name}

    async def call(self, kind: str, **body: Any) -> tuple[int, Any]:
        """Status and body of a call's answer."""
        said = {"type": kind, **({kind.lower(): body} if body else {})}
        url = f"{self.agent.url}/api/v1"
        answer = await self.agent.http.request("POST", url, headers=JSON, body=json.dumps(said).encode())
        is_json = answer.headers.get("content-type") == "application/json"
        return answer.status, json.loads(answer.body) if is_json else answer.body.decode()

    async def launch(self, name: str, command: str, **more: Any) -> None:
        kind = "LAUNCH_NESTED_CONTAINER" if self.parent else "LAUNCH_CONTAINER"
        assert await self.call(kind, container_id=self.id(name), command={"value": command}, **more) == (200, "")

    async def wait(self, name: str) -> int | None:
        """How it ended, as wait(2) has it."""
        kind = "WAIT_NESTED_CONTAINER" if self.parent else "WAIT_CONTAINER"
        status, body = await self.call(kind, container_id=self.id(name))
        assert status == 200, body
        return int(body[kind.lower()]["exit_status"])

    async def session(self, name: str, command: str, size: tuple[int, int] | None = None) -> Session:
        body: dict[str, Any] = {"container_id": self.id(name), "command": {"value": command}}
        if size is not None:
            body["container"] = {"type": "MESOS", "tty_info": {"window_size": _window(*size)}}
        return await self._opened("LAUNCH_NESTED_CONTAINER_SESSION", body)

    async def watch(self, name: str) -> Session:
        """Its output from now on."""
        return await self._opened("ATTACH_CONTAINER_OUTPUT", {"container_id": self.id(name)})

    async def input(self, name: str) -> Input:
        upload = await self.agent.http.upload("POST", f"{self.agent.url}/api/v1", headers=UPLOAD)
        given = Input(upload)
        await given.say({"type": "CONTAINER_ID", "container_id": self.id(name)})
        return given

    async def _opened(self, kind: str, body: dict[str, Any]) -> Session:
        said = json.dumps({"type": kind, kind.lower(): body}).encode()
        stream = await self.agent.http.stream("POST", f"{self.agent.url}/api/v1", headers=STREAM, body=said)
        assert stream.status == 200, await stream.read()
        assert stream.headers["message-content-type"] == "application/json"
        return Session(stream)


class Input:
    """A connection that sends input."""

    def __init__(self, upload: ClientUpload) -> None:
        self.upload = upload

    async def say(self, body: dict[str, Any]) -> None:
        call = {"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": body}
        await self.upload.send(recordio.encode(json.dumps(call).encode()))

    async def type(self, data: bytes) -> None:
        """Input; no bytes: its end."""
        said = {"type": "DATA", "data": {"type": "STDIN", "data": base64.b64encode(data).decode()}}
        await self.say({"type": "PROCESS_IO", "process_io": said})

    async def resize(self, rows: int, columns: int) -> None:
        control = {"type": "TTY_INFO", "tty_info": {"window_size": _window(rows, columns)}}
        await self.say({"type": "PROCESS_IO", "process_io": {"type": "CONTROL", "control": control}})

    async def answer(self) -> tuple[int, str]:
        answer = await self.upload.answer()
        self.upload.close()
        return answer.status, answer.body.decode()


class Session:
    """A connection that gets output."""

    def __init__(self, stream: ClientStream) -> None:
        self.stream = stream
        self.written = {"STDOUT": bytearray(), "STDERR": bytearray()}
        self._records = recordio.Decoder()
        self._chunks = aiter(stream)

    async def until(self, pattern: str, seconds: float = DEADLINE) -> str:
        """What STDOUT is when it matches."""
        try:
            async with asyncio.timeout(seconds):
                while not re.search(pattern.encode(), self.written["STDOUT"], re.DOTALL):
                    self._take(await anext(self._chunks))
        except (TimeoutError, StopAsyncIteration) as error:
            raise AssertionError(f"{pattern!r} is not written: {error!r}; {self.written}") from None
        return self.written["STDOUT"].decode()

    async def rest(self, seconds: float = DEADLINE) -> str:
        """All of STDOUT."""
        async with asyncio.timeout(seconds):
            async for chunk in self._chunks:
                self._take(chunk)
        return self.written["STDOUT"].decode()

    def _take(self, chunk: bytes) -> None:
        for record in self._records.feed(chunk):
            said = json.loads(record)
            if said["type"] == "DATA":
                self.written[said["data"]["type"]] += base64.b64decode(said["data"]["data"])


class Terminal:
    """A command of ours with a terminal for its stdin, stdout and stderr."""

    def __init__(self, *arguments: str, rows: int = 24, columns: int = 80) -> None:
        self._arguments = arguments
        self.master, self._slave = pty.openpty()
        os.set_blocking(self.master, False)
        self.resize(rows, columns)
        self.shown = b""
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            HEADRACE,
            *self._arguments,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
        )
        os.close(self._slave)
        asyncio.get_running_loop().add_reader(self.master, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        os.close(self.master)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    async def until(self, pattern: str, seconds: float = DEADLINE) -> None:
        """Wait for what is shown."""
        try:
            async with asyncio.timeout(seconds):
                while not re.search(pattern.encode(), self.shown, re.DOTALL):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{pattern!r} is not shown within {seconds} s: {self.shown!r}") from None

    async def ended(self, seconds: float = DEADLINE) -> int:
        return await asyncio.wait_for(self.process.wait(), seconds)

    def _read(self) -> None:
        try:
            self.shown += os.read(self.master, 65536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self.master)
        self._news.set()


async def headrace(*arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run the ``headrace`` command; its exit status and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        HEADRACE,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), DEADLINE)
    assert process.returncode is not None
    return process.returncode, out, err


async def until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    """The first true value of ``condition``."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := condition()):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None
    return found


def some_time() -> str:
    """Seconds for ``sleep`` that nobody else sleeps."""
    return f"1000.{random.randrange(10**12)}"


def processes_with(marker: str) -> list[int]:
    """Ids of processes whose environment or command line holds ``marker``."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            held = (directory / "cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in held and int(directory.name) != os.getpid():
            found.append(int(directory.name))
    return found


def _window(rows: int, columns: int) -> dict[str, int]:
    return {"rows": rows, "columns": columns}
