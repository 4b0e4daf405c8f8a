"""The agent's I/O parts when what they do is cut off or answered badly."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.kernel import process, recordio
from headrace.kernel.http import HttpClient, HttpServer, Request, Response
from headrace.mesos.agent import link as link_module
from headrace.mesos.agent.check_runner import ProcessChecks
from headrace.mesos.agent.core.containers import POSIX, ContainerSpec, Limitation, Place
from headrace.mesos.agent.core.events import LinkLost, Probed, ProbeHealth, StartFailed
from headrace.mesos.agent.core.health import problem_of_check
from headrace.mesos.agent.isolation.isolation import Active, Isolation
from headrace.mesos.agent.launcher import Launcher
from headrace.mesos.agent.link import MasterLink
from headrace.mesos.agent.prober import Prober
from headrace.mesos.agent.sandbox.fetcher import Fetcher
from headrace.mesos.agent.sandbox.fetcher_cache import FetcherCache
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.agent_link import Refused, Register
from headrace.mesos.messages.common import (
    AgentInfo,
    CommandInfo,
    Environment,
    EnvironmentVariable,
    HealthCheck,
    HealthCheckHttp,
    HealthCheckTcp,
)

NUL = CommandInfo("true", environment=Environment([EnvironmentVariable("A", value="\0")]))
BAD_CHECKS = [
    HealthCheck("TCP", tcp=HealthCheckTcp(70000)),
    HealthCheck("HTTP", http=HealthCheckHttp(70000)),
    HealthCheck("HTTP", http=HealthCheckHttp(80, path="/a b\n")),
    HealthCheck("HTTP", http=HealthCheckHttp(80, scheme="gopher")),
    HealthCheck("COMMAND", command=NUL),
]


@pytest.mark.parametrize("check", BAD_CHECKS)
def test_a_check_that_can_never_be_carried_out_is_refused(check: HealthCheck) -> None:
    assert (problem_of_check(check) or "").startswith("health_check.")


@pytest.mark.parametrize("check", [*BAD_CHECKS, HealthCheck("HTTP", http=HealthCheckHttp(1, path="/жив"))])
async def test_every_probe_has_just_one_outcome(tmp_path: Path, check: HealthCheck) -> None:
    layout, place, posted = Layout(tmp_path), Place("S", "f", "t", "c"), list[Any]()
    layout.create(place)
    checks = ProcessChecks(layout, {"PATH": "/bin"}, "h:1", Isolation(Active(), layout))
    prober = Prober({POSIX: checks}, HttpClient(), posted.append)
    prober.probe(ProbeHealth(ContainerSpec(place, "t"), check, 60.0))
    async with asyncio.timeout(60):
        while not posted:
            await asyncio.sleep(0.002)
    await prober.stop()
    assert [type(event) for event in posted] == [Probed]
    assert not posted[0].passed
    assert posted[0].why


async def test_a_refusal_that_stalls_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nhalf")
            await reader.read()
        writer.close()

    monkeypatch.setattr(link_module, "FIRST_WORD", 0.1)
    server = await asyncio.start_server(stall, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    lost = asyncio.Event()

    def post(*events: object) -> None:
        if any(isinstance(event, LinkLost) and "answered 503" in event.why for event in events):
            lost.set()  # on a loaded machine an earlier attempt may not have come so far

    register = Register(AgentInfo("h", 1), "1", None, [], [])
    link = MasterLink(f"127.0.0.1:{port}", HttpClient(), lambda: register, post, lambda: 1.0)
    running = asyncio.create_task(link.run())
    await asyncio.wait_for(lost.wait(), 60)
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    server.close()
    await server.wait_closed()


async def test_a_refusal_that_stays_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link_module, "REFUSED_MIN", 0.001)
    monkeypatch.setattr(link_module, "REFUSED_MAX", 0.001)
    seen, enough = 0, asyncio.Event()

    def refuse(_: Request) -> Response:
        nonlocal seen
        seen += 1
        if seen > 3:
            enough.set()
        record = recordio.encode(msgspec.json.encode(Refused("Machine is DOWN")))
        return Response(200, record, "application/json", {"Mesos-Stream-Id": "s"})

    server = HttpServer(refuse)
    await server.start()
    register = Register(AgentInfo("h", 1), "1", None, [], [])
    link = MasterLink(f"127.0.0.1:{server.port}", HttpClient(), lambda: register, lambda *_: None, lambda: 1.0)
    caplog.set_level("INFO", link_module.__name__)
    running = asyncio.create_task(link.run())
    await asyncio.wait_for(enough.wait(), 60)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await server.stop()
    url = f"http://127.0.0.1:{server.port}/api/v1/agent"
    assert caplog.messages == [f"the master at {url} refuses this agent: Machine is DOWN"]


async def test_a_cancelled_write_is_waited_for(tmp_path: Path) -> None:
    fetcher = Fetcher(Layout(tmp_path), HttpClient(), FetcherCache(tmp_path / "c", 10), lambda *_: None)
    begun, go_on, order = threading.Event(), threading.Event(), list[str]()

    def write() -> None:
        begun.set()
        go_on.wait(60)
        order.append("written")

    async def download() -> None:
        try:
            await fetcher._in_thread(write)
        finally:
            order.append("closed")

    task = asyncio.create_task(download())
    while not begun.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.01)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["written", "closed"]
    await fetcher.stop()


def test_what_was_private_stays_so_in_the_cache(tmp_path: Path) -> None:
    cache = FetcherCache(tmp_path / "c", 100)
    file = cache.temporary("url-x", 1)
    file.write_text("s3cret")
    file.chmod(0o600)
    assert cache.seal("url-x", file, 1.0)
    assert (tmp_path / "c" / "url-x").stat().st_mode & 0o777 == 0o400


def _launcher(tmp_path: Path, posted: list[Any]) -> Launcher:
    layout = Layout(tmp_path)
    return Launcher(layout, {"PATH": "/bin:/usr/bin"}, "h:1", lambda *events: posted.extend(events))


async def test_a_task_that_meets_a_bug_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posted = list[Any]()
    launcher = _launcher(tmp_path, posted)

    def overflow(*_: object) -> None:
        raise OverflowError("too much")

    monkeypatch.setattr(launcher.isolation, "prepare", overflow)
    launcher.start(ContainerSpec(Place("S", "f", "t", "c"), "t", CommandInfo("true")))
    assert posted == [StartFailed("c", "the agent has a bug: OverflowError('too much')")]
    launcher.stop()


async def test_a_command_that_can_not_be_watched_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posted, pids = list[Any](), list[int]()
    launcher = _launcher(tmp_path, posted)

    def full(pid: int, *_: object) -> None:
        pids.append(pid)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(process, "watch", full)
    launcher.start(ContainerSpec(Place("S", "f", "t", "c"), "t", CommandInfo("sleep 77")))
    assert [type(event) for event in posted] == [StartFailed]
    assert "can't watch the command" in posted[0].message
    async with asyncio.timeout(60):
        while _group_lives(pids[0]):
            await asyncio.sleep(0.002)
    launcher.stop()


async def test_a_process_killed_late_for_the_memory_limit_takes_its_container_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells of the limit before it kills somebody, and on a loaded machine others run in between."""
    posted, told = list[Any](), list[Callable[[str], None]]()
    monkeypatch.setattr(Isolation, "watch_memory", lambda _, look: told.append(look))
    launcher = _launcher(tmp_path, posted)
    looks = iter([None] * 50)
    monkeypatch.setattr(launcher.isolation, "limitation", lambda _: next(looks, Limitation("REASON", "why")))
    monkeypatch.setattr(Launcher, "_watch", lambda self, container_id, _: self._watches.update({container_id: int}))
    ended = asyncio.Event()
    monkeypatch.setattr(launcher.isolation, "end", lambda _: ended.set())
    launcher.start(ContainerSpec(Place("S", "f", "t", "c"), "t", CommandInfo("true")))
    told[0]("c")
    async with asyncio.timeout(60):
        await ended.wait()
    launcher.stop()
    await asyncio.to_thread(os.waitpid, posted[0].pid, 0)


