"""Server and client against each other, and the server against raw bytes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from headrace.kernel.http import (
    EventStream,
    FileBody,
    Handler,
    HttpClient,
    HttpClientError,
    HttpError,
    HttpServer,
    Request,
    Response,
    Router,
)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    http = HttpClient()
    yield http
    http.close()


async def _serve(handler: Handler, **options: int) -> tuple[HttpServer, str]:
    server = HttpServer(handler, max_body=options.get("max_body", 1000))
    await server.start()
    return server, f"http://127.0.0.1:{server.port}"


async def _raw(server: HttpServer, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_request_and_answer_with_query_headers_and_body(client: HttpClient) -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response.json(
            {"path": request.path, "x": request.query["x"], "body": request.body.decode(), "h": request.headers["h"]},
            201,
            {"Location": "/a"},
        )

    server, url = await _serve(handler)
    answer = await client.request("POST", f"{url}/a%20b/c?x=1&x=2", headers={"H": "v"}, body=b"hello")
    assert (answer.status, answer.headers["location"]) == (201, "/a")
    assert answer.json() == {"path": "/a b/c", "x": ["1", "2"], "body": "hello", "h": "v"}
    await server.stop()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.01 if request.path == "/1" else 0)
        return Response.text(request.path)

    server, _ = await _serve(slow)
    answer = await _raw(
        server,
        b"GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    assert answer.index(b"/1") < answer.index(b"/2")
    await server.stop()


async def test_a_kept_connection_that_the_server_closed_is_replaced(client: HttpClient) -> None:
    server, url = await _serve(lambda _: Response.text("one"))
    assert (await client.request("GET", url)).body == b"one"
    port = server.port
    await server.stop()
    again = HttpServer(lambda _: Response.text("two"), port=port)
    await again.start()
    assert (await client.request("GET", url)).body == b"two"
    await again.stop()


async def test_a_post_that_may_have_arrived_is_not_sent_again(client: HttpClient) -> None:
    seen: list[str] = []

    class ClosesOnPost(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            seen.append(data.split()[0].decode())
            assert isinstance(self.transport, asyncio.Transport)
            if data.startswith(b"POST"):
                self.transport.abort()
            else:
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    server = await asyncio.get_running_loop().create_server(ClosesOnPost, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    await client.request("GET", url)
    with pytest.raises(HttpClientError, match="without an answer"):
        await client.request("POST", url, body=b"launch")
    assert seen == ["GET", "POST"]
    server.close()


async def test_answers_are_bounded_and_paths_are_encoded(client: HttpClient) -> None:
    server, url = await _serve(lambda r: Response.text(r.path * 100))
    assert (await client.request("GET", url + "/жив?q=ж")).body.decode().startswith("/жив")
    with pytest.raises(HttpClientError, match="above the limit of 50 bytes"):
        await client.request("GET", url, max_body=50)
    with pytest.raises(HttpClientError, match="no valid port"):
        await client.request("GET", "http://127.0.0.1:70000/")
    await server.stop()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Host: 127.0.0.1:1", 200),
        ("Host: localhost", 200),
        ("Host: evil.example", 403),
        ("Host: localhost\r\nOrigin: https://evil.example", 403),
        ("Host: localhost:8080\r\nOrigin: http://localhost:8080", 200),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site", 403),
    ],
)
async def test_pages_of_other_sites_can_change_nothing(headers: str, status: int) -> None:
    server, _ = await _serve(lambda _: Response.text("done"))
    head = f"POST / HTTP/1.1\r\n{headers}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert (await _raw(server, head.encode())).split()[1] == str(status).encode()
    await server.stop()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000, b"413"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET /boom HTTP/1.1\r\nConnection: close\r\n\r\n", b"500"),
        (b"GET /teapot HTTP/1.1\r\nConnection: close\r\n\r\n", b"418"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"200"),
    ],
)
async def test_bad_requests_get_an_answer_with_a_message(
    data: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(request: Request) -> Response:
        if request.path == "/boom":
            raise ValueError("secret detail")
        if request.path == "/teapot":
            raise HttpError(418, "short and stout")
        return Response.text(request.body.decode())

    server, _ = await _serve(handler)
    answer = await _raw(server, data)
    assert answer.split()[1] == status
    assert b"secret detail" not in answer
    assert status == b"200" or b'{"message":' in answer
    await server.stop()


async def test_streams_reach_the_client_chunk_by_chunk_and_end_on_both_sides(client: HttpClient) -> None:
    stream = EventStream()
    closed: list[bool] = []
    stream.on_close(lambda: closed.append(True))
    server, url = await _serve(lambda _: Response(body=stream, content_type="text/event-stream"))
    stream.send(b"early")
    answer = await client.stream("GET", url)
    chunks = answer.__aiter__()
    assert await anext(chunks) == b"early"
    stream.send(b"later")
    assert await anext(chunks) == b"later"
    answer.close()
    async with asyncio.timeout(60):
        while not closed:
            await asyncio.sleep(0.001)
    stream.send(b"nobody hears it")
    await server.stop()


async def test_a_slow_reader_is_cut_off_and_nobody_waits_for_it() -> None:
    stream = EventStream(limit=100_000)
    server, _ = await _serve(lambda _: Response(body=stream))
    _reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(60):
        while not stream.closed:
            stream.send(b"x" * 50_000)
            await asyncio.sleep(0)
    writer.transport.abort()
    await server.stop()


async def test_files_are_sent_in_part_and_head_has_no_body(client: HttpClient, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    server, url = await _serve(lambda _: Response(body=FileBody(path, 2, 5)))
    assert (await client.request("GET", url)).body == b"23456"
    head = await client.request("HEAD", url)
    assert (head.headers["content-length"], head.body) == ("5", b"")
    await server.stop()


async def test_a_file_that_its_opener_refuses_is_not_sent_and_one_that_it_opens_is_closed(
    client: HttpClient, tmp_path: Path
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    opened: list[BinaryIO] = []

    def opener() -> BinaryIO:
        if opened:
            raise HttpError(403, "private")
        opened.append(path.open("rb"))
        return opened[0]

    server, url = await _serve(lambda _: Response(body=FileBody(tmp_path / "not-this", 0, 4, opener)))
    assert (await client.request("HEAD", url)).status == 200
    assert opened.pop().closed
    assert (await client.request("GET", url)).body == b"0123"
    async with asyncio.timeout(60):
        while not opened[0].closed:  # the answer may be here before the server goes on
            await asyncio.sleep(0)
    assert (await client.request("GET", url)).status == 403
    await server.stop()


async def test_a_request_that_does_not_arrive_and_a_connection_that_rests_are_ended() -> None:
    server = HttpServer(lambda _: Response.text("x"), request_timeout=0.3, idle_timeout=0.3)
    await server.start()
    assert (await _raw(server, b"GET / HTTP/1.1\r\nHost: lo")).split()[1] == b"408"
    assert await _raw(server, b"") == b""
    assert (await _raw(server, b"GET / HTTP/1.1\r\n\r\n")).split()[1] == b"200"
    await server.stop()


async def test_answers_that_nobody_reads_are_not_piled_up() -> None:
    answered: list[int] = []

    def large(_: Request) -> Response:
        answered.append(1)
        return Response(body=b"x" * 1_000_000)

    server, _ = await _serve(large)
    _reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
    writer.write(b"GET / HTTP/1.1\r\n\r\n" * 300)
    for _ in range(200):
        await asyncio.sleep(0.001)
    assert 1 <= len(answered) < 20
    writer.transport.abort()
    await server.stop()


async def test_a_port_in_use_names_the_address() -> None:
    server, _ = await _serve(lambda _: Response())
    with pytest.raises(OSError, match=f"can't listen on 127.0.0.1:{server.port}: another process listens there"):
        await HttpServer(lambda _: Response(), port=server.port).start()
    await server.stop()


async def test_no_server_and_no_answer_are_errors_that_name_the_url(client: HttpClient) -> None:
    server, url = await _serve(lambda _: Response())
    await server.stop()
    with pytest.raises(HttpClientError, match=url):
        await client.request("GET", url)

    async def never(_: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    silent, url = await _serve(never)
    with pytest.raises(HttpClientError, match="no answer within 0.05 s"):
        await client.request("GET", url, timeout=0.05)
    await silent.stop()


async def test_header_injection_is_refused(client: HttpClient) -> None:
    server, url = await _serve(lambda _: Response(headers={"X": "a\r\nEvil: b"}))
    assert "evil" not in (await client.request("GET", url)).headers
    with pytest.raises(HttpClientError, match="line break"):
        await client.request("GET", url, headers={"X": "a\r\nEvil: b"})
    await server.stop()


def test_router_tells_what_may_be_asked() -> None:
    router = Router()
    router.add("GET POST", "/a", lambda request: Response(200))
    router.add("DELETE", "/b/{rest:rest}", lambda request, rest: Response(200))
    assert router.methods("/a") == ["GET", "HEAD", "POST"]
    assert router.methods("/b/c/d") == ["DELETE"]
    with pytest.raises(HttpError, match="nothing at /c"):
        router.methods("/c")


def test_router_finds_handlers_by_method_and_pattern() -> None:
    router = Router()
    router.add("GET", "/apps", lambda r: Response.text("list"))
    router.add("GET", "/apps/{app:rest}/tasks", lambda r, app: Response.text(f"tasks of {app}"))
    router.add("GET DELETE", "/apps/{app:rest}", lambda r, app: Response.text(f"{r.method} {app}"))

    def ask(method: str, path: str) -> bytes:
        answer = router(Request(method, path, "", {}, b""))
        assert isinstance(answer, Response)
        assert isinstance(answer.body, bytes)
        return answer.body

    assert ask("GET", "/apps") == b"list"
    assert ask("GET", "/apps//a/b/tasks") == b"tasks of /a/b"
    assert ask("DELETE", "/apps/a") == b"DELETE a"
    assert ask("HEAD", "/apps") == b"list"
    with pytest.raises(HttpError) as unknown:
        ask("GET", "/nothing")
    assert unknown.value.status == 404
    with pytest.raises(HttpError, match="use GET") as wrong:
        ask("PUT", "/apps")
    assert wrong.value.status == 405


class Written:
    """A transport that keeps what is written, write by write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


def test_a_head_that_waits_goes_out_with_the_first_chunk() -> None:
    transport, stream = Written(), EventStream(head_waits=True)
    stream.attach(cast("asyncio.WriteTransport", transport), b"HEAD")
    assert transport.writes == []
    stream.send(b"ab")
    stream.send(b"c")
    assert transport.writes == [b"HEAD2\r\nab\r\n", b"1\r\nc\r\n"]


def test_a_head_that_waits_goes_out_with_the_end_if_nothing_else_comes() -> None:
    transport, stream = Written(), EventStream(head_waits=True)
    stream.attach(cast("asyncio.WriteTransport", transport), b"HEAD")
    stream.close()
    assert (transport.writes, transport.closed) == ([b"HEAD0\r\n\r\n"], True)
