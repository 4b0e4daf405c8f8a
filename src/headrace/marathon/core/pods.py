"""Pods: one instance is a group of tasks under the default executor. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from headrace.marathon.core.containers import docker_image, linux_info, network_info, secret_volume
from headrace.marathon.core.environment import escaped, labels
from headrace.marathon.core.places import shares
from headrace.marathon.core.records import TERMINAL, Condition, ContainerTask, Instance
from headrace.marathon.core.tasks import fetched, variables
from headrace.marathon.definitions.parts import Environment, ResourceLimits
from headrace.marathon.definitions.paths import task_name
from headrace.marathon.definitions.pod import (
    Command,
    Endpoint,
    Image,
    Pod,
    PodCheck,
    PodContainer,
    PodHealthCheck,
    Resources,
    VolumeMount,
)
from headrace.mesos.messages import common
from headrace.mesos.messages.scheduler import LaunchGroup
from headrace.mesos.resources import Resources as MesosResources

_WORST_FIRST = (
    Condition.ERROR,
    Condition.FAILED,
    Condition.GONE,
    Condition.DROPPED,
    Condition.UNKNOWN,
    Condition.KILLED,
    Condition.FINISHED,
)
_LEAST_FIRST = (
    Condition.UNREACHABLE,
    Condition.KILLING,
    Condition.PROVISIONED,
    Condition.STAGING,
    Condition.STARTING,
    Condition.RUNNING,
)


def condition(tasks: Iterable[ContainerTask]) -> Condition:
    """The instance's condition: while any container is alive that of the least advanced one, then the worst end."""
    found = {one.condition for one in tasks}
    order = _LEAST_FIRST if found - TERMINAL else _WORST_FIRST
    return next((one for one in order if one in found), Condition.UNKNOWN)


def launch_group(
    pod: Pod,
    instance: Instance,
    held: MesosResources,
    role: str | None,
    *,
    framework_id: str,
    bridge: str,
    enforced: bool = False,
    secrets: Mapping[str, bytes] = MappingProxyType({}),
) -> LaunchGroup:
    """What to launch for ``instance``, which has its agent and its ports.

    It holds ``held``, allocated to ``role``, of which persistent volumes are the executor's, so that all containers can
    see them. ``enforced``: its group enforces the role. ``secrets`` by their names.
    """
    own = pod.executor_resources
    wishes = [_amounts(Resources(own.cpus, own.mem, own.disk)), *(_wish(pod, one, instance) for one in pod.containers)]
    first, *others = shares(held.where(lambda tag: not tag.whole), wishes)
    executor = common.ExecutorInfo(
        common.ExecutorID(instance.executor_id),
        type="DEFAULT",
        framework_id=common.FrameworkID(framework_id),
        container=_shared(pod, instance, bridge),
        resources=(first + held.where(lambda tag: tag.whole)).messages(role),
        labels=_mesos_labels(pod.labels),
    )
    pairs = zip(pod.containers, others, strict=True)
    tasks = [_task(pod, one, instance, share.messages(role), enforced, secrets) for one, share in pairs]
    return LaunchGroup(executor, common.TaskGroupInfo(tasks))


def _wish(pod: Pod, container: PodContainer, instance: Instance) -> MesosResources:
    ports, amounts = _host_ports(pod, container, instance), _amounts(container.resources)
    return amounts.with_ports(ports) if ports else amounts


def environment(pod: Pod, container: PodContainer, instance: Instance, *, enforced: bool = False) -> Environment:
    """The variables of one container; its own come last and win over the pod's."""
    own = container.resources
    out: Environment = {
        "MESOS_TASK_ID": instance.container_task_id(container.name),
        "MESOS_EXECUTOR_ID": instance.executor_id,
        "MARATHON_APP_ID": pod.id,
        "MARATHON_APP_VERSION": pod.version,
        "MARATHON_APP_ENFORCE_GROUP_ROLE": str(enforced).upper(),
        "MARATHON_CONTAINER_ID": container.name,
        "MARATHON_CONTAINER_RESOURCE_CPUS": str(own.cpus),
        "MARATHON_CONTAINER_RESOURCE_MEM": str(own.mem),
        "MARATHON_CONTAINER_RESOURCE_DISK": str(own.disk),
        "MARATHON_CONTAINER_RESOURCE_GPUS": str(own.gpus),
    }
    out |= labels({**pod.labels, **container.labels})
    for endpoint, host in zip(pod.endpoints, instance.ports, strict=False):
        name, inner = escaped(endpoint.name), endpoint.container_port
        out[f"ENDPOINT_{name}"] = str(inner if inner is not None else host)
        if host:
            out[f"EP_HOST_{name}"] = str(host)
        if inner is not None:
            out[f"EP_CONTAINER_{name}"] = str(inner)
    return out | pod.environment | container.environment


