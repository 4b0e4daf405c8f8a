"""``headrace task …``: what runs, and what it writes."""

from __future__ import annotations

import sys

import click

from headrace.cli import output
from headrace.cli.commands import task_show
from headrace.cli.commands.task_exec import attach, exec_command
from headrace.cli.logs import Reader
from headrace.cli.options import json_option, master_option, master_server, run
from headrace.cli.tasks import sandbox_of
from headrace.gateway.overview import Apps, MasterState, overview
from headrace.kernel.http import HttpClient


@click.group()
def task() -> None:
    """Tasks of all frameworks."""


task.add_command(task_show.show)
task.add_command(task_show.kill)


@task.command("list")
@click.option("--all", "everything", is_flag=True, help="Ended tasks as well.")
@master_option
@json_option
def list_tasks(everything: bool, master: str, as_json: bool) -> None:
    """List the tasks, newest first."""
    state = run(lambda http: master_server(master, http).get("/master/state", MasterState))
    rows = overview([], state, Apps()).tasks
    living = {task.id for framework in state.frameworks for task in framework.tasks}
    rows = [row for row in rows if everything or row.id in living]
    if as_json:
        output.json(rows)
        return
    output.table(
        ["TASK", "FRAMEWORK", "AGENT", "STATE", "SINCE", "#CPUS", "#MEMORY"],
        [
            (
                row.id,
                row.framework,
                row.agent,
                row.state.removeprefix("TASK_").lower(),
                output.age(row.since),
                f"{row.cpus:g}",
                output.amount(row.mem),
            )
            for row in rows
        ],
        "No tasks.",
    )


@task.command()
@click.argument("task_id", metavar="TASK")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on.")
@click.option("--stderr", "name", flag_value="stderr", help="stderr instead of stdout.")
@click.option("--file", "name", metavar="PATH", help="Another file of the sandbox.")
@click.option("--bytes", "size", type=click.IntRange(1), metavar="N", help="Only the last N bytes.")
@master_option
def logs(task_id: str, follow: bool, name: str | None, size: int | None, master: str) -> None:
    """Print what TASK (its id, or the beginning of it) wrote to stdout."""

    async def work(http: HttpClient) -> None:
        state = await master_server(master, http).get("/master/state", MasterState)
        server, sandbox = sandbox_of(state, task_id, http)
        path = f"{sandbox}/{name or 'stdout'}"
        await Reader(server, path, _write, lambda what: click.echo(f"headrace: {what}", err=True)).run(size, follow)

    run(work)


task.add_command(exec_command, "exec")
task.add_command(attach)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
