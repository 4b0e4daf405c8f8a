"""The door of an agent's v1 operator API: what is refused before anybody is asked, and in which form it answers."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.kernel import recordio
from headrace.kernel.http import EventStream, Request, RequestStream, Response
from headrace.kernel.log import Verbosity
from headrace.kernel.protobuf.decoding import decode
from headrace.kernel.protobuf.encoding import encode
from headrace.mesos.agent.api.container_calls import ContainerCalls
from headrace.mesos.agent.api.operator_api import OperatorApi
from headrace.mesos.agent.containers.session import STDOUT, Session, Sessions
from headrace.mesos.agent.core.events import ContainerAnswer, ContainerCalled, ContainerGivenUp
from headrace.mesos.agent.sandbox.files import Files
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.logging_toggle import LoggingToggle
from headrace.mesos.messages import agent_operator as api
from headrace.mesos.messages.common import ContainerID
from headrace.mesos.messages.common.containers import TTYInfo, WindowSize
from headrace.mesos.own_log import OwnLog
from tests.unit.mesos.agent.agent_world import World, task

JSON, PROTOBUF, RECORDIO = "application/json", "application/x-protobuf", "application/recordio"


class Facts:
    def flags(self) -> dict[str, str]:
        return {"port": "5051"}

    def metrics(self) -> dict[str, float]:
        return {"slave/registered": 1.0}


class FakeShell:
    """Hands calls to a core, as the shell does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.posted: list[Any] = []

    async def ask(self, make: Any) -> Any:
        event = make(1)
        assert isinstance(event, ContainerCalled)
        self.world.handle(event)
        return self.world.answers.get(1, ContainerAnswer(200))

    def post(self, *events: Any) -> None:
        self.posted += events


class Channel:
    """What a session's command was given."""

    def __init__(self) -> None:
        self.given: list[Any] = []

    async def write(self, data: bytes) -> None:
        self.given.append(data)

    def close_input(self) -> None:
        self.given.append("end")

    def resize(self, rows: int, columns: int) -> None:
        self.given.append((rows, columns))

    def flow(self, on: bool) -> None:
        self.given.append(on)


