"""``headrace master``, ``agent`` and ``marathon``: become one daemon, for clusters of more than one machine."""

from __future__ import annotations

import os
import sys

import click

_ANY_FLAGS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def _daemon(name: str, module: str, about: str) -> click.Command:
    @click.command(name, context_settings=_ANY_FLAGS, add_help_option=False, help=about)
    @click.argument("flags", nargs=-1, type=click.UNPROCESSED)
    def command(flags: tuple[str, ...]) -> None:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", module, *flags])  # noqa: S606 - no shell

    return command


master = _daemon("master", "headrace.mesos.master", "Run a master.")
agent = _daemon("agent", "headrace.mesos.agent", "Run an agent.")
marathon = _daemon("marathon", "headrace.marathon", "Run a Marathon.")
