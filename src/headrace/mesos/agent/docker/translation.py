"""Makes of a ContainerSpec what the engine is asked for. Pure functions; names as in the Docker Engine API.

As in Mesos: the container's working directory and user are those of the image (or of the parameters ``workdir`` and
``user``); the command's user owns the sandbox. Source: Apache Mesos documentation, "Docker Containerizer".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from headrace.mesos.agent.core.containers import ContainerSpec
from headrace.mesos.agent.docker import parameters
from headrace.mesos.agent.docker.images import with_tag
from headrace.mesos.agent.docker.parameters import Body, ParameterError
from headrace.mesos.agent.docker.volumes import VolumeError, add_persistent, add_sandbox, add_volumes
from headrace.mesos.messages.common import CommandInfo, ContainerInfo, DockerInfo, Resource
from headrace.mesos.resources import MILLI, Resources

LABEL_DATA = "headrace.data"
"""Whose containers these are: the data directory of the agent. Its id may change."""
LABEL_CONTAINER = "headrace.container"

CPU_SHARES = 1024
MIN_CPU_SHARES = 2
CFS_PERIOD = 100_000
MIN_CFS_QUOTA = 1_000
"""Microseconds."""
MIN_MEMORY = 32
"""MiB."""
MIB = 1024 * 1024

_IMAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|[.:/@](?=[A-Za-z0-9_]))*")
_UNBOUNDED_LOG = {"max-size": "1000t", "max-file": "1", "compress": "false"}
"""So that nothing is thrown away before it has been copied, whatever the engine's own default is."""


class SpecError(ValueError):
    """The container can't be had as it is asked for; names the field and says why."""


class Ground(msgspec.Struct, frozen=True):
    """What a container stands on.

    ``sandbox``: its path on the machine; ``variables``: the whole environment; ``path_of`` tells where a persistent
    volume lies; ``cfs``: CPU time is limited, not only shared out.
    """

    data: str
    sandbox: str
    variables: Mapping[str, str]
    path_of: Callable[[Resource], str]
    cfs: bool = False


def container_name(container_id: str) -> str:
    """What Docker calls a container of the agent."""
    return f"mesos-{container_id}"


def image_of(spec: ContainerSpec) -> str:
    """The image to run, with its tag. Raises SpecError."""
    image = docker_of(spec)[1].image
    if not _IMAGE.fullmatch(image):
        raise SpecError(f"container.docker.image: {image!r} is not the name of an image")
    return with_tag(image)


def docker_of(spec: ContainerSpec) -> tuple[ContainerInfo, DockerInfo]:
    """What the spec says of Docker. Raises SpecError."""
    container = spec.container
    if container is None or container.docker is None:
        raise SpecError("container.docker: is missing, which a container of type DOCKER needs")
    return container, container.docker


def request(spec: ContainerSpec, ground: Ground) -> Body:
    """The request to create the container. Raises SpecError."""
    container, docker = docker_of(spec)
    place = spec.place
    body: Body = {
        "Image": image_of(spec),
        "Env": [f"{name}={value}" for name, value in ground.variables.items()],
        "Labels": {
            LABEL_DATA: ground.data,
            LABEL_CONTAINER: place.container_id,
            "headrace.agent": place.agent_id,
            "headrace.framework": place.framework_id,
            "headrace.executor": place.executor_id,
        },
        "HostConfig": {"LogConfig": {"Type": "json-file", "Config": dict(_UNBOUNDED_LOG)}},
    }
    if spec.task_id:
        body["Labels"]["headrace.task"] = spec.task_id
    _refuse(container)
    try:
        _limits(body["HostConfig"], spec, ground.cfs)
        _network(body, container, docker)
        _rlimits(body["HostConfig"], container)
        add_sandbox(body, ground.sandbox)
        add_volumes(body, container.volumes or (), docker, ground.sandbox)
        add_persistent(body, spec.resources, ground.path_of)
        if docker.privileged:
            body["HostConfig"]["Privileged"] = True
        parameters.apply(body, docker.parameters or ())
        parameters.settle(body)
    except (ParameterError, VolumeError) as error:
        raise SpecError(str(error)) from None
    _ports(body, spec, docker)
    _command(body, spec.command)
    return body


_LIMITS = ("CpuShares", "CpuPeriod", "CpuQuota", "NanoCpus", "Memory", "MemorySwap", "MemoryReservation")


def update_of(body: Body) -> Body:
    """What the engine is asked for to let a running container use what ``body`` would let it."""
    limits = {name: body["HostConfig"][name] for name in _LIMITS if name in body["HostConfig"]}
    if limits.get("Memory", -1) > 0:
        limits.setdefault("MemorySwap", 2 * limits["Memory"])  # as the engine does at the start
    return limits


