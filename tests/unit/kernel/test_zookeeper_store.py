"""The store in ZooKeeper with writers that are killed at each of their steps, and answers that get lost."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from headrace.kernel.core import Delete, Put
from headrace.kernel.ids import IdSource, numbered_ids
from headrace.kernel.store import StoreError, Write
from headrace.kernel.store.znodes import Policy
from headrace.kernel.store.zookeeper import ZooKeeperStore, open_zookeeper_store
from headrace.kernel.zookeeper import ZooKeeperAddress, ZooKeeperError

ROOT = "/st"
WRITES = frozenset({"ensure_path", "create", "delete", "transact"})


class KilledError(Exception):
    """This process does nothing any more."""


class Server:
    """Znodes: their data and versions."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.versions: dict[str, int] = {}

    def copy(self) -> Server:
        it = Server()
        it.data, it.versions = dict(self.data), dict(self.versions)
        return it

    def children(self, path: str) -> list[str]:
        return [one.removeprefix(f"{path}/") for one in self.data if one.rpartition("/")[0] == path]

    def look(self, path: str, version: int = -1, *, there: bool = True) -> None:
        if (path in self.data) != there:
            kind = "NoNodeError" if there else "NodeExistsError"
            raise ZooKeeperError(kind, f"{path}: {kind}")
        if version not in (-1, self.versions.get(path)):
            raise ZooKeeperError("BadVersionError", f"{path}: BadVersionError")

    def apply(self, name: str, path: str, *arguments: Any) -> None:
        match name:
            case "create":
                self.look(path, there=False)
                self.data[path], self.versions[path] = arguments[0], 0
            case "ensure_path":
                self.data.setdefault(path, b"")
                self.versions.setdefault(path, 0)
            case "check":
                self.look(path, arguments[0])
            case "set_data":
                self.look(path, *arguments[1:])
                self.data[path], self.versions[path] = arguments[0], self.versions[path] + 1
            case "delete":
                self.look(path)
                del self.data[path], self.versions[path]
            case _:
                raise AssertionError(name)


class Connection:
    """One process's session. It is killed after so many ``steps``; the answers of ``lost`` steps do not arrive."""

    number, losses, connected = 0xABC, 0, True
    address = ZooKeeperAddress(("h:1",), ROOT)

    def __init__(self, server: Server, steps: int | None = None, lost: frozenset[int] = frozenset()) -> None:
        self.server, self._steps, self._lost = server, steps, lost
        self.done = 0

    async def until_connected(self) -> None:
        await asyncio.sleep(0)

    def permissions(self) -> None:
        return None

    async def call(self, name: str, path: str, *arguments: Any) -> Any:
        self._live()
        await asyncio.sleep(0)
        match name:
            case "sync":
                return None
            case "get_children":
                self.server.look(path)
                return self.server.children(path)
            case "get":
                self.server.look(path)
                return self.server.data[path], SimpleNamespace(version=self.server.versions[path])
        self._step(lambda: self.server.apply(name, path, *arguments))
        return None

    async def get_all(self, paths: list[str]) -> list[bytes]:
        return [(await self.call("get", path))[0] for path in paths]

    async def transact(self, operations: list[tuple[Any, ...]]) -> None:
        self._live()
        await asyncio.sleep(0)

        def apply() -> None:
            after = self.server.copy()
            for operation in operations:
                after.apply(*operation)
            self.server.data, self.server.versions = after.data, after.versions

        self._step(apply)

    def _live(self) -> None:
        if self._steps is not None and self.done >= self._steps:
            raise KilledError

    def _step(self, do: Any) -> None:
        self._live()
        self.done += 1
        do()
        if self.done in self._lost:
            raise ZooKeeperError("ConnectionLoss", "no answer", lost=True)


async def opened(connection: Connection, ids: IdSource, policy: Policy | None = None) -> ZooKeeperStore:
    session = cast("Any", connection)
    return await open_zookeeper_store(session, component="x", layout=1, policy=policy or POLICY, ids=ids)


