"""Runs a job in a cluster of its own: starts the app, follows the job to its end, and destroys the app."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from headrace.cli.api import CommandError, Server
from headrace.cli.commands.task import find_task
from headrace.cli.flink_apps import Decision, start_waits
from headrace.cli.flink_find import APPMASTER_LABEL, find_framework
from headrace.cli.flink_rest import FlinkCluster, Job
from headrace.cli.flink_upload import check_jar
from headrace.cli.flink_waiting import Explainer, waiting_for
from headrace.cli.logs import read_end
from headrace.flink.job_result import JobResult
from headrace.gateway.overview import FrameworkState, MasterState
from headrace.kernel.http import HttpClient

_POLL = 0.3
_WRITTEN = 2000
_RESULT = 16_384


class _Task(msgspec.Struct):
    id: str


class _Failure(msgspec.Struct, rename="camel"):
    task_id: str = ""
    message: str = ""


class _App(msgspec.Struct, rename="camel"):
    tasks: list[_Task] = []
    last_task_failure: _Failure | None = None
    why: list[Decision] = []


class _AppBody(msgspec.Struct):
    app: _App


def jar_options(jar: Path, entry_class: str | None, arguments: Sequence[str]) -> tuple[str, ...]:
    """Options of a job cluster for a jar or Python program of this machine. Raises CommandError."""
    given = [f"headrace.job.arguments={shlex.join(arguments)}"] if arguments else []
    if jar.suffix == ".py":
        if entry_class:
            raise CommandError(f"{jar} is a Python program, which has no --class")
        if not jar.is_file():
            raise CommandError(f"there is no file {jar}")
        return (f"headrace.job.python={jar.absolute()}", *given)
    check_jar(jar)
    named = [f"headrace.job.class={entry_class}"] if entry_class else []
    return (f"headrace.job.jar={jar.absolute()}", *named, *given)


class JobCluster:
    """One job cluster, by its app."""

    def __init__(self, app_id: str, marathon: Server, master: Server, http: HttpClient) -> None:
        self._id = app_id
        self._path = f"/v2/apps{quote(app_id)}"
        self._marathon = marathon
        self._master = master
        self._http = http
        self._explainers: dict[str, Explainer] = {}

    async def start(self, definition: dict[str, Any]) -> None:
        """Have Marathon run it. Raises CommandError."""
        await self._marathon.send("POST", "/v2/apps", definition)

    async def destroy(self) -> None:
        """Destroy the app, and with it the record that its job has run. Raises CommandError."""
        await self._marathon.call("DELETE", self._path, also={404})

    async def follow(self, tell: Callable[[str], None]) -> JobResult:
        """Wait for the job's end; ``tell`` hears of progress. Raises CommandError if there is no job."""
        told, started = "", False
        while True:
            app = (
                await self._marathon.get(
                    f"{self._path}?embed=app.tasks&embed=app.lastTaskFailure&embed=app.why", _AppBody
                )
            ).app
            state = await self._master.get("/master/state", MasterState)
            for task in app.tasks:
                if result := await self._result(state, task.id):
                    return result
            if app.last_task_failure is not None:
                raise CommandError(await self._why(state, app.last_task_failure))
            going_on = await self._progress(state)
            started = started or bool(going_on)
            now = going_on or ("" if started else start_waits(app.why))
            if now and now != told:
                tell(now)
                told = now
            await asyncio.sleep(_POLL)

    async def _result(self, state: MasterState, task: str) -> JobResult | None:
        try:
            found, agent = find_task(state, task)
            server = Server(f"The agent {agent.hostname}", agent.url, self._http)
            text = await read_end(server, f"{found.sandbox}/job-result.json", _RESULT)
            return msgspec.json.decode(text, type=JobResult)
        except (CommandError, msgspec.DecodeError):
            return None  # not there yet

    async def _why(self, state: MasterState, failure: _Failure) -> str:
        found, agent = find_task(state, failure.task_id)
        server = Server(f"The agent {agent.hostname}", agent.url, self._http)
        written = (await read_end(server, f"{found.sandbox}/stderr", _WRITTEN)).strip()
        return f"the job cluster {self._id} has ended: {failure.message}; the end of what it wrote:\n{written}"

    async def _progress(self, state: MasterState) -> str:
        try:
            cluster_id, framework = find_framework(state, self._id)
            url = framework.webui_url
            cluster = FlinkCluster(cluster_id, url, self._http)
            jobs = await cluster.jobs()
            if not jobs:
                return f"dashboard: {url}"
            job = await cluster.job(jobs[0].jid)
            if job.state != "RUNNING" or not job.all_running:
                return await self._waits(job, cluster, state, framework)
            return f"job {jobs[0].jid} runs; dashboard: {url}"
        except CommandError:
            return ""  # it starts, or it is just ending

    async def _waits(self, job: Job, cluster: FlinkCluster, state: MasterState, framework: FrameworkState) -> str:
        url = framework.label(APPMASTER_LABEL)
        explainer = self._explainers.get(url)
        if explainer is None:
            appmaster = Server("The application master", url, self._http) if url else None
            hosts = {agent.id: agent.hostname for agent in state.slaves}
            explainer = self._explainers[url] = Explainer(appmaster, self._master, framework.id, hosts)
        said = await explainer.state() if job.unplaced else None
        return waiting_for(job, await cluster.overview(), said, await explainer.why(said))