class Door:
    """The API on an agent whose core is in a world of its own, with one session."""

    def __init__(self, directory: Path) -> None:
        self.world = World()
        self.world.register()
        self.world.run(task("t"))
        self.world.start("c-1")
        self.shell = FakeShell(self.world)
        self.sessions = Sessions()
        self.channel = Channel()
        self.session = self.sessions["c-1.s"] = Session(self.channel, terminal=False)
        calls = self.containers = ContainerCalls(self.sessions)
        calls.attach(self.shell, self.world.core)  # type: ignore[arg-type]
        (directory / "log").write_text("said\n")
        files = Files(Layout(directory), lambda: "S0", OwnLog("/slave/log", directory / "log"))
        toggle = LoggingToggle(Verbosity(), float)
        self.api = OperatorApi(lambda: self.world.core, Facts(), files, toggle, calls)

    async def ask(self, body: Any, **headers: str) -> Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.api(Request("POST", "/api/v1", "", given, content))

    async def upload(self, *records: bytes, end: bool = True, message_content_type: str = "") -> Response:
        """The answer to a stream of records; without an ``end`` when the session has ended."""
        stream = RequestStream(lambda: None)
        for record in records:
            stream.feed(recordio.encode(record))
        if end:
            stream.finish()
        given = {"content-type": RECORDIO, "message-content-type": message_content_type}
        asking = asyncio.create_task(self.api(Request("POST", "/api/v1", "", given, b"", stream=stream)))
        await asyncio.sleep(0)
        if not end:
            while not self.session.input_taken:
                await asyncio.sleep(0)
            self.session.end()
        return await asyncio.wait_for(asking, 60)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def said(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()


def container(*names: str) -> ContainerID:
    found = None
    for name in names:
        found = ContainerID(name, found)
    assert found is not None
    return found


FIRST = api.Call(
    "ATTACH_CONTAINER_INPUT", attach_container_input=api.AttachInput("CONTAINER_ID", container("c-1", "s"))
)


def typed(data: bytes) -> api.Call:
    said = api.ProcessIO("DATA", api.IOData("STDIN", base64.b64encode(data).decode()))
    return api.Call("ATTACH_CONTAINER_INPUT", attach_container_input=api.AttachInput("PROCESS_IO", process_io=said))


def as_json(call: api.Call) -> bytes:
    return msgspec.json.encode(call)


@pytest.mark.parametrize("kind", ["GET_HEALTH", "GET_FLAGS", "GET_EXECUTORS", "GET_FRAMEWORKS", "GET_CONTAINERS"])
async def test_it_reads_and_answers_in_both_forms(door: Door, kind: str) -> None:
    plain = await door.ask({"type": kind}, accept=JSON)
    assert (plain.status, plain.content_type) == (200, JSON)
    other = await door.ask(encode(api.Call(kind)), content_type=PROTOBUF, accept=PROTOBUF)
    assert (other.status, other.content_type) == (200, PROTOBUF)
    assert isinstance(other.body, bytes)
    found = decode(other.body, api.Response)
    assert found.type == kind
    assert getattr(found, kind.lower()) is not None


async def test_what_has_no_such_form_is_told(door: Door) -> None:
    answer = await door.ask({"type": "GET_TASKS"}, accept=PROTOBUF)  # the ids of this world's statuses are no base64
    assert answer.status == 406
    assert "accept application/json" in said(answer)
    assert (await door.ask({"type": "GET_TASKS"}, accept=JSON)).status == 200


@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        ({"content_type": ""}, 400, "Expecting 'Content-Type' to be present"),
        ({"content_type": "text/plain"}, 415, f"Expecting 'Content-Type' of {JSON} or {PROTOBUF} or {RECORDIO}"),
        (
            {"message_content_type": JSON},
            415,
            "Expecting 'Message-Content-Type' to be not set for non-streaming requests",
        ),
        ({"accept": "text/html"}, 406, f"Expecting 'Accept' to allow {JSON} or {PROTOBUF} or {RECORDIO}"),
        (
            {"accept": RECORDIO, "message_accept": "a/b"},
            406,
            f"Expecting 'Message-Accept' to allow {JSON} or {PROTOBUF}",
        ),
        ({"message_accept": JSON}, 406, "Expecting 'Message-Accept' to be not set for non-streaming responses"),
    ],
)
async def test_forms_that_it_does_not_speak(door: Door, headers: dict[str, str], status: int, why: str) -> None:
    for kind in ("GET_HEALTH", "LIST_FILES", "PRUNE_IMAGES", "LAUNCH_NESTED_CONTAINER_SESSION"):
        answer = await door.ask({"type": kind}, **headers)
        assert (answer.status, said(answer)) == (status, why)


@pytest.mark.parametrize("call", [{"type": "GET_HEALTH"}, {"type": "LIST_FILES", "list_files": {"path": "/slave/log"}}])
async def test_streams_are_for_what_goes_on(door: Door, call: dict[str, Any]) -> None:
    answer = await door.ask(call, accept=RECORDIO)
    assert (answer.status, said(answer)) == (406, f"Streaming response is not supported for {call['type']} call")
    answer = await door.ask({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": {"type": "CONTAINER_ID"}})
    why = f"Expecting 'Content-Type' to be {RECORDIO} for ATTACH_CONTAINER_INPUT call"
    assert (answer.status, said(answer)) == (415, why)
    assert (await door.ask(call, accept=f"{RECORDIO}, {PROTOBUF}")).content_type == PROTOBUF


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"type": "KILL_CONTAINER", "kill_container": {"container_id": {"value": "a"}, "signal": 0}}, "is no signal"),
        ({"type": "KILL_CONTAINER", "kill_container": {"container_id": {"value": "a"}, "signal": 99}}, "is no signal"),
        ({"type": "WAIT_CONTAINER", "wait_container": {"container_id": {"value": "a.b"}}}, "invalid characters"),
        ({"type": "NONSENSE"}, "Expecting 'type' to be present"),
        ({}, "Expecting 'type' to be present"),
        ({"type": "READ_FILE", "read_file": {"path": "/x", "offset": -1}}, ""),
    ],
)
async def test_calls_that_make_no_sense(door: Door, body: dict[str, Any], why: str) -> None:
    answer = await door.ask(body)
    assert answer.status == 400
    assert why in said(answer)


