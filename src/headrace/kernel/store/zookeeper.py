"""A store in ZooKeeper: a znode for each key, a transaction for each commit.

    <path>/owner            {"component", "layout"}; rewritten by every transaction, so its version counts them
    <path>/entries/<key>    the value, or where a large one lies (see ``znodes``); the key percent-encoded
    <path>/large/<id>.<n>   the parts of a value that is too large for a transaction

A commit is one transaction: large values are written first, where nobody looks for them, under names that no other
process has ever used: one that was killed leaves parts behind, which the next one removes before it writes. It
contains checks of these parts, of ``fence``, the znode by which its writer leads, and of the owner's version; so
whoever does not lead any more, or has missed a commit of another, writes nothing.

Changes that are too many for one transaction are written as a large value, the journal. The commit is then the
transaction that has the owner name it; as many as it takes carry it out, and the last one has it forgotten. Whoever
opens a store that names a journal carries it out first.

If the connection breaks, a commit waits for the next one and looks whether it has been applied. If the session is
lost, it raises StoreError: only a new leader goes on, from what is stored.
"""

from __future__ import annotations

import asyncio
import itertools
import zlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from headrace.kernel.core import Put
from headrace.kernel.ids import IdSource, random_ids
from headrace.kernel.store import znodes
from headrace.kernel.store.owner import ENTRIES, LARGES, OWNER, Owner, advice, find_or_make, repeated
from headrace.kernel.store.protocol import StoreError, Write
from headrace.kernel.store.znodes import Policy, Reference
from headrace.kernel.zookeeper import Session, ZooKeeperError

_AT_ONCE = 500
"""Entries that are asked for at a time."""
_SMALL = 256 * 1024
"""Bytes that are compressed in a few milliseconds."""

Changes = Mapping[str, bytes | None]
"""By key: the value, or for entries what is written of it; None deletes."""


