"""``headrace cluster …`` and ``headrace doctor``: masters and agents on several machines."""

from __future__ import annotations

import click

_ANY_FLAGS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(context_settings=_ANY_FLAGS, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def cluster(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Start and stop a master and agents on several machines."""
    from headrace.deploy.command import main

    ctx.exit(main(list(arguments)))


@click.command(context_settings=_ANY_FLAGS, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def doctor(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Find out what is blocked or wrong."""
    from headrace.deploy.doctor import main

    ctx.exit(main(list(arguments)))
