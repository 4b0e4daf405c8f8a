"""The ``headrace`` command: groups and options; what a command needs is imported when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from headrace import __version__
from headrace.cli.api import CommandError
from headrace.kernel.daemon import UserError

_COMMANDS = {
    "up": ("up", "Run a cluster on this machine until Ctrl-C."),
    "demo": ("demo", "Run a cluster with a Flink job on public flight data."),
    "status": ("status", "Show what runs: components, agents, frameworks, apps."),
    "app": ("app", "Apps of Marathon: list, show, history, create, update, scale, restart, destroy."),
    "deployment": ("deployment", "Deployments of Marathon: list, show."),
    "task": ("task", "Tasks: list, show, kill, logs, exec, attach."),
    "node": ("node", "Agents: list, show, drain, deactivate, reactivate, gone."),
    "role": ("sharing", "Roles: list them with what they hold."),
    "quota": ("sharing", "Quota of roles: list, set, update, remove."),
    "weight": ("sharing", "Weights of roles: list, set."),
    "maintenance": ("maintenance", "Planned maintenance: status, schedule, start, stop, cancel."),
    "master": ("daemon", "Run a master alone; --help shows its flags."),
    "agent": ("daemon", "Run an agent alone; --help shows its flags."),
    "marathon": ("daemon", "Run a Marathon alone; --help shows its flags."),
    "cluster": ("cluster", "Masters and agents on several machines: start, stop, status; --help shows more."),
    "doctor": ("cluster", "Find out what of a cluster is blocked or wrong: ports, names, clocks."),
    "package": ("package", "Packages of a Universe: render, install, uninstall, list."),
    "zookeeper": ("zookeeper", "Run a small ZooKeeper server from Flink's jars."),
    "flink": ("flink", "Flink clusters and jobs: session, job, sql, run, list, stop, savepoint, cancel, logs, ui."),
}


class _LazyGroup(click.Group):
    """Knows its commands' names and help; imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"headrace.cli.commands.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CommandError as error:
            click.ClickException(str(error)).show()
            raise click.exceptions.Exit(error.status) from None
        except UserError as error:
            raise click.UsageError(str(error)) from None


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="headrace")
def main() -> None:
    """Apache Flink on your own machines: Mesos, Marathon and Flink, without Kubernetes."""
