"""``headrace deployment …``: what is under way at Marathon, and what is over."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
import msgspec

from headrace.cli import output
from headrace.cli.commands.app import WaitsFor
from headrace.cli.options import json_option, marathon_option, marathon_server, run


class _Action(msgspec.Struct):
    action: str = ""
    app: str = ""
    pod: str = ""
    why: list[WaitsFor] = msgspec.field(default_factory=list)

    def shown(self) -> str:
        return f"{self.action} {self.app or self.pod}"


class _Step(msgspec.Struct):
    actions: list[_Action] = msgspec.field(default_factory=list)


class _Deployment(msgspec.Struct, rename="camel"):
    """One that is under way has no ``outcome``."""

    id: str = ""
    version: str = ""
    affected_apps: list[str] = msgspec.field(default_factory=list)
    affected_pods: list[str] = msgspec.field(default_factory=list)
    steps: list[_Step] = msgspec.field(default_factory=list)
    current_actions: list[_Action] = msgspec.field(default_factory=list)
    current_step: int = 0
    total_steps: int = 0
    deadline: str = ""
    ended: str = ""
    outcome: str = ""
    why: str = ""
    replaced_by: str = ""
    replaces: list[str] = msgspec.field(default_factory=list)
    reverts: str = ""

    @property
    def reason(self) -> str:
        """Why it began or ended as it did."""
        return self.why or (f"undoes {self.reverts}" if self.reverts else "-")

    @property
    def about(self) -> str:
        """What it is about; not more than a line holds."""
        names = [*self.affected_apps, *self.affected_pods]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@click.group()
def deployment() -> None:
    """Deployments of Marathon."""


@deployment.command("list")
@click.option("--ended", is_flag=True, help="Those that are over, latest first.")
@marathon_option
@json_option
def list_deployments(ended: bool, marathon: str, as_json: bool) -> None:
    """List the deployments that are under way."""
    path = "/v2/deployments" + ("?ended=true" if ended else "")
    body = run(lambda http: marathon_server(marathon, http).get(path, list[dict[str, Any]]))
    if as_json:
        output.json(body)
        return
    found = msgspec.convert(body, list[_Deployment])
    if ended:
        rows = [(one.id, one.about, one.outcome, one.version, one.ended, one.reason) for one in found]
        output.table(["DEPLOYMENT", "OF", "OUTCOME", "BEGUN", "ENDED", "WHY"], rows, "None is known.")
        return
    under_way = [(one.id, one.about, f"{one.current_step} of {one.total_steps}", one.version) for one in found]
    output.table(["DEPLOYMENT", "OF", "STEP", "BEGUN"], under_way, "Nothing is under way.")


@deployment.command()
@click.argument("deployment_id", metavar="ID")
@marathon_option
@json_option
def show(deployment_id: str, marathon: str, as_json: bool) -> None:
    """Show a deployment: its steps, what it waits for, or how it ended."""
    path = f"/v2/deployments/{quote(deployment_id, safe='')}?embed=why"
    body = run(lambda http: marathon_server(marathon, http).get(path, dict[str, Any]))
    if as_json:
        output.json(body)
        return
    it = msgspec.convert(body, _Deployment)
    state = f"{it.outcome} at {it.ended}" if it.outcome else f"step {it.current_step} of {it.total_steps}"
    click.echo(f"{it.id}: {state}")
    facts = (
        ("of", it.about),
        ("begun", it.version),
        ("deadline", it.deadline),
        ("why", it.why),
        ("replaced by", it.replaced_by),
        ("replaces", ", ".join(it.replaces)),
        ("undoes", it.reverts),
    )
    for name, value in facts:
        if value:
            click.echo(f"{name:<12} {value}")
    for number, step in enumerate(it.steps, 1):
        click.echo(f"step {number:<7} {', '.join(action.shown() for action in step.actions)}")
    for action in it.current_actions:
        for obstacle in action.why:
            click.echo(f"waits        {action.app or action.pod}: {obstacle.text}")
