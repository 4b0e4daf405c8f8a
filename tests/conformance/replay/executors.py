"""The executor side of a transcript: the agent starts ``handover``, and the replay speaks for it.

An executor whose side was recorded says what it said then; the others of the transcript do what the
same program did.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from headrace.kernel.http import HttpClient
from tests.conformance.replay import compare
from tests.conformance.replay.names import Names
from tests.conformance.replay.recording import Entry
from tests.conformance.replay.replay import Replay
from tests.conformance.replay.stage import Stage
from tests.conformance.replay.streams import Stream

PROGRAM = "exec python3 /opt/mesos/py/exec.py "
"""What the recorded commands start with; the name of the executor's side follows."""
_OWN_VALUES = frozenset(("PATH", "PWD", "MESOS_DIRECTORY", "MESOS_SANDBOX"))
"""Variables whose values are the machine's; the directory is compared by itself."""


class Executor:
    """A live executor process, waiting for what to do."""

    def __init__(self, greeting: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.environment: dict[str, str] = greeting["env"]
        self.directory: str = greeting["cwd"]
        self._writer = writer

    @property
    def ids(self) -> dict[str, Any]:
        """As calls name them."""
        env = self.environment
        return {
            "framework_id": {"value": env["MESOS_FRAMEWORK_ID"]},
            "executor_id": {"value": env["MESOS_EXECUTOR_ID"]},
        }

    @property
    def agent(self) -> str:
        return "http://" + self.environment["MESOS_AGENT_ENDPOINT"]

    def exit(self, status: int) -> None:
        """End the process with this status."""
        self._writer.write(b"%d\n" % status)
        self._writer.close()


class Executors:
    """Takes executors over as the agent starts them; ``play`` is called with each and the name of its side."""

    def __init__(self, directory: Path, names: Names, play: Callable[[str, Executor], Awaitable[None]]) -> None:
        self._socket = directory / "executors"
        self._names = names
        self._play = play
        self._server: asyncio.Server | None = None
        self._parts: list[asyncio.Task[None]] = []

    async def start(self, sides: list[str]) -> None:
        """Listen, and let the recorded commands of these sides start ``handover``."""
        self._server = await asyncio.start_unix_server(self._greeted, self._socket)
        for side in sides:
            program = Path(__file__).with_name("handover.py")
            self._names.bind(PROGRAM + side, f"exec {sys.executable} -SE {program} {self._socket} {side}")

    def _greeted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._parts.append(asyncio.create_task(self._take_over(reader, writer)))

    async def _take_over(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = json.loads(await reader.readline())
        await self._play(greeting["argv"][2], Executor(greeting, writer))

    async def stop(self) -> None:
        """Wait for the parts that were played; raises what went wrong in them."""
        if self._server is not None:
            self._server.close()
        try:
            async with asyncio.timeout(60):
                await asyncio.gather(*self._parts)
        finally:
            for part in self._parts:
                part.cancel()


class ExecutorReplay(Replay):
    """The recorded side of one executor. Its events precede the calls that they caused, and follow their own."""

    def __init__(self, name: str, stage: Stage, http: HttpClient, names: Names, executor: Executor) -> None:
        super().__init__(name, stage, http, names)
        self._executor = executor

    async def _step(self, number: int, entry: Entry) -> None:
        if entry["kind"] == "environment":
            self._compare_environment(entry)
        elif entry["kind"] == "note" and entry["text"].startswith("got SHUTDOWN"):
            await self.events.catch_up()
            self._executor.exit(0)
        else:
            await super()._step(number, entry)

    async def _before(self, entry: Entry) -> None:
        """All events that were noted have come, but for the acknowledgement of this very update."""
        body = entry["request"].get("body")
        uuid = body.get("update", {}).get("status", {}).get("uuid") if isinstance(body, dict) else None
        await self.events.catch_up(but=f"ACKNOWLEDGED {uuid}")

    def server(self) -> str:
        return self._executor.agent

    def _compare_environment(self, entry: Entry) -> None:
        recorded, live = dict(entry["env"]), dict(self._executor.environment)
        for name in live.keys() | recorded.keys():
            here, there = live.get(name), recorded.get(name)
            difference = self.verdict.meant(f"environment {name}")
            if difference.skip or (name in _OWN_VALUES and here is not None and there is not None):
                continue
            same = here is not None and there is not None and self._alike(here, there)
            self.verdict.expect(same, f"{name} is {here!r}, not {there!r}")
        self.verdict.expect(self._alike(live["MESOS_SANDBOX"], recorded["MESOS_SANDBOX"]), "MESOS_SANDBOX")
        self.verdict.expect(
            os.path.realpath(live["MESOS_SANDBOX"]) == os.path.realpath(self._executor.directory),
            "the working directory",
        )

    def _alike(self, here: str, there: str) -> bool:
        return compare.normal_text(here, self.names) == compare.normal_text(there, self.names)


async def improvise(executor: Executor, http: HttpClient) -> None:
    """What the recorded program did with any task and message."""
    url = executor.agent + "/api/v1/executor"
    headers = {"Accept": "application/json", "Content-Type": "application/json"}

    async def call(kind: str, **body: Any) -> None:
        content = json.dumps({"type": kind, **executor.ids, kind.lower(): body}).encode()
        answer = await http.request("POST", url, headers=headers, body=content)
        assert answer.status == 202, answer.body

    subscribe = {"type": "SUBSCRIBE", **executor.ids, "subscribe": {}}
    live = await http.stream("POST", url, headers=headers, body=json.dumps(subscribe).encode())
    stream, done, status = Stream(live), 0, None
    while status is None:
        while done == len(stream.events):
            await asyncio.sleep(0.005)
        event = stream.events[done]
        done += 1
        match event["type"]:
            case "LAUNCH":
                task_id = event["launch"]["task"]["task_id"]
                await call("UPDATE", status=_status(task_id, "TASK_STARTING"))
                labels = {"labels": [{"key": "a", "value": "b"}]}
                await call("UPDATE", status=_status(task_id, "TASK_RUNNING", data="aGVsbG8=", labels=labels))
            case "MESSAGE":
                said = base64.b64decode(event["message"]["data"])
                await call("MESSAGE", data=base64.b64encode(b"echo " + said).decode())
                status = 9 if said == b"crash" else None
            case "SHUTDOWN":
                status = 0
    executor.exit(status)
    await stream.close()


def _status(task_id: dict[str, Any], state: str, **more: Any) -> dict[str, Any]:
    uuid = base64.b64encode(os.urandom(16)).decode()
    return {"task_id": task_id, "state": state, "source": "SOURCE_EXECUTOR", "uuid": uuid, **more}
