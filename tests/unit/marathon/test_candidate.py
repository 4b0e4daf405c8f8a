"""How one of several Marathons ends, and which sessions it goes on with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.kernel.daemon import Leave
from headrace.kernel.store import StoreError
from headrace.kernel.zookeeper import SessionId, ZooKeeperAddress, parse
from headrace.marathon import candidate, flags
from headrace.marathon.session_file import SessionFile

FORMER = SessionId(7, "00ff")


class FakeSession:
    """One that is open at once, unless its servers do not answer."""

    made: list[FakeSession]
    silent: frozenset[str] = frozenset()
    connected, losses, number, id = True, 0, 8, SessionId(8, "01")

    def __init__(self, address: ZooKeeperAddress, *, timeout: float, resume: SessionId | None = None) -> None:
        self.address, self.timeout, self.resume, self.closed = address, timeout, resume, False
        self.made.append(self)

    async def open(self) -> None:
        if self.silent & set(self.address.hosts):
            await asyncio.Event().wait()

    async def close(self, patience: float) -> None:
        self.closed = True


class FakeElection:
    """Somebody else leads at first, if it is told to say so; then we do."""

    waits = True
    node = "/m/leader/candidate_1"

    def __init__(self, session: FakeSession, path: str) -> None:
        self.info = b""

    async def lead(self, on_wait: Callable[[str], None]) -> None:
        if self.waits:
            on_wait("other:1")

    async def until_lost(self) -> None:
        await asyncio.Event().wait()

    async def confirm(self) -> None:
        return


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> type[FakeSession]:
    """A ZooKeeper whose store can't be opened by whoever comes to lead."""

    async def fine(*_: Any, **__: Any) -> None:
        return

    async def forever(*_: Any) -> None:
        await asyncio.Event().wait()

    async def refused(*_: Any, **__: Any) -> None:
        raise StoreError("store zk://z:1/m/state: trouble")

    FakeSession.made = []
    monkeypatch.setattr(candidate, "Session", FakeSession)
    monkeypatch.setattr(candidate, "ZooKeeperElection", FakeElection)
    monkeypatch.setattr(candidate, "check_owner", fine)
    monkeypatch.setattr(candidate, "watch_leader", forever)
    monkeypatch.setattr(candidate, "open_zookeeper_store", refused)
    monkeypatch.setattr("headrace.marathon.front.announce", lambda *_: None)
    return FakeSession


def leave_session(data: Path, address: str) -> None:
    """As a process that is killed."""
    file, path = SessionFile(data, parse(address, "--zk")), data / "zookeeper-session"
    file.write(FORMER)
    kept = path.read_bytes()
    file.close()
    path.write_bytes(kept)


async def ended(data: Path) -> BaseException:
    words = ["--master=m:1", "--http_port=0", "--zk=zk://z:1/m", f"--data={data}"]
    with pytest.raises((Leave, StoreError)) as raised:
        await candidate.Candidate(flags.parse(words)).run(asyncio.Event())
    return raised.value


@pytest.mark.parametrize("waits", [True, False])
async def test_trouble_with_the_store_after_the_ready_line_is_no_mistake_of_the_user(
    world: type[FakeSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, waits: bool
) -> None:
    """One that stood by is started again; one that has said nothing yet says what is wrong with its flags."""
    monkeypatch.setattr(FakeElection, "waits", waits)
    error = await ended(tmp_path)
    assert "store zk://z:1/m/state: trouble" in str(error)
    assert isinstance(error, Leave) == waits
    if isinstance(error, Leave):
        assert error.status == 103
    assert [one.closed for one in world.made] == [True]


@pytest.mark.parametrize("silent", [False, True])
async def test_a_session_of_another_address_is_ended_and_not_gone_on_with(
    world: type[FakeSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, silent: bool
) -> None:
    monkeypatch.setattr(candidate, "_CLOSE_PATIENCE", 0.05)
    monkeypatch.setattr(FakeSession, "silent", frozenset(["y:1"] if silent else []))
    leave_session(tmp_path, "zk://y:1/m")
    await ended(tmp_path)
    own, former = world.made
    assert (str(own.address), own.resume) == ("zk://z:1/m/state", None)
    assert (str(former.address), former.resume, former.closed) == ("zk://y:1/m", FORMER, True)


async def test_the_session_of_the_same_address_is_gone_on_with(world: type[FakeSession], tmp_path: Path) -> None:
    leave_session(tmp_path, "zk://z:1/m")
    await ended(tmp_path)
    assert [one.resume for one in world.made] == [FORMER]
