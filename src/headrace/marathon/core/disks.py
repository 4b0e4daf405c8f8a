"""Which disk of an agent a volume is made on: its own (root), a part of another (path), a whole one (mount). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.marathon.definitions import patterns
from headrace.marathon.definitions.parts import Persistent
from headrace.mesos.resources import MILLI, PLAIN, Resources, Tag

Disk = tuple[Persistent, Tag, int]
"""A wish, the disk (PLAIN: the agent's own), and thousandths of MiB of it."""


class NoDiskError(Exception):
    """No disk suits; the message says what was looked for."""


def choose(wanted: Sequence[tuple[str, Persistent]], disks: Resources) -> list[Disk]:
    """A disk for each volume, in order; the smallest that will do. ``disks`` are those beside the agent's own.

    Raises NoDiskError.
    """
    left = {tag: part.scalars.get("disk", 0) for tag, part in disks.parts.items()}
    sources: dict[Tag, dict[str, Any]] = {tag: msgspec.json.decode(tag.source) for tag in left}
    out: list[Disk] = []
    for path, wish in wanted:
        size = wish.size * MILLI
        if wish.type == "root":
            out.append((wish, PLAIN, size))
            continue
        suitable = [tag for tag in left if _suits(wish, sources[tag], left[tag])]
        if not suitable:
            most = f" to {wish.max_size}" if wish.max_size is not None else ""
            raise NoDiskError(f"volume {path} needs a {wish.type} disk of {wish.size}{most} MiB that it is allowed on")
        tag = min(suitable, key=lambda one: left[one])
        amount = left[tag] if wish.type == "mount" else size
        left[tag] -= amount
        out.append((wish, tag, amount))
    return out


def _suits(wish: Persistent, source: dict[str, Any], amount: int) -> bool:
    kind = wish.type.upper()
    if source.get("type") != kind or source.get("profile") != wish.profile_name or amount < wish.size * MILLI:
        return False
    if wish.max_size is not None and amount > wish.max_size * MILLI:
        return False
    root = (source.get(kind.lower()) or {}).get("root") or ""
    return all(patterns.matches(one[2], root) is (one[1] == "LIKE") for one in wish.constraints)
