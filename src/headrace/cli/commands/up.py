"""``headrace up``: checks what was asked and becomes the lean process that does it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from headrace.cli.options import cluster_options
from headrace.cli.up.settings import Settings

_HIGHEST = 65535


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where state, sandboxes and logs go.  [default: ~/.local/share/headrace]",
)
@cluster_options
def up(data: Path | None, **asked: Any) -> None:
    """Run master, agents, Marathon and the gateway on this machine until Ctrl-C.

    Ctrl-C ends all tasks and daemons; the state stays, so apps come back with the next start.
    """
    become(Settings(data=str((data or default_data()).absolute()), **asked))


def become(settings: Settings) -> None:
    """Replace this process by the one that runs the cluster: it stays, so it must be small."""
    if settings.agent_port and settings.agent_port + settings.agents - 1 > _HIGHEST:
        raise click.UsageError(f"--agent-port {settings.agent_port} leaves no ports for {settings.agents} agents")
    sys.stdout.flush()
    argument = msgspec.json.encode(settings).decode()
    os.execv(sys.executable, [sys.executable, "-m", "headrace.cli.up", argument])  # noqa: S606 - no shell


def default_data() -> Path:
    """``$XDG_DATA_HOME/headrace``, by default below the home directory."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "headrace"
