"""A store in ZooKeeper: a znode for each key, a transaction for each commit.

    <path>/owner            {"component", "layout"}; rewritten by every commit, so its version counts them
    <path>/entries/<key>    "=" and the value, or "@" and where a large value lies; the key percent-encoded
    <path>/large/<id>.<n>   the parts of a value that is too large for a transaction

A commit is one transaction, whatever it changes: large values are written first, where nobody looks for them. It
contains a check of ``fence``, the znode by which its writer leads, and of the owner's version; so whoever does
not lead any more, or has missed a commit of another, writes nothing.

If the connection breaks, a commit waits for the next one and looks whether it has been applied. If the session is
lost, it raises StoreError: only a new leader goes on, from what is stored.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import msgspec

from headrace.kernel.core import Put
from headrace.kernel.store.protocol import StoreError, Write
from headrace.kernel.zookeeper import Session, ZooKeeperError

T = TypeVar("T")

LIMIT = 800_000
"""Bytes in a transaction, and in a znode; a server takes 1 MiB with all that belongs to it."""
_OVERHEAD = 100
"""Bytes of an operation beside path and data, generously."""
_INLINE, _LARGE = b"=", b"@"
_EMPTY = "%"
"""The znode of the empty key."""
_ENTRIES, _LARGES, _OWNER = "entries", "large", "owner"
OTHERS = frozenset({"leader", "ended"})
"""Children of the store's znode that are not the store's business."""


class _Owner(msgspec.Struct, frozen=True):
    component: str
    layout: int


class _Reference(msgspec.Struct, frozen=True):
    """Where a large value lies: in ``large/<id>.0`` and so on, so many parts."""

    id: str
    parts: int

    def names(self) -> list[str]:
        return [f"{self.id}.{number}" for number in range(self.parts)]


class ZooKeeperStore:
    """The store at the session's address. Make one with ``open_zookeeper_store``."""

    def __init__(self, session: Session, owner: bytes, version: int, fence: str) -> None:
        self._session = session
        self._path = session.address.path
        self._owner = owner
        self._version = version
        self._content: dict[str, bytes] = {}
        self._fence = fence
        self._references: dict[str, _Reference] = {}
        self._ids = map(str, itertools.count(1))
        self._turn = asyncio.Lock()

    def found(self, key: str, value: bytes, reference: _Reference | None) -> None:
        """An entry that is there already; before anything else."""
        self._content[key] = value
        if reference is not None:
            self._references[key] = reference

    @property
    def references(self) -> list[_Reference]:
        """Where the large values lie."""
        return list(self._references.values())

    def load(self) -> dict[str, bytes]:
        return dict(self._content)

    async def commit(self, writes: Sequence[Write]) -> None:
        async with self._turn:
            changes = {write.key: write.value if isinstance(write, Put) else None for write in writes}
            changes = {key: value for key, value in changes.items() if value is not None or key in self._content}
            if not changes:
                return
            data, references = await self._written_apart(changes)
            await self._apply(changes, data)
            old = [self._references.pop(key) for key in changes if key in self._references]
            self._references.update(references)
            for key, value in changes.items():
                if value is None:
                    self._content.pop(key, None)
                else:
                    self._content[key] = value
            await self._remove_parts(old)

    def close(self) -> None:
        """The session belongs to whoever opened it."""

    # a commit

    async def _written_apart(
        self, changes: Mapping[str, bytes | None]
    ) -> tuple[dict[str, bytes], dict[str, _Reference]]:
        """What goes into the entries; the largest values are written elsewhere until the rest fits together."""
        data = {key: _INLINE + value for key, value in changes.items() if value is not None}
        references: dict[str, _Reference] = {}
        large: list[tuple[str, bytes]] = []
        size = sum(len(_znode(key)) + len(self._path) + _OVERHEAD for key in changes) + sum(map(len, data.values()))
        for key in sorted(data, key=lambda key: -len(data[key])):
            if size <= LIMIT:
                break
            value = data[key][1:]
            references[key] = self._reference(value)
            large += zip(references[key].names(), _parts(value), strict=True)
            data[key] = _LARGE + msgspec.json.encode(references[key])
            size += len(data[key]) - len(value) - 1
        if size > LIMIT:
            raise StoreError(f"{self._where()}: {len(changes)} changes are too many for one transaction of ZooKeeper")
        larges, acl = f"{self._path}/{_LARGES}", self._session.permissions()
        await asyncio.gather(*(self._until_done("create", f"{larges}/{name}", part, acl) for name, part in large))
        return data, references

    async def _apply(self, changes: Mapping[str, bytes | None], data: Mapping[str, bytes]) -> None:
        operations: list[tuple[Any, ...]] = [("check", self._fence, -1)] if self._fence else []
        operations.append(("set_data", f"{self._path}/{_OWNER}", self._owner, self._version))
        for key in changes:
            path = self._entry(key)
            if key not in data:
                operations.append(("delete", path))
            elif key in self._content:
                operations.append(("set_data", path, data[key]))
            else:
                operations.append(("create", path, data[key], self._session.permissions()))
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

    def _reference(self, value: bytes) -> _Reference:
        return _Reference(f"{self._session.number:x}-{self._version}-{next(self._ids)}", len(_parts(value)))

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

    async def _remove_parts(self, references: Iterable[_Reference]) -> None:
        larges = f"{self._path}/{_LARGES}"
        names = [name for reference in references for name in reference.names()]
        await asyncio.gather(*(self._until_done("delete", f"{larges}/{name}") for name in names))

    def _entry(self, key: str) -> str:
        return f"{self._path}/{_ENTRIES}/{_znode(key)}"

    def _where(self) -> str:
        return f"store {self._session.address}"


