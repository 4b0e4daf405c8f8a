"""The recorded traffic of operators with a real Mesos agent, replayed against ours under a stub of a master.

What is asked of containers has to be answered in the same words (``oper_07``). What the agent tells of itself
(``oper_06``), where much is the machine's, has to have every recorded field, of the same type, that ours mean to have.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.kernel import recordio
from headrace.kernel.http import ClientResponse
from headrace.mesos.messages.agent_link import RunGroup
from headrace.mesos.messages.common import (
    AllocationInfo,
    Capability,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    Identifier,
    TaskInfo,
)
from tests.cluster.agent_harness import Agent, StubMaster, task
from tests.conformance.differences import AGENT_FIELDS, AGENT_METRICS_LEFT_OUT, DIFFERENCES, SAME, Difference
from tests.conformance.replay import compare
from tests.conformance.replay.names import Names
from tests.conformance.replay.recording import Entry

DATA = Path(__file__).parent / "data"
GETS, NESTED = "oper_06_agent_gets", "oper_07_agent_nested"
_MASTER = "c8fa3d30-545a-4a68-88a5-27cdd8f559a4"
_CONTAINERS = {"ag-run": "50ee3e5c-7719-420d-b7f6-9f611e4476de", "nest": "d81723a7-594a-4f11-86b1-8addd8cca5c3"}
"""The recorded containers of tasks that run."""
_OPEN = ("flags", "/files/debug")
"""Objects whose fields depend on the set-up."""


def recorded(name: str) -> list[Entry]:
    entries: list[Entry] = json.loads((DATA / f"{name}.json").read_text())["entries"]
    return entries


class Scene:
    """An agent on which something runs, and what stands here for what was recorded."""

    def __init__(self, directory: Path) -> None:
        self.master = StubMaster()
        self.names = Names()
        self.directory = directory
        self.found: list[str] = []

    async def start(self) -> None:
        await self.master.start()
        flags = ("--resources", "cpus:8;mem:8192;disk:20480;ports:[31000-32000]", "--attributes", "rack:r1;zone:z")
        self.agent = Agent(self.master.url, self.directory / "agent", *flags)
        await self.agent.start()
        await self.master.until(lambda: bool(self.master.registrations))
        self.names.bind(f"{_MASTER}-S1", "agent-S0")

    async def stop(self) -> None:
        await self.agent.dispose()
        await self.master.stop()

    async def run(self, framework: str, *tasks: TaskInfo) -> None:
        """Have them run, or be over."""
        info = of_framework(framework, "anchor")
        self.master.launch(*tasks, framework=info)
        for one in tasks:
            command = (one.command.value if one.command is not None else None) or ""
            if "sleep" in command:
                await self.master.until_state(one.task_id.value, "TASK_RUNNING")
            else:
                await self.master.until_ended(one.task_id.value)

    async def bind(self, task_id: str) -> None:
        """The container of a task that runs."""
        shown = await self.agent.json("/containers")
        live = next(one["container_id"] for one in shown if one["executor_id"] == task_id)
        self.names.bind(_CONTAINERS[task_id], live)

    async def ask(self, request: dict[str, Any]) -> ClientResponse:
        body, headers = request.get("body"), dict(request["headers"])
        for name in ("Host", "Connection", "Content-Length"):
            headers.pop(name, None)
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        url = self.agent.url + self._live(request["path"])
        return await self.agent.http.request(request["method"], url, headers=headers, body=self._live(text).encode())

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.found.append(what)

    def done(self) -> None:
        assert not self.found, "\n".join(self.found)

    def _live(self, text: str) -> str:
        text = self.names.live(text)
        return re.sub(r"/opt/mesos/run-5050/agent1(?=/slaves/)", str(self.agent.data), text)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    it = Scene(tmp_path)
    await it.start()
    yield it
    await it.stop()


def of_framework(framework_id: str, name: str) -> FrameworkInfo:
    capabilities = [Capability("MULTI_ROLE")]
    return FrameworkInfo("root", name, FrameworkID(framework_id), 60.0, True, roles=["test"], capabilities=capabilities)


def one_task(task_id: str, command: str) -> TaskInfo:
    """With resources that are allocated to a role."""
    info = task(task_id, command)
    allocated = [msgspec.structs.replace(r, allocation_info=AllocationInfo("test")) for r in info.resources or ()]
    return msgspec.structs.replace(info, resources=allocated)


def meant(name: str, number: int, entry: Entry) -> Difference:
    label = str(entry.get("label"))
    return DIFFERENCES.get((name, f"{label} [{number}]"), DIFFERENCES.get((name, label), SAME))


async def test_calls_about_containers(scene: Scene) -> None:
    await scene.run("fw", task("nest", "sleep 600"))
    await scene.bind("nest")
    scene.names.bind("935dd7e6-bfa3-4a58-86bc-b5935b19c1a7-0000", "fw")
    streams: dict[str, tuple[list[Any], int]] = {}
    compared = 0
    for number, entry in enumerate(recorded(NESTED)):
        what, other = f"[{number}] {entry.get('label') or entry['kind']}", meant(NESTED, number, entry)
        match entry["kind"]:
            case "http":
                answer = await scene.ask(entry["request"])
                compared += 1
                await same(scene, what, entry, answer, other)
            case "http-stream-open":
                answer = await scene.ask(entry["request"])
                expected = entry["response"]
                for header in ("Content-Type", "Message-Content-Type", "Transfer-Encoding"):
                    live, wanted = answer.headers.get(header.lower()), expected["headers"].get(header)
                    scene.expect(live == wanted, f"{what}: {header} is {live}, not {wanted}")
                streams[entry["stream"]] = [json.loads(r) for r in recordio.Decoder().feed(answer.body)], 0
            case "event":
                events, _ = streams[entry["stream"]]
                scene.expect(entry["event"] in events, f"{what}: {entry['event']} is not among {events}")
            case "stream-closed":
                events, _ = streams[entry["stream"]]
                count = sum(e["kind"] == "event" and e["stream"] == entry["stream"] for e in recorded(NESTED))
                scene.expect(len(events) == count, f"{what}: {events}")
    scene.done()
    assert compared > 30


async def same(scene: Scene, what: str, entry: Entry, answer: ClientResponse, other: Difference) -> None:
    """Compare an answer word by word."""
    expected = entry["response"]
    status = other.status or expected["status"]
    scene.expect(answer.status == status, f"{what}: {answer.status} {answer.body[:200]!r} instead of {status}")
    body = expected["body"] if other.body is None else json.loads(other.body) if other.body[:1] == "{" else other.body
    if isinstance(body, dict):
        left_out = frozenset(AGENT_FIELDS)
        ours, theirs = (compare.normal(one, scene.names, left_out) for one in (answer.json(), body))
        scene.expect(ours == theirs, "\n".join([f"{what}:", *compare.unlike(ours, theirs)]))
    else:
        wanted = scene.names.live(body)
        scene.expect(answer.body.decode() == wanted, f"{what}: {answer.body[:200]!r} instead of {wanted!r}")
    kind = expected["headers"].get("Content-Type")
    scene.expect(
        answer.headers.get("content-type") == kind, f"{what}: {answer.headers.get('content-type')}, not {kind}"
    )


async def test_what_it_tells_of_itself(scene: Scene) -> None:
    await _what_was_there(scene)
    compared = 0
    for number, entry in enumerate(recorded(GETS)):
        what, other = f"[{number}] {entry['label'][:60]}", meant(GETS, number, entry)
        if other.skip:
            continue
        compared += 1
        answer, expected = await scene.ask(entry["request"]), entry["response"]
        status = other.status or expected["status"]
        scene.expect(answer.status == status, f"{what}: {answer.status} {answer.body[:200]!r} instead of {status}")
        if other is not SAME:
            continue
        kind, live = expected["headers"].get("Content-Type"), answer.headers.get("content-type")
        if expected["body"]:
            scene.expect(live == kind, f"{what}: {live}, not {kind}")
        if isinstance(expected["body"], dict | list):
            for line in missing(expected["body"], answer.json(), ""):
                scene.expect(False, f"{what}: {line}")
        elif answer.status == 200:
            scene.expect(answer.body.decode() == expected["body"], f"{what}: {answer.body[:100]!r}")
    scene.done()
    assert compared > 30


async def _what_was_there(scene: Scene) -> None:
    """Three frameworks: two with a task that has ended, one of them in a group; one with another that runs."""
    numbers = {
        name: f"{_MASTER}-{number}" for name, number in (("first", "0000"), ("second", "0002"), ("third", "0004"))
    }
    await scene.run(numbers["first"], one_task("op-fail", "false"))
    group = of_framework(numbers["second"], "ev-fw2")
    one = one_task("ev-2", "true")
    executor = ExecutorInfo(Identifier("ev-ex"), "DEFAULT", group.id, resources=one.resources)
    scene.master.send(RunGroup(group, executor, [one]))
    await scene.master.until_ended("ev-2")
    running = one_task("ag-run", "echo out; echo err 1>&2; exec sleep 600")
    await scene.run(numbers["third"], one_task("ag-done", "echo done"), running)
    await scene.bind("ag-run")

    async def told() -> dict[str, Any]:
        state: dict[str, Any] = await scene.agent.json("/state")
        return state

    async with asyncio.timeout(60):  # the executor of the group waits a second
        while len((await told())["completed_frameworks"]) < 2:
            await asyncio.sleep(0.05)
        written = scene.agent.data / "slaves/agent-S0/frameworks" / numbers["third"] / "executors/ag-run/runs/latest"
        while not (written / "stderr").exists() or (written / "stderr").read_text() != "err\n":
            await asyncio.sleep(0.05)


def missing(expected: Any, live: Any, at: str) -> list[str]:
    """Fields of ``expected`` that ``live`` lacks or has with another type."""
    if isinstance(expected, dict) and isinstance(live, dict):
        if at.endswith(_OPEN):
            return []
        parent = re.sub(r"\[\d*\]", "", at).rpartition(".")[2]
        return [
            line
            for field, value in expected.items()
            if f"{parent}.{field}" not in AGENT_FIELDS
            and not AGENT_METRICS_LEFT_OUT.search(field)
            and not field.startswith("/")
            for line in (
                missing(value, live[field], f"{at}.{field}") if field in live else [f"{at}.{field} is missing"]
            )
        ]
    if isinstance(expected, list) and isinstance(live, list):
        if not expected:
            return []
        names = {one.get("name") for one in live if isinstance(one, dict)}
        if isinstance(expected[0], dict) and {"name", "value"} == set(expected[0]):
            return [
                f"{at}: no {one['name']}"
                for one in expected
                if parent_of(at) == "metrics"
                and one["name"] not in names
                and not AGENT_METRICS_LEFT_OUT.search(one["name"])
            ]
        name = expected[0].get("name") if isinstance(expected[0], dict) else None
        fits = next((one for one in live if isinstance(one, dict) and name and one.get("name") == name), None)
        return missing(expected[0], fits or live[0], f"{at}[0]") if live else [f"{at} is empty"]
    numbers = (int, float)
    if isinstance(expected, numbers) and isinstance(live, numbers):
        return []
    return [] if type(expected) is type(live) else [f"{at} is {live!r}, not {expected!r}"]


def parent_of(at: str) -> str:
    return at.rpartition(".")[2]


def test_the_recorded_bytes_are_what_they_seem() -> None:
    events = [entry["event"] for entry in recorded(NESTED) if entry["kind"] == "event"]
    assert [base64.b64decode(event["data"]["data"]) for event in events] == [b"session-out\n", b"session-err\n"]
