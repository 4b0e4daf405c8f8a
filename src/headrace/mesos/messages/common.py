"""The nouns of the v1 API: ids, resources, commands, tasks, statuses, frameworks, agents, offers."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec


class Message(msgspec.Struct, omit_defaults=True, frozen=True):
    """The base of all messages: fields at their default are left out."""


class Identifier(Message, frozen=True):
    """Any Mesos id: framework, agent, offer, task, executor, container."""

    value: str


FrameworkID: TypeAlias = Identifier
AgentID: TypeAlias = Identifier
OfferID: TypeAlias = Identifier
TaskID: TypeAlias = Identifier
ExecutorID: TypeAlias = Identifier


class Scalar(Message, frozen=True):
    value: float


class Range(Message, frozen=True):
    """Both ends belong to the range."""

    begin: int
    end: int


class Ranges(Message, frozen=True):
    range: list[Range] | None = None


class Set(Message, frozen=True):
    item: list[str] | None = None


class Text(Message, frozen=True):
    value: str


class AllocationInfo(Message, frozen=True):
    role: str | None = None


class Resource(Message, frozen=True):
    """A named amount. ``mem`` and ``disk`` are in MiB (Mesos says MB and means MiB)."""

    name: str
    type: str | None = None
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    set: Set | None = None
    role: str | None = None
    allocation_info: AllocationInfo | None = None
    reservation: dict[str, Any] | None = None
    reservations: list[dict[str, Any]] | None = None
    disk: dict[str, Any] | None = None
    revocable: dict[str, Any] | None = None
    shared: dict[str, Any] | None = None
    provider_id: Identifier | None = None


class Attribute(Message, frozen=True):
    name: str
    type: str | None = None
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    set: Set | None = None
    text: Text | None = None


class Label(Message, frozen=True):
    key: str
    value: str | None = None


class Labels(Message, frozen=True):
    labels: list[Label] | None = None


class CommandUri(Message, frozen=True):
    """Something to fetch into the sandbox. Unset ``extract`` means true, the others false."""

    value: str
    executable: bool | None = None
    extract: bool | None = None
    cache: bool | None = None
    output_file: str | None = None


class EnvironmentVariable(Message, frozen=True):
    name: str
    value: str | None = None
    type: str | None = None
    secret: dict[str, Any] | None = None


class Environment(Message, frozen=True):
    variables: list[EnvironmentVariable] | None = None


class CommandInfo(Message, frozen=True):
    """A command line for ``/bin/sh -c``, or with ``shell: false`` a program and its arguments."""

    value: str | None = None
    shell: bool | None = None
    arguments: list[str] | None = None
    environment: Environment | None = None
    uris: list[CommandUri] | None = None
    user: str | None = None


class DurationInfo(Message, frozen=True):
    nanoseconds: int


class KillPolicy(Message, frozen=True):
    grace_period: DurationInfo | None = None


class HealthCheckHttp(Message, frozen=True):
    port: int
    scheme: str | None = None
    path: str | None = None
    protocol: str | None = None
    statuses: list[int] | None = None


class HealthCheckTcp(Message, frozen=True):
    port: int
    protocol: str | None = None


class HealthCheck(Message, frozen=True):
    """A check that the agent runs; times in seconds."""

    type: str | None = None
    command: CommandInfo | None = None
    http: HealthCheckHttp | None = None
    tcp: HealthCheckTcp | None = None
    delay_seconds: float | None = None
    interval_seconds: float | None = None
    timeout_seconds: float | None = None
    consecutive_failures: int | None = None
    grace_period_seconds: float | None = None


class ExecutorInfo(Message, frozen=True):
    executor_id: ExecutorID
    type: str | None = None
    framework_id: FrameworkID | None = None
    command: CommandInfo | None = None
    container: dict[str, Any] | None = None
    resources: list[Resource] | None = None
    name: str | None = None
    source: str | None = None
    data: str | None = None
    labels: Labels | None = None


class TaskInfo(Message, frozen=True):
    name: str
    task_id: TaskID
    agent_id: AgentID
    resources: list[Resource] | None = None
    executor: ExecutorInfo | None = None
    command: CommandInfo | None = None
    container: dict[str, Any] | None = None
    health_check: HealthCheck | None = None
    check: dict[str, Any] | None = None
    kill_policy: KillPolicy | None = None
    data: str | None = None
    labels: Labels | None = None
    discovery: dict[str, Any] | None = None
    limits: dict[str, Any] | None = None
    max_completion_time: DurationInfo | None = None


class IPAddress(Message, frozen=True):
    ip_address: str | None = None
    protocol: str | None = None


class NetworkInfo(Message, frozen=True):
    ip_addresses: list[IPAddress] | None = None


class ContainerStatus(Message, frozen=True):
    container_id: dict[str, Any] | None = None
    network_infos: list[NetworkInfo] | None = None
    executor_pid: int | None = None


class TaskStatus(Message, frozen=True):
    """What became of a task. ``timestamp`` is in seconds; ``uuid`` is base64 and asks for an acknowledgement."""

    task_id: TaskID
    state: str
    message: str | None = None
    source: str | None = None
    reason: str | None = None
    data: str | None = None
    agent_id: AgentID | None = None
    executor_id: ExecutorID | None = None
    timestamp: float | None = None
    uuid: str | None = None
    healthy: bool | None = None
    check_status: dict[str, Any] | None = None
    labels: Labels | None = None
    container_status: ContainerStatus | None = None
    unreachable_time: dict[str, Any] | None = None


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


class DomainInfo(Message, frozen=True):
    fault_domain: dict[str, Any] | None = None


class AgentInfo(Message, frozen=True):
    """Who an agent is and all that it has."""

    hostname: str
    port: int | None = None
    resources: list[Resource] | None = None
    attributes: list[Attribute] | None = None
    id: AgentID | None = None
    domain: DomainInfo | None = None


class Address(Message, frozen=True):
    hostname: str | None = None
    ip: str | None = None
    port: int | None = None


class URL(Message, frozen=True):
    scheme: str
    address: Address
    path: str | None = None


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


class Filters(Message, frozen=True):
    """Unset ``refuse_seconds`` means 5 s."""

    refuse_seconds: float | None = None


class MasterInfo(Message, frozen=True):
    id: str
    ip: int
    port: int
    pid: str | None = None
    hostname: str | None = None
    version: str | None = None
    address: Address | None = None
    capabilities: list[Capability] | None = None


TERMINAL_STATES = frozenset(
    {
        "TASK_FINISHED",
        "TASK_FAILED",
        "TASK_KILLED",
        "TASK_ERROR",
        "TASK_LOST",
        "TASK_DROPPED",
        "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    }
)
"""States after which a task's resources are free and nothing more comes."""


def is_terminal(state: str) -> bool:
    """Whether a task in ``state`` has ended."""
    return state in TERMINAL_STATES
