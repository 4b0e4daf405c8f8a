"""What master and agent say to each other; Headrace's own, in the style of the public APIs.

The agent POSTs calls to ``/api/v1/agent``. REGISTER answers with a RecordIO stream of events that
stays open for as long as the two know each other: its end is how each notices, at once, that the
other is gone. All other calls answer 202 and are tied to the stream by its ``Mesos-Stream-Id``.
Every status update goes agent → master → framework and is sent again by the agent until the
framework's acknowledgement has come back the same way.
"""

from __future__ import annotations

import msgspec

from headrace.mesos.messages.common import (
    AgentID,
    AgentInfo,
    DurationInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    Int64,
    KillPolicy,
    Message,
    OperationID,
    OperationStatus,
    Resource,
    TaskID,
    TaskInfo,
    TaskStatus,
)
from headrace.mesos.messages.scheduler import Operation


class KnownTask(Message, frozen=True):
    """A task that the agent holds: what was launched and the latest status of it.

    ``acknowledged`` is the state that the framework has acknowledged last. ``executor_id`` is set for
    tasks of a group or of a custom executor.
    """

    framework_id: FrameworkID
    task: TaskInfo
    status: TaskStatus
    acknowledged: str | None = None
    executor_id: ExecutorID | None = None


class KnownExecutor(Message, frozen=True):
    """An executor that has not ended; it holds its own resources beside those of its tasks."""

    framework_id: FrameworkID
    executor: ExecutorInfo


class KnownOperation(Message, frozen=True):
    """An operation whose last status has not been acknowledged. ``framework_id`` is unset for an operator's."""

    operation: Operation
    status: OperationStatus
    framework_id: FrameworkID | None = None


class Register(Message, frozen=True, tag="REGISTER"):
    """First word of an agent. ``agent_id`` is set if the master has given it one before.

    Carries everything that a master without memory needs: frameworks, executors and tasks with their states,
    and all resources as reservations and volumes have left them (``total``; unset: as in ``agent_info``).
    """

    agent_info: AgentInfo
    version: str
    agent_id: AgentID | None = None
    frameworks: list[FrameworkInfo] = msgspec.field(default_factory=list)
    tasks: list[KnownTask] = msgspec.field(default_factory=list)
    executors: list[KnownExecutor] = msgspec.field(default_factory=list)
    operations: list[KnownOperation] = msgspec.field(default_factory=list)
    total: list[Resource] | None = None


class StatusUpdate(Message, frozen=True, tag="UPDATE"):
    """A status to pass on. ``latest_state`` is the task's newest state, for the master's books:
    the status may be an older one that still waits for its acknowledgement."""

    framework_id: FrameworkID
    status: TaskStatus
    latest_state: str


class ExecutorExited(Message, frozen=True, tag="EXECUTOR_EXITED"):
    """An executor has ended: its resources are free. ``status`` as wait(2) has it, -1 if nobody can tell."""

    framework_id: FrameworkID
    executor_id: ExecutorID
    status: Int64


class ToFramework(Message, frozen=True, tag="TO_FRAMEWORK"):
    """Bytes (base64) of an executor for its framework."""

    framework_id: FrameworkID
    executor_id: ExecutorID
    data: str


class OperationUpdate(Message, frozen=True, tag="OPERATION_UPDATE"):
    """What became of an operation; sent again until it is acknowledged, if its status has a uuid."""

    status: OperationStatus
    framework_id: FrameworkID | None = None


class Unregister(Message, frozen=True, tag="UNREGISTER"):
    """The agent shuts down for good; its tasks have been ended."""

    message: str = ""


class Pong(Message, frozen=True, tag="PONG"):
    """The answer to a Ping."""


AgentCall = Register | StatusUpdate | ExecutorExited | ToFramework | OperationUpdate | Unregister | Pong


class Registered(Message, frozen=True, tag="REGISTERED"):
    """The agent is known as ``agent_id``; pings come every ``ping_interval`` seconds."""

    agent_id: AgentID
    ping_interval: float


class Refused(Message, frozen=True, tag="REFUSED"):
    """The master won't have this agent under this id (it was removed): end its tasks, come as a new one.

    ``leave``: don't come again; an operator has said that this agent is gone.
    """

    message: str
    leave: bool = False


class RunTasks(Message, frozen=True, tag="RUN_TASKS"):
    """Start these tasks.

    ``running``: executors of theirs that hold resources already. If one has just ended, its tasks are dropped: for a
    new one nothing has been set aside.
    """

    framework: FrameworkInfo
    tasks: list[TaskInfo]
    running: list[ExecutorID] = msgspec.field(default_factory=list)


class RunGroup(Message, frozen=True, tag="RUN_GROUP"):
    """Start these tasks together in ``executor``; ``running``: it runs already, see RunTasks."""

    framework: FrameworkInfo
    executor: ExecutorInfo
    tasks: list[TaskInfo]
    running: bool = False


class ToExecutor(Message, frozen=True, tag="TO_EXECUTOR"):
    """Bytes (base64) of a framework for one of its executors."""

    framework_id: FrameworkID
    executor_id: ExecutorID
    data: str


class ShutdownExecutor(Message, frozen=True, tag="SHUTDOWN_EXECUTOR"):
    """End an executor and all that it runs."""

    framework_id: FrameworkID
    executor_id: ExecutorID


class ApplyOperation(Message, frozen=True, tag="APPLY_OPERATION"):
    """Carry out RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME or SHRINK_VOLUME; checked by the master.

    The agent stores its new total before it answers. It answers by an OperationUpdate only if the
    operation has an id; ``framework_id`` is unset for an operator's.
    """

    operation: Operation
    framework_id: FrameworkID | None = None


class AcknowledgeOperation(Message, frozen=True, tag="ACKNOWLEDGE_OPERATION"):
    """The framework has the status with this uuid."""

    operation_id: OperationID
    uuid: str
    framework_id: FrameworkID | None = None


class KillTask(Message, frozen=True, tag="KILL_TASK"):
    """End a task; an unknown one is answered with TASK_LOST."""

    framework_id: FrameworkID
    task_id: TaskID
    kill_policy: KillPolicy | None = None


class DrainAgent(Message, frozen=True, tag="DRAIN_AGENT"):
    """An operator wants this agent empty: kill all tasks, and let none take longer than ``max_grace_period`` to end.

    Until they have ended they are told of with REASON_AGENT_DRAINING and, if ``mark_gone``, as TASK_GONE_BY_OPERATOR.
    """

    max_grace_period: DurationInfo | None = None
    mark_gone: bool = False


class AcknowledgeUpdate(Message, frozen=True, tag="ACKNOWLEDGE"):
    """The framework has the update with this uuid."""

    framework_id: FrameworkID
    task_id: TaskID
    uuid: str


class ShutdownFramework(Message, frozen=True, tag="SHUTDOWN_FRAMEWORK"):
    """The framework is no more: end all its tasks and forget it; nobody acknowledges."""

    framework_id: FrameworkID


class Ping(Message, frozen=True, tag="PING"):
    """Proof of life; answered by Pong."""


AgentEvent = (
    Registered
    | Refused
    | RunTasks
    | RunGroup
    | KillTask
    | DrainAgent
    | AcknowledgeUpdate
    | ToExecutor
    | ShutdownExecutor
    | ShutdownFramework
    | ApplyOperation
    | AcknowledgeOperation
    | Ping
)
