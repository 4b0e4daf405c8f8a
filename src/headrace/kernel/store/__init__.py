"""A durable map from text keys to bytes: what must survive a crash.

Keys are paths such as ``frameworks/<id>``. Every store carries the name of the component that
owns it and the version of its layout; opening a store of another component or version is an
error that says so and changes nothing.

    open_store("memory:", component="master", layout=1)
    open_store("sqlite:///var/lib/headrace/master.db", component="master", layout=1)
"""

from __future__ import annotations

from headrace.kernel.store.memory import MemoryStore
from headrace.kernel.store.protocol import Durability, Store, StoreError, Write
from headrace.kernel.store.sqlite import SqliteStore

__all__ = ["Durability", "MemoryStore", "SqliteStore", "Store", "StoreError", "Write", "open_store"]


def open_store(url: str, *, component: str, layout: int, durability: Durability = Durability.POWER) -> Store:
    """Open the store that ``url`` names, creating it if need be.

    Raises StoreError if the URL is not understood, the file can't be used, or it belongs to another
    component or layout version.
    """
    scheme, separator, rest = url.partition(":")
    if scheme == "memory" and separator:
        return MemoryStore()
    if scheme == "sqlite" and rest.startswith("///"):
        return SqliteStore(rest[2:], component=component, layout=layout, durability=durability)
    raise StoreError(f"store URL {url!r} is not understood; give sqlite:///absolute/path.db or memory:")
