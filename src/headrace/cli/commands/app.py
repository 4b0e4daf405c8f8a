"""``headrace app …``: Marathon's apps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import click
import msgspec

from headrace.cli import output
from headrace.cli.api import TOO_LATE, CommandError, Server
from headrace.cli.commands.status import app_state
from headrace.cli.options import json_option, marathon_option, marathon_server, run
from headrace.cli.tasks import TaskFailure
from headrace.gateway.overview import Apps, AppState
from headrace.kernel.http import HttpClient

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_POLL = 0.25
_SHOWN_DECISIONS = 5


def deployment_options(command: CommandT) -> CommandT:
    """``--wait``, ``--timeout``, ``--force`` and ``--deadline`` of commands that start a deployment."""
    for option in (
        click.option(
            "--deadline", type=click.IntRange(1), metavar="SECONDS", help="Undo it if it is not complete by then."
        ),
        click.option("--force", is_flag=True, help="Replace a deployment that is going on."),
        click.option("--timeout", type=float, default=300.0, show_default=True, help="Seconds to wait."),
        click.option("--wait", is_flag=True, help="Return when the deployment is complete."),
    ):
        command = option(command)
    return command


@click.group()
def app() -> None:
    """Apps of Marathon."""


@app.command("list")
@marathon_option
@json_option
def list_apps(marathon: str, as_json: bool) -> None:
    """List all apps."""
    if as_json:
        output.json(run(lambda http: marathon_server(marathon, http).get("/v2/apps", dict[str, Any])).get("apps", []))
        return
    apps = run(lambda http: marathon_server(marathon, http).get("/v2/apps", Apps)).apps
    output.table(
        ["APP", "#RUNNING", "#WANTED", "#HEALTHY", "STATE"],
        [(a.id, a.tasks_running, a.instances, a.tasks_healthy, app_state(a)) for a in apps],
        "No apps. `headrace app create FILE` makes one.",
    )


class _ShownTask(msgspec.Struct, rename="camel"):
    id: str = ""
    host: str = ""
    ports: list[int] | None = None
    state: str = ""
    started_at: str | None = None


class _Decision(msgspec.Struct):
    """A line of the app's story."""

    at: str = ""
    what: str = ""
    why: str = ""


class WaitsFor(msgspec.Struct):
    """One thing that is in the way."""

    text: str = ""


class _ShownApp(AppState, rename="camel"):
    cmd: str | None = None
    args: list[str] | None = None
    cpus: float = 0.0
    mem: float = 0.0
    tasks: list[_ShownTask] = msgspec.field(default_factory=list)
    last_task_failure: TaskFailure | None = None
    why: list[_Decision] = msgspec.field(default_factory=list)
    waits_for: list[WaitsFor] = msgspec.field(default_factory=list)


@app.command()
@click.argument("app_id", metavar="ID")
@marathon_option
@json_option
def show(app_id: str, marathon: str, as_json: bool) -> None:
    """Show one app with its tasks, and why it is as it is."""
    embeds = ("tasks", "counts", "deployments", "lastTaskFailure", "why")
    path = _path(app_id) + "?" + "&".join(f"embed=app.{name}" for name in embeds)
    body = run(lambda http: marathon_server(marathon, http).get(path, dict[str, Any])).get("app", {})
    if as_json:
        output.json(body)
        return
    shown = msgspec.convert(body, _ShownApp)
    click.echo(f"{shown.id}: {app_state(shown)}, {shown.tasks_running} of {shown.instances} running")
    click.echo(f"runs   {shown.cmd or ' '.join(shown.args or [])}")
    click.echo(f"needs  {shown.cpus:g} CPUs, {output.amount(shown.mem)} for each instance")
    if shown.last_task_failure is not None:
        failure = shown.last_task_failure
        click.echo(f"last failure  {failure.timestamp} {failure.state}: {failure.message}")
    for obstacle in shown.waits_for:
        click.echo(f"waits  {obstacle.text}")
    for decision in shown.why[-_SHOWN_DECISIONS:]:
        click.echo(f"why    {decision.at} {decision.what}{': ' if decision.why else ''}{decision.why}")
    click.echo()
    output.table(
        ["TASK", "STATE", "HOST", "PORTS", "STARTED"],
        [(t.id, t.state, t.host, ", ".join(map(str, t.ports or [])) or "-", t.started_at or "-") for t in shown.tasks],
        "No tasks.",
    )


class _Ended(msgspec.Struct, rename="camel"):
    """An instance that is no more."""

    id: str = ""
    state: str = ""
    cause: str = ""
    why: str = ""
    message: str = ""
    host: str = ""
    exit_status: int | None = None
    ended_at: str = ""
    started_at: str | None = None
    last_lines: dict[str, list[str]] = msgspec.field(default_factory=dict)
    last_lines_note: str = ""


@app.command()
@click.argument("app_id", metavar="ID")
@click.option("--lines", is_flag=True, help="Also the last lines that each of them wrote.")
@marathon_option
@json_option
def history(app_id: str, lines: bool, marathon: str, as_json: bool) -> None:
    """Show how the app's instances have ended, latest first, also of an app that is gone."""
    path = _path(app_id) + "/history"
    body = run(lambda http: marathon_server(marathon, http).get(path, dict[str, Any]))
    if as_json:
        output.json(body)
        return
    ended = msgspec.convert(body.get("instances", []), list[_Ended])
    if not lines:
        columns = ["ENDED", "INSTANCE", "HOST", "STATE", "#STATUS", "CAUSE", "WHY"]
        output.table(columns, map(_row, ended), "Nothing has ended.")
    for one in ended if lines else ():
        click.echo("  ".join(str(cell) for cell in _row(one)))
        for name, text in one.last_lines.items():
            for line in text:
                click.echo(f"    {name}: {line}")
        if one.last_lines_note:
            click.echo(f"    output: {one.last_lines_note}")


