"""The demo as a short-lived child of ``headrace up``, so that what it needs leaves with it.

It shares the terminal but not the session: Ctrl-C reaches ``up`` alone, which ends it. Its standard
input brings it one line, the addresses once the cluster is up; the end of the input means that
``up`` is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable

import msgspec

from headrace.cli.up.addresses import Addresses
from headrace.cli.up.settings import DemoSettings, Settings
from headrace.cli.up.terminal import Terminal


class DemoChild:
    """Starts the demo, hands it the addresses, learns how it ended."""

    def __init__(self, demo: DemoSettings, settings: Settings, terminal: Terminal) -> None:
        self._demo = demo
        self._settings = settings
        self._terminal = terminal
        self._pid = 0
        self._stop: Callable[[int], None] | None = None
        self._gone = asyncio.Event()
        read_end, self._pipe = os.pipe2(os.O_CLOEXEC)
        self._read_end = read_end

    def start(self, stop: Callable[[int], None]) -> None:
        """Start it; ``stop`` is called with an exit status when the whole cluster is to end."""
        self._stop = stop
        argument = msgspec.json.encode(self._settings).decode()
        self._pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "headrace.cli.demo", argument],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, self._read_end, 0)],
            setsid=True,
            setsigmask=[],
        )
        os.close(self._read_end)
        self._pidfd = os.pidfd_open(self._pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    def cluster_ready(self, addresses: Addresses) -> None:
        """Tell it where everything listens."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, msgspec.json.encode(addresses) + b"\n")

    def end(self) -> None:
        """It is to stop at once, and how it ends no longer matters; no error if it has ended."""
        self._stop = None
        if self._pid:
            os.kill(self._pid, signal.SIGTERM)

    def interrupt(self) -> None:
        """The user wants all to end."""
        self.end()
        self._terminal.quiet = False
        self._terminal.stopping()

    async def gone(self) -> None:
        """Return when its process is no more."""
        await self._gone.wait()

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        os.close(self._pidfd)
        self._terminal.quiet = False
        self._gone.set()
        code = os.waitstatus_to_exitcode(status)
        if self._stop is not None and (code != 0 or self._demo.once):
            self._stop(0 if code == 0 else 1)
