"""Ended tasks and executors: what is shown of them, for as long as their sandboxes are there.

Of each framework the last 200 tasks and the last 200 executors are kept for display; every sandbox stays as long
as ``garbage`` allows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from headrace.kernel.core import Effect
from headrace.mesos.agent.core.garbage import Garbage, Old
from headrace.mesos.agent.core.records import CompletedExecutor, CompletedTask, completed_executor_key, completed_key

SHOWN_PER_FRAMEWORK = 200
SHOWN_PER_EXECUTOR = 200


class CompletedTasks:
    """Bounded memory of what has ended, and the queue of sandboxes to remove."""

    def __init__(
        self,
        completed: Iterable[CompletedTask],
        gc_delay: float,
        headroom: float = 0.1,
        executors: Iterable[CompletedExecutor] = (),
    ) -> None:
        """``gc_delay`` in seconds; ``headroom``: the share of the disk that is to stay free."""
        self._garbage = Garbage(gc_delay, headroom)
        self._shown: dict[str, deque[CompletedTask]] = {}
        self._executors: dict[str, deque[CompletedExecutor]] = {}
        self._sandboxes: dict[str, int] = {}
        everything: list[CompletedTask | CompletedExecutor] = [*completed, *executors]
        for one in sorted(everything, key=lambda one: one.ended_at):
            self.add(one)

    def of(self, framework_id: str) -> list[CompletedTask]:
        """The tasks that are shown, oldest first."""
        return list(self._shown.get(framework_id, ()))

    def executors_of(self, framework_id: str) -> list[CompletedExecutor]:
        """The executors that are shown, oldest first."""
        return list(self._executors.get(framework_id, ()))

    def has(self, framework_id: str) -> bool:
        """Whether any sandbox of the framework is still there."""
        return framework_id in self._sandboxes

    @property
    def waiting(self) -> int:
        """How many sandboxes wait for their removal."""
        return len(self._garbage)

    def containers(self) -> set[str]:
        """Whose sandboxes are still there."""
        return self._garbage.containers()

    def begin(self, now: float) -> list[Effect]:
        """Start the clock after a restart."""
        return self._garbage.begin(now)

    def add(self, one: CompletedTask | CompletedExecutor) -> list[Effect]:
        """A task or executor has ended and everybody knows."""
        if isinstance(one, CompletedTask):
            self._shown.setdefault(one.framework_id, deque(maxlen=SHOWN_PER_FRAMEWORK)).append(one)
            key = completed_key(one.place.container_id)
        else:
            self._executors.setdefault(one.framework_id, deque(maxlen=SHOWN_PER_FRAMEWORK)).append(one)
            key = completed_executor_key(one.place.container_id)
        self._sandboxes[one.framework_id] = self._sandboxes.get(one.framework_id, 0) + 1
        return self._garbage.add(Old(one.ended_at, one.framework_id, one.place, key))

    def attach(self, task: CompletedTask) -> CompletedExecutor | None:
        """A custom executor's task, whose story ends after it; the executor as it is shown now, if it still is."""
        shown = self._executors.get(task.framework_id, deque())
        for i, executor in enumerate(shown):
            if executor.place.container_id == task.place.container_id:
                tasks = [*executor.tasks, task][-SHOWN_PER_EXECUTOR:]
                shown[i] = msgspec.structs.replace(executor, tasks=tasks)
                return shown[i]
        return None

    def collect(self, now: float) -> list[Effect]:
        """Remove what is old enough."""
        return self._forget(*self._garbage.collect(now))

    def prune(self, now: float, usage: float) -> list[Effect]:
        """A share ``usage`` of the disk is in use: remove what is too old for that."""
        return self._forget(*self._garbage.prune(now, usage))

    def _forget(self, gone: list[Old], effects: list[Effect]) -> list[Effect]:
        for old in gone:
            container_id = old.place.container_id
            for shown in (self._shown.get(old.framework_id), self._executors.get(old.framework_id)):
                if shown and shown[0].place.container_id == container_id:
                    shown.popleft()
            self._sandboxes[old.framework_id] -= 1
            if not self._sandboxes[old.framework_id]:
                del self._sandboxes[old.framework_id]
                self._shown.pop(old.framework_id, None)
                self._executors.pop(old.framework_id, None)
        return effects
