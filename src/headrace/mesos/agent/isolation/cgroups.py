"""The cgroups of containers: made with their limits, read when memory ran out, emptied and removed.

    <agent's directory>/<container>             with cgroup v1 in each hierarchy that is used
    <agent's directory>/<parent>/<container>    a task of a group; the parent's directory holds no process itself

What was made for a container is kept in its run directory, so that a restarted agent finds it even if it has been
given other flags since.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from headrace.mesos.agent.core.containers import ContainerSpec, Limitation
from headrace.mesos.agent.isolation.amounts import CFS_PERIOD, FEWEST_SHARES, MIB, Amounts, amounts_of
from headrace.mesos.agent.isolation.hierarchy import CPU, MEMORY, PIDS, Directory, hand_down
from headrace.mesos.messages.common import Resource, Scalar

log = logging.getLogger(__name__)

_PATIENCE = 2.0
"""Seconds that the processes of a cgroup have to end after SIGKILL while an agent starts."""

_NEAR = MIB
"""Bytes. The kernel takes memory in portions, so the highest use may stay a little below the limit."""

OUT_OF_MEMORY = "REASON_CONTAINER_LIMITATION_MEMORY"


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """A container's cgroup in one hierarchy; ``grouped``: the directory above is its task group's."""

    path: str
    version: int
    controllers: tuple[str, ...]
    grouped: bool = False

    @property
    def procs(self) -> Path:
        return Path(self.path) / "cgroup.procs"


class Cgroups:
    """Makes the cgroups of containers below the agent's directories."""

    def __init__(self, directories: Sequence[Directory], enable_cfs: bool, pids_max: int) -> None:
        self._directories = directories
        self._enable_cfs = enable_cfs
        self._pids_max = pids_max

    def make(self, spec: ContainerSpec) -> list[Part]:
        """A container's cgroups, its limits set. Raises OSError; nothing is left then."""
        amounts = amounts_of(spec, self._enable_cfs)
        made: list[Part] = []
        try:
            for directory in self._directories:
                part = _part(directory, spec)
                os.makedirs(part.path, exist_ok=True)
                made.append(part)
                for name, value in _settings(part, amounts, self._pids_max):
                    _set(Path(part.path) / name, value)
                if part.grouped:
                    _weigh(Path(part.path).parent)
        except OSError:
            remove(made)
            raise
        return made

    def update(self, parts: Sequence[Part], spec: ContainerSpec) -> None:
        """Set what follows from ``spec`` now. The memory limit is raised at once, but never lowered. Raises OSError."""
        amounts = amounts_of(spec, self._enable_cfs)
        for part in parts:
            path = Path(part.path)
            settings = list(_settings(part, amounts, self._pids_max))
            for name, value in reversed(settings):  # memory and swap together first, as they must not be less
                if name not in _HARD_LIMITS or _number(path / name) < int(value):
                    _set(path / name, value)
            if part.grouped:
                _weigh(path.parent)

    def close(self) -> None:
        """Remove the agent's own cgroups if nothing is left in them."""
        for directory in self._directories:
            with contextlib.suppress(OSError):
                directory.path.rmdir()
                directory.path.parent.rmdir()

    def sweep(self, keep: Collection[str]) -> None:
        """End and remove what earlier agents left, but for the containers in ``keep``. Raises OSError."""
        for directory in self._directories:
            for path in _below(directory.path):
                for left in (*_below(path), path):
                    if left.name not in keep and not _below(left):
                        log.warning("removing the cgroup %s, which an earlier agent left", left)
                        _end(Part(str(left), directory.version, directory.controllers))


def _part(directory: Directory, spec: ContainerSpec) -> Part:
    parent = spec.place.parent_id
    above = _group(directory, parent) if parent else directory.path
    path = above / spec.place.container_id
    return Part(str(path), directory.version, directory.controllers, grouped=above != directory.path)


def _group(directory: Directory, parent_id: str) -> Path:
    """The cgroup of a task group; it has the weight of its tasks together.

    An executor with processes of its own makes none: its limits are not meant for its tasks.
    """
    path = directory.path / parent_id
    os.makedirs(path, exist_ok=True)  # somebody may have tidied up what was empty
    if _processes(path):
        return directory.path
    if directory.version == 2:
        hand_down(path, directory.controllers)
    return path


def end_all(parts: Sequence[Part]) -> bool:
    """SIGKILL to every process; True if there is none left."""
    held = [_kill(part) for part in parts]
    return not any(held)


def remove(parts: Sequence[Part]) -> bool:
    """Remove a container's cgroups, and its group's if it was the last; True if they are gone."""
    gone = True
    for part in parts:
        path = Path(part.path)
        gone = _rmdir(path) and gone
        if part.grouped and not _rmdir(path.parent):
            _weigh(path.parent)
    return gone


