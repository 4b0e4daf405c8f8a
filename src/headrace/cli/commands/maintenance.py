"""``headrace maintenance …``: the schedule of planned maintenance, and machines that are down for it."""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import Any, BinaryIO

import click
import msgspec

from headrace.cli import output
from headrace.cli.api import CommandError, Server
from headrace.cli.nodes import (
    MachineId,
    Nanoseconds,
    Nodes,
    Schedule,
    Unavailability,
    Window,
    find_machine,
)
from headrace.cli.options import Finite, json_option, master_option, master_server, run
from headrace.gateway.overview import MasterState
from headrace.kernel.http import HttpClient

_SCHEDULE = "/maintenance/schedule"

machines_argument = click.argument("names", metavar="MACHINE…", nargs=-1, required=True)


class _FrameworkId(msgspec.Struct, frozen=True):
    value: str = ""


class _Answer(msgspec.Struct):
    status: str = ""
    framework_id: _FrameworkId = _FrameworkId()


class _Draining(msgspec.Struct):
    id: MachineId = MachineId()
    statuses: list[_Answer] = []


class _Status(msgspec.Struct):
    draining_machines: list[_Draining] = []
    down_machines: list[MachineId] = []


def _time(_context: click.Context, parameter: click.Parameter, given: str) -> float:
    """``now``, ``+SECONDS``, or as ISO 8601 writes it; epoch seconds."""
    if given == "now":
        return time.time()
    try:
        if given.startswith("+"):
            seconds = float(given[1:])
            if math.isfinite(seconds):
                return time.time() + seconds
        else:
            return datetime.fromisoformat(given).timestamp()
    except (ValueError, OverflowError):
        pass
    why = f"{given!r} is no time; give now, +3600 (seconds from now), or 2026-11-21T14:00"
    raise click.BadParameter(why, param=parameter)


@click.group()
def maintenance() -> None:
    """Planned maintenance. MACHINE is a host name, an address, HOST@IP, or the id of an agent on it."""


@maintenance.command()
@master_option
@json_option
def status(master: str, as_json: bool) -> None:
    """Show what is planned, what is down, and what frameworks have answered."""

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        planned = await server.get(_SCHEDULE, dict[str, Any])
        now = await server.get("/maintenance/status", dict[str, Any])
        if as_json:
            output.json({"schedule": planned, "status": now})
            return
        state = await server.get("/master/state", MasterState)
        _print(msgspec.convert(planned, Schedule), msgspec.convert(now, _Status), state)

    run(work)


@maintenance.command()
@click.argument("names", metavar="[MACHINE…]", nargs=-1)
@click.option(
    "--start", callback=_time, default="now", show_default=True, metavar="TIME", help="now, +SECONDS, or ISO 8601."
)
@click.option("--duration", type=Finite(0), metavar="SECONDS", help="How long; else nobody knows.")
@click.option("--file", "file", type=click.File("rb"), metavar="FILE", help="A whole schedule as JSON instead.")
@master_option
def schedule(names: tuple[str, ...], start: float, duration: float | None, file: BinaryIO | None, master: str) -> None:
    """Plan when machines are away: they are added to what is planned already. Nothing is ended by this."""
    if bool(names) == (file is not None):
        raise click.UsageError("give machines, or a whole schedule with --file")

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        if file is not None:
            await server.call("POST", _SCHEDULE, file.read(), {"Content-Type": "application/json"})
            click.echo("the schedule is that of the file")
            return
        before, machines = await _machines(server, names)
        length = Nanoseconds(round(duration * 1e9)) if duration is not None else None
        window = Window(Unavailability(Nanoseconds(round(start * 1e9)), length), machines)
        await server.send("POST", _SCHEDULE, Schedule([*before.without(machines).windows, window]))
        click.echo(f"{_listed(machines)}: away {output.span(start, duration)}")

    run(work)


@maintenance.command()
@machines_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@master_option
def start(names: tuple[str, ...], yes: bool, master: str) -> None:
    """Take machines down that are scheduled: their agents end with all tasks, and none comes until `stop`."""

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        before, machines = await _machines(server, names)
        missing = [machine for machine in machines if machine not in before.machines()]
        if missing:
            raise CommandError(f"{_listed(missing)}: not scheduled; `headrace maintenance schedule` does that first")
        if not yes:
            click.confirm(f"All tasks on {_listed(machines)} end now. Go on?", abort=True)
        await server.send("POST", "/machine/down", machines)
        click.echo(f"{_listed(machines)}: down")

    run(work)


@maintenance.command()
@machines_argument
@master_option
def stop(names: tuple[str, ...], master: str) -> None:
    """Machines are up again and no longer scheduled; agents may come from there."""

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        _, machines = await _machines(server, names)
        await server.send("POST", "/machine/up", machines)
        click.echo(f"{_listed(machines)}: up")

    run(work)


@maintenance.command()
@click.argument("names", metavar="[MACHINE…]", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All machines.")
@master_option
def cancel(names: tuple[str, ...], every: bool, master: str) -> None:
    """Take machines out of the schedule that are not down yet."""
    if bool(names) == every:
        raise click.UsageError("name machines, or give --all")

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        before, machines = await _machines(server, names)
        if every:
            down = (await server.get("/maintenance/status", _Status)).down_machines
            machines = [machine for machine in before.machines() if machine not in down]
        missing = [machine for machine in machines if machine not in before.machines()]
        if missing:
            raise CommandError(f"{_listed(missing)}: not scheduled; `headrace maintenance status` shows what is")
        await server.send("POST", _SCHEDULE, before.without(machines))
        click.echo(f"{_listed(machines)}: no longer planned" if machines else "nothing is planned")

    run(work)


async def _machines(server: Server, names: tuple[str, ...]) -> tuple[Schedule, list[MachineId]]:
    """What is planned, and the machines that are meant. Raises CommandError."""
    nodes, planned = await server.get("/master/slaves", Nodes), await server.get(_SCHEDULE, Schedule)
    return planned, list(dict.fromkeys(find_machine(nodes, planned, name) for name in names))


def _listed(machines: list[MachineId]) -> str:
    return ", ".join(map(str, machines))


def _answers(one: _Draining, state: MasterState) -> str:
    """What frameworks have said of a machine's maintenance; those that have tasks there and say nothing, too."""
    said = {answer.framework_id.value: answer.status.lower() for answer in one.statuses}
    there = {agent.id for agent in state.slaves if one.id.is_of(agent.hostname, agent.ip)}
    asked = [f.id for f in state.frameworks if any(task.slave_id in there for task in f.tasks)]
    names = {framework.id: framework.name for framework in state.frameworks}
    both = dict.fromkeys([*said, *asked])
    return ", ".join(f"{names.get(one, one)}: {said.get(one, 'no answer')}" for one in both)


def _print(planned: Schedule, now: _Status, state: MasterState) -> None:
    answers = {one.id: _answers(one, state) for one in now.draining_machines}
    output.table(
        ["MACHINE", "STATE", "FROM", "FOR", "FRAMEWORKS' ANSWERS"],
        [
            (
                machine,
                "down" if machine in now.down_machines else "planned",
                output.moment(window.unavailability.start.seconds),
                _length(window.unavailability.duration),
                answers.get(machine) or "-",
            )
            for window in planned.windows
            for machine in window.machine_ids
        ],
        "No maintenance is planned.",
    )


def _length(duration: Nanoseconds | None) -> str:
    return output.length(duration.seconds) if duration is not None else "-"
