"""The v1 operator API of the master: calls of an operator, POSTed to ``/api/v1``.

Only what the master obeys so far has a body here. Source: Apache Mesos 1.11, ``master.proto``, ``maintenance.proto``
and ``quota.proto``.
"""

from __future__ import annotations

from headrace.mesos.messages.common import (
    AgentID,
    FrameworkID,
    Message,
    Resource,
    Scalar,
    TimeInfo,
    Unavailability,
)


class MachineID(Message, frozen=True):
    """A machine, as its agents register: by host name, by address, or by both."""

    hostname: str | None = None
    ip: str | None = None


class Window(Message, frozen=True):
    """Machines that are serviced at the same time."""

    unavailability: Unavailability
    machine_ids: list[MachineID] | None = None


class Schedule(Message, frozen=True):
    """All planned maintenance; a new schedule takes the place of the one before."""

    windows: list[Window] | None = None


class InverseOfferStatus(Message, frozen=True):
    """What a framework has answered to an inverse offer: ACCEPT, DECLINE, or UNKNOWN while it has not."""

    status: str
    framework_id: FrameworkID
    timestamp: TimeInfo


class DrainingMachine(Message, frozen=True):
    id: MachineID
    statuses: list[InverseOfferStatus] | None = None


class ClusterStatus(Message, frozen=True):
    """Machines in maintenance, and those that frameworks are asked to leave."""

    draining_machines: list[DrainingMachine] | None = None
    down_machines: list[MachineID] | None = None


class UpdateSchedule(Message, frozen=True):
    schedule: Schedule


class Machines(Message, frozen=True):
    """The body of START_MAINTENANCE and STOP_MAINTENANCE."""

    machines: list[MachineID] | None = None


class WeightInfo(Message, frozen=True):
    weight: float
    role: str | None = None


class UpdateWeights(Message, frozen=True):
    weight_infos: list[WeightInfo] | None = None


class QuotaConfig(Message, frozen=True):
    """What a role is guaranteed, and what it may hold at most, by resource name; no limit for those that are unset."""

    role: str | None = None
    guarantees: dict[str, Scalar] | None = None
    limits: dict[str, Scalar] | None = None


class UpdateQuota(Message, frozen=True):
    """``force``: even if the cluster can't hold all guarantees."""

    quota_configs: list[QuotaConfig] | None = None
    force: bool | None = None


class QuotaRequest(Message, frozen=True):
    """The older form: guarantee and limit are the same."""

    role: str | None = None
    guarantee: list[Resource] | None = None
    force: bool | None = None


class SetQuota(Message, frozen=True):
    quota_request: QuotaRequest


class RemoveQuota(Message, frozen=True):
    role: str


class QuotaInfo(Message, frozen=True):
    role: str
    guarantee: list[Resource] | None = None


class QuotaStatus(Message, frozen=True):
    """All quotas, in the older and in the newer form."""

    infos: list[QuotaInfo] | None = None
    configs: list[QuotaConfig] | None = None


class OfAgent(Message, frozen=True):
    """The body of MARK_AGENT_GONE."""

    agent_id: AgentID


class OfFramework(Message, frozen=True):
    """The body of TEARDOWN."""

    framework_id: FrameworkID


class AgentResources(Message, frozen=True):
    """The body of RESERVE_RESOURCES and UNRESERVE_RESOURCES; ``source``: as they are, if that is not plain."""

    agent_id: AgentID
    resources: list[Resource] | None = None
    source: list[Resource] | None = None


class AgentVolumes(Message, frozen=True):
    """The body of CREATE_VOLUMES and DESTROY_VOLUMES."""

    agent_id: AgentID
    volumes: list[Resource] | None = None


class GrowAgentVolume(Message, frozen=True):
    volume: Resource
    addition: Resource
    agent_id: AgentID | None = None


class ShrinkAgentVolume(Message, frozen=True):
    volume: Resource
    subtract: Scalar
    agent_id: AgentID | None = None


class Call(Message, frozen=True):
    """What an operator says; ``type`` says which body counts."""

    type: str | None = None
    update_weights: UpdateWeights | None = None
    update_quota: UpdateQuota | None = None
    set_quota: SetQuota | None = None
    remove_quota: RemoveQuota | None = None
    update_maintenance_schedule: UpdateSchedule | None = None
    start_maintenance: Machines | None = None
    stop_maintenance: Machines | None = None
    mark_agent_gone: OfAgent | None = None
    teardown: OfFramework | None = None
    reserve_resources: AgentResources | None = None
    unreserve_resources: AgentResources | None = None
    create_volumes: AgentVolumes | None = None
    destroy_volumes: AgentVolumes | None = None
    grow_volume: GrowAgentVolume | None = None
    shrink_volume: ShrinkAgentVolume | None = None
