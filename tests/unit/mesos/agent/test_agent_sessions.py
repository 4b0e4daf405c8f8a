"""Sessions as processes: whatever fails, and however one ends, nothing of it is left, and nobody else is hit."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from headrace.kernel.http import EventStream
from headrace.kernel.process import Found
from headrace.kernel.process_identity import id_space, start_time
from headrace.mesos.agent.containers.pipes import Pipes
from headrace.mesos.agent.containers.processes import session_of
from headrace.mesos.agent.containers.session import Sessions
from headrace.mesos.agent.containers.sessions import SessionRunner
from headrace.mesos.agent.core.containers import ContainerSpec, Fact, Place
from headrace.mesos.agent.core.events import ContainerEnded, ContainerStarted, StartFailed
from headrace.mesos.agent.isolation.isolation import Active, Isolation
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import CommandInfo
from headrace.mesos.messages.common.containers import ContainerInfo, TTYInfo

PATH = "c-1.s"
PATIENCE = 60.0


class Runner:
    """A runner of sessions and what it has said."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(directory)
        self.sessions = Sessions()
        self.posted: list[Any] = []
        isolation = Isolation(Active(), self.layout)
        self.runner = SessionRunner(self.layout, dict(os.environ), "", self._post, isolation, self.sessions)
        place = Place("S0", "fw", "t", PATH)
        self.sandbox = self.layout.sandbox(place).parents[1]
        self.sandbox.mkdir(parents=True)
        self.run_dir = self.layout.run_dir(PATH)
        self._place = place

    def start(self, command: str, *, terminal: bool = False) -> Any:
        """What the runner says of the start."""
        container = ContainerInfo("MESOS", tty_info=TTYInfo()) if terminal else None
        self.runner.start(ContainerSpec(self._place, "s", CommandInfo(command), container=container, inside=""))
        return self.posted[-1]

    def _post(self, *events: Any) -> None:
        self.posted += events


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.fixture
def others() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts processes that are ended after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, **more: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(argv, **more))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def none_left(*_: Any) -> NoReturn:
    raise OSError(errno.EMFILE, "Too many open files")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


def collected(pid: int) -> int:
    """The status of a child, which is ending."""
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize(
    ("terminal", "call", "times"), [(False, "pipe", 0), (False, "pipe", 1), (False, "pipe", 2), (True, "dup", 0)]
)
def test_pipes_that_can_not_be_made_leave_nothing_open(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, call: str, times: int
) -> None:
    real, left = getattr(os, call), iter(range(times))
    monkeypatch.setattr(os, call, lambda *given: real(*given) if next(left, None) is not None else none_left())
    before = descriptors()
    with pytest.raises(OSError, match="Too many open files"):
        Pipes(terminal, lambda kind, data: None)
    assert descriptors() == before


@pytest.mark.parametrize("terminal", [False, True], ids=["pipes", "terminal"])
@pytest.mark.parametrize("what", ["watch", "note"])
async def test_a_session_that_fails_after_its_start_is_ended(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, what: str, terminal: bool
) -> None:
    spawned: list[int] = []
    real = os.posix_spawn

    def spawn(*given: Any, **more: Any) -> int:
        spawned.append(real(*given, **more))
        return spawned[-1]

    monkeypatch.setattr(os, "posix_spawn", spawn)
    if what == "watch":
        monkeypatch.setattr(os, "pidfd_open", none_left)
    else:
        (runner.run_dir / "pid").mkdir(parents=True)
    before = descriptors()
    assert isinstance(runner.start("exec sleep 1000", terminal=terminal), StartFailed)
    (pid,) = spawned
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)  # not even a zombie
    assert descriptors() == before
    assert runner.sessions.get(PATH) is None


@pytest.mark.parametrize("ends", ["by itself", "with the agent"])
async def test_who_has_made_a_session_of_his_own_ends_too(runner: Runner, ends: str) -> None:
    escape = "setsid sh -c 'echo $$ >escaped; exec sleep 1000' & while [ ! -s escaped ]; do sleep 0.01; done"
    assert isinstance(runner.start(escape if ends == "by itself" else f"{escape}; sleep 1000"), ContainerStarted)
    session = runner.sessions.get(PATH)
    assert session is not None
    stream = EventStream()
    session.attach(stream, lambda said: b"", leads=True)
    escaped = runner.sandbox / "escaped"
    await until(lambda: escaped.exists() and bool(escaped.read_text()))
    if ends == "by itself":
        await until(lambda: isinstance(runner.posted[-1], ContainerEnded))
        assert runner.posted[-1].end.code == 0
    else:
        leader = runner.posted[-1].pid
        runner.runner.stop()
        collected(leader)
        stream.close()
    pid = int(escaped.read_text())
    await until(lambda: not start_time(pid))


async def test_a_restarted_agent_ends_who_holds_the_lock_and_nobody_else(
    runner: Runner, others: Callable[..., subprocess.Popen[bytes]]
) -> None:
    bystander = others("sleep", "1000", start_new_session=True)  # has got the id of the session's leader
    runner.run_dir.mkdir(parents=True)
    (runner.run_dir / "boot").write_text(id_space())
    (runner.run_dir / "pid").write_text(f"{bystander.pid} {start_time(bystander.pid) - 1}\n")
    lock = os.open(runner.run_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    held = _spawn_holding(lock)
    os.close(lock)
    (found,) = await runner.runner.find([Fact(PATH, bystander.pid)])
    assert found.found is Found.ENDED
    await until(lambda: not start_time(held))
    assert collected(held) == signal.SIGKILL
    assert bystander.poll() is None


@pytest.mark.parametrize("leader", ["runs", "has ended"])
async def test_a_restarted_agent_ends_the_sessions_of_the_one_before(runner: Runner, leader: str) -> None:
    # who closes the descriptor can be found by the session only
    command = "(exec 9<&-; echo $$ >begun; exec sleep 1000) & (exec sleep 1000) & "
    assert isinstance(runner.start(command + ("wait" if leader == "runs" else "sleep 1000")), ContainerStarted)
    pid = runner.posted[-1].pid
    begun = runner.sandbox / "begun"
    await until(lambda: begun.exists() and bool(begun.read_text()))
    await until(lambda: len(members_of(pid)) >= 3)
    members = members_of(pid)
    runner.runner._runs.pop(PATH).stop()  # that agent hears of nothing any more
    if leader == "has ended":
        os.kill(pid, signal.SIGKILL)
        collected(pid)
    (found,) = await runner.runner.find([Fact(PATH, pid)])
    assert found.found is Found.ENDED
    if leader == "runs":
        collected(pid)
    await until(lambda: not any(map(start_time, members)))


def members_of(session: int) -> list[int]:
    return [one for one in map(int, filter(str.isdigit, os.listdir("/proc"))) if session_of(one) == session]


def _spawn_holding(lock: int) -> int:
    """A process with a session of its own that has the lock as a session's processes have it."""
    return os.posix_spawn(
        "/bin/sleep", ["sleep", "1000"], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, lock, 9)], setsid=True
    )
