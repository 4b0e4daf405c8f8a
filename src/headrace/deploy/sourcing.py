"""Reads what a shell file exports, by this machine's shell."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from headrace.kernel.daemon import UserError

_SCRIPT = '. "$1" >&2 || exit; exec cat /proc/self/environ'
_OWN = ("_", "SHLVL", "PWD", "OLDPWD")


def sourced(file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment after ``file`` has been sourced. Raises UserError with what the shell says of the file."""
    done = subprocess.run(  # noqa: S603 - the file is the operator's own; its name is an argument
        ["/bin/sh", "-c", _SCRIPT, "sh", str(file.absolute())],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {done.returncode}"]
        raise UserError(f"{file} can't be sourced: {said[-1]}")
    pairs = (pair.partition("=") for pair in done.stdout.decode("utf-8", "surrogateescape").split("\0"))
    found = {name: value for name, found, value in pairs if found}
    return {name: value for name, value in found.items() if name not in _OWN or name in environment}
