"""The v1 operator API of an agent: calls POSTed to ``/api/v1``, answers, and the input and output of containers.

Source: Apache Mesos 1.11, ``agent.proto``. The nouns that the master uses too stand in ``operator_common``.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Base64, Enum, Int32, Uint32, Uint64
from headrace.mesos.messages.common import (
    AgentInfo,
    CommandInfo,
    ContainerID,
    ContainerInfo,
    ContainerStatus,
    DurationInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    Limit,
    Message,
    Resource,
    TaskReason,
    TaskResourceLimitation,
    TaskState,
    TimeInfo,
    TTYInfo,
)
from headrace.mesos.messages.operator_answers import DrainConfig
from headrace.mesos.messages.operator_common import (
    FileData,
    FileInfos,
    FilesIn,
    Flags,
    Health,
    LoggingLevel,
    Metrics,
    MetricsTimeout,
    Operations,
    PartOfFile,
    SetLoggingLevel,
    Task,
    Version,
)

# Input and output


class IOData(Message, frozen=True):
    """``type`` is STDIN, STDOUT or STDERR; ``data`` in base64, of STDIN none at the input's end."""

    type: Annotated[Annotated[str, Enum(UNKNOWN=0, STDIN=1, STDOUT=2, STDERR=3)] | None, 1] = None
    data: Annotated[Base64 | None, 2] = None


class Heartbeat(Message, frozen=True):
    """The next one comes within ``interval``."""

    interval: Annotated[DurationInfo | None, 1] = None


class IOControl(Message, frozen=True):
    """``type`` is TTY_INFO or HEARTBEAT."""

    type: Annotated[Annotated[str, Enum(UNKNOWN=0, TTY_INFO=1, HEARTBEAT=2)] | None, 1] = None
    tty_info: Annotated[TTYInfo | None, 2] = None
    heartbeat: Annotated[Heartbeat | None, 3] = None


class ProcessIO(Message, frozen=True):
    """A part of a container's input or output. ``type`` is DATA or CONTROL."""

    type: Annotated[Annotated[str, Enum(UNKNOWN=0, DATA=1, CONTROL=2)] | None, 1] = None
    data: Annotated[IOData | None, 2] = None
    control: Annotated[IOControl | None, 3] = None


# What is asked


class GetContainers(Message, frozen=True):
    """Those below tasks' and executors', and those of nobody, only if they are asked for."""

    show_nested: Annotated[bool | None, 1] = None
    show_standalone: Annotated[bool | None, 2] = None


class Launch(Message, frozen=True):
    """The body of LAUNCH_NESTED_CONTAINER and of LAUNCH_NESTED_CONTAINER_SESSION."""

    container_id: Annotated[ContainerID, 1]
    command: Annotated[CommandInfo | None, 2] = None
    container: Annotated[ContainerInfo | None, 3] = None


class LaunchContainer(Message, frozen=True):
    """A container in another one, or, if its id has no parent, one of its own with ``resources``."""

    container_id: Annotated[ContainerID, 1]
    command: Annotated[CommandInfo | None, 2] = None
    resources: Annotated[list[Resource] | None, 3] = None
    container: Annotated[ContainerInfo | None, 4] = None
    limits: Annotated[dict[str, Limit] | None, 5] = None


class OneContainer(Message, frozen=True):
    """The body of the calls that wait for a container, remove it, or attach to its output."""

    container_id: Annotated[ContainerID, 1]


class Kill(Message, frozen=True):
    """No ``signal``: SIGKILL."""

    container_id: Annotated[ContainerID, 1]
    signal: Annotated[Int32 | None, 2] = None


class AttachInput(Message, frozen=True):
    """One record of ATTACH_CONTAINER_INPUT. ``type`` is CONTAINER_ID, the first, or PROCESS_IO, all that follow."""

    type: Annotated[Annotated[str, Enum(UNKNOWN=0, CONTAINER_ID=1, PROCESS_IO=2)] | None, 1] = None
    container_id: Annotated[ContainerID | None, 2] = None
    process_io: Annotated[ProcessIO | None, 3] = None


