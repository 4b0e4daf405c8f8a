"""What every request passes before it reaches the API, and every answer behind it."""

from __future__ import annotations

import asyncio
import zlib
from base64 import b64encode
from typing import Any

import pytest

from headrace.kernel.clock import ManualClock
from headrace.kernel.http import EventStream, Request, Response
from headrace.marathon.api.counts import Counts
from headrace.marathon.api.door import Door, Rules, origins

LONG = b"long " * 1000


class Inside:
    """The API: answers with what it is told, when it may."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.free = asyncio.Event()
        self.free.set()
        self.asked: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        await self.free.wait()
        return self.response


def door(response: Response | None = None, counts: Counts | None = None, **rules: Any) -> tuple[Door, Inside]:
    inside = Inside(response or Response(200, b"{}", "application/json"))
    return Door(inside, Rules(**rules), counts or Counts(ManualClock(100.0)), lambda: "http://me:1"), inside


def request(method: str = "GET", path: str = "/v2/apps", **headers: str) -> Request:
    return Request(
        method, path, "", {name.replace("_", "-").lower(): value for name, value in headers.items()}, b"body"
    )


def basic(credentials: str) -> str:
    return "Basic " + b64encode(credentials.encode()).decode()


async def test_the_headers_of_every_answer() -> None:
    answer = await door()[0](request())
    assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
    assert answer.headers["X-Marathon-Leader"] == "http://me:1"
    assert {"Pragma", "Expires", "X-Frame-Options", "X-XSS-Protection"} <= set(answer.headers)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "authorization", ["", "Basic", "Basic !", "Bearer x", basic("me:wrong"), basic("me"), basic("me:right "), "Basic ä"]
)
async def test_who_does_not_know_the_password(authorization: str) -> None:
    it, inside = door(credentials="me:right", realm="Here")
    answer = await it(request(authorization=authorization) if authorization else request())
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="Here"')
    assert inside.asked == []


async def test_who_knows_the_password_and_who_needs_none() -> None:
    it, _ = door(credentials="me:ri:ght")
    assert (await it(request(authorization=basic("me:ri:ght")))).status == 200
    assert (await it(request(authorization=basic("me:ri:ght").replace("Basic", "basic")))).status == 200
    assert (await it(request(path="/ping"))).status == 200
    assert (await it(request(path="/ping/"))).status == 401


async def test_too_many_requests() -> None:
    counts = Counts(ManualClock())
    it, inside = door(counts=counts, max_requests=2)
    inside.free.clear()
    waiting = [asyncio.ensure_future(it(request())) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await it(request())
    assert (refused.status, b"Too many concurrent requests! Allowed: 2." in refused.body) == (503, True)  # type: ignore[operator]
    inside.free.set()
    assert [one.status for one in await asyncio.gather(*waiting)] == [200, 200]
    assert ((await it(request())).status, counts.active_requests) == (200, 0)


@pytest.mark.parametrize(
    ("configured", "origin", "allowed"),
    [
        ("*", "http://x", "*"),
        ("http://a:1, http://b", "http://a:1", "http://a:1"),
        ("http://a:1, http://b", "http://b", "http://b"),
        ("http://a:1, http://b/", "http://B", "http://B"),
        ("http://a:1, http://b", "http://c", None),
        ("http://a:1", "", None),
        (None, "http://a:1", None),
    ],
)
async def test_pages_of_other_sites(configured: str | None, origin: str, allowed: str | None) -> None:
    it, _ = door(origins=origins(configured))
    answer = await it(request(origin=origin) if origin else request())
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed
    if configured and configured != "*":
        assert "Origin" in answer.headers["Vary"]


async def test_a_browser_s_question_before() -> None:
    it, inside = door(origins=origins("http://a"), credentials="me:right")
    asked = request(
        "OPTIONS", origin="http://a", access_control_request_method="GET", access_control_request_headers="X-A"
    )
    answer = await it(asked)
    assert (answer.status, inside.asked) == (200, [])
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert (answer.headers["Access-Control-Allow-Headers"], answer.headers["Access-Control-Max-Age"]) == (
        "X-A",
        "86400",
    )
    other = request("OPTIONS", origin="http://evil", access_control_request_method="GET")
    assert (await it(other)).status == 401


@pytest.mark.parametrize("size", [1024, 100_000])
async def test_long_answers_are_compressed(size: int) -> None:
    body = LONG * 30
    it, _ = door(Response(200, body[:size], "application/json"))
    answer = await it(request(accept_encoding="deflate, gzip;q=0.5"))
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert isinstance(answer.body, bytes)
    assert len(answer.body) < size / 5
    assert zlib.decompress(answer.body, 31) == body[:size]


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "identity, *;q=0"])
async def test_who_does_not_take_it_gets_it_plain(accepted: str) -> None:
    it, _ = door(Response(200, LONG))
    answer = await it(request(accept_encoding=accepted))
    assert (answer.body, "Content-Encoding" in answer.headers) == (LONG, False)


async def test_what_is_not_compressed() -> None:
    stream = EventStream()
    for response in (Response(200, LONG[:1023]), Response(200, stream)):
        answer = await door(response)[0](request(accept_encoding="gzip"))
        assert (answer.body, "Content-Encoding" in answer.headers) == (response.body, False)
    answer = await door(Response(200, LONG), compression=False)[0](request(accept_encoding="gzip"))
    assert answer.body == LONG


async def test_requests_are_counted() -> None:
    clock = ManualClock(100.0)
    counts = Counts(clock)
    it, inside = door(Response(404, b"nothing"), counts=counts)
    inside.free.clear()
    asked = asyncio.ensure_future(it(request("POST")))
    await asyncio.sleep(0)
    assert counts.gauges()["http.requests.active.gauge"] == 1
    clock.advance(2.0)
    inside.free.set()
    await asked
    assert counts.counters["http.requests.size.counter.bytes"] == 4
    assert counts.counters["http.responses.size.counter.bytes"] == 7
    assert counts.meters()["http.responses.4xx.rate.meter"]["count"] == 1
    timers = counts.timers()
    assert timers["http.requests.post.duration.timer.seconds"]["p50"] == 2.0
    assert timers["http.requests.get.duration.timer.seconds"]["count"] == 0
