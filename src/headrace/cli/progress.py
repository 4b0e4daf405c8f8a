"""What a command waits for, on stderr: a line that changes and a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Tell = Callable[[str], None]

_WORTH_TELLING = 1024 * 1024


@contextmanager
def waiting(first: str = "", *, only_on_terminal: bool = False, quiet: bool = False) -> Iterator[Tell]:
    """Gives what is told that the wait is for something else now; the same twice is shown once."""
    if quiet or (only_on_terminal and not _on_terminal()):
        yield lambda text: None
        return
    if _on_terminal():
        from rich.console import Console  # heavy, and only needed here
        from rich.markup import escape

        with Console(stderr=True, highlight=False).status(escape(first)) as status:
            yield lambda text: status.update(escape(text))
        return
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        if text and text != last:
            click.echo(f"  {text}", err=True)
        last = text

    tell(first)
    yield tell


@contextmanager
def sending(what: str, size: int, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Gives what is told of bytes that have gone, of ``size`` in all; any thread may tell."""
    if quiet or not _on_terminal():
        if size >= _WORTH_TELLING and not quiet:
            click.echo(f"  uploading {what} ({size / _WORTH_TELLING:.1f} MiB)", err=True)
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("uploading {task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(what, total=size)
        yield lambda count: bars.update(bar, advance=count)


def _on_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb"