async def check_owner(session: Session, *, component: str, layout: int) -> None:
    """Raise StoreError if the session's znode holds what is not this component's, or can't be read."""
    await _repeated(session, lambda: _find(session, _Owner(component, layout)))


async def open_zookeeper_store(session: Session, *, component: str, layout: int, fence: str = "") -> ZooKeeperStore:
    """Open the store at the session's address, creating it if need be; the session has to be open.

    ``fence`` is a znode that is there for as long as this process leads. Raises StoreError.
    """
    return await _repeated(session, lambda: _open(session, _Owner(component, layout), fence))


async def _repeated(session: Session, attempt: Callable[[], Awaitable[T]]) -> T:
    """The outcome of an attempt that does nothing twice; repeated while the connection breaks."""
    while True:
        await session.until_connected()
        try:
            return await attempt()
        except ZooKeeperError as error:
            if not error.lost:
                raise StoreError(f"store {session.address}: {error}{_advice(error)}") from error


async def _find(session: Session, wanted: _Owner) -> int | None:
    """The version of the owner's znode; None if there is no store. Raises StoreError, ZooKeeperError."""
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
    if found != wanted:
        raise StoreError(
            f"znode {path}/{_OWNER}: this belongs to {found.component} in layout {found.layout}, "
            f"this is {wanted.component} with layout {wanted.layout}; "
            "use the version of Headrace that wrote it, or give another path"
        )
    return int(status.version)


async def _open(session: Session, wanted: _Owner, fence: str) -> ZooKeeperStore:
    path, owner = session.address.path, msgspec.json.encode(wanted)
    acl = session.permissions()
    version = await _find(session, wanted)
    if version is None:
        await session.call("ensure_path", path, acl)
        for name in (_ENTRIES, _LARGES):
            await session.call("ensure_path", f"{path}/{name}", acl)
        await session.transact([("create", f"{path}/{_OWNER}", owner, acl)])
        version = 0
    names = await session.call("get_children", f"{path}/{_ENTRIES}")
    store = ZooKeeperStore(session, owner, version, fence)
    values = await asyncio.gather(*(_value(session, f"{path}/{_ENTRIES}/{name}") for name in names))
    for name, (value, reference) in zip(names, values, strict=True):
        store.found(_key(name), value, reference)
    await _sweep(session, store.references, fence)
    return store


async def _value(session: Session, where: str) -> tuple[bytes, _Reference | None]:
    """What an entry says. Raises StoreError if it is none of ours."""
    data, _ = await session.call("get", where)
    if data[:1] == _INLINE:
        return data[1:], None
    try:
        if data[:1] != _LARGE:
            raise msgspec.DecodeError
        reference = msgspec.json.decode(data[1:], type=_Reference)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StoreError(
            f"znode {where} can't be read: it is not from Headrace; give another path, or remove it if nobody needs it"
        ) from None
    larges = f"{session.address.path}/{_LARGES}"
    found = [await session.call("get", f"{larges}/{name}") for name in reference.names()]
    return b"".join(part for part, _ in found), reference


async def _sweep(session: Session, used: Iterable[_Reference], fence: str) -> None:
    """Remove parts that a commit wrote which then did not take place."""
    larges = f"{session.address.path}/{_LARGES}"
    check: list[tuple[Any, ...]] = [("check", fence, -1)] if fence else []
    named = {name for reference in used for name in reference.names()}
    for unused in set(await session.call("get_children", larges)) - named:
        await session.transact([*check, ("delete", f"{larges}/{unused}")])


def _parts(value: bytes) -> list[bytes]:
    return [value[i : i + LIMIT] for i in range(0, len(value), LIMIT)] or [b""]


def _znode(key: str) -> str:
    """The name of a key's znode."""
    return quote(key, safe="") if key.strip(".") else key.replace(".", "%2E") or _EMPTY


def _key(znode: str) -> str:
    return "" if znode == _EMPTY else unquote(znode)


def _advice(error: ZooKeeperError) -> str:
    if error.kind in ("NoAuthError", "AuthFailedError"):
        return "; it is somebody else's: give the credentials in the address, zk://user:password@host:port/path"
    return ""
