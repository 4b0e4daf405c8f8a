"""The contract of a core, its events and its effects.

A core decides; a shell acts. A core is a plain object with one method,

    handle(event, now) -> effects

that takes one event and the time (seconds since the epoch), changes the core's own state and
returns effects: plain data that say what to do. A core imports no asyncio, socket, os, time or
random; ids and randomness are handed to it when it is made. So the same core runs behind
sockets, from a table in a test, from a recorded log, or in virtual time.

The shell (``kernel.shell``) keeps two promises:

* every ``Put`` and ``Delete`` that a core returned is in the store before any other effect of
  the same batch is carried out: *write before you act*;
* effects are carried out in the order in which they were returned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

EventT_contra = TypeVar("EventT_contra", contravariant=True)


class Event(msgspec.Struct, frozen=True):
    """Something that happened; the base of every core's events."""


class Effect(msgspec.Struct, frozen=True):
    """Something to do; the base of every core's effects."""


class Put(Effect, frozen=True):
    """Store ``value`` under ``key`` before anybody is told."""

    key: str
    value: bytes


class Delete(Effect, frozen=True):
    """Remove ``key`` from the store; removing what is not there is no error."""

    key: str


class SetTimer(Effect, frozen=True):
    """Hand ``TimerFired(key)`` to the core at time ``at``; replaces an earlier timer of that key."""

    key: str
    at: float


class CancelTimer(Effect, frozen=True):
    """Forget the timer ``key``; no error if there is none."""

    key: str


class TimerFired(Event, frozen=True):
    """The timer ``key`` is due."""

    key: str


class Reply(Effect, frozen=True):
    """Answer the caller who asked with request number ``to`` (see ``Shell.ask``)."""

    to: int
    value: Any


class Core(Protocol[EventT_contra]):
    """A pure decider."""

    def handle(self, event: EventT_contra, now: float) -> Sequence[Effect]:
        """Take one event; return what to do."""
        ...


class StoryLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One decision about one object: when, what, why."""

    at: float
    what: str
    why: str = ""


class Stories:
    """The last few decisions about each object, newest last; bounded in both directions.

    ``listener`` is the shell's, which may log them: it gets each line that is kept and its subject, and must be quick.
    """

    def __init__(self, per_object: int = 32, objects: int = 10_000) -> None:
        self._per_object = per_object
        self._objects = objects
        self._lines: dict[str, deque[StoryLine]] = {}
        self.listener: Callable[[str, StoryLine], None] | None = None

    def tell(self, subject: str, at: float, what: str, why: str = "") -> None:
        """Note a decision about ``subject``; the same decision twice in a row is kept once."""
        lines = self._lines.get(subject)
        if lines is None:
            if len(self._lines) >= self._objects:
                del self._lines[next(iter(self._lines))]
            lines = self._lines[subject] = deque(maxlen=self._per_object)
        if lines and lines[-1].what == what and lines[-1].why == why:
            return
        line = StoryLine(at, what, why)
        lines.append(line)
        if self.listener is not None:
            self.listener(subject, line)

    def of(self, subject: str) -> list[StoryLine]:
        """The story of ``subject``, oldest line first; empty if nothing is known."""
        return list(self._lines.get(subject, ()))

    def forget(self, subject: str) -> None:
        """Drop the story of an object that is gone."""
        self._lines.pop(subject, None)
