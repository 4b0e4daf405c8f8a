"""``headrace flink archive``: what makes JVMs start faster, made once for a Flink and a Java."""

from __future__ import annotations

import asyncio
import os
import time

import click

from headrace.cli.api import CommandError
from headrace.flink.options import parse_arguments


@click.command()
@click.option("-D", "settings", multiple=True, metavar="KEY=VALUE", help="Where Flink and Java are, as for a cluster.")
@click.option("--again", is_flag=True, help="Make them even if they are there.")
def archive(settings: tuple[str, ...], again: bool) -> None:
    """Make the archives of classes with which Flink's JVMs start faster.

    Once for each Flink and each Java, by the user who runs the clusters, on each machine that runs a JobManager;
    TaskManagers get theirs with Flink. It takes a minute and 2 GB of memory. They are kept in $HEADRACE_CACHE,
    else in ~/.cache/headrace.
    """
    from headrace.flink.archive_build import build  # not small

    began = time.monotonic()

    def tell(text: str) -> None:
        click.echo(f"[{time.monotonic() - began:3.0f} s] {text}")

    options = parse_arguments([f"-D{setting}" for setting in settings])
    try:
        made = asyncio.run(build(options, os.environ, tell, again=again))
    except OSError as error:
        raise CommandError(f"the archives can't be made: {error}") from None
    for path in (part.path for one in made for part in one.parts):
        tell(f"{path} ({path.stat().st_size / 1e6:.0f} MB)")
