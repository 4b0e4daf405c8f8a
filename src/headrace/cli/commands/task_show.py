"""``headrace task show|kill``: one task, and its end."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
import msgspec

from headrace.cli import amounts, output
from headrace.cli.api import NOT_THERE, AnswerError, CommandError, Server
from headrace.cli.options import (
    json_option,
    marathon_option,
    marathon_server,
    master_option,
    master_server,
    run,
)
from headrace.cli.tasks import any_task
from headrace.gateway.overview import MasterState, TaskState
from headrace.kernel.http import HttpClient

_MARATHON = "marathon"
"""The framework's name, as Marathon gives it unless it is told another (``--framework_name``)."""


class _Line(msgspec.Struct):
    at: float = 0.0
    what: str = ""
    why: str = ""


class _Story(msgspec.Struct):
    task: list[_Line] = []


@click.command()
@click.argument("task_id", metavar="TASK")
@master_option
@json_option
def show(task_id: str, master: str, as_json: bool) -> None:
    """Show TASK (its id, or the beginning of it): where it runs, what it holds, what became of it."""

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        state = await server.get("/master/state", MasterState)
        found = any_task(state, task_id)
        if as_json:
            query = f"/master/tasks?framework_id={found.framework_id}&task_id={quote(found.id, safe='')}"
            answer = await server.get(query, dict[str, Any])
            output.json(next(one for one in answer["tasks"] if one["id"] == found.id))
            return
        _print(found, state)
        for line in await _story(server, found):
            click.echo(f"{output.moment(line.at)}  {line.what}{f' ({line.why})' if line.why else ''}")

    run(work)


@click.command()
@click.argument("task_id", metavar="TASK")
@click.option("--scale", is_flag=True, help="The app gets one instance less; else it starts another one.")
@click.option("--wipe", is_flag=True, help="Its reservations and volumes go as well.")
@master_option
@marathon_option
def kill(task_id: str, scale: bool, wipe: bool, master: str, marathon: str) -> None:
    """End TASK, if Marathon runs it: only a task's own framework can end it."""

    async def work(http: HttpClient) -> None:
        state = await master_server(master, http).get("/master/state", MasterState)
        found = any_task(state, task_id)
        framework = next((one for one in state.frameworks if one.id == found.framework_id), None)
        if framework is None or found.id not in {task.id for task in framework.tasks}:
            raise CommandError(f"task {found.id} has ended already ({_word(found)})", NOT_THERE)
        if framework.name != _MARATHON:
            raise CommandError(
                f"task {found.id} is of the framework {framework.name}, and only that can end it; "
                "`headrace flink` ends Flink's jobs and clusters"
            )
        query = f"?scale={str(scale).lower()}&wipe={str(wipe).lower()}"
        answer = await marathon_server(marathon, http).send("POST", f"/v2/tasks/delete{query}", {"ids": [found.id]})
        if not scale and not (answer or {}).get("tasks"):
            raise CommandError(f"Marathon does not know the task {found.id}; is it another Marathon's (--marathon)?")
        click.echo(f"task {found.id} is being ended")

    run(work)


async def _story(server: Server, found: TaskState) -> list[_Line]:
    """What became of it: as the master tells, or, by Apache Mesos, which keeps no stories, its statuses."""
    try:
        query = f"/master/story?framework_id={found.framework_id}&task_id={quote(found.id, safe='')}"
        story = (await server.get(query, _Story)).task
    except AnswerError:
        story = []
    return story or [_Line(status.timestamp, status.state, status.message) for status in found.statuses]


def _word(task: TaskState) -> str:
    return task.state.removeprefix("TASK_").lower()


def _print(found: TaskState, state: MasterState) -> None:
    frameworks = (*state.frameworks, *state.completed_frameworks)
    framework = next((one.name for one in frameworks if one.id == found.framework_id), "")
    host = next((agent.hostname for agent in state.slaves if agent.id == found.slave_id), "")
    facts = (
        ("id", found.id),
        ("name", found.name),
        ("framework", f"{framework} ({found.framework_id})"),
        ("agent", f"{host} ({found.slave_id})" if host else found.slave_id),
        ("executor", found.executor_id),
        ("state", _word(found)),
        ("holds", amounts.shown(found.resources)),
        ("ports", str(found.resources.get("ports", ""))),
        ("sandbox", found.sandbox),
    )
    for name, value in facts:
        if value:
            click.echo(f"{name:<12} {value}")
