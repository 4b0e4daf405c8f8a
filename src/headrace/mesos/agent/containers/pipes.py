"""The agent's ends of a command's pipes, or of its terminal: reads when it may, writes when it can, never blocks."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Callable, Iterable

from headrace.mesos.agent.containers.session import STDERR, STDOUT

_READ = 64 * 1024
_LAST_READS = 32
"""More than a pipe holds: somebody who got away may still write."""


class Pipes:
    """``ends``: what the command has as its input, output and error output; with a terminal they are one.

    Nothing is read before ``flow``. Raises OSError if there are no descriptors left.
    """

    def __init__(self, terminal: bool, wrote: Callable[[str, bytes], None]) -> None:
        self._wrote = wrote
        self._flowing = False
        self._room: asyncio.Future[None] | None = None
        self._terminal: int | None = None
        if terminal:
            self._terminal, slave, self._input = _opened_terminal()
            self.ends, self._readers = [slave], {self._terminal: STDOUT}
        else:
            given, self._input, out, put, err, put_err = _opened_pipes()
            self.ends = [given, put, put_err]
            self._readers = {out: STDOUT, err: STDERR}
        for fd in (self._input, *self._readers):
            os.set_blocking(fd, False)

    def started(self) -> None:
        """The command has its ends, or never will: let go of them."""
        _close(self.ends)
        self.ends = []

    def flow(self, on: bool) -> None:
        """Read, or let the command wait."""
        if on == self._flowing:
            return
        self._flowing = on
        loop = asyncio.get_running_loop()
        for fd in self._readers:
            if on:
                loop.add_reader(fd, self._read, fd)
            else:
                loop.remove_reader(fd)

    def resize(self, rows: int, columns: int) -> None:
        """The terminal's size; nothing without one."""
        if self._terminal is not None:
            with contextlib.suppress(OSError, struct.error):
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def write(self, data: bytes) -> None:
        """Input for the command, as fast as it takes it."""
        while data and self._input >= 0:
            try:
                data = data[os.write(self._input, data) :]
            except BlockingIOError:
                await self._until_room()
            except OSError:  # it has closed its input
                self.close_input()

    def close_input(self) -> None:
        """The end of the command's input; with a terminal it is the client that sends a character for it."""
        fd, self._input = self._input, -1
        if fd >= 0:
            if self._room is not None:
                asyncio.get_running_loop().remove_writer(fd)
                self._room.cancel()
            os.close(fd)

    def drain(self) -> None:
        """What is there to read, without waiting for more; then close everything."""
        for fd in list(self._readers):
            for _ in range(_LAST_READS):
                if fd not in self._readers or not self._read(fd):
                    break
        self.close()

    def close(self) -> None:
        """Close everything."""
        self.flow(False)
        self.started()
        self.close_input()
        _close(self._readers)
        self._readers = {}
        self._terminal = None

    def _read(self, fd: int) -> bool:
        """Whether there was anything."""
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the terminal any more
            data = b""
        if data:
            self._wrote(self._readers[fd], data)
            return True
        if self._flowing:
            asyncio.get_running_loop().remove_reader(fd)
        if fd == self._terminal:
            self._terminal = None
        del self._readers[fd]
        os.close(fd)
        return False

    async def _until_room(self) -> None:
        loop = asyncio.get_running_loop()
        self._room = room = loop.create_future()
        fd = self._input

        def there_is() -> None:
            if not room.done():
                room.set_result(None)

        loop.add_writer(fd, there_is)
        try:
            await asyncio.wait((room,))
        finally:
            self._room = None
            if self._input == fd:
                loop.remove_writer(fd)


def _opened_terminal() -> tuple[int, int, int]:
    """Master and slave of a terminal, and the master once more. Raises OSError, and nothing is open then."""
    ends = os.openpty()
    try:
        return (*ends, os.dup(ends[0]))
    except OSError:
        _close(ends)
        raise


def _opened_pipes() -> list[int]:
    """The ends of three pipes, each from where it is read. Raises OSError, and nothing is open then."""
    ends: list[int] = []
    try:
        for _ in range(3):
            ends += os.pipe()
    except OSError:
        _close(ends)
        raise
    return ends


def _close(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        os.close(fd)
