"""``headrace flink sql|run|list|stop|savepoint|cancel|logs|ui``: what is done with the jobs of a cluster.

Results are on stdout, what is waited for on stderr. Exit status: 0 done, 1 failed, 2 wrong usage, 3 there is no such
cluster or job, 4 not done within ``--timeout``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TextIO

import click
import msgspec

from headrace.cli import output, progress
from headrace.cli.api import CommandError
from headrace.cli.flink_find import living_job
from headrace.cli.flink_job import fill_in, pairs, submit_jar, submit_sql, wait_until_running
from headrace.cli.flink_logs import LOG, STDERR, STDOUT, print_log
from headrace.cli.flink_rest import FlinkCluster, JobRow, Submission
from headrace.cli.flink_savepoints import check_directory, dispose, savepoint, stop, trigger_stop, wait_for_end
from headrace.cli.flink_target import Limit, OpenTarget, Target, in_time, target_options, timeout_option
from headrace.cli.options import json_option, run
from headrace.kernel.http import HttpClient

_detach_option = click.option("--detach", is_flag=True, help="Return as soon as the job is submitted.")
_from_savepoint_option = click.option(
    "--from-savepoint", "savepoint_path", metavar="PATH", help="Begin with the state in this savepoint."
)
_non_restored_option = click.option(
    "--allow-non-restored-state",
    "lenient",
    is_flag=True,
    help="Leave away state of the savepoint that the job has no operator for.",
)
_no_wait_option = click.option("--wait/--no-wait", default=True, show_default=True, help="Return when it is done.")


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8"), required=False)
@click.option("-e", "statements", metavar="STATEMENTS", help="The statements themselves, instead of FILE.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="Value of ${NAME} in the script.")
@_from_savepoint_option
@_non_restored_option
@target_options
@_detach_option
@timeout_option
@json_option
def sql(
    target: Target,
    file: TextIO | None,
    statements: str | None,
    values: tuple[str, ...],
    savepoint_path: str | None,
    lenient: bool,
    timeout: float | None,
    **how: Any,
) -> None:
    """Run the SQL script in FILE (- for standard input) as one job."""
    if (file is None) == (statements is None):
        raise click.UsageError("Give either FILE or -e STATEMENTS.")
    script = statements if statements is not None else file.read() if file is not None else ""
    filled = fill_in(script, pairs(values))
    submission = _submission(savepoint_path, lenient)

    async def work(http: HttpClient) -> None:
        limit = Limit(timeout)
        found = await target.open_to_submit(http, limit)
        await _watch(found, await submit_sql(found.cluster, filled, submission), limit, **how)

    run(work)


@click.command("run", context_settings={"ignore_unknown_options": True})
@click.argument("jar", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS]...")
@click.option("--class", "entry_class", metavar="NAME", help="Main class, if the jar's manifest names none.")
@click.option(
    "--parallelism",
    "-p",
    type=click.IntRange(1),
    metavar="N",
    help="Of the job; else the cluster's parallelism.default.",
)
@_from_savepoint_option
@_non_restored_option
@target_options
@_detach_option
@timeout_option
@json_option
def run_jar(
    target: Target,
    jar: Path,
    arguments: tuple[str, ...],
    entry_class: str | None,
    parallelism: int | None,
    savepoint_path: str | None,
    lenient: bool,
    timeout: float | None,
    **how: Any,
) -> None:
    """Run the job in JAR with its ARGUMENTS."""
    submission = _submission(savepoint_path, lenient, entry_class=entry_class, parallelism=parallelism)

    async def work(http: HttpClient) -> None:
        limit = Limit(timeout)
        found = await target.open_to_submit(http, limit)
        await _watch(found, await submit_jar(found.cluster, jar, arguments, submission), limit, **how)

    run(work)


@click.command("list")
@click.option("--all", "everything", is_flag=True, help="Ended jobs as well.")
@target_options
@json_option
def list_jobs(target: Target, everything: bool, as_json: bool) -> None:
    """List the jobs of a cluster, and why those wait that have no slots."""

    async def work(http: HttpClient) -> tuple[list[JobRow], dict[str, str]]:
        found = await target.open(http)
        rows = [row for row in await found.cluster.jobs() if everything or not row.ended]
        if not any(row.waits_for_slots for row in rows):
            return rows, {}
        explainer = found.explainer()
        why = await explainer.why(await explainer.state())
        return rows, {row.jid: why for row in rows if row.waits_for_slots and why}

    jobs, whys = run(work)
    if as_json:
        output.json([{**msgspec.to_builtins(row), "why": whys.get(row.jid, "")} for row in jobs])
        return
    output.table(
        ["JOB", "NAME", "STATE", "#TASKS", "STARTED"],
        [(job.jid, job.name, _state(job), _tasks(job), output.age(job.start_time / 1000)) for job in jobs],
        "No jobs." if everything else "No job runs; --all shows those that have ended.",
    )
    for why in dict.fromkeys(whys.values()):
        click.echo(f"waiting for slots: {why}")


@click.command("stop")
@click.argument("job")
@click.option(
    "--savepoint", "-p", "directory", metavar="DIR", help="Where the savepoint is to be, if not at the cluster's own."
)
@click.option("--drain", is_flag=True, help="Let all windows fire before: the job is not to go on from the savepoint.")
@_no_wait_option
@target_options
@timeout_option
@json_option
def stop_job(
    target: Target, job: str, directory: str | None, drain: bool, wait: bool, timeout: float | None, as_json: bool
) -> None:
    """Take a savepoint of JOB (its id, the beginning of it, or its name) and end it; prints the savepoint's path."""
    check_directory(directory)

    async def work(http: HttpClient) -> None:
        cluster = (await target.open(http)).cluster
        row = living_job(await cluster.jobs(), job)
        if not wait:
            asked_at = await trigger_stop(cluster, row.jid, directory, drain=drain)
            _result(as_json, f"job {row.jid} is being stopped", job=row.jid, operation=asked_at)
            return
        with progress.waiting() as tell:
            stopping = stop(cluster, row.jid, directory, drain=drain, tell=tell)
            path = await in_time(stopping, timeout, f"the stop of job {row.jid}")
        click.echo(f"job {row.jid} has stopped", err=True)
        _result(as_json, path, job=row.jid, savepoint=path)

    run(work)


