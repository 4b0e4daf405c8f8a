"""Time for shells: epoch seconds that never run backwards within a process."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where a shell gets the time from."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...


class SystemClock:
    """The wall clock at start plus monotonic time since: an NTP step can't fire or stall timers."""

    def __init__(self) -> None:
        self._base = time.time() - time.monotonic()

    def now(self) -> float:
        return self._base + time.monotonic()


class ManualClock:
    """A clock that tests and simulations turn by hand."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> float:
        """Move on by ``seconds``; returns the new time."""
        self._now += seconds
        return self._now


def iso8601(at: float) -> str:
    """``2026-11-21T02:27:50.123Z``: UTC with exactly three fraction digits, as Marathon writes times."""
    millis = round(at * 1000)
    seconds, fraction = divmod(millis, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:03d}Z"
