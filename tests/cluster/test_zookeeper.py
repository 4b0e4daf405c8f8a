"""Store, election and detection of masters with a real ZooKeeper, whose connections break and whose sessions end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from headrace.kernel.core import Delete, Put
from headrace.kernel.election.contest import CANDIDATE_LABEL
from headrace.kernel.election.zookeeper import LeadershipLostError, ZooKeeperElection, watch_leader
from headrace.kernel.store import StoreError
from headrace.kernel.store.owner import check_owner
from headrace.kernel.store.znodes import LIMIT, Policy
from headrace.kernel.store.zookeeper import ZooKeeperStore, open_zookeeper_store
from headrace.kernel.zookeeper import Session, SessionId, ZooKeeperError, parse
from headrace.mesos.masters import masters
from tests.cluster.zookeeper_harness import ZooKeeper, tree, zookeeper

SHORT = 4.0
"""Seconds that a session lasts without its process: the least that the server grants, for those that shall end."""
LONG = 30.0
"""For those that shall last, however slow everything is."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    with zookeeper(tmp_path_factory.mktemp("zookeeper")) as it:
        yield it


class Sessions:
    """Sessions of one test, ended with it."""

    def __init__(self, server: ZooKeeper) -> None:
        self._server = server
        self.all: list[Session] = []

    async def open(
        self, path: str, *, hosts: str = "", user: str = "", resume: SessionId | None = None, timeout: float = LONG
    ) -> Session:
        address = parse(f"zk://{user}{hosts or self._server.hosts}{path}", "test")
        session = Session(address, timeout=timeout, resume=resume)
        self.all.append(session)
        await session.open()
        return session


@pytest.fixture
async def sessions(server: ZooKeeper) -> AsyncIterator[Sessions]:
    it = Sessions(server)
    yield it
    await asyncio.gather(*(session.close() for session in it.all))


