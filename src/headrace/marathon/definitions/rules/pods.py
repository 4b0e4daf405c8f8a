"""The rules of pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrace.marathon.definitions.errors import Violation, invalid
from headrace.marathon.definitions.parts import Secret
from headrace.marathon.definitions.pod import Command, Pod, PodCheck, PodContainer, PodHealthCheck
from headrace.marathon.definitions.rules import common
from headrace.marathon.definitions.rules.constraints import constraints
from headrace.marathon.definitions.rules.context import GPUS, Context


def check_pod(pod: Pod, context: Context) -> None:
    """Raises Rejected 422 with every broken rule."""
    violations = list(_rules(pod, context))
    if violations:
        raise invalid(violations)


def check_pod_update(before: Pod, after: Pod) -> None:
    """What a pod that keeps volumes can't change any more. Raises Rejected 422."""
    if not before.resident:
        return
    violations: list[Violation] = []
    if _kept(before) != _kept(after):
        violations.append(Violation("/volumes", "Persistent volumes can not be changed!"))
    if _reserved(before) != _reserved(after):
        violations.append(Violation("/", "Resident Tasks may not change resource requirements!"))
    if violations:
        raise invalid(violations)


def _kept(pod: Pod) -> list[object]:
    return [one for one in pod.volumes if one.persistent is not None]


def _reserved(pod: Pod) -> tuple[object, list[int]]:
    return pod.total(), [one.host_port for one in pod.endpoints if one.host_port]


def _rules(pod: Pod, context: Context) -> Iterator[Violation]:
    yield from common.identity(pod.id, [one.name for one in pod.containers])
    if pod.user == "":
        yield Violation("/user", "must not be empty")
    if not pod.containers:
        yield Violation("/containers", "must not be empty")
    yield from common.environment(pod.environment, "/environment", pod.secrets, context)
    yield from common.secrets(pod.secrets, context)
    yield from common.labels(pod.labels, "/labels")
    yield from common.networks(pod.networks)
    yield from constraints(pod.constraints, "/scheduling/placement/constraints")
    yield from common.linux_info(pod.linux_info, "/linuxInfo")
    for index, container in enumerate(pod.containers):
        yield from _container(pod, container, f"/containers({index})", context)
    yield from _unique(pod)
    yield from _volumes(pod, context)
    yield from common.unreachable(pod.unreachable_strategy, resident=pod.resident, what="pods")
    if pod.resident:
        yield from common.resident_upgrade(pod.upgrade_strategy, "/scheduling/upgrade/maximumOverCapacity")
    yield from common.roles(pod.role, pod.accepted_resource_roles, resident=pod.resident, context=context, what="pods")


def _unique(pod: Pod) -> Iterator[Violation]:
    names = [one.name for one in pod.containers]
    if len(set(names)) < len(names):
        yield Violation("/containers", "container names must be unique within a pod")
    endpoints = [one.name for one in pod.endpoints]
    if len(set(endpoints)) < len(endpoints):
        # Marathon's own spelling, which clients may look for
        yield Violation("/", "endpoint names nust be unique across all containers")
    fixed = [one.host_port for one in pod.endpoints if one.host_port]
    if len(set(fixed)) < len(fixed):
        yield Violation("/", "host ports must be unique across all containers")
    inner = [one.container_port for one in pod.endpoints if one.container_port]
    if len(set(inner)) < len(inner):
        yield Violation("/", "container ports must be unique across all containers")


def _container(pod: Pod, container: PodContainer, path: str, context: Context) -> Iterator[Violation]:
    if container.user == "":
        yield Violation(f"{path}/user", "must not be empty")
    if container.resources.gpus:
        yield from context.needs(GPUS, f"{path}/resources/gpus")
    if container.exec is None and container.image is None:
        yield Violation(f"{path}/exec", "a container without an image needs a command")
    elif container.exec is not None:
        yield from _command(container.exec.command, f"{path}/exec/command")
    yield from common.environment(container.environment, f"{path}/environment", pod.secrets, context)
    yield from common.labels(container.labels, f"{path}/labels")
    yield from common.fetches(container.artifacts, f"{path}/artifacts")
    yield from common.linux_info(container.linux_info, f"{path}/linuxInfo")
    yield from _image(container, path, pod.secrets, context)
    yield from _endpoints(pod, container, path)
    yield from _check(container.health_check, container, f"{path}/healthCheck")
    yield from _check(container.check, container, f"{path}/check")
    yield from _mounts(pod, container, path)
    yield from _limits(container, path)


