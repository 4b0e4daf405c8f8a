"""What of the machine a Docker container sees: its sandbox, host paths, Docker's volumes, persistent volumes. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from typing import Any

from headrace.mesos.agent.docker.parameters import Body
from headrace.mesos.messages.common import DockerInfo, Resource, Volume

SANDBOX = "/mnt/mesos/sandbox"
"""Where a container finds its sandbox, as in Mesos."""

_MODES = {None: "rw", "RW": "rw", "RO": "ro"}
_PROPAGATION = {"HOST_TO_CONTAINER": "rslave", "BIDIRECTIONAL": "rshared"}


class VolumeError(ValueError):
    """A volume can't be had; names the field and says why."""


def add_sandbox(body: Body, sandbox: str) -> None:
    """Mount the sandbox at its place."""
    # as a mount, since a path with a colon, as task ids may hold, can't stand in a bind
    _mounts(body).append({"Type": "bind", "Source": sandbox, "Target": SANDBOX})


def add_volumes(body: Body, volumes: Iterable[Volume], docker: DockerInfo, sandbox: str) -> None:
    """Mount what ``container.volumes`` asks for. Raises VolumeError."""
    for i, volume in enumerate(volumes):
        where = f"container.volumes[{i}]"
        if volume.mode not in _MODES:
            raise VolumeError(f"{where}.mode: {volume.mode!r} is not one of RW, RO")
        if not volume.container_path:
            raise VolumeError(f"{where}.container_path: is empty")
        if volume.image is not None:
            raise VolumeError(f"{where}.image: is not supported for Docker containers")
        source = volume.source
        if volume.host_path is not None:
            _add_host_path(body, where, volume, volume.host_path, docker, sandbox)
        elif source is None:
            raise VolumeError(f"{where}: names neither host_path nor source")
        elif source.docker_volume is not None:
            _mounts(body).append(_docker_volume(volume, docker))
        elif source.host_path is not None:
            propagation = source.host_path.mount_propagation
            mode = propagation.mode if propagation is not None else None
            _add_host_path(body, where, volume, source.host_path.path, docker, sandbox, _PROPAGATION.get(mode or ""))
        elif source.sandbox_path is not None and source.sandbox_path.type == "SELF":
            path = _inside(f"{where}.source.sandbox_path.path", source.sandbox_path.path)
            _mounts(body).append(_bind(posixpath.join(sandbox, path), volume))
        else:
            raise VolumeError(f"{where}.source: {source.type} is not supported for Docker containers")


def sandbox_directories(volumes: Iterable[Volume], docker: DockerInfo) -> list[str]:
    """Directories of the sandbox, relative to it, that must be there before the volumes are mounted."""
    paths: list[str] = []
    for volume in volumes:
        if volume.source is not None and volume.source.sandbox_path is not None:
            paths.append(volume.source.sandbox_path.path)
        elif volume.host_path is not None and not posixpath.isabs(volume.host_path) and docker.volume_driver is None:
            paths.append(volume.host_path)
    return [_inside("container.volumes", path) for path in paths]


def add_persistent(body: Body, resources: Iterable[Resource], path_of: Callable[[Resource], str]) -> None:
    """Mount the persistent volumes among ``resources``; ``path_of`` tells where each lies."""
    for resource in resources:
        disk = resource.disk
        if disk is None or disk.persistence is None or disk.volume is None:
            continue
        _mounts(body).append(_bind(path_of(resource), disk.volume))


def _mounts(body: Body) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = body.setdefault("HostConfig", {}).setdefault("Mounts", [])
    return mounts


def _bind(source: str, volume: Volume) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": _target(volume), "ReadOnly": volume.mode == "RO"}


def _target(volume: Volume) -> str:
    return posixpath.join(SANDBOX, volume.container_path)


def _add_host_path(
    body: Body,
    where: str,
    volume: Volume,
    path: str,
    docker: DockerInfo,
    sandbox: str,
    propagation: str | None = None,
) -> None:
    if ":" in path or ":" in volume.container_path:
        raise VolumeError(f"{where}: a path with a colon can't be mounted")
    if not posixpath.isabs(path):
        if not posixpath.isabs(volume.container_path):
            raise VolumeError(
                f"{where}: Both host_path '{path}' and container_path '{volume.container_path}' "
                "of a volume are relative"
            )
        if docker.volume_driver is None:
            _mounts(body).append(_bind(posixpath.join(sandbox, _inside(f"{where}.host_path", path)), volume))
            return
        body["HostConfig"]["VolumeDriver"] = docker.volume_driver  # the path is the name of a volume
    mode = _MODES[volume.mode] + (f",{propagation}" if propagation else "")
    # as a bind, since the engine makes what is missing of the path for it
    body["HostConfig"].setdefault("Binds", []).append(f"{path}:{_target(volume)}:{mode}")


def _docker_volume(volume: Volume, docker: DockerInfo) -> dict[str, Any]:
    asked = volume.source.docker_volume if volume.source is not None else None
    assert asked is not None  # noqa: S101 - callers have checked
    mount: dict[str, Any] = {
        "Type": "volume",
        "Source": asked.name,
        "Target": _target(volume),
        "ReadOnly": volume.mode == "RO",
    }
    driver: dict[str, Any] = {}
    if asked.driver or docker.volume_driver:
        driver["Name"] = asked.driver or docker.volume_driver
    if asked.driver_options is not None and asked.driver_options.parameter:
        driver["Options"] = {option.key: option.value for option in asked.driver_options.parameter}
    if driver:
        mount["VolumeOptions"] = {"DriverConfig": driver}
    return mount


def _inside(where: str, path: str) -> str:
    parts = path.split("/")
    if posixpath.isabs(path) or ".." in parts or "\0" in path or not path:
        raise VolumeError(f"{where}: {path!r} must be a path inside the sandbox")
    return path
