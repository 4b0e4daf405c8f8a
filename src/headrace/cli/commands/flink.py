"""``headrace flink …``: clusters and jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, TypeVar
from urllib.parse import quote

import click
import msgspec

from headrace.cli import progress
from headrace.cli.api import CommandError, Server
from headrace.cli.commands.app import deployment_of, wait_for_deployment
from headrace.cli.commands.flink_archive import archive
from headrace.cli.commands.flink_jobs import JOB_COMMANDS
from headrace.cli.flink_apps import (
    Decision,
    check_version,
    cluster_sizes,
    create,
    id_option,
    job_app,
    session_app,
    start_waits,
)
from headrace.cli.flink_job import fill_in, pairs
from headrace.cli.flink_job_cluster import JobCluster, NoJobError, jar_options
from headrace.cli.flink_locate import locate
from headrace.cli.options import given_master_option, leading_server, marathon_option, marathon_server, run
from headrace.cli.tasks import MISTAKE, TaskFailure, last_words
from headrace.flink.job_result import JobResult
from headrace.gateway.overview import MasterState
from headrace.kernel.http import HttpClient

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


class _StartingApp(msgspec.Struct, rename="camel"):
    last_task_failure: TaskFailure | None = None
    why: list[Decision] = []


class _StartingBody(msgspec.Struct):
    app: _StartingApp


@click.group()
def flink() -> None:
    """Flink clusters and jobs."""


for _command in (*JOB_COMMANDS, archive):
    flink.add_command(_command)


@flink.command()
@id_option("/flink/session")
@click.option("--initial-tasks", type=click.IntRange(0), default=0, show_default=True, help="TaskManagers kept ready.")
@cluster_sizes
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when the session is healthy.")
@click.option("--timeout", type=float, default=120.0, show_default=True, help="Seconds to wait.")
@marathon_option
@given_master_option
def session(
    app_id: str, settings: tuple[str, ...], wait: bool, timeout: float, marathon: str, master: str, **sizes: Any
) -> None:
    """Start a Flink session cluster as an app of Marathon."""
    definition = session_app(app_id, master, settings, **sizes)
    check_version(sizes["version"], marathon, settings)

    async def work(http: HttpClient) -> None:
        server = marathon_server(marathon, http)
        leader = await leading_server(master, http)
        answer = await create(server, definition)
        deployment = deployment_of(answer)
        if wait and deployment:
            click.echo(f"session {app_id} is starting …")

            with progress.waiting() as tell:
                start = _Start(server, leader, http, app_id)

                async def check() -> None:
                    tell(await start.waits())

                await wait_for_deployment(server, deployment, timeout, check)
            url = await _wait_for_dashboard(leader, app_id, http)
            click.echo(f"session {app_id} is up: {url}")
        else:
            click.echo(f"session {app_id} is being started")

    run(work)


class _Start:
    """Tells how a session's start goes. What passes is told once: Marathon goes on trying."""

    def __init__(self, marathon: Server, master: Server, http: HttpClient, app_id: str) -> None:
        self._marathon, self._master, self._http, self._id = marathon, master, http, app_id
        self._told = ""

    async def waits(self) -> str:
        """What it waits for. Raises CommandError with the end of what its task wrote, if that names a mistake."""
        path = f"/v2/apps/{quote(self._id.strip('/'))}?embed=app.lastTaskFailure&embed=app.why"
        app = (await self._marathon.get(path, _StartingBody)).app
        failure = app.last_task_failure
        if failure is not None and failure.task_id != self._told:
            self._told = failure.task_id
            await self._tell(failure)
        return start_waits(app.why)

    async def _tell(self, failure: TaskFailure) -> None:
        why = await last_words(await self._master.get("/master/state", MasterState), failure, self._http)
        ends = f"`headrace app destroy {self._id}` ends that"
        if failure.exit_status == MISTAKE:
            raise CommandError(f"session {self._id} does not start: {why}\nMarathon goes on trying; {ends}")
        click.echo(f"session {self._id} did not start: {why}\nMarathon tries again; {ends}", err=True)


