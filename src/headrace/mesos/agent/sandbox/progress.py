"""Tells in a sandbox's ``stderr`` what is fetched into it: the beginning, how far it is, the end."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from headrace.kernel.output_file import open_output
from headrace.mesos.agent.flags.units import readable_size

EVERY = 3.0
"""Seconds between two words about the same file."""


class Progress:
    """Of one URI of one task. ``clock`` in seconds, of any beginning."""

    def __init__(self, sandbox: Path, uri: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = sandbox / "stderr"
        self._uri = uri
        self._clock = clock
        self._began = self._told = clock()
        self._total = 0
        self._say(f"Fetching URI '{uri}'")

    def size(self, total: int) -> None:
        """So many bytes will come."""
        self._total = total

    def at(self, done: int) -> None:
        """So many bytes are there."""
        now = self._clock()
        if now - self._told < EVERY:
            return
        self._told = now
        speed = f"{readable_size(done / (now - self._began))}/s"
        share = f" of {readable_size(self._total)} ({100 * done // self._total} %)" if self._total else ""
        self._say(f"Fetching URI '{self._uri}': {readable_size(done)}{share}, {speed}")

    def ended(self, how: str, size: int) -> None:
        """It is there; ``how`` it came."""
        seconds = self._clock() - self._began
        self._say(f"{how} URI '{self._uri}' in {seconds:.2f} s, {readable_size(size)} ({size} bytes)")

    def failed(self, message: str) -> None:
        """It can't be fetched."""
        self._say(message)

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError), os.fdopen(open_output(self._file), "wb", 0) as out:
            out.write(f"{line}\n".encode(errors="backslashreplace"))


class Listeners:
    """Several tasks that wait for the same file. ``reserve`` is told the size first, and may refuse."""

    def __init__(self, reserve: Callable[[int], None]) -> None:
        self._reserve = reserve
        self._total = 0
        self.all: list[Progress] = []

    def add(self, progress: Progress) -> None:
        """One more waits."""
        progress.size(self._total)
        self.all.append(progress)

    def size(self, total: int) -> None:
        """So many bytes will come."""
        self._reserve(total)
        self._total = total
        for progress in self.all:
            progress.size(total)

    def at(self, done: int) -> None:
        """So many bytes are there."""
        for progress in self.all:
            progress.at(done)