def _row(one: _Ended) -> list[object]:
    state = one.state.removeprefix("TASK_").lower()
    status = "-" if one.exit_status is None else one.exit_status
    return [one.ended_at, one.id, one.host or "-", state, status, one.cause, one.why or one.message]


@app.command()
@click.argument("file", type=click.File("rb"))
@marathon_option
@deployment_options
def create(file: BinaryIO, marathon: str, wait: bool, timeout: float, force: bool, deadline: int | None) -> None:
    """Create the app that FILE (JSON, - for standard input) defines."""
    definition = read_definition(file.read(), file.name)
    _deploy(marathon, "POST", "/v2/apps", definition, wait, timeout, force, deadline, "created")


@app.command()
@click.argument("app_id", metavar="ID")
@click.argument("file", type=click.File("rb"))
@marathon_option
@deployment_options
def update(
    app_id: str, file: BinaryIO, marathon: str, wait: bool, timeout: float, force: bool, deadline: int | None
) -> None:
    """Change the app: the fields in FILE replace the app's own, the others stay."""
    definition = read_definition(file.read(), file.name)
    _deploy(marathon, "PATCH", _path(app_id), definition, wait, timeout, force, deadline, "updated")


class _Number(click.ParamType[int]):
    """How many instances: 0 or more."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, str) and not (value.isascii() and value.isdigit()):
            self.fail(f"{value!r} is no number of instances: give 0 or more", param, ctx)
        return int(value)


# without ignore_unknown_options -1 would be taken for an option that there is not
@app.command(context_settings={"ignore_unknown_options": True})
@click.argument("app_id", metavar="ID")
@click.argument("instances", type=_Number())
@marathon_option
@deployment_options
def scale(
    app_id: str, instances: int, marathon: str, wait: bool, timeout: float, force: bool, deadline: int | None
) -> None:
    """Run INSTANCES of the app."""
    _deploy(
        marathon,
        "PATCH",
        _path(app_id),
        {"instances": instances},
        wait,
        timeout,
        force,
        deadline,
        f"scaled to {instances}",
    )


@app.command()
@click.argument("app_id", metavar="ID")
@marathon_option
@deployment_options
def restart(app_id: str, marathon: str, wait: bool, timeout: float, force: bool, deadline: int | None) -> None:
    """Replace all instances of the app by new ones."""
    _deploy(marathon, "POST", _path(app_id) + "/restart", None, wait, timeout, force, deadline, "restarted")


@app.command()
@click.argument("app_id", metavar="ID")
@marathon_option
@deployment_options
def destroy(app_id: str, marathon: str, wait: bool, timeout: float, force: bool, deadline: int | None) -> None:
    """End all instances of the app and forget it."""
    _deploy(marathon, "DELETE", _path(app_id), None, wait, timeout, force, deadline, "destroyed")


def read_definition(content: bytes, name: str) -> dict[str, Any]:
    """The JSON object in a file. Raises CommandError that names file and place."""
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise CommandError(f"{name} does not hold a JSON object: {error}") from None


async def wait_for_deployment(
    marathon: Server, deployment: str, timeout: float, meanwhile: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Return when the deployment is complete.

    Raises CommandError if it takes too long, or what ``meanwhile`` raises.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        going_on = await marathon.get("/v2/deployments", list[dict[str, Any]])
        if all(item.get("id") != deployment for item in going_on):
            return
        if meanwhile is not None:
            await meanwhile()
        if loop.time() > deadline:
            raise CommandError(
                f"deployment {deployment} is not complete after {timeout:g} s; it goes on. "
                f"`headrace deployment show {deployment}` says what it waits for",
                TOO_LATE,
            )
        await asyncio.sleep(_POLL)


def _deploy(
    marathon: str,
    method: str,
    path: str,
    body: Any,
    wait: bool,
    timeout: float,
    force: bool,
    deadline: int | None,
    done: str,
) -> None:
    async def work(http: HttpClient) -> None:
        server = marathon_server(marathon, http)
        query = (["force=true"] if force else []) + ([f"deadlineSeconds={deadline}"] if deadline is not None else [])
        answer = await server.send(method, path + ("?" + "&".join(query) if query else ""), body)
        deployment = deployment_of(answer)
        name = answer.get("id") if method == "POST" and body is not None else None
        subject = name or path.removeprefix("/v2/apps").removesuffix("/restart")
        if wait and deployment:
            await wait_for_deployment(server, deployment, timeout)
            click.echo(f"{subject} {done}")
        else:
            click.echo(f"{subject} is being {done.split()[0]}" + (f" (deployment {deployment})" if deployment else ""))

    run(work)


def deployment_of(answer: Any) -> str:
    """The id of the deployment that a change started; empty if it started none."""
    if not isinstance(answer, dict):
        return ""
    deployments = answer.get("deployments") or [{}]
    return str(answer.get("deploymentId") or deployments[0].get("id") or "")


def _path(app_id: str) -> str:
    return "/v2/apps/" + quote(app_id.strip("/"), safe="/")