def _refuse(container: ContainerInfo) -> None:
    if container.tty_info is not None:
        raise SpecError("container.tty_info: a terminal is not supported for Docker containers")
    linux = container.linux_info
    for name in ("capability_info", "bounding_capabilities", "effective_capabilities", "seccomp", "ipc_mode"):
        if linux is not None and getattr(linux, name) is not None:
            raise SpecError(
                f"container.linux_info.{name}: is not supported for Docker containers; "
                "use the parameters cap-add, cap-drop, security-opt and ipc"
            )


def _command(body: Body, command: CommandInfo | None) -> None:
    if command is None:
        return
    if command.shell is not False:
        if not command.value:
            raise SpecError("command: Shell specified but no command value provided")
        body["Entrypoint"], body["Cmd"] = ["/bin/sh"], ["-c", command.value]
        return
    words = [*([command.value] if command.value else []), *(command.arguments or ())]
    if words:
        body["Cmd"] = words  # to the image's entrypoint, if it has one


# what it may use


def _limits(host: dict[str, Any], spec: ContainerSpec, cfs: bool) -> None:
    resources = Resources.parse(spec.resources)
    if resources.quantity("gpus"):
        raise SpecError("resources: gpus are not supported for Docker containers")
    cpus = resources.quantity("cpus") / MILLI
    bound = _bound(spec, "cpus")
    if cpus:
        host["CpuShares"] = max(int(CPU_SHARES * cpus), MIN_CPU_SHARES)
    if bound is None and cfs and cpus:
        bound = cpus
    if bound is not None and bound != float("inf"):
        host["CpuPeriod"] = CFS_PERIOD
        host["CpuQuota"] = max(int(CFS_PERIOD * bound), MIN_CFS_QUOTA)
    asked = _mebibytes(resources.quantity("mem") / MILLI)
    most = _bound(spec, "mem")
    if most is None:
        host["Memory"] = asked
    else:
        host["MemoryReservation"] = asked
        if most != float("inf"):
            host["Memory"] = _mebibytes(most)


def _mebibytes(mem: float) -> int:
    return int(max(mem, MIN_MEMORY) * MIB)


def _bound(spec: ContainerSpec, name: str) -> float | None:
    """The limit for a resource if one is given apart from the request."""
    limit = spec.limits.get(name)
    return float(limit.value) if limit is not None else None


def _rlimits(host: dict[str, Any], container: ContainerInfo) -> None:
    for limit in (container.rlimit_info.rlimits if container.rlimit_info else None) or ():
        name = (limit.type or "").removeprefix("RLMT_").lower()
        soft, hard = (-1 if bound is None else bound for bound in (limit.soft, limit.hard))
        host.setdefault("Ulimits", []).append({"Name": name, "Soft": soft, "Hard": hard})
    if container.linux_info is not None and container.linux_info.shm_size is not None:
        host["ShmSize"] = container.linux_info.shm_size * MIB


# network


def _network(body: Body, container: ContainerInfo, docker: DockerInfo) -> None:
    kind = docker.network or "HOST"
    if kind == "USER":
        infos = container.network_infos or []
        if len(infos) != 1 or not infos[0].name:
            raise SpecError("container.network_infos: network USER needs exactly one, with the name of the network")
        parameters.network(body, infos[0].name)
    elif kind in ("HOST", "BRIDGE", "NONE"):
        parameters.network(body, kind.lower())
    else:
        raise SpecError(f"container.docker.network: {kind!r} is not one of HOST, BRIDGE, NONE, USER")
    if container.hostname:
        if kind == "HOST":
            raise SpecError("container.hostname: Unable to set hostname with host network mode")
        body["Hostname"] = container.hostname


def _ports(body: Body, spec: ContainerSpec, docker: DockerInfo) -> None:
    mappings = docker.port_mappings or []
    if not mappings:
        return
    if body["HostConfig"]["NetworkMode"] in ("host", "none"):
        raise SpecError("container.docker.port_mappings: are only supported for bridge and user-defined networks")
    held = {port for part in _all_parts(spec) for port in part.ports}
    for i, mapping in enumerate(mappings):
        where = f"container.docker.port_mappings[{i}]"
        protocol = (mapping.protocol or "tcp").lower()
        if protocol not in ("tcp", "udp", "sctp"):
            raise SpecError(f"{where}.protocol: {mapping.protocol!r} is not one of tcp, udp, sctp")
        if mapping.host_port not in held:
            raise SpecError(f"{where}.host_port: Port [{mapping.host_port}] not included in resources")
        parameters.publish(body, f"{mapping.container_port}/{protocol}", str(mapping.host_port))


def _all_parts(spec: ContainerSpec) -> list[Resources]:
    resources = Resources.parse(spec.resources)
    return [resources, *resources.parts.values()]
