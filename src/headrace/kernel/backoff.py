"""How long to wait before the next try."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Growing delays with jitter: each between half of its nominal length and the whole, in seconds."""

    def __init__(self, first: float, last: float, jitter: Callable[[], float]) -> None:
        """``first`` doubles until ``last``; ``jitter`` gives numbers from 0 to 1."""
        self._first, self._last, self._jitter = first, last, jitter
        self._next = first

    def next(self) -> float:
        """Seconds to wait now."""
        delay, self._next = self._next, min(self._last, self._next * 2)
        return delay * (0.5 + self._jitter() / 2)

    def reset(self) -> None:
        """Begin again with the shortest delay."""
        self._next = self._first
