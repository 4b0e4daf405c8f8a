"""A store in ZooKeeper: a znode for each key, a transaction for each commit.

    <path>/owner            {"component", "layout"}; rewritten by every transaction, so its version counts them
    <path>/entries/<key>    the value, or where a large one lies (see ``znodes``); the key percent-encoded
    <path>/large/<id>.<n>   the parts of a value that is too large for a transaction

A commit is one transaction: large values are written first, where nobody looks for them. It
contains a check of ``fence``, the znode by which its writer leads, and of the owner's version; so whoever does
not lead any more, or has missed a commit of another, writes nothing.

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
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from headrace.kernel.core import Put
from headrace.kernel.store import znodes
from headrace.kernel.store.protocol import StoreError, Write
from headrace.kernel.store.znodes import Policy, Reference
from headrace.kernel.zookeeper import Session, ZooKeeperError

T = TypeVar("T")

_ENTRIES, _LARGES, _OWNER = "entries", "large", "owner"
OTHERS = frozenset({"leader", "ended"})
"""Children of the store's znode that are not the store's business."""


_AT_ONCE = 500
"""Entries that are asked for at a time."""
_SMALL = 256 * 1024
"""Bytes that are compressed in a few milliseconds."""

Changes = Mapping[str, bytes | None]
"""By key: the value, or for entries what is written of it; None deletes."""


class _Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    component: str
    layout: int
    journal: Reference | None = None
    """What a commit has yet to carry out."""


class ZooKeeperStore:
    """The store at the session's address. Make one with ``open_zookeeper_store``."""

    def __init__(self, session: Session, owner: _Owner, version: int, fence: str, policy: Policy) -> None:
        self._session = session
        self._path = session.address.path
        self._owner = owner
        self._version = version
        self._values: dict[str, bytes] | None = {}
        self._keys: set[str] = set()
        self._fence = fence
        self._policy = policy
        self._references: dict[str, Reference] = {}
        self._ids = map(str, itertools.count(1))
        self._turn = asyncio.Lock()

    def found(self, key: str, value: bytes, reference: Reference | None) -> None:
        """An entry that is there already; before anything else."""
        self._keys.add(key)
        if self._values is not None:
            self._values[key] = value
        if reference is not None:
            self._references[key] = reference

    @property
    def references(self) -> list[Reference]:
        """Where the large values lie."""
        return list(self._references.values())

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
                await self._apply({}, journal)  # from here on it counts
                await self._in_lots(entries, lots, journal)
            self._remember(changes)

    async def carry_out(self, journal: Reference) -> None:
        """Do the rest of a commit that somebody has left. Raises StoreError, ZooKeeperError."""
        self._owner = msgspec.structs.replace(self._owner, journal=journal)
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
        await self._apply(data, journal)
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

    async def _apply(self, data: Changes, journal: Reference | None) -> None:
        self._owner = msgspec.structs.replace(self._owner, journal=journal)
        operations: list[tuple[Any, ...]] = [("check", self._fence, -1)] if self._fence else []
        operations.append(("set_data", f"{self._path}/{_OWNER}", msgspec.json.encode(self._owner), self._version))
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
            await self._session.until_connected()
            if self._session.losses != losses:
                raise StoreError(f"{self._where()}: the session with ZooKeeper is lost; another one may lead by now")
            try:
                await self._session.call("sync", f"{self._path}/{_OWNER}")
                _, status = await self._session.call("get", f"{self._path}/{_OWNER}")
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
        if error.kind == "BadVersionError":
            return StoreError(f"{self._where()}: somebody else has written here; two clusters use the same store")
        return StoreError(f"{self._where()}: can't write: {error}{_advice(error)}")

    # large values

    def _reference(self, content: bytes) -> Reference:
        parts = len(self._policy.divided(content))
        return Reference(f"{self._session.number:x}-{self._version}-{next(self._ids)}", parts)

    async def _write_parts(self, large: Iterable[tuple[Reference, bytes]]) -> None:
        larges, acl = f"{self._path}/{_LARGES}", self._session.permissions()
        parts = [
            (f"{larges}/{name}", part)
            for reference, content in large
            for name, part in zip(reference.names(), self._policy.divided(content), strict=True)
        ]
        await asyncio.gather(*(self._until_done("create", path, part, acl) for path, part in parts))

    async def _until_done(self, method: str, *arguments: Any) -> None:
        """A request that may be repeated; that it has been done before is no error. Raises StoreError."""
        losses = self._session.losses
        while True:
            try:
                await self._session.call(method, *arguments)
                return
            except ZooKeeperError as error:
                if error.kind in ("NodeExistsError", "NoNodeError") and method in ("create", "delete"):
                    return
                if not error.lost:
                    raise self._refused(error) from error
            await self._session.until_connected()
            if self._session.losses != losses:
                raise StoreError(f"{self._where()}: the session with ZooKeeper is lost; another one may lead by now")

    async def _remove_parts(self, references: Iterable[Reference]) -> None:
        larges = f"{self._path}/{_LARGES}"
        names = [name for reference in references for name in reference.names()]
        await asyncio.gather(*(self._until_done("delete", f"{larges}/{name}") for name in names))

    def _entry(self, key: str) -> str:
        return f"{self._path}/{_ENTRIES}/{znodes.znode(key)}"

    def _where(self) -> str:
        return f"store {self._session.address}"


