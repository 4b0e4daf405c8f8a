"""Requests that wait until fewer deployments run.

At most so many run at a time (``--max_running_deployments``). A request beyond that waits a little, as small ones are
over in an instant; Marathon refuses it at once. So whoever adds one app after the other meets no refusal. As many
may wait as Marathon queues changes (``--max_queued_root_group_updates``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from headrace.kernel.core import Event, Reply
from headrace.marathon.core.books import Books
from headrace.marathon.core.deployments import Deployments
from headrace.marathon.core.events import Answer
from headrace.marathon.definitions.errors import TooManyDeployments

TIMER = "line"
PATIENCE = 5.0
"""Seconds: less than clients wait for an answer."""


class Line:
    """First come, first served. ``answer`` handles a request as if it had just come."""

    def __init__(self, books: Books, deployments: Deployments, answer: Callable[[Event, float], None]) -> None:
        self._books = books
        self._deployments = deployments
        self._answer = answer
        self._waiting: deque[tuple[float, Event, TooManyDeployments]] = deque()

    def join(self, event: Event, refusal: TooManyDeployments, now: float) -> None:
        """Wait, or be refused if too many wait already."""
        if len(self._waiting) >= self._books.settings.max_queued_root_group_updates:
            self._refuse(event, refusal, now)
            return
        self._waiting.append((now + PATIENCE, event, refusal))
        self._set_timer()

    def admit(self, now: float) -> bool:
        """Let the first one in, if there is room; returns whether it was."""
        if not self._waiting or len(self._deployments.running) >= self._books.settings.max_running_deployments:
            return False
        _, event, _ = self._waiting.popleft()
        self._set_timer()
        self._answer(event, now)
        return True

    def timer(self, now: float) -> None:
        """Refuse whoever has waited long enough."""
        while self._waiting and self._waiting[0][0] <= now:
            _, event, refusal = self._waiting.popleft()
            self._refuse(event, refusal, now)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._waiting:
            self._books.wake(TIMER, self._waiting[0][0])
        else:
            self._books.no_wake(TIMER)

    def _refuse(self, event: Event, refusal: TooManyDeployments, now: float) -> None:
        version = self._books.next_version(now)
        for group in refusal.groups:
            self._books.publish("group_change_failed", groupId=group, version=version, reason=refusal.message)
        to: int = event.to  # type: ignore[attr-defined]  # all requests have it
        self._books.effects.append(Reply(to, Answer(refusal.status, refusal.body)))