async def content(server: Server, ids: IdSource) -> dict[str, bytes]:
    return (await opened(Connection(server), ids)).load()


POLICY = Policy(limit=1000, pack_above=100)
"""So small that a few kB are several transactions."""


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


BEFORE: dict[str, bytes] = {"large/a": noise(1, 2500), "large/b": noise(2, 300), "small": b"1", "gone": noise(3, 900)}
WRITTEN: list[Write] = [
    Put("large/a", noise(4, 1500)),
    Put("large/c", noise(5, 1500)),  # has as many parts as the one before
    *(Put(f"many/{number}", b"%d" % number) for number in range(10)),
    Put("large/b", noise(6, 700)),
    Delete("gone"),
    Put("small", b"2"),
]
AFTER = {key: value for key, value in BEFORE.items() if key != "gone"} | {
    write.key: write.value for write in WRITTEN if isinstance(write, Put)
}


async def begun(ids: IdSource) -> Server:
    server = Server()
    await (await opened(Connection(server), ids)).commit([Put(key, value) for key, value in BEFORE.items()])
    return server


async def tried(connection: Connection, ids: IdSource, writes: list[Write]) -> bool:
    """Whether a process that opens and writes comes to its end."""
    try:
        await (await opened(connection, ids)).commit(writes)
    except KilledError:
        return False
    return True


async def test_a_kill_at_any_step_of_a_journaled_commit_leaves_all_or_nothing() -> None:
    """Also if its successor has the same session, and is killed at any step of carrying it out."""
    ids = numbered_ids("nonce")
    start = await begun(ids)
    seen, first = [], 0
    while True:
        killed = start.copy()
        if await tried(Connection(killed, first), ids, WRITTEN):
            break
        second = 0
        while True:
            again = killed.copy()
            ended = await tried(Connection(again, second), ids, [])
            found = await content(again, ids)
            assert found in (BEFORE, AFTER), (first, second)
            assert found == await content(again, ids), "what was found stays"
            named = "".join(str(data) for path, data in again.data.items() if path.startswith(f"{ROOT}/entries/"))
            assert all(one.rpartition(".")[0] in named for one in again.children(f"{ROOT}/large")), "parts are left"
            seen.append(found == AFTER)
            if ended:
                break
            second += 1
        first += 1
    assert first > 10
    assert {True, False} == set(seen)
    assert seen == sorted(seen), "from one step on it counts"


async def test_answers_that_get_lost_are_no_harm() -> None:
    ids = numbered_ids("nonce")
    start = await begun(ids)
    for step in range(1, 30):
        server = start.copy()
        await tried(Connection(server, lost=frozenset({step, step + 3})), ids, WRITTEN)
        assert await content(server, ids) == AFTER, step


async def test_parts_of_somebody_else_are_never_taken_for_own_ones() -> None:
    """If ids are not what they have to be, nothing is written that names others' parts."""
    server = Server()
    store = await opened(Connection(server), lambda: "same")
    server.data[f"{ROOT}/large/same-1.0"], server.versions[f"{ROOT}/large/same-1.0"] = b"other", 0
    with pytest.raises(StoreError, match="somebody else has written here"):
        await store.commit([Put("a", noise(1, 1500))])
    assert server.children(f"{ROOT}/entries") == []


async def test_parts_that_somebody_has_swept_are_not_named() -> None:
    """Two that write without a fence: the first one's commit fails, nothing else."""
    ids = numbered_ids("nonce")
    server = await begun(ids)
    connection = Connection(server)
    store = await opened(connection, ids)
    transact = connection.transact

    async def swept_before(operations: list[tuple[Any, ...]]) -> None:
        await opened(Connection(server), ids)
        await transact(operations)

    connection.transact = swept_before  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="can't write"):
        await store.commit([Put("large/a", noise(9, 2000))])
    assert await content(server, ids) == BEFORE
