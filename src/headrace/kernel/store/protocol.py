"""What every store can do."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from headrace.kernel.core import Delete, Put

Write = Put | Delete


class StoreError(Exception):
    """The store can't be opened or written; the message names the file or node and what to do."""


class Durability(enum.Enum):
    """What a committed write survives."""

    PROCESS = "process"
    """SIGKILL of any process. Enough for what is worthless after a reboot, such as running tasks."""

    POWER = "power"
    """SIGKILL and loss of power: each commit waits for the disk."""


class Store(Protocol):
    """A durable map; the whole of it fits in memory."""

    def load(self) -> dict[str, bytes]:
        """Everything that is stored, by key. Called once, at start."""
        ...

    async def commit(self, writes: Sequence[Write]) -> None:
        """Apply all writes or none, in order; returns when they are durable. Raises StoreError."""
        ...

    def close(self) -> None:
        """Release the file; nothing may be committed afterwards."""
        ...
