"""The sizes of agents: in a large cluster there are few, so each is read and kept once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.mesos.messages.common import Resource
from headrace.mesos.resources import Resources

MOST = 1024
"""So many are kept; agents with volumes may all differ."""

_encode = msgspec.json.Encoder().encode


class Size(msgspec.Struct, frozen=True):
    """What an agent has, as it said it and as the books have it."""

    said: list[Resource] | None
    total: Resources


class Sizes:
    """Those seen so far."""

    def __init__(self) -> None:
        self._known: dict[bytes, Size] = {}

    def of(self, said: Sequence[Resource] | None) -> Size:
        """The size of an agent that says this. Raises InvalidResourceError."""
        key = _encode(said)
        size = self._known.get(key)
        if size is None:
            if len(self._known) >= MOST:
                self._known.clear()
            size = self._known[key] = Size(None if said is None else list(said), Resources.parse(said))
        return size
