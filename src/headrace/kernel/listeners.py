"""Who listens on a TCP port of this machine, as far as this user may know. Linux: /proc."""

from __future__ import annotations

import contextlib
import os
from ipaddress import IPv6Address, ip_address
from pathlib import Path

_LISTEN = "0A"


def owner(port: int, host: str = "") -> int | None:
    """The process that listens on the port; with ``host``, an address, the one that listens there or everywhere."""
    wanted = {f"socket:[{inode}]" for inode in _listeners(port, host)}
    if not wanted:
        return None
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError), os.scandir(f"/proc/{entry}/fd") as descriptors:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor.path) in wanted:
                        return int(entry)
    return None


def taken(port: int, host: str = "") -> bool:
    """Whether anybody listens there, known or not."""
    return bool(_listeners(port, host))


def command(pid: int) -> str:
    """The command line of a process; empty if there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return ""


def _listeners(port: int, host: str) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].rpartition(":")
                if fields[3] == _LISTEN and int(number, 16) == port and _meets(address, host):
                    inodes.add(fields[9])
    return inodes


def _meets(listening: str, host: str) -> bool:
    if not host:
        return True
    raw = bytes.fromhex(listening)  # words of four bytes, each in the machine's order
    address = ip_address(b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4)))
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    wanted = ip_address(host)
    return address.is_unspecified or wanted.is_unspecified or address == wanted
