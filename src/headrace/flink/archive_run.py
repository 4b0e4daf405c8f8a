"""A small Flink cluster of two JVMs on this machine that runs one SQL job, so that the JVMs note what they load.

There is no Mesos: the driver's requests are answered here, and a TaskManager is started just as its task would be,
in a directory with the files of a sandbox.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from headrace.flink import conf, high_availability, overlays
from headrace.flink.appmaster import assembly, events
from headrace.flink.appmaster.driver_endpoint import DriverEndpoint, EventLog
from headrace.flink.appmaster.events import AppMasterEvent, Attachment, TellDriver, Worker
from headrace.flink.appmaster.placement import Seat
from headrace.flink.appmaster.plan import Plan
from headrace.flink.appmaster.starter import JobManagerStarter
from headrace.flink.appmaster.tasks import TaskTemplate, task_info
from headrace.flink.archives import JAR_TIME
from headrace.flink.cluster import Cluster, resolve
from headrace.flink.distribution import DRIVER_JAR, Distribution
from headrace.flink.overlays.shipment import Artifact
from headrace.kernel.daemon import UserError
from headrace.kernel.http import HttpClient, HttpClientError, HttpServer, Router

LIMIT = 240.0
"""Seconds that all of it may take."""

_HOST = "127.0.0.1"
_OPTIONS = {
    "mesos.master": "127.0.0.1:5050",  # nobody asks it
    "jobmanager.rpc.address": _HOST,
    "taskmanager.numberOfTaskSlots": "2",
    "parallelism.default": "2",
    "mesos.resourcemanager.tasks.cpus": "1",
    "mesos.resourcemanager.tasks.mem": "1200",
    "headrace.sql.warm-up": "false",
}
_JOB = """
SET 'execution.checkpointing.interval' = '200 ms';
CREATE TABLE a (k STRING, n BIGINT) WITH (
  'connector' = 'datagen', 'rows-per-second' = '400', 'number-of-rows' = '600', 'fields.k.length' = '2');
