"""Where the machine's cgroup controllers are, and this agent's own directory among each of them.

A controller is in a hierarchy of cgroup v1, alone or with others, or in that of cgroup v2; some machines have both
kinds mounted, then each controller is where it is. ``Directory`` is the agent's in one hierarchy:
``<mount>/<cgroups_root>/<key of the data directory>``.
"""

from __future__ import annotations

import binascii
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from headrace.kernel.daemon import UserError

CPU, MEMORY, PIDS = "cpu", "memory", "pids"


class Mount(msgspec.Struct, frozen=True):
    """A mounted hierarchy. ``own`` is the cgroup that this process is in, relative to the mount point."""

    point: Path
    version: int
    controllers: frozenset[str]
    own: str


class Directory(msgspec.Struct, frozen=True):
    """The agent's directory in one hierarchy and the controllers that it uses there."""

    path: Path
    version: int
    controllers: tuple[str, ...]


def mounts(below: Path, mountinfo: str, own_cgroups: str) -> list[Mount]:
    """The hierarchies mounted at or below ``below``, from the texts of /proc/self/{mountinfo,cgroup}."""
    own = {}
    for line in own_cgroups.splitlines():
        _, together, path = line.split(":", 2)
        own[together] = path
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        point = Path(fields[4])
        if kind[0] not in ("cgroup", "cgroup2") or not point.is_relative_to(below):
            continue
        if kind[0] == "cgroup2":
            names = _read(point / "cgroup.controllers").split()
            found.append(Mount(point, 2, frozenset(names), _relative(own.get("", "/"), fields[3])))
            continue
        options = set(kind[2].split(","))
        names_here = next((names for names in own if names and set(names.split(",")) <= options), "")
        found.append(Mount(point, 1, frozenset(options), _relative(own.get(names_here, "/"), fields[3])))
    return found


def available(found: Sequence[Mount]) -> dict[str, Mount]:
    """Each controller's hierarchy; v1 goes first, as a controller that is there is not in v2."""
    ordered = sorted(found, key=lambda mount: mount.version)
    return {
        name: next(mount for mount in ordered if name in mount.controllers)
        for name in (CPU, MEMORY, PIDS)
        if any(name in mount.controllers for mount in ordered)
    }


def prepare(wanted: Sequence[str], found: dict[str, Mount], root: str, data: Path) -> list[Directory]:
    """Make the agent's directory in each hierarchy that holds a wanted controller. Raises UserError."""
    directories = []
    for mount in dict.fromkeys(found[name] for name in wanted):
        names = tuple(name for name in wanted if found[name] is mount)
        start = mount.point / mount.own.strip("/") if root.startswith("./") else mount.point
        path = start / root.removeprefix("./") / key_of(data)
        try:
            _make(mount, path, names)
        except OSError as error:
            raise UserError(_explain(error, mount, path, names)) from None
        directories.append(Directory(path, mount.version, names))
    return directories


def hand_down(directory: Path, controllers: Sequence[str]) -> None:
    """Let the children of a v2 cgroup use controllers. Raises OSError."""
    present = _read(directory / "cgroup.subtree_control").split()
    missing = [f"+{name}" for name in controllers if name not in present]
    if missing:
        (directory / "cgroup.subtree_control").write_text(" ".join(missing))


def key_of(data: Path) -> str:
    """What tells the cgroups of agents apart that run on one machine."""
    return f"{binascii.crc32(os.fsencode(data)):08x}"


def _make(mount: Mount, path: Path, names: Sequence[str]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if mount.version == 2:
        above = [mount.point, *(mount.point / part for part in _prefixes(path.relative_to(mount.point)))]
        for directory in above:
            hand_down(directory, names)
    elif not os.access(path / "cgroup.procs", os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _prefixes(path: Path) -> list[Path]:
    return [*reversed(path.parents[:-1]), path]


def _relative(cgroup: str, mount_root: str) -> str:
    """A cgroup's path as seen from a mount whose root may itself be some cgroup, as within a container."""
    if mount_root == "/":
        return cgroup
    return cgroup[len(mount_root) :] if cgroup == mount_root or cgroup.startswith(f"{mount_root}/") else "/"


def _explain(error: OSError, mount: Mount, path: Path, names: Sequence[str]) -> str:
    what = f"--isolation: can't use the cgroup controllers {', '.join(names)} at {path}: {error.strerror}"
    if mount.version == 2 and error.errno == errno.EBUSY:
        return f"{what}; with cgroup v2 the cgroup above must hold no processes: give another --cgroups_root"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{what}; run the agent as root with {mount.point} writable, or leave the cgroups isolators out"
    return f"{what}; leave the cgroups isolators out, or look what is wrong there"


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
