"""Tasks and executors as everybody may see them: without what may be a secret.

Left out are environments, what secrets and volume drivers are told, credentials in addresses of what is to be
fetched, and the data of tasks and executors. Of docker's parameters that may carry such things only the key stays.
Labels, discovery information and the command itself are shown, as Mesos shows them.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from headrace.mesos.messages.common import (
    CheckInfo,
    CommandInfo,
    ContainerInfo,
    DockerImage,
    ExecutorInfo,
    HealthCheck,
    Image,
    Parameter,
    TaskInfo,
    Volume,
)

Info = TypeVar("Info", TaskInfo, ExecutorInfo)

HIDDEN = "***"
_TOLD_OPENLY = frozenset(
    {
        *("add-host", "cap-add", "cap-drop", "cpu-shares", "cpus", "device", "dns", "dns-search", "expose", "gpus"),
        *("group-add", "hostname", "init", "ipc", "mac-address", "memory", "memory-swap", "name", "net", "network"),
        *("network-alias", "oom-score-adj", "pid", "pids-limit", "privileged", "publish", "read-only", "restart"),
        *("rm", "runtime", "shm-size", "stop-signal", "stop-timeout", "sysctl", "tmpfs", "ulimit", "user", "userns"),
        *("v", "volume", "volume-driver", "workdir"),
    }
)
"""Docker parameters whose values are no secrets."""


def public_form(info: Info) -> Info:
    """The task or executor without what may be a secret."""
    command = _command(info.command) if info.command is not None else None
    container = _container(info.container) if info.container is not None else None
    if isinstance(info, ExecutorInfo):
        return replace(info, command=command, container=container, data=None)
    return replace(
        info,
        command=command,
        container=container,
        executor=public_form(info.executor) if info.executor is not None else None,
        health_check=_health_check(info.health_check) if info.health_check is not None else None,
        check=_check(info.check) if info.check is not None else None,
        data=None,
    )


def _command(info: CommandInfo) -> CommandInfo:
    """Without its environment, and without credentials in what it fetches."""
    uris = [replace(uri, value=_address(uri.value)) for uri in info.uris] if info.uris is not None else None
    return replace(info, environment=None, uris=uris)


def _address(address: str) -> str:
    """Without user, password, query and fragment."""
    bare = address.partition("#")[0].partition("?")[0]
    scheme, separator, rest = bare.partition("://")
    if not separator:
        return bare
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _health_check(check: HealthCheck) -> HealthCheck:
    """Without the environment of its command and the query of its path."""
    command = _command(check.command) if check.command is not None else None
    http = check.http
    if http is not None and http.path is not None:
        http = replace(http, path=_address(http.path))
    return replace(check, command=command, http=http)


def _check(check: CheckInfo) -> CheckInfo:
    command, http = check.command, check.http
    if command is not None:
        command = replace(command, command=_command(command.command))
    if http is not None and http.path is not None:
        http = replace(http, path=_address(http.path))
    return replace(check, command=command, http=http)


def _container(info: ContainerInfo) -> ContainerInfo:
    """Without what images, volumes and docker's parameters may carry."""
    docker, mesos = info.docker, info.mesos
    if docker is not None and docker.parameters is not None:
        docker = replace(docker, parameters=[_parameter(one) for one in docker.parameters])
    if mesos is not None:
        mesos = replace(mesos, image=_image(mesos.image))
    volumes = [_volume(one) for one in info.volumes] if info.volumes is not None else None
    return replace(info, docker=docker, mesos=mesos, volumes=volumes)


def _parameter(one: Parameter) -> Parameter:
    return one if one.key.lstrip("-") in _TOLD_OPENLY else replace(one, value=HIDDEN)


def _volume(one: Volume) -> Volume:
    source = one.source
    if source is not None:
        docker = replace(source.docker_volume, driver_options=None) if source.docker_volume is not None else None
        source = replace(source, secret=None, docker_volume=docker)
    return replace(one, source=source, image=_image(one.image))


def _image(image: Image | None) -> Image | None:
    """Its kind and name; the rest may be a key to the registry."""
    if image is None:
        return None
    return Image(image.type, docker=DockerImage(image.docker.name) if image.docker is not None else None)
