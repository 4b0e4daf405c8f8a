"""The default executor: what holds the tasks of groups together. The agent itself is it, so it needs no process.

Its tasks run in containers of their own below its sandbox (``tasks.Task``). If one of a group fails or is killed,
the rest of the group is killed; one that finishes leaves the others alone. The executor ends with its last task.
"""

from __future__ import annotations

from headrace.kernel.core import CancelTimer, Effect, SetTimer
from headrace.mesos.agent.core.records import ENDED, ExecutorRecord, ExecutorState
from headrace.mesos.agent.core.tasks import Task
from headrace.mesos.messages.common import FrameworkInfo

LINGER = 1.0
"""Seconds that it waits for the last acknowledgement, as Mesos's, so that a framework hears of its end last."""


class GroupExecutor:
    """One default executor. ``tasks``: all whose story is not over."""

    custom = False

    def __init__(self, framework: FrameworkInfo, record: ExecutorRecord, state: ExecutorState) -> None:
        self.framework = framework
        self.record = record
        self.phase = state.phase
        self.tasks: dict[str, Task] = {}

    @property
    def container_id(self) -> str:
        return self.record.place.container_id

    @property
    def subject(self) -> str:
        """Whose story this is."""
        return f"{self.record.framework_id}/{self.record.place.executor_id}"

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.phase != ENDED

    @property
    def busy(self) -> bool:
        """Whether any of its tasks has not ended."""
        return any(task.live for task in self.tasks.values())

    def state(self) -> ExecutorState:
        """What is stored of it."""
        return ExecutorState(self.phase)

    def doomed_by(self, task: Task) -> list[Task]:
        """Those that can't go on without ``task``, which has ended."""
        if task.updates.latest.state == "TASK_FINISHED":
            return []
        return [other for other in self.tasks.values() if other.live and other.record.group == task.record.group]

    def look(self, now: float) -> tuple[bool, list[Effect]]:
        """Whether it is at its end; if it only waits for acknowledgements, the clock for that."""
        if self.busy:
            return False, []
        if self.tasks:
            return False, [SetTimer(self._timer, now + LINGER)]
        return True, [CancelTimer(self._timer)]

    @property
    def _timer(self) -> str:
        return f"executor/{self.container_id}"
