"""Several application masters of one cluster: one leads, the others stand by. For clusters with a store in ZooKeeper.

A standby has no JobManager; it answers /health, and /state with who leads. When the leader's session has ended it
reads the store and goes on: the same framework, the same TaskManagers, a new JobManager that finds the jobs.

A process that was killed comes back within its session (``zookeeper-session`` in .headrace), so it still leads,
and its JobManager has noticed nothing. One that does not lead any more ends with status 75 and lets its JobManager
live, as it may come back first; whoever sees another one lead ends the JobManager beside it.

When a cluster is gone for good, the commit that empties the store leaves a ``farewell`` in it: those who stood by end,
too, and the last one removes all znodes. What comes after that is a new cluster. A leader that was killed before
everything was removed is one of them, so what it has left is removed as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from signal import SIGKILL, SIGTERM

import msgspec

from headrace.flink import conf, zookeeper_ha
from headrace.flink.appmaster import records
from headrace.flink.appmaster.doors import Doors
from headrace.flink.appmaster.events import Finish
from headrace.flink.appmaster.farewell import KEY, Farewell, find
from headrace.flink.appmaster.own_address import EXIT_TRY_AGAIN
from headrace.flink.cluster import Cluster
from headrace.flink.job_result import JobResult
from headrace.kernel import process
from headrace.kernel.core import Delete
from headrace.kernel.daemon import announce
from headrace.kernel.election.zookeeper import LeadershipLostError, ZooKeeperElection
from headrace.kernel.http import Request, Response
from headrace.kernel.store import Store, StoreError, Write
from headrace.kernel.store.owner import check_owner
from headrace.kernel.store.zookeeper import open_zookeeper_store
from headrace.kernel.zookeeper import Session, SessionId, ZooKeeperAddress, ZooKeeperError

log = logging.getLogger(__name__)

JOB_MANAGER_PATIENCE = 3.0
"""Seconds that the JobManager of a leader from before gets to end by itself."""

LEAVING = 3.0
"""Seconds for removing what was kept."""

_ELECTION = "leader"
"""The contest's znode, a child of the store's."""
Serve = Callable[[Store, int], Coroutine[None, None, Finish]]


async def _nothing_more() -> None:
    """All that was kept is what ``Leadership`` knows of."""


class Leadership:
    """One instance's part in a cluster whose store is at ``address``.

    ``job`` is its job's digest, if it has one; ``stays``: its end is to be known until the app is destroyed.
    ``clear`` removes what else a cluster that is gone has kept. ``on_told`` hears how a job has ended that another
    instance has run, before that is forgotten.
    """

    def __init__(
        self,
        address: ZooKeeperAddress,
        cluster: Cluster,
        sandbox: Path,
        *,
        job: str = "",
        stays: bool = False,
        clear: Callable[[], Awaitable[None]] = _nothing_more,
        on_told: Callable[[JobResult], None] = lambda result: None,
    ) -> None:
        self._job, self._stays, self._clear, self._on_told = job, stays, clear, on_told
        self._left: Farewell | None = None
        self._address = address
        self._cluster = cluster
        self._runs = sandbox / ".headrace" / "jobmanager"
        self._session_file = sandbox / ".headrace" / "zookeeper-session"
        self._port_file = sandbox / ".headrace" / "port"
        self._component = f"appmaster of {cluster.cluster_id}"
        timeout = zookeeper_ha.session_timeout(cluster.given)
        self._session = Session(address, timeout=timeout, resume=_read(self._session_file))
        self._election_path = f"{address.path}/{_ELECTION}"
        self._election = ZooKeeperElection(self._session, self._election_path)
        self._ending_job_managers: asyncio.Task[None] | None = None
        self._failed_over = asyncio.Event()

    async def run(self, stop: asyncio.Event, serve: Serve, *, at_once: bool = False) -> Finish | None:
        """What ``serve`` returns, which is called with store and port to lead; None if it never came to that.

        ``at_once``: leave if another leads. Raises UserError, StoreError, OSError, SystemExit.
        """
        doors = await self._open_doors()
        port = doors.port
        try:
            won = await self._stand(stop, doors, at_once=at_once)
        finally:
            await doors.close()
        if not won:
            await self._end_job_managers()
            await self._session.close()
            return None
        store = await self._open_store(self._session, self._election.node)
        if (ended := await self._told_to_end(store)) is not None:
            await self._end_job_managers()
            await self._leave(ended)
            return ended
        await self._end_job_managers(but=records.run_of(store.load()))
        finish = await self._hold(serve(store, port))
        await self._leave(finish)
        return finish

    async def farewell(self, finish: Finish, result: JobResult | None) -> list[Write]:
        """What the commit that empties the store has to leave in it. Raises StoreError."""
        if not finish.gone:
            return []
        others = await self._look_for_others()
        if others:
            log.info("%d that stand by are told that the cluster has ended", len(others))
        stays = self._stays and result is not None
        job = self._job if result is not None else ""
        names = [self._own_name, *others]
        self._left = Farewell(finish.status, finish.why, names, finish.said, result, job, stays)
        return [self._left.put()]

    def failed_over(self) -> None:
        """The master says that another process has taken our framework; we may not have heard why."""
        if not self._session.connected:
            self._failed_over.set()

    # standing by

    async def _open_doors(self) -> Doors:
        """Be there for health checks. The port is that of an earlier process here: its JobManager may look for us."""
        before = int(self._port_file.read_text()) if self._port_file.exists() else 0
        doors = Doors(self._cluster.server, before)
        doors.router.add("GET", "/health", lambda request: Response.json({"healthy": True, "standby": True}))
        doors.router.add("GET", "/state", self._state)
        await doors.open()
        conf.write_private(self._port_file, str(doors.port).encode())
        return doors

    def _state(self, request: Request) -> Response:
        leader = self._election.leader() or "" if self._session.connected else ""
        return Response.json({"cluster": self._cluster.cluster_id, "standby": True, "leader": leader})

    async def _stand(self, stop: asyncio.Event, doors: Doors, *, at_once: bool) -> bool:
        """Whether we lead; False if asked to stop before, or with ``at_once`` if another leads. Raises as ``run``."""
        self._election.info = f"{self._cluster.host}:{doors.port}".encode()
        give_up = asyncio.Event()

        def on_wait(leader: str) -> None:
            log.info("the application master at %s leads; this one stands by", leader)
            if self._ending_job_managers is None:
                self._ending_job_managers = asyncio.create_task(self._end_job_managers())
                announce("appmaster", doors.own_url)
            if at_once:
                give_up.set()

        contest = asyncio.create_task(self._contest(on_wait))
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(give_up.wait())]
        try:
            await asyncio.wait([contest, *ends], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
        if self._ending_job_managers is not None:
            await self._ending_job_managers
        if contest.done():
            contest.result()
            log.info("this application master leads the cluster at %s", self._address)
            return True
        contest.cancel()
        await asyncio.gather(contest, return_exceptions=True)
        log.info("asked to stop while another one leads")
        return False

    async def _contest(self, on_wait: Callable[[str], None]) -> None:
        await self._session.open()
        conf.write_private(self._session_file, msgspec.json.encode(self._session.id))
        await check_owner(self._session, component=self._component, layout=records.LAYOUT, beside=[_ELECTION])
        await self._election.lead(on_wait)
        conf.write_private(self._session_file, msgspec.json.encode(self._session.id))

    async def _open_store(self, session: Session, fence: str = "") -> Store:
        return await open_zookeeper_store(
            session, component=self._component, layout=records.LAYOUT, fence=fence, beside=[_ELECTION]
        )

    async def _end_job_managers(self, but: int = 0) -> None:
        """End what a process here has left when it led: two JobManagers must not lead at a time."""
        left = [run for run in self._runs.glob("[0-9]*") if run.name != str(but)]
        signalled = [run for run in left if process.signal_command(run, SIGTERM)]
        deadline = asyncio.get_running_loop().time() + JOB_MANAGER_PATIENCE
        while any(process.find(run) is process.Found.RUNNING for run in signalled):
            if asyncio.get_running_loop().time() > deadline:
                signalled = [run for run in signalled if process.signal_command(run, SIGKILL)]
            await asyncio.sleep(0.05)

    # leading

    async def _hold(self, work: Coroutine[None, None, Finish]) -> Finish:
        """Lead for as long as it goes. Raises what ``work`` raises; SystemExit if another may lead."""
        leading = asyncio.create_task(work)
        losing = asyncio.create_task(self._until_lost())
        try:
            await asyncio.wait((leading, losing), return_when=asyncio.FIRST_COMPLETED)
            if not leading.done():
                losing.result()
            return leading.result()
        except (LeadershipLostError, StoreError) as error:
            log.error("%s; this one begins again as a standby", error)
            raise SystemExit(EXIT_TRY_AGAIN) from error
        finally:
            leading.cancel()
            losing.cancel()
            await asyncio.gather(leading, losing, return_exceptions=True)

    async def _until_lost(self) -> None:
        failed_over = asyncio.create_task(self._failed_over.wait())
        lost = asyncio.create_task(self._election.until_lost())
        try:
            await asyncio.wait((failed_over, lost), return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                lost.result()
            raise LeadershipLostError("the master says that another process has taken over the framework")
        finally:
            failed_over.cancel()
            lost.cancel()

    # the end

    async def _leave(self, finish: Finish) -> None:
        """End the session, so that the next one need not wait; before, remove what is not to be found any more."""
        for remove in (self._clear, self._remove_flinks, lambda: self._remove_own(finish)) if finish.gone else ():
            try:
                async with asyncio.timeout(LEAVING):
                    await remove()
            except (OSError, ZooKeeperError) as error:  # a TimeoutError is an OSError
                log.warning("not everything was removed from %s: %s", self._address, error or "no answer")
        await self._session.close()
        self._session_file.unlink(missing_ok=True)

    async def _remove_flinks(self) -> None:
        options = self._cluster.flink
        flinks = zookeeper_ha.flinks_address(options)
        if flinks is not None and flinks.hosts == self._address.hosts:
            await self._session.remove(flinks.path)
        elif flinks is not None:
            other = Session(flinks, timeout=self._session.timeout)
            await other.open()
            await other.remove(flinks.path)
            await other.close()
        await asyncio.to_thread(zookeeper_ha.remove_files, options)

    async def _remove_own(self, finish: Finish) -> None:
        stays = finish.left or (self._left is not None and self._left.stays)
        if not stays and not await self._election.look_for_others():
            await self._session.remove(self._address.path)

    async def _told_to_end(self, store: Store) -> Finish | None:
        """How the cluster has ended for which we stood by, or that had our job; None if that did not happen."""
        farewell = find(store.load(), self._address)
        if farewell is None:
            return None
        if not farewell.concerns(self._own_name, self._job):
            log.info("the cluster that was here has ended (%s); this is another one", farewell.why)
            await store.commit([Delete(KEY)])
            return None
        log.info("the cluster has ended: %s", farewell.why)
        self._left = farewell
        if farewell.result is not None:
            self._on_told(farewell.result)
        return farewell.finish

    async def forget(self) -> None:
        """The app is destroyed: remove the end that stayed; afterwards, with a session of its own."""
        session = Session(self._address, timeout=self._session.timeout)
        try:
            async with asyncio.timeout(LEAVING):
                await session.open()
                await self._forget(session)
        except (OSError, StoreError, ZooKeeperError) as error:
            log.warning("not everything was removed from %s: %s", self._address, error or "no answer")
        await session.close()

    async def _forget(self, session: Session) -> None:
        """Nothing of a cluster that others have begun here meanwhile."""
        if await session.call("exists", self._election_path) is None:
            return  # another one has done it
        store = await self._open_store(session)
        if find(store.load(), self._address) == self._left:
            await store.commit([Delete(KEY)])
        if not store.load() and not await ZooKeeperElection(session, self._election_path).look_for_others():
            await session.remove(self._address.path)

    async def _look_for_others(self) -> list[str]:
        """The other candidates, however long it takes to learn it. Raises StoreError."""
        while True:
            await self._session.until_connected()
            try:
                return await self._election.look_for_others()
            except ZooKeeperError as error:
                if not error.lost:
                    raise StoreError(str(error)) from error

    @property
    def _own_name(self) -> str:
        return self._election.node.rpartition("/")[2]


def _read(path: Path) -> SessionId | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=SessionId)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
