"""Runs a program on a machine: here, or by the ``ssh`` on PATH. Words stay words: they are quoted for that shell."""

from __future__ import annotations

import asyncio
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence

import msgspec

from headrace.kernel.daemon import UserError

DEFAULT_SSH_OPTIONS = "-o BatchMode=yes -o ConnectTimeout=5"
_SSH_FAILED = 255
_NO_SUCH_PROGRAM = 127


class Way(msgspec.Struct, frozen=True):
    """How machines are reached: from mesos-deploy-env.sh. ``python`` has Headrace, on every machine."""

    ssh_options: tuple[str, ...]
    sudo: bool
    python: str

    @classmethod
    def of(cls, environment: Mapping[str, str], *, sudo: bool = False) -> Way:
        """SSH_OPTS, DEPLOY_WITH_SUDO and HEADRACE_PYTHON. Raises UserError."""
        options = environment.get("SSH_OPTS") or environment.get("DEPLOY_OPTS") or DEFAULT_SSH_OPTIONS
        try:
            words = tuple(shlex.split(options))
        except ValueError as error:
            raise UserError(f"SSH_OPTS {options!r} can't be split into words: {error}") from None
        with_sudo = sudo or environment.get("DEPLOY_WITH_SUDO", "") not in ("", "0")
        return cls(words, with_sudo, environment.get("HEADRACE_PYTHON") or sys.executable)

    def command(self, machine: str, words: Sequence[str], *, here: bool) -> list[str]:
        """What is executed here to run ``python WORDS`` there."""
        there = [*(("sudo", "-n") if self.sudo else ()), self.python, *words]
        return there if here else ["ssh", *self.ssh_options, "--", machine, shlex.join(there)]


class Outcome(msgspec.Struct, frozen=True):
    """What became of a program on a machine. ``trouble``: why it did not run to its end; empty if it did."""

    output: str
    trouble: str = ""


def is_here(machine: str) -> bool:
    """Whether it is this machine, which needs no ssh: localhost, or its own name."""
    return machine in ("localhost", "127.0.0.1", "::1", socket.gethostname(), socket.getfqdn())


async def run(way: Way, machine: str, words: Sequence[str], timeout: float) -> Outcome:
    """Run it, and collect what it writes."""
    here = is_here(machine)
    argv = way.command(machine, words, here=here)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        return Outcome("", f"{argv[0]} can't be run: {error.strerror}")
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return Outcome("", f"no answer within {timeout:g} s")
    status = process.returncode or 0
    if status == 0:
        return Outcome(out.decode("utf-8", "replace"))
    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    said = lines[-1] if lines else f"status {status}, and nothing was said"
    if status == _SSH_FAILED and not here:
        return Outcome("", f"ssh: {said.removeprefix('ssh: ')}")
    if status == _NO_SUCH_PROGRAM or "No module named 'headrace" in said or "No module named headrace" in said:
        said += f"; Headrace must be there as {way.python}, or HEADRACE_PYTHON in mesos-deploy-env.sh say where it is"
    return Outcome("", said)
