"""A daemon as a child process: started in a session of its own, watched by pidfd, logging to a file.

The ready line is read from its stdout; everything else that it writes there goes to the log as
well. Signals are safe: a child's process id is not given away before we have collected its status.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from headrace.kernel.daemon import Ready, read_ready

_TAIL = 16 * 1024


class DaemonProcess:
    """One run of one daemon. ``on_exit`` gets the exit status, negative for a signal."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        on_ready: Callable[[Ready], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._log = log
        self._on_ready = on_ready
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._log_fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._log_start = os.fstat(self._log_fd).st_size
        self._stdout, child_stdout = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(child_stdout, True)
        try:
            self.pid = os.posix_spawn(
                argv[0],
                list(argv),
                dict(environment),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, child_stdout, 1),
                    (os.POSIX_SPAWN_DUP2, self._log_fd, 2),
                ],
                setsid=True,
                setsigmask=[],
            )
        finally:
            os.close(child_stdout)
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._stdout, self._read)
        self._loop.add_reader(self._pidfd, self._ended)

    def signal(self, number: int) -> None:
        """Send a signal; the daemon has not been collected yet, so the id is still its own."""
        os.kill(self.pid, number)

    def last_words(self) -> str:
        """The last line that this run logged; empty if it logged nothing."""
        with self._log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, size - _TAIL))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def _read(self) -> None:
        try:
            data = os.read(self._stdout, 65536)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._stdout)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            ready = read_ready(line.decode("utf-8", "replace"))
            if ready is not None:
                self._on_ready(ready)
            else:
                os.write(self._log_fd, line + b"\n")

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        with contextlib.suppress(OSError):
            self._read()
        self._loop.remove_reader(self._stdout)
        _, status = os.waitpid(self.pid, 0)
        for descriptor in (self._pidfd, self._stdout, self._log_fd):
            os.close(descriptor)
        self._on_exit(os.waitstatus_to_exitcode(status))
