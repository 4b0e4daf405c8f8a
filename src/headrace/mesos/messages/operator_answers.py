"""The v1 operator API of the master: what it answers, and the events of SUBSCRIBE.

Source: Apache Mesos 1.11, ``master.proto``. The nouns that agents use too stand in ``operator_common``.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Enum
from headrace.mesos.messages.common import (
    AgentCapability,
    AgentID,
    AgentInfo,
    DurationInfo,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    InverseOffer,
    MasterInfo,
    Message,
    Offer,
    OfferConstraints,
    Resource,
    TaskState,
    TaskStatus,
    TimeInfo,
)
from headrace.mesos.messages.operator import ClusterStatus, QuotaStatus, Schedule, UpdateWeights
from headrace.mesos.messages.operator_common import (
    FileData,
    FileInfos,
    Flags,
    Health,
    LoggingLevel,
    Metrics,
    Operations,
    Task,
    Version,
)


class DrainConfig(Message, frozen=True):
    """How an agent is drained: for how long its tasks may take to end, and whether it is marked gone then."""

    max_grace_period: Annotated[DurationInfo | None, 1] = None
    mark_gone: Annotated[bool | None, 2] = None


class DrainInfo(Message, frozen=True):
    """``state`` is DRAINING or DRAINED."""

    state: Annotated[Annotated[str, Enum(UNKNOWN=0, DRAINING=1, DRAINED=2)], 1]
    config: Annotated[DrainConfig, 2]


class Agent(Message, frozen=True):
    """A registered agent; ``total_resources`` as reservations and volumes have left them."""

    agent_info: Annotated[AgentInfo, 1]
    active: Annotated[bool, 2]
    version: Annotated[str, 3]
    deactivated: Annotated[bool | None, 12] = None
    pid: Annotated[str | None, 4] = None
    registered_time: Annotated[TimeInfo | None, 5] = None
    reregistered_time: Annotated[TimeInfo | None, 6] = None
    total_resources: Annotated[list[Resource] | None, 7] = None
    allocated_resources: Annotated[list[Resource] | None, 8] = None
    offered_resources: Annotated[list[Resource] | None, 9] = None
    capabilities: Annotated[list[AgentCapability] | None, 10] = None
    drain_info: Annotated[DrainInfo | None, 13] = None
    estimated_drain_start_time: Annotated[TimeInfo | None, 14] = None


class Agents(Message, frozen=True):
    """``recovered_agents``: known from before a restart of the master, not yet registered again."""

    agents: Annotated[list[Agent], 1]
    recovered_agents: Annotated[list[AgentInfo], 2]


class Framework(Message, frozen=True):
    """``recovered``: known from before a restart of the master, not yet subscribed again."""

    framework_info: Annotated[FrameworkInfo, 1]
    active: Annotated[bool, 2]
    connected: Annotated[bool, 3]
    recovered: Annotated[bool, 11]
    registered_time: Annotated[TimeInfo | None, 4] = None
    reregistered_time: Annotated[TimeInfo | None, 5] = None
    unregistered_time: Annotated[TimeInfo | None, 6] = None
    offers: Annotated[list[Offer] | None, 7] = None
    inverse_offers: Annotated[list[InverseOffer] | None, 8] = None
    allocated_resources: Annotated[list[Resource] | None, 9] = None
    offered_resources: Annotated[list[Resource] | None, 10] = None
    offer_constraints: Annotated[OfferConstraints | None, 12] = None


class Frameworks(Message, frozen=True):
    frameworks: Annotated[list[Framework], 1]
    completed_frameworks: Annotated[list[Framework], 2]


class Executor(Message, frozen=True):
    executor_info: Annotated[ExecutorInfo, 1]
    agent_id: Annotated[AgentID, 2]


class Executors(Message, frozen=True):
    executors: Annotated[list[Executor], 1]


class Tasks(Message, frozen=True):
    """``tasks`` have not ended, or their framework has not acknowledged the end yet."""

    tasks: Annotated[list[Task], 2]
    unreachable_tasks: Annotated[list[Task], 5]
    completed_tasks: Annotated[list[Task], 3]


class State(Message, frozen=True):
    get_tasks: Annotated[Tasks, 1]
    get_executors: Annotated[Executors, 2]
    get_frameworks: Annotated[Frameworks, 3]
    get_agents: Annotated[Agents, 4]


class Role(Message, frozen=True):
    """``resources``: what its frameworks hold or are offered."""

    name: Annotated[str, 1]
    weight: Annotated[float, 2]
    frameworks: Annotated[list[FrameworkID] | None, 3] = None
    resources: Annotated[list[Resource] | None, 4] = None


class Roles(Message, frozen=True):
    roles: Annotated[list[Role] | None, 1] = None


class Master(Message, frozen=True):
    """Times in seconds since the epoch."""

    master_info: Annotated[MasterInfo, 1]
    start_time: Annotated[float, 2]
    elected_time: Annotated[float, 3]


class MaintenanceStatus(Message, frozen=True):
    status: Annotated[ClusterStatus, 1]


class MaintenanceSchedule(Message, frozen=True):
    schedule: Annotated[Schedule, 1]


class Quota(Message, frozen=True):
    status: Annotated[QuotaStatus, 1]


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
        GET_AGENTS=9,
        GET_FRAMEWORKS=10,
        GET_EXECUTORS=11,
        GET_OPERATIONS=19,
        GET_TASKS=12,
        GET_ROLES=13,
        GET_WEIGHTS=14,
        GET_MASTER=15,
        GET_MAINTENANCE_STATUS=16,
        GET_MAINTENANCE_SCHEDULE=17,
        GET_QUOTA=18,
    ),
]


class Response(Message, frozen=True):
    """What the master answers; ``type`` is that of the call and says which body counts."""

    type: Annotated[ResponseType, 1]
    get_health: Annotated[Health | None, 2] = None
    get_flags: Annotated[Flags | None, 3] = None
    get_version: Annotated[Version | None, 4] = None
    get_metrics: Annotated[Metrics | None, 5] = None
    get_logging_level: Annotated[LoggingLevel | None, 6] = None
    list_files: Annotated[FileInfos | None, 7] = None
    read_file: Annotated[FileData | None, 8] = None
    get_state: Annotated[State | None, 9] = None
    get_agents: Annotated[Agents | None, 10] = None
    get_frameworks: Annotated[Frameworks | None, 11] = None
    get_executors: Annotated[Executors | None, 12] = None
    get_operations: Annotated[Operations | None, 20] = None
    get_tasks: Annotated[Tasks | None, 13] = None
    get_roles: Annotated[Roles | None, 14] = None
    get_weights: Annotated[UpdateWeights | None, 15] = None
    get_master: Annotated[Master | None, 16] = None
    get_maintenance_status: Annotated[MaintenanceStatus | None, 17] = None
    get_maintenance_schedule: Annotated[MaintenanceSchedule | None, 18] = None
    get_quota: Annotated[Quota | None, 19] = None


# Events


class Subscribed(Message, frozen=True):
    """What there is at the beginning of the stream; what changes from then on comes as events."""

    get_state: Annotated[State, 1]
    heartbeat_interval_seconds: Annotated[float, 2]


class TaskAdded(Message, frozen=True):
    task: Annotated[Task, 1]


class TaskUpdated(Message, frozen=True):
    """``status`` is what the framework was told; ``state`` is the newest that the master knows of."""

    framework_id: Annotated[FrameworkID, 1]
    status: Annotated[TaskStatus, 2]
    state: Annotated[TaskState, 3]


class OneAgent(Message, frozen=True):
    """The body of AGENT_ADDED."""

    agent: Annotated[Agent, 1]


class AgentRemoved(Message, frozen=True):
    agent_id: Annotated[AgentID, 1]


class OneFramework(Message, frozen=True):
    """The body of FRAMEWORK_ADDED and FRAMEWORK_UPDATED."""

    framework: Annotated[Framework, 1]


class FrameworkRemoved(Message, frozen=True):
    framework_info: Annotated[FrameworkInfo, 1]


EventType: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        SUBSCRIBED=1,
        TASK_ADDED=2,
        TASK_UPDATED=3,
        AGENT_ADDED=4,
        AGENT_REMOVED=5,
        FRAMEWORK_ADDED=6,
        FRAMEWORK_UPDATED=7,
        FRAMEWORK_REMOVED=8,
        HEARTBEAT=9,
    ),
]


class Event(Message, frozen=True):
    """What the master tells those who have subscribed; ``type`` says which body counts."""

    type: Annotated[EventType, 1]
    subscribed: Annotated[Subscribed | None, 2] = None
    task_added: Annotated[TaskAdded | None, 3] = None
    task_updated: Annotated[TaskUpdated | None, 4] = None
    agent_added: Annotated[OneAgent | None, 5] = None
    agent_removed: Annotated[AgentRemoved | None, 6] = None
    framework_added: Annotated[OneFramework | None, 7] = None
    framework_updated: Annotated[OneFramework | None, 8] = None
    framework_removed: Annotated[FrameworkRemoved | None, 9] = None
