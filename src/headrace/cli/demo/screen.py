"""What the demo prints: a line per phase; below them, on a terminal, what it waits for now."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.cli.api import CommandError
from headrace.cli.demo.phases import Phase, Phases

_QUIET = 4.0
"""Seconds without a line after which a log that is no terminal is told what is going on."""


class PhaseFailed(Exception):  # noqa: N818 - named as it is told
    """A phase can't be completed; the message says why."""

    def __init__(self, phase: Phase, message: str) -> None:
        super().__init__(message)
        self.phase = phase


class Screen:
    """Prints; ``run`` keeps the last line alive until cancelled."""

    def __init__(self, began: float) -> None:
        self._phases = Phases(began)
        self._terminal = sys.stdout.isatty()
        self._told = time.time()

    @contextmanager
    def phase(self, phase: Phase, what: str) -> Iterator[list[str]]:
        """A phase and what it waits for; the block may add to the list what its line is to tell.

        A CommandError in the block becomes PhaseFailed.
        """
        self._phases.waits(phase, what)
        detail: list[str] = []
        try:
            yield detail
        except CommandError as error:
            self.line(self._phases.failed(phase, time.time()))
            raise PhaseFailed(phase, str(error)) from None
        self.line(self._phases.done(phase, time.time(), ", ".join(detail)))

    def waits(self, phase: Phase, what: str) -> None:
        """What the phase waits for has changed."""
        self._phases.waits(phase, what)

    def line(self, text: str = "") -> None:
        """Print a line for good."""
        self.clear()
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        self._told = time.time()

    def clear(self) -> None:
        """Remove the line that is alive."""
        if self._terminal:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()

    async def run(self) -> None:
        """Keep telling what is waited for."""
        while True:
            await asyncio.sleep(0.1 if self._terminal else 1.0)
            now = time.time()
            text = self._phases.waiting(now)
            if self._terminal:
                width = shutil.get_terminal_size().columns - 1
                sys.stdout.write(f"\r\x1b[K\x1b[2m{text[:width]}\x1b[0m")
                sys.stdout.flush()
            elif text and now - self._told >= _QUIET:
                self.line(text)
