"""Talking to an engine: versions, refusals, an engine that is away; and flags. The engine is a stub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.kernel.daemon import UserError
from headrace.mesos.agent.docker.engine import Engine, EngineAway, EngineError
from headrace.mesos.agent.docker.flags import DockerFlags
from headrace.mesos.agent.flags.agent import parse


class Stub:
    """Answers each path with a status and a body; what was asked is kept."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.asked: list[str] = []
        self.answers = {"GET /version": (200, '{"Version":"27","ApiVersion":"1.99","MinAPIVersion":"1.24"}')}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode().split(" HTTP/1.1", 1)[0]
        self.asked.append(request)
        status, body = self.answers.get(request, (404, '{"message":"no such thing"}'))
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        writer.close()


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[Stub]:
    it = Stub(tmp_path / "socket")
    async with await asyncio.start_unix_server(it.serve, it.path):
        yield it


@pytest.mark.parametrize(("newest", "used"), [("1.41", "v1.41"), ("1.99", "v1.47"), ("1.30", "v1.30")])
async def test_the_newest_version_that_both_know_is_used(stub: Stub, newest: str, used: str) -> None:
    stub.answers["GET /version"] = (200, f'{{"Version":"27","ApiVersion":"{newest}"}}')
    engine = Engine(stub.path)
    assert await engine.version() == "27"
    assert not await engine.has_image("a/b:1")
    assert stub.asked == ["GET /version", f"GET /{used}/images/a/b:1/json"]
    engine.close()


@pytest.mark.parametrize(("newest", "oldest"), [("1.29", "1.12"), ("2.5", "2.1"), ("", "")])
async def test_an_engine_of_other_times_is_refused(stub: Stub, newest: str, oldest: str) -> None:
    stub.answers["GET /version"] = (200, f'{{"ApiVersion":"{newest}","MinAPIVersion":"{oldest}"}}')
    with pytest.raises(EngineError, match=f"speaks API {oldest} to {newest}, and this agent 1.30 to 1.47"):
        await Engine(stub.path).has_image("x")


async def test_refusals_are_told_in_the_engines_words(stub: Stub) -> None:
    stub.answers["POST /v1.47/containers/x/start"] = (500, '{"message":"no space left on device"}')
    engine = Engine(stub.path)
    with pytest.raises(EngineError, match="no space left on device") as refusal:
        await engine.start("x")
    assert not refusal.value.missing
    with pytest.raises(EngineError, match="no such thing") as refusal:
        await engine.wait("x")
    assert refusal.value.missing
    await engine.kill("x", "SIGTERM")  # it is gone: that is what was wanted
    await engine.remove("x")


async def test_an_engine_that_is_away(tmp_path: Path) -> None:
    engine = Engine(str(tmp_path / "none"))
    with pytest.raises(EngineAway, match=f"the Docker engine at {tmp_path}/none does not answer: can't reach"):
        await engine.wait("x")


def flags(*given: str) -> DockerFlags:
    return parse(["--master", "127.0.0.1:5050", "--data", "/d", *given]).docker


def test_flags() -> None:
    assert flags() == DockerFlags()
    given = ("--containerizers=docker,mesos", "--docker-socket", "unix:///x", "--docker_remove_delay=10mins")
    assert flags(*given, "--docker_stop_timeout=5secs") == DockerFlags(True, "/x", 600.0, 5.0)
    assert flags(*given).shown()["containerizers"] == "mesos,docker"
    for bad in ("docker", "mesos,lxc", ""):
        with pytest.raises(UserError, match="--containerizers"):
            flags(f"--containerizers={bad}")
    with pytest.raises(UserError, match="--docker_remove_delay"):
        flags("--docker_remove_delay=soon")
