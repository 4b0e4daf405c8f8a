"""What a container sees besides its sandbox: host paths, persistent volumes, secrets, paths of its group's sandbox.

With a mount namespace of its own (filesystem/linux) each is mounted at its place. Without, a link in the sandbox leads
to it; then nothing can be put at an absolute path, and RO can't be enforced.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headrace.mesos.agent.core.containers import ContainerSpec
from headrace.mesos.agent.core.secrets import SecretError, data_of
from headrace.mesos.agent.isolation.persistent import path_of
from headrace.mesos.agent.isolation.problems import IsolationProblem
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import Volume

log = logging.getLogger(__name__)

_MODES = {None: False, "RW": False, "RO": True}


class Wanted(msgspec.Struct, frozen=True):
    """One volume: ``source`` is to appear at ``target``; ``where`` is the field that asks for it.

    ``secret``: what the file ``source`` is to hold.
    """

    where: str
    source: Path
    target: str
    read_only: bool
    persistent: bool = False
    secret: bytes | None = None


class Mount(msgspec.Struct, frozen=True):
    """To be mounted in the container's own namespace."""

    source: Path
    target: Path
    read_only: bool


def wanted(spec: ContainerSpec, layout: Layout) -> list[Wanted]:
    """All volumes of a container. Raises IsolationProblem."""
    info, sandbox = spec.container, layout.sandbox(spec.place)
    parent = spec.place.parent_id
    parent_sandbox = layout.executor_runs(spec.place) / parent if parent else None
    volumes = []
    for i, volume in enumerate((info and info.volumes) or ()):
        found = _shared(i, volume, spec, layout) or _secret(i, volume, layout.secret(spec.place.container_id, i))
        volumes.append(found or _volume(i, volume, sandbox, parent_sandbox))
    return [*volumes, *_persistent(spec, layout)]


def link(volumes: list[Wanted], sandbox: Path, owner: tuple[int, int] | None) -> None:
    """Put links into the sandbox. Raises IsolationProblem, OSError."""
    for volume in volumes:
        if os.path.isabs(volume.target):
            raise IsolationProblem(
                f"{volume.where}.container_path: {volume.target} is an absolute path; that needs an agent with "
                "--isolation=filesystem/linux. Give a path relative to the sandbox, or start the agent so"
            )
        if volume.read_only and not volume.persistent and volume.secret is None:
            raise IsolationProblem(f"{volume.where}.mode: RO needs an agent with --isolation=filesystem/linux")
        if volume.read_only and volume.secret is None:
            log.warning("%s: the volume %s is RO, but can be written to", volume.where, volume.source)
        _ready(volume, owner)
        target = sandbox / volume.target
        _parents(volume, sandbox)
        try:
            target.symlink_to(volume.source)
        except FileExistsError:
            if not target.is_symlink() or os.readlink(target) != str(volume.source):
                raise IsolationProblem(
                    f"{volume.where}.container_path: there is something at {volume.target} in the sandbox already"
                ) from None


def mount_points(volumes: list[Wanted], sandbox: Path, owner: tuple[int, int] | None) -> list[Mount]:
    """What to mount; makes the mount points that lie in the sandbox. Raises IsolationProblem, OSError."""
    mounts = []
    for volume in volumes:
        _ready(volume, owner)
        target = sandbox / volume.target
        if os.path.isabs(volume.target):
            if not target.exists():
                raise IsolationProblem(
                    f"{volume.where}: Mount point '{volume.target}' is an absolute path. "
                    "It must exist if the container shares the host filesystem"
                )
        else:
            _parents(volume, sandbox)
            _make_point(volume, target)
        mounts.append(Mount(volume.source, target, volume.read_only))
    return mounts


def _shared(i: int, volume: Volume, spec: ContainerSpec, layout: Layout) -> Wanted | None:
    """A persistent volume of the group's executor, which the sandbox path leads into; None if it does not."""
    asked = volume.source.sandbox_path if volume.source is not None else None
    if asked is None or asked.type != "PARENT" or not spec.place.parent_id:
        return None
    first, _, rest = asked.path.partition("/")
    for resource in spec.shared:
        mount = resource.disk.volume if resource.disk is not None else None
        if mount is not None and mount.container_path == first:
            where, start = f"container.volumes[{i}]", path_of(layout, resource)
            start.mkdir(parents=True, exist_ok=True)
            source = _own_path(f"{where}.source.sandbox_path.path", start, rest) if rest else start
            return Wanted(where, source, volume.container_path, _checked(where, volume), persistent=not rest)
    return None


def _secret(i: int, volume: Volume, file: Path) -> Wanted | None:
    """A file with a secret in it; None if it is another kind of volume."""
    source = volume.source
    if source is None or source.type != "SECRET":
        return None
    where = f"container.volumes[{i}]"
    _checked(where, volume)
    try:
        return Wanted(where, file, volume.container_path, read_only=True, secret=data_of(source.secret))
    except SecretError as problem:
        raise IsolationProblem(f"{where}.source.secret: {problem}") from None


