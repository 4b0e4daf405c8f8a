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
from headrace.cli.commands.task import find_task
from headrace.cli.flink_apps import Decision, cluster_sizes, job_app, session_app, start_waits
from headrace.cli.flink_find import find_cluster
from headrace.cli.flink_job import fill_in, pairs
from headrace.cli.flink_job_cluster import JobCluster, jar_options
from headrace.cli.logs import read_end
from headrace.cli.options import marathon_option, marathon_server, master_option, master_server, run
from headrace.gateway.overview import MasterState
from headrace.kernel.http import HttpClient

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_END = 2000
"""Bytes of a failed task's stderr that are shown."""


class _Failure(msgspec.Struct, rename="camel"):
    task_id: str = ""
    message: str = ""


class _StartingApp(msgspec.Struct, rename="camel"):
    last_task_failure: _Failure | None = None
    why: list[Decision] = []


class _StartingBody(msgspec.Struct):
    app: _StartingApp


@click.group()
def flink() -> None:
    """Flink clusters and jobs."""


for _command in (*JOB_COMMANDS, archive):
    flink.add_command(_command)


@flink.command()
@click.option("--id", "app_id", default="/flink", show_default=True, help="Id of the app that is made.")
@click.option("--initial-tasks", type=click.IntRange(0), default=0, show_default=True, help="TaskManagers kept ready.")
@cluster_sizes
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when the session is healthy.")
@click.option("--timeout", type=float, default=120.0, show_default=True, help="Seconds to wait.")
@marathon_option
@master_option
def session(
    app_id: str, settings: tuple[str, ...], wait: bool, timeout: float, marathon: str, master: str, **sizes: Any
) -> None:
    """Start a Flink session cluster as an app of Marathon."""
    definition = session_app(app_id, master, settings, **sizes)

    async def work(http: HttpClient) -> None:
        server = marathon_server(marathon, http)
        answer = await server.send("POST", "/v2/apps", definition)
        deployment = deployment_of(answer)
        if wait and deployment:
            click.echo(f"session {app_id} is starting …")

            with progress.waiting() as tell:

                async def check() -> None:
                    tell(await start_of(server, master_server(master, http), http, app_id))

                await wait_for_deployment(server, deployment, timeout, check)
            url = await _wait_for_dashboard(master, http, app_id)
            click.echo(f"session {app_id} is up: {url}")
        else:
            click.echo(f"session {app_id} is being started")

    run(work)


async def start_of(marathon: Server, master: Server, http: HttpClient, app_id: str) -> str:
    """What the session's start waits for.

    Raises CommandError with the end of what its task wrote, if that has ended.
    """
    path = f"/v2/apps{quote(app_id)}?embed=app.lastTaskFailure&embed=app.why"
    app = (await marathon.get(path, _StartingBody)).app
    failure = app.last_task_failure
    if failure is None:
        return start_waits(app.why)
    found, agent = find_task(await master.get("/master/state", MasterState), failure.task_id)
    server = Server(f"The agent {agent.hostname}", agent.url, http)
    written = (await read_end(server, f"{found.sandbox}/stderr", _END)).strip()
    raise CommandError(
        f"session {app_id} does not start: {failure.message}; the end of what it wrote:\n{written}\n"
        f"Marathon goes on trying; `headrace app destroy {app_id}` ends that"
    )


async def _wait_for_dashboard(master: str, http: HttpClient, app_id: str) -> str:
    """The cluster's REST URL, which reaches the master a moment after the session is healthy."""
    for _ in range(50):
        try:
            return find_cluster(await _state(master, http), app_id)[1]
        except CommandError:
            await asyncio.sleep(0.1)
    return find_cluster(await _state(master, http), app_id)[1]


@flink.command("job", context_settings={"ignore_unknown_options": True})
@click.argument("jar", type=click.Path(path_type=Path), required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS]...")
@click.option("--sql", "script", type=click.File("r", encoding="utf-8"), help="A SQL script, instead of JAR.")
@click.option("--graph", type=click.Path(path_type=Path), help="A file with a serialized job graph, instead of JAR.")
@click.option("--class", "entry_class", metavar="NAME", help="Main class, if the jar's manifest names none.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Value of ${NAME} in the script.")
@click.option("--id", "app_id", default="/flink/job", show_default=True, help="Id of the app that is made.")
@cluster_sizes
@click.option("--detach", is_flag=True, help="Return as soon as the app is made; it stays until it is destroyed.")
@click.option("--keep", is_flag=True, help="Do not destroy the app at the job's end.")
@marathon_option
@master_option
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

    async def work(http: HttpClient) -> None:
        cluster = JobCluster(app_id, marathon_server(marathon, http), master_server(master, http), http)
        await cluster.start(definition)
        click.echo(f"job cluster {app_id} is starting …")
        if detach:
            return
        try:
            with progress.waiting() as tell:
                result = await cluster.follow(tell)
        finally:
            if not keep:
                await cluster.destroy()
        if result.state != "FINISHED":
            raise CommandError(str(result))
        click.echo(str(result))

    run(work)


async def _state(master: str, http: HttpClient) -> MasterState:
    return await _server(master, http).get("/master/state", MasterState)


def _server(master: str, http: HttpClient) -> Server:
    return master_server(master, http)
