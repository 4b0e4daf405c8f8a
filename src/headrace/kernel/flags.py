"""What the command lines of all daemons have in common.

A mistake is one line that names the flag, never a page of usage; --help shows the defaults; a flag that must say
something says something: ``--host "$UNSET"`` is a mistake, not the wish to listen everywhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import NoReturn

from headrace.kernel.daemon import UserError


class _Help(argparse.HelpFormatter):
    """Appends the default to what does not tell it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text, default = action.help or "", action.default
        if default in (None, "", False, argparse.SUPPRESS) or "(default" in text or "; default: " in text:
            return text
        told = f"{default:g}" if isinstance(default, float) else str(default)
        return f"{text} (default {told.replace('%', '%%')})"


class Parser(argparse.ArgumentParser):
    """Reads a command line; a mistake is a UserError."""

    def __init__(self, prog: str, description: str) -> None:
        # with a width of its own, argparse does not import shutil, which would cost 0.7 MB for good
        super().__init__(
            prog, description=description, allow_abbrev=False, formatter_class=lambda prog: _Help(prog, width=100)
        )

    def error(self, message: str) -> NoReturn:
        """Raise the UserError."""
        raise UserError(f"{message}; --help lists the flags")


def not_empty(given: argparse.Namespace, names: Iterable[str]) -> None:
    """Raise UserError if one of these flags was given without a value; None: it was not given."""
    for name in names:
        value = getattr(given, name)
        if isinstance(value, str) and not value.strip():
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} is empty (an unset variable?); give it a value, or leave it out")


def port(flag: str, text: str) -> int:
    """A port to listen on; 0 means a free one. Raises UserError."""
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise UserError(f"{flag} {text!r} is not understood; give a port from 0 to 65535")
    return int(text)
