"""Probes end in one outcome each, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from headrace.kernel.http import HttpClient
from headrace.marathon import probes
from headrace.marathon.core.events import Probe, Probed
from headrace.marathon.probes import Prober


def probe(protocol: str = "HTTP", port: int = 1, path: str = "/", timeout: float = 60.0, **more: Any) -> Probe:
    return Probe("probe/i/0", "i._app.1", protocol, "127.0.0.1", port, path, timeout, **more)


@contextlib.asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await listening.wait_closed()


async def outcomes(*what: Probe) -> list[Probed]:
    got: list[Probed] = []
    enough = asyncio.Event()

    def note(outcome: Probed) -> None:
        got.append(outcome)
        if len(got) == len(what):
            enough.set()

    prober = Prober(note)
    for one in what:
        prober.start(one)
    async with asyncio.timeout(60):
        await enough.wait()
    await asyncio.sleep(0)
    await prober.stop()
    return got


@pytest.mark.parametrize(
    "what",
    [
        probe(path="/жив"),
        probe(path="/a\r\nb"),
        probe(port=70_000),
        probe("TCP", port=70_000),
        probe("TCP", port=-1),
        probe("HTTPS", path="/\0"),
        probe("TCP", port=1),
    ],
)
async def test_whatever_is_raised_there_is_one_outcome(what: Probe) -> None:
    (outcome,) = await outcomes(what)
    assert (outcome.key, outcome.task_id, outcome.passed) == (what.key, what.task_id, False)
    assert outcome.cause


async def test_an_unforeseen_error_is_an_outcome_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*args: Any, **more: Any) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(HttpClient, "stream", broken)
    (outcome,) = await outcomes(probe())
    assert not outcome.passed
    assert "surprise" in outcome.cause
    assert "probe/i/0" in caplog.text


async def test_statuses() -> None:
    async with server(b"HTTP/1.1 204 No Content\r\n\r\n") as port:
        (good,) = await outcomes(probe(port=port))
        (unready,) = await outcomes(probe(port=port, ready_statuses=[200]))
        (connected,) = await outcomes(probe("TCP", port=port))
    async with server(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno") as port:
        (bad,) = await outcomes(probe(port=port))
    assert (good.passed, unready.passed, connected.passed, bad.passed) == (True, False, True, False)
    assert "answered 500" in bad.cause


@pytest.mark.parametrize("length", [b"Content-Length: 100000000\r\n", b""])
async def test_an_endless_answer_is_judged_by_its_status_and_not_read(length: bytes) -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with contextlib.closing(writer), contextlib.suppress(OSError):
            writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
            while True:
                writer.write(b"x" * 50_000)
                sent += 50_000
                await writer.drain()

    listening = await asyncio.start_server(pour, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    health, ready = await outcomes(probe(port=port), probe(port=port, ready_statuses=[200]))
    listening.close()
    await listening.wait_closed()
    assert health.passed
    assert ready.passed
    assert {len(health.body), len(ready.body)} == {0, 10_000}
    assert sent < 30_000_000


async def test_dead_hosts_do_not_make_the_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 probes that get no answer hold no place that another one needs."""
    assert probes._sockets() > 300

    async def silent(self: HttpClient, method: str, url: str, **more: Any) -> Any:
        await asyncio.sleep(3600)

    monkeypatch.setattr(HttpClient, "stream", silent)
    got: asyncio.Queue[Probed] = asyncio.Queue()
    prober = Prober(got.put_nowait)
    for _ in range(300):
        prober.start(probe())
    async with server(b"") as port:
        prober.start(probe("TCP", port=port))
        async with asyncio.timeout(60):
            assert (await got.get()).passed
    await prober.stop()
    assert got.empty()
