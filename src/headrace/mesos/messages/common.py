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


class Label(Message, frozen=True):
    key: str
    value: str | None = None


class Labels(Message, frozen=True):
    labels: list[Label] | None = None


class ReservationInfo(Message, frozen=True):
    """One reservation. ``type`` is STATIC or DYNAMIC; a refined resource has several, the last is innermost."""

    type: str | None = None
    role: str | None = None
    principal: str | None = None
    labels: Labels | None = None


class Persistence(Message, frozen=True):
    """What makes a part of a disk a persistent volume: an id, unique on the agent for a role."""

    id: str
    principal: str | None = None


class MountPropagation(Message, frozen=True):
    mode: str | None = None


class DockerVolume(Message, frozen=True):
    name: str
    driver: str | None = None
    driver_options: dict[str, Any] | None = None


class HostPath(Message, frozen=True):
    path: str
    mount_propagation: MountPropagation | None = None


class SandboxPath(Message, frozen=True):
    """``type`` SELF: below this sandbox; PARENT: below that of the task group."""

    path: str
    type: str | None = None


class VolumeSource(Message, frozen=True):
    type: str | None = None
    docker_volume: DockerVolume | None = None
    host_path: HostPath | None = None
    sandbox_path: SandboxPath | None = None
    secret: dict[str, Any] | None = None


class Volume(Message, frozen=True):
    """Where something outside appears in a container; ``mode`` is RW or RO."""

    container_path: str
    mode: str | None = None
    host_path: str | None = None
    image: dict[str, Any] | None = None
    source: VolumeSource | None = None


class DiskInfo(Message, frozen=True):
    persistence: Persistence | None = None
    volume: Volume | None = None
    source: dict[str, Any] | None = None


class Resource(Message, frozen=True):
    """A named amount. ``mem`` and ``disk`` are in MiB (Mesos says MB and means MiB)."""

    name: str
    type: str | None = None
    scalar: Scalar | None = None
    ranges: Ranges | None = None
    set: Set | None = None
    role: str | None = None
    allocation_info: AllocationInfo | None = None
    reservation: ReservationInfo | None = None
    reservations: list[ReservationInfo] | None = None
    disk: DiskInfo | None = None
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


class CheckCommand(Message, frozen=True):
    command: CommandInfo


class CheckHttp(Message, frozen=True):
    port: int
    path: str | None = None


class CheckTcp(Message, frozen=True):
    port: int


class CheckInfo(Message, frozen=True):
    """A general check: its outcome is told, nothing is killed; times in seconds."""

    type: str | None = None
    command: CheckCommand | None = None
    http: CheckHttp | None = None
    tcp: CheckTcp | None = None
    delay_seconds: float | None = None
    interval_seconds: float | None = None
    timeout_seconds: float | None = None


class CheckStatusCommand(Message, frozen=True):
    exit_code: int | None = None


class CheckStatusHttp(Message, frozen=True):
    status_code: int | None = None


class CheckStatusTcp(Message, frozen=True):
    succeeded: bool | None = None


class CheckStatusInfo(Message, frozen=True):
    """What a general check found last; an empty body: nothing yet."""

    type: str | None = None
    command: CheckStatusCommand | None = None
    http: CheckStatusHttp | None = None
    tcp: CheckStatusTcp | None = None


class Parameter(Message, frozen=True):
    key: str
    value: str


class PortMapping(Message, frozen=True):
    """``protocol`` is tcp unless it is set."""

    host_port: int
    container_port: int
    protocol: str | None = None


class DockerInfo(Message, frozen=True):
    """``network`` is HOST, BRIDGE, NONE or USER; unset means HOST."""

    image: str
    network: str | None = None
    port_mappings: list[PortMapping] | None = None
    privileged: bool | None = None
    parameters: list[Parameter] | None = None
    force_pull_image: bool | None = None
    volume_driver: str | None = None


class MesosInfo(Message, frozen=True):
    image: dict[str, Any] | None = None


class IPAddress(Message, frozen=True):
    ip_address: str | None = None
    protocol: str | None = None


class NetworkInfo(Message, frozen=True):
    ip_addresses: list[IPAddress] | None = None
    name: str | None = None
    groups: list[str] | None = None
    labels: Labels | None = None
    port_mappings: list[PortMapping] | None = None