CallType: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        GET_HEALTH=1,
        GET_FLAGS=2,
        GET_VERSION=3,
        GET_METRICS=4,
        GET_LOGGING_LEVEL=5,
        SET_LOGGING_LEVEL=6,
        LIST_FILES=7,
        READ_FILE=8,
        GET_STATE=9,
        GET_CONTAINERS=10,
        GET_FRAMEWORKS=11,
        GET_EXECUTORS=12,
        GET_OPERATIONS=31,
        GET_TASKS=13,
        GET_AGENT=20,
        GET_RESOURCE_PROVIDERS=26,
        LAUNCH_NESTED_CONTAINER=14,
        WAIT_NESTED_CONTAINER=15,
        KILL_NESTED_CONTAINER=16,
        REMOVE_NESTED_CONTAINER=21,
        LAUNCH_NESTED_CONTAINER_SESSION=17,
        ATTACH_CONTAINER_INPUT=18,
        ATTACH_CONTAINER_OUTPUT=19,
        LAUNCH_CONTAINER=22,
        WAIT_CONTAINER=23,
        KILL_CONTAINER=24,
        REMOVE_CONTAINER=25,
        ADD_RESOURCE_PROVIDER_CONFIG=27,
        UPDATE_RESOURCE_PROVIDER_CONFIG=28,
        REMOVE_RESOURCE_PROVIDER_CONFIG=29,
        MARK_RESOURCE_PROVIDER_GONE=32,
        PRUNE_IMAGES=30,
    ),
]


class Call(Message, frozen=True):
    """What an operator says; ``type`` says which body counts."""

    type: Annotated[CallType | None, 1] = None
    get_metrics: Annotated[MetricsTimeout | None, 2] = None
    set_logging_level: Annotated[SetLoggingLevel | None, 3] = None
    list_files: Annotated[FilesIn | None, 4] = None
    read_file: Annotated[PartOfFile | None, 5] = None
    get_containers: Annotated[GetContainers | None, 20] = None
    launch_nested_container: Annotated[Launch | None, 6] = None
    wait_nested_container: Annotated[OneContainer | None, 7] = None
    kill_nested_container: Annotated[Kill | None, 8] = None
    remove_nested_container: Annotated[OneContainer | None, 12] = None
    launch_nested_container_session: Annotated[Launch | None, 9] = None
    attach_container_input: Annotated[AttachInput | None, 10] = None
    attach_container_output: Annotated[OneContainer | None, 11] = None
    launch_container: Annotated[LaunchContainer | None, 13] = None
    wait_container: Annotated[OneContainer | None, 14] = None
    kill_container: Annotated[Kill | None, 15] = None
    remove_container: Annotated[OneContainer | None, 16] = None


# What is answered


class ResourceStatistics(Message, frozen=True):
    """What a container uses, and may use. Times in seconds."""

    timestamp: Annotated[float, 1]
    processes: Annotated[Uint32 | None, 30] = None
    cpus_user_time_secs: Annotated[float | None, 2] = None
    cpus_system_time_secs: Annotated[float | None, 3] = None
    cpus_limit: Annotated[float | None, 4] = None
    cpus_soft_limit: Annotated[float | None, 45] = None
    mem_rss_bytes: Annotated[Uint64 | None, 5] = None
    mem_limit_bytes: Annotated[Uint64 | None, 6] = None
    mem_soft_limit_bytes: Annotated[Uint64 | None, 38] = None


class Container(Message, frozen=True):
    """``framework_id``, ``executor_id`` and ``executor_name`` are those of a task's or executor's own container."""

    container_id: Annotated[ContainerID, 4]
    framework_id: Annotated[FrameworkID | None, 1] = None
    executor_id: Annotated[ExecutorID | None, 2] = None
    executor_name: Annotated[str | None, 3] = None
    container_status: Annotated[ContainerStatus | None, 5] = None
    resource_statistics: Annotated[ResourceStatistics | None, 6] = None