async def test_its_own_log(door: Door) -> None:
    listed = json.loads(said(await door.ask({"type": "LIST_FILES", "list_files": {"path": "/slave/log"}})))
    assert listed == {"type": "LIST_FILES", "list_files": {}}
    read = {"type": "READ_FILE", "read_file": {"path": "/slave/log", "offset": 1}}
    assert json.loads(said(await door.ask(read)))["read_file"] == {
        "size": 5,
        "data": base64.b64encode(b"aid\n").decode(),
    }
    read["read_file"] = {"path": "/slave/log", "offset": -1}
    assert (await door.ask(read)).status == 400


async def test_input_is_handed_over_in_order_and_to_one_only(door: Door) -> None:
    size = api.ProcessIO("CONTROL", control=api.IOControl("TTY_INFO", tty_info=_tty(5, 6)))
    resized = api.Call("ATTACH_CONTAINER_INPUT", attach_container_input=api.AttachInput("PROCESS_IO", process_io=size))
    calls = (FIRST, typed(b"one"), resized, typed(b""))
    answer = await door.upload(*map(as_json, calls), message_content_type=JSON)
    assert (answer.status, said(answer)) == (200, "")
    assert door.channel.given == [b"one", (5, 6), "end"]
    assert not door.session.input_taken
    answer = await door.upload(*map(encode, (FIRST, typed(b"two"))), message_content_type=PROTOBUF)
    assert answer.status == 200
    assert door.channel.given[-1] == b"two"
    door.session.input_taken = True
    answer = await door.upload(as_json(FIRST), message_content_type=JSON)
    assert answer.status == 409


async def test_input_is_answered_when_the_session_ends(door: Door) -> None:
    answer = await door.upload(as_json(FIRST), end=False, message_content_type=JSON)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("records", "form", "status"),
    [
        ([], JSON, 400),
        ([b"{}"], JSON, 400),
        ([b'{"type":"GET_HEALTH"}'], JSON, 415),
        ([b"no JSON"], JSON, 400),
        ([as_json(typed(b"x"))], JSON, 400),
        ([as_json(FIRST), as_json(FIRST)], JSON, 400),
        ([as_json(FIRST)], "", 400),
        ([as_json(FIRST)], "text/plain", 415),
        ([b"x" * (1024 * 1024 + 1)], JSON, 400),
    ],
)
async def test_input_that_is_none(door: Door, records: list[bytes], form: str, status: int) -> None:
    assert (await door.upload(*records, message_content_type=form)).status == status
    assert not door.session.input_taken


async def test_output_in_the_form_of_each_listener(door: Door) -> None:
    body = {
        "type": "ATTACH_CONTAINER_OUTPUT",
        "attach_container_output": {"container_id": {"value": "s", "parent": {"value": "c-1"}}},
    }
    streams = []
    for kind in (JSON, PROTOBUF):
        answer = await door.ask(body, accept=RECORDIO, message_accept=kind)
        assert (answer.status, answer.content_type, answer.headers) == (200, RECORDIO, {"Message-Content-Type": kind})
        assert isinstance(answer.body, EventStream)
        streams.append(answer.body)
    door.session.wrote(STDOUT, b"words")
    plain, other = (recordio.Decoder().feed(b"".join(stream._early))[0] for stream in streams)
    assert json.loads(plain)["data"] == {"type": "STDOUT", "data": base64.b64encode(b"words").decode()}
    assert decode(other, api.ProcessIO) == api.ProcessIO(
        "DATA", api.IOData("STDOUT", json.loads(plain)["data"]["data"])
    )
    door.session.end()
    assert all(stream.closed for stream in streams)
    assert (await door.ask(body, accept=RECORDIO, message_accept="text/html")).status == 406


@pytest.mark.parametrize(
    ("kind", "path"), [("WAIT_CONTAINER", "x"), ("LAUNCH_NESTED_CONTAINER_SESSION", "c-1.x")], ids=["waits", "launches"]
)
async def test_a_client_that_goes_is_forgotten_by_the_number_of_its_request(door: Door, kind: str, path: str) -> None:
    class Waiting(FakeShell):
        async def ask(self, make: Any) -> Any:
            make(7)
            await asyncio.Event().wait()

    shell = Waiting(door.world)
    door.api._containers.attach(shell, door.world.core)  # type: ignore[arg-type]
    body = {"type": kind, kind.lower(): {"container_id": msgspec.to_builtins(container(*path.split(".")))}}
    asking = asyncio.create_task(door.ask(body))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert shell.posted == [ContainerGivenUp(path, 7)]


def _tty(rows: int, columns: int) -> TTYInfo:
    return TTYInfo(WindowSize(rows, columns))
