"""Forms of messages: how they are negotiated, and that an event is written once for all who take the same form."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from headrace.kernel import recordio
from headrace.kernel.http import Request, Response
from headrace.mesos.agent.api import speaking
from headrace.mesos.content import JSON, MAX_PROTOBUF, PROTOBUF, Format, Spoken, negotiate, sent, wanted
from headrace.mesos.master.api.streams import Streams
from headrace.mesos.master.core.effects import SendToFramework, SendToOperators
from headrace.mesos.messages import operator, operator_answers, scheduler
from headrace.mesos.messages.common import TaskID, TaskStatus


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("Application/JSON; q=0.5", JSON),
        ("application/x-protobuf", PROTOBUF),
        ("text/html, application/x-protobuf;q=0.9", PROTOBUF),
        ("application/x-protobuf, application/json", JSON),
        ("application/x-protobuf, */*", JSON),
        ("text/html", None),
        ("application/recordio", None),
    ],
)
def test_what_a_client_takes(accept: str | None, form: Format | None) -> None:
    assert wanted(accept) is form


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        ("application/json", JSON),
        ("application/json; charset=utf-8", JSON),
        ("APPLICATION/X-PROTOBUF", PROTOBUF),
        ("text/xml", 415),
        ("application/*", 415),
        ("", 400),
        (None, 400),
    ],
)
def test_what_a_client_sends(content_type: str | None, form: Format | int) -> None:
    found = sent(content_type)
    assert (found.status if isinstance(found, Response) else found) == form


def test_each_side_has_its_own_form() -> None:
    headers = {"content-type": "application/x-protobuf", "accept": "application/json"}
    spoken = negotiate(Request("POST", "/api/v1", "", headers, b"\x08\x01"))
    assert isinstance(spoken, Spoken)
    assert spoken.read(operator.Call) == operator.Call("GET_HEALTH")
    answer = spoken.answer(operator_answers.Response("GET_HEALTH"))
    assert (answer.content_type, answer.body) == ("application/json", b'{"type":"GET_HEALTH"}')


@pytest.mark.parametrize("negotiated", [negotiate, speaking.negotiate])
def test_protobuf_has_a_limit_of_its_own(negotiated: Callable[[Request], object]) -> None:
    def ask(content_type: str, size: int) -> object:
        return negotiated(Request("POST", "/api/v1", "", {"content-type": content_type}, b" " * size))

    refusal = ask("application/x-protobuf", MAX_PROTOBUF + 1)
    assert isinstance(refusal, Response)
    assert refusal.status == 413
    assert not isinstance(ask("application/x-protobuf", MAX_PROTOBUF), Response)
    assert not isinstance(ask("application/json", MAX_PROTOBUF + 1), Response)


class Transport(asyncio.WriteTransport):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.ended = True


def connected(streams: Streams, forms: dict[str, Format]) -> dict[str, Transport]:
    transports = {}
    for name, form in forms.items():
        stream = streams.open(name, lambda: None, form)
        transports[name] = Transport()
        stream.attach(transports[name])
    return transports


async def test_an_event_is_written_once_for_each_form(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    for form in (JSON, PROTOBUF):
        write = form.write

        def counted(*arguments: Any, form: Format = form, write: Any = write) -> bytes:
            written.append(form.content_type)
            return bytes(write(*arguments))

        monkeypatch.setattr(form, "write", counted)
    streams = Streams()
    forms = {"a": JSON, "b": PROTOBUF, "c": PROTOBUF, "d": JSON}
    transports = connected(streams, forms)
    streams.perform(SendToOperators((*forms, "gone"), operator_answers.Event("HEARTBEAT")))
    await asyncio.sleep(0)
    assert written == ["application/json", "application/x-protobuf"]
    for name, record in (("a", b'{"type":"HEARTBEAT"}'), ("b", b"\x08\x09"), ("c", b"\x08\x09")):
        assert recordio.encode(record) in transports[name].written
    assert transports["d"].written == transports["a"].written


async def test_who_can_not_be_told_something_is_cut_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    streams = Streams()
    transports = connected(streams, {"a": JSON, "b": PROTOBUF})
    status = TaskStatus(TaskID("t"), "TASK_RUNNING", data="no base64!")
    for name in ("a", "b"):
        streams.perform(SendToFramework(name, scheduler.Event("UPDATE", update=scheduler.Update(status))))
    await asyncio.sleep(0)
    assert (transports["a"].ended, transports["b"].ended) == (False, True)
    assert b"no base64!" in transports["a"].written
    assert "b" not in streams
    assert "stream b was cut: UPDATE can't be written as application/x-protobuf: update.status.data: " in caplog.text