@click.command("savepoint")
@click.argument("job", required=False)
@click.argument("directory", metavar="[DIR]", required=False)
@click.option("--dispose", "-d", "unwanted", metavar="PATH", help="Remove the savepoint PATH instead.")
@target_options
@timeout_option
@json_option
def take_savepoint(
    target: Target, job: str | None, directory: str | None, unwanted: str | None, timeout: float | None, as_json: bool
) -> None:
    """Take a savepoint of JOB, which goes on, into DIR or the cluster's directory; prints its path."""
    if (job is None) == (unwanted is None):
        raise click.UsageError("Give either JOB or --dispose PATH.")
    check_directory(directory)

    async def take(cluster: FlinkCluster, wanted: str, tell: progress.Tell) -> None:
        row = living_job(await cluster.jobs(), wanted)
        taking = savepoint(cluster, row.jid, directory, tell)
        path = await in_time(taking, timeout, f"the savepoint of job {row.jid}")
        _result(as_json, path, job=row.jid, savepoint=path)

    async def work(http: HttpClient) -> None:
        cluster = (await target.open(http)).cluster
        with progress.waiting() as tell:
            if job is not None:
                await take(cluster, job, tell)
            elif unwanted is not None:
                await in_time(dispose(cluster, unwanted, tell), timeout, f"the removal of {unwanted}")
                _result(as_json, f"savepoint {unwanted} is removed", removed=unwanted)

    run(work)


