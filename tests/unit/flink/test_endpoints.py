"""The driver endpoint's HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from headrace.flink.appmaster import events
from headrace.flink.appmaster.driver_endpoint import DriverEndpoint, EventLog
from headrace.flink.appmaster.events import AppMasterEvent, Attachment, TellDriver
from headrace.kernel.http import HttpError, Request, Response, Router

SECRET = "secret"


def request(method: str, path: str, body: bytes = b"", *, token: str = SECRET, query: str = "") -> Request:
    return Request(method, path, query, {"authorization": f"Bearer {token}"}, body)


async def answer(router: Router, asked: Request) -> Response:
    response = router(asked)
    return response if isinstance(response, Response) else await response


class Core:
    """Takes what the endpoint asks, answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[AppMasterEvent] = []
        self.reply: Any = None

    async def ask(self, make: Callable[[int], AppMasterEvent]) -> Any:
        self.asked.append(make(1))
        return self.reply


@pytest.fixture
def door() -> tuple[Core, EventLog, Router]:
    core, log, router = Core(), EventLog(100), Router()
    DriverEndpoint(core.ask, log, "secret").add_routes(router)
    return core, log, router


def post(name: str, **body: object) -> Request:
    return request("POST", f"/driver/v1/{name}", msgspec.json.encode(body))


async def test_attach(door: tuple[Core, EventLog, Router]) -> None:
    core, _, router = door
    core.reply = Attachment(["a"], 7)
    response = await answer(router, post("attach", attempt="x", web="http://w", rpc="h:1"))
    assert response.body == b'{"workers":["a"],"sequence":7}'
    assert core.asked == [events.DriverAttached(1, events.Driver("x", "http://w", "h:1"))]


async def test_request_release_deregister(door: tuple[Core, EventLog, Router]) -> None:
    core, _, router = door
    asked = post("request", id="t-1", cpus=1.0, memory_mib=900, slots=2, jvm="-Xmx1", dynamic=["-D", "a=b"])
    assert (await answer(router, asked)).status == 202
    assert (await answer(router, post("release", id="t-1"))).status == 202
    assert (await answer(router, post("deregister", status="SUCCEEDED", diagnostics=""))).status == 202
    assert [type(event).__name__ for event in core.asked] == [
        "WorkerRequested",
        "WorkerReleased",
        "DriverDeregistered",
    ]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("POST", "/driver/v1/attach", b"{}", token="wrong"), 401),
        (request("GET", "/driver/v1/events", query="after=0", token="secreT"), 401),
        (request("POST", "/driver/v1/attach", b"{}"), 400),
        (request("POST", "/driver/v1/attach", b'{"x":' + b"[" * 100_000), 400),
        (request("POST", "/driver/v1/request", b'{"id":"x","cpus":0,"memory_mib":1}'), 400),
        (request("POST", "/driver/v1/request", b'{"id":"a/b","cpus":1,"memory_mib":1}'), 400),
        (request("GET", "/driver/v1/events", query="after=x"), 400),
        (request("GET", "/driver/v1/events", query="after=%C2%B2"), 400),
        (request("GET", "/driver/v1/events", query="after=" + "9" * 5000), 400),
        (request("GET", "/driver/v1/events", query="after=99"), 410),
        (request("GET", "/driver/v1/events", query="after=101"), 410),
    ],
)
async def test_refusals(door: tuple[Core, EventLog, Router], asked: Request, status: int) -> None:
    core, _, router = door
    with pytest.raises(HttpError) as error:
        await answer(router, asked)
    assert error.value.status == status
    assert not core.asked


async def test_events_are_held_until_seen(door: tuple[Core, EventLog, Router]) -> None:
    _, log, router = door
    poll: Awaitable[Response] = answer(router, request("GET", "/driver/v1/events", query="after=100"))
    waiting = asyncio.ensure_future(poll)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    log.append(TellDriver(101, "started", "t-1", ""))
    log.append(TellDriver(102, "terminated", "t-1", "why"))
    told = (await waiting).body
    assert isinstance(told, bytes)
    assert msgspec.json.decode(told) == {
        "events": [
            {"sequence": 101, "type": "started", "id": "t-1", "reason": ""},
            {"sequence": 102, "type": "terminated", "id": "t-1", "reason": "why"},
        ],
        "sequence": 102,
    }
    response = await answer(router, request("GET", "/driver/v1/events", query="after=101"))
    assert b'"terminated"' in response.body  # type: ignore[operator]


async def test_old_events_are_gone() -> None:
    log = EventLog(0)
    for number in range(1, 1003):
        log.append(TellDriver(number, "started", "t", ""))
    found, last = await log.after(2, 0)
    assert (len(found), last) == (1000, 1002)
    with pytest.raises(HttpError, match="attach again"):
        await log.after(1, 0)
