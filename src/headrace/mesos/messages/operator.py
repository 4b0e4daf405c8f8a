"""The v1 operator API of the master: calls of an operator, POSTed to ``/api/v1``.

Only what the master obeys so far has a body here. Source: Apache Mesos 1.11, ``master.proto``, ``maintenance.proto``
and ``quota.proto``.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Enum, Int32
from headrace.mesos.messages.common import (
    AgentID,
    FrameworkID,
    Int64,
    Message,
    Resource,
    Scalar,
    TimeInfo,
    Unavailability,
)
from headrace.mesos.messages.operator_common import FilesIn, MetricsTimeout, PartOfFile, SetLoggingLevel


class MachineID(Message, frozen=True):
    """A machine, as its agents register: by host name, by address, or by both."""

    hostname: Annotated[str | None, 1] = None
    ip: Annotated[str | None, 2] = None


class Window(Message, frozen=True):
    """Machines that are serviced at the same time."""

    unavailability: Annotated[Unavailability, 2]
    machine_ids: Annotated[list[MachineID] | None, 1] = None


class Schedule(Message, frozen=True):
    """All planned maintenance; a new schedule takes the place of the one before."""

    windows: Annotated[list[Window] | None, 1] = None


class InverseOfferStatus(Message, frozen=True):
    """What a framework has answered to an inverse offer: ACCEPT, DECLINE, or UNKNOWN while it has not."""

    status: Annotated[Annotated[str, Enum(UNKNOWN=1, ACCEPT=2, DECLINE=3)], 1]
    framework_id: Annotated[FrameworkID, 2]
    timestamp: Annotated[TimeInfo, 3]


class DrainingMachine(Message, frozen=True):
    id: Annotated[MachineID, 1]
    statuses: Annotated[list[InverseOfferStatus] | None, 2] = None


class ClusterStatus(Message, frozen=True):
    """Machines in maintenance, and those that frameworks are asked to leave."""

    draining_machines: Annotated[list[DrainingMachine] | None, 1] = None
    down_machines: Annotated[list[MachineID] | None, 2] = None


class UpdateSchedule(Message, frozen=True):
    schedule: Annotated[Schedule, 1]


class Machines(Message, frozen=True):
    """The body of START_MAINTENANCE and STOP_MAINTENANCE."""

    machines: Annotated[list[MachineID] | None, 1] = None


class WeightInfo(Message, frozen=True):
    weight: Annotated[float, 1]
    role: Annotated[str | None, 2] = None


class UpdateWeights(Message, frozen=True):
    weight_infos: Annotated[list[WeightInfo] | None, 1] = None


class QuotaConfig(Message, frozen=True):
    """What a role is guaranteed, and what it may hold at most, by resource name; no limit for those that are unset."""

    role: Annotated[str | None, 1] = None
    guarantees: Annotated[dict[str, Scalar] | None, 2] = None
    limits: Annotated[dict[str, Scalar] | None, 3] = None


class UpdateQuota(Message, frozen=True):
    """``force``: even if the cluster can't hold all guarantees."""

    quota_configs: Annotated[list[QuotaConfig] | None, 2] = None
    force: Annotated[bool | None, 1] = None


class QuotaRequest(Message, frozen=True):
    """The older form: guarantee and limit are the same."""

    role: Annotated[str | None, 2] = None
    guarantee: Annotated[list[Resource] | None, 3] = None
    force: Annotated[bool | None, 1] = None


class SetQuota(Message, frozen=True):
    quota_request: Annotated[QuotaRequest, 1]


class RemoveQuota(Message, frozen=True):
    role: Annotated[str, 1]


class QuotaInfo(Message, frozen=True):
    role: Annotated[str, 1]
    guarantee: Annotated[list[Resource] | None, 3] = None


class QuotaStatus(Message, frozen=True):
    """All quotas, in the older and in the newer form."""

    infos: Annotated[list[QuotaInfo] | None, 1] = None
    configs: Annotated[list[QuotaConfig] | None, 2] = None


class OfAgent(Message, frozen=True):
    """The body of MARK_AGENT_GONE, DEACTIVATE_AGENT and REACTIVATE_AGENT."""

    agent_id: Annotated[AgentID, 1]


class Duration(Message, frozen=True):
    """A time as protocol buffers have it; Mesos's own form, ``nanoseconds``, is understood as well."""

    seconds: Annotated[Int64 | None, 1] = None
    nanos: Annotated[Int32 | None, 2] = None
    nanoseconds: Int64 | None = None


