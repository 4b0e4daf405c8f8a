"""Tasks, their statuses, and operations."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Base64, Enum, Uint32, Unbounded
from headrace.mesos.messages.common.checks import CheckInfo, CheckStatusInfo, HealthCheck, KillPolicy
from headrace.mesos.messages.common.containers import (
    CommandInfo,
    ContainerInfo,
    DiscoveryInfo,
    ExecutorInfo,
    NetworkInfo,
)
from headrace.mesos.messages.common.resources import Resource
from headrace.mesos.messages.common.values import (
    AgentID,
    DurationInfo,
    ExecutorID,
    Identifier,
    Labels,
    Message,
    OperationID,
    TaskID,
    TimeInfo,
)

TASK_STATES = Enum(
    TASK_STAGING=6,
    TASK_STARTING=0,
    TASK_RUNNING=1,
    TASK_KILLING=8,
    TASK_FINISHED=2,
    TASK_FAILED=3,
    TASK_KILLED=4,
    TASK_ERROR=7,
    TASK_LOST=5,
    TASK_DROPPED=9,
    TASK_UNREACHABLE=10,
    TASK_GONE=11,
    TASK_GONE_BY_OPERATOR=12,
    TASK_UNKNOWN=13,
)
TaskState: TypeAlias = Annotated[str, TASK_STATES]
TaskSource: TypeAlias = Annotated[str, Enum(SOURCE_MASTER=0, SOURCE_AGENT=1, SOURCE_EXECUTOR=2)]
TaskReason: TypeAlias = Annotated[
    str,
    Enum(
        REASON_COMMAND_EXECUTOR_FAILED=0,
        REASON_CONTAINER_LAUNCH_FAILED=21,
        REASON_CONTAINER_LIMITATION=19,
        REASON_CONTAINER_LIMITATION_DISK=20,
        REASON_CONTAINER_LIMITATION_MEMORY=8,
        REASON_CONTAINER_PREEMPTED=17,
        REASON_CONTAINER_UPDATE_FAILED=22,
        REASON_MAX_COMPLETION_TIME_REACHED=33,
        REASON_EXECUTOR_REGISTRATION_TIMEOUT=23,
        REASON_EXECUTOR_REREGISTRATION_TIMEOUT=24,
        REASON_EXECUTOR_TERMINATED=1,
        REASON_EXECUTOR_UNREGISTERED=2,
        REASON_FRAMEWORK_REMOVED=3,
        REASON_GC_ERROR=4,
        REASON_INVALID_FRAMEWORKID=5,
        REASON_INVALID_OFFERS=6,
        REASON_IO_SWITCHBOARD_EXITED=27,
        REASON_MASTER_DISCONNECTED=7,
        REASON_RECONCILIATION=9,
        REASON_RESOURCES_UNKNOWN=18,
        REASON_AGENT_DISCONNECTED=10,
        REASON_AGENT_DRAINING=34,
        REASON_AGENT_REMOVED=11,
        REASON_AGENT_REMOVED_BY_OPERATOR=31,
        REASON_AGENT_REREGISTERED=32,
        REASON_AGENT_RESTARTED=12,
        REASON_AGENT_UNKNOWN=13,
        REASON_TASK_KILLED_DURING_LAUNCH=30,
        REASON_TASK_CHECK_STATUS_UPDATED=28,
        REASON_TASK_HEALTH_CHECK_STATUS_UPDATED=29,
        REASON_TASK_GROUP_INVALID=25,
        REASON_TASK_GROUP_UNAUTHORIZED=26,
        REASON_TASK_INVALID=14,
        REASON_TASK_UNAUTHORIZED=15,
        REASON_TASK_UNKNOWN=16,
    ),
]


class Limit(Message, frozen=True):
    """An upper bound; JSON writes no bound as the text ``Infinity``."""

    value: Annotated[Unbounded, 1]


class TaskInfo(Message, frozen=True):
    name: Annotated[str, 1]
    task_id: Annotated[TaskID, 2]
    agent_id: Annotated[AgentID, 3]
    resources: Annotated[list[Resource] | None, 4] = None
    executor: Annotated[ExecutorInfo | None, 5] = None
    command: Annotated[CommandInfo | None, 7] = None
    container: Annotated[ContainerInfo | None, 9] = None
    health_check: Annotated[HealthCheck | None, 8] = None
    check: Annotated[CheckInfo | None, 13] = None
    kill_policy: Annotated[KillPolicy | None, 12] = None
    data: Annotated[Base64 | None, 6] = None
    labels: Annotated[Labels | None, 10] = None
    discovery: Annotated[DiscoveryInfo | None, 11] = None
    limits: Annotated[dict[str, Limit] | None, 15] = None
    max_completion_time: Annotated[DurationInfo | None, 14] = None


class TaskGroupInfo(Message, frozen=True):
    """Tasks that start together and share an executor."""

    tasks: Annotated[list[TaskInfo] | None, 1] = None


class ContainerID(Message, frozen=True):
    value: Annotated[str, 1]
    parent: Annotated[ContainerID | None, 2] = None


class ContainerStatus(Message, frozen=True):
    container_id: Annotated[ContainerID | None, 4] = None
    network_infos: Annotated[list[NetworkInfo] | None, 1] = None
    executor_pid: Annotated[Uint32 | None, 3] = None


class TaskResourceLimitation(Message, frozen=True):
    """Which limit a container went over."""

    resources: Annotated[list[Resource] | None, 1] = None


class TaskStatus(Message, frozen=True):
    """What became of a task. ``timestamp`` is in seconds; a ``uuid`` asks for an acknowledgement."""

    task_id: Annotated[TaskID, 1]
    state: Annotated[TaskState, 2]
    message: Annotated[str | None, 4] = None
    source: Annotated[TaskSource | None, 9] = None
    reason: Annotated[TaskReason | None, 10] = None
    data: Annotated[Base64 | None, 3] = None
    agent_id: Annotated[AgentID | None, 5] = None
    executor_id: Annotated[ExecutorID | None, 7] = None
    timestamp: Annotated[float | None, 6] = None
    uuid: Annotated[Base64 | None, 11] = None
    healthy: Annotated[bool | None, 8] = None
    check_status: Annotated[CheckStatusInfo | None, 15] = None
    labels: Annotated[Labels | None, 12] = None
    container_status: Annotated[ContainerStatus | None, 13] = None
    unreachable_time: Annotated[TimeInfo | None, 14] = None
    limitation: Annotated[TaskResourceLimitation | None, 16] = None


class OperationUuid(Message, frozen=True):
    """In events Mesos wraps it so, in calls it stands bare."""

    value: Annotated[Base64, 1]


OperationState: TypeAlias = Annotated[
    str,
    Enum(
        OPERATION_UNSUPPORTED=0,
        OPERATION_PENDING=1,
        OPERATION_FINISHED=2,
        OPERATION_FAILED=3,
        OPERATION_ERROR=4,
        OPERATION_DROPPED=5,
        OPERATION_UNREACHABLE=6,
        OPERATION_GONE_BY_OPERATOR=7,
        OPERATION_RECOVERING=8,
        OPERATION_UNKNOWN=9,
    ),
]


class OperationStatus(Message, frozen=True):
    """What became of an operation. A ``uuid`` asks for an acknowledgement."""

    state: Annotated[OperationState, 2]
    operation_id: Annotated[OperationID | None, 1] = None
    message: Annotated[str | None, 3] = None
    converted_resources: Annotated[list[Resource] | None, 4] = None
    uuid: Annotated[OperationUuid | None, 5] = None
    agent_id: Annotated[AgentID | None, 6] = None
    resource_provider_id: Annotated[Identifier | None, 7] = None


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
