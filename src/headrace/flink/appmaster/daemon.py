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
import errno
import logging
import os
import pwd
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from headrace.flink import address, conf, distribution, high_availability, job, jvm, overlays
from headrace.flink.appmaster import assembly, credentials, events, records, tls
from headrace.flink.appmaster.artifacts import ArtifactServer
from headrace.flink.appmaster.core import ApplicationMaster
from headrace.flink.appmaster.driver_endpoint import DriverEndpoint, EventLog
from headrace.flink.appmaster.ending import Ending
from headrace.flink.appmaster.events import AppMasterEvent
from headrace.flink.appmaster.jvm_process import JobManagerProcess
from headrace.flink.cluster import Cluster, resolve
from headrace.flink.distribution import DRIVER_JAR, Distribution
from headrace.flink.job import Job
from headrace.flink.overlays.shipment import Shipment
from headrace.kernel.clock import SystemClock
from headrace.kernel.core import Delete, Effect
from headrace.kernel.daemon import UserError, announce
from headrace.kernel.http import HttpServer, Request, Response, Router
from headrace.kernel.shell import Shell
from headrace.kernel.store import Durability, Store, StoreError, open_store
from headrace.mesos import client as mesos_client
from headrace.mesos.client import SchedulerClient
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import FrameworkID

log = logging.getLogger(__name__)

PORT_PATIENCE = 5.0
"""Seconds to wait for our own port after a restart."""


EXIT_TRY_AGAIN = 75

STOP_VARIABLE = "HEADRACE_APPMASTER_STOP"
"""Set by the script if it was asked to stop while there was no application master to do it."""


async def main(stop: asyncio.Event, arguments: Sequence[str]) -> None:
    """Run one cluster until it ends or ``stop`` is set. Raises UserError, StoreError, OSError, SystemExit."""
    environment = dict(os.environ)
    sandbox = Path.cwd()
    ran_before = (sandbox / ".headrace" / "jobmanager").exists()
    user = pwd.getpwuid(os.getuid()).pw_name
    own_address = _OwnAddress()
    options = high_availability.with_defaults(conf.read_options(arguments, environment), environment, sandbox)
    cluster = resolve(options, environment, user, own_address.find)
    if cluster.server.tls or cluster.master.startswith("https:"):
        tls.ensure()
    flink = distribution.find_flink(cluster.given, environment)
    java = distribution.find_java(cluster.given, environment)
    if not DRIVER_JAR.is_file():
        raise UserError(f"{DRIVER_JAR} is missing; build it with java/flink-driver/build.sh (needs a JDK)")
    shipment = overlays.collect(assembly.ground(cluster, flink, environment, user))
    cluster_job = job.read(cluster.given, environment, DRIVER_JAR)
    own_address.check(ran_before=ran_before)
    if not ran_before:
        address.check(cluster.host, cluster.master, cluster.given.get("jobmanager.bind-host", ""))
    try:
        await _serve(stop, cluster, flink, java, shipment, sandbox, environment, cluster_job)
    except (OSError, StoreError) as error:
        if not ran_before:
            raise
        log.error("can't go on now, a JobManager may live: %s", error)
        raise SystemExit(EXIT_TRY_AGAIN) from error


class _OwnAddress:
    """Finds our own address; trouble with it is said only when all options have been found to be right."""

    def __init__(self) -> None:
        self._trouble: UserError | None = None

    def find(self, master: str) -> str:
        try:
            return address.local_address(master)
        except UserError as error:
            self._trouble = error
            return "127.0.0.1"

    def check(self, *, ran_before: bool) -> None:
        """Raises UserError, or if a JobManager may live, SystemExit: names must not end a cluster that runs."""
        if self._trouble is None:
            return
        if not ran_before:
            raise self._trouble
        log.error("can't go on now, a JobManager may live: %s", self._trouble)
        raise SystemExit(EXIT_TRY_AGAIN) from self._trouble


