"""Ended tasks: what is shown of them, and when their sandboxes go.

Of each framework the last 200 are kept for display; every sandbox stays ``gc_delay`` seconds. Sandboxes go in
the order in which tasks ended, so one timer for the oldest is enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from headrace.kernel.core import Delete, Effect, SetTimer
from headrace.mesos.agent.containers import Place
from headrace.mesos.agent.events import RemoveSandbox
from headrace.mesos.agent.records import CompletedTask, completed_key

SHOWN_PER_FRAMEWORK = 200
TIMER = "gc"


class CompletedTasks:
    """Bounded memory of ended tasks, and the queue of sandboxes to remove."""

    def __init__(self, completed: Iterable[CompletedTask], gc_delay: float) -> None:
        self._gc_delay = gc_delay
        self._shown: dict[str, deque[CompletedTask]] = {}
        self._queue: deque[tuple[float, str, Place]] = deque()
        self._sandboxes: dict[str, int] = {}
        for task in completed:
            self._enter(task)

    def of(self, framework_id: str) -> list[CompletedTask]:
        """Those that are shown, oldest first."""
        return list(self._shown.get(framework_id, ()))

    def has(self, framework_id: str) -> bool:
        """Whether any sandbox of the framework is still there."""
        return framework_id in self._sandboxes

    @property
    def waiting(self) -> int:
        """How many sandboxes wait for their removal."""
        return len(self._queue)

    def begin(self, now: float) -> list[Effect]:
        """Start the clock after a restart."""
        return [SetTimer(TIMER, max(now, self._queue[0][0] + self._gc_delay))] if self._queue else []

    def add(self, task: CompletedTask) -> list[Effect]:
        """A task has ended and everybody knows."""
        self._enter(task)
        first = len(self._queue) == 1
        return [SetTimer(TIMER, task.ended_at + self._gc_delay)] if first else []

    def collect(self, now: float) -> list[Effect]:
        """Remove what is old enough."""
        effects: list[Effect] = []
        while self._queue and self._queue[0][0] + self._gc_delay <= now:
            _, framework_id, place = self._queue.popleft()
            effects += [Delete(completed_key(place.container_id)), RemoveSandbox(place)]
            self._leave(framework_id, place.container_id)
        return [*effects, *self.begin(now)]

    def _enter(self, task: CompletedTask) -> None:
        self._shown.setdefault(task.framework_id, deque(maxlen=SHOWN_PER_FRAMEWORK)).append(task)
        self._queue.append((task.ended_at, task.framework_id, task.place))
        self._sandboxes[task.framework_id] = self._sandboxes.get(task.framework_id, 0) + 1

    def _leave(self, framework_id: str, container_id: str) -> None:
        shown = self._shown.get(framework_id)
        if shown and shown[0].place.container_id == container_id:
            shown.popleft()
        self._sandboxes[framework_id] -= 1
        if not self._sandboxes[framework_id]:
            del self._sandboxes[framework_id]
            self._shown.pop(framework_id, None)
