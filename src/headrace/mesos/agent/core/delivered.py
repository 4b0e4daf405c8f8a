"""Tasks of custom executors: the executor runs them and tells how they are; the agent keeps what it says.

Each status is stored, acknowledged to the executor and passed on. One that is sent again, as executors do when they
have not seen its acknowledgement, is known by its uuid.
"""

from __future__ import annotations

from collections import deque

import msgspec

from headrace.kernel.core import Effect
from headrace.mesos.agent.core.containers import Limitation
from headrace.mesos.agent.core.records import ASKED, ENDED, QUEUED, RUNNING, Killing, TaskRecord, TaskState
from headrace.mesos.agent.core.reporting import (
    AGENT_SOURCE,
    EXECUTOR_TERMINATED,
    KILLED_DURING_LAUNCH,
    KILLED_EARLY,
    Context,
    ReportedTask,
    grace_of,
    lost_state,
)
from headrace.mesos.messages.common import (
    AgentID,
    ContainerStatus,
    ExecutorID,
    FrameworkInfo,
    KillPolicy,
    TaskResourceLimitation,
    TaskStatus,
    is_terminal,
)

REMEMBERED = 32
"""How many uuids of a task's statuses are kept, besides those of all that are still on their way."""


class Verdict(msgspec.Struct, frozen=True):
    """What the tasks that an executor leaves behind are told."""

    state: str = "TASK_FAILED"
    reason: str = EXECUTOR_TERMINATED
    message: str = "Executor terminated"
    limitation: Limitation | None = None


class DeliveredTask(ReportedTask):
    """A task that an executor runs: QUEUED until the executor has been told, then RUNNING, then ENDED."""

    def __init__(self, context: Context, framework: FrameworkInfo, record: TaskRecord, state: TaskState) -> None:
        super().__init__(context, framework, record, state)
        self.seen = deque(state.seen, maxlen=REMEMBERED)

    @property
    def undecided(self) -> bool:
        """Whether the executor was told of it and has not said anything about it."""
        return self.phase == RUNNING and not self.seen

    def begin(self) -> list[Effect]:
        """Launched by the master."""
        return [self._save()]

    def deliver(self) -> list[Effect]:
        """The executor is told of it now."""
        self.phase = RUNNING
        return [self._save()]

    def update(self, now: float, status: TaskStatus, container: ContainerStatus) -> list[Effect]:
        """What the executor says; ``container`` is its own. Nothing if it was said before, or after the task's end."""
        uuid = status.uuid or ""
        if self.phase == ENDED or uuid in self.seen or any(one.uuid == uuid for one in self.updates.pending):
            return []
        self.seen.append(uuid)
        self.phase = ENDED if is_terminal(status.state) else RUNNING
        told = self._pass_on(now, self._completed(now, status, container))
        return [self._save(), *told]

    def kill(self, now: float, policy: KillPolicy | None, cause: str = ASKED) -> list[Effect]:
        """Somebody wants it ended; the executor is to be told if it knows of the task."""
        if self.phase == ENDED:
            return []
        if self.phase == QUEUED:
            return self._end(now, Verdict("TASK_KILLED", KILLED_DURING_LAUNCH, KILLED_EARLY))
        self.killing = Killing(now + grace_of(policy, self.info.kill_policy), cause)
        return [self._save()]

    def abandon(self, now: float) -> list[Effect]:
        """The framework is no more; the executor is being shut down."""
        if self.phase == QUEUED:
            self.phase = ENDED
        return self._forsake()

    def drop(self, now: float, message: str) -> list[Effect]:
        """It came too late for its executor."""
        return self._end(now, Verdict(lost_state(self.framework), EXECUTOR_TERMINATED, message))

    def left_behind(self, now: float, verdict: Verdict) -> list[Effect]:
        """Its executor has ended."""
        return self._end(now, verdict) if self.phase != ENDED else []

    def state(self) -> TaskState:
        return msgspec.structs.replace(super().state(), seen=list(self.seen))

    def _completed(self, now: float, status: TaskStatus, container: ContainerStatus) -> TaskStatus:
        """With what the executor has left out."""
        given = status.container_status or container
        container = ContainerStatus(
            given.container_id or container.container_id,
            given.network_infos or container.network_infos,
            given.executor_pid or container.executor_pid,
        )
        return msgspec.structs.replace(
            status,
            agent_id=AgentID(self.record.place.agent_id),
            timestamp=status.timestamp if status.timestamp is not None else now,
            container_status=container,
        )

    def _end(self, now: float, verdict: Verdict) -> list[Effect]:
        self.phase = ENDED
        limitation = verdict.limitation
        status = TaskStatus(
            self.info.task_id,
            verdict.state,
            message=verdict.message,
            source=AGENT_SOURCE,
            reason=verdict.reason,
            agent_id=AgentID(self.record.place.agent_id),
            executor_id=ExecutorID(self.record.place.executor_id),
            timestamp=now,
            uuid=self._context.new_uuid(),
            limitation=TaskResourceLimitation(limitation.resources) if limitation is not None else None,
        )
        told = self._pass_on(now, status)
        return [self._save(), *told]
