"""What commands print: tables for people, JSON for programs. rich is imported when a table is drawn."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec

_TONES = {"running": "green", "finished": "dim", "killed": "dim", "healthy": "green", "active": "green"}
_BAD = ("failed", "lost", "error", "unhealthy", "gone", "unreachable", "disconnected", "does not answer")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> None:
    """A table; a column whose name begins with ``#`` holds numbers. ``nothing`` is said of an empty one."""
    from rich.console import Console  # heavy, so only when a table is drawn
    from rich.markup import escape
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    for column in columns:
        number = column.startswith("#")
        grid.add_column(column.lstrip("#"), justify="right" if number else "left", overflow="fold")
    count = 0
    for row in rows:
        grid.add_row(*(_toned(escape(str(value))) for value in row))
        count += 1
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width to fit into
    if count:
        console.print(grid)
    else:
        click.echo(nothing)


def json(value: Any) -> None:
    """Indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def age(since: float) -> str:
    """How long ago, short; empty for no time."""
    if not since:
        return ""
    seconds = max(0, time.time() - since)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size * 1.5:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(at: float) -> str:
    """A time of this machine's clock, to the second; empty for none."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""


def span(start: float, seconds: float | None) -> str:
    """From when on, and for how long."""
    return f"from {moment(start)}" + (f" for {length(seconds)}" if seconds is not None else ", without an end")


def length(seconds: float) -> str:
    """A time in the largest units that it is made of: ``2 h``, ``1 h 30 min``, ``90.5 s``."""
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        count, seconds = divmod(seconds, size)
        parts += [f"{count:g} {unit}"] if count else []
    return " ".join([*parts, f"{seconds:g} s"] if seconds or not parts else parts)


def amount(mib: float) -> str:
    """Memory for people."""
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"


def _toned(text: str) -> str:
    tone = _TONES.get(text) or ("red" if any(word in text for word in _BAD) else "")
    return f"[{tone}]{text}[/]" if tone else text
