"""When the sandboxes of what has ended go: after ``gc_delay``, or earlier where the disk is full.

Mesos's rule: with a share ``usage`` of the disk in use, sandboxes may be as old as
``gc_delay`` x max(0, 1 - ``gc_disk_headroom`` - ``usage``). They go in the order in which they ended, so one timer
for the oldest is enough.
"""

from __future__ import annotations

from collections import deque

import msgspec

from headrace.kernel.core import Delete, Effect, SetTimer
from headrace.mesos.agent.core.containers import Place
from headrace.mesos.agent.core.events import RemoveSandbox

TIMER = "gc"


class Old(msgspec.Struct, frozen=True):
    """A sandbox that is to go; ``key`` is that of its record in the store."""

    ended_at: float
    framework_id: str
    place: Place
    key: str


def allowed_age(gc_delay: float, headroom: float, usage: float) -> float:
    """Seconds that a sandbox may stay while a share ``usage`` of the disk is in use."""
    return gc_delay * max(0.0, 1.0 - headroom - usage)


class Garbage:
    """The queue of sandboxes, oldest first. Times in seconds."""

    def __init__(self, gc_delay: float, headroom: float) -> None:
        self._gc_delay = gc_delay
        self._headroom = headroom
        self._queue: deque[Old] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def containers(self) -> set[str]:
        """Whose sandboxes wait here."""
        return {old.place.container_id for old in self._queue}

    def enter(self, old: Old) -> None:
        """Take up what a store holds; call ``begin`` after the last."""
        later: list[Old] = []  # empty unless the clock was set back
        while self._queue and self._queue[-1].ended_at > old.ended_at:
            later.append(self._queue.pop())
        self._queue.append(old)
        self._queue.extend(reversed(later))

    def begin(self, now: float) -> list[Effect]:
        """Set the clock for the oldest."""
        return [SetTimer(TIMER, max(now, self._queue[0].ended_at + self._gc_delay))] if self._queue else []

    def add(self, old: Old) -> list[Effect]:
        """Something has ended."""
        self.enter(old)
        return self.begin(0.0) if self._queue[0] is old else []

    def collect(self, now: float) -> tuple[list[Old], list[Effect]]:
        """Remove what is old enough; what goes, and what is to be done."""
        return self._remove(now, self._gc_delay)

    def prune(self, now: float, usage: float) -> tuple[list[Old], list[Effect]]:
        """A share ``usage`` of the disk is in use: remove what is too old for that."""
        return self._remove(now, allowed_age(self._gc_delay, self._headroom, usage))

    def _remove(self, now: float, age: float) -> tuple[list[Old], list[Effect]]:
        gone: list[Old] = []
        effects: list[Effect] = []
        while self._queue and self._queue[0].ended_at + age <= now:
            old = self._queue.popleft()
            gone.append(old)
            effects += [Delete(old.key), RemoveSandbox(old.place)]
        return gone, [*effects, *self.begin(now)] if gone or age == self._gc_delay else []