async def _serve(
    stop: asyncio.Event,
    cluster: Cluster,
    flink: Distribution,
    java: Path,
    shipment: Shipment,
    sandbox: Path,
    environment: dict[str, str],
    cluster_job: Job | None = None,
) -> None:
    private = sandbox / ".headrace"
    private.mkdir(mode=0o700, exist_ok=True)
    ending = Ending(cluster, cluster_job, sandbox, environment)
    if (result := ending.before()) is not None:
        return _exit(await ending.leave(result, stop))
    stable = high_availability.stable_directory(cluster.flink, environment)
    if stable is not None:
        stable.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = cluster.given.get("headrace.appmaster.store") or f"sqlite://{stable or private}/appmaster.db"
    store = open_store(url, component="appmaster", layout=records.LAYOUT, durability=Durability.PROCESS)
    try:
        process = Process(cluster, flink, java, shipment, sandbox, environment, store, cluster_job)
        finish = await process.run(stop)
    finally:
        store.close()
    result = ending.settle(finish, process.last_words())
    _exit(finish.status if result is None else await ending.leave(result, stop))


def _exit(status: int) -> None:
    if status:
        raise SystemExit(status)


class Process:
    """The shell around the core: carries out its effects and brings it what happens."""

    def __init__(
        self,
        cluster: Cluster,
        flink: Distribution,
        java: Path,
        shipment: Shipment,
        sandbox: Path,
        environment: dict[str, str],
        store: Store,
        cluster_job: Job | None = None,
    ) -> None:
        self._cluster = cluster
        self._job = cluster_job
        self._shipment = shipment
        self._flink = flink
        self._java = java
        self._sandbox = sandbox
        self._private = sandbox / ".headrace"
        self._store = store
        self._to_stop = bool(environment.get(STOP_VARIABLE))
        self._clock = SystemClock()
        self._recovered = records.recover(store.load())
        if not (self._private / "jobmanager").exists():
            # A task before this one has left the store: nobody looks for its port any more.
            self._recovered = msgspec.structs.replace(self._recovered, port=0)
        self._finish: asyncio.Future[events.Finish] = asyncio.get_running_loop().create_future()
        self._jvm = JobManagerProcess(self._private, sandbox, self._jvm_environment(environment), self._on_jvm_end)
        self._router = Router()
        listener, certificate = cluster.server, tls.context(cluster.server)
        self._server = HttpServer(
            self._router,
            host="127.0.0.1" if certificate else listener.bind,
            port=self._recovered.port or (0 if certificate else listener.port),
            allowed_hosts=[listener.address],
        )
        self._artifact_server: HttpServer | None = None
        if certificate is not None:
            self._artifact_server = HttpServer(
                Router(), host=listener.bind, port=listener.port, allowed_hosts=[listener.address], tls=certificate
            )

    async def run(self, stop: asyncio.Event) -> events.Finish:
        """Returns how the cluster ended. Raises what a part of this process raises."""
        await self._listen()
        core = self._make_core()
        self._shell: Shell[AppMasterEvent] = Shell(core, self._store, self._perform, self._clock)
        self._events = EventLog(self._recovered.generation + 1 << 32)
        DriverEndpoint(self._shell.ask, self._events, self._secret("driver-token")).add_routes(self._router)
        self._router.add("GET", "/health", lambda request: Response.json({"healthy": True}))
        self._router.add("GET", "/state", self._state)
        self._make_client()
        run = self._recovered.job_manager.run if self._recovered.job_manager else 0
        self._shell.post(events.Started(bool(run) and self._jvm.find(run), self._to_stop))
        announce("appmaster", self._own_url)
        self._subscription = asyncio.create_task(self._client.run())
        work = [asyncio.create_task(self._shell.run()), asyncio.create_task(self._await_stop(stop)), self._subscription]
        await self._until_finished(work)
        for task in work:
            task.cancel()
        await self._server.stop()
        if self._artifact_server is not None:
            await self._artifact_server.stop()
        finish = self._finish.result()
        # The framework is torn down: nothing is left for a later process to go on with.
        await self._store.commit([Delete(key) for key in self._store.load()])
        level = logging.ERROR if finish.status and not finish.said else logging.INFO
        log.log(level, "ends with status %d: %s", finish.status, finish.why)
        return finish

    def last_words(self) -> str:
        """What the JobManager said last of a failed program."""
        return self._jvm.last_words()

    async def _until_finished(self, work: Sequence[asyncio.Task[None]]) -> None:
        """Raises what a part of this process raises."""
        pending: set[asyncio.Future[Any]] = {self._finish, *work}
        while not self._finish.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()

    async def _listen(self) -> None:
        """Take the port; the one from before is waited for, because the driver knows no other."""
        deadline = self._clock.now() + PORT_PATIENCE
        while True:
            try:
                await self._server.start()
                break
            except OSError as error:
                again = error.errno == errno.EADDRINUSE and self._recovered.port and self._clock.now() < deadline
                if not again:
                    raise
                await asyncio.sleep(0.1)
        if self._server.port != self._recovered.port:
            await self._store.commit([records.put_port(self._server.port)])
        if self._artifact_server is not None:
            await self._artifact_server.start()

    async def _await_stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._shell.post(events.StopAsked())

    # making the parts

    def _secret(self, name: str) -> str:
        """An unguessable text that stays the same for as long as the sandbox."""
        path = self._private / name
        if not path.exists():
            conf.write_private(path, os.urandom(32).hex().encode())
        return path.read_text()

    @property
    def _own_url(self) -> str:
        """Under which processes of this machine reach this one."""
        host = "127.0.0.1" if self._artifact_server is not None else self._cluster.server.near
        return f"http://[{host}]:{self._server.port}" if ":" in host else f"http://{host}:{self._server.port}"

    def _make_core(self) -> ApplicationMaster:
        cluster = self._cluster
        options = assembly.task_manager_options(cluster, self._shipment)
        files = assembly.configuration(self._private / "tm-conf", options)
        server, router = self._server, self._router
        if self._artifact_server is not None:
            server, router = self._artifact_server, Router()
            server.handler = router
        artifacts = ArtifactServer(cluster.server.url(server.port), self._secret("artifacts-key"))
        artifacts.add_routes(router)
        uris = assembly.uris(artifacts, [*files, *self._shipment.artifacts], cluster)
        return ApplicationMaster(
            self._recovered,
            assembly.task_template(cluster, self._flink, self._shipment, uris),
            terms=assembly.terms(cluster),
            refuse_seconds=cluster.refuse_seconds,
            most_failures=cluster.most_failures,
            keep_workers=cluster.highly_available,
            show_web_ui=cluster.web_ui,
            jitter=random.random,
        )

    def _make_client(self) -> None:
        framework = self._cluster.framework
        if self._recovered.framework_id:
            framework = msgspec.structs.replace(framework, id=FrameworkID(self._recovered.framework_id))
        self._client = SchedulerClient(
            self._cluster.master,
            framework,
            self._on_master,
            http=credentials.client_for(self._cluster.given),
            clock=self._clock,
            suppressed_roles=[self._cluster.role],
        )

    def _jvm_environment(self, environment: dict[str, str]) -> dict[str, str]:
        return {
            **environment,
            **self._shipment.master_environment,
            "FLINK_CONF_DIR": str(self._private / "conf"),
            "FLINK_LIB_DIR": str(self._flink.home / "lib"),
            "FLINK_PLUGINS_DIR": str(self._flink.home / "plugins"),
            "FLINK_OPT_DIR": str(self._flink.home / "opt"),
        }

    # what happens

    def _on_master(self, event: mesos_client.ClientEvent) -> None:
        match event:
            case mesos_client.Connected(framework_id):
                log.info("subscribed as framework %s", framework_id)
                self._shell.post(events.MasterConnected(framework_id))
            case mesos_client.Disconnected(why):
                self._shell.post(events.MasterDisconnected(why))
            case mesos_client.Received(message):
                self._on_message(message)

    def _on_message(self, message: scheduler.Event) -> None:
        if message.offers is not None:
            self._shell.post(events.OffersReceived(message.offers.offers))
        elif message.rescind is not None:
            self._shell.post(events.OfferRescinded(message.rescind.offer_id.value))
        elif message.update is not None:
            status = message.update.status
            log.info("%s is %s %s", status.task_id.value, status.state, status.message or "")
            self._shell.post(events.StatusReceived(status))
        elif message.error is not None:
            log.error("the master says: %s", message.error.message)
            self._shell.post(events.MasterRefused(message.error.message))

    def _on_jvm_end(self, run: int, how: str, mistake: str = "") -> None:
        log.warning("the JobManager (run %d) has ended: %s", run, how)
        self._shell.post(events.JobManagerEnded(run, how, mistake))

    async def _state(self, request: Request) -> Response:
        return Response.json(await self._shell.ask(events.StateAsked))

    # what to do

    def _perform(self, effect: Effect) -> None:
        match effect:
            case events.SendCall(call):
                self._client.call(call)
            case events.TellDriver():
                self._events.append(effect)
            case events.ShowWebUi(url, suppressed):
                self._show_web_ui(url, suppressed)
            case events.ForgetFramework():
                self._client.framework = msgspec.structs.replace(self._client.framework, id=None)
            case events.LeaveMaster():
                self._subscription.cancel()
            case events.StartJobManager(run):
                self._try_job_manager(run)
            case events.SignalJobManager(run, kill):
                self._jvm.signal(run, kill=kill)
            case events.Finish():
                if not self._finish.done():
                    self._finish.set_result(effect)

    def _show_web_ui(self, url: str, suppressed: bool) -> None:
        framework = msgspec.structs.replace(self._client.framework, webui_url=url)
        self._client.framework = framework
        roles = [self._cluster.role] if suppressed else None
        update = scheduler.UpdateFramework(framework, suppressed_roles=roles)
        self._client.call(scheduler.Call("UPDATE_FRAMEWORK", update_framework=update))

    def _try_job_manager(self, run: int) -> None:
        """A failed start counts as an end; only a first run's taken port is the user's mistake."""
        try:
            self._start_job_manager(run)
        except (OSError, UserError) as error:
            if run == 1 and isinstance(error, UserError):
                raise
            self._on_jvm_end(run, f"could not be started: {error}")

    def _start_job_manager(self, run: int) -> None:
        cluster, directory, tmp = self._cluster, self._private / "conf", self._private / "tmp"
        for path in (directory, tmp):
            path.mkdir(mode=0o700, exist_ok=True)
        for name, port in (("jobmanager.rpc.port", cluster.rpc_port), ("rest.port", cluster.rest_port)):
            address.check_port_free(name, cluster.host, port)
        options = cluster.job_manager_options(
            driver_url=f"{self._own_url}/driver/v1",
            token_file=str(self._private / "driver-token"),
            tmp=str(tmp),
        )
        if self._job is not None:
            options |= self._job.job_manager_options(self._private)
        if run > 1:
            options["headrace.sql.warm-up"] = "false"  # it would take time from jobs that come back
        conf.write_private(directory / "config.yaml", conf.render(options))
        conf.write_private(directory / "log4j.properties", conf.LOG4J)
        argv = assembly.job_manager_command(
            cluster,
            self._flink,
            self._shipment,
            java=self._java,
            conf_dir=directory,
            log=self._sandbox / "jobmanager.log",
            main=self._job.main if self._job else jvm.JOB_MANAGER_MAIN,
        )
        log.info("starting the JobManager, run %d, Flink %s, %s", run, self._flink.version, self._java)
        self._jvm.start(run, argv)