def _volume(i: int, volume: Volume, sandbox: Path, parent_sandbox: Path | None) -> Wanted:
    where = f"container.volumes[{i}]"
    read_only = _checked(where, volume)
    source = volume.source
    if volume.host_path is not None:
        path = volume.host_path
        if os.path.isabs(path):
            return Wanted(where, _existing(where, path), volume.container_path, read_only)
        if not os.path.isabs(volume.container_path):
            raise IsolationProblem(f"{where}: host_path '{path}' and container_path can't both be relative")
        return Wanted(where, _own_path(f"{where}.host_path", sandbox, path), volume.container_path, read_only)
    if source is not None and source.type == "HOST_PATH" and source.host_path is not None:
        if not os.path.isabs(source.host_path.path):
            raise IsolationProblem(f"{where}: Path '{source.host_path.path}' in HOST_PATH volume is not absolute")
        propagation = source.host_path.mount_propagation
        if propagation is not None and propagation.mode == "BIDIRECTIONAL":
            raise IsolationProblem(f"{where}.source.host_path.mount_propagation: BIDIRECTIONAL is not supported")
        return Wanted(where, _existing(where, source.host_path.path), volume.container_path, read_only)
    if source is not None and source.type == "SANDBOX_PATH" and source.sandbox_path is not None:
        field, asked = f"{where}.source.sandbox_path", source.sandbox_path
        if asked.type == "PARENT" and parent_sandbox is None:
            raise IsolationProblem(f"{field}: PARENT sandbox path only works for nested container")
        if asked.type not in ("PARENT", "SELF"):
            raise IsolationProblem(f"{field}.type: {asked.type!r} is not one of PARENT, SELF")
        start = parent_sandbox if asked.type == "PARENT" and parent_sandbox is not None else sandbox
        return Wanted(where, _own_path(f"{field}.path", start, asked.path), volume.container_path, read_only)
    kind = "an image" if volume.image is not None else source.type if source is not None else "no source"
    raise IsolationProblem(
        f"{where}: a volume from {kind} is not supported for containers of type MESOS; "
        "give host_path, or a source of type HOST_PATH, SANDBOX_PATH or SECRET"
    )


def _checked(where: str, volume: Volume) -> bool:
    """Whether it is read-only."""
    if volume.mode not in _MODES:
        raise IsolationProblem(f"{where}.mode: {volume.mode!r} is not one of RW, RO")
    path = volume.container_path
    if path in ("", ".") or ".." in path.split("/") or "\0" in path:
        raise IsolationProblem(f"{where}.container_path: {path!r} can't be a place in the container")
    return _MODES[volume.mode]


def _existing(where: str, path: str) -> Path:
    if not os.path.exists(path):
        raise IsolationProblem(f"{where}: Path '{path}' in HOST_PATH volume does not exist")
    return Path(path)


def _own_path(field: str, start: Path, path: str) -> Path:
    """A directory in a sandbox, made if it is missing and then its owner's; nothing leads out of the sandbox."""
    full = start / path
    if os.path.isabs(path) or ".." in path.split("/") or "\0" in path or not _inside(full, start):
        raise IsolationProblem(f"{field}: {path!r} must be a path inside the sandbox")
    if not full.exists():
        owner = start.stat()
        full.mkdir(parents=True)
        os.chown(full, owner.st_uid, owner.st_gid)
    return full


def _persistent(spec: ContainerSpec, layout: Layout) -> Iterator[Wanted]:
    for i, resource in enumerate(spec.resources):
        disk = resource.disk
        if disk is None or disk.persistence is None or disk.volume is None:
            continue
        where = f"resources[{i}].disk.volume"
        read_only = _checked(where, disk.volume)
        yield Wanted(where, path_of(layout, resource), disk.volume.container_path, read_only, persistent=True)


def _ready(volume: Wanted, owner: tuple[int, int] | None) -> None:
    """A persistent volume belongs to whom the container runs as; a secret can be read by nobody else."""
    if volume.secret is not None:
        _write_secret(volume.source, volume.secret, owner)
    if volume.persistent:
        os.makedirs(volume.source, exist_ok=True)
        if owner is not None:
            os.chown(volume.source, *owner)


def _write_secret(file: Path, secret: bytes, owner: tuple[int, int] | None) -> None:
    file.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as out:
        out.write(secret)
        if owner is not None:
            os.fchown(out.fileno(), *owner)


def _parents(volume: Wanted, sandbox: Path) -> None:
    parent = (sandbox / volume.target).parent
    if not _inside(parent, sandbox):
        raise IsolationProblem(f"{volume.where}.container_path: {volume.target} leads out of the sandbox")
    parent.mkdir(parents=True, exist_ok=True)


def _make_point(volume: Wanted, target: Path) -> None:
    if not _inside(target, target.parent):
        raise IsolationProblem(f"{volume.where}.container_path: {volume.target} leads out of the sandbox")
    if volume.source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()


def _inside(path: Path, start: Path) -> bool:
    """Whether ``path`` is in ``start`` once all links have been followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(start))