class DrainAgent(Message, frozen=True):
    """The body of DRAIN_AGENT: no task may take longer than ``max_grace_period`` to end."""

    agent_id: Annotated[AgentID, 1]
    max_grace_period: Annotated[Duration | None, 2] = None
    mark_gone: Annotated[bool | None, 3] = None


class OfFramework(Message, frozen=True):
    """The body of TEARDOWN."""

    framework_id: Annotated[FrameworkID, 1]


class AgentResources(Message, frozen=True):
    """The body of RESERVE_RESOURCES and UNRESERVE_RESOURCES; ``source``: as they are, if that is not plain."""

    agent_id: Annotated[AgentID, 1]
    resources: Annotated[list[Resource] | None, 2] = None
    source: Annotated[list[Resource] | None, 3] = None


class AgentVolumes(Message, frozen=True):
    """The body of CREATE_VOLUMES and DESTROY_VOLUMES."""

    agent_id: Annotated[AgentID, 1]
    volumes: Annotated[list[Resource] | None, 2] = None


class GrowAgentVolume(Message, frozen=True):
    volume: Annotated[Resource, 2]
    addition: Annotated[Resource, 3]
    agent_id: Annotated[AgentID | None, 1] = None


class ShrinkAgentVolume(Message, frozen=True):
    volume: Annotated[Resource, 2]
    subtract: Annotated[Scalar, 3]
    agent_id: Annotated[AgentID | None, 1] = None


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
        GET_AGENTS=10,
        GET_FRAMEWORKS=11,
        GET_EXECUTORS=12,
        GET_OPERATIONS=33,
        GET_TASKS=13,
        GET_ROLES=14,
        GET_WEIGHTS=15,
        UPDATE_WEIGHTS=16,
        GET_MASTER=17,
        SUBSCRIBE=18,
        RESERVE_RESOURCES=19,
        UNRESERVE_RESOURCES=20,
        CREATE_VOLUMES=21,
        DESTROY_VOLUMES=22,
        GROW_VOLUME=34,
        SHRINK_VOLUME=35,
        GET_MAINTENANCE_STATUS=23,
        GET_MAINTENANCE_SCHEDULE=24,
        UPDATE_MAINTENANCE_SCHEDULE=25,
        START_MAINTENANCE=26,
        STOP_MAINTENANCE=27,
        DRAIN_AGENT=37,
        DEACTIVATE_AGENT=38,
        REACTIVATE_AGENT=39,
        GET_QUOTA=28,
        UPDATE_QUOTA=36,
        SET_QUOTA=29,
        REMOVE_QUOTA=30,
        TEARDOWN=31,
        MARK_AGENT_GONE=32,
    ),
]


class Call(Message, frozen=True):
    """What an operator says; ``type`` says which body counts."""

    type: Annotated[CallType | None, 1] = None
    update_weights: Annotated[UpdateWeights | None, 6] = None
    update_quota: Annotated[UpdateQuota | None, 20] = None
    set_quota: Annotated[SetQuota | None, 14] = None
    remove_quota: Annotated[RemoveQuota | None, 15] = None
    update_maintenance_schedule: Annotated[UpdateSchedule | None, 11] = None
    start_maintenance: Annotated[Machines | None, 12] = None
    stop_maintenance: Annotated[Machines | None, 13] = None
    mark_agent_gone: Annotated[OfAgent | None, 17] = None
    drain_agent: Annotated[DrainAgent | None, 21] = None
    deactivate_agent: Annotated[OfAgent | None, 22] = None
    reactivate_agent: Annotated[OfAgent | None, 23] = None
    teardown: Annotated[OfFramework | None, 16] = None
    reserve_resources: Annotated[AgentResources | None, 7] = None
    unreserve_resources: Annotated[AgentResources | None, 8] = None
    create_volumes: Annotated[AgentVolumes | None, 9] = None
    destroy_volumes: Annotated[AgentVolumes | None, 10] = None
    grow_volume: Annotated[GrowAgentVolume | None, 18] = None
    shrink_volume: Annotated[ShrinkAgentVolume | None, 19] = None
    get_metrics: Annotated[MetricsTimeout | None, 2] = None
    set_logging_level: Annotated[SetLoggingLevel | None, 3] = None
    list_files: Annotated[FilesIn | None, 4] = None
    read_file: Annotated[PartOfFile | None, 5] = None
