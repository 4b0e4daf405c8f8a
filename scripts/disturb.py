"""Runs a command while its processes are stopped and continued at random: races of tests and daemons show themselves.

    python -m scripts.disturb [--seed N] [--longest MS] -- .venv/bin/pytest tests/cluster/test_agent_tasks.py

Stopped are the command and all that descends from it, one process at a time, also what has lost its parent since; not
what is stopped already, by a test.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LEFT_ALONE = {"bash", "sleep", "dockerd", "containerd"}
"""A shell with job control would take a stop for an order; the engine is everybody's."""
STOPS_MS = (20, 100)
"""Short stops, as often as the long ones."""
PAUSE = 0.1
"""Seconds at the most between two stops."""


class Process(NamedTuple):
    """What the kernel says of one; the state ``T`` is stopped."""

    name: str
    state: str
    parent: int


class Family:
    """The processes that descend from one."""

    def __init__(self, root: int) -> None:
        self._known = {root}

    def living(self) -> list[int]:
        """The ids of those that may be stopped."""
        found = dict(_processes())
        grown = True
        while grown:
            children = {pid for pid, process in found.items() if process.parent in self._known}
            grown = not children <= self._known
            self._known |= children
        self._known &= found.keys()
        return sorted(pid for pid in self._known if found[pid].state != "T" and found[pid].name not in LEFT_ALONE)


def _processes() -> list[tuple[int, Process]]:
    """Each process by its id."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                before, _, after = (directory / "stat").read_text().rpartition(")")
                state, parent, *_ = after.split()
                found.append((int(directory.name), Process(before.partition("(")[2], state, int(parent))))
    return found


def disturb(command: list[str], seed: int, longest_ms: int) -> int:
    """The command's exit status; how often its processes were stopped goes to stderr."""
    chance = random.Random(seed)
    stops = 0
    with subprocess.Popen(command) as root:  # noqa: S603 - whoever calls this says what
        family = Family(root.pid)
        while root.poll() is None:
            if processes := family.living():
                milliseconds = chance.choice((*STOPS_MS, chance.uniform(0, longest_ms)))
                stops += _stop(chance.choice(processes), milliseconds / 1000)
            time.sleep(chance.uniform(0, PAUSE))
        sys.stderr.write(f"{stops} stops with seed {seed}; exit status {root.returncode}\n")
        return root.returncode


def _stop(pid: int, seconds: float) -> bool:
    """Stop a process for a while; whether it was there."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a command while its processes are stopped at random.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=int, default=800, help="milliseconds that a stop may last (default: 800)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command, after --")
    given = parser.parse_args()
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        parser.error("give a command after --")
    sys.exit(disturb(command, given.seed, given.longest))


if __name__ == "__main__":
    main()
