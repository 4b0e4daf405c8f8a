"""One of several Marathons, with ``--zk``: it stands by until it leads, and ends when it leads no more.

    <path>/leader/candidate_…   one for each Marathon, ``host:port``; the lowest number leads
    <path>/state                the store

What the leader writes is fenced by its znode, and before it subscribes at the master it asks ZooKeeper whether it
leads; so one that was cut off, or stopped for a while, neither changes anything nor takes the framework from its
successor. It ends with status 103, as Marathon does, and whoever supervises it starts it again. A process that was
killed comes back within its session (``zookeeper-session`` below ``--data``), so it still leads. Trouble with the store
is such an end, too, once the ready line is out: before it is the user's mistake.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from ipaddress import ip_address

from headrace.kernel.daemon import Leave, first_cause
from headrace.kernel.election.contest import CANDIDATE_LABEL
from headrace.kernel.election.zookeeper import LeadershipLostError, ZooKeeperElection, watch_leader
from headrace.kernel.store import StoreError
from headrace.kernel.store.owner import check_owner
from headrace.kernel.store.zookeeper import ZooKeeperStore, open_zookeeper_store
from headrace.kernel.tasks import first_of
from headrace.kernel.zookeeper import Session, ZooKeeperAddress
from headrace.marathon import flags, repository
from headrace.marathon.front import ABDICATED, EXIT_LEADERSHIP, Front
from headrace.marathon.leader import Leader
from headrace.marathon.proxy import Place
from headrace.marathon.session_file import SessionFile
from headrace.marathon.standby import Standby

log = logging.getLogger(__name__)

EXIT_NO_ZOOKEEPER = 100
_CLOSE_PATIENCE = 3.0
"""Seconds that servers may take to hear of the session's end."""


class Candidate:
    """Raises UserError if the flags don't fit together."""

    def __init__(self, options: argparse.Namespace) -> None:
        address = flags.zookeeper(options)
        assert address is not None  # noqa: S101 - made with --zk only
        self._options, self._address = options, address
        self._file = SessionFile(options.data, address)
        self._session = Session(
            address.at(f"{address.path}/state"),
            timeout=options.zk_session_timeout / 1000,
            resume=self._file.read() if options.ha else None,
        )
        self._former = self._file.read_other()
        self._leader_path = f"{address.path}/leader"
        self._election = ZooKeeperElection(self._session, self._leader_path)
        self._known: str | None = None
        self._front = Front(options)
        self._standby = Standby(options, self._place)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set. Raises Leave, UserError, StoreError."""
        front = self._front
        front.standby, front.leader = self._standby, lambda: self._known
        self._warn()
        await front.start()
        try:
            await first_of(self._lead_or_wait(), stop.wait(), self._follow())
        except BaseException as error:
            lost = first_cause(error)
            if isinstance(lost, (LeadershipLostError, StoreError)) and front.announced:
                raise Leave(EXIT_LEADERSHIP, f"{lost}; start it again, and it stands by") from None
            if isinstance(lost, LeadershipLostError):
                raise Leave(EXIT_LEADERSHIP, str(lost)) from None
            raise
        finally:
            await front.stop()
            await self._session.close(_CLOSE_PATIENCE)  # another one need not wait for the session's end
            self._file.close()

    def _place(self) -> Place:
        return Place(self._front.address, self._known, self._front.listeners.scheme)

    # standing by

    async def _lead_or_wait(self) -> None:
        await self._end_former()
        await self._connect()
        await check_owner(self._session, component=repository.COMPONENT, layout=repository.LAYOUT)
        if self._options.ha:
            self._election.info = self._front.address.encode()
            await self._election.lead(self._on_wait)
            self._file.write(self._session.id)
        log.info("this Marathon leads at %s", self._address)
        await first_of(self._lead(), *([self._election.until_lost()] if self._options.ha else []))

    async def _end_former(self) -> None:
        """The session of a process that was killed at another address: nobody there has to wait for its end."""
        if self._former is None:
            return
        where = ZooKeeperAddress(self._former.hosts, self._former.path)
        session = Session(where, timeout=self._session.timeout, resume=self._former.session)
        try:
            async with asyncio.timeout(_CLOSE_PATIENCE):
                await session.open()
            log.info("the session of an earlier process at %s is ended", where)
        except TimeoutError:
            log.info("the session of an earlier process at %s has to run out: no connection", where)
        finally:
            await session.close(_CLOSE_PATIENCE)

    async def _connect(self) -> None:
        patience = self._options.zk_connection_timeout / 1000
        try:
            async with asyncio.timeout(patience):
                await self._session.open()
        except TimeoutError:
            hosts = ",".join(self._address.hosts)
            raise Leave(EXIT_NO_ZOOKEEPER, f"no connection to ZooKeeper at {hosts} within {patience:g} s") from None
        self._file.write(self._session.id)

    def _on_wait(self, leader: str) -> None:
        log.info("the Marathon at %s leads; this one stands by", leader)
        self._front.announce()

    async def _follow(self) -> None:
        """Know who leads, for as long as this process lives."""
        if not self._options.ha:
            self._known = self._front.address
            await asyncio.Event().wait()
        while not self._session.connected:
            await self._session.change()
        await watch_leader(self._session, CANDIDATE_LABEL, self._on_leader, self._leader_path)

    def _on_leader(self, data: bytes | None) -> None:
        self._known = data.decode("utf-8", "replace") if data else None
        self._standby.moved()

    # leading

    async def _lead(self) -> None:
        patience = self._options.on_elected_prepare_timeout / 1000
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(patience):
                store = await self._open_store()
        except TimeoutError:
            raise Leave(EXIT_LEADERSHIP, f"the state was not read within {patience:g} s") from None
        entries = store.take()
        leader = Leader(
            self._options, store, entries, self._front, before=self._election.confirm if self._options.ha else None
        )
        took = asyncio.get_running_loop().time() - began
        log.info("%d entries of the state were read in %.1f s", len(entries), took)
        self._known = self._front.address
        del entries
        await first_of(leader.run(), self._until_abdicated(leader))

    async def _open_store(self) -> ZooKeeperStore:
        return await open_zookeeper_store(
            self._session,
            component=repository.COMPONENT,
            layout=repository.LAYOUT,
            fence=self._election.node,
            policy=flags.policy(self._options),
        )

    async def _until_abdicated(self, leader: Leader) -> None:
        await leader.abdicated.wait()
        raise Leave(EXIT_LEADERSHIP, ABDICATED)

    def _warn(self) -> None:
        old = self._options.data / "marathon.db"
        if old.exists():
            log.warning("%s is not looked at: the state is in ZooKeeper at %s", old, self._address)
        if self._options.ha and _is_loopback(flags.advertised(self._options)) and not _all_near(self._address):
            log.warning(
                "others know this Marathon as %s, which no other machine reaches; give --http_address and --hostname",
                self._front.address,
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _all_near(address: ZooKeeperAddress) -> bool:
    return all(_is_loopback(host.rpartition(":")[0].strip("[]")) for host in address.hosts)