async def check_owner(session: Session, *, component: str, layout: int) -> None:
    """Raise StoreError if the session's znode holds what is not this component's, or can't be read."""
    await _repeated(session, lambda: _find(session, _Owner(component, layout)))


async def open_zookeeper_store(
    session: Session, *, component: str, layout: int, fence: str = "", policy: Policy | None = None
) -> ZooKeeperStore:
    """Open the store at the session's address, creating it if need be; the session has to be open.

    ``fence`` is a znode that is there for as long as this process leads. Raises StoreError.
    """
    return await _repeated(session, lambda: _open(session, _Owner(component, layout), fence, policy or Policy()))


async def _repeated(session: Session, attempt: Callable[[], Awaitable[T]]) -> T:
    """The outcome of an attempt that does nothing twice; repeated while the connection breaks."""
    while True:
        await session.until_connected()
        try:
            return await attempt()
        except ZooKeeperError as error:
            if not error.lost:
                raise StoreError(f"store {session.address}: {error}{_advice(error)}") from error


async def _find(session: Session, wanted: _Owner) -> tuple[_Owner, int] | None:
    """The owner and the version of its znode; None if there is no store. Raises StoreError, ZooKeeperError."""
    path = session.address.path
    try:
        await session.call("sync", path)
        children = await session.call("get_children", path)
    except ZooKeeperError as error:
        if error.kind == "NoNodeError":
            return None
        raise
    foreign = sorted(set(children) - {_OWNER, _ENTRIES, _LARGES} - OTHERS)
    if foreign:
        raise StoreError(
            f"znode {path} holds {', '.join(foreign[:5])}, which no Headrace has put there; "
            "give another path, or remove the znode if nobody needs it"
        )
    if _OWNER not in children:
        return None
    data, status = await session.call("get", f"{path}/{_OWNER}")
    try:
        found = msgspec.json.decode(data, type=_Owner)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StoreError(
            f"znode {path}/{_OWNER} can't be read: it is not from Headrace; "
            "give another path, or remove the znode if nobody needs it"
        ) from None
    if (found.component, found.layout) != (wanted.component, wanted.layout):
        raise StoreError(
            f"znode {path}/{_OWNER}: this belongs to {found.component} in layout {found.layout}, "
            f"this is {wanted.component} with layout {wanted.layout}; "
            "use the version of Headrace that wrote it, or give another path"
        )
    return found, int(status.version)


async def _open(session: Session, wanted: _Owner, fence: str, policy: Policy) -> ZooKeeperStore:
    path, acl = session.address.path, session.permissions()
    found = await _find(session, wanted)
    if found is None:
        await session.call("ensure_path", path, acl)
        for name in (_ENTRIES, _LARGES):
            await session.call("ensure_path", f"{path}/{name}", acl)
        await session.transact([("create", f"{path}/{_OWNER}", msgspec.json.encode(wanted), acl)])
        found = wanted, 0
    owner, version = found
    names = await session.call("get_children", f"{path}/{_ENTRIES}")
    store = ZooKeeperStore(session, owner, version, fence, policy)
    for i in range(0, len(names), _AT_ONCE):
        some = names[i : i + _AT_ONCE]
        where = [f"{path}/{_ENTRIES}/{name}" for name in some]
        for name, place, data in zip(some, where, await session.get_all(where), strict=True):
            store.found(znodes.key_of(name), *await _value(session, place, data))
    if owner.journal is not None:
        await store.carry_out(owner.journal)
    await _sweep(session, store.references, fence)
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
    return b"".join(await session.get_all([f"{path}/{_LARGES}/{name}" for name in reference.names()]))


async def _sweep(session: Session, used: Iterable[Reference], fence: str) -> None:
    """Remove parts that a commit wrote which then did not take place."""
    larges = f"{session.address.path}/{_LARGES}"
    check: list[tuple[Any, ...]] = [("check", fence, -1)] if fence else []
    named = {name for reference in used for name in reference.names()}
    for unused in set(await session.call("get_children", larges)) - named:
        await session.transact([*check, ("delete", f"{larges}/{unused}")])


def _advice(error: ZooKeeperError) -> str:
    if error.kind in ("NoAuthError", "AuthFailedError"):
        return "; it is somebody else's: give the credentials in the address, zk://user:password@host:port/path"
    return ""
