"""Executor calls as Mesos answers them: texts and statuses of the recorded traffic."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from headrace.kernel.clock import SystemClock
from headrace.kernel.core import Effect
from headrace.kernel.http import EventStream, Request
from headrace.kernel.shell import Shell
from headrace.kernel.store import memory
from headrace.mesos.agent.api.executor_api import ExecutorApi, read
from headrace.mesos.agent.core.events import AgentInput
from headrace.mesos.door import CallError
from tests.unit.mesos.agent.agent_world import World, delivered

TRANSCRIPT = Path(__file__).parents[3] / "conformance/data/exec_01_executor_side.json"
UUID = "RJS5YzXrRaq6hXcBIfBYvw=="
IDS = {"executor_id": {"value": "e"}, "framework_id": {"value": "fw"}}
STATUS = {"task_id": {"value": "t"}, "state": "TASK_RUNNING", "source": "SOURCE_EXECUTOR", "uuid": UUID}


def update(**changes: Any) -> dict[str, Any]:
    status = {name: value for name, value in (STATUS | changes).items() if value != "absent"}
    return {**IDS, "type": "UPDATE", "update": {"status": status}}


VALID = "Failed to validate Executor::Call: "
CONVERT = "Failed to convert JSON into Call protobuf: "
CASES = [
    (update(uuid="absent"), VALID + "Expecting 'uuid' to be present"),
    (update(uuid=None), VALID + "Expecting 'uuid' to be present"),
    (update(uuid="YWJj"), VALID + "Not a valid UUID"),
    (update(uuid="?"), CONVERT + "Failed to base64 decode bytes field 'uuid': Invalid character '?'"),
    (update(data="a"), CONVERT + "Failed to base64 decode bytes field 'data': Invalid length"),
    (
        {**IDS, "type": "MESSAGE", "message": {"data": "no!"}},
        CONVERT + "Failed to base64 decode bytes field 'data': Invalid character '!'",
    ),
    (
        update(source="SOURCE_AGENT"),
        VALID + "Received Call from executor e of framework fw with invalid source, expecting 'SOURCE_EXECUTOR'",
    ),
    (
        update(source="absent"),
        VALID + "Received Call from executor e of framework fw with invalid source, expecting 'SOURCE_EXECUTOR'",
    ),
    (
        update(state="TASK_STAGING"),
        VALID + "Received TASK_STAGING from executor e of framework fw which is not allowed",
    ),
    (update(state="absent"), CONVERT + "Missing required fields: update.status.state"),
    (update(state="TASK_HAPPY"), CONVERT + "Missing required fields: update.status.state"),
    (
        update(executor_id={"value": "zz"}),
        VALID + "ExecutorID in Call: e does not match ExecutorID in TaskStatus: zz",
    ),
    ({**IDS, "type": "UPDATE"}, VALID + "Expecting 'update' to be present"),
    ({**IDS, "type": "MESSAGE", "message": None}, VALID + "Expecting 'message' to be present"),
    ({**IDS, "type": "SUBSCRIBE"}, VALID + "Expecting 'subscribe' to be present"),
    ({**IDS, "type": "FOO"}, VALID + "Expecting 'type' to be present"),
    (IDS, VALID + "Expecting 'type' to be present"),
    (
        {"type": "MESSAGE", "message": {"data": "aGk="}},
        CONVERT + "Missing required fields: executor_id, framework_id",
    ),
    ({**IDS, "framework_id": None, "type": "MESSAGE"}, CONVERT + "Missing required fields: framework_id"),
    ([], CONVERT + "Expecting a JSON object"),
]


@pytest.mark.parametrize(("call", "text"), CASES)
def test_what_is_wrong_with_a_call_is_told_in_mesos_words(call: Any, text: str) -> None:
    with pytest.raises(CallError) as caught:
        read(json.dumps(call).encode())
    assert str(caught.value) == text


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"x":' + b"[" * 100_000])
def test_what_is_no_json_is_told_so(body: bytes) -> None:
    with pytest.raises(CallError, match="Failed to parse body into JSON"):
        read(body)


def test_fields_that_are_null_are_as_good_as_absent() -> None:
    call = read(json.dumps({**IDS, "type": "SUBSCRIBE", "subscribe": {"unacknowledged_tasks": None}}).encode())
    assert call.subscribe


@pytest.mark.skipif(not TRANSCRIPT.exists(), reason="the recorded traffic is not here")
async def test_refusals_are_those_of_the_recorded_traffic() -> None:
    """Every call of the recording that was refused gets the same status and text."""
    entries = _recorded()
    framework_id = entries[0]["env"]["MESOS_FRAMEWORK_ID"]
    refused = [e for e in entries if e["kind"] == "http" and e["response"]["status"] not in (200, 202)]
    assert len(refused) > 15
    world = World()
    world.register()
    world.run(delivered("ex-bad", "pyexec"))
    world.start("c-1")
    frameworks = world.core.frameworks
    frameworks[framework_id] = frameworks["fw"]

    def perform(effect: Effect) -> None:
        pass

    shell: Shell[AgentInput] = Shell(world.core, memory.MemoryStore(), perform, SystemClock())
    api = ExecutorApi()
    api.attach(shell)
    task = asyncio.create_task(shell.run())
    try:
        for entry in refused:
            if entry["label"] != "UPDATE before SUBSCRIBE":
                world.core.frameworks["fw"].executors["pyexec"].stream = 1  # type: ignore[union-attr]
            answer = await api(_request(entry["request"]))
            wanted = entry["response"]
            assert answer.status == wanted["status"], entry["label"]
            assert isinstance(answer.body, bytes)
            assert answer.body.decode() == wanted["body"], entry["label"]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_subscription_is_a_stream_and_before_recovery_there_is_none() -> None:
    world = World()
    world.register()
    world.run(delivered("t"))
    world.start("c-1")
    api = ExecutorApi()
    request = {"method": "POST", "headers": {"Content-Type": "application/json"}}
    body = {**IDS, "type": "SUBSCRIBE", "subscribe": {}}
    early = await api(_request({**request, "body": body}))
    assert (early.status, early.body) == (503, b"Agent has not finished recovery")
    shell: Shell[AgentInput] = Shell(world.core, memory.MemoryStore(), lambda _: None, SystemClock())
    api.attach(shell)
    task = asyncio.create_task(shell.run())
    answer = await api(_request({**request, "body": body}))
    assert isinstance(answer.body, EventStream)
    assert (answer.status, answer.content_type) == (200, "application/json")
    answer.body.close()
    async with asyncio.timeout(60):
        while (await api(_request({**request, "body": update()}))).status != 403:
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _recorded() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(TRANSCRIPT.read_text())["entries"]
    return entries


def _request(recorded: dict[str, Any]) -> Request:
    headers = {name.lower(): value for name, value in recorded["headers"].items()}
    body = recorded["body"]
    raw = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Request(recorded["method"], "/api/v1/executor", "", headers, raw)
