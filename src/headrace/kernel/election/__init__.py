"""Who leads: one process of each kind decides, the others wait.

On one machine the leader is whoever holds the store; ZooKeeper takes this place on many.
"""

from __future__ import annotations

from typing import Protocol


class Election(Protocol):
    """A contest for leadership."""

    async def lead(self) -> None:
        """Return when this process leads."""
        ...

    def leader(self) -> str | None:
        """``host:port`` of whoever leads, None while nobody does."""
        ...


class SingleElection:
    """A contest with one candidate, who wins at once."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def lead(self) -> None:
        return

    def leader(self) -> str | None:
        return self._address
