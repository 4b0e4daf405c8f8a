"""``headrace demo``: a cluster with a real Flink job; behind ``make run``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from headrace.cli.commands.up import become
from headrace.cli.options import cluster_options
from headrace.cli.up.settings import DemoSettings, Settings


@click.command()
@click.option("--once", is_flag=True, help="Check the result, stop everything, exit with 0 or 1.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".headrace"),
    show_default=True,
    help="Where state, sandboxes and logs go.",
)
@cluster_options
def demo(once: bool, data: Path, **asked: Any) -> None:
    """Run a cluster, a Flink session in it, and a SQL job over a year of flights from New York.

    Keeps running until Ctrl-C.
    """
    become(Settings(data=str(data.absolute()), demo=DemoSettings(once, time.time()), **asked))
