"""The executor API: calls of an executor, events from its agent.

POST /api/v1/executor at the agent; SUBSCRIBE answers with a RecordIO stream of events, every other call with 202.
Source: Apache Mesos 1.11, include/mesos/v1/executor/executor.proto.
"""

from __future__ import annotations

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


class Update(Message, frozen=True):
    """A status of one of the executor's tasks; its uuid is the executor's own."""

    status: TaskStatus


class Subscribe(Message, frozen=True):
    """What an executor that comes back has not seen acknowledged."""

    unacknowledged_tasks: list[TaskInfo] | None = None
    unacknowledged_updates: list[Update] | None = None


class Data(Message, frozen=True):
    """Base64."""

    data: str


class Call(Message, frozen=True):
    """What an executor says; ``type`` says which body counts."""

    type: str | None = None
    executor_id: ExecutorID | None = None
    framework_id: FrameworkID | None = None
    subscribe: Subscribe | None = None
    update: Update | None = None
    message: Data | None = None


class Subscribed(Message, frozen=True):
    executor_info: ExecutorInfo
    framework_info: FrameworkInfo
    agent_info: AgentInfo
    container_id: ContainerID | None = None


class Launch(Message, frozen=True):
    task: TaskInfo


class LaunchGroup(Message, frozen=True):
    task_group: TaskGroupInfo


class Kill(Message, frozen=True):
    task_id: TaskID
    kill_policy: KillPolicy | None = None


class Acknowledged(Message, frozen=True):
    task_id: TaskID
    uuid: str


class Error(Message, frozen=True):
    message: str


class Event(Message, frozen=True):
    """What the agent says; ``type`` says which body counts."""

    type: str
    subscribed: Subscribed | None = None
    launch: Launch | None = None
    launch_group: LaunchGroup | None = None
    kill: Kill | None = None
    acknowledged: Acknowledged | None = None
    message: Data | None = None
    error: Error | None = None
