"""How far a container's output has been copied to its sandbox, so that copying can go on after any break.

The engine keeps the output as entries with a time each. What is on file says to the byte how much of it has been
copied, so the place need not be written with each copy: it is a time to read from, and for each of the two streams
how many bytes of the output are older than that. What the engine repeats from there on and is on file is skipped.

Entries of one stream are in the order of their times; those of the two streams may be a little out of order with
each other. So a new time to read from counts only once it is ``_SETTLED`` old. Where the clock was set back, reading
starts at the beginning each time.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence

import msgspec

from headrace.mesos.agent.docker.frames import STDERR

_SETTLED = 5.0
_RENEW = 10.0
_SECONDS = len("2006-01-02T15:04:05")


class LogPlace(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of it.

    ``since``: time of an entry, "" for the beginning. ``start``: bytes of stdout and of stderr that were on
    file before the container's own. ``before``: bytes of each that are older than ``since``.
    """

    start: tuple[int, int] = (0, 0)
    since: str = ""
    before: tuple[int, int] = (0, 0)


class LogCopy:
    """Decides which bytes are new. ``sizes``: how much of stdout and of stderr is on file now.

    What ``take`` returns counts as copied; if it can't be written, a new LogCopy takes over from the files.
    """

    def __init__(self, place: LogPlace, sizes: Sequence[int]) -> None:
        self._start = place.start
        self._since = place.since
        self._before = list(place.before)
        self._copied = [max(size - start, 0) for size, start in zip(sizes, place.start, strict=True)]
        self._regular = True
        self._renewed_at = 0.0
        self.begin()

    def begin(self) -> str:
        """Reading begins (anew); returns the time to read from as the engine wants it, "0" for the beginning."""
        self._skip = [max(copied - before, 0) for copied, before in zip(self._copied, self._before, strict=True)]
        self._newest = ["", ""]
        self._next: tuple[str, list[int], float] | None = None
        return unix_time(self._since) if self._since else "0"

    def take(self, stream: int, entry: bytes, now: float) -> tuple[int, bytes]:
        """An entry, time first: which file (0 stdout, 1 stderr) gets which bytes of it. ``now`` in seconds."""
        time, _, data = entry.partition(b" ")
        at = time.decode("latin-1")
        which = 1 if stream == STDERR else 0
        self._look_at_time(which, at, len(data), now)
        skipped = min(self._skip[which], len(data))
        self._skip[which] -= skipped
        self._copied[which] += len(data) - skipped
        return which, data[skipped:]

    def place(self) -> LogPlace:
        """What is to be kept now."""
        before = (self._before[0], self._before[1])
        return LogPlace(self._start, self._since, before)

    def _look_at_time(self, which: int, at: str, size: int, now: float) -> None:
        if at < self._newest[which] or at < self._since:  # the clock was set back: times can't tell what is old
            self._regular, self._since, self._before, self._next = False, "", [0, 0], None
        if not self._regular or any(self._skip):
            self._newest[which] = max(at, self._newest[which])
            return
        if self._next is not None:
            since, before, settled_at = self._next
            if at < since:
                before[which] += size
            elif now >= settled_at:
                self._since, self._before, self._next = since, before, None
        elif at > max(self._newest) and now >= self._renewed_at:
            self._renewed_at = now + _RENEW
            self._next = (at, list(self._copied), now + _SETTLED)
        self._newest[which] = at


def unix_time(text: str) -> str:
    """``2006-01-02T15:04:05.000000001Z`` as ``1136214245.000000001``. Raises ValueError."""
    date, _, clock = text[:_SECONDS].partition("T")
    numbers = [int(number) for number in (*date.split("-"), *clock.split(":"))]
    fraction = text[_SECONDS:].rstrip("Z").lstrip(".")
    return f"{calendar.timegm((*numbers, 0, 0, 0))}.{fraction or '0'}"