class Wire:
    """A way to the server that can be cut, for good or just for the server's answers."""

    def __init__(self, server: ZooKeeper) -> None:
        self._target = server.hosts
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut = asyncio.Event()
        self.mute = False
        self.broken = False

    async def start(self) -> str:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Break what is connected."""
        for writer in self._writers:
            writer.transport.abort()

    def close(self) -> None:
        self.cut()
        self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target.rpartition(":")
        if self.broken:
            return writer.close()
        there_reader, there = await asyncio.open_connection(host, int(port))
        self._writers |= {writer, there}
        await asyncio.gather(self._pass(reader, there), self._pass(there_reader, writer, answers=True))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        try:
            while data := await reader.read(65536):
                if not (answers and self.mute):
                    writer.write(data)
        except ConnectionError:
            pass
        writer.transport.abort()
        self._writers.discard(writer)


@pytest.fixture
async def wire(server: ZooKeeper) -> AsyncIterator[Wire]:
    it = Wire(server)
    yield it
    it.close()


async def opened(session: Session, *, component: str = "x", layout: int = 1, fence: str = "") -> ZooKeeperStore:
    return await open_zookeeper_store(session, component=component, layout=layout, fence=fence, beside=["leader"])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


# the store


async def test_what_was_committed_is_there_after_reopening(sessions: Sessions) -> None:
    session = await sessions.open("/contract")
    store = await opened(session)
    assert store.load() == {}
    await store.commit([Put("a/1", b"x"), Put("a/2", b"y"), Delete("a/1"), Put("a/2", b"z"), Delete("nothing")])
    await store.commit([Put("b", b"\x00\xff"), Put(".", b""), Put("é/ü?", b"=@")])
    await store.commit([Delete("b"), Put("a/2", b"zz")])
    assert store.load() == (await opened(await sessions.open("/contract"))).load()
    assert store.load() == {"a/2": b"zz", ".": b"", "é/ü?": b"=@"}
    await store.commit([Delete(key) for key in store.load()])
    assert (await opened(session)).load() == {}


async def test_large_values_and_many(sessions: Sessions, server: ZooKeeper) -> None:
    session = await sessions.open("/large")
    store = await opened(session)
    large = bytes(range(256)) * (3 * LIMIT // 256)
    many = [Put(f"many/{i}", b"v" * 3000) for i in range(1000)]
    await store.commit([Put("large", large), *many])
    assert (await opened(session)).load() == {"large": large, **{put.key: put.value for put in many}}
    await store.commit([Put("large", b"small"), *(Delete(put.key) for put in many)])
    assert (await opened(session)).load() == {"large": b"small"}
    assert [path for path in await tree(server, "/large") if path.startswith("/large/large/")] == []


@pytest.mark.parametrize(("dies_at", "resumes"), [(2, True), (3, False)])
async def test_more_changes_than_a_transaction_takes(
    sessions: Sessions, server: ZooKeeper, wire: Wire, monkeypatch: pytest.MonkeyPatch, dies_at: int, resumes: bool
) -> None:
    """All or none of them, also if the writer dies amid: whoever comes next does the rest, also in its session."""
    session = await sessions.open("/journal", hosts=await wire.start())
    store = await open_zookeeper_store(session, component="x", layout=1, policy=Policy(100_000))
    await store.commit([Put("old", b"1"), Put("gone", b"x" * 2 * LIMIT)])
    large = [Put(f"large-{i}", random.Random(i).randbytes(250_000)) for i in range(3)]
    changes = [*large, *(Put(f"{i}", b"v%d" % i) for i in range(2000))]
    expected = {"old": b"2", **{put.key: put.value for put in changes}}
    applied = store._apply
    times = 0

    async def dies_amid(*arguments: Any) -> None:
        nonlocal times
        times += 1
        if times == dies_at:
            raise StoreError("killed")
        await applied(*arguments)

    monkeypatch.setattr(store, "_apply", dies_amid)
    with pytest.raises(StoreError, match="killed"):
        await store.commit([Put("old", b"2"), *changes, Delete("gone")])
    before = await tree(server, "/journal/entries")
    assert (3 < len(before) < 2000) == (dies_at == 3), "some of it was done"
    wire.broken = resumes
    if resumes:
        wire.cut()
    successor = await sessions.open("/journal", resume=session.id if resumes else None)
    assert (successor.number == session.number) == resumes
    again = await opened(successor)
    assert again.load() == expected
    assert (await opened(successor)).load() == expected
    await again.commit([*map(Delete, (put.key for put in changes))])
    assert (await opened(successor)).load() == {"old": b"2"}
    assert [path for path in await tree(server, "/journal") if path.startswith("/journal/large/")] == []
    if not resumes:
        monkeypatch.setattr(store, "_apply", applied)
        with pytest.raises(StoreError, match="two clusters use the same store"):
            await store.commit(changes)
    assert (await opened(successor)).load() == {"old": b"2"}
    await successor.remove("/journal")


async def test_large_values_are_compressed_if_asked_for(sessions: Sessions) -> None:
    session = await sessions.open("/packed")
    store = await open_zookeeper_store(session, component="x", layout=1, policy=Policy(50_000, pack_above=100))
    numbers = b",".join(b"%d" % (i * 7919) for i in range(100_000))
    content = {"short": b"a" * 100, "long": b"a" * 101, "apart": numbers, "noise": random.Random(1).randbytes(200_000)}
    await store.commit([Put(key, value) for key, value in content.items()])
    kept = {key: (await session.call("get", f"/packed/entries/{key}"))[0] for key in content}
    assert {key: data[:1] for key, data in kept.items()} == {"short": b"=", "long": b"~", "apart": b"#", "noise": b"@"}
    assert len(kept["long"]) < 50
    assert (await opened(session)).load() == content
    assert store.take() == content
    await store.commit([Delete("apart"), Put("noise", b"1"), Put("new", b"2")])
    with pytest.raises(RuntimeError, match="taken"):
        store.load()
    left = {"short": content["short"], "long": content["long"], "noise": b"1", "new": b"2"}
    assert (await opened(session)).load() == left


async def test_parts_that_nobody_names_are_swept(sessions: Sessions, server: ZooKeeper) -> None:
    session = await sessions.open("/swept")
    store = await opened(session)
    await store.commit([Put("a", b"x" * 2 * LIMIT)])
    await session.call("create", "/swept/large/left.0", b"x")
    assert (await opened(session)).load() == store.load()
    assert "/swept/large/left.0" not in await tree(server, "/swept")


async def test_s2_4_what_is_not_ours_is_refused_and_left_alone(sessions: Sessions, server: ZooKeeper) -> None:
    session = await sessions.open("/foreign/original")
    for name, data in (("frameworkId", b"f"), ("taskCount", b"\0\0\0\1"), ("workers", b"")):
        await session.call("create", f"/foreign/original/{name}", data, makepath=True)
    before = await tree(server, "/foreign")
    for refuse in (opened(session), check_owner(session, component="x", layout=1)):
        with pytest.raises(StoreError, match="znode /foreign/original holds frameworkId, taskCount, workers"):
            await refuse
    assert await tree(server, "/foreign") == before


@pytest.mark.parametrize(
    ("znode", "data", "message"),
    [
        ("owner", b"\xac\xed\0\5", "znode /bytes/owner can't be read: it is not from Headrace"),
        ("owner", b'{"component":"x","layout":2}', "znode /bytes/owner: this belongs to x in layout 2"),
        ("owner", b'{"component":"y","layout":1}', "znode /bytes/owner: this belongs to y in layout 1"),
        ("entries/a%2Fb", b"\xac\xed\0\5", "znode /bytes/entries/a%2Fb can't be read: it is not from Headrace"),
        ("entries/a%2Fb", b"@{", "znode /bytes/entries/a%2Fb can't be read"),
    ],
)
async def test_s2_4_foreign_bytes_are_named(sessions: Sessions, znode: str, data: bytes, message: str) -> None:
    session = await sessions.open("/bytes")
    await (await opened(session)).commit([Put("a/b", b"1")])
    good, _ = await session.call("get", f"/bytes/{znode}")
    await session.call("set", f"/bytes/{znode}", data)
    with pytest.raises(StoreError, match=message):
        await opened(session)
    await session.call("set", f"/bytes/{znode}", good)
    assert (await opened(session)).load() == {"a/b": b"1"}


async def test_two_writers_are_found_out(sessions: Sessions) -> None:
    first, second = [await opened(await sessions.open("/two")) for _ in range(2)]
    await first.commit([Put("a", b"1")])
    with pytest.raises(StoreError, match="two clusters use the same store"):
        await second.commit([Put("a", b"2")])


async def test_others_can_not_read_what_has_credentials(sessions: Sessions) -> None:
    store = await opened(await sessions.open("/secret", user="me:pass@"))
    await store.commit([Put("a", b"1")])
    for user in ("", "me:wrong@"):
        with pytest.raises(StoreError, match="give the credentials in the address") as error:
            await opened(await sessions.open("/secret", user=user))
        assert "wrong" not in str(error.value)
    assert (await opened(await sessions.open("/secret", user="me:pass@"))).load() == {"a": b"1"}


async def test_a_commit_whose_answer_is_lost_is_not_repeated(sessions: Sessions, wire: Wire) -> None:
    session = await sessions.open("/lost", hosts=await wire.start())
    store = await opened(session)
    await store.commit([Put("a", b"0")])
    watching = await sessions.open("/lost")
    wire.mute = True
    commit = asyncio.create_task(store.commit([Put("a", b"1"), Put("new", b"1")]))
    async with asyncio.timeout(60):
        while (await watching.call("exists", "/lost/entries/new")) is None:
            await asyncio.sleep(0.01)
    wire.mute = False
    wire.cut()
    await commit
    await store.commit([Put("a", b"2"), Delete("new")])
    assert (await opened(watching)).load() == {"a": b"2"}


async def test_commits_wait_while_the_server_is_away(
    sessions: Sessions, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    session = await sessions.open("/away", hosts=await wire.start())
    store = await opened(session)
    wire.broken = True
    wire.cut()
    await until(lambda: not session.connected)
    commits = [asyncio.create_task(store.commit([Put(str(i), b"1")])) for i in range(5)]
    await asyncio.sleep(0.5)
    assert not any(commit.done() for commit in commits)
    wire.broken = False
    await asyncio.gather(*commits)
    assert set((await opened(await sessions.open("/away"))).load()) == set("01234")


# the election


async def test_one_leads_and_the_next_follows(sessions: Sessions) -> None:
    elections = []
    for name in ("a:1", "b:2", "c:3"):
        session = await sessions.open("/contest")
        elections.append(ZooKeeperElection(session, "/contest", name.encode()))
    await elections[0].lead()
    waiting = []
    for election in elections[1:]:
        waiting.append(asyncio.create_task(election.lead()))
        await until(election.leader)
    assert [election.leader() for election in elections] == ["a:1"] * 3
    assert len(await elections[0].look_for_others()) == 2
    await sessions.all[1].close()  # the middle one: nothing for the last one to lead
    waiting[0].cancel()
    await asyncio.sleep(0.2)
    assert not waiting[1].done()
    await sessions.all[0].close()
    await asyncio.wait_for(waiting[1], 60)
    assert elections[2].leader() == "c:3"


async def test_who_leads_is_watched_with_its_address(sessions: Sessions) -> None:
    session, watching = await sessions.open("/watched"), await sessions.open("/elsewhere")
    told: list[bytes | None] = []
    watch = asyncio.create_task(watch_leader(watching, CANDIDATE_LABEL, told.append, "/watched/leader"))
    await until(lambda: told == [None])
    election = ZooKeeperElection(session, "/watched/leader", b"a:1")
    await election.lead()
    await until(lambda: told[-1] == b"a:1")
    await session.call("set", election.node, b"a:2")  # as a process does that came back on another port
    await until(lambda: told[-1] == b"a:2")
    await session.call("delete", election.node)
    await until(lambda: told[-1] is None)
    with pytest.raises(LeadershipLostError, match="is gone"):
        await election.confirm()
    watch.cancel()


async def test_a_session_knows_how_long_the_servers_let_it_live(server: ZooKeeper) -> None:
    session = Session(parse(f"zk://{server.hosts}/granted", "test"), timeout=3600)
    try:
        await session.open()
        await until(lambda: 0 < session.granted < 3600)
    finally:
        await session.close()


async def test_who_was_without_a_connection_for_too_long_can_write_nothing(sessions: Sessions, wire: Wire) -> None:
    cut_off = await sessions.open("/fence", hosts=await wire.start(), timeout=SHORT)
    first = ZooKeeperElection(cut_off, "/fence/leader", b"a:1")
    await first.lead()
    store = await opened(cut_off, fence=first.node)
    await store.commit([Put("a", b"1")])
    await first.confirm()
    second = ZooKeeperElection(await sessions.open("/fence"), "/fence/leader", b"b:2")
    waiting = asyncio.create_task(second.lead())
    lost = asyncio.create_task(first.until_lost())
    await until(second.leader)
    wire.broken = True
    wire.cut()
    await until(lambda: not cut_off.connected)
    late = asyncio.create_task(store.commit([Put("a", b"late")]))
    confirmation = asyncio.create_task(first.confirm())
    await asyncio.wait_for(waiting, 60)
    successor = await opened(sessions.all[1], fence=second.node)
    await successor.commit([Put("a", b"2")])
    with pytest.raises(LeadershipLostError, match="another candidate may lead"):
        await asyncio.wait_for(lost, 60)
    assert not confirmation.done()
    wire.broken = False
    with pytest.raises(LeadershipLostError, match="another candidate may lead"):
        await asyncio.wait_for(confirmation, 60)
    with pytest.raises(StoreError, match="session with ZooKeeper is lost"):
        await asyncio.wait_for(late, 60)
    with pytest.raises(StoreError, match="leads no more"):
        await store.commit([Put("a", b"3")])
    assert (await opened(sessions.all[1])).load() == {"a": b"2"}


async def test_a_process_goes_on_with_the_session_of_the_one_before(sessions: Sessions, wire: Wire) -> None:
    lasts = 2 * SHORT  # long enough for the next process to come
    killed = await sessions.open("/resumed", hosts=await wire.start(), timeout=lasts)
    first = ZooKeeperElection(killed, "/resumed", b"a:1")
    await first.lead()
    other = ZooKeeperElection(await sessions.open("/resumed"), "/resumed", b"b:2")
    waiting = asyncio.create_task(other.lead())
    await until(other.leader)
    wire.broken = True
    wire.cut()
    session = await sessions.open("/resumed", resume=killed.id, timeout=lasts)
    resumed = ZooKeeperElection(session, "/resumed", b"a:9")
    await asyncio.wait_for(resumed.lead(), 60)
    assert resumed.node == first.node
    await asyncio.sleep(lasts)  # longer than the session would last
    assert not waiting.done()
    await sessions.all[-1].close()
    await asyncio.wait_for(waiting, 60)
    gone = await sessions.open("/resumed", resume=killed.id)
    assert gone.number not in (0, killed.number)


# masters


async def test_the_leading_master_is_followed(
    sessions: Sessions, server: ZooKeeper, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.mesos.detection.WARN_EVERY", 0.1)
    found = masters(server.address("/masters/mesos"))
    with caplog.at_level(logging.WARNING):
        first = asyncio.create_task(found.leader())
        await until(lambda: "no master leads at zk://" in caplog.text)
    standing = []
    for port in (5050, 5051):
        session = await sessions.open("/masters/mesos")
        info = b'{"id": "m", "ip": 16777343, "port": %d}' % port
        election = ZooKeeperElection(session, "/masters/mesos", info, label="json.info_", address=lambda _: "")
        standing.append(asyncio.create_task(election.lead()))
        await until(lambda election=election: election.node)  # type: ignore[misc]
    assert await first == "http://127.0.0.1:5050"
    moved = asyncio.create_task(found.moved("http://127.0.0.1:5050"))
    await asyncio.sleep(0.1)
    assert not moved.done()
    await sessions.all[0].close()
    assert await asyncio.wait_for(moved, 60) == "the master at http://127.0.0.1:5051 leads now"
    assert await found.leader() == "http://127.0.0.1:5051"
    await asyncio.gather(*standing)
    await found.close()


async def test_waiting_for_a_connection_says_so(
    server: ZooKeeper, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.kernel.zookeeper.session.WARN_EVERY", 0.1)
    session = Session(parse("zk://user:s3cret@127.0.0.1:1/x", "test"), timeout=LONG)
    opening = asyncio.create_task(session.open())
    await until(lambda: "no connection to ZooKeeper at 127.0.0.1:1; still trying" in caplog.text)
    opening.cancel()
    await session.close()
    assert "s3cret" not in caplog.text


async def test_errors_name_the_znode(sessions: Sessions) -> None:
    session = await sessions.open("/errors")
    with pytest.raises(ZooKeeperError) as error:
        await session.transact([("check", "/errors/none", -1)])
    assert error.value.kind == "NoNodeError"
    assert "check /errors/none" in str(error.value)
