"""``headrace flink …``: clusters and jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, TypeVar
from urllib.parse import quote

import click
import msgspec

from headrace.cli import output
from headrace.cli.api import CommandError, Server
from headrace.cli.commands.app import deployment_of, wait_for_deployment
from headrace.cli.commands.task import find_task
from headrace.cli.flink_apps import cluster_sizes, job_app, session_app
from headrace.cli.flink_job import fill_in, submit_jar, submit_sql, wait_until_running
from headrace.cli.flink_job_cluster import JobCluster, jar_options
from headrace.cli.flink_rest import FlinkCluster, find_cluster
from headrace.cli.logs import read_end
from headrace.cli.options import json_option, marathon_option, marathon_server, master_option, master_server, run
from headrace.gateway.overview import MasterState
from headrace.kernel.http import HttpClient

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

cluster_option = click.option(
    "--cluster", metavar="ID", help="Id of the cluster's app; may be left out if there is one cluster only."
)


_END = 2000
"""Bytes of a failed task's stderr that are shown."""


class _Failure(msgspec.Struct, rename="camel"):
    task_id: str = ""
    message: str = ""


class _FailedApp(msgspec.Struct, rename="camel"):
    last_task_failure: _Failure | None = None


class _FailedBody(msgspec.Struct):
    app: _FailedApp


@click.group()
def flink() -> None:
    """Flink clusters and jobs."""


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

            async def check() -> None:
                await raise_if_it_ended(server, master_server(master, http), http, app_id)

            await wait_for_deployment(server, deployment, timeout, check)
            url = await _wait_for_dashboard(master, http, app_id)
            click.echo(f"session {app_id} is up: {url}")
        else:
            click.echo(f"session {app_id} is being started")

    run(work)


async def raise_if_it_ended(marathon: Server, master: Server, http: HttpClient, app_id: str) -> None:
    """Raise CommandError with the end of what its task wrote, if the session's task has ended."""
    path = f"/v2/apps{quote(app_id)}?embed=app.lastTaskFailure"
    failure = (await marathon.get(path, _FailedBody)).app.last_task_failure
    if failure is None:
        return
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


def watch_options(command: CommandT) -> CommandT:
    """``--detach`` of commands that submit a job."""
    return click.option("--detach", is_flag=True, help="Return as soon as the job is submitted.")(command)


@flink.command()
@click.argument("file", type=click.File("r", encoding="utf-8"), required=False)
@click.option("-e", "statements", metavar="STATEMENTS", help="The statements themselves, instead of FILE.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Value of ${NAME} in the script.")
@cluster_option
@watch_options
@master_option
def sql(
    file: TextIO | None, statements: str | None, values: tuple[str, ...], cluster: str | None, detach: bool, master: str
) -> None:
    """Run the SQL script in FILE (- for standard input) as one job."""
    if (file is None) == (statements is None):
        raise click.UsageError("Give either FILE or -e STATEMENTS.")
    script = statements if statements is not None else file.read() if file is not None else ""
    filled = fill_in(script, _pairs(values))

    async def work(http: HttpClient) -> None:
        target = await _cluster(master, cluster, http)
        await _watch(target, await submit_sql(target, filled), detach)

    run(work)


@flink.command("run", context_settings={"ignore_unknown_options": True})
@click.argument("jar", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS]...")
@click.option("--class", "entry_class", metavar="NAME", help="Main class, if the jar's manifest names none.")
@click.option("--parallelism", "-p", type=click.IntRange(1))
@cluster_option
@watch_options
@master_option
def run_jar(
    jar: Path,
    arguments: tuple[str, ...],
    entry_class: str | None,
    parallelism: int | None,
    cluster: str | None,
    detach: bool,
    master: str,
) -> None:
    """Run the job in JAR with its ARGUMENTS."""

    async def work(http: HttpClient) -> None:
        target = await _cluster(master, cluster, http)
        await _watch(target, await submit_jar(target, jar, arguments, entry_class, parallelism), detach)

    run(work)


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
        env["HEADRACE_JOB_SQL"] = fill_in(script.read() if script is not None else "", _pairs(values))
    definition = job_app(app_id, master, job, settings, env, **sizes)

    async def work(http: HttpClient) -> None:
        cluster = JobCluster(app_id, marathon_server(marathon, http), master_server(master, http), http)
        await cluster.start(definition)
        click.echo(f"job cluster {app_id} is starting …")
        if detach:
            return
        try:
            result = await cluster.follow(lambda text: click.echo(f"  {text}"))
        finally:
            if not keep:
                await cluster.destroy()
        if result.state != "FINISHED":
            raise CommandError(str(result))
        click.echo(str(result))

    run(work)


@flink.command("list")
@cluster_option
@master_option
@json_option
def list_jobs(cluster: str | None, master: str, as_json: bool) -> None:
    """List the jobs of a cluster."""

    async def work(http: HttpClient) -> list[Any]:
        return list(await (await _cluster(master, cluster, http)).jobs())

    jobs = run(work)
    if as_json:
        output.json(jobs)
        return
    output.table(
        ["JOB", "NAME", "STATE", "STARTED"],
        [(job.jid, job.name, job.state.lower(), output.age(job.start_time / 1000)) for job in jobs],
        "No jobs.",
    )


@flink.command()
@click.argument("job")
@cluster_option
@master_option
def cancel(job: str, cluster: str | None, master: str) -> None:
    """Cancel a job."""

    async def work(http: HttpClient) -> None:
        await (await _cluster(master, cluster, http)).cancel(job)
        click.echo(f"job {job} is being cancelled")

    run(work)


async def _watch(cluster: FlinkCluster, job: str, detach: bool) -> None:
    click.echo(f"job {job} submitted to {cluster.id}")
    if not detach:
        state = await wait_until_running(cluster, job, lambda text: click.echo(f"  {text}"))
        click.echo(f"job {job} {'runs' if state == 'RUNNING' else 'has ' + state.lower()}")


async def _state(master: str, http: HttpClient) -> MasterState:
    return await _server(master, http).get("/master/state", MasterState)


def _server(master: str, http: HttpClient) -> Server:
    return master_server(master, http)


async def _cluster(master: str, cluster: str | None, http: HttpClient) -> FlinkCluster:
    cluster_id, url = find_cluster(await _state(master, http), cluster)
    return FlinkCluster(cluster_id, url, http)


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, separator, content = value.partition("=")
        if not separator:
            raise CommandError(f"--set {value!r} must be NAME=VALUE")
        pairs[name] = content
    return pairs
