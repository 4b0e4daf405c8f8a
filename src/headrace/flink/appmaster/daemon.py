"""The application master's process: puts core, store, master, driver and JobManager together.

Everything of a cluster lies in the task's sandbox; what is not for others' eyes in ``.headrace``:

    .headrace/appmaster.db     the store
    .headrace/driver-token     the secret that the driver shows
    .headrace/artifacts-key    the secret part of the configuration's URLs
    .headrace/conf, tm-conf    configuration of the JobManager, of TaskManagers
    .headrace/jobmanager/<n>   the JobManager's n-th run

Where tasks know a place that outlives them (see ``high_availability``), the store is there, so that a later task of
the cluster takes over. An orderly end empties the store; how a job cluster's job ended is in job-result.json.

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

from headrace.flink import address, conf, distribution, high_availability, job, overlays
from headrace.flink.appmaster import assembly, records, tls
from headrace.flink.appmaster.ending import Ending
from headrace.flink.appmaster.own_address import EXIT_TRY_AGAIN, OwnAddress
from headrace.flink.appmaster.plan import Plan
from headrace.flink.appmaster.process import Process
from headrace.flink.cluster import resolve
from headrace.flink.distribution import DRIVER_JAR
from headrace.kernel.daemon import UserError
from headrace.kernel.store import Durability, StoreError, open_store

log = logging.getLogger(__name__)


async def main(stop: asyncio.Event, arguments: Sequence[str]) -> None:
    """Run one cluster until it ends or ``stop`` is set. Raises UserError, StoreError, OSError, SystemExit."""
    environment = dict(os.environ)
    sandbox = Path.cwd()
    ran_before = (sandbox / ".headrace" / "jobmanager").exists()
    plan = _plan(arguments, environment, sandbox, ran_before)
    try:
        await serve(stop, plan, sandbox, environment)
    except (OSError, StoreError) as error:
        if not ran_before:
            raise
        log.error("can't go on now, a JobManager may live: %s", error)
        raise SystemExit(EXIT_TRY_AGAIN) from error


def _plan(arguments: Sequence[str], environment: dict[str, str], sandbox: Path, ran_before: bool) -> Plan:
    user = pwd.getpwuid(os.getuid()).pw_name
    own_address = OwnAddress()
    options = high_availability.with_defaults(conf.read_options(arguments, environment), environment, sandbox)
    cluster = resolve(options, environment, user, own_address.find)
    if cluster.server.tls or cluster.master.startswith("https:"):
        tls.ensure()
    flink = distribution.find_flink(cluster.given, environment)
    java = distribution.find_java(cluster.given, environment)
    if not DRIVER_JAR.is_file():
        raise UserError(f"{DRIVER_JAR} is missing; build it with java/flink-driver/build.sh (needs a JDK)")
    shipment = overlays.collect(assembly.ground(cluster, flink, environment, user))
    plan = Plan(cluster, flink, java, shipment, job.read(cluster.given, environment, DRIVER_JAR))
    own_address.check(ran_before=ran_before)
    if not ran_before:
        address.check(cluster.host, cluster.master, cluster.given.get("jobmanager.bind-host", ""))
    return plan


async def serve(stop: asyncio.Event, plan: Plan, sandbox: Path, environment: Mapping[str, str]) -> None:
    """Run the cluster of ``plan``, unless it has run before. Raises as ``main``."""
    private = sandbox / ".headrace"
    private.mkdir(mode=0o700, exist_ok=True)
    ending = Ending(plan.cluster, plan.job, sandbox, environment)
    if (result := ending.before()) is not None:
        return _exit(await ending.leave(result, stop))
    stable = high_availability.stable_directory(plan.cluster.flink, environment)
    if stable is not None:
        stable.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = plan.cluster.given.get("headrace.appmaster.store") or f"sqlite://{stable or private}/appmaster.db"
    store = open_store(url, component="appmaster", layout=records.LAYOUT, durability=Durability.PROCESS)
    try:
        process = Process(plan, sandbox, environment, store)
        finish = await process.run(stop)
    finally:
        store.close()
    result = ending.settle(finish, process.last_words())
    _exit(finish.status if result is None else await ending.leave(result, stop))


def _exit(status: int) -> None:
    if status:
        raise SystemExit(status)
