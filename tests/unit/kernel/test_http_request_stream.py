"""Bodies that are handed over while they come in, and uploads of our own client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headrace.kernel.http import (
    BrokenOffError,
    EventStream,
    Handler,
    HttpClient,
    HttpError,
    HttpServer,
    Request,
    Response,
)

HEAD = b"POST /in HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def _connected(
    handler: Handler, *, request_timeout: float = 30.0, max_body: int = 1000
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server = HttpServer(
        handler, request_timeout=request_timeout, max_body=max_body, streams=lambda request: request.path == "/in"
    )
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(60):
            yield reader, writer
    finally:
        writer.transport.abort()
        await server.stop()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Taker:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        self.why = ""

    async def __call__(self, request: Request) -> Response:
        if request.stream is None:
            return Response(200, request.body)
        try:
            async for chunk in request.stream:
                self.got.put_nowait(chunk)
        except BrokenOffError as error:
            self.why = str(error)
            raise HttpError(400, "broken") from None
        return Response(200, b"thanks")


async def test_parts_arrive_before_the_end() -> None:
    taker = Taker()
    async with _connected(taker) as (reader, writer):
        writer.write(HEAD + _chunk(b"one"))
        assert await taker.got.get() == b"one"
        writer.write(_chunk(b"two"))
        assert await taker.got.get() == b"two"
        writer.write(b"0\r\n\r\nPOST /whole HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
        assert (await reader.readuntil(b"thanks")).startswith(b"HTTP/1.1 200")
        assert (await reader.readuntil(b"abc")).startswith(b"HTTP/1.1 200")


async def test_it_may_be_longer_and_take_longer_than_other_bodies() -> None:
    taker = Taker()
    async with _connected(taker, request_timeout=0.05, max_body=10) as (reader, writer):
        writer.write(HEAD + _chunk(b"x" * 100))
        assert await taker.got.get() == b"x" * 100
        await asyncio.sleep(0.15)
        writer.write(_chunk(b"y") + b"0\r\n\r\n")
        assert (await reader.readuntil(b"thanks")).startswith(b"HTTP/1.1 200")


async def test_a_handler_that_does_not_take_makes_the_client_wait() -> None:
    gate = asyncio.Event()
    size = 0

    async def handler(request: Request) -> Response:
        nonlocal size
        assert request.stream is not None
        await gate.wait()
        async for chunk in request.stream:
            size += len(chunk)
        return Response(200, b"thanks")

    async with _connected(handler) as (reader, writer):
        writer.write(HEAD)
        for _ in range(20):
            writer.write(_chunk(b"b" * 1_000_000))
        writer.write(b"0\r\n\r\n")
        drained = asyncio.create_task(writer.drain())
        done, _ = await asyncio.wait((drained,), timeout=0.2)
        assert not done
        gate.set()
        await drained
        await reader.readuntil(b"thanks")
        assert size == 20_000_000


@pytest.mark.parametrize("rest", [b"nonsense", b"5\r\nab"])
async def test_what_is_no_body_breaks_it_off(rest: bytes) -> None:
    taker = Taker()
    async with _connected(taker) as (reader, writer):
        writer.write(HEAD + _chunk(b"a"))
        assert await taker.got.get() == b"a"
        writer.write(rest)
        if rest.startswith(b"5"):
            writer.transport.abort()
            return
        assert (await reader.readuntil(b"\r\n\r\n")).split()[1] == b"400"
        assert taker.why


async def test_the_handler_is_ended_with_the_connection() -> None:
    ended = asyncio.Event()

    async def handler(request: Request) -> Response:
        assert request.stream is not None
        try:
            async for _ in request.stream:
                pass
        finally:
            ended.set()
        return Response()

    async with _connected(handler) as (_, writer):
        writer.write(HEAD + _chunk(b"a"))
        await writer.drain()
        writer.close()
        await ended.wait()


async def test_an_early_answer_reaches_a_client_that_still_sends() -> None:
    async with _connected(lambda _: Response(409, b"no")) as (reader, writer):
        writer.write(HEAD)
        for _ in range(50):
            writer.write(_chunk(b"b" * 100_000))
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 409")
        assert b"Connection: close" in answer
        assert answer.endswith(b"no")


async def test_our_client_uploads_and_hears_an_early_answer() -> None:
    taker = Taker()
    server = HttpServer(taker, streams=lambda _: True)
    await server.start()
    http = HttpClient()
    url = f"http://127.0.0.1:{server.port}/in"
    try:
        async with asyncio.timeout(60):
            upload = await http.upload("POST", url, headers={"X-Kind": "test"})
            await upload.send(b"one")
            assert await taker.got.get() == b"one"
            upload.finish()
            answer = await upload.answer()
            assert (answer.status, answer.body) == (200, b"thanks")
            server.handler = lambda _: Response(409, b"no")
            upload = await http.upload("POST", url)
            answer = await upload.answer()
            assert (answer.status, answer.body) == (409, b"no")
            upload.close()
    finally:
        http.close()
        await server.stop()


async def test_a_stream_tells_whether_its_client_keeps_up() -> None:
    stream = EventStream()
    told: list[bool] = []
    stream.on_pace(told.append)
    async with _connected(lambda _: Response(200, stream)) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        stream.send(b"x" * 20_000_000)
        assert told == [False]
        while told == [False]:
            assert await reader.read(1_000_000)
        assert told == [False, True]
