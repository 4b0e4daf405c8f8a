"""Runs a job in a cluster of its own: starts the app, follows the job to its end, and destroys the app.

What passes is waited out: servers that are away or restart, tasks that Marathon starts again. Destroying the app
removes the job's files, so whoever follows must destroy it only when the job has ended or there is none (NoJobError).
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from headrace.cli.api import AnswerError, CommandError, Server, passes
from headrace.cli.flink_apps import Decision, create, start_waits
from headrace.cli.flink_find import APPMASTER_LABEL
from headrace.cli.flink_locate import locate
from headrace.cli.flink_rest import FlinkCluster, Job
from headrace.cli.flink_upload import check_jar
from headrace.cli.flink_waiting import Explainer, explainer_of, waiting_for
from headrace.cli.logs import read_end
from headrace.cli.tasks import MISTAKE, TaskFailure, last_words, sandbox_of
from headrace.flink.job_result import JobResult
from headrace.gateway.overview import FrameworkState, MasterState
from headrace.kernel.http import HttpClient

T = TypeVar("T")

_POLL = 0.3
_PATIENCE, _PATIENCE_AT_END = 600.0, 60.0
"""Seconds to go on asking servers that are away: while the job runs, and to destroy the app."""
_STARTS = 3
"""How many tasks may end before the job is seen."""
_RESULT = 16_384


class NoJobError(CommandError):
    """There is no job, and there will be none: its app can go."""


class _Task(msgspec.Struct):
    id: str


class _App(msgspec.Struct, rename="camel"):
    tasks: list[_Task] = []
    last_task_failure: TaskFailure | None = None
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
    """One job cluster, by its app. ``find_master`` is asked again after each trouble: another may lead then."""

    def __init__(
        self, app_id: str, marathon: Server, find_master: Callable[[], Awaitable[Server]], http: HttpClient
    ) -> None:
        self.id = "/" + app_id.strip("/")
        self._path = f"/v2/apps{quote(self.id)}"
        self._marathon = marathon
        self._find_master = find_master
        self._master: Server | None = None
        self._http = http
        self._explainers: dict[str, Explainer] = {}
        self._ended: list[str] = []
        """Tasks that have failed."""
        self._dashboard_seen = self._job_seen = False

    async def start(self, definition: dict[str, Any]) -> None:
        """Have Marathon run it. Raises CommandError."""
        self._master = await self._find_master()
        await create(self._marathon, definition)

    async def destroy(self) -> None:
        """Destroy the app, and with it the job's files and the record that it has run. Raises CommandError."""

        async def delete() -> bool:
            await self._marathon.call("DELETE", f"{self._path}?force=true", also={404})
            return True

        await self._until(delete, lambda text: None, _PATIENCE_AT_END)

    async def follow(self, tell: Callable[[str], None]) -> JobResult:
        """Wait for the job's end; ``tell`` hears of progress and of trouble.

        Raises NoJobError, or CommandError if the job can't be followed any more, which says nothing of the job.
        """
        return await self._until(lambda: self._look(tell), tell, _PATIENCE)

    async def _until(self, ask: Callable[[], Awaitable[T | None]], tell: Callable[[str], None], patience: float) -> T:
        """What ``ask`` finds, which is asked until it does. Raises CommandError."""
        loop = asyncio.get_running_loop()
        well = loop.time()
        while True:
            try:
                found = await ask()
                if found is not None:
                    return found
                well = loop.time()
            except CommandError as error:
                if not passes(error) or loop.time() - well > patience:
                    raise
                self._master = None
                tell(f"{error}; asking again")
            await asyncio.sleep(_POLL)

    async def _look(self, tell: Callable[[str], None]) -> JobResult | None:
        app = await self._app()
        if self._master is None:
            self._master = await self._find_master()
        state = await self._master.get("/master/state", MasterState)
        for task in app.tasks:
            if result := await self._result(state, task.id):
                return result
        failure = app.last_task_failure
        if failure is not None and failure.task_id not in self._ended:
            self._ended.append(failure.task_id)
            if result := await self._result(state, failure.task_id):
                return result
            await self._failed(state, failure, tell)
            return None
        if going_on := await self._progress(state, self._master):
            self._dashboard_seen = True
            tell(going_on)
        elif not self._dashboard_seen:
            tell(start_waits(app.why))
        return None

    async def _app(self) -> _App:
        embeds = "embed=app.tasks&embed=app.lastTaskFailure&embed=app.why"
        try:
            return (await self._marathon.get(f"{self._path}?{embeds}", _AppBody)).app
        except AnswerError as error:
            if error.code == 404:
                raise NoJobError(f"the job cluster {self.id} was destroyed before its job had ended") from None
            raise

    async def _result(self, state: MasterState, task: str) -> JobResult | None:
        try:
            agent, sandbox = sandbox_of(state, task, self._http)
            return msgspec.json.decode(await read_end(agent, f"{sandbox}/job-result.json", _RESULT), type=JobResult)
        except (CommandError, msgspec.DecodeError):
            return None  # not there yet

    async def _failed(self, state: MasterState, failure: TaskFailure, tell: Callable[[str], None]) -> None:
        """A task has ended without a result. Marathon starts another, which goes on with the job if there is one."""
        again = len(self._ended)
        if not self._job_seen and (again >= _STARTS or (again == 1 and failure.exit_status == MISTAKE)):
            why = f"the job cluster {self.id} has ended: {await last_words(state, failure, self._http)}"
            if again == 1:
                raise NoJobError(why)
            raise CommandError(f"{why}\nit has ended {again} times before there was a job, and Marathon goes on trying")
        tell(f"task {failure.task_id} of {self.id} has ended: {failure.message}; Marathon starts it again")

    async def _progress(self, state: MasterState, master: Server) -> str:
        try:
            cluster_id, framework = await locate(state, self.id, self._http)
            url = framework.webui_url
            cluster = FlinkCluster(cluster_id, url, self._http)
            jobs = await cluster.jobs()
            if not jobs:
                return f"dashboard: {url}"
            self._job_seen = True
            job = await cluster.job(jobs[0].jid)
            if job.state != "RUNNING" or not job.all_running:
                return await self._waits(job, cluster, state, framework, master)
            return f"job {jobs[0].jid} runs; dashboard: {url}"
        except CommandError:
            return ""  # it starts, or it is just ending

    async def _waits(
        self, job: Job, cluster: FlinkCluster, state: MasterState, framework: FrameworkState, master: Server
    ) -> str:
        url = framework.label(APPMASTER_LABEL)
        explainer = self._explainers.get(url)
        if explainer is None:
            explainer = self._explainers[url] = explainer_of(framework, master, state, self._http)
        said = await explainer.state() if job.unplaced else None
        return waiting_for(job, await cluster.overview(), said, await explainer.why(said))
