"""The demo's steps: session, TaskManagers, job, result; several go on side by side.

The job is submitted as soon as the JobManager answers: the TaskManagers start meanwhile.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

import headrace
from headrace.cli.api import CommandError, Server
from headrace.cli.commands.app import read_definition
from headrace.cli.demo import flights
from headrace.cli.demo.phases import Phase
from headrace.cli.demo.screen import Screen
from headrace.cli.flink_find import CLUSTER_LABEL
from headrace.cli.flink_job import fill_in, submit_sql, wait_until_running
from headrace.cli.flink_rest import FlinkCluster, driver_jar
from headrace.cli.tasks import TaskFailure
from headrace.cli.up.addresses import Addresses
from headrace.gateway.overview import AppState, MasterState
from headrace.kernel.http import HttpClient

_POLL = 0.1
_PATIENCE = 180.0
_EXAMPLE_MASTER = "127.0.0.1:5050"


class Outcome(NamedTuple):
    """What came out of it: the rows, the dashboard, what is wrong (nothing, if all is well)."""

    rows: list[flights.ResultRow]
    data: flights.Input
    dashboard: str
    wrong: list[str]


class _Task(msgspec.Struct, rename="camel"):
    id: str = ""


class _App(AppState, rename="camel"):
    last_task_failure: TaskFailure | None = None
    tasks: list[_Task] = msgspec.field(default_factory=list)


class _AppBody(msgspec.Struct):
    app: _App


class Steps:
    """One run of the demo on a cluster. Everything raises PhaseFailed."""

    def __init__(self, root: Path, screen: Screen, http: HttpClient) -> None:
        self._directory = root / "demo"
        self._screen = screen
        self._http = http
        examples = examples_directory()
        self._app = read_definition((examples / "flink-session.json").read_bytes(), "examples/flink-session.json")
        self._script = (examples / "flights.sql").read_text()
        self._results = self._directory / "results" / time.strftime("%Y%m%dT%H%M%S")
        self._answered = asyncio.Event()
        self._left_over: set[str] = set()
        """Tasks of a run before this one, whose end Marathon may only learn now."""
        driver_jar()

    async def run(self, addresses: Awaitable[Addresses]) -> Outcome:
        """All of it."""
        preparing = asyncio.create_task(asyncio.to_thread(self._prepare))
        with self._screen.phase(Phase.CLUSTER, "master, agent and Marathon start") as detail:
            where = await addresses
            detail.append(f"{len(where.agents)} agent{'s' if len(where.agents) > 1 else ''}")
        marathon = Server("Marathon", where.marathon, self._http)
        master = Server("The Mesos master", where.master, self._http)
        with self._screen.phase(Phase.SUBMITTED, "Marathon takes the app") as detail:
            await self._submit_session(marathon, urlsplit(where.master).netloc)
            detail.append(f"app {self._app_id}")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_health(marathon))
            job = group.create_task(self._run_job(master, preparing, group))
        return job.result()

    @property
    def _app_id(self) -> str:
        return "/" + str(self._app.get("id", "")).strip("/")

    def _prepare(self) -> flights.Input:
        shutil.rmtree(self._directory / "results", ignore_errors=True)
        self._results.mkdir(parents=True)
        return flights.prepare(self._directory)

    async def _submit_session(self, marathon: Server, master: str) -> None:
        command = str(self._app.get("cmd", "")).replace(_EXAMPLE_MASTER, master)
        # the next demo starts with no jobs
        app = {**self._app, "cmd": f"{command} -Dheadrace.appmaster.on-stop=destroy"}
        try:
            await marathon.send("POST", "/v2/apps", app)
        except CommandError as error:
            if "(409)" not in str(error):
                raise
            before = (await marathon.get(f"/v2/apps{quote(self._app_id)}?embed=app.tasks", _AppBody)).app
            self._left_over = {task.id for task in before.tasks}
            if before.last_task_failure is not None:
                self._left_over.add(before.last_task_failure.task_id)
            await marathon.send("PUT", f"/v2/apps{quote(self._app_id)}?force=true", app)

    async def _watch_health(self, marathon: Server) -> None:
        with self._screen.phase(Phase.HEALTHY, "its task starts"):
            checked = bool(self._app.get("healthChecks"))

            async def healthy() -> bool:
                path = f"/v2/apps{quote(self._app_id)}?embed=app.counts&embed=app.lastTaskFailure"
                app = (await marathon.get(path, _AppBody)).app
                _fail_with(app.last_task_failure, self._left_over)
                if app.tasks_running:
                    self._screen.waits(Phase.HEALTHY, "health check" if checked else "running")
                # Marathon may still count what a run before this one has left in its store
                return self._answered.is_set() and (app.tasks_healthy if checked else app.tasks_running) > 0

            await _until(healthy, "the session's app is not healthy")

    async def _run_job(
        self, master: Server, preparing: asyncio.Task[flights.Input], group: asyncio.TaskGroup
    ) -> Outcome:
        with self._screen.phase(Phase.JOB_MANAGER, "its REST API comes up"):
            cluster = await self._find_job_manager(master)
            self._answered.set()
        group.create_task(self._count_task_managers(cluster))
        with self._screen.phase(Phase.JOB_SUBMITTED, "input is unpacked") as detail:
            data = await preparing
            self._screen.waits(Phase.JOB_SUBMITTED, "Flink plans the SQL")
            job = await submit_sql(cluster, self._filled(data), quiet=True)
            detail.append(f"{data.rows:,} flights")
        with self._screen.phase(Phase.JOB_RUNNING, "tasks are placed"):
            await wait_until_running(cluster, job, lambda text: self._screen.waits(Phase.JOB_RUNNING, text))
        with self._screen.phase(Phase.FIRST_RESULT, "the first checkpoint") as detail:
            await self._until_rows(cluster, job, 1)
            detail.append(str(self._results))
        days = data.complete_days
        wanted = sum(map(len, days.values()))
        with self._screen.phase(Phase.CHECKED, "the rest of the year") as detail:
            rows = await self._until_rows(cluster, job, wanted)
            wrong = flights.differences(days, rows)
            detail.append(
                f"{len(rows):,} rows, {len(days)} days, {'as counted from the CSV' if not wrong else 'WRONG'}"
            )
        return Outcome(rows, data, cluster.server.url, wrong)

    def _filled(self, data: flights.Input) -> str:
        places = {
            "flights": data.flights,
            "airlines": data.airlines,
            "results": self._results,
            "checkpoints": self._directory / "checkpoints",
        }
        return fill_in(self._script, {name: str(place) for name, place in places.items()})

    async def _find_job_manager(self, master: Server) -> FlinkCluster:
        found: list[FlinkCluster] = []

        async def answers() -> bool:
            state = await master.get("/master/state", MasterState)
            for framework in state.frameworks:
                named = framework.label(CLUSTER_LABEL).strip("/") == self._app_id.strip("/")
                if framework.active and named and framework.webui_url:
                    cluster = FlinkCluster(self._app_id, framework.webui_url, self._http)
                    try:
                        await cluster.overview()
                    except CommandError:
                        continue
                    found.append(cluster)
            return bool(found)

        await _until(answers, "the JobManager does not answer")
        return found[0]

    async def _count_task_managers(self, cluster: FlinkCluster) -> None:
        wanted = initial_tasks(str(self._app.get("cmd", "")))
        with self._screen.phase(Phase.TASK_MANAGERS, f"0 of {wanted}") as detail:

            async def registered() -> bool:
                count = (await cluster.overview()).taskmanagers
                self._screen.waits(Phase.TASK_MANAGERS, f"{count} of {wanted}")
                return count >= wanted

            await _until(registered, "TaskManagers are missing")
            detail.append(f"{wanted} of {wanted}")

    async def _until_rows(self, cluster: FlinkCluster, job: str, count: int) -> list[flights.ResultRow]:
        rows: list[flights.ResultRow] = []

        async def enough() -> bool:
            rows[:] = flights.read_results(self._results)
            if len(rows) >= count:
                return True
            if (await cluster.job(job)).state in ("FAILED", "CANCELED"):
                raise CommandError(f"job {job} ended: {await cluster.failure(job)}")
            return False

        await _until(enough, f"there are fewer than {count} rows of results")
        return rows


def initial_tasks(command: str) -> int:
    """How many TaskManagers a session's command asks for; at least the one that any job needs."""
    match = re.search(r"-Dmesos\.initial-tasks=(\d+)", command)
    return max(1, int(match[1])) if match else 1


def examples_directory() -> Path:
    """The examples of the checkout. Raises CommandError."""
    directory = Path(headrace.__file__).parents[2] / "examples"
    if not (directory / "flink-session.json").is_file():
        raise CommandError(f"there is no {directory}/flink-session.json: the demo runs from a checkout of Headrace")
    return directory


def _fail_with(failure: TaskFailure | None, left_over: set[str]) -> None:
    """Raise if a task of this run has failed."""
    if failure is not None and failure.task_id not in left_over:
        raise CommandError(f"the session's task ended ({failure.state}): {failure.message}")


async def _until(condition: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not await condition():
        if time.monotonic() > deadline:
            raise CommandError(f"{otherwise} after {_PATIENCE:g} s")
        await asyncio.sleep(_POLL)