class RLimit(Message, frozen=True):
    """Both bounds unset: no limit. ``type`` is as RLMT_NOFILE."""

    type: str | None = None
    hard: int | None = None
    soft: int | None = None


class RLimitInfo(Message, frozen=True):
    rlimits: list[RLimit] | None = None


class LinuxInfo(Message, frozen=True):
    capability_info: dict[str, Any] | None = None
    bounding_capabilities: dict[str, Any] | None = None
    effective_capabilities: dict[str, Any] | None = None
    share_pid_namespace: bool | None = None
    seccomp: dict[str, Any] | None = None
    ipc_mode: str | None = None
    shm_size: int | None = None
    share_cgroups: bool | None = None


class ContainerInfo(Message, frozen=True):
    """What a task is to run in: ``type`` MESOS (the machine itself) or DOCKER (an image)."""

    type: str | None = None
    volumes: list[Volume] | None = None
    hostname: str | None = None
    docker: DockerInfo | None = None
    mesos: MesosInfo | None = None
    network_infos: list[NetworkInfo] | None = None
    linux_info: LinuxInfo | None = None
    rlimit_info: RLimitInfo | None = None
    tty_info: dict[str, Any] | None = None


class ExecutorInfo(Message, frozen=True):
    """``type`` DEFAULT (the agent's own, for task groups) or CUSTOM (``command`` starts it)."""

    executor_id: ExecutorID
    type: str | None = None
    framework_id: FrameworkID | None = None
    command: CommandInfo | None = None
    container: ContainerInfo | None = None
    resources: list[Resource] | None = None
    name: str | None = None
    source: str | None = None
    data: str | None = None
    discovery: dict[str, Any] | None = None
    shutdown_grace_period: DurationInfo | None = None
    labels: Labels | None = None


class Limit(Message, frozen=True):
    """An upper bound; JSON writes no bound as the text ``Infinity``."""

    value: float | str


class TaskInfo(Message, frozen=True):
    name: str
    task_id: TaskID
    agent_id: AgentID
    resources: list[Resource] | None = None
    executor: ExecutorInfo | None = None
    command: CommandInfo | None = None
    container: ContainerInfo | None = None
    health_check: HealthCheck | None = None
    check: CheckInfo | None = None
    kill_policy: KillPolicy | None = None
    data: str | None = None
    labels: Labels | None = None
    discovery: dict[str, Any] | None = None
    limits: dict[str, Limit] | None = None
    max_completion_time: DurationInfo | None = None


class TaskGroupInfo(Message, frozen=True):
    """Tasks that start together and share an executor."""

    tasks: list[TaskInfo] | None = None


class ContainerID(Message, frozen=True):
    value: str
    parent: ContainerID | None = None


class ContainerStatus(Message, frozen=True):
    container_id: ContainerID | None = None
    network_infos: list[NetworkInfo] | None = None
    executor_pid: int | None = None


class TaskResourceLimitation(Message, frozen=True):
    """Which limit a container went over."""

    resources: list[Resource] | None = None


class TimeInfo(Message, frozen=True):
    nanoseconds: int


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
    check_status: CheckStatusInfo | None = None
    labels: Labels | None = None
    container_status: ContainerStatus | None = None
    unreachable_time: TimeInfo | None = None
    limitation: TaskResourceLimitation | None = None


OperationID: TypeAlias = Identifier


class OperationUuid(Message, frozen=True):
    """Base64; in events Mesos wraps it so, in calls it stands bare."""

    value: str


class OperationStatus(Message, frozen=True):
    """What became of an operation. A ``uuid`` asks for an acknowledgement."""

    state: str
    operation_id: OperationID | None = None
    message: str | None = None
    converted_resources: list[Resource] | None = None
    uuid: OperationUuid | None = None
    agent_id: AgentID | None = None
    resource_provider_id: Identifier | None = None


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
    ip: int
    port: int
    pid: str | None = None
    hostname: str | None = None
    version: str | None = None
    address: Address | None = None
    capabilities: list[Capability] | None = None
    domain: DomainInfo | None = None


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
