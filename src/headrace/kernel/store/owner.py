"""Whose a store in ZooKeeper is: what its znode says, and that nothing else lies there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

import msgspec

from headrace.kernel.store.protocol import StoreError
from headrace.kernel.store.znodes import Reference
from headrace.kernel.zookeeper import Session, ZooKeeperError

T = TypeVar("T")

ENTRIES, LARGES, OWNER = "entries", "large", "owner"
"""Children of the store's znode."""


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the znode ``owner`` says."""

    component: str
    layout: int
    journal: Reference | None = None
    """What a commit has yet to carry out."""


async def check_owner(session: Session, *, component: str, layout: int, beside: Collection[str] = ()) -> None:
    """Raise StoreError if the session's znode holds what is not this component's, or can't be read."""
    await repeated(session, lambda: _find(session, Owner(component, layout), beside))


async def repeated(session: Session, attempt: Callable[[], Awaitable[T]]) -> T:
    """The outcome of an attempt that does nothing twice; repeated while the connection breaks."""
    while True:
        await session.until_connected()
        try:
            return await attempt()
        except ZooKeeperError as error:
            if not error.lost:
                raise StoreError(f"store {session.address}: {error}{advice(error)}") from error


async def _find(session: Session, wanted: Owner, beside: Collection[str]) -> tuple[Owner, int] | None:
    """The owner and the version of its znode; None if there is no store. Raises StoreError, ZooKeeperError."""
    path = session.address.path
    try:
        await session.call("sync", path)
        children = await session.call("get_children", path)
    except ZooKeeperError as error:
        if error.kind == "NoNodeError":
            return None
        raise
    foreign = sorted(set(children) - {OWNER, ENTRIES, LARGES, *beside})
    if foreign:
        raise StoreError(
            f"znode {path} holds {', '.join(foreign[:5])}, which no Headrace has put there; "
            "give another path, or remove the znode if nobody needs it"
        )
    if OWNER not in children:
        return None
    data, status = await session.call("get", f"{path}/{OWNER}")
    try:
        found = msgspec.json.decode(data, type=Owner)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StoreError(
            f"znode {path}/{OWNER} can't be read: it is not from Headrace; "
            "give another path, or remove the znode if nobody needs it"
        ) from None
    if (found.component, found.layout) != (wanted.component, wanted.layout):
        raise StoreError(
            f"znode {path}/{OWNER}: this belongs to {found.component} in layout {found.layout}, "
            f"this is {wanted.component} with layout {wanted.layout}; "
            "use the version of Headrace that wrote it, or give another path"
        )
    return found, int(status.version)


async def find_or_make(session: Session, wanted: Owner, beside: Collection[str]) -> tuple[Owner, int]:
    """The owner and the version of its znode; ``wanted`` if there was no store. Raises StoreError, ZooKeeperError."""
    path, acl = session.address.path, session.permissions()
    found = await _find(session, wanted, beside)
    if found is not None:
        return found
    await session.call("ensure_path", path, acl)
    for name in (ENTRIES, LARGES):
        await session.call("ensure_path", f"{path}/{name}", acl)
    await session.transact([("create", f"{path}/{OWNER}", msgspec.json.encode(wanted), acl)])
    return wanted, 0


def advice(error: ZooKeeperError) -> str:
    """What to do about an error, to be put behind it; may be empty."""
    if error.kind in ("NoAuthError", "AuthFailedError"):
        return "; it is somebody else's: give the credentials in the address, zk://user:password@host:port/path"
    return ""