async def _wait_for_dashboard(master: Server, app_id: str, http: HttpClient) -> str:
    """The cluster's REST URL, which reaches the master a moment after the session is healthy."""
    app_id = "/" + app_id.strip("/")
    for _ in range(300):
        try:
            return await _dashboard(master, app_id, http)
        except CommandError:
            await asyncio.sleep(0.1)
    return await _dashboard(master, app_id, http)


async def _dashboard(master: Server, app_id: str, http: HttpClient) -> str:
    return (await locate(await master.get("/master/state", MasterState), app_id, http))[1].webui_url


@flink.command("job", context_settings={"ignore_unknown_options": True})
@click.argument("jar", type=click.Path(path_type=Path), required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS]...")
@click.option("--sql", "script", type=click.File("r", encoding="utf-8"), help="A SQL script, instead of JAR.")
@click.option("--graph", type=click.Path(path_type=Path), help="A file with a serialized job graph, instead of JAR.")
@click.option("--class", "entry_class", metavar="NAME", help="Main class, if the jar's manifest names none.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Value of ${NAME} in the script.")
@id_option("/flink/job")
@cluster_sizes
@click.option("--detach", is_flag=True, help="Return as soon as the app is made; it stays until it is destroyed.")
@click.option("--keep", is_flag=True, help="Do not destroy the app at the job's end.")
@marathon_option
@given_master_option
def run_job_cluster(
    jar: Path | None,
    arguments: tuple[str, ...],
    script: TextIO | None,
    graph: Path | None,
    entry_class: str | None,
    values: tuple[str, ...],
    app_id: str,
    settings: tuple[str, ...],
    detach: bool,
    keep: bool,
    marathon: str,
    master: str,
    **sizes: Any,
) -> None:
    """Run one job in a cluster of its own, wait for its end, and destroy the cluster.

    JAR may also be a PyFlink program, FILE.py.

    Files are read where the app runs, so they must be there under the same name. Exit status 0 if the job has
    finished, 1 if it has failed or was cancelled.
    """
    if sum(given is not None for given in (jar, script, graph)) != 1:
        raise click.UsageError("Give one of JAR, --sql and --graph.")
    env = {}
    if jar is not None:
        job = jar_options(jar, entry_class, arguments)
    elif graph is not None:
        job = (f"internal.jobgraph-path={graph.absolute()}",)
    else:
        job = ("headrace.job.sql=-",)
        env["HEADRACE_JOB_SQL"] = fill_in(script.read() if script is not None else "", pairs(values))
    definition = job_app(app_id, master, job, settings, env, **sizes)
    check_version(sizes["version"], marathon, settings)

    async def work(http: HttpClient) -> None:
        cluster = JobCluster(app_id, marathon_server(marathon, http), lambda: leading_server(master, http), http)
        await cluster.start(definition)
        click.echo(f"job cluster {app_id} is starting …")
        if detach:
            return
        result = await _to_its_end(cluster, keep)
        if result.state != "FINISHED":
            raise CommandError(str(result))
        click.echo(str(result))

    run(work)


async def _to_its_end(cluster: JobCluster, keep: bool) -> JobResult:
    """Follow the job, and destroy the app when the job has ended, or was given up by Ctrl-C.

    Raises CommandError; the app stays if it is not known how the job has ended.
    """
    try:
        with progress.waiting() as tell:
            result = await cluster.follow(tell)
    except NoJobError:
        await _remove(cluster, keep)
        raise
    except CommandError as error:
        raise CommandError(
            f"{error}\nthe app {cluster.id} stays; `headrace app destroy {cluster.id}` ends it"
        ) from None
    except asyncio.CancelledError:
        click.echo(f"interrupted: {f'{cluster.id} goes on' if keep else f'destroying {cluster.id} …'}", err=True)
        await _remove(cluster, keep)
        raise
    await _remove(cluster, keep)
    return result


async def _remove(cluster: JobCluster, keep: bool) -> None:
    """Destroy the app unless it is to be kept; how the job has ended is told in any case."""
    if keep:
        return
    try:
        await cluster.destroy()
    except CommandError as error:
        click.echo(f"{cluster.id} was not destroyed: {error}; `headrace app destroy {cluster.id}` does it", err=True)
