"""The agent's flags about sandboxes: what is fetched into them, how large they grow, how long they stay."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from headrace.mesos.agent.flags.units import duration, exact_size, size

_SWITCH = {"true": True, "false": False, "1": True, "0": False}


class SandboxFlags(msgspec.Struct, frozen=True):
    """Sizes in bytes, times in seconds; a size of 0 for stdout or stderr means no limit."""

    fetcher_cache_size: int = 2 << 30
    fetcher_cache_dir: Path | None = None
    fetcher_stall_timeout: float = 60.0
    hadoop_home: str = ""
    gc_disk_headroom: float = 0.1
    disk_watch_interval: float = 60.0
    container_disk_watch_interval: float = 15.0
    enforce_container_disk_quota: bool = False
    max_stdout_size: int = 0
    max_stderr_size: int = 0
    rotated_files: int = 9

    def shown(self) -> dict[str, str]:
        """As /flags tells them."""
        return {
            "fetcher_cache_size": exact_size(self.fetcher_cache_size),
            "fetcher_stall_timeout": f"{self.fetcher_stall_timeout:g}secs",
            "hadoop_home": self.hadoop_home,
            "gc_disk_headroom": f"{self.gc_disk_headroom:g}",
            "disk_watch_interval": f"{self.disk_watch_interval:g}secs",
            "container_disk_watch_interval": f"{self.container_disk_watch_interval:g}secs",
            "enforce_container_disk_quota": str(self.enforce_container_disk_quota).lower(),
            "max_stdout_size": exact_size(self.max_stdout_size),
            "max_stderr_size": exact_size(self.max_stderr_size),
            "rotated_files": str(self.rotated_files),
        }


def add_to(parser: argparse.ArgumentParser) -> None:
    """Make the parser know them."""
    for name, default, explanation in (
        ("fetcher_cache_size", "2GB", "what the cache of fetched files may hold, as 2GB"),
        ("fetcher_cache_dir", "", "where it lies (default: fetch-cache below the data directory)"),
        ("fetcher_stall_timeout", "1mins", "a download is given up when nothing has come for so long"),
        ("hadoop_home", "", "where bin/hadoop lies, for hdfs:// and the like (default $HADOOP_HOME, then PATH)"),
        ("gc_disk_headroom", "0.1", "share of the disk to keep free by removing sandboxes before gc_delay"),
        ("disk_watch_interval", "1mins", "how often the disk is looked at for that"),
        ("container_disk_watch_interval", "15secs", "how often the disk use of a container is measured"),
        ("max_stdout_size", "0B", "rotate the stdout of containers at this size (default 0B: never)"),
        ("max_stderr_size", "0B", "rotate the stderr of containers at this size (default 0B: never)"),
        ("rotated_files", "9", "how many rotated files stay (default 9)"),
    ):
        parser.add_argument(f"--{name}", f"--{name.replace('_', '-')}", default=default, help=explanation)
    switch = "enforce_container_disk_quota"
    parser.add_argument(
        f"--{switch}",
        f"--{switch.replace('_', '-')}",
        nargs="?",
        const="true",
        default="false",
        help="end containers that use more disk than they hold",
    )


def read(given: argparse.Namespace) -> SandboxFlags:
    """What was given. Raises ValueError."""

    def seconds(name: str) -> float:
        value = duration(f"--{name}", getattr(given, name))
        if value <= 0:
            raise ValueError(f"--{name}: it must be more than nothing")
        return value

    enforce = _SWITCH.get(given.enforce_container_disk_quota)
    if enforce is None:
        raise ValueError(f"--enforce_container_disk_quota: {given.enforce_container_disk_quota!r} is not true or false")
    directory = given.fetcher_cache_dir
    return SandboxFlags(
        fetcher_cache_size=size("--fetcher_cache_size", given.fetcher_cache_size),
        fetcher_cache_dir=Path(directory).absolute() if directory else None,
        fetcher_stall_timeout=seconds("fetcher_stall_timeout"),
        hadoop_home=given.hadoop_home,
        gc_disk_headroom=_share("--gc_disk_headroom", given.gc_disk_headroom),
        disk_watch_interval=seconds("disk_watch_interval"),
        container_disk_watch_interval=seconds("container_disk_watch_interval"),
        enforce_container_disk_quota=enforce,
        max_stdout_size=_rotation_size("--max_stdout_size", given.max_stdout_size),
        max_stderr_size=_rotation_size("--max_stderr_size", given.max_stderr_size),
        rotated_files=_count("--rotated_files", given.rotated_files),
    )


def _share(flag: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{flag}: {text!r} is no share; give a number from 0 to 1")
    return value


SMALLEST = 64 * 1024
"""Bytes. Rotation works in blocks of the file system, so much less makes no sense."""


def _rotation_size(flag: str, text: str) -> int:
    value = size(flag, text)
    if 0 < value < SMALLEST:
        raise ValueError(
            f"{flag}: {text} is too small to rotate at; give {exact_size(SMALLEST)} or more, or 0B for never"
        )
    return value


def _count(flag: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 999:
        raise ValueError(f"{flag}: {text!r} is no number of files from 1 to 999")
    return int(text)
