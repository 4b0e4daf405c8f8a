"""What a Marathon that does not lead makes of requests, and what it keeps of its session."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from headrace.kernel.http import HttpServer, Request, Response
from headrace.kernel.zookeeper import SessionId, parse
from headrace.marathon import flags, proxy
from headrace.marathon import standby as standbys
from headrace.marathon.front import Front
from headrace.marathon.proxy import Forward, Own, Place, Redirect, Refuse, Wait, decide
from headrace.marathon.session_file import Kept, SessionFile
from headrace.marathon.standby import Standby

PLACE = Place("me:1", "you:2")
ALONE = Place("me:1", None)


@pytest.mark.parametrize(
    ("path", "via", "place", "expected"),
    [
        ("/ping", "", PLACE, Own()),
        ("//ping/", "1.1 me:1", ALONE, Own()),
        ("/v2/apps", "1.1 other:1,1.1 me:1", PLACE, Refuse(502, "Detected proxying loop.")),
        ("/v2/apps", "", ALONE, Wait()),
        ("/v2/events", "", ALONE, Wait()),
        ("/v2/apps", "", Place("me:1", "me:1"), Wait()),
        ("/v2//leader", "", ALONE, Refuse(404, "There is no leader")),
        ("/v2/events", "", PLACE, Redirect("http://you:2/v2/events?a=b%20c")),
        ("//v2/events/", "", PLACE, Redirect("http://you:2//v2/events/?a=b%20c")),
        ("/v2/eventsx", "", PLACE, Forward("GET", "http://you:2/v2/eventsx?a=b%20c", {proxy.VIA: "1.1 me:1"})),
        ("/v2/apps//ä ?#%", "1.1 a:1", PLACE,
         Forward("GET", "http://you:2/v2/apps//%C3%A4%20%3F%23%25?a=b%20c", {proxy.VIA: "1.1 a:1, 1.1 me:1"})),
    ],
)  # fmt: skip
def test_what_becomes_of_a_request(path: str, via: str, place: Place, expected: proxy.Decision) -> None:
    headers = {"x-marathon-via": via} if via else {}
    assert decide("GET", path, "a=b%20c", headers, place) == expected


def test_which_headers_go_to_the_leader() -> None:
    given = {
        "host": "me:1",
        "connection": "close",
        "content-length": "3",
        "accept-encoding": "gzip",
        "origin": "http://me:1",
        "sec-fetch-site": "same-origin",
        "authorization": "Basic x",
        "x-own": "1",
    }
    forward = decide("HEAD", "/v2/apps", "", given, Place("me:1", "you:2", "https"))
    assert forward == Forward(
        "GET", "https://you:2/v2/apps", {"authorization": "Basic x", "x-own": "1", proxy.VIA: "1.1 me:1"}
    )


def test_which_headers_come_back() -> None:
    given = {"marathon-deployment-id": "d", "content-type": "x", "cache-control": "y", "date": "z", "location": "/l"}
    assert proxy.answered(given, "me:1") == {
        "Marathon-Deployment-Id": "d",
        "Location": "/l",
        "X-Marathon-Via": "1.1 me:1",
    }


def options(*words: str) -> Any:
    return flags.parse(["--master=m:1", "--http_port=0", "--zk=zk://z:1/m", *words])


def request(method: str, path: str, body: bytes = b"") -> Request:
    return Request(method, path, "", {}, body)


def message(response: Response | None) -> tuple[int, bytes]:
    assert response is not None
    assert isinstance(response.body, bytes)
    return response.status, response.body


async def test_who_waits_is_answered_when_there_is_a_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standbys, "PATIENCE", 600.0)

    async def handle(asked: Request) -> Response:
        return Response.text(f"{asked.method} {asked.path}", 201, {"X-Own": "1"})

    server = HttpServer(handle)
    await server.start()
    place = [ALONE]
    standby = Standby(options(), lambda: place[0])
    waiting = asyncio.create_task(standby(request("POST", "/v2/apps")))
    await asyncio.sleep(0)
    place[0] = Place("me:1", f"127.0.0.1:{server.port}")
    standby.moved()
    response = await waiting
    assert message(response) == (201, b"POST /v2/apps")
    assert response is not None
    assert response.headers["X-Own"] == "1"
    standby.close()
    await server.stop()


async def test_who_waits_is_handed_over_when_this_process_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standbys, "PATIENCE", 600.0)
    front = Front(options())
    front.standby = standby = Standby(options(), lambda: ALONE)
    waiting = asyncio.create_task(front._answer(request("GET", "/v2/apps")))
    await asyncio.sleep(0)

    async def api(asked: Request) -> Response:
        return Response.text("mine")

    front.leads(api)
    assert message(await waiting) == (200, b"mine")
    assert await standby(request("GET", "/v2/apps")) is None


async def test_a_question_to_a_leader_that_is_silent_is_put_to_the_next_one() -> None:
    asked: list[str] = []
    free = asyncio.Event()

    async def silent(one: Request) -> Response:
        asked.append(one.method)
        await free.wait()
        return Response.text("late")

    async def next_one(one: Request) -> Response:
        return Response.text("next")

    servers = [HttpServer(silent), HttpServer(next_one)]
    for server in servers:
        await server.start()
    places = [Place("me:1", f"127.0.0.1:{server.port}") for server in servers]
    place = [places[0]]
    standby = Standby(options("--leader_proxy_read_timeout=600000"), lambda: place[0])
    reading = asyncio.create_task(standby(request("GET", "/v2/apps")))
    writing = asyncio.create_task(standby(request("DELETE", "/v2/apps/a")))
    while len(asked) < 2:
        await asyncio.sleep(0.001)
    place[0] = places[1]
    standby.moved()
    assert message(await reading) == (200, b"next")
    assert not writing.done()
    free.set()
    assert message(await writing) == (200, b"late")
    standby.close()
    for server in servers:
        await server.stop()


async def test_a_leader_that_stays_silent() -> None:
    async def silent(one: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    server = HttpServer(silent)
    await server.start()
    standby = Standby(
        options("--leader_proxy_read_timeout=100", "--leader_proxy_connection_timeout=100"),
        lambda: Place("me:1", f"127.0.0.1:{server.port}"),
    )
    answer = await standby(request("DELETE", "/v2/apps/a"))
    assert message(answer) == (504, b'{"message":"Connection to leader timed out."}')
    standby.close()
    await server.stop()


async def test_a_leader_that_is_not_there() -> None:
    standby = Standby(options(), lambda: Place("me:1", "127.0.0.1:1"))
    assert message(await standby(request("GET", "/v2/apps"))) == (502, b'{"message":"Connection to leader refused."}')
    standby.close()


SESSION = SessionId(7, "00ff")


@pytest.mark.parametrize("elsewhere", ["zk://c:1/m", "zk://a:1,b:2/other", "zk://me:pass@a:1,b:2/m"])
def test_the_session_file_is_for_the_next_process_at_the_same_address(
    tmp_path: Path, elsewhere: str, caplog: pytest.LogCaptureFixture
) -> None:
    here = parse("zk://you:pass@a:1,b:2/m", "--zk")
    first = SessionFile(tmp_path / "data", here)
    assert first.read() is None
    first.write(SESSION)
    path = tmp_path / "data" / "zookeeper-session"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"pass" not in path.read_bytes().replace(b'"password"', b"")
    second = SessionFile(tmp_path / "data", here)  # the first one lives: its session is its own
    assert second.read() is None
    (warning,) = caplog.records
    assert (warning.levelname, "--data" in warning.getMessage()) == ("WARNING", True)
    second.write(SessionId(8, "01"))
    second.close()
    kept = path.read_bytes()
    first.close()
    assert not path.exists()
    path.write_bytes(kept)  # as a process that is killed leaves it
    other = SessionFile(tmp_path / "data", parse(elsewhere, "--zk"))
    assert other.read() is None
    assert other.read_other() == Kept(("a:1", "b:2"), "/m", "you", SESSION)
    other.close()
    path.write_bytes(kept)
    after = SessionFile(tmp_path / "data", here)
    assert (after.read(), after.read_other()) == (SESSION, None)
    path.write_bytes(b"{")
    assert (after.read(), after.read_other()) == (None, None)
    after.close()


def test_where_no_file_can_be_made_no_session_is_kept(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    it = SessionFile(tmp_path / "data", parse("zk://a:1/m", "--zk"))
    it.write(SESSION)
    assert it.read() is None
    it.close()
