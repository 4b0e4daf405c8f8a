"""Whose requests are answered: tables of Host, Origin and Sec-Fetch-Site."""

import msgspec
import pytest

from headrace.kernel.http import HttpError, HttpServer, Request, Response, decode_json, origin


@pytest.mark.parametrize(
    ("host", "name", "address"),
    [
        ("127.0.0.1:5050", "127.0.0.1", True),
        ("[::1]:5050", "::1", True),
        ("LocalHost.:80", "localhost", False),
        ("127.0.0.1.evil.example", "127.0.0.1.evil.example", False),
        ("2130706433", "2130706433", False),
        ("localhost, evil.example", "localhost, evil.example", False),
    ],
)
def test_names_of_hosts(host: str, name: str, address: bool) -> None:
    assert origin.host_name(host) == name
    assert origin.is_address(name) == address


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"host": "h:1"}, False),
        ({"host": "h:1", "origin": "http://H:1"}, False),
        ({"host": "h", "origin": "http://h:80"}, False),
        ({"host": "[::1]:1", "origin": "http://[::1]:1"}, False),
        ({"host": "[::1]:1", "origin": "http://[::1]:2"}, True),
        ({"host": "h:1", "origin": "http://h:2"}, True),
        ({"host": "h:1", "origin": "null"}, True),
        ({"origin": "http://h:1"}, True),
        ({"host": "h", "sec-fetch-site": "same-origin"}, False),
        ({"host": "h", "sec-fetch-site": "none"}, False),
        ({"host": "h", "sec-fetch-site": "same-site"}, True),
        ({"host": "h", "sec-fetch-site": "cross-site"}, True),
    ],
)
def test_other_sites_are_told_from_this_one(headers: dict[str, str], foreign: bool) -> None:
    assert (origin.foreign_source(headers) is not None) == foreign


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"host": "h:1"}, False),
        ({"host": "h:1", "referer": "http://H:1/state?x=http://evil.example"}, False),
        ({"host": "h", "referer": "http://h:80"}, False),
        ({"host": "[::1]:1", "referer": "http://[::1]:1/"}, False),
        ({"host": "h:1", "referer": "http://h:2/"}, True),
        ({"host": "h:1", "referer": "http://evil.example/http://h:1/"}, True),
        ({"host": "h:1", "referer": "http://evil.example?http://h:1"}, True),
        ({"host": "h:1", "referer": "h:1"}, True),
        ({"referer": "http://h:1/"}, True),
        ({"host": "h", "referer": "http://h/", "sec-fetch-site": "cross-site"}, True),
        ({"host": "h:1", "origin": "null"}, True),
    ],
)
def test_pages_that_include_scripts_are_told_by_their_referer_too(headers: dict[str, str], foreign: bool) -> None:
    assert (origin.foreign_reader(headers) is not None) == foreign


async def _status(server: HttpServer, method: str, **headers: str) -> int:
    request = Request(method, "/", "", {name.replace("_", "-"): value for name, value in headers.items()}, b"")
    try:
        answer = server.answer(request)
        return (answer if isinstance(answer, Response) else await answer).status
    except HttpError as error:
        return error.status


async def test_names_can_be_allowed_and_reading_is_free_for_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_ALLOWED_HOSTS", "third.example, fourth.example")
    server = HttpServer(lambda _: Response(), host="bound.example", allowed_hosts=["second.example"])
    for name in ("bound", "second", "third", "fourth"):
        assert await _status(server, "POST", host=f"{name}.example:1") == 200
    assert await _status(server, "GET", host="evil.example") == 403
    assert await _status(server, "POST") == 200
    assert await _status(server, "GET", host="localhost", origin="http://evil.example") == 200
    assert await _status(server, "DELETE", host="localhost", origin="http://evil.example") == 403


async def test_the_machines_full_name_is_looked_up_when_somebody_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: "box.lan.example")
    server = HttpServer(lambda _: Response())
    assert await _status(server, "GET", host="other.lan.example") == 403
    assert await _status(server, "GET", host="box.lan.example:5050") == 200


@pytest.mark.parametrize("body", [b"[" * 100_000, b'"\xff"', b"{", b'{"a": "no list"}'])
def test_json_that_can_not_be_read_is_the_clients_mistake(body: bytes) -> None:
    with pytest.raises(HttpError, match="not valid JSON") as refused:
        decode_json(body, msgspec.json.Decoder(dict[str, list[int]]))
    assert refused.value.status == 400
