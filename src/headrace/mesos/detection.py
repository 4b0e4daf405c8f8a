"""Finding the leading master in ZooKeeper, where masters of Mesos (0.24 and later) and ours stand for election."""

from __future__ import annotations

import asyncio
import logging
from ipaddress import IPv4Address

import msgspec

from headrace.kernel.election.contest import MESOS_LABEL
from headrace.kernel.election.zookeeper import watch_leader
from headrace.kernel.zookeeper import Session, parse
from headrace.mesos.messages.common import MasterInfo

log = logging.getLogger(__name__)

SESSION_TIMEOUT = 10.0
CLOSE_PATIENCE = 0.3
"""Seconds to say goodbye; the session has nothing that others wait for."""
WARN_EVERY = 5.0
"""Seconds between two warnings that no master leads."""


def url_of(data: bytes) -> str | None:
    """``http://host:port`` of a master by its MasterInfo in JSON; None if that can't be read. Pure."""
    try:
        info = msgspec.json.decode(data, type=MasterInfo)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    address = info.address
    ip = address.ip if address is not None else None
    host = ip or (address.hostname if address is not None else None) or info.hostname or _dotted(info.ip)
    port = address.port if address is not None and address.port else info.port
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _dotted(ip: int) -> str:
    """The number has the address's first part in its lowest byte."""
    return str(IPv4Address((ip & 0xFFFFFFFF).to_bytes(4, "little")))


class ZooKeeperMasters:
    """Follows the leader, from the first question until it is closed. Raises UserError if the address is wrong."""

    def __init__(self, address: str) -> None:
        self._address = parse(address, "master")
        self._leader: str | None = None
        self._news = asyncio.Event()
        self._session: Session | None = None
        self._watch: asyncio.Task[None] | None = None

    async def leader(self) -> str:
        if self._watch is None:
            self._watch = asyncio.create_task(self._follow())
        while self._leader is None:
            await self._change()
        return self._leader

    async def moved(self, url: str) -> str:
        while self._leader in (None, url):
            await self._news.wait()
        return f"the master at {self._leader} leads now"

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._session is not None:
            await self._session.close(CLOSE_PATIENCE)

    async def _follow(self) -> None:
        self._session = Session(self._address, timeout=SESSION_TIMEOUT)
        await self._session.open()
        await watch_leader(self._session, MESOS_LABEL, self._told)

    async def _change(self) -> None:
        """Wait for news; warns if there are none for long. Raises what has ended the search."""
        assert self._watch is not None  # noqa: S101
        news = asyncio.create_task(self._news.wait())
        try:
            done, _ = await asyncio.wait((news, self._watch), timeout=WARN_EVERY, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        if self._watch.done():
            self._watch.result()
        if not done and self._session is not None and self._session.connected:
            log.warning("no master leads at %s; still waiting", self._address)

    def _told(self, data: bytes | None) -> None:
        leader = url_of(data) if data is not None else None
        if data is not None and leader is None:
            log.warning("what the leading master says of itself at %s can't be read: %.80r", self._address, data)
        if leader != self._leader:
            log.info("the leading master is %s", leader or "unknown")
        self._leader = leader
        news, self._news = self._news, asyncio.Event()
        news.set()
