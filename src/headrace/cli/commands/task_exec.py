"""``headrace task exec`` and ``attach``: commands in the containers of tasks, with or without a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import click

from headrace.cli.api import NOT_THERE, AnswerError, CommandError, Server
from headrace.cli.keyboard import Keyboard, raw, size
from headrace.cli.options import master_option, master_server, run
from headrace.cli.sessions import Attached, Containers
from headrace.cli.tasks import find_task
from headrace.gateway.overview import MasterState
from headrace.kernel.http import HttpClient
from headrace.mesos.messages.common import CommandInfo, ContainerID, Environment, EnvironmentVariable

DETACH = b"\x10\x11"
"""Ctrl-P Ctrl-Q."""
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED = 130


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--interactive", "-i", is_flag=True, help="Hand stdin on to the command.")
@click.option("--tty", "-t", is_flag=True, help="Give the command a terminal; with -i Ctrl-C goes to it, too.")
@click.option("--user", "-u", metavar="NAME", help="Run it as this user instead of the task's.")
@click.option("--env", "-e", "variables", multiple=True, metavar="NAME=VALUE", help="A variable for it; several times.")
@master_option
@click.argument("task_id", metavar="TASK")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_command(
    interactive: bool,
    tty: bool,
    user: str | None,
    variables: tuple[str, ...],
    master: str,
    task_id: str,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND in the container of TASK (its id, or the beginning of it): as its user, with its variables, in its
    sandbox. Ends with COMMAND's exit status, 128 + n if signal n has ended it."""
    info = _command(command, user, variables, tty)

    async def work(http: HttpClient) -> int:
        containers, parent = await _container(master, task_id, http)
        attached = await containers.launch(parent, info, size(), tty)
        if interactive or tty:
            await _talk(attached, Keyboard(typed=interactive, sizes=tty), tty and interactive)
        else:
            await attached.talk(_no_input(), _write)
        return _exit_code(await attached.exit_status())

    raise SystemExit(_run(work))


@click.command()
@click.option("--no-stdin", is_flag=True, help="Only look.")
@click.option("--container", "name", metavar="NAME", help="A command's that runs in the task's container.")
@master_option
@click.argument("task_id", metavar="TASK")
def attach(no_stdin: bool, name: str | None, master: str, task_id: str) -> None:
    """Attach to a command that was started in TASK by `headrace task exec`, or to TASK itself if it has a terminal.

    Ctrl-P Ctrl-Q leaves it alone again.
    """

    async def work(http: HttpClient) -> int:
        containers, parent = await _container(master, task_id, http)
        attached = await _attached(containers, parent, name)
        if no_stdin:
            await attached.talk(None, _write)
        else:
            await _talk(attached, Keyboard(typed=True, sizes=True, detach=DETACH), True)
        return 0

    raise SystemExit(_run(work))


def _run(work: Callable[[HttpClient], Coroutine[Any, Any, int]]) -> int:
    try:
        return run(work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _INTERRUPTED


async def _no_input() -> AsyncIterator[bytes]:
    """The end at once: a command that reads must not wait for what will never come."""
    yield b""


async def _talk(attached: Attached, keyboard: Keyboard, every_key: bool) -> None:
    """Until the command ends, or the keys to detach are typed."""

    def taken() -> None:
        keyboard.mute()
        _write("STDERR", b"headrace: somebody else types there; looking on until Ctrl-P Ctrl-Q\r\n")

    with raw() if every_key else contextlib.nullcontext():
        may_look_on = taken if keyboard.detaches else None
        talking = asyncio.create_task(attached.talk(keyboard, _write, may_look_on))
        leaving = asyncio.create_task(keyboard.detached.wait())
        loop = asyncio.get_running_loop()
        for number in _ENDING:  # the terminal has to be as it was
            loop.add_signal_handler(number, talking.cancel)
        try:
            await asyncio.wait((talking, leaving), return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                talking.result()
        finally:
            for task in (talking, leaving):
                task.cancel()
            await asyncio.gather(talking, leaving, return_exceptions=True)
            for number in _ENDING:
                loop.remove_signal_handler(number)


async def _container(master: str, task_id: str, http: HttpClient) -> tuple[Containers, ContainerID]:
    state = await master_server(master, http).get("/master/state", MasterState)
    task, agent = find_task(state, task_id)
    containers = Containers(Server(f"The agent {agent.hostname}", agent.url, http), http)
    return containers, await containers.of_task(task.framework_id, task.id)


async def _attached(containers: Containers, parent: ContainerID, name: str | None) -> Attached:
    """The command that is meant. Raises CommandError."""
    nested = await containers.nested_in(parent)
    found = [one for one in nested if one.value.startswith(name or "")]
    if len(found) == 1:
        return await containers.attach(found[0])
    if found:
        raise CommandError(f"give --container: {_listed(found)}")
    if name is not None:
        raise CommandError(f"there is no container {name} in that of the task; {_listed(nested)}", NOT_THERE)
    try:
        return await containers.attach(parent)
    except AnswerError as error:
        why = "the task has no terminal, and `headrace task exec` runs nothing in it"
        raise CommandError(f"{why} ({error})") from None


def _listed(nested: list[ContainerID]) -> str:
    return f"there run {', '.join(one.value for one in nested)}" if nested else "none runs there"


def _command(command: tuple[str, ...], user: str | None, variables: tuple[str, ...], tty: bool) -> CommandInfo:
    given = {"TERM": os.environ["TERM"]} if tty and "TERM" in os.environ else {}
    for text in variables:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{text!r} is no variable with its value; give it as NAME=VALUE", param_hint="-e")
        given[name] = value
    environment = Environment([EnvironmentVariable(name, value) for name, value in given.items()]) if given else None
    return CommandInfo(command[0], False, list(command), environment, user=user)


def _exit_code(status: int | None) -> int:
    """As a shell has it."""
    if status is None:
        raise CommandError("nobody can tell how the command ended: its task has ended, too")
    number = status & 0x7F
    return 128 + number if number else status >> 8 & 0xFF


def _write(kind: str, data: bytes) -> None:
    stream = sys.stderr if kind == "STDERR" else sys.stdout
    stream.buffer.write(data)
    stream.buffer.flush()