class Containers(Message, frozen=True):
    containers: Annotated[list[Container] | None, 1] = None


class Framework(Message, frozen=True):
    framework_info: Annotated[FrameworkInfo, 1]


class Frameworks(Message, frozen=True):
    frameworks: Annotated[list[Framework], 1]
    completed_frameworks: Annotated[list[Framework], 2]


class Executor(Message, frozen=True):
    executor_info: Annotated[ExecutorInfo, 1]


class Executors(Message, frozen=True):
    executors: Annotated[list[Executor], 1]
    completed_executors: Annotated[list[Executor], 2]


class Tasks(Message, frozen=True):
    """``terminated_tasks`` have ended, but nobody has acknowledged it yet."""

    pending_tasks: Annotated[list[Task], 1]
    queued_tasks: Annotated[list[Task], 2]
    launched_tasks: Annotated[list[Task], 3]
    terminated_tasks: Annotated[list[Task], 4]
    completed_tasks: Annotated[list[Task], 5]


class State(Message, frozen=True):
    get_tasks: Annotated[Tasks, 1]
    get_executors: Annotated[Executors, 2]
    get_frameworks: Annotated[Frameworks, 3]


class OneAgent(Message, frozen=True):
    """``drain_config`` and the time are set while it is being emptied."""

    agent_info: Annotated[AgentInfo | None, 1] = None
    drain_config: Annotated[DrainConfig | None, 2] = None
    estimated_drain_start_time: Annotated[TimeInfo | None, 3] = None


class ResourceProviders(Message, frozen=True):
    """There are none here."""


class Waited(Message, frozen=True):
    """``exit_status`` as wait(2) has it; the rest if a limit has ended the container."""

    exit_status: Annotated[Int32 | None, 1] = None
    state: Annotated[TaskState | None, 2] = None
    reason: Annotated[TaskReason | None, 3] = None
    limitation: Annotated[TaskResourceLimitation | None, 4] = None
    message: Annotated[str | None, 5] = None


ResponseType: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        GET_HEALTH=1,
        GET_FLAGS=2,
        GET_VERSION=3,
        GET_METRICS=4,
        GET_LOGGING_LEVEL=5,
        LIST_FILES=6,
        READ_FILE=7,
        GET_STATE=8,
        GET_CONTAINERS=9,
        GET_FRAMEWORKS=10,
        GET_EXECUTORS=11,
        GET_OPERATIONS=17,
        GET_TASKS=12,
        GET_AGENT=14,
        GET_RESOURCE_PROVIDERS=16,
        WAIT_NESTED_CONTAINER=13,
        WAIT_CONTAINER=15,
    ),
]


class Response(Message, frozen=True):
    """What the agent answers; ``type`` is that of the call and says which body counts."""

    type: Annotated[ResponseType, 1]
    get_health: Annotated[Health | None, 2] = None
    get_flags: Annotated[Flags | None, 3] = None
    get_version: Annotated[Version | None, 4] = None
    get_metrics: Annotated[Metrics | None, 5] = None
    get_logging_level: Annotated[LoggingLevel | None, 6] = None
    list_files: Annotated[FileInfos | None, 7] = None
    read_file: Annotated[FileData | None, 8] = None
    get_state: Annotated[State | None, 9] = None
    get_containers: Annotated[Containers | None, 10] = None
    get_frameworks: Annotated[Frameworks | None, 11] = None
    get_executors: Annotated[Executors | None, 12] = None
    get_operations: Annotated[Operations | None, 18] = None
    get_tasks: Annotated[Tasks | None, 13] = None
    get_agent: Annotated[OneAgent | None, 15] = None
    get_resource_providers: Annotated[ResourceProviders | None, 17] = None
    wait_nested_container: Annotated[Waited | None, 14] = None
    wait_container: Annotated[Waited | None, 16] = None
