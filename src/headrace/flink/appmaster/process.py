"""The shell around the application master's core: carries out its effects and brings it what happens."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from headrace.flink import conf
from headrace.flink.appmaster import assembly, credentials, events, records
from headrace.flink.appmaster.artifacts import ArtifactServer
from headrace.flink.appmaster.core import JOB_MANAGER, ApplicationMaster
from headrace.flink.appmaster.doors import Doors
from headrace.flink.appmaster.driver_endpoint import DriverEndpoint, EventLog
from headrace.flink.appmaster.events import AppMasterEvent
from headrace.flink.appmaster.plan import Plan
from headrace.flink.appmaster.starter import JobManagerStarter
from headrace.flink.appmaster.supervision import Supervision
from headrace.kernel.clock import SystemClock
from headrace.kernel.core import Delete, Effect
from headrace.kernel.daemon import announce
from headrace.kernel.http import Request, Response
from headrace.kernel.log import StoryLog
from headrace.kernel.shell import Shell
from headrace.kernel.store import Store, Write
from headrace.mesos import client as mesos_client
from headrace.mesos.client import SchedulerClient
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import FrameworkID

log = logging.getLogger(__name__)

STOP_VARIABLE = "HEADRACE_APPMASTER_STOP"
"""Set by the script if it was asked to stop while there was no application master to do it."""

Farewell = Callable[[events.Finish, str], Awaitable[Sequence[Write]]]
"""Told how the cluster ends, and the JobManager's last words: notes what others must know and returns what the store
is to hold of it. Awaited before anything is removed."""


async def _no_farewell(finish: events.Finish, words: str) -> Sequence[Write]:
    return ()


def begins_end(effect: Effect) -> bool:
    """Whether the end of JobManager or framework that follows is meant."""
    teardown = isinstance(effect, events.SendCall) and effect.call.type == "TEARDOWN"
    return teardown or isinstance(effect, events.SignalJobManager)


def level_of_error(error: str, *, ends: bool) -> int:
    """How bad what the master says is: that is how it confirms a teardown."""
    return logging.INFO if ends and "has been removed" in error else logging.ERROR


class Process:
    """One cluster, from the recovery of its store to its end."""

    def __init__(
        self,
        plan: Plan,
        sandbox: Path,
        environment: Mapping[str, str],
        store: Store,
        supervision: Supervision,
        *,
        port: int | None = None,
        on_failed_over: Callable[[], None] = lambda: None,
        farewell: Farewell = _no_farewell,
    ) -> None:
        """``port``: the one to listen on, whatever the store says. ``on_failed_over``: see ``leadership``."""
        self._plan = plan
        self._supervision = supervision
        self._cluster = plan.cluster
        self._private = sandbox / ".headrace"
        self._store = store
        self._to_stop = bool(environment.get(STOP_VARIABLE))
        self._task_id = environment.get("MESOS_TASK_ID", "")
        self._clock = SystemClock()
        self._recovered = records.recover(store.load())
        if not (self._private / "jobmanager").exists():
            # A task before this one has left the store: nobody looks for its port any more.
            self._recovered = msgspec.structs.replace(self._recovered, port=0)
        if port is not None:
            self._recovered = msgspec.structs.replace(self._recovered, port=port)
        self._on_failed_over = on_failed_over
        self._farewell = farewell
        self._finish: asyncio.Future[events.Finish] = asyncio.get_running_loop().create_future()
        self._ends = False
        self._jvm = JobManagerStarter(plan, sandbox, environment, self._on_jvm_end)
        self._doors = Doors(plan.cluster.server, self._recovered.port)

    async def run(self, stop: asyncio.Event) -> events.Finish:
        """Returns how the cluster ended. Raises what a part of this process raises."""
        await self._open_doors()
        core = self._make_core()
        core.stories.listener = StoryLog(log, lambda subject, what: subject == JOB_MANAGER)
        self._shell: Shell[AppMasterEvent] = Shell(core, self._store, self._perform, self._clock)
        self._events = EventLog(self._recovered.generation + 1 << 32)
        DriverEndpoint(self._shell.ask, self._events, self._secret("driver-token")).add_routes(self._doors.router)
        self._doors.router.add("GET", "/health", lambda request: Response.json({"healthy": True}))
        self._doors.router.add("GET", "/state", self._state)
        self._make_client()
        run = self._recovered.job_manager.run if self._recovered.job_manager else 0
        self._shell.post(events.Started(bool(run) and self._jvm.find(run), self._to_stop))
        announce("appmaster", self._doors.own_url)
        self._subscription = asyncio.create_task(self._client.run())
        work = [asyncio.create_task(self._shell.run()), asyncio.create_task(self._await_stop(stop)), self._subscription]
        await self._until_finished(work)
        for task in work:
            task.cancel()
        await self._doors.close()
        finish = self._finish.result()
        if finish.left:
            self._say_what_is_left(finish.left)
        writes = await self._farewell(finish, self._jvm.last_words())
        await (self._leave(finish, writes) if finish.kept else self._forget(writes))
        level = logging.ERROR if finish.status and not finish.said else logging.INFO
        log.log(level, "ends with status %d: %s", finish.status, finish.why)
        return finish

    async def _until_finished(self, work: Sequence[asyncio.Task[None]]) -> None:
        """Raises what a part of this process raises."""
        pending: set[asyncio.Future[Any]] = {self._finish, *work}
        while not self._finish.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()

    async def _open_doors(self) -> None:
        await self._doors.open()
        if self._doors.port != self._recovered.port:
            await self._store.commit([records.put_port(self._doors.port)])

    async def _await_stop(self, stop: asyncio.Event) -> None:
        if not self._to_stop:
            await stop.wait()
            self._shell.post(events.StopAsked())
        decision = await self._supervision.decide(self._client.leader)
        self._shell.post(events.StopDecided(decision.stop, decision.why))

    async def _leave(self, finish: events.Finish, writes: Sequence[Write]) -> None:
        """The next process goes on with it; there is no JobManager that looks for us at this port.

        Of a cluster that has ended for good only the framework and its workers are left, for want of a master.
        """
        if finish.status or finish.gone:
            await self._store.commit([*records.leave_framework(self._store.load()), *writes])
            shutil.rmtree(self._private / "jobmanager", ignore_errors=True)
        else:
            await self._store.commit([Delete(records.PORT)])

    def _say_what_is_left(self, framework_id: str) -> None:
        log.error(
            "the master has not confirmed in time that framework %s is torn down: if it is not, TaskManagers end when "
            "their taskmanager.registration.timeout is over, and the master removes the framework %g s after it has "
            "noticed that we are gone, or after its own next start (mesos.failover-timeout); a next start of this "
            "cluster takes the framework over",
            framework_id,
            self._cluster.framework.failover_timeout or 0.0,
        )

    async def _forget(self, writes: Sequence[Write]) -> None:
        """The framework is torn down, no JobManager lives: nothing is left for a later process to go on with."""
        await self._store.commit([*(Delete(key) for key in self._store.load()), *writes])
        shutil.rmtree(self._private / "jobmanager", ignore_errors=True)

    # making the parts

    def _secret(self, name: str) -> str:
        """An unguessable text that stays the same for as long as the sandbox."""
        path = self._private / name
        if not path.exists():
            conf.write_private(path, os.urandom(32).hex().encode())
        return path.read_text()

    def _make_core(self) -> ApplicationMaster:
        cluster, shipment = self._cluster, self._plan.shipment
        options = assembly.task_manager_options(cluster, shipment)
        files = assembly.configuration(self._private / "tm-conf", options)
        artifacts = ArtifactServer(self._doors.artifacts_url, self._secret("artifacts-key"))
        artifacts.add_routes(self._doors.artifacts)
        shipped = [*files, *shipment.artifacts]
        archive = self._plan.archives.of_task_managers(shipped)
        if archive is not None:
            shipped += assembly.archive_artifacts(archive, self._private)
        elif self._plan.archives.directory is not None:
            log.info("no archive of classes fits this Flink and Java; 'headrace flink archive' makes starts faster")
        uris = assembly.uris(artifacts, shipped, cluster)
        return ApplicationMaster(
            self._recovered,
            assembly.task_template(cluster, self._plan.flink, shipment, uris, archive),
            terms=assembly.terms(cluster),
            refuse_seconds=cluster.refuse_seconds,
            most_failures=cluster.most_failures,
            keep_workers=cluster.highly_available,
            show_web_ui=cluster.web_ui,
            hurried=bool(self._task_id),
            jitter=random.random,
        )

    def _make_client(self) -> None:
        framework = assembly.reachable(self._cluster.framework, self._doors.state_url, self._task_id)
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
            log.log(
                level_of_error(message.error.message, ends=self._ends), "the master says: %s", message.error.message
            )
            if "failed over" in message.error.message.lower():
                self._on_failed_over()
            self._shell.post(events.MasterRefused(message.error.message))

    def _on_jvm_end(self, run: int, how: str, mistake: str = "") -> None:
        log.log(logging.INFO if self._ends else logging.WARNING, "the JobManager (run %d) has ended: %s", run, how)
        self._shell.post(events.JobManagerEnded(run, how, mistake))

    async def _state(self, request: Request) -> Response:
        return Response.json(await self._shell.ask(events.StateAsked))

    # what to do

    def _perform(self, effect: Effect) -> None:
        self._ends = self._ends or begins_end(effect)
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
                self._jvm.start(run, f"{self._doors.own_url}/driver/v1")
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
