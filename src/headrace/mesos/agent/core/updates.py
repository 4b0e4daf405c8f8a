"""Status updates on their way: one stream per task, in order, each sent until it is acknowledged.

Only the oldest unacknowledged status of a task is out; the next follows when its acknowledgement has come, as
in Mesos. It is sent again after 10 s, 20 s, … up to 10 min, and at once when the master is found again.
Who owns a stream stores it; this module only orders it.
"""

from __future__ import annotations

from collections import deque

from headrace.kernel.core import CancelTimer, Effect, SetTimer
from headrace.mesos.agent.core.events import Send
from headrace.mesos.messages.agent_link import StatusUpdate
from headrace.mesos.messages.common import FrameworkID, TaskStatus, is_terminal

RETRY_MIN = 10.0
RETRY_MAX = 600.0


class UpdateStream:
    """The statuses of one task. ``latest`` is the newest, whether sent or not."""

    def __init__(self, framework_id: str, latest: TaskStatus) -> None:
        self.framework_id = framework_id
        self.latest = latest
        self.pending: deque[TaskStatus] = deque()
        self.acknowledged: str | None = None
        self.retry_after = RETRY_MIN
        self.timer = f"update/{framework_id}/{latest.task_id.value}"

    @property
    def done(self) -> bool:
        """Whether the last status of the task has been acknowledged."""
        return not self.pending and self.acknowledged is not None and is_terminal(self.acknowledged)

    def add(self, status: TaskStatus) -> bool:
        """Queue the newest status; True if it may go out at once."""
        self.latest = status
        self.pending.append(status)
        return len(self.pending) == 1

    def acknowledge(self, uuid: str) -> bool:
        """The oldest status has arrived; False if ``uuid`` is not the one that is out (a repetition)."""
        if not self.pending or self.pending[0].uuid != uuid:
            return False
        self.acknowledged = self.pending.popleft().state
        self.retry_after = RETRY_MIN
        return True

    def send(self, now: float) -> list[Effect]:
        """Send the oldest status and look again later."""
        if not self.pending:
            return [CancelTimer(self.timer)]
        update = StatusUpdate(FrameworkID(self.framework_id), self.pending[0], self.latest.state)
        return [Send(update), SetTimer(self.timer, now + self.retry_after)]

    def retry(self, now: float) -> list[Effect]:
        """No acknowledgement came in time: once more, then wait twice as long."""
        self.retry_after = min(self.retry_after * 2, RETRY_MAX)
        return self.send(now)

    def resume(self, now: float) -> list[Effect]:
        """The master is there again."""
        self.retry_after = RETRY_MIN
        return self.send(now)
