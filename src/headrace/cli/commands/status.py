"""``headrace status``: one look at everything."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import click
import msgspec

from headrace.cli import output
from headrace.cli.api import CommandError, Server
from headrace.cli.options import json_option, marathon_option, marathon_server, master_option, master_server, run
from headrace.gateway.overview import Apps, AppState, Component, MasterState, Overview, overview

StateT = TypeVar("StateT", bound=msgspec.Struct)


@click.command()
@master_option
@marathon_option
@json_option
@click.pass_context
def status(ctx: click.Context, master: str, marathon: str, as_json: bool) -> None:
    """Show components, agents, frameworks and apps. Exit status 1 if a component does not answer."""
    view = run(lambda http: _look(master_server(master, http), marathon_server(marathon, http)))
    if as_json:
        output.json(view)
    else:
        _print(view)
    if any(component.error for component in view.components):
        ctx.exit(1)


async def _look(master: Server, marathon: Server) -> Overview:
    (first, state), (second, apps) = await asyncio.gather(
        _ask("master", master, "/master/state", MasterState), _ask("marathon", marathon, "/v2/apps", Apps)
    )
    return overview([first, second], state, apps)


async def _ask(name: str, server: Server, path: str, type_: type[StateT]) -> tuple[Component, StateT]:
    try:
        return Component(name, server.url), await server.get(path, type_, timeout=10)
    except CommandError as error:
        return Component(name, server.url, str(error)), type_()


def _print(view: Overview) -> None:
    output.table(
        ["COMPONENT", "ADDRESS", "STATE"], [(c.name, c.url, c.error or "running") for c in view.components], ""
    )
    click.echo()
    output.table(
        ["AGENT", "ID", "CPUS", "MEMORY", "STATE"],
        [
            (
                a.hostname,
                a.id,
                f"{a.cpus_used:g} of {a.cpus:g}",
                f"{output.amount(a.mem_used)} of {output.amount(a.mem)}",
                a.state,
            )
            for a in view.agents
        ],
        "No agents.",
    )
    click.echo()
    output.table(
        ["FRAMEWORK", "#TASKS", "#CPUS", "#MEMORY", "STATE", "DASHBOARD"],
        [
            (f.name, f.tasks, f"{f.cpus_used:g}", output.amount(f.mem_used), _activity(f.active), f.url or "-")
            for f in view.frameworks
        ],
        "No frameworks.",
    )
    click.echo()
    output.table(
        ["APP", "#RUNNING", "#WANTED", "STATE"],
        [(a.id, a.tasks_running, a.instances, app_state(a)) for a in view.apps],
        "No apps.",
    )


def _activity(active: bool) -> str:
    return "active" if active else "disconnected"


def app_state(app: AppState) -> str:
    """One word for an app, as Marathon's own UI has it."""
    if app.deployments:
        return "deploying"
    if app.tasks_unhealthy:
        return f"{app.tasks_unhealthy} unhealthy"
    if app.tasks_running < app.instances:
        return "waiting"
    return "running" if app.instances else "suspended"
