"""From the flag --isolation to what is active; what is asked for and can't be had is said at the start."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from headrace.kernel.daemon import UserError
from headrace.mesos.agent.isolation import namespaces
from headrace.mesos.agent.isolation.cgroups import Cgroups
from headrace.mesos.agent.isolation.flags import IsolationFlags
from headrace.mesos.agent.isolation.hierarchy import CPU, MEMORY, PIDS, Mount, available, mounts, prepare
from headrace.mesos.agent.isolation.isolation import Active

log = logging.getLogger(__name__)

POSIX_CPU, POSIX_MEM = "posix/cpu", "posix/mem"
DISK = "disk/du"
CONTROLLERS = {"cgroups/cpu": CPU, "cgroups/mem": MEMORY, "cgroups/pids": PIDS}
PID_NAMESPACE, MOUNT_NAMESPACE = "namespaces/pid", "filesystem/linux"
_ALWAYS = ("posix/rlimits", "filesystem/posix", "volume/host_path", "volume/sandbox_path")
_KNOWN = (POSIX_CPU, POSIX_MEM, *CONTROLLERS, DISK, PID_NAMESPACE, MOUNT_NAMESPACE, *_ALWAYS)
_SHORT = {
    "posix": (POSIX_CPU, POSIX_MEM),
    "process": (POSIX_CPU, POSIX_MEM),
    "cgroups": ("cgroups/cpu", "cgroups/mem"),
    "posix/disk": (DISK,),
}
AUTO, ALL_CGROUPS = "auto", "cgroups/all"


def choose(flags: IsolationFlags, data: Path) -> Active:
    """What is active, made ready: the agent's own cgroups are there. Raises UserError."""
    found = available(_mounted(flags.cgroups_hierarchy))
    asked = [name for name in (part.strip() for part in flags.isolation.split(",")) if name]
    names = _names(asked, flags, found)
    try:
        made = _cgroups(names, flags, found, data)
    except UserError as error:
        if AUTO not in asked:
            raise
        log.info("isolation auto goes without cgroups: %s", error)
        made, names = None, _names([name for name in asked if name != AUTO] or ["posix"], flags, found)
    if flags.cgroups_enable_cfs and "cgroups/cpu" not in names:
        raise UserError("--cgroups_enable_cfs: needs --isolation=cgroups/cpu")
    own_ids, own_mounts = PID_NAMESPACE in names, MOUNT_NAMESPACE in names
    if own_ids or own_mounts:
        why = namespaces.problem(own_ids)
        if why is not None:
            name = PID_NAMESPACE if own_ids else MOUNT_NAMESPACE
            raise UserError(f"--isolation: {name} can't be had on this machine: {why}. Leave it out, or put that right")
    log.info("isolation: %s", ", ".join(names))
    return Active(tuple(names), made, own_ids, own_mounts)


def _cgroups(names: Sequence[str], flags: IsolationFlags, found: dict[str, Mount], data: Path) -> Cgroups | None:
    controllers = [CONTROLLERS[name] for name in names if name in CONTROLLERS]
    if not controllers:
        return None
    directories = prepare(controllers, found, flags.cgroups_root, data)
    return Cgroups(directories, flags.cgroups_enable_cfs, flags.cgroups_pids_max)


def _names(asked: Sequence[str], flags: IsolationFlags, found: dict[str, Mount]) -> list[str]:
    """The isolators, each once, in a fixed order; those of short names and ``auto`` put in."""
    names = {name for one in asked for name in _expanded(one, flags, found)}
    if "cgroups/cpu" in names:
        names.discard(POSIX_CPU)
    if "cgroups/mem" in names:
        names.discard(POSIX_MEM)
    for name in names:
        if name in CONTROLLERS and CONTROLLERS[name] not in found:
            raise UserError(
                f"--isolation: {name} needs the cgroup controller {CONTROLLERS[name]}, which is not mounted below "
                f"{flags.cgroups_hierarchy}. There: {', '.join(found) or 'none'}. Mount it, or leave {name} out"
            )
    return [name for name in _KNOWN if name in names]


def _expanded(name: str, flags: IsolationFlags, found: dict[str, Mount]) -> Sequence[str]:
    if name in _KNOWN:
        return [name]
    if name in _SHORT:
        return _SHORT[name]
    if name not in (AUTO, ALL_CGROUPS):
        raise UserError(
            f"--isolation: {name!r} is not known to this agent. Known are {', '.join(_KNOWN)}, {ALL_CGROUPS} and {AUTO}"
        )
    those = [isolator for isolator, controller in CONTROLLERS.items() if controller in found]
    if name == AUTO:
        return [POSIX_CPU, POSIX_MEM, *those]
    if not those:
        raise UserError(
            f"--isolation: {ALL_CGROUPS}: no cgroup controllers are mounted below {flags.cgroups_hierarchy}"
        )
    return those


def _mounted(hierarchy: Path) -> list[Mount]:
    try:
        return mounts(hierarchy, Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    except OSError:
        return []