def memory_part(parts: Sequence[Part]) -> Part | None:
    """The cgroup that counts memory, if any."""
    return next((part for part in parts if MEMORY in part.controllers), None)


def out_of_memory(parts: Sequence[Part]) -> Limitation | None:
    """What to tell if processes were killed because the container was at its memory limit.

    Both must have been: the limit reached, and a process killed; the machine as a whole may run out too.
    """
    part = memory_part(parts)
    if part is None:
        return None
    path = Path(part.path)
    if part.version == 1:
        killed = _field(path / "memory.oom_control", "oom_kill")
        limit, used = _number(path / "memory.limit_in_bytes"), _number(path / "memory.max_usage_in_bytes")
        limit_reached = used + _NEAR >= limit  # newer kernels don't count in memory.failcnt
    else:
        killed = _field(path / "memory.events", "oom_kill")
        limit, used = _number(path / "memory.max"), _number(path / "memory.peak")
        used = used or _number(path / "memory.current")
        limit_reached = _field(path / "memory.events", "oom") > 0
    if not limit_reached or not killed:
        return None
    message = f"Memory limit exceeded: Requested: {_size(limit)} Maximum Used: {_size(used)}\n"
    message += f"\nMEMORY STATISTICS: \n{_text(path / 'memory.stat')}\n"
    return Limitation(OUT_OF_MEMORY, message, [Resource("mem", "SCALAR", scalar=Scalar(used / MIB), role="*")])


def _settings(part: Part, amounts: Amounts, pids_max: int) -> Iterator[tuple[str, str]]:
    old = part.version == 1
    if CPU in part.controllers:
        if amounts.shares is not None:
            yield ("cpu.shares", str(amounts.shares)) if old else ("cpu.weight", str(amounts.weight))
        if amounts.quota is not None and old:
            yield "cpu.cfs_period_us", str(CFS_PERIOD)
            yield "cpu.cfs_quota_us", str(amounts.quota)
        elif amounts.quota is not None:
            yield "cpu.max", f"{amounts.quota} {CFS_PERIOD}"
    if MEMORY in part.controllers:
        if amounts.memory_request is not None:
            yield "memory.soft_limit_in_bytes" if old else "memory.low", str(amounts.memory_request)
        if amounts.memory is not None:
            yield "memory.limit_in_bytes" if old else "memory.max", str(amounts.memory)
            yield "memory.memsw.limit_in_bytes" if old else "memory.swap.max", str(amounts.memory if old else 0)
        if not old:
            yield "memory.oom.group", "1"
    if PIDS in part.controllers:
        yield "pids.max", str(pids_max)


_HARD_LIMITS = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max")
_NOT_EVERYWHERE = ("memory.memsw.limit_in_bytes", "memory.swap.max", "memory.oom.group")
"""Missing from kernels without accounting of swap, or older than 4.19."""


def _set(file: Path, value: str) -> None:
    if file.name in _NOT_EVERYWHERE and not file.exists():
        return
    try:
        file.write_text(value)
    except OSError as error:
        raise OSError(error.errno, f"can't write {value} to it ({error.strerror})", str(file)) from None


def _weigh(group: Path) -> None:
    """Give a group the CPU weight of its tasks together, or they would share that of one."""
    with contextlib.suppress(OSError):
        for name, least, most in (("cpu.shares", FEWEST_SHARES, 262_144), ("cpu.weight", 1, 10_000)):
            if (group / name).exists():
                total = sum(_number(child / name) for child in _below(group))
                (group / name).write_text(str(max(least, min(most, total))))


def _kill(part: Part) -> list[int]:
    """SIGKILL whom it still holds; returns whom it held."""
    path = Path(part.path)
    pids = _processes(path)
    if not pids:
        return []
    if part.version == 2 and (path / "cgroup.kill").exists():
        (path / "cgroup.kill").write_text("1")
        return pids
    if PIDS in part.controllers:  # nothing new may come while it is emptied
        with contextlib.suppress(OSError):
            (path / "pids.max").write_text("0")
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def _processes(path: Path) -> list[int]:
    return [int(pid) for pid in _text(path / "cgroup.procs").split() if pid != "0"]


def _end(part: Part) -> None:
    deadline = time.monotonic() + _PATIENCE
    while _kill(part) or not _rmdir(Path(part.path)):
        if time.monotonic() > deadline:
            log.error("the cgroup %s can't be removed: its processes don't end", part.path)
            return
        time.sleep(0.002)


def _rmdir(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise
    return True


def _below(path: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _number(file: Path) -> int:
    text = _text(file).strip()
    return int(text) if text.isdigit() else 0


def _field(file: Path, name: str) -> int:
    for line in _text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _size(amount: int) -> str:
    """As Mesos writes it: in the largest unit that leaves no fraction."""
    for unit in ("B", "KB", "MB", "GB"):
        if amount % 1024 or amount == 0:
            return f"{amount}{unit}"
        amount //= 1024
    return f"{amount}TB"