def _command(command: Command, path: str) -> Iterator[Violation]:
    if (command.shell is None) == (command.argv is None):
        yield Violation(path, "must define exactly one of shell and argv")
    if "\0" in (command.shell or "") or any("\0" in one for one in command.argv or ()):
        yield Violation(path, "must not contain NUL")


def _image(container: PodContainer, path: str, secrets: Mapping[str, Secret], context: Context) -> Iterator[Violation]:
    image = container.image
    if image is not None and image.pull_config is not None:
        yield from common.secret_reference(image.pull_config.secret, secrets, f"{path}/image/pullConfig", context)


def _endpoints(pod: Pod, container: PodContainer, path: str) -> Iterator[Violation]:
    host = pod.host_networking
    for index, endpoint in enumerate(container.endpoints):
        where = f"{path}/endpoints({index})"
        if host and endpoint.container_port is not None:
            yield Violation(f"{where}/containerPort", "is not allowed when using host-mode networking")
        if host and endpoint.host_port is None:
            yield Violation(f"{where}/hostPort", "is required when using host-mode networking")
        if not host and endpoint.container_port is None:
            yield Violation(f"{where}/containerPort", "is required when using container-mode networking")
        yield from common.network_names(endpoint.network_names, endpoint.host_port, pod.networks, where)


def _check(check: PodHealthCheck | PodCheck | None, container: PodContainer, path: str) -> Iterator[Violation]:
    if check is None:
        return
    if [check.http, check.tcp, check.exec].count(None) != 2:
        yield Violation(path, "must define exactly one of http, tcp and exec")
    if check.timeout_seconds >= check.interval_seconds:
        got, limit = check.timeout_seconds, check.interval_seconds
        yield Violation(f"{path}/timeoutSeconds", f"got {got}, expected less than {limit}")
    names = {one.name for one in container.endpoints}
    for kind, one in (("http", check.http), ("tcp", check.tcp)):
        if one is not None and one.endpoint not in names:
            yield Violation(f"{path}/{kind}/endpoint", "contained in the container endpoints")
    if check.http is not None:
        yield from common.check_path(check.http.path, f"{path}/http/path", "health check")
    if check.exec is not None:
        yield from _command(check.exec.command, f"{path}/exec/command")


def _mounts(pod: Pod, container: PodContainer, path: str) -> Iterator[Violation]:
    volumes = {one.name for one in pod.volumes}
    for index, mount in enumerate(container.volume_mounts):
        if mount.name not in volumes:
            yield Violation(f"{path}/volumeMounts({index})/name", f"volume {mount.name} is not defined by the pod")


def _volumes(pod: Pod, context: Context) -> Iterator[Violation]:
    mounted = {mount.name for container in pod.containers for mount in container.volume_mounts}
    for index, volume in enumerate(pod.volumes):
        path = f"/volumes({index})"
        if volume.name not in mounted:
            yield Violation(path, "volume must be referenced by at least one container")
        if [volume.host, volume.secret, volume.persistent].count(None) < 2:
            yield Violation(path, "may be only one of host, secret and persistent")
        if volume.secret is not None:
            feature = list(context.needs("secrets", path))
            yield from feature
            if not feature and volume.secret not in pod.secrets:
                yield Violation(f"{path}/secret", "references an undefined secret")
        if volume.persistent is not None:
            yield from common.persistent(volume.persistent, f"{path}/persistent", pod.id, volume.name)
    names = [one.name for one in pod.volumes]
    if len(set(names)) < len(names):
        yield Violation("/volumes", "volume names must be unique")


def _limits(container: PodContainer, path: str) -> Iterator[Violation]:
    limits = container.resource_limits
    if limits is None:
        return
    request = container.resources
    for name, limit, least in (("cpus", limits.cpus, request.cpus), ("mem", limits.mem, request.mem)):
        if isinstance(limit, float) and limit < least:
            yield Violation(f"{path}/resourceLimits/{name}", f"got {limit:g}, expected {least:g} or more")
