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
job-result.json.

Exit status: 0 asked to stop, or shut down by Flink (its job finished or was cancelled), 2 a user's mistake, 3 shut
down by Flink as failed, 4 the JobManager can't be started, 1 a bug, 75 trouble with the port, the store or files
while a JobManager may live. The script starts it again after a bug or a signal, and for as long as it takes after 75.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.flink import address, archives, conf, distribution, high_availability, job, overlays, zookeeper_ha
from headrace.flink.appmaster import assembly, records, tls
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
from headrace.flink.options import FlinkOptions
from headrace.flink.removed_options import without_effect
from headrace.kernel.daemon import UserError
from headrace.kernel.store import Durability, Store, StoreError, open_store
from headrace.kernel.zookeeper.address import ZooKeeperAddress

log = logging.getLogger(__name__)


async def main(stop: asyncio.Event, arguments: Sequence[str]) -> None:
    """Run one cluster until it ends or ``stop`` is set. Raises UserError, StoreError, OSError, SystemExit."""
    environment = dict(os.environ)
    sandbox = Path.cwd()
    ran_before = (sandbox / ".headrace" / "jobmanager").exists()
    given = conf.read_options(arguments, environment)
    plan = _plan(given, environment, sandbox, ran_before)
    try:
        at_once = STOP_VARIABLE in environment
        slot = await wait_for_slot(plan.cluster, environment, sandbox, stop, at_once=at_once)
        if slot is None:
            log.info("asked to stop before there was a place for this instance")
            return
        if slot.number > 1:
            _check_store(plan)
            plan = _plan(given, environment, sandbox, ran_before, slot.number)
        try:
            if not ran_before:
                high_availability.claim_version(plan.cluster.flink, plan.flink.version)
            await serve(stop, plan, sandbox, environment, slot)
        finally:
            slot.close()
    except (OSError, StoreError) as error:
        if not ran_before:
            raise
        log.error("can't go on now, a JobManager may live: %s", error)
        raise SystemExit(EXIT_TRY_AGAIN) from error


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
    private = sandbox / ".headrace"
    private.mkdir(mode=0o700, exist_ok=True)
    slot = slot or Slot()
    supervision = Supervision(plan.cluster, environment)
    ending = Ending(plan.cluster, plan.job, sandbox, environment, slot, supervision)
    if (result := ending.before()) is not None:
        return _exit(await ending.leave(result, stop))
    shared = zookeeper_ha.store_address(plan.cluster.given)
    if shared is not None:
        finish, words = await _lead(stop, plan, sandbox, environment, supervision, shared)
        result = ending.settle(finish, words)
        return _exit(finish.status if result is None else await ending.leave(result, stop))
    stable = high_availability.stable_directory(plan.cluster.flink, environment)
    if stable is not None:
        stable.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = zookeeper_ha.store_url(plan.cluster.given) or f"sqlite://{stable or private}/appmaster.db"
    store = open_store(url, component="appmaster", layout=records.LAYOUT, durability=Durability.PROCESS)
    try:
        process = Process(plan, sandbox, environment, store, supervision)
        finish = await process.run(stop)
    finally:
        store.close()
    result = ending.settle(finish, process.last_words())
    _exit(finish.status if result is None else await ending.leave(result, stop))


async def _lead(
    stop: asyncio.Event,
    plan: Plan,
    sandbox: Path,
    environment: Mapping[str, str],
    supervision: Supervision,
    store_address: ZooKeeperAddress,
) -> tuple[Finish, str]:
    """Run the cluster when this instance leads; returns how it ended, and the JobManager's last words."""
    from headrace.flink.appmaster.leadership import Leadership  # brings the client of ZooKeeper

    leadership = Leadership(store_address, plan.cluster, sandbox)
    words = ""

    async def lead(store: Store, port: int) -> Finish:
        nonlocal words
        process = Process(
            plan, sandbox, environment, store, supervision, port=port, on_failed_over=leadership.failed_over
        )
        finish = await process.run(stop)
        words = process.last_words()
        return finish

    finish = await leadership.run(stop, lead, at_once=STOP_VARIABLE in environment)
    return finish or Finish(0, "another instance leads"), words


def _exit(status: int) -> None:
    if status:
        raise SystemExit(status)