class ZooKeeperStore:
    """The store at the session's address. Make one with ``open_zookeeper_store``."""

    def __init__(
        self, session: Session, owner: Owner, version: int, fence: str, policy: Policy, ids: Iterable[str]
    ) -> None:
        self._session = session
        self._path = session.address.path
        self._owner = owner
        self._version = version
        self._values: dict[str, bytes] | None = {}
        self._keys: set[str] = set()
        self._fence = fence
        self._policy = policy
        self._references: dict[str, Reference] = {}
        self._ids = iter(ids)
        self._turn = asyncio.Lock()

    def found(self, key: str, value: bytes, reference: Reference | None) -> None:
        """An entry that is there already; before anything else."""
        self._keys.add(key)
        if self._values is not None:
            self._values[key] = value
        if reference is not None:
            self._references[key] = reference

    def load(self) -> dict[str, bytes]:
        if self._values is None:
            raise RuntimeError("the values have been taken")
        return dict(self._values)

    def take(self) -> dict[str, bytes]:
        """As ``load``, for whoever keeps them itself: the store does not any more."""
        values, self._values = self.load(), None
        return values

    async def commit(self, writes: Sequence[Write]) -> None:
        async with self._turn:
            changes = {write.key: write.value if isinstance(write, Put) else None for write in writes}
            changes = {key: value for key, value in changes.items() if value is not None or key in self._keys}
            if not changes:
                return
            entries, lots = await self._divided(changes)
            if len(lots) == 1:
                await self._change(entries)
            else:
                journal = await self._write_journal(changes)
                await self._apply({}, journal, [journal])  # from here on it counts
                await self._in_lots(entries, lots, journal)
            self._remember(changes)

    async def sweep(self) -> None:
        """Remove parts of commits that did not take place; when all was found. Raises ZooKeeperError."""
        journal = [self._owner.journal] if self._owner.journal is not None else []
        named = set(self._parts([*self._references.values(), *journal]))
        ours = [*self._fenced(), ("check", f"{self._path}/{OWNER}", self._version)]
        larges = f"{self._path}/{LARGES}"
        for path in {f"{larges}/{name}" for name in await self._session.call("get_children", larges)} - named:
            await self._session.transact([*ours, ("delete", path)])

    async def carry_out(self) -> None:
        """Do the rest of a commit that somebody has left, if so. Raises StoreError, ZooKeeperError."""
        journal = self._owner.journal
        if journal is None:
            return
        found = await _read_parts(self._session, self._path, journal)
        try:
            changes = msgspec.msgpack.decode(zlib.decompress(found), type=dict[str, bytes | None])
        except (msgspec.DecodeError, UnicodeDecodeError, zlib.error):
            raise StoreError(f"{self._where()}: the journal {journal.id} can't be read") from None
        changes = {key: value for key, value in changes.items() if value is not None or key in self._keys}
        await self._in_lots(*await self._divided(changes), journal)
        self._remember(changes)

    def close(self) -> None:
        """The session belongs to whoever opened it."""

    # a commit

    async def _divided(self, changes: Changes) -> tuple[Changes, list[list[str]]]:
        """What is to be written of them, and the keys of each transaction."""

        def divided() -> tuple[Changes, list[list[str]]]:
            entries = {
                key: None if value is None else znodes.entry(value, self._policy) for key, value in changes.items()
            }
            return entries, znodes.divide(entries, self._path, self._policy)

        if sum(len(value) for value in changes.values() if value is not None) <= _SMALL:
            return divided()
        return await asyncio.to_thread(divided)

    async def _write_journal(self, changes: Changes) -> Reference:
        content = await asyncio.to_thread(lambda: zlib.compress(msgspec.msgpack.encode(changes), 1))
        journal = self._reference(content)
        await self._write_parts([(journal, content)])
        return journal

    async def _in_lots(self, entries: Changes, lots: Sequence[Sequence[str]], journal: Reference) -> None:
        """Carry out the journal, and have it forgotten with the last lot."""
        for number, lot in enumerate(lots, 1):
            rest = journal if number < len(lots) else None
            await self._change({key: entries[key] for key in lot}, rest)
        await self._remove_parts([journal])

    async def _change(self, entries: Changes, journal: Reference | None = None) -> None:
        """One transaction, and what goes before it and after it."""
        data, references = await self._written_apart(entries)
        await self._apply(data, journal, references.values())
        old = [self._references.pop(key) for key in entries if key in self._references]
        self._references.update(references)
        self._keys.update(key for key, content in entries.items() if content is not None)
        self._keys.difference_update(key for key, content in entries.items() if content is None)
        await self._remove_parts(old)

    def _remember(self, changes: Changes) -> None:
        if self._values is None:
            return
        for key, value in changes.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value

    async def _written_apart(self, entries: Changes) -> tuple[Changes, dict[str, Reference]]:
        """What goes into the entries; the largest values are written elsewhere until the rest fits together."""
        data = dict(entries)
        references: dict[str, Reference] = {}
        large: list[tuple[Reference, bytes]] = []
        for key in znodes.apart(entries, self._path, self._policy):
            content = entries[key] or b""
            references[key] = self._reference(content[1:])
            large.append((references[key], content[1:]))
            data[key] = znodes.entry_apart(content, references[key])
        await self._write_parts(large)
        return data, references

    async def _apply(self, data: Changes, journal: Reference | None, written: Iterable[Reference]) -> None:
        self._owner = msgspec.structs.replace(self._owner, journal=journal)
        operations = self._fenced()
        operations.append(("set_data", f"{self._path}/{OWNER}", msgspec.json.encode(self._owner), self._version))
        operations += [("check", part, -1) for part in self._parts(written)]
        for key, content in data.items():
            path = self._entry(key)
            if content is None:
                operations.append(("delete", path))
            elif key in self._keys:
                operations.append(("set_data", path, content))
            else:
                operations.append(("create", path, content, self._session.permissions()))
        await self._transact(operations)
        self._version += 1

    async def _transact(self, operations: list[tuple[Any, ...]]) -> None:
        """Carry out a commit's transaction exactly once. Raises StoreError."""
        losses = self._session.losses
        while True:
            try:
                return await self._session.transact(operations)
            except ZooKeeperError as error:
                if not error.lost:
                    raise self._refused(error) from error
            if await self._was_applied(losses):
                return

    async def _was_applied(self, losses: int) -> bool:
        """Whether the transaction whose answer got lost took place. Raises StoreError if the session is lost, too."""
        while True:
            await self._until_connected(losses)
            try:
                await self._session.call("sync", f"{self._path}/{OWNER}")
                _, status = await self._session.call("get", f"{self._path}/{OWNER}")
            except ZooKeeperError as error:
                if not error.lost:
                    raise self._refused(error) from error
                continue
            if status.version not in (self._version, self._version + 1):
                raise StoreError(f"{self._where()}: somebody else has written here; two clusters use the same store")
            return bool(status.version == self._version + 1)

    def _refused(self, error: ZooKeeperError) -> StoreError:
        if error.kind == "NoNodeError" and self._fence:
            return StoreError(f"{self._where()}: can't write: this process leads no more, or the store was removed")
        if error.kind in ("BadVersionError", "NodeExistsError"):
            return StoreError(f"{self._where()}: somebody else has written here; two clusters use the same store")
        return StoreError(f"{self._where()}: can't write: {error}{advice(error)}")

    # large values

    def _reference(self, content: bytes) -> Reference:
        return Reference(next(self._ids), len(self._policy.divided(content)))

    def _parts(self, references: Iterable[Reference]) -> list[str]:
        return [f"{self._path}/{LARGES}/{name}" for reference in references for name in reference.names()]

    async def _write_parts(self, large: Sequence[tuple[Reference, bytes]]) -> None:
        parts = [part for _, content in large for part in self._policy.divided(content)]
        paths = self._parts(reference for reference, _ in large)
        await asyncio.gather(*(self._write_part(path, part) for path, part in zip(paths, parts, strict=True)))

    async def _write_part(self, path: str, part: bytes) -> None:
        async def attempt(again: bool) -> None:
            try:
                await self._session.call("create", path, part, self._session.permissions())
            except ZooKeeperError as error:
                if error.kind != "NodeExistsError" or not again or (await self._session.call("get", path))[0] != part:
                    raise

        await self._until_done(attempt)

    async def _remove_parts(self, references: Iterable[Reference]) -> None:
        await asyncio.gather(*map(self._remove_part, self._parts(references)))

    async def _remove_part(self, path: str) -> None:
        async def attempt(again: bool) -> None:
            try:
                await self._session.call("delete", path)
            except ZooKeeperError as error:
                if error.kind != "NoNodeError":
                    raise

        await self._until_done(attempt)

    async def _until_done(self, attempt: Callable[[bool], Awaitable[None]]) -> None:
        """Attempt it until there is an answer; ``attempt`` hears whether one got lost before. Raises StoreError."""
        losses, again = self._session.losses, False
        while True:
            try:
                return await attempt(again)
            except ZooKeeperError as error:
                if not error.lost:
                    raise self._refused(error) from error
            again = True
            await self._until_connected(losses)

    async def _until_connected(self, losses: int) -> None:
        """In the same session. Raises StoreError if it is lost."""
        await self._session.until_connected()
        if self._session.losses != losses:
            raise StoreError(f"{self._where()}: the session with ZooKeeper is lost; another one may lead by now")

    def _fenced(self) -> list[tuple[Any, ...]]:
        return [("check", self._fence, -1)] if self._fence else []

    def _entry(self, key: str) -> str:
        return f"{self._path}/{ENTRIES}/{znodes.znode(key)}"

    def _where(self) -> str:
        return f"store {self._session.address}"


