"""Frameworks, agents, masters and what they offer each other."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Enum, Int32, Uint32
from headrace.mesos.messages.common.resources import AllocationInfo, OfferFilters, Resource
from headrace.mesos.messages.common.values import (
    AgentID,
    Attribute,
    DurationInfo,
    ExecutorID,
    FrameworkID,
    Labels,
    Message,
    OfferID,
    Parameter,
    TimeInfo,
)

FrameworkCan: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        REVOCABLE_RESOURCES=1,
        TASK_KILLING_STATE=2,
        GPU_RESOURCES=3,
        SHARED_RESOURCES=4,
        PARTITION_AWARE=5,
        MULTI_ROLE=6,
        RESERVATION_REFINEMENT=7,
        REGION_AWARE=8,
    ),
]
AgentCan: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        MULTI_ROLE=1,
        HIERARCHICAL_ROLE=2,
        RESERVATION_REFINEMENT=3,
        RESOURCE_PROVIDER=4,
        RESIZE_VOLUME=5,
        AGENT_OPERATION_FEEDBACK=6,
        AGENT_DRAINING=7,
        TASK_RESOURCE_LIMITS=8,
    ),
]
MasterCan: TypeAlias = Annotated[str, Enum(UNKNOWN=0, AGENT_UPDATE=1, AGENT_DRAINING=2)]


class Capability(Message, frozen=True):
    """What a framework understands."""

    type: Annotated[FrameworkCan | None, 1] = None


class AgentCapability(Message, frozen=True):
    type: Annotated[AgentCan | None, 1] = None


class MasterCapability(Message, frozen=True):
    type: Annotated[MasterCan | None, 1] = None


class FrameworkInfo(Message, frozen=True):
    """Who a scheduler is. ``failover_timeout`` (seconds): how long its tasks outlive its absence."""

    user: Annotated[str, 1]
    name: Annotated[str, 2]
    id: Annotated[FrameworkID | None, 3] = None
    failover_timeout: Annotated[float | None, 4] = None
    checkpoint: Annotated[bool | None, 5] = None
    role: Annotated[str | None, 6] = None
    roles: Annotated[list[str] | None, 12] = None
    hostname: Annotated[str | None, 7] = None
    principal: Annotated[str | None, 8] = None
    webui_url: Annotated[str | None, 9] = None
    capabilities: Annotated[list[Capability] | None, 10] = None
    labels: Annotated[Labels | None, 11] = None
    offer_filters: Annotated[dict[str, OfferFilters] | None, 13] = None


class Named(Message, frozen=True):
    """A region or a zone."""

    name: Annotated[str, 1]


class FaultDomain(Message, frozen=True):
    region: Annotated[Named, 1]
    zone: Annotated[Named, 2]


class DomainInfo(Message, frozen=True):
    fault_domain: Annotated[FaultDomain | None, 1] = None


class AgentInfo(Message, frozen=True):
    """Who an agent is and all that it has. ``checkpoint`` is for answers to operators alone; agents always do."""

    hostname: Annotated[str, 1]
    port: Annotated[Int32 | None, 8] = None
    resources: Annotated[list[Resource] | None, 3] = None
    attributes: Annotated[list[Attribute] | None, 5] = None
    id: Annotated[AgentID | None, 6] = None
    domain: Annotated[DomainInfo | None, 10] = None
    checkpoint: Annotated[bool | None, 7] = None


class Address(Message, frozen=True):
    hostname: Annotated[str | None, 1] = None
    ip: Annotated[str | None, 2] = None
    port: Annotated[Int32 | None, 3] = None


class URL(Message, frozen=True):
    scheme: Annotated[str, 1]
    address: Annotated[Address, 2]
    path: Annotated[str | None, 3] = None
    query: Annotated[list[Parameter] | None, 4] = None
    fragment: Annotated[str | None, 5] = None


class Unavailability(Message, frozen=True):
    """When a machine is to be serviced; no duration: until further notice."""

    start: Annotated[TimeInfo, 1]
    duration: Annotated[DurationInfo | None, 2] = None


class InverseOffer(Message, frozen=True):
    """A wish that a framework leave an agent, whose machine is to be serviced."""

    id: Annotated[OfferID, 1]
    framework_id: Annotated[FrameworkID, 3]
    unavailability: Annotated[Unavailability, 5]
    url: Annotated[URL | None, 2] = None
    agent_id: Annotated[AgentID | None, 4] = None
    resources: Annotated[list[Resource] | None, 6] = None


class Offer(Message, frozen=True):
    id: Annotated[OfferID, 1]
    framework_id: Annotated[FrameworkID, 2]
    agent_id: Annotated[AgentID, 3]
    hostname: Annotated[str, 4]
    url: Annotated[URL | None, 8] = None
    resources: Annotated[list[Resource] | None, 5] = None
    attributes: Annotated[list[Attribute] | None, 7] = None
    executor_ids: Annotated[list[ExecutorID] | None, 6] = None
    allocation_info: Annotated[AllocationInfo | None, 10] = None
    domain: Annotated[DomainInfo | None, 11] = None
    unavailability: Annotated[Unavailability | None, 9] = None


class Filters(Message, frozen=True):
    """Unset ``refuse_seconds`` means 5 s."""

    refuse_seconds: Annotated[float | None, 1] = None


class MasterInfo(Message, frozen=True):
    id: Annotated[str, 1]
    ip: Annotated[Uint32, 2]
    port: Annotated[Uint32, 3]
    pid: Annotated[str | None, 4] = None
    hostname: Annotated[str | None, 5] = None
    version: Annotated[str | None, 6] = None
    address: Annotated[Address | None, 7] = None
    capabilities: Annotated[list[MasterCapability] | None, 9] = None
    domain: Annotated[DomainInfo | None, 8] = None