def _task(
    pod: Pod,
    container: PodContainer,
    instance: Instance,
    resources: list[common.Resource],
    enforced: bool,
    secrets: Mapping[str, bytes],
) -> common.TaskInfo:
    grace = container.lifecycle.kill_grace_period_seconds if container.lifecycle is not None else None
    return common.TaskInfo(
        name=container.name,
        task_id=common.TaskID(instance.container_task_id(container.name)),
        agent_id=common.AgentID(instance.agent_id),
        resources=resources,
        command=_command(container, pod, environment(pod, container, instance, enforced=enforced), secrets),
        container=_container(pod, container, secrets),
        health_check=_health_check(container, pod, instance),
        check=_check(container.check, pod, instance) if container.check is not None else None,
        kill_policy=None if grace is None else common.KillPolicy(common.DurationInfo(int(grace * 1e9))),
        labels=_mesos_labels(container.labels),
        discovery=_discovery(pod, container, instance),
        limits=_limits(container.resource_limits),
    )


def _command(container: PodContainer, pod: Pod, given: Environment, secrets: Mapping[str, bytes]) -> common.CommandInfo:
    env = variables(given, secrets)
    uris, user = fetched(container.artifacts), container.user or pod.user
    if container.exec is None:
        return common.CommandInfo(shell=False, environment=env, uris=uris, user=user)
    command, replaces = container.exec.command, container.exec.override_entrypoint is not False
    if command.shell is not None:
        return common.CommandInfo(command.shell, shell=True, environment=env, uris=uris, user=user)  # noqa: S604
    words = command.argv or []
    value = words[0] if container.image is None or replaces else None
    return common.CommandInfo(value, shell=False, arguments=words, environment=env, uris=uris, user=user)


def _shared(pod: Pod, instance: Instance, bridge: str) -> common.ContainerInfo | None:
    """The container of the executor, which all others are in: it has the network."""
    if pod.host_networking and pod.linux_info is None:
        return None
    infos = []
    if not pod.host_networking:
        ports = list(zip(pod.endpoints, instance.ports, strict=False))
        for network in pod.networks:
            mappings = [
                common.PortMapping(host, endpoint.container_port or host, protocol)
                for endpoint, host in ports
                if host and (not endpoint.network_names or network.name in endpoint.network_names)
                for protocol in endpoint.protocol
            ]
            infos.append(network_info(network, bridge, mappings))
    return common.ContainerInfo("MESOS", network_infos=infos or None, linux_info=linux_info(pod.linux_info))


def _container(pod: Pod, container: PodContainer, secrets: Mapping[str, bytes]) -> common.ContainerInfo | None:
    """What a task has of its own: image, volumes, a terminal."""
    volumes = [_volume(pod, one, secrets) for one in container.volume_mounts]
    image = _image(container.image, secrets) if container.image is not None else None
    limits = linux_info(container.linux_info)
    if pod.legacy_shared_cgroups is not None or container.resource_limits is not None:
        share = bool(pod.legacy_shared_cgroups)
        limits = msgspec.structs.replace(limits or common.LinuxInfo(), share_cgroups=share)
    if not volumes and image is None and limits is None and not container.tty:
        return None
    tty = common.TTYInfo() if container.tty else None
    return common.ContainerInfo("MESOS", volumes=volumes or None, mesos=image, linux_info=limits, tty_info=tty)


def _image(image: Image, secrets: Mapping[str, bytes]) -> common.MesosInfo:
    config = secrets[image.pull_config.secret] if image.pull_config is not None else None
    return docker_image(image.id, force_pull=image.force_pull, config=config)


