"""Tasks, their statuses, and operations."""

from __future__ import annotations

from typing import Any, TypeAlias

from headrace.mesos.messages.common.containers import (
    CheckInfo,
    CheckStatusInfo,
    CommandInfo,
    ContainerInfo,
    ExecutorInfo,
    HealthCheck,
    KillPolicy,
    NetworkInfo,
)
from headrace.mesos.messages.common.values import (
    AgentID,
    DurationInfo,
    ExecutorID,
    Identifier,
    Int64,
    Labels,
    Message,
    Resource,
    TaskID,
    TimeInfo,
)


class Limit(Message, frozen=True):
    """An upper bound; JSON writes no bound as the text ``Infinity``."""

    value: float | str


class TaskInfo(Message, frozen=True):
    name: str
    task_id: TaskID
    agent_id: AgentID
    resources: list[Resource] | None = None
    executor: ExecutorInfo | None = None
    command: CommandInfo | None = None
    container: ContainerInfo | None = None
    health_check: HealthCheck | None = None
    check: CheckInfo | None = None
    kill_policy: KillPolicy | None = None
    data: str | None = None
    labels: Labels | None = None
    discovery: dict[str, Any] | None = None
    limits: dict[str, Limit] | None = None
    max_completion_time: DurationInfo | None = None


class TaskGroupInfo(Message, frozen=True):
    """Tasks that start together and share an executor."""

    tasks: list[TaskInfo] | None = None


class ContainerID(Message, frozen=True):
    value: str
    parent: ContainerID | None = None


class ContainerStatus(Message, frozen=True):
    container_id: ContainerID | None = None
    network_infos: list[NetworkInfo] | None = None
    executor_pid: Int64 | None = None


class TaskResourceLimitation(Message, frozen=True):
    """Which limit a container went over."""

    resources: list[Resource] | None = None


class TaskStatus(Message, frozen=True):
    """What became of a task. ``timestamp`` is in seconds; ``uuid`` is base64 and asks for an acknowledgement."""

    task_id: TaskID
    state: str
    message: str | None = None
    source: str | None = None
    reason: str | None = None
    data: str | None = None
    agent_id: AgentID | None = None
    executor_id: ExecutorID | None = None
    timestamp: float | None = None
    uuid: str | None = None
    healthy: bool | None = None
    check_status: CheckStatusInfo | None = None
    labels: Labels | None = None
    container_status: ContainerStatus | None = None
    unreachable_time: TimeInfo | None = None
    limitation: TaskResourceLimitation | None = None


OperationID: TypeAlias = Identifier


class OperationUuid(Message, frozen=True):
    """Base64; in events Mesos wraps it so, in calls it stands bare."""

    value: str


class OperationStatus(Message, frozen=True):
    """What became of an operation. A ``uuid`` asks for an acknowledgement."""

    state: str
    operation_id: OperationID | None = None
    message: str | None = None
    converted_resources: list[Resource] | None = None
    uuid: OperationUuid | None = None
    agent_id: AgentID | None = None
    resource_provider_id: Identifier | None = None


TERMINAL_STATES = frozenset(
    {
        "TASK_FINISHED",
        "TASK_FAILED",
        "TASK_KILLED",
        "TASK_ERROR",
        "TASK_LOST",
        "TASK_DROPPED",
        "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    }
)
"""States after which a task's resources are free and nothing more comes."""


def is_terminal(state: str) -> bool:
    """Whether a task in ``state`` has ended."""
    return state in TERMINAL_STATES
