"""The agent's flags about isolation, in Mesos's names."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

_SWITCH = {"true": True, "false": False, "1": True, "0": False}
_NO = "false"
DEFAULT = "posix/cpu,posix/mem"
PIDS_MAX = 4096
FEWEST_PIDS = 8


class IsolationFlags(msgspec.Struct, frozen=True):
    """``isolation`` as given; the daemon replaces it by the names of what is active."""

    isolation: str = DEFAULT
    cgroups_hierarchy: Path = Path("/sys/fs/cgroup")
    cgroups_root: str = "headrace"
    cgroups_enable_cfs: bool = False
    cgroups_pids_max: int = PIDS_MAX

    def shown(self) -> dict[str, str]:
        """As /flags tells them."""
        return {
            "isolation": self.isolation,
            "cgroups_hierarchy": str(self.cgroups_hierarchy),
            "cgroups_root": self.cgroups_root,
            "cgroups_enable_cfs": str(self.cgroups_enable_cfs).lower(),
            "cgroups_pids_max": str(self.cgroups_pids_max),
        }


def add_to(parser: argparse.ArgumentParser) -> None:
    """Make the parser know them."""
    for name, default, explanation in (
        (
            "isolation",
            DEFAULT,
            "comma list of posix/cpu, posix/mem, cgroups/cpu, cgroups/mem, cgroups/pids, disk/du (posix/disk), "
            "namespaces/pid, filesystem/linux; or posix or process: the first two; cgroups: the next two; cgroups/all: "
            "all cgroups that there are; auto: these, if any, and posix; posix/rlimits, filesystem/posix, "
            "volume/host_path and volume/sandbox_path are always there (default posix/cpu,posix/mem)",
        ),
        ("cgroups_hierarchy", "/sys/fs/cgroup", "where cgroups are mounted"),
        ("cgroups_root", "headrace", "the agent's cgroup below that; ./name: below the one that the agent is in"),
        ("cgroups_pids_max", str(PIDS_MAX), f"with cgroups/pids: most threads of a container (default {PIDS_MAX})"),
    ):
        parser.add_argument(f"--{name}", f"--{name.replace('_', '-')}", default=default, help=explanation)
    switch = "cgroups_enable_cfs"
    parser.add_argument(
        f"--{switch}",
        f"--{switch.replace('_', '-')}",
        nargs="?",
        const="true",
        default=_NO,
        help="with cgroups/cpu: no container gets more CPU than it holds, idle or not",
    )


def read(given: argparse.Namespace) -> IsolationFlags:
    """What was given. Raises ValueError."""
    cfs = _SWITCH.get(given.cgroups_enable_cfs)
    if cfs is None:
        raise ValueError(f"--cgroups_enable_cfs: {given.cgroups_enable_cfs!r} is not true or false")
    root = given.cgroups_root
    if not root.removeprefix("./") or root.startswith("/") or any(part in ("", "..") for part in root.split("/")):
        raise ValueError(f"--cgroups_root: {root!r} is no name such as headrace or ./headrace")
    most = given.cgroups_pids_max
    if not (most.isascii() and most.isdigit()) or int(most) < FEWEST_PIDS:
        raise ValueError(f"--cgroups_pids_max: {most!r} is no number of threads from {FEWEST_PIDS} on")
    return IsolationFlags(given.isolation, Path(given.cgroups_hierarchy), root, cfs, int(most))
