"""Clients as they are in the world: pymesos, and whatever else HTTP and JSON allow one to send."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from headrace.mesos.messages.scheduler import Call
from tests.cluster.harness import Cluster, cluster, get, wait_for

ROOT = Path(__file__).parent.parent.parent
CLIENTS = Path(sys.prefix) / "clients"
INFO = {
    "user": "root",
    "name": "odd",
    "failover_timeout": 0.0,
    "roles": ["odd"],
    "capabilities": [{"type": "MULTI_ROLE"}],
}
SUBSCRIBE = {"type": "SUBSCRIBE", "subscribe": {"framework_info": INFO}}
JSON = "Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("clients")) as it:
        yield it


# pymesos


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pymesos's dependency http-parser can't be built")
def test_a_framework_and_an_executor_of_pymesos(one: Cluster) -> None:
    assert CLIENTS.exists(), "pymesos is not installed: make setup-test"
    programs = ROOT / "tests" / "cluster" / "clients"
    executor = f"PYTHONPATH={CLIENTS} exec {sys.executable} {programs / 'pymesos_executor.py'}"
    ended = subprocess.run(
        [sys.executable, programs / "pymesos_framework.py", one.master.url.removeprefix("http://"), executor],
        env={**os.environ, "PYTHONPATH": str(CLIENTS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, (said, ended.stderr[-3000:])
    states = {task: _states(said, task) for task in ("quick", "long", "custom")}
    assert states["quick"] == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
    assert states["long"] == ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"]
    assert states["custom"] == ["TASK_RUNNING", "TASK_KILLED"]
    reasons = {line.get("reason") for line in said if line.get("task") == "long"}
    assert "REASON_RECONCILIATION" in reasons
    assert [line["text"] for line in said if line["what"] == "message"] == ["echo ping"]
    assert said[0]["what"] == "registered"
    assert said[-1]["what"] == "done"
    wait_for(lambda: _completed(one, said[0]["framework_id"]), "pymesos tears its framework down")


def _states(said: list[dict[str, Any]], task: str) -> list[str]:
    """The states of a task, without those that reconciliation repeats."""
    updates = [line for line in said if line["what"] == "update" and line["task"] == task]
    return [line["state"] for line in updates if line["reason"] != "REASON_RECONCILIATION"]


def _completed(one: Cluster, framework_id: str) -> bool:
    return framework_id in [f["id"] for f in get(one.master.url + "/frameworks")["completed_frameworks"]]


# Raw HTTP


class Raw:
    """A connection of bytes, as some client's."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), 60)

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def open(self) -> HTTPResponse:
        """The next answer, its body not read. One that goes on is read by ``read_event``."""
        response = HTTPResponse(self.socket)
        response.begin()
        return response

    def answer(self) -> tuple[int, str]:
        """Status and body of the only answer."""
        response = self.open()
        return response.status, response.read().decode()


@contextmanager
def raw(one: Cluster) -> Iterator[Raw]:
    connection = Raw(one.master.url)
    try:
        yield connection
    finally:
        connection.socket.close()


def post(body: str, headers: str = JSON, version: str = "1.1") -> str:
    """A request with its length."""
    length = f"Content-Length: {len(body.encode())}\r\n"
    return f"POST /api/v1/scheduler HTTP/{version}\r\nHost: localhost\r\n{headers}{length}\r\n{body}"


