"""This side's terminal while a command runs elsewhere: raw if that command has one too, its size, what is typed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import AsyncIterator, Iterator

from headrace.cli.sessions import Input, Size

_READ = 32 * 1024
_AHEAD = 4
"""Pieces of input that may wait to be sent."""


def size() -> Size | None:
    """Of the terminal that this command writes to; None if that is none."""
    with contextlib.suppress(OSError, ValueError):
        found = os.get_terminal_size(sys.stdout.fileno())
        return Size(found.lines, found.columns)
    return None


@contextlib.contextmanager
def raw() -> Iterator[None]:
    """Hand every key on, Ctrl-C too; as it was afterwards. Does nothing if stdin is no terminal."""
    try:
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
    except (OSError, ValueError, termios.error):
        yield
        return
    tty.setraw(fd, termios.TCSADRAIN)  # what has been typed already counts
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class Keyboard:
    """What comes from stdin, and new sizes of the terminal, in order; ends after stdin's end.

    With ``detach``, these keys are the end, and are not handed on.
    """

    def __init__(self, *, typed: bool, sizes: bool, detach: bytes = b"") -> None:
        self._pieces: asyncio.Queue[Input | None] = asyncio.Queue(_AHEAD)
        self._typed, self._sizes, self._detach = typed, sizes, detach
        self._loop = asyncio.get_running_loop()
        self.detached = asyncio.Event()
        self._muted = False

    @property
    def detaches(self) -> bool:
        """Whether there are keys that are the end."""
        return bool(self._detach)

    def mute(self) -> None:
        """From now on only look for ``detach``: nobody takes what is typed."""
        self._muted = True
        while not self._pieces.empty():
            self._pieces.get_nowait()

    async def __aiter__(self) -> AsyncIterator[Input]:
        """The pieces."""
        if self._sizes:
            self._loop.add_signal_handler(signal.SIGWINCH, self._resized)
            self._resized()
        if self._typed:
            threading.Thread(target=self._read, name="stdin", daemon=True).start()
        try:
            while (piece := await self._pieces.get()) is not None:
                yield piece
        finally:
            if self._sizes:
                self._loop.remove_signal_handler(signal.SIGWINCH)

    def _resized(self) -> None:
        now = size()
        if now is not None and not self._muted:
            with contextlib.suppress(asyncio.QueueFull):  # the next one comes with the next change
                self._pieces.put_nowait(now)

    def _read(self) -> None:
        """In a thread: stdin may be a file, which no loop can wait for."""
        data, held = b"?", b""
        while data:
            try:
                data = os.read(sys.stdin.fileno(), _READ)
            except OSError:
                data = b""
            typed, held = held + data, b""
            if self._detach and self._detach in typed:
                self._loop.call_soon_threadsafe(self.detached.set)
                return
            if data and self._detach and typed.endswith(self._detach[:1]):  # the next key will tell
                typed, held = typed[:-1], typed[-1:]
            if typed:
                self._put(typed)
        self._put(b"")
        if not self._sizes:
            self._put(None)

    def _put(self, piece: Input | None) -> None:
        if self._muted:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants it any more
            asyncio.run_coroutine_threadsafe(self._pieces.put(piece), self._loop).result()
