"""Amounts of resources as people write and read them: ``cpus:4;mem:8192``; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click

from headrace.cli import output

_AMOUNT = re.compile(r"\s*([a-z_][\w.-]*)\s*:\s*(\d+(?:\.\d+)?)\s*", re.IGNORECASE)


def read(_context: click.Context, parameter: click.Parameter, given: str | None) -> dict[str, float]:
    """The value of an option, by resource name: ``NAME:NUMBER;…``; memory and disk in MiB."""
    out: dict[str, float] = {}
    for text in re.split(r"[;,]", given) if given else ():
        found = _AMOUNT.fullmatch(text)
        if found is None:
            raise click.BadParameter(f"{text.strip()!r} is no amount; give amounts as cpus:4;mem:8192", param=parameter)
        if found[1] in out:
            raise click.BadParameter(f"{found[1]} is given twice", param=parameter)
        out[found[1]] = float(found[2])
    return out


def shown(amounts: Mapping[str, Any], nothing: str = "-") -> str:
    """Scalars in one line; what is zero is left out."""
    parts = []
    for name, value in amounts.items():
        if isinstance(value, int | float) and value:
            parts.append(f"{name} {output.amount(value) if name in ('mem', 'disk') else f'{value:g}'}")
    return ", ".join(parts) or nothing


def number(amounts: Mapping[str, Any], name: str) -> float:
    """One amount, 0 if there is none."""
    value = amounts.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
