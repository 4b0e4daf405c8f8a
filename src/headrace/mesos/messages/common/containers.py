"""What runs in what: commands, checks, containers, executors."""

from __future__ import annotations

from typing import Any

from headrace.mesos.messages.common.values import (
    DurationInfo,
    ExecutorID,
    FrameworkID,
    Int64,
    Labels,
    Message,
    Resource,
    Volume,
)


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


class KillPolicy(Message, frozen=True):
    grace_period: DurationInfo | None = None


class HealthCheckHttp(Message, frozen=True):
    port: Int64
    scheme: str | None = None
    path: str | None = None
    protocol: str | None = None
    statuses: list[Int64] | None = None


class HealthCheckTcp(Message, frozen=True):
    port: Int64
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
    consecutive_failures: Int64 | None = None
    grace_period_seconds: float | None = None


class CheckCommand(Message, frozen=True):
    command: CommandInfo


class CheckHttp(Message, frozen=True):
    port: Int64
    path: str | None = None


class CheckTcp(Message, frozen=True):
    port: Int64


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
    exit_code: Int64 | None = None


class CheckStatusHttp(Message, frozen=True):
    status_code: Int64 | None = None


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

    host_port: Int64
    container_port: Int64
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
    hard: Int64 | None = None
    soft: Int64 | None = None


class RLimitInfo(Message, frozen=True):
    rlimits: list[RLimit] | None = None


class LinuxInfo(Message, frozen=True):
    capability_info: dict[str, Any] | None = None
    bounding_capabilities: dict[str, Any] | None = None
    effective_capabilities: dict[str, Any] | None = None
    share_pid_namespace: bool | None = None
    seccomp: dict[str, Any] | None = None
    ipc_mode: str | None = None
    shm_size: Int64 | None = None
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
