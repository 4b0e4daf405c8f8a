"""How a bench ends: what it started ends with it, and a bar that is missed shows in its exit status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from types import FrameType

from bench.table import Row


def unwind_when_asked_to_end() -> None:
    """SIGTERM and SIGHUP end the bench as an exception would, so that every ``with`` ends its daemons."""

    def end(number: int, _: FrameType | None) -> None:
        for one in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(one, signal.SIG_IGN)
        sys.exit(128 + number)

    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, end)


def status(rows: Iterable[Row]) -> int:
    """1 if a bar is missed, else 0; those that are missed are named on stderr."""
    missed = [row.name for row in rows if row.reached is False]
    for name in missed:
        sys.stderr.write(f"bench: missed: {name}\n")
    return 1 if missed else 0
