"""What the operator APIs of master and agent have in common: calls, answers, and the nouns in them.

Source: Apache Mesos 1.11, ``mesos.proto``, ``master.proto`` and ``agent.proto``.
"""

from __future__ import annotations

from typing import Annotated

from headrace.kernel.protobuf import Base64, Int32, Uint32, Uint64
from headrace.mesos.messages.common import (
    AgentID,
    ContainerInfo,
    DiscoveryInfo,
    DurationInfo,
    ExecutorID,
    FrameworkID,
    HealthCheck,
    KillPolicy,
    Labels,
    Limit,
    Message,
    OperationStatus,
    OperationUuid,
    Resource,
    TaskID,
    TaskState,
    TaskStatus,
    TimeInfo,
)
from headrace.mesos.messages.scheduler import Operation as OperationInfo

# What is asked


class MetricsTimeout(Message, frozen=True):
    """The body of GET_METRICS."""

    timeout: Annotated[DurationInfo | None, 1] = None


class SetLoggingLevel(Message, frozen=True):
    """Log more for a while; 0 is what is usual."""

    level: Annotated[Uint32, 1]
    duration: Annotated[DurationInfo, 2]


class FilesIn(Message, frozen=True):
    """The body of LIST_FILES."""

    path: Annotated[str, 1]


class PartOfFile(Message, frozen=True):
    """The body of READ_FILE; no length: up to the end, but not more than a page."""

    path: Annotated[str, 1]
    offset: Annotated[Uint64, 2]
    length: Annotated[Uint64 | None, 3] = None


# What is answered


class Health(Message, frozen=True):
    healthy: Annotated[bool, 1]


class Flag(Message, frozen=True):
    name: Annotated[str, 1]
    value: Annotated[str | None, 2] = None


class Flags(Message, frozen=True):
    flags: Annotated[list[Flag], 1]


class VersionInfo(Message, frozen=True):
    """``build_time`` in seconds."""

    version: Annotated[str, 1]
    build_date: Annotated[str | None, 2] = None
    build_time: Annotated[float | None, 3] = None
    build_user: Annotated[str | None, 4] = None
    git_sha: Annotated[str | None, 5] = None
    git_branch: Annotated[str | None, 6] = None
    git_tag: Annotated[str | None, 7] = None


class Version(Message, frozen=True):
    version_info: Annotated[VersionInfo, 1]


class Metric(Message, frozen=True):
    name: Annotated[str, 1]
    value: Annotated[float | None, 2] = None


class Metrics(Message, frozen=True):
    metrics: Annotated[list[Metric], 1]


class LoggingLevel(Message, frozen=True):
    level: Annotated[Uint32, 1]


class FileInfo(Message, frozen=True):
    """A file or a directory, as ``ls -l`` shows it."""

    path: Annotated[str, 1]
    nlink: Annotated[Int32 | None, 2] = None
    size: Annotated[Uint64 | None, 3] = None
    mtime: Annotated[TimeInfo | None, 4] = None
    mode: Annotated[Uint32 | None, 5] = None
    uid: Annotated[str | None, 6] = None
    gid: Annotated[str | None, 7] = None


class FileInfos(Message, frozen=True):
    file_infos: Annotated[list[FileInfo] | None, 1] = None


class FileData(Message, frozen=True):
    """``size`` of the whole file; ``data`` in base64."""

    size: Annotated[Uint64, 1]
    data: Annotated[Base64, 2]


class Task(Message, frozen=True):
    """A task with its history. ``status_update_state`` is the newest state that its framework was told."""

    name: Annotated[str, 1]
    task_id: Annotated[TaskID, 2]
    framework_id: Annotated[FrameworkID, 3]
    agent_id: Annotated[AgentID, 5]
    state: Annotated[TaskState, 6]
    executor_id: Annotated[ExecutorID | None, 4] = None
    resources: Annotated[list[Resource] | None, 7] = None
    statuses: Annotated[list[TaskStatus] | None, 8] = None
    status_update_state: Annotated[TaskState | None, 9] = None
    status_update_uuid: Annotated[Base64 | None, 10] = None
    labels: Annotated[Labels | None, 11] = None
    discovery: Annotated[DiscoveryInfo | None, 12] = None
    container: Annotated[ContainerInfo | None, 13] = None
    user: Annotated[str | None, 14] = None
    health_check: Annotated[HealthCheck | None, 15] = None
    kill_policy: Annotated[KillPolicy | None, 16] = None
    max_completion_time: DurationInfo | None = None
    limits: Annotated[dict[str, Limit] | None, 17] = None


class Operation(Message, frozen=True):
    """An operation that is under way or not yet acknowledged. ``framework_id`` is unset for an operator's."""

    info: Annotated[OperationInfo, 3]
    latest_status: Annotated[OperationStatus, 4]
    uuid: Annotated[OperationUuid, 6]
    framework_id: Annotated[FrameworkID | None, 1] = None
    agent_id: Annotated[AgentID | None, 2] = None
    statuses: Annotated[list[OperationStatus] | None, 5] = None


class Operations(Message, frozen=True):
    operations: Annotated[list[Operation] | None, 1] = None