CREATE TABLE b (k STRING, n BIGINT) WITH ('connector' = 'blackhole');
CREATE TABLE c (k STRING, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv');
EXECUTE STATEMENT SET BEGIN
  INSERT INTO b SELECT UPPER(k), SUM(n) FROM a WHERE n > 1 GROUP BY UPPER(k);
  INSERT INTO c SELECT k, n FROM a WHERE n > 1;
END;
"""
_SPOILERS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would change a JVM behind our back."""
    return {key: value for key, value in environment.items() if key not in _SPOILERS}


class TrainingRun:
    """One run, in the new directory ``work``; ``noting`` has arguments for the JVM of each role."""

    def __init__(
        self,
        work: Path,
        flink: Distribution,
        java: Path,
        environment: Mapping[str, str],
        noting: Mapping[str, Sequence[str]],
    ) -> None:
        work.mkdir()
        self.box = work / "sandbox"
        self._work = work
        self._environment = clean(environment)
        self._java = java
        arguments = {f"env.java.opts.{role}": shlex.join(given) for role, given in noting.items()}
        given = {**_OPTIONS, **arguments, "web.upload.dir": str(work)}
        self._cluster: Cluster = resolve(high_availability.with_defaults(given, {}, work), {}, "")
        shipment = overlays.collect(assembly.ground(self._cluster, flink, {}, ""))
        options = assembly.task_manager_options(self._cluster, shipment)
        (work / ".headrace").mkdir()
        self.artifacts: list[Artifact] = [
            *assembly.configuration(work / ".headrace" / "tm-conf", options),
            *shipment.artifacts,
        ]
        template = assembly.task_template(self._cluster, flink, shipment, [])
        self._template: TaskTemplate = msgspec.structs.replace(template, java_home=str(java.resolve().parent.parent))
        self._log = EventLog(0)
        self._web = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        plan = Plan(self._cluster, flink, java, shipment)
        self._job_manager = JobManagerStarter(plan, work, self._environment, self._on_end)
        self._task_managers: list[subprocess.Popen[bytes]] = []
        self._http = HttpClient()

    async def run(self) -> None:
        """Returns when the job has finished and both JVMs have ended. Raises UserError, OSError."""
        await asyncio.to_thread(self._fill_sandbox)
        token = os.urandom(16).hex()
        conf.write_private(self._work / ".headrace" / "driver-token", token.encode())
        router = Router()
        DriverEndpoint(self._answer, self._log, token).add_routes(router)
        server = HttpServer(router, host=_HOST, allowed_hosts=[_HOST])
        await server.start()
        try:
            async with asyncio.timeout(LIMIT):
                self._job_manager.start(1, f"http://{_HOST}:{server.port}/driver/v1")
                await self._run_job(await self._web)
                await self._end()
        except (TimeoutError, HttpClientError) as error:
            raise UserError(
                f"the Flink that was to tell its classes did not run: {error}\n{self.last_lines()}"
            ) from error
        finally:
            self._job_manager.signal(1, kill=True)
            for process in self._task_managers:
                process.kill()
                process.wait()
            self._http.close()
            await server.stop()

    def _fill_sandbox(self) -> None:
        for artifact in self.artifacts:
            target = self.box / artifact.target
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifact.source, target)
            os.utime(target, (JAR_TIME, JAR_TIME))
        jars = self._work / "flink-web-upload"
        jars.mkdir()
        shutil.copyfile(DRIVER_JAR, jars / DRIVER_JAR.name)

    # what the driver is told

    async def _answer(self, make: Callable[[int], AppMasterEvent]) -> Any:
        match make(0):
            case events.DriverAttached(_, driver):
                if not self._web.done():
                    self._web.set_result(driver.web)
                return Attachment([], 0)
            case events.WorkerRequested(_, worker):
                self._start(worker)
        return None

    def _start(self, worker: Worker) -> None:
        command = task_info(self._template, Seat(worker, "agent", _HOST, [0, 0])).command
        assert command is not None and command.environment is not None  # noqa: S101, PT018 - we made it
        variables = {variable.name: variable.value or "" for variable in command.environment.variables or ()}
        with (self._work / "taskmanager.out").open("ab") as out:
            process = subprocess.Popen(  # noqa: S603 - our own script
                ["/bin/sh", *(command.arguments or [])[1:]],
                cwd=self.box,
                env={**self._environment, **variables, "MESOS_SANDBOX": str(self.box)},
                stdout=out,
                stderr=out,
            )
        self._task_managers.append(process)
        self._log.append(TellDriver(len(self._task_managers), "started", worker.id, ""))

    def _on_end(self, _run: int, how: str, mistake: str) -> None:
        self._ended.set()
        if not self._web.done():
            self._web.set_exception(UserError(f"the JobManager has ended: {mistake or how}\n{self.last_lines()}"))

    # the job

    async def _run_job(self, web: str) -> None:
        script = _JOB.format(path=(self._work / "written").as_uri())
        body = {
            "entryClass": "org.headrace.flink.SqlRunner",
            "programArgsList": ["--script-base64", base64.b64encode(script.encode()).decode()],
        }
        await self._wait_until_up(web)
        job = (await self._call("POST", f"{web}/jars/{DRIVER_JAR.name}/run", body))["jobid"]
        while (state := (await self._call("GET", f"{web}/jobs/{job}"))["state"]) != "FINISHED":
            if state in ("FAILED", "CANCELED"):
                raise UserError(f"the job that was to load Flink's classes is {state}\n{self.last_lines()}")
            await self._call("GET", f"{web}/taskmanagers")
            await asyncio.sleep(0.2)
        await self._call("GET", f"{web}/jobs/overview")
        await self._call("DELETE", f"{web}/cluster")

    async def _wait_until_up(self, web: str) -> None:
        while True:
            with suppress(HttpClientError):
                if (await self._http.request("GET", f"{web}/overview")).status == 200:
                    return
            await asyncio.sleep(0.1)

    async def _call(self, method: str, url: str, body: object = None) -> Any:
        content = b"" if body is None else msgspec.json.encode(body)
        answer = await self._http.request(
            method, url, headers={"Content-Type": "application/json"}, body=content, timeout=LIMIT
        )
        if answer.status >= 300:
            raise HttpClientError(f"{method} {url}: status {answer.status}: {answer.message}")
        return msgspec.json.decode(answer.body or b"null")

    async def _end(self) -> None:
        """The JobManager ends by itself; TaskManagers are asked to."""
        for process in self._task_managers:
            process.terminate()
        await self._ended.wait()
        await asyncio.gather(*(asyncio.to_thread(process.wait) for process in self._task_managers))

    def last_lines(self) -> str:
        """What the JVMs said last."""
        lines = []
        for path in (*self._work.glob("jobmanager.*"), *self._work.glob("taskmanager.*"), *self.box.glob("*.log")):
            if path.suffix in (".log", ".err", ".out"):
                lines += path.read_text(errors="replace").splitlines()[-8:]
        return "\n".join(lines)
