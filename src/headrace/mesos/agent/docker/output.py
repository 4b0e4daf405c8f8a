"""Copies what a container writes to its sandbox's ``stdout`` and ``stderr``, each byte once, whatever breaks off."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from headrace.mesos.agent.docker.engine import Engine
from headrace.mesos.agent.docker.log_place import LogCopy, LogPlace
from headrace.mesos.agent.docker.run_files import RunFiles
from headrace.mesos.agent.sandbox.log_rotation import cut_lock, rotated_bytes

FILES = ("stdout", "stderr")


def sizes(sandbox: Path) -> tuple[int, int]:
    """Bytes that both files ever got, rotated ones included; they are made if they aren't there. Raises OSError."""
    return _size(sandbox / FILES[0]), _size(sandbox / FILES[1])


def append(sandbox: Path, which: int, data: bytes) -> None:
    """Add to one of the files. Raises OSError."""
    file = _open(sandbox / FILES[which])
    try:
        while data:
            data = data[os.write(file, data) :]
    finally:
        os.close(file)


class Output:
    """The output of one container. ``entries``: how many were read."""

    def __init__(self, engine: Engine, engine_id: str, sandbox: Path, files: RunFiles) -> None:
        self._engine = engine
        self._engine_id = engine_id
        self._sandbox = sandbox
        self._files = files
        self._copy: LogCopy | None = None
        self._kept: LogPlace | None = None
        self.entries = 0

    async def copy(self, follow: bool) -> None:
        """Copy what is new, with ``follow`` until the container ends.

        Raises EngineAway, EngineError, FrameError, OSError; it may be called again after each.
        """
        copy = self._copy or self._resume()
        try:
            async for entries in self._engine.logs(self._engine_id, copy.begin(), follow):
                self._take(copy, entries)
        except OSError:
            self._copy = None  # what is on file tells how far it got
            raise

    def note(self, text: str) -> None:
        """Tell whoever reads the sandbox; nothing happens if it can't be written."""
        with contextlib.suppress(OSError):
            append(self._sandbox, 1, text.encode())

    def _resume(self) -> LogCopy:
        self._kept = self._files.place()
        self._copy = LogCopy(self._kept, sizes(self._sandbox))
        return self._copy

    def _take(self, copy: LogCopy, entries: list[tuple[int, bytes]]) -> None:
        now = time.monotonic()
        self.entries += len(entries)
        new: tuple[list[bytes], list[bytes]] = ([], [])
        for stream, entry in entries:
            which, data = copy.take(stream, entry, now)
            if data:
                new[which].append(data)
        for which, parts in enumerate(new):
            if parts:
                append(self._sandbox, which, b"".join(parts))
        place = copy.place()
        if place != self._kept:
            self._files.keep_place(place)
            self._kept = place


def _open(path: Path) -> int:
    # the sandbox is the task's: what it may have put there is not followed, and must not make the agent wait
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)


def _size(path: Path) -> int:
    file = _open(path)
    try:
        with cut_lock:
            return os.fstat(file).st_size + rotated_bytes(file)
    finally:
        os.close(file)
