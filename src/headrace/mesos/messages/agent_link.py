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
    FrameworkID,
    FrameworkInfo,
    KillPolicy,
    Message,
    TaskID,
    TaskInfo,
    TaskStatus,
)


class KnownTask(Message, frozen=True):
    """A task that the agent holds: what was launched and the latest status of it.

    ``acknowledged`` is the state that the framework has acknowledged last.
    """

    framework_id: FrameworkID
    task: TaskInfo
    status: TaskStatus
    acknowledged: str | None = None


class Register(Message, frozen=True, tag="REGISTER"):
    """First word of an agent. ``agent_id`` is set if the master has given it one before.

    Carries everything that a master without memory needs: frameworks and tasks with their states.
    """

    agent_info: AgentInfo
    version: str
    agent_id: AgentID | None = None
    frameworks: list[FrameworkInfo] = msgspec.field(default_factory=list)
    tasks: list[KnownTask] = msgspec.field(default_factory=list)


class StatusUpdate(Message, frozen=True, tag="UPDATE"):
    """A status to pass on. ``latest_state`` is the task's newest state, for the master's books:
    the status may be an older one that still waits for its acknowledgement."""

    framework_id: FrameworkID
    status: TaskStatus
    latest_state: str


class Unregister(Message, frozen=True, tag="UNREGISTER"):
    """The agent shuts down for good; its tasks have been ended."""

    message: str = ""


class Pong(Message, frozen=True, tag="PONG"):
    """The answer to a Ping."""


AgentCall = Register | StatusUpdate | Unregister | Pong


class Registered(Message, frozen=True, tag="REGISTERED"):
    """The agent is known as ``agent_id``; pings come every ``ping_interval`` seconds."""

    agent_id: AgentID
    ping_interval: float


class Refused(Message, frozen=True, tag="REFUSED"):
    """The master won't have this agent under this id (it was removed): end its tasks, come as a new one."""

    message: str


class RunTasks(Message, frozen=True, tag="RUN_TASKS"):
    """Start these tasks."""

    framework: FrameworkInfo
    tasks: list[TaskInfo]


class KillTask(Message, frozen=True, tag="KILL_TASK"):
    """End a task; an unknown one is answered with TASK_LOST."""

    framework_id: FrameworkID
    task_id: TaskID
    kill_policy: KillPolicy | None = None


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


AgentEvent = Registered | Refused | RunTasks | KillTask | AcknowledgeUpdate | ShutdownFramework | Ping