async def open_zookeeper_store(
    session: Session,
    *,
    component: str,
    layout: int,
    fence: str = "",
    policy: Policy | None = None,
    beside: Collection[str] = (),
    ids: IdSource = random_ids,
) -> ZooKeeperStore:
    """Open the store at the session's address, creating it if need be; the session has to be open.

    ``fence`` is a znode that is there for as long as this process leads; ``beside`` are children of the store's znode
    that are not the store's business. ``ids`` never repeat, in no process. Raises StoreError.
    """

    async def attempt() -> ZooKeeperStore:
        found = await find_or_make(session, Owner(component, layout), beside)
        own = ids()
        names = (f"{own}-{number}" for number in itertools.count(1))
        return await _open(session, ZooKeeperStore(session, *found, fence, policy or Policy(), names))

    return await repeated(session, attempt)


async def _open(session: Session, store: ZooKeeperStore) -> ZooKeeperStore:
    entries = f"{session.address.path}/{ENTRIES}"
    names = await session.call("get_children", entries)
    for i in range(0, len(names), _AT_ONCE):
        some = names[i : i + _AT_ONCE]
        where = [f"{entries}/{name}" for name in some]
        for name, place, data in zip(some, where, await session.get_all(where), strict=True):
            store.found(znodes.key_of(name), *await _value(session, place, data))
    await store.sweep()
    await store.carry_out()
    return store


async def _value(session: Session, where: str, data: bytes) -> tuple[bytes, Reference | None]:
    """What an entry says. Raises StoreError if it is none of ours."""
    try:
        reference = znodes.reference_in(data)
        apart = await _read_parts(session, session.address.path, reference) if reference is not None else None
        return znodes.value_in(data, apart), reference
    except msgspec.DecodeError:
        raise StoreError(
            f"znode {where} can't be read: it is not from Headrace; give another path, or remove it if nobody needs it"
        ) from None


async def _read_parts(session: Session, path: str, reference: Reference) -> bytes:
    return b"".join(await session.get_all([f"{path}/{LARGES}/{name}" for name in reference.names()]))
