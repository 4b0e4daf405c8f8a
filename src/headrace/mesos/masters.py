"""Where the master is, as users write it: ``host:port``, ``http://host:port``, ``zk://host:port,…/path`` of the
masters' znode, or ``file:///path`` of a file that says one of these (so that a password stands on no command line).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from headrace.kernel.daemon import UserError

ZOOKEEPER = "zk://"
_FILE = "file://"


class Masters(Protocol):
    """Finds the leading master."""

    async def leader(self) -> str:
        """``http://host:port`` of the leading master; waits for as long as there is none. Raises UserError."""
        ...

    async def moved(self, url: str) -> str:
        """Wait until another master than ``url`` leads; returns that in words."""
        ...

    async def close(self) -> None:
        """Stop looking."""
        ...


class OneMaster:
    """The one master that there is."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def leader(self) -> str:
        return self._url

    async def moved(self, url: str) -> str:
        await asyncio.Event().wait()
        return ""

    async def close(self) -> None:
        pass


def masters(text: str) -> Masters:
    """What finds the master that ``text`` says. Raises UserError if it is not understood."""
    address = read_master(text, "master")
    if not address.startswith(ZOOKEEPER):
        return OneMaster(master_url(address))
    from headrace.mesos.detection import ZooKeeperMasters

    return ZooKeeperMasters(address)


async def leading_master(text: str) -> str:
    """``http://host:port`` of the leading master now, or when there is one. Raises UserError."""
    found = masters(text)
    try:
        return await found.leader()
    finally:
        await found.close()


def read_master(text: str, what: str) -> str:
    """What ``text`` says, or the file that it names. Raises UserError that calls it ``what``."""
    text = text.strip()
    if not text.startswith(_FILE):
        return text
    try:
        return Path(text.removeprefix(_FILE)).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what} {text}: can't be read: {error}") from error


def master_url(master: str) -> str:
    """``http://host:port`` of a master given as that or as ``host:port``. Raises UserError."""
    address = master.strip().rstrip("/")
    if "://" not in address:
        address = f"http://{address}"
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme not in ("http", "https") or not host or not port.isdigit() or "/" in rest:
        raise UserError(
            f"master {shown(master)!r} is not understood; give host:port, http://host:port or zk://host:port/path"
        )
    return address


def master_address(text: str) -> str:
    """The same with all that is missing: a URL of http, or of zk. Raises UserError if it is not understood."""
    address = read_master(text, "master")
    if not address.startswith(ZOOKEEPER):
        return master_url(address)
    master_hosts(address)
    return address


def master_hosts(master: str) -> list[str]:
    """The hosts by which the master is found: its own, or those of ZooKeeper. Raises UserError."""
    if master.strip().startswith(ZOOKEEPER):
        from headrace.kernel.zookeeper.address import parse

        listed = parse(master, "master").hosts
    else:
        listed = (master_url(master).partition("://")[2],)
    return [host.rpartition(":")[0].strip("[]") for host in listed]


def shown(master: str) -> str:
    """For people: without credentials."""
    scheme, separator, rest = master.strip().partition("://")
    return f"{scheme}://***@{rest.rpartition('@')[2]}" if separator and "@" in rest else master.strip()
