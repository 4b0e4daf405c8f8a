"""What tells a process from all others: ids are given away again by the kernel, so the boot and the start count too."""

from __future__ import annotations

import functools
import os
from pathlib import Path


@functools.cache
def boot_id() -> str:
    """This boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def id_space() -> str:
    """What process ids are good for: this boot, in this space of ids (a container has its own)."""
    return f"{boot_id()} {os.readlink('/proc/self/ns/pid')}"


def start_time(pid: int) -> int:
    """In clock ticks since the boot; 0 if there is no such process, or one that has ended and not been collected."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])