def _group_lives(group: int) -> bool:
    try:
        os.kill(-group, 0)
    except ProcessLookupError:
        return False
    return True


def _checks(tmp_path: Path) -> tuple[ProcessChecks, ContainerSpec]:
    layout, place = Layout(tmp_path), Place("S", "f", "t", "c")
    layout.create(place)
    checks = ProcessChecks(layout, {"PATH": "/bin:/usr/bin"}, "h:1", Isolation(Active(), layout))
    return checks, ContainerSpec(place, "t")


async def test_what_a_check_leaves_behind_is_ended_while_its_id_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, spec = _checks(tmp_path)
    ended: list[int] = []

    def killpg(group: int, number: int, real: Callable[[int, int], None] = os.killpg) -> None:
        os.waitid(os.P_PID, group, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # raises if it has been waited for
        ended.append(group)
        real(group, number)

    monkeypatch.setattr(os, "killpg", killpg)
    assert await checks.run_check(spec, CommandInfo("sleep 77 & exit 3"), 60.0) == 3
    assert await checks.run_check(spec, CommandInfo("kill -9 $$"), 60.0) == -9
    with pytest.raises(TimeoutError):
        await checks.run_check(spec, CommandInfo("sleep 77; true"), 0.05)
    work = asyncio.create_task(checks.run_check(spec, CommandInfo("sleep 77; true"), 60.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert len(set(ended)) == 4
    async with asyncio.timeout(60):
        for group in ended:
            while _group_lives(group):
                await asyncio.sleep(0.002)


async def test_a_health_check_over_http_reads_the_status_and_keeps_no_connection(tmp_path: Path) -> None:
    checks, spec = _checks(tmp_path)
    posted, heads, closed = list[Any](), list[bytes](), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nthe rest never comes")
        with contextlib.suppress(OSError):
            await reader.read()
        closed.set()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, asyncio.timeout(60):
        port = server.sockets[0].getsockname()[1]
        prober = Prober({POSIX: checks}, HttpClient(), posted.append)
        prober.probe(ProbeHealth(spec, HealthCheck("HTTP", http=HealthCheckHttp(port)), 60.0))
        await closed.wait()
        await prober.stop()
    assert posted == [Probed("c", True, "status 200")]
    assert b"\r\nConnection: close\r\n" in heads[0]
