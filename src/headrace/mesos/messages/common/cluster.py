"""Frameworks, agents, masters and what they offer each other."""

from __future__ import annotations

from typing import Any

from headrace.mesos.messages.common.values import (
    AgentID,
    AllocationInfo,
    Attribute,
    DurationInfo,
    ExecutorID,
    FrameworkID,
    Int64,
    Labels,
    Message,
    OfferID,
    Resource,
    TimeInfo,
)


class Capability(Message, frozen=True):
    type: str | None = None


class FrameworkInfo(Message, frozen=True):
    """Who a scheduler is. ``failover_timeout`` (seconds): how long its tasks outlive its absence."""

    user: str
    name: str
    id: FrameworkID | None = None
    failover_timeout: float | None = None
    checkpoint: bool | None = None
    role: str | None = None
    roles: list[str] | None = None
    hostname: str | None = None
    principal: str | None = None
    webui_url: str | None = None
    capabilities: list[Capability] | None = None
    labels: Labels | None = None
    offer_filters: dict[str, Any] | None = None


class Named(Message, frozen=True):
    name: str


class FaultDomain(Message, frozen=True):
    region: Named
    zone: Named


class DomainInfo(Message, frozen=True):
    fault_domain: FaultDomain | None = None


class AgentInfo(Message, frozen=True):
    """Who an agent is and all that it has."""

    hostname: str
    port: Int64 | None = None
    resources: list[Resource] | None = None
    attributes: list[Attribute] | None = None
    id: AgentID | None = None
    domain: DomainInfo | None = None


class Address(Message, frozen=True):
    hostname: str | None = None
    ip: str | None = None
    port: Int64 | None = None


class URL(Message, frozen=True):
    scheme: str
    address: Address
    path: str | None = None


class Unavailability(Message, frozen=True):
    """When a machine is to be serviced; no duration: until further notice."""

    start: TimeInfo
    duration: DurationInfo | None = None


class InverseOffer(Message, frozen=True):
    """A wish that a framework leave an agent, whose machine is to be serviced."""

    id: OfferID
    framework_id: FrameworkID
    unavailability: Unavailability
    url: URL | None = None
    agent_id: AgentID | None = None
    resources: list[Resource] | None = None


class Offer(Message, frozen=True):
    id: OfferID
    framework_id: FrameworkID
    agent_id: AgentID
    hostname: str
    url: URL | None = None
    resources: list[Resource] | None = None
    attributes: list[Attribute] | None = None
    executor_ids: list[ExecutorID] | None = None
    allocation_info: AllocationInfo | None = None
    domain: DomainInfo | None = None
    unavailability: Unavailability | None = None


class Filters(Message, frozen=True):
    """Unset ``refuse_seconds`` means 5 s."""

    refuse_seconds: float | None = None


class MasterInfo(Message, frozen=True):
    id: str
    ip: Int64
    port: Int64
    pid: str | None = None
    hostname: str | None = None
    version: str | None = None
    address: Address | None = None
    capabilities: list[Capability] | None = None
    domain: DomainInfo | None = None