def chunked(body: str, headers: str = JSON, size: int = 7) -> str:
    """A request in chunks, without its length."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = "".join(f"{len(part.encode()):x}\r\n{part}\r\n" for part in parts)
    head = f"POST /api/v1/scheduler HTTP/1.1\r\nHost: localhost\r\n{headers}Transfer-Encoding: chunked\r\n\r\n"
    return f"{head}{chunks}0\r\n\r\n"


def read_event(response: HTTPResponse) -> dict[str, Any]:
    """As a line reader takes it: a line with the length, then so many bytes."""
    event: dict[str, Any] = json.loads(response.read(int(response.readline())))
    return event


@pytest.mark.parametrize(
    "request_text",
    [
        pytest.param(post(json.dumps(SUBSCRIBE)), id="no Accept"),
        pytest.param(post(json.dumps(SUBSCRIBE), JSON + "Accept: */*\r\n"), id="Accept anything"),
        pytest.param(
            post(json.dumps(SUBSCRIBE), JSON + "Accept: text/html, application/json;q=0.5\r\n"), id="Accept list"
        ),
        pytest.param(post(json.dumps(SUBSCRIBE), "content-type: application/json; charset=utf-8\r\n"), id="charset"),
        pytest.param(post(json.dumps(SUBSCRIBE), "CONTENT-TYPE: Application/JSON\r\n"), id="capitals"),
        pytest.param(chunked(json.dumps(SUBSCRIBE)), id="chunked"),
        pytest.param(chunked(json.dumps(SUBSCRIBE), JSON, 1), id="chunks of a byte"),
        pytest.param(post(json.dumps(SUBSCRIBE, indent=2)), id="indented"),
        pytest.param(post(json.dumps({**SUBSCRIBE, "no_such_field": {"a": [1]}})), id="unknown field"),
    ],
)
def test_any_form_of_a_subscription(request_text: str, one: Cluster) -> None:
    with raw(one) as connection:
        connection.send(request_text)
        stream = connection.open()
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "application/json"
        assert stream.headers["Mesos-Stream-Id"]
        kinds = [read_event(stream)["type"] for _ in range(3)]
        assert kinds == ["SUBSCRIBED", "HEARTBEAT", "OFFERS"]


def test_slow_bytes(one: Cluster) -> None:
    with raw(one) as connection:
        text = post(json.dumps(SUBSCRIBE))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(text), 40):
            connection.send(text[at : at + 40])
        assert read_event(connection.open())["type"] == "SUBSCRIBED"


# Null for every unset field


def with_nulls(kind: Any, value: Any) -> Any:
    """``value``, a message of this type in JSON, with null for each field that is not set, at any depth."""
    kind = next((part for part in get_args(kind) if part is not type(None)), kind) if _optional(kind) else kind
    if isinstance(value, list):
        (item,) = get_args(kind) or (Any,)
        return [with_nulls(item, each) for each in value]
    if not (isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return value
    types = get_type_hints(kind)
    fields = {field.encode_name: types[field.name] for field in msgspec.structs.fields(kind)}
    return {name: with_nulls(of, value[name]) if name in value else None for name, of in fields.items()}


def _optional(kind: Any) -> bool:
    return type(None) in get_args(kind)


class Scheduler:
    """A framework whose calls have null for each unset field."""

    def __init__(self, one: Cluster) -> None:
        self._url = one.master.url
        self._connection = Raw(self._url)
        self._connection.send(post(json.dumps(with_nulls(Call, SUBSCRIBE))))
        self.stream = self._connection.open()
        assert self.stream.status == 200, self.stream.read()
        self.framework_id = read_event(self.stream)["subscribed"]["framework_id"]

    def call(self, kind: str, **body: Any) -> tuple[int, str]:
        call: dict[str, Any] = {"type": kind, "framework_id": self.framework_id}
        if body:
            call[kind.lower()] = body
        return self.send(json.dumps(with_nulls(Call, call)))

    def send(self, call: str) -> tuple[int, str]:
        """A call as it is."""
        connection = Raw(self._url)
        try:
            headers = f"{JSON}Mesos-Stream-Id: {self.stream.headers['Mesos-Stream-Id']}\r\n"
            connection.send(post(call, headers))
            return connection.answer()
        finally:
            connection.socket.close()

    def until(self, kind: str) -> dict[str, Any]:
        while (event := read_event(self.stream))["type"] != kind:
            pass
        return event

    def close(self) -> None:
        self._connection.socket.close()


def test_null_for_every_unset_field(one: Cluster) -> None:
    framework = Scheduler(one)
    try:
        offer = framework.until("OFFERS")["offers"]["offers"][0]
        task = {
            "name": "nulls",
            "task_id": {"value": "nulls"},
            "agent_id": offer["agent_id"],
            "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
            "command": {"value": "exit 0"},
        }
        operations = [{"type": "LAUNCH", "launch": {"task_infos": [task]}}]
        assert framework.call("ACCEPT", offer_ids=[offer["id"]], operations=operations) == (202, "")
        states: list[str] = []
        while not states or states[-1] == "TASK_STARTING" or states[-1] == "TASK_RUNNING":
            status = framework.until("UPDATE")["update"]["status"]
            states.append(status["state"])
            ids = {name: status[name] for name in ("agent_id", "task_id", "uuid")}
            assert framework.call("ACKNOWLEDGE", **ids) == (202, "")
        assert states == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], status
        for kind in ("SUPPRESS", "REVIVE"):
            assert framework.call(kind) == (202, "")
        assert framework.call("RECONCILE", tasks=[{"task_id": {"value": "who"}}]) == (202, "")
        assert framework.until("UPDATE")["update"]["status"]["reason"] == "REASON_RECONCILIATION"
        assert framework.call("KILL", task_id={"value": "who"}) == (202, "")
        assert framework.call("DECLINE", offer_ids=[{"value": "none"}]) == (202, "")
        assert framework.call("TEARDOWN") == (202, "")
    finally:
        framework.close()


def test_nulls_do_not_stand_for_what_is_required(one: Cluster) -> None:
    with raw(one) as connection:
        connection.send(
            post(json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": None, "name": "x"}}}))
        )
        status, text = connection.answer()
        assert status == 400
        assert "subscribe.framework_info.user" in text


# Connections


def test_pipelined_calls_are_answered_in_their_order(one: Cluster) -> None:
    with raw(one) as connection:
        wrong = '{"type":"REVIVE","framework_id":{"value":"nobody"}}'
        connection.send(post(wrong) + chunked(wrong) + post("{}") + "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        file = connection.socket.makefile("rb")
        answers = [_read_answer(file) for _ in range(4)]
        assert [status for status, _ in answers] == [400, 400, 400, 200]
        assert [text for _, text in answers[:3]] == [
            "Framework cannot be found",
            "Framework cannot be found",
            "Failed to validate scheduler::Call: Expecting 'type' to be present",
        ]
        file.close()


def _read_answer(file: Any) -> tuple[int, str]:
    status = int(file.readline().split()[1])
    length = 0
    while line := file.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return status, file.read(length).decode()


def test_a_connection_serves_calls_after_refusals(one: Cluster) -> None:
    with raw(one) as connection:
        file = connection.socket.makefile("rb")
        for body, headers, expected in (("{}", "", 400), ("{}", "Content-Type: text/xml\r\n", 415), ("{", JSON, 400)):
            connection.send(post(body, headers))
            assert _read_answer(file)[0] == expected
        connection.send("GET /api/v1/scheduler HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert _read_answer(file)[0] == 405
        file.close()


def test_http_1_0(one: Cluster) -> None:
    with raw(one) as connection:
        connection.send(post('{"type":"REVIVE","framework_id":{"value":"nobody"}}', JSON, "1.0"))
        assert connection.answer() == (400, "Framework cannot be found")
        assert connection.socket.recv(1) == b""  # closed after the answer, as HTTP/1.0 has it


def test_a_client_that_does_not_read_delays_nobody(one: Cluster) -> None:
    """It is cut off when too much waits for it; the other frameworks hear at once all the while."""
    lazy, brisk = Scheduler(one), Scheduler(one)
    try:
        brisk.until("HEARTBEAT")
        tasks = [{"task_id": {"value": f"{number:05d}" + "x" * 200}} for number in range(12_000)]
        many = {"type": "RECONCILE", "framework_id": lazy.framework_id, "reconcile": {"tasks": tasks}}
        body = json.dumps(many)
        for _ in range(20):
            status, text = lazy.send(body)
            if status == 400:
                break
            assert (status, text) == (202, "")
            assert brisk.call("RECONCILE", tasks=[{"task_id": {"value": "who"}}]) == (202, "")
            assert brisk.until("UPDATE")["update"]["status"]["task_id"] == {"value": "who"}
        assert (status, text) == (400, "Framework cannot be found")  # it had no failover timeout
    finally:
        brisk.call("TEARDOWN")
        lazy.close()
        brisk.close()
