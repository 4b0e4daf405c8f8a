"""The executor API: calls of an executor, events from its agent.

POST /api/v1/executor at the agent; SUBSCRIBE answers with a RecordIO stream of events, every other call with 202.
Source: Apache Mesos 1.11, include/mesos/v1/executor/executor.proto.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Base64, Enum
from headrace.mesos.messages.common import (
    AgentInfo,
    ContainerID,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    KillPolicy,
    Message,
    TaskGroupInfo,
    TaskID,
    TaskInfo,
    TaskStatus,
)

CallType: TypeAlias = Annotated[str, Enum(UNKNOWN=0, SUBSCRIBE=1, UPDATE=2, MESSAGE=3, HEARTBEAT=4)]
EventType: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        SUBSCRIBED=1,
        LAUNCH=2,
        LAUNCH_GROUP=8,
        KILL=3,
        ACKNOWLEDGED=4,
        MESSAGE=5,
        ERROR=6,
        SHUTDOWN=7,
        HEARTBEAT=9,
    ),
]


class Update(Message, frozen=True):
    """A status of one of the executor's tasks; its uuid is the executor's own."""

    status: Annotated[TaskStatus, 1]


class Subscribe(Message, frozen=True):
    """What an executor that comes back has not seen acknowledged."""

    unacknowledged_tasks: Annotated[list[TaskInfo] | None, 1] = None
    unacknowledged_updates: Annotated[list[Update] | None, 2] = None


class ToFramework(Message, frozen=True):
    """Bytes for the framework."""

    data: Annotated[Base64, 2]


class Call(Message, frozen=True):
    """What an executor says; ``type`` says which body counts."""

    type: Annotated[CallType | None, 3] = None
    executor_id: Annotated[ExecutorID | None, 1] = None
    framework_id: Annotated[FrameworkID | None, 2] = None
    subscribe: Annotated[Subscribe | None, 4] = None
    update: Annotated[Update | None, 5] = None
    message: Annotated[ToFramework | None, 6] = None


class Subscribed(Message, frozen=True):
    executor_info: Annotated[ExecutorInfo, 1]
    framework_info: Annotated[FrameworkInfo, 2]
    agent_info: Annotated[AgentInfo, 3]
    container_id: Annotated[ContainerID | None, 4] = None


class Launch(Message, frozen=True):
    task: Annotated[TaskInfo, 1]


class LaunchGroup(Message, frozen=True):
    task_group: Annotated[TaskGroupInfo, 1]


class Kill(Message, frozen=True):
    task_id: Annotated[TaskID, 1]
    kill_policy: Annotated[KillPolicy | None, 2] = None


class Acknowledged(Message, frozen=True):
    task_id: Annotated[TaskID, 1]
    uuid: Annotated[Base64, 2]


class Data(Message, frozen=True):
    """Bytes from the framework."""

    data: Annotated[Base64, 1]


class Error(Message, frozen=True):
    message: Annotated[str, 1]


class Event(Message, frozen=True):
    """What the agent says; ``type`` says which body counts."""

    type: Annotated[EventType, 1]
    subscribed: Annotated[Subscribed | None, 2] = None
    launch: Annotated[Launch | None, 4] = None
    launch_group: Annotated[LaunchGroup | None, 8] = None
    kill: Annotated[Kill | None, 5] = None
    acknowledged: Annotated[Acknowledged | None, 3] = None
    message: Annotated[Data | None, 6] = None
    error: Annotated[Error | None, 7] = None
