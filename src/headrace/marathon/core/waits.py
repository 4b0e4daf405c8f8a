"""Says when instances wait although no deployment is under way: an event with the reason, more rarely the longer.

Such as what fails again and again, or has lost its agent and finds no other. One timer for all, and only while
something waits. Deployments have their own event, see ``stalls``.
"""

from __future__ import annotations

import heapq

import msgspec

from headrace.kernel.clock import iso8601
from headrace.marathon.core.books import Books
from headrace.marathon.core.deployments import FIRST_LOOK, Deployments
from headrace.marathon.core.queue import LaunchQueue
from headrace.marathon.core.stalls import MAX_PAUSE
from headrace.marathon.core.why import Explainer

WAITS = "waits"
_SHOWN = 20
_AT_ONCE = 100
"""Apps that one look explains: each costs as much as there are agents."""
_PAUSE = 1.0
"""Seconds to the look at the next ones."""


class _Told(msgspec.Struct, frozen=True):
    """When it was told of a wait, and how long it is kept silent about then."""

    since: float
    at: float
    pause: float


class Waits:
    """Looks at what waits once in FIRST_LOOK seconds."""

    def __init__(self, books: Books, queue: LaunchQueue, deployments: Deployments, explainer: Explainer) -> None:
        self._books = books
        self._queue = queue
        self._deployments = deployments
        self._explainer = explainer
        self._told: dict[str, _Told] = {}
        self._armed = False

    def arm(self, now: float) -> None:
        """At the end of each event: there may be something to look at later."""
        if not self._armed and self._queue.waiting:
            self._armed = True
            self._books.wake(WAITS, now + FIRST_LOOK)

    def look(self, now: float) -> None:
        """The timer. Whoever was not told of for the longest time comes first; the rest a little later."""
        self._armed = False
        self._told = {one: told for one, told in self._told.items() if one in self._queue.waiting}
        due = [(at, app_id) for app_id in self._queue.waiting if (at := self._last_told(app_id, now)) is not None]
        for _, app_id in heapq.nsmallest(_AT_ONCE, due):
            self._tell(app_id, now)
        if len(due) > _AT_ONCE:
            self._armed = True
            self._books.wake(WAITS, now + _PAUSE)

    def _last_told(self, app_id: str, now: float) -> float | None:
        """When this wait was told of last, or began; None if it is too early to tell of it."""
        since = self._queue.attempts[app_id].since
        if now - since < FIRST_LOOK or self._deployments.drives(app_id):
            return None
        told = self._told.get(app_id)
        if told is None or told.since != since:
            return since
        return told.at if now >= told.at + told.pause else None

    def _tell(self, app_id: str, now: float) -> None:
        since, told = self._queue.attempts[app_id].since, self._told.get(app_id)
        pause = FIRST_LOOK if told is None or told.since != since else min(MAX_PAUSE, 2 * told.pause)
        self._told[app_id] = _Told(since, now, pause)
        self._publish(app_id, len(self._queue.waiting[app_id]), since, now)

    def _publish(self, app_id: str, count: int, since: float, now: float) -> None:
        spec = self._books.specs.get(app_id)
        why = [one.text for one in self._explainer.waiting(spec, now)] if spec is not None else []
        self._books.publish(
            "instances_waiting_event", runSpecId=app_id, count=count, since=iso8601(since), why=why[:_SHOWN]
        )
        self._books.tell(app_id, now, f"{count} of its instances wait", "; ".join(why[:1]))
