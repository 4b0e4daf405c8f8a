"""The application master's process: puts core, store, master, driver and JobManager together.

Everything of a cluster lies in the task's sandbox; what is not for others' eyes in ``.headrace``:

    .headrace/appmaster.db     the store
    .headrace/driver-token     the secret that the driver shows
    .headrace/artifacts-key    the secret part of the configuration's URLs
    .headrace/conf, tm-conf    configuration of the JobManager, of TaskManagers
    .headrace/jobmanager/<n>   the JobManager's n-th run
    .headrace/zookeeper-session, port    with a store in ZooKeeper: see ``leadership``

Where tasks know a place that outlives them (see ``high_availability``), the store is there, so that a later task of
the cluster takes over; several instances of an app have a slot each (see ``slots``). What SIGTERM means, ``stopping``
says. Unless the cluster is only started again, its end empties the store; how a job cluster's job ended is in
job-result.json, and is noted for later processes before anything is removed (see ``ending``).

Exit status: 0 asked to stop, or shut down by Flink (its job finished or was cancelled), 2 a user's mistake, 3 shut
down by Flink as failed, 4 the JobManager can't be started, 1 a bug, 75 trouble with the port, the store or files, or
a user's mistake, while a JobManager may live. The script starts it again after a bug or a signal, and for as long as
it takes after 75.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.flink import (
    address,
    archives,
    conf,
    distribution,
    high_availability,
    job,
    job_identity,
    overlays,
    zookeeper_ha,
)
from headrace.flink.appmaster import assembly, records, tls
from headrace.flink.appmaster.core import EXIT_JOB_MANAGER
from headrace.flink.appmaster.ending import Ending
from headrace.flink.appmaster.events import Finish
from headrace.flink.appmaster.own_address import EXIT_TRY_AGAIN, OwnAddress
from headrace.flink.appmaster.plan import Plan
from headrace.flink.appmaster.process import STOP_VARIABLE, Process
from headrace.flink.appmaster.slots import Slot
from headrace.flink.appmaster.supervision import Supervision
from headrace.flink.appmaster.turn import wait_for_slot
from headrace.flink.cluster import resolve
from headrace.flink.distribution import DRIVER_JAR
from headrace.flink.job_result import JobResult
from headrace.flink.options import FlinkOptions
from headrace.flink.removed_options import without_effect
from headrace.kernel import process
from headrace.kernel.core import Delete
from headrace.kernel.daemon import UserError
from headrace.kernel.store import Durability, Store, StoreError, Write, open_store
from headrace.kernel.zookeeper.address import ZooKeeperAddress

log = logging.getLogger(__name__)


async def main(stop: asyncio.Event, arguments: Sequence[str]) -> None:
    """Run one cluster until it ends or ``stop`` is set. Raises UserError, StoreError, OSError, SystemExit."""
    environment = dict(os.environ)
    sandbox = Path.cwd()
    ran_before = _job_managers(sandbox).exists()
    try:
        await _main(stop, arguments, environment, sandbox, ran_before)
    except address.TakenPortError as error:
        log.error("%s", error)
        lives = ran_before and _job_manager_lives(sandbox)
        raise SystemExit(EXIT_TRY_AGAIN if lives else EXIT_JOB_MANAGER) from error  # the next task has another port
    except (OSError, StoreError, UserError) as error:
        if not ran_before or (isinstance(error, UserError) and not _job_manager_lives(sandbox)):
            raise
        log.error("can't go on now, a JobManager may live: %s", error)
        raise SystemExit(EXIT_TRY_AGAIN) from error


async def _main(
    stop: asyncio.Event, arguments: Sequence[str], environment: dict[str, str], sandbox: Path, ran_before: bool
) -> None:
    given = conf.read_options(arguments, environment)
    plan = _plan(given, environment, sandbox, ran_before)
    at_once = STOP_VARIABLE in environment
    slot = await wait_for_slot(plan.cluster, environment, sandbox, stop, at_once=at_once)
    if slot is None:
        log.info("asked to stop before there was a place for this instance")
        return
    try:
        if slot.number > 1:
            _check_store(plan)
            plan = _plan(given, environment, sandbox, ran_before, slot.number)
        await serve(stop, plan, sandbox, environment, slot)
    finally:
        slot.close()


def _job_managers(sandbox: Path) -> Path:
    return sandbox / ".headrace" / "jobmanager"


def _job_manager_lives(sandbox: Path) -> bool:
    return any(process.find(run) is process.Found.RUNNING for run in _job_managers(sandbox).glob("[0-9]*"))


def _check_store(plan: Plan) -> None:
    """Several instances are several clusters. Raises UserError."""
    if zookeeper_ha.STORE in plan.cluster.given:
        raise UserError(
            f"option {zookeeper_ha.STORE} names one store, but another instance of this app uses it: leave it away, "
            "name one in ZooKeeper, or run one instance"
        )


def _plan(given: FlinkOptions, environment: dict[str, str], sandbox: Path, ran_before: bool, slot: int = 1) -> Plan:
    user = pwd.getpwuid(os.getuid()).pw_name
    own_address = OwnAddress()
    options = high_availability.with_defaults(given, environment, sandbox, slot)
    cluster = resolve(options, environment, user, own_address.find, slot)
    if cluster.server.tls or cluster.master.startswith("https:"):
        tls.ensure()
    flink = distribution.find_flink(cluster.given, environment)
    if slot == 1:
        for warning in filter(None, (flink.warning, *without_effect(cluster.given, flink.version))):
            log.warning("%s", warning)
    java = distribution.find_java(cluster.given, environment)
    if not DRIVER_JAR.is_file():
        raise UserError(f"{DRIVER_JAR} is missing; build it with java/flink-driver/build.sh (needs a JDK)")
    zookeeper_ha.check(cluster.given)
    shipment = overlays.collect(assembly.ground(cluster, flink, environment, user))
    cluster_job = job.read(cluster.given, environment, DRIVER_JAR, flink)
    plan = Plan(cluster, flink, java, shipment, cluster_job, archives.chosen(cluster.given, environment, java))
    own_address.check(ran_before=ran_before)
    if not ran_before:
        address.check(cluster.host, cluster.master, cluster.given.get("jobmanager.bind-host", ""))
    return plan


async def serve(
    stop: asyncio.Event, plan: Plan, sandbox: Path, environment: Mapping[str, str], slot: Slot | None = None
) -> None:
    """Run the cluster of ``plan``, unless it has run before. Raises as ``main``."""
    (sandbox / ".headrace").mkdir(mode=0o700, exist_ok=True)
    digest = ""
    if plan.job is not None:
        digest = await asyncio.to_thread(job_identity.digest, plan.job, plan.cluster.given, sandbox)
    run = _Run(stop, plan, sandbox, environment, slot or Slot(), digest)
    shared = zookeeper_ha.store_address(plan.cluster.given)
    status = await (run.alone() if shared is None else run.among_others(shared))
    if status:
        raise SystemExit(status)


class _Run:
    """This process's part in a cluster. The methods return the exit status and raise as ``main``."""

    def __init__(
        self,
        stop: asyncio.Event,
        plan: Plan,
        sandbox: Path,
        environment: Mapping[str, str],
        slot: Slot,
        digest: str,
    ) -> None:
        self._stop, self._plan, self._sandbox, self._environment = stop, plan, sandbox, environment
        self._at_once = STOP_VARIABLE in environment
        self._digest = digest
        self._supervision = Supervision(plan.cluster, environment)
        self._ending = Ending(plan.cluster, plan.job, sandbox, environment, slot, self._supervision, digest)
        self._result: JobResult | None = None

    async def alone(self) -> int:
        """Run the cluster with a store of our own."""
        if (found := self._ending.before()) is not None:
            await self._empty_store()  # whoever noted the result may not have come so far
            await self._ending.clear()
            return await self._ending.leave(found, self._stop, at_once=self._at_once)
        if self._ending.has_records:
            await self._empty_store()
            await self._ending.begin()
        self._claim_version()
        store = self._open_store()
        try:
            finish = await Process(
                self._plan, self._sandbox, self._environment, store, self._supervision, farewell=self._note
            ).run(self._stop)
        finally:
            store.close()
        if finish.gone:
            await self._ending.clear(but_store=bool(finish.left))
        self._ending.let_go(finish, self._result)
        if self._result is None:
            return finish.status
        self._ending.tell(self._result)
        return await self._ending.leave(self._result, self._stop, at_once=self._at_once)

    async def among_others(self, address: ZooKeeperAddress) -> int:
        """Run the cluster when this instance leads."""
        from headrace.flink.appmaster.leadership import Leadership  # brings the client of ZooKeeper

        ending = self._ending
        if not ending.has_records:
            self._claim_version()
        leadership = Leadership(
            address,
            self._plan.cluster,
            self._sandbox,
            job=self._digest,
            stays=ending.idle,
            clear=ending.clear,
            on_told=self._on_told,
        )

        async def farewell(finish: Finish, words: str) -> Sequence[Write]:
            await self._note(finish, words)
            return await leadership.farewell(finish, self._result)

        async def lead(store: Store, port: int) -> Finish:
            if (found := ending.before()) is not None:
                self._result = found
                finish = Finish(found.status, str(found), gone=True, said=found.state)
                await store.commit([*map(Delete, store.load()), *await leadership.farewell(finish, found)])
                return finish
            if await ending.begin():
                self._claim_version()
            return await Process(
                self._plan,
                self._sandbox,
                self._environment,
                store,
                self._supervision,
                port=port,
                on_failed_over=leadership.failed_over,
                farewell=farewell,
            ).run(self._stop)

        finish = await leadership.run(self._stop, lead, at_once=self._at_once)
        if self._result is None:
            return finish.status if finish is not None else 0
        ending.tell(self._result)
        return await ending.leave(self._result, self._stop, at_once=self._at_once, forget=leadership.forget)

    async def _note(self, finish: Finish, words: str) -> Sequence[Write]:
        self._result = self._ending.note(finish, words)
        return ()

    def _on_told(self, result: JobResult) -> None:
        self._result = result
        self._ending.keep(result)

    def _claim_version(self) -> None:
        if not _job_managers(self._sandbox).exists():
            high_availability.claim_version(self._plan.cluster.flink, self._plan.flink.version)

    def _open_store(self) -> Store:
        stable = high_availability.stable_directory(self._plan.cluster.flink, self._environment)
        if stable is not None:
            stable.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = stable or self._sandbox / ".headrace"
        url = zookeeper_ha.store_url(self._plan.cluster.given) or f"sqlite://{place}/appmaster.db"
        return open_store(url, component="appmaster", layout=records.LAYOUT, durability=Durability.PROCESS)

    async def _empty_store(self) -> None:
        """Of a cluster that has ended only a framework may be left, for the next one.

        A store that lies with the cluster's files goes with them, and is not made again.
        """
        own = zookeeper_ha.store_url(self._plan.cluster.given)
        if not own and high_availability.stable_directory(self._plan.cluster.flink, self._environment) is not None:
            return
        store = self._open_store()
        try:
            await store.commit(records.leave_framework(store.load()))
        finally:
            store.close()
