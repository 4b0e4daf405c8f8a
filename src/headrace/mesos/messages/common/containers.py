"""What runs in what: commands, containers, executors."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Base64, Enum, Uint32, Uint64
from headrace.mesos.messages.common.resources import Resource
from headrace.mesos.messages.common.values import (
    DurationInfo,
    ExecutorID,
    FrameworkID,
    Labels,
    Message,
    Parameter,
    Secret,
)
from headrace.mesos.messages.common.volumes import Image, Volume


class CommandUri(Message, frozen=True):
    """Something to fetch into the sandbox. Unset ``extract`` means true, the others false."""

    value: Annotated[str, 1]
    executable: Annotated[bool | None, 2] = None
    extract: Annotated[bool | None, 3] = None
    cache: Annotated[bool | None, 4] = None
    output_file: Annotated[str | None, 5] = None


class EnvironmentVariable(Message, frozen=True):
    name: Annotated[str, 1]
    value: Annotated[str | None, 2] = None
    type: Annotated[Annotated[str, Enum(UNKNOWN=0, VALUE=1, SECRET=2)] | None, 3] = None
    secret: Annotated[Secret | None, 4] = None


class Environment(Message, frozen=True):
    variables: Annotated[list[EnvironmentVariable] | None, 1] = None


class CommandInfo(Message, frozen=True):
    """A command line for ``/bin/sh -c``, or with ``shell: false`` a program and its arguments."""

    value: Annotated[str | None, 3] = None
    shell: Annotated[bool | None, 6] = None
    arguments: Annotated[list[str] | None, 7] = None
    environment: Annotated[Environment | None, 2] = None
    uris: Annotated[list[CommandUri] | None, 1] = None
    user: Annotated[str | None, 5] = None


class PortMapping(Message, frozen=True):
    """``protocol`` is tcp unless it is set."""

    host_port: Annotated[Uint32, 1]
    container_port: Annotated[Uint32, 2]
    protocol: Annotated[str | None, 3] = None


class DockerInfo(Message, frozen=True):
    """``network`` is HOST, BRIDGE, NONE or USER; unset means HOST."""

    image: Annotated[str, 1]
    network: Annotated[Annotated[str, Enum(HOST=1, BRIDGE=2, NONE=3, USER=4)] | None, 2] = None
    port_mappings: Annotated[list[PortMapping] | None, 3] = None
    privileged: Annotated[bool | None, 4] = None
    parameters: Annotated[list[Parameter] | None, 5] = None
    force_pull_image: Annotated[bool | None, 6] = None
    volume_driver: Annotated[str | None, 7] = None


class MesosInfo(Message, frozen=True):
    image: Annotated[Image | None, 1] = None


IPVersion: TypeAlias = Annotated[str, Enum(IPv4=1, IPv6=2)]


class IPAddress(Message, frozen=True):
    ip_address: Annotated[str | None, 2] = None
    protocol: Annotated[IPVersion | None, 1] = None


class NetworkInfo(Message, frozen=True):
    ip_addresses: Annotated[list[IPAddress] | None, 5] = None
    name: Annotated[str | None, 6] = None
    groups: Annotated[list[str] | None, 3] = None
    labels: Annotated[Labels | None, 4] = None
    port_mappings: Annotated[list[PortMapping] | None, 7] = None


RLimitType: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        RLMT_AS=1,
        RLMT_CORE=2,
        RLMT_CPU=3,
        RLMT_DATA=4,
        RLMT_FSIZE=5,
        RLMT_LOCKS=6,
        RLMT_MEMLOCK=7,
        RLMT_MSGQUEUE=8,
        RLMT_NICE=9,
        RLMT_NOFILE=10,
        RLMT_NPROC=11,
        RLMT_RSS=12,
        RLMT_RTPRIO=13,
        RLMT_RTTIME=14,
        RLMT_SIGPENDING=15,
        RLMT_STACK=16,
    ),
]


class RLimit(Message, frozen=True):
    """Both bounds unset: no limit. ``type`` is as RLMT_NOFILE."""

    type: Annotated[RLimitType | None, 1] = None
    hard: Annotated[Uint64 | None, 2] = None
    soft: Annotated[Uint64 | None, 3] = None


class RLimitInfo(Message, frozen=True):
    rlimits: Annotated[list[RLimit] | None, 1] = None


LinuxCapability: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        CHOWN=1000,
        DAC_OVERRIDE=1001,
        DAC_READ_SEARCH=1002,
        FOWNER=1003,
        FSETID=1004,
        KILL=1005,
        SETGID=1006,
        SETUID=1007,
        SETPCAP=1008,
        LINUX_IMMUTABLE=1009,
        NET_BIND_SERVICE=1010,
        NET_BROADCAST=1011,
        NET_ADMIN=1012,
        NET_RAW=1013,
        IPC_LOCK=1014,
        IPC_OWNER=1015,
        SYS_MODULE=1016,
        SYS_RAWIO=1017,
        SYS_CHROOT=1018,
        SYS_PTRACE=1019,
        SYS_PACCT=1020,
        SYS_ADMIN=1021,
        SYS_BOOT=1022,
        SYS_NICE=1023,
        SYS_RESOURCE=1024,
        SYS_TIME=1025,
        SYS_TTY_CONFIG=1026,
        MKNOD=1027,
        LEASE=1028,
        AUDIT_WRITE=1029,
        AUDIT_CONTROL=1030,
        SETFCAP=1031,
        MAC_OVERRIDE=1032,
        MAC_ADMIN=1033,
        SYSLOG=1034,
        WAKE_ALARM=1035,
        BLOCK_SUSPEND=1036,
        AUDIT_READ=1037,
        PERFMON=1038,
        BPF=1039,
        CHECKPOINT_RESTORE=1040,
    ),
]


class CapabilityInfo(Message, frozen=True):
    """What a container may do of what only root may."""

    capabilities: Annotated[list[LinuxCapability] | None, 1] = None


class SeccompInfo(Message, frozen=True):
    profile_name: Annotated[str | None, 1] = None
    unconfined: Annotated[bool | None, 2] = None


class LinuxInfo(Message, frozen=True):
    capability_info: Annotated[CapabilityInfo | None, 1] = None
    bounding_capabilities: Annotated[CapabilityInfo | None, 2] = None
    effective_capabilities: Annotated[CapabilityInfo | None, 3] = None
    share_pid_namespace: Annotated[bool | None, 4] = None
    seccomp: Annotated[SeccompInfo | None, 5] = None
    ipc_mode: Annotated[Annotated[str, Enum(UNKNOWN=0, PRIVATE=1, SHARE_PARENT=2)] | None, 6] = None
    shm_size: Annotated[Uint32 | None, 7] = None
    share_cgroups: Annotated[bool | None, 8] = None


class WindowSize(Message, frozen=True):
    """Of a terminal, in characters."""

    rows: Annotated[Uint32, 1]
    columns: Annotated[Uint32, 2]


class TTYInfo(Message, frozen=True):
    """A terminal for what runs in a container."""

    window_size: Annotated[WindowSize | None, 1] = None


class ContainerInfo(Message, frozen=True):
    """What a task is to run in: ``type`` MESOS (the machine itself) or DOCKER (an image)."""

    type: Annotated[Annotated[str, Enum(DOCKER=1, MESOS=2)] | None, 1] = None
    volumes: Annotated[list[Volume] | None, 2] = None
    hostname: Annotated[str | None, 4] = None
    docker: Annotated[DockerInfo | None, 3] = None
    mesos: Annotated[MesosInfo | None, 5] = None
    network_infos: Annotated[list[NetworkInfo] | None, 7] = None
    linux_info: Annotated[LinuxInfo | None, 8] = None
    rlimit_info: Annotated[RLimitInfo | None, 9] = None
    tty_info: Annotated[TTYInfo | None, 10] = None


Visibility: TypeAlias = Annotated[str, Enum(FRAMEWORK=0, CLUSTER=1, EXTERNAL=2)]


class Port(Message, frozen=True):
    """A port under which something is to be found."""

    number: Annotated[Uint32, 1]
    name: Annotated[str | None, 2] = None
    protocol: Annotated[str | None, 3] = None
    visibility: Annotated[Visibility | None, 4] = None
    labels: Annotated[Labels | None, 5] = None


class Ports(Message, frozen=True):
    ports: Annotated[list[Port] | None, 1] = None


class DiscoveryInfo(Message, frozen=True):
    """For service discovery, and of no meaning to Mesos."""

    visibility: Annotated[Visibility, 1]
    name: Annotated[str | None, 2] = None
    environment: Annotated[str | None, 3] = None
    location: Annotated[str | None, 4] = None
    version: Annotated[str | None, 5] = None
    ports: Annotated[Ports | None, 6] = None
    labels: Annotated[Labels | None, 7] = None


class ExecutorInfo(Message, frozen=True):
    """``type`` DEFAULT (the agent's own, for task groups) or CUSTOM (``command`` starts it)."""

    executor_id: Annotated[ExecutorID, 1]
    type: Annotated[Annotated[str, Enum(UNKNOWN=0, DEFAULT=1, CUSTOM=2)] | None, 15] = None
    framework_id: Annotated[FrameworkID | None, 8] = None
    command: Annotated[CommandInfo | None, 7] = None
    container: Annotated[ContainerInfo | None, 11] = None
    resources: Annotated[list[Resource] | None, 5] = None
    name: Annotated[str | None, 9] = None
    source: Annotated[str | None, 10] = None
    data: Annotated[Base64 | None, 4] = None
    discovery: Annotated[DiscoveryInfo | None, 12] = None
    shutdown_grace_period: Annotated[DurationInfo | None, 13] = None
    labels: Annotated[Labels | None, 14] = None
