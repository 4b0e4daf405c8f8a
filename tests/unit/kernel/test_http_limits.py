"""What a client can make the server hold: pipelining, slow senders, slow readers, idle connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace.kernel.http import EventStream, FileBody, Handler, HttpServer, Request, Response


@asynccontextmanager
async def _connected(
    handler: Handler, *, request_timeout: float = 30.0, idle_timeout: float = 75.0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server = HttpServer(handler, request_timeout=request_timeout, idle_timeout=idle_timeout)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(60):
            yield reader, writer
    finally:
        writer.transport.abort()
        await server.stop()


async def test_nothing_more_is_read_while_a_request_waits() -> None:
    gate = asyncio.Event()
    seen: list[str] = []

    async def handler(request: Request) -> Response:
        seen.append(request.path)
        await gate.wait()
        return Response.text("x")

    async with _connected(handler) as (reader, writer):
        writer.write(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
        body = b"b" * 1_000_000
        upload = b"POST /u HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for _ in range(20):
            writer.write(upload)
        drained = asyncio.create_task(writer.drain())
        done, _ = await asyncio.wait((drained,), timeout=0.2)
        assert not done  # 20 MB don't fit into sockets: the server has stopped taking them
        assert seen == ["/1"]
        gate.set()
        await drained
        for _ in range(22):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            await reader.readexactly(1)
        assert seen == ["/1", "/2"] + ["/u"] * 20


async def test_a_client_that_does_not_read_is_not_answered_further() -> None:
    answered = 0

    def handler(_: Request) -> Response:
        nonlocal answered
        answered += 1
        return Response(body=b"x" * 1_000_000)

    async with _connected(handler) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
        await asyncio.sleep(0.1)
        assert answered < 50
        for _ in range(100):
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(1_000_000)
        assert answered == 100


async def test_a_request_that_trickles_is_refused_in_time() -> None:
    async with _connected(lambda _: Response(), request_timeout=0.05) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n")
        feed = asyncio.create_task(_trickle(writer))
        head = await reader.readuntil(b"\r\n\r\n")
        feed.cancel()
        assert head.split()[1] == b"408"


async def _trickle(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.01)


async def test_idle_connections_are_closed_but_not_streams_nor_long_answers() -> None:
    stream = EventStream()

    async def handler(request: Request) -> Response:
        if request.path == "/slow":
            await asyncio.sleep(0.6)
            return Response.text("slow")
        return Response(body=stream)

    async with _connected(handler, request_timeout=0.3, idle_timeout=0.3) as (reader, _):
        assert await reader.read() == b""
    async with _connected(handler, request_timeout=0.3, idle_timeout=0.3) as (reader, writer):
        writer.write(b"GET /slow HTTP/1.1\r\n\r\n")
        assert (await reader.read()).endswith(b"slow")
    async with _connected(handler, request_timeout=0.3, idle_timeout=0.3) as (reader, writer):
        writer.write(b"GET /stream HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.6)
        stream.send(b"still here")
        assert await reader.readuntil(b"here")
        writer.write(b"GET /never HTTP/1.1\r\n\r\n")  # is taken no notice of
        await asyncio.sleep(0.02)  # unread bytes would make the close a reset
        stream.close()
        assert (await reader.read()).endswith(b"0\r\n\r\n")


async def test_a_refusal_comes_after_the_answers_before_it() -> None:
    async def handler(_: Request) -> Response:
        await asyncio.sleep(0.02)
        return Response.text("first")

    async with _connected(handler) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.01)
        writer.write(b"this is not HTTP\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.index(b"first") < answer.index(b"HTTP/1.1 400")


async def test_a_server_may_be_stopped_while_it_sends_a_file(tmp_path: Path) -> None:
    """Python 3.11 logs InvalidStateError if a transport is closed under the file that it sends."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    said: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(context))
    server = HttpServer(lambda _: Response(200, FileBody(path, 0, path.stat().st_size)))
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    await server.stop()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(path.stat().st_size)
    writer.close()
    assert said == []


async def test_a_reader_that_stalls_in_a_file_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(256 * 1024 * 1024)
    body = FileBody(path, 0, path.stat().st_size)
    async with _connected(lambda _: Response(200, body), idle_timeout=0.05) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)  # reads nothing for longer than it may
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(body.length)
