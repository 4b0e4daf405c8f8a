"""How a store's keys and values become znodes: names, what an entry holds, how a large commit is divided. Pure.

An entry begins with how the rest is to be read:

    =   the value
    ~   the value, compressed
    @   where a large value lies: ``{"id", "parts"}``, in ``large/<id>.0`` and so on
    #   the same, compressed
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from urllib.parse import quote, unquote

import msgspec

LIMIT = 800_000
"""Bytes in a transaction, and in a znode; a server takes 1 MiB with all that belongs to it."""
OVERHEAD = 100
"""Bytes of an operation beside path and data, generously."""

_INLINE, _PACKED, _LARGE, _LARGE_PACKED = b"=", b"~", b"@", b"#"
_APART = {_INLINE: _LARGE, _PACKED: _LARGE_PACKED}
_TOGETHER = {apart: together for together, apart in _APART.items()}
_EMPTY = "%"
"""The znode of the empty key."""
_LEVEL = 1
_REFERENCE = 400
"""Bytes of an entry that says where the value lies, and of looking whether it does, generously."""


class Reference(msgspec.Struct, frozen=True):
    """Where a large value lies: in ``large/<id>.0`` and so on, so many parts."""

    id: str
    parts: int

    def names(self) -> list[str]:
        return [f"{self.id}.{number}" for number in range(self.parts)]


class Policy(msgspec.Struct, frozen=True):
    """``limit``: bytes in a znode and in a transaction; values of more than ``pack_above`` bytes are compressed."""

    limit: int = LIMIT
    pack_above: int | None = None

    @property
    def apart_above(self) -> int:
        """Bytes of what may lie apart: less is not worth a znode of its own."""
        return self.limit // 8

    def divided(self, value: bytes) -> list[bytes]:
        """The parts of a large value."""
        return [value[i : i + self.limit] for i in range(0, len(value), self.limit)] or [b""]


def entry(value: bytes, policy: Policy) -> bytes:
    """What an entry holds of a value. Compressing takes about 10 ms for each MB."""
    if policy.pack_above is not None and len(value) > policy.pack_above:
        packed = zlib.compress(value, _LEVEL)
        if len(packed) < len(value):
            return _PACKED + packed
    return _INLINE + value


def entry_apart(content: bytes, reference: Reference) -> bytes:
    """What an entry holds whose ``content`` but the first byte lies at ``reference``."""
    return _APART[content[:1]] + msgspec.json.encode(reference)


def reference_in(content: bytes) -> Reference | None:
    """Where the rest of an entry lies; None if it is all there. Raises msgspec.DecodeError if it is none of ours."""
    if content[:1] in _APART:
        return None
    if content[:1] not in _TOGETHER:
        raise msgspec.DecodeError("unknown kind of entry")
    try:
        return msgspec.json.decode(content[1:], type=Reference)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from None


def value_in(content: bytes, apart: bytes | None = None) -> bytes:
    """The value of an entry; ``apart`` is what lies elsewhere. Raises msgspec.DecodeError."""
    kind = content[:1] if apart is None else _TOGETHER[content[:1]]
    rest = content[1:] if apart is None else apart
    if kind == _INLINE:
        return rest
    try:
        return zlib.decompress(rest)
    except zlib.error as error:
        raise msgspec.DecodeError(str(error)) from None


def divide(entries: Mapping[str, bytes | None], path: str, policy: Policy) -> list[list[str]]:
    """The keys in as many lots as transactions are needed, if all that may lie apart does."""
    lots: list[list[str]] = [[]]
    size = 0
    for key, content in entries.items():
        data = 0 if content is None else len(content)
        cost = operation(key, path) + (data if data <= policy.apart_above else _REFERENCE)
        if size + cost > policy.limit and lots[-1]:
            lots.append([])
            size = 0
        lots[-1].append(key)
        size += cost
    return lots


def apart(entries: Mapping[str, bytes | None], path: str, policy: Policy) -> list[str]:
    """The keys whose values have to lie apart for one transaction to take the rest, the largest first."""
    sizes = {key: len(content) for key, content in entries.items() if content is not None}
    size = sum(operation(key, path) for key in entries) + sum(sizes.values())
    chosen = []
    for key in sorted(sizes, key=lambda key: -sizes[key]):
        if size <= policy.limit or sizes[key] <= policy.apart_above:
            break
        chosen.append(key)
        size += _REFERENCE - sizes[key]
    return chosen


def operation(key: str, path: str) -> int:
    """Bytes of a change in a transaction, beside the data."""
    return len(znode(key)) + len(path) + OVERHEAD


def znode(key: str) -> str:
    """The name of a key's znode."""
    return quote(key, safe="") if key.strip(".") else key.replace(".", "%2E") or _EMPTY


def key_of(name: str) -> str:
    """The key of a znode's name."""
    return "" if name == _EMPTY else unquote(name)
