"""``headrace node …``: agents, and what an operator decides about them."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from headrace.cli import amounts, output
from headrace.cli.api import TOO_LATE, AnswerError, CommandError, Server, passes
from headrace.cli.nodes import DrainConfig, Nanoseconds, Node, Nodes, Schedule, find_node
from headrace.cli.options import Finite, json_option, master_option, master_server, run, until
from headrace.cli.orders import of_agent, order
from headrace.gateway.overview import MasterState, TaskState
from headrace.kernel.http import HttpClient

_NODES = "/master/slaves"
_LAST = 10
"""Decisions about a node that are shown."""

node_argument = click.argument("name", metavar="NODE")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


class _Line(msgspec.Struct):
    at: float = 0.0
    what: str = ""
    why: str = ""


class _Story(msgspec.Struct):
    agent: list[_Line] = []


@click.group()
def node() -> None:
    """Agents: NODE is an agent's id, the beginning or end of it (S3), a host name, or an address."""


@node.command("list")
@master_option
@json_option
def list_nodes(master: str, as_json: bool) -> None:
    """List the agents with what is in use of them."""
    body = run(lambda http: master_server(master, http).get(_NODES, dict[str, Any]))
    if as_json:
        output.json(body)
        return
    output.table(
        ["HOST", "ADDRESS", "ID", "STATE", "CPUS", "MEMORY", "DISK", "SINCE"],
        [
            (
                one.hostname,
                one.address,
                one.id,
                one.state,
                _used(one, "cpus"),
                _used(one, "mem"),
                _used(one, "disk"),
                output.age(one.registered_time),
            )
            for one in msgspec.convert(body, Nodes).all()
        ],
        "No agents.",
    )


@node.command()
@node_argument
@master_option
@json_option
def show(name: str, master: str, as_json: bool) -> None:
    """Show an agent: its state and resources, what runs there, what was decided about it."""

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        body = await server.get(_NODES, dict[str, Any])
        found = find_node(msgspec.convert(body, Nodes), name)
        if as_json:
            both = (*body.get("slaves", ()), *body.get("recovered_slaves", ()))
            output.json(next(one for one in both if one["id"] == found.id))
            return
        state = await server.get("/master/state", MasterState)
        schedule = await server.get("/maintenance/schedule", Schedule)
        _print(found, schedule)
        _print_tasks(found, state)
        for line in await _story(server, found):
            why = f" ({line.why})" if line.why else ""
            click.echo(f"{output.age(line.at):>8} ago  {line.what}{why}")

    run(work)


@node.command()
@node_argument
@click.option(
    "--grace", type=Finite(0), metavar="SECONDS", help="No task gets longer to end; else as long as it wants."
)
@click.option("--gone", is_flag=True, help="When it is empty it is gone for good, with all data on it.")
@click.option("--wait", is_flag=True, help="Return when it is empty.")
@click.option("--timeout", type=float, default=600.0, show_default=True, help="Seconds to wait.")
@yes_option
@master_option
def drain(name: str, grace: float | None, gone: bool, wait: bool, timeout: float, yes: bool, master: str) -> None:
    """End all tasks of an agent, and offer nothing of it until it is reactivated. This can't be called off.

    Of one that is draining already, --grace and --gone change how; without both it goes on as it was ordered.
    """

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        found = await _find(server, name)
        config = _drain_config(found, grace, gone)
        if found.drain_info is None or config != found.drain_info.config:
            if not yes:
                _confirm_drain(found, gone)
            await order(server, "DRAIN_AGENT", **of_agent(found.id), **_drain_body(config))
        elif not wait:
            click.echo(f"node {found.id} is {found.state} already")
            return
        if wait:
            await _await_empty(server, found.id, config.mark_gone, timeout)
            click.echo(f"node {found.id} is {'gone' if config.mark_gone else 'drained'}")
        else:
            click.echo(f"node {found.id} is draining; `headrace node show {found.id}` tells how far it is")

    run(work)


@node.command()
@node_argument
@master_option
def deactivate(name: str, master: str) -> None:
    """Offer nothing of an agent from now on; its tasks go on."""
    _say(name, master, "DEACTIVATE_AGENT", "deactivated")


@node.command()
@node_argument
@master_option
def reactivate(name: str, master: str) -> None:
    """Offer an agent's resources again that was deactivated or has been drained."""
    _say(name, master, "REACTIVATE_AGENT", "reactivated")


@node.command()
@node_argument
@yes_option
@master_option
def gone(name: str, yes: bool, master: str) -> None:
    """Say that an agent never comes back: its tasks end now, and it is refused from now on.

    One that is not listed any more because it is unreachable must be named by its whole id.
    """

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        try:
            found = await _find(server, name)
        except CommandError:
            found = Node(name)  # an unreachable agent is not listed
            if "-S" not in name:
                raise
        if not yes:
            _confirm_gone(found)
        await order(server, "MARK_AGENT_GONE", **of_agent(found.id))
        click.echo(f"node {found.id} is gone")

    run(work)


def _say(name: str, master: str, kind: str, done: str) -> None:
    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        found = await _find(server, name)
        try:
            await order(server, kind, **of_agent(found.id))
        except AnswerError as error:
            if "DRAINING" not in str(error):
                raise
            raise CommandError(
                f"node {found.id} is still draining, which can't be called off; "
                f"`headrace node show {found.id}` tells what it waits for"
            ) from None
        click.echo(f"node {found.id} is {done}")

    run(work)


async def _find(server: Server, name: str) -> Node:
    return find_node(await server.get(_NODES, Nodes), name)