def _volume(pod: Pod, mount: VolumeMount, secrets: Mapping[str, bytes]) -> common.Volume:
    """Where a volume of the pod appears; persistent ones are in the executor's sandbox under their names."""
    name, path = mount.name, mount.mount_path
    volume = next(one for one in pod.volumes if one.name == name)
    mode = "RO" if mount.read_only else "RW"
    if volume.secret is not None:
        return secret_volume(path, secrets[volume.secret])
    if volume.host is not None:
        return common.Volume(path, mode, host_path=volume.host)
    inside = name if volume.persistent is not None else f"volumes/{name}"
    source = common.VolumeSource("SANDBOX_PATH", sandbox_path=common.SandboxPath(path=inside, type="PARENT"))
    return common.Volume(path, mode, source=source)


def _health_check(container: PodContainer, pod: Pod, instance: Instance) -> common.HealthCheck | None:
    check = container.health_check
    if check is None:
        return None
    http, tcp, run = check.http, check.tcp, check.exec
    return common.HealthCheck(
        type=_kind(check),
        command=_plain(run.command) if run is not None else None,
        http=common.HealthCheckHttp(_port(http.endpoint, pod, instance), scheme=http.scheme.lower(), path=http.path)
        if http is not None
        else None,
        tcp=common.HealthCheckTcp(_port(tcp.endpoint, pod, instance)) if tcp is not None else None,
        delay_seconds=float(check.delay_seconds),
        interval_seconds=float(check.interval_seconds),
        timeout_seconds=float(check.timeout_seconds),
        consecutive_failures=check.max_consecutive_failures,
        grace_period_seconds=float(check.grace_period_seconds),
    )


def _check(check: PodCheck, pod: Pod, instance: Instance) -> common.CheckInfo:
    http, tcp, run = check.http, check.tcp, check.exec
    return common.CheckInfo(
        _kind(check),
        command=common.CheckCommand(_plain(run.command)) if run is not None else None,
        http=common.CheckHttp(_port(http.endpoint, pod, instance), http.path) if http is not None else None,
        tcp=common.CheckTcp(_port(tcp.endpoint, pod, instance)) if tcp is not None else None,
        delay_seconds=float(check.delay_seconds),
        interval_seconds=float(check.interval_seconds),
        timeout_seconds=float(check.timeout_seconds),
    )


def _kind(check: PodHealthCheck | PodCheck) -> str:
    return "HTTP" if check.http is not None else "TCP" if check.tcp is not None else "COMMAND"


def _plain(command: Command) -> common.CommandInfo:
    if command.shell is not None:
        return common.CommandInfo(command.shell, shell=True)  # noqa: S604
    words = command.argv or [""]
    return common.CommandInfo(words[0], shell=False, arguments=words)


def _port(name: str, pod: Pod, instance: Instance) -> int:
    """The port of an endpoint as the containers, which share a network, see it."""
    for endpoint, host in zip(pod.endpoints, instance.ports, strict=False):
        if endpoint.name == name:
            return endpoint.container_port or host
    return 0


def _host_ports(pod: Pod, container: PodContainer, instance: Instance) -> list[int]:
    names = {one.name for one in container.endpoints}
    pairs = zip(pod.endpoints, instance.ports, strict=False)
    return [host for endpoint, host in pairs if host and endpoint.name in names]


def _discovery(pod: Pod, container: PodContainer, instance: Instance) -> common.DiscoveryInfo | None:
    ports = [
        _discovered(one, _port(one.name, pod, instance), protocol)
        for one in container.endpoints
        for protocol in one.protocol
    ]
    return common.DiscoveryInfo("FRAMEWORK", task_name(pod.id), ports=common.Ports(ports)) if ports else None


def _discovered(endpoint: Endpoint, number: int, protocol: str) -> common.Port:
    return common.Port(number, endpoint.name, protocol, labels=_mesos_labels(endpoint.labels))


def _amounts(of: Resources) -> MesosResources:
    return MesosResources.of(cpus=of.cpus, mem=of.mem, disk=of.disk, gpus=float(of.gpus))


def _limits(given: ResourceLimits | None) -> dict[str, common.Limit] | None:
    named = (("cpus", given.cpus), ("mem", given.mem)) if given is not None else ()
    out = {name: common.Limit("Infinity" if isinstance(one, str) else one) for name, one in named if one is not None}
    return out or None


def _mesos_labels(given: dict[str, str]) -> common.Labels | None:
    return common.Labels([common.Label(key, value) for key, value in given.items()]) if given else None
