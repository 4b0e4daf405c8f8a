"""What the client makes of bad URLs and bad answers: HttpClientError, and nothing else."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from headrace.kernel.http import ClientResponse, HttpClient, HttpClientError, HttpServer, Request, Response
from headrace.kernel.http import client as client_module


@pytest.mark.parametrize(
    "url",
    ["http://a..b/", "http://[::1/", "http://127.0.0.1:0/", "http://127.0.0.1:70000/", "http://h\0x/", "ftp://h/"],
)
async def test_urls_that_lead_nowhere(url: str) -> None:
    with pytest.raises(HttpClientError):
        await HttpClient().request("GET", url)


async def test_headers_that_can_not_be_sent() -> None:
    with pytest.raises(HttpClientError, match="Latin-1"):
        await HttpClient().request("GET", "http://127.0.0.1:1/", headers={"X": "ж"})


@pytest.mark.parametrize("body", [b"[" * 100_000, b'"\xff"', b"{"])
def test_answers_that_are_no_json(body: bytes) -> None:
    answer = ClientResponse(500, {}, body)
    assert answer.message
    with pytest.raises(msgspec.DecodeError):
        answer.json()


async def test_a_unix_socket_in_place_of_the_host(tmp_path: Path) -> None:
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        writer.close()

    path = str(tmp_path / "socket")
    client = HttpClient(unix_socket=path)
    with pytest.raises(HttpClientError, match=f"can't reach {path}: No such file"):
        await client.request("GET", "http://engine/x")
    async with await asyncio.start_unix_server(answer, path):
        assert (await client.request("GET", "http://engine/x")).body == b"hi"
    assert asked[0].startswith(b"GET /x HTTP/1.1\r\nHost: engine\r\n")
    client.close()


async def test_unused_connections_are_bounded_and_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(_: Request) -> Response:
        return Response.text("hi")

    servers = [HttpServer(handler) for _ in range(4)]
    client = HttpClient()
    monkeypatch.setattr(client_module, "MAX_IDLE", 2)
    for server in servers:
        await server.start()
        await client.request("GET", f"http://127.0.0.1:{server.port}/")
    ports = [server.port for server in servers]
    assert [port for _, _, port in client._idle] == ports[2:]
    await client.request("GET", f"http://127.0.0.1:{ports[2]}/")
    assert [port for _, _, port in client._idle] == [ports[3], ports[2]], "the one used last is kept longest"
    monkeypatch.setattr(client_module, "MAX_IDLE_TIME", -1.0)
    await client.request("GET", f"http://127.0.0.1:{ports[2]}/")
    assert (client._idle, client._kept) == ({}, 0)
    client.close()
    none = HttpClient(max_idle=0)
    await none.request("GET", f"http://127.0.0.1:{ports[0]}/")
    assert none._idle == {}
    for server in servers:
        await server.stop()


async def test_several_requests_at_once_are_answered_in_their_order() -> None:
    seen, peers = [], set()

    async def handler(request: Request) -> Response:
        seen.append(request.body)
        peers.add(request.peer)
        await asyncio.sleep(0)
        return Response.text(f"no {request.body.decode()}", 400 if request.body == b"1" else 200)

    server = HttpServer(handler)
    await server.start()
    client = HttpClient()
    url = f"http://127.0.0.1:{server.port}/"
    bodies = [str(number).encode() for number in range(50)]
    for _ in range(2):
        answers = await client.request_all("POST", url, headers={"X": "y"}, bodies=bodies)
        assert [answer.body for answer in answers] == [b"no " + body for body in bodies]
        assert [answer.status for answer in answers] == [200, 400] + [200] * 48
    (one,) = await client.request_all("POST", url, bodies=[b"one"])
    assert (await client.request("POST", url, body=b"two")).body == b"no two"
    assert (one.body, seen, len(peers)) == (b"no one", [*bodies, *bodies, b"one", b"two"], 1)
    client.close()
    await server.stop()


@pytest.mark.parametrize(
    ("second", "error"),
    [
        (b"", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "broke off"),
        (b"rubbish\r\n", "broke off"),
    ],
)
async def test_of_several_requests_all_or_none_are_answered(second: bytes, error: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" + second)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(HttpClientError, match=error):
            await HttpClient().request_all("POST", url, bodies=[b"", b""])


async def test_the_end_of_a_connection_is_no_answer() -> None:
    """Also not after one whose head says nothing of its length, as that of a 204."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n" * 2)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(HttpClientError, match="broke off"):
            await HttpClient().request_all("POST", url, bodies=[b"", b"", b""])


async def test_of_several_requests_none_may_be_answered_without_end() -> None:
    def handler(_: Request) -> Response:
        return Response.text("x" * 3_000_000)

    server = HttpServer(handler)
    await server.start()
    with pytest.raises(HttpClientError, match="broke off"):
        await HttpClient().request_all("POST", f"http://127.0.0.1:{server.port}/", bodies=[b"", b""])
    await server.stop()


async def test_a_client_that_was_closed_keeps_no_connection() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def handler(_: Request) -> Response:
        asked.set()
        await go_on.wait()
        return Response.text("hi")

    server = HttpServer(handler)
    await server.start()
    client = HttpClient()
    asking = asyncio.create_task(client.request("GET", f"http://127.0.0.1:{server.port}/"))
    await asked.wait()
    client.close()
    go_on.set()
    assert (await asking).body == b"hi"
    async with asyncio.timeout(60):
        while server._connections:
            await asyncio.sleep(0.01)
    await server.stop()