@click.command()
@click.argument("job")
@_no_wait_option
@target_options
@timeout_option
def cancel(target: Target, job: str, wait: bool, timeout: float | None) -> None:
    """Cancel JOB (its id, the beginning of it, or its name), without a savepoint."""

    async def work(http: HttpClient) -> None:
        cluster = (await target.open(http)).cluster
        row = living_job(await cluster.jobs(), job)
        await cluster.cancel(row.jid)
        if not wait:
            click.echo(f"job {row.jid} is being cancelled")
            return
        with progress.waiting("waiting for the job's end"):
            state = await in_time(wait_for_end(cluster, row.jid), timeout, f"the end of job {row.jid}")
        if state not in ("CANCELED", ""):
            raise CommandError(f"job {row.jid} was not cancelled: it is {state} already")
        click.echo(f"job {row.jid} is cancelled" + ("" if state else ", and its cluster has ended"))

    run(work)


@click.command()
@click.option("--jobmanager", "job_manager", is_flag=True, help="Of the JobManager; the default.")
@click.option("--taskmanager", metavar="ID", help="Of this TaskManager; the beginning or the end of its id will do.")
@click.option("--stdout", "kind", flag_value=STDOUT, help="What the program itself wrote, instead of the log.")
@click.option("--stderr", "kind", flag_value=STDERR, help="Its stderr.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on.")
@click.option("--bytes", "size", type=click.IntRange(1), metavar="N", help="Only the last N bytes.")
@target_options
def logs(
    target: Target, job_manager: bool, taskmanager: str | None, kind: str | None, follow: bool, size: int | None
) -> None:
    """Print the log of the JobManager, or of a TaskManager."""
    if job_manager and taskmanager is not None:
        raise click.UsageError("Give either --jobmanager or --taskmanager.")

    async def work(http: HttpClient) -> None:
        await print_log(await target.open(http, answering=False), taskmanager, kind or LOG, last=size, follow=follow)

    run(work)


@click.command()
@click.option("--open", "in_browser", is_flag=True, help="Open it in the browser as well.")
@target_options
@json_option
def ui(target: Target, in_browser: bool, as_json: bool) -> None:
    """Print the address of the cluster's dashboard."""

    async def work(http: HttpClient) -> FlinkCluster:
        return (await target.open(http)).cluster

    cluster = run(work)
    _result(as_json, cluster.server.url, cluster=cluster.id, url=cluster.server.url)
    if in_browser:
        import webbrowser

        if not webbrowser.open(cluster.server.url):
            raise CommandError("no browser could be started here")


JOB_COMMANDS = (sql, run_jar, list_jobs, stop_job, take_savepoint, cancel, logs, ui)


async def _watch(found: OpenTarget, job: str, limit: Limit, *, detach: bool, as_json: bool) -> None:
    cluster = found.cluster
    if not as_json:
        click.echo(f"job {job} submitted to {cluster.id}")
    state = "SUBMITTED"
    if not detach:
        with progress.waiting() as tell:
            running = wait_until_running(cluster, job, tell, found.explainer())
            state = await limit.on(running, f"the start of job {job}")
    if as_json:
        output.json({"job": job, "cluster": cluster.id, "state": state})
    elif not detach:
        click.echo(f"job {job} {'runs' if state == 'RUNNING' else 'has ' + state.lower()}")


def _submission(path: str | None, lenient: bool, **how: Any) -> Submission:
    if lenient and path is None:
        raise click.UsageError("--allow-non-restored-state needs --from-savepoint.")
    return Submission(savepoint=path, allow_non_restored_state=lenient, **how)


def _state(job: JobRow) -> str:
    return "waiting" if job.waits_for_slots else job.state.lower()


def _tasks(job: JobRow) -> str:
    return f"{job.tasks.get('running', 0)}/{job.tasks.get('total', 0)}"


def _result(as_json: bool, text: str, **fields: str) -> None:
    if as_json:
        output.json(fields)
    else:
        click.echo(text)