def _drain_config(found: Node, grace: float | None, gone: bool) -> DrainConfig:
    """What an order has to say, as it takes the place of the one before. Raises CommandError."""
    before = found.drain_info.config if found.drain_info is not None else DrainConfig()
    if grace is None:
        return DrainConfig(before.max_grace_period, gone or before.mark_gone)
    if before.mark_gone and not gone:
        why = "is to be gone when it is empty, which --grace alone would call off; give --gone too"
        raise CommandError(f"node {found.id} {why}")
    return DrainConfig(Nanoseconds(round(grace * 1e9)), gone)


def _drain_body(config: DrainConfig) -> dict[str, Any]:
    grace = config.max_grace_period
    limit = {"max_grace_period": _duration(grace)} if grace is not None else {}
    return {**limit, **({"mark_gone": True} if config.mark_gone else {})}


async def _await_empty(server: Server, agent_id: str, gone: bool, timeout: float) -> None:
    """Until it is drained or gone; a master that is away may come back meanwhile. Raises CommandError."""
    away: list[CommandError] = []

    async def is_empty() -> bool:
        away.clear()
        try:
            return await _is_empty(server, agent_id, gone)
        except CommandError as error:
            if not passes(error):
                raise
            away.append(error)
            return False

    if not await until(is_empty, timeout):
        why = "a task takes its time, or its framework has not acknowledged its end, or the agent is away"
        raise CommandError(f"node {agent_id} is not empty after {timeout:g} s: {away[0] if away else why}", TOO_LATE)


async def _is_empty(server: Server, agent_id: str, gone: bool) -> bool:
    """Whether it is drained, or gone if that was the wish."""
    nodes = await server.get(f"{_NODES}?slave_id={agent_id}", Nodes)
    found = [one for one in nodes.all() if one.id == agent_id]
    if found:
        return found[0].drain_info is not None and found[0].drain_info.state == "DRAINED"
    return gone and not await _is_known(server, agent_id)


async def _is_known(server: Server, agent_id: str) -> bool:
    """Whether one that is not listed is only unreachable: an order that changes nothing of one that drains tells."""
    try:
        await order(server, "DEACTIVATE_AGENT", **of_agent(agent_id))
    except AnswerError as error:
        if passes(error):
            raise
        return False
    return True


async def _story(server: Server, found: Node) -> list[_Line]:
    try:
        story = await server.get(f"/master/story?agent_id={found.id}", _Story)
    except AnswerError:
        return []  # Apache Mesos keeps none
    return story.agent[-_LAST:]


def _confirm_gone(found: Node) -> None:
    what = f"{found.id} ({found.hostname})" if found.hostname else found.id
    click.confirm(f"Node {what} can't come back then, and volumes on it are lost. Go on?", abort=True)


def _confirm_drain(found: Node, gone: bool) -> None:
    end = f"All tasks on {found.id} ({found.hostname}) end, which can't be called off"
    more = "; then it can't come back, and volumes on it are lost" if gone else ""
    click.confirm(f"{end}{more}. Go on?", abort=True)


def _duration(grace: Nanoseconds) -> dict[str, int]:
    return {"seconds": grace.nanoseconds // 10**9, "nanos": grace.nanoseconds % 10**9}


def _used(one: Node, name: str) -> str:
    have, used = amounts.number(one.resources, name), amounts.number(one.used_resources, name)
    if name == "cpus":
        return f"{used:g} of {have:g}"
    return f"{output.amount(used)} of {output.amount(have)}"


def _print(one: Node, schedule: Schedule) -> None:
    drain = one.drain_info
    away = schedule.window_of(one.hostname, one.machine.ip)
    attributes = ", ".join(f"{name}={value}" for name, value in one.attributes.items())
    facts = (
        ("id", one.id),
        ("host", one.hostname),
        ("address", one.address),
        ("state", one.state),
        ("draining", f"since {output.moment(one.estimated_drain_start_time_seconds)}{_limit(drain)}" if drain else ""),
        ("maintenance", away.shown() if away else ""),
        ("registered", output.moment(one.registered_time)),
        ("version", one.version),
        ("attributes", attributes),
        ("cpus", _used(one, "cpus")),
        ("memory", _used(one, "mem")),
        ("disk", _used(one, "disk")),
        ("ports", str(one.resources.get("ports", ""))),
    )
    for name, value in facts:
        if value:
            click.echo(f"{name:<12} {value}")
    for role, held in one.reserved_resources.items():
        click.echo(f"reserved     for {role}: {amounts.shown(held)}")
        for part in one.reserved_resources_full.get(role, ()):
            if part.volume:
                click.echo(f"volume       {part.volume} of {role}: {output.amount(part.scalar.value)}")


def _limit(drain: Any) -> str:
    grace = drain.config.max_grace_period
    return f", at most {grace.seconds:g} s for each task" if grace is not None else ""


def _print_tasks(found: Node, state: MasterState) -> None:
    rows: list[tuple[TaskState, str]] = [
        (task, framework.name)
        for framework in state.frameworks
        for task in framework.tasks
        if task.slave_id == found.id
    ]
    click.echo()
    output.table(
        ["TASK", "FRAMEWORK", "STATE", "SINCE", "#CPUS", "#MEMORY"],
        [
            (
                task.id,
                framework,
                task.state.removeprefix("TASK_").lower(),
                output.age(task.since),
                f"{amounts.number(task.resources, 'cpus'):g}",
                output.amount(amounts.number(task.resources, "mem")),
            )
            for task, framework in rows
        ],
        "No tasks.",
    )
    click.echo()
