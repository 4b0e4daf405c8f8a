"""The session with ZooKeeper in a file, for a later process of the same directory: it leads on where this one led.

``<data>/zookeeper-session``, for the owner's eyes only. Whoever uses the directory holds a lock, so of two processes
that were given the same one the second begins a session of its own. So does everybody where no file can be made.
"""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

import msgspec

from headrace.kernel.zookeeper import SessionId, ZooKeeperAddress

log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True):
    hosts: tuple[str, ...]
    session: SessionId


class SessionFile:
    """The file in ``directory``, which is made."""

    def __init__(self, directory: Path, address: ZooKeeperAddress) -> None:
        self._path = directory / "zookeeper-session"
        self._hosts = address.hosts
        self._lock: int | None = None
        lock = None
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock = lock
        except OSError as error:
            log.info("the session is not kept in %s (%s): after a kill it has to run out", directory, error.strerror)
            if lock is not None:
                os.close(lock)

    def read(self) -> SessionId | None:
        """The session of an earlier process with the same servers; None if there is none, or that still lives."""
        if self._lock is None:
            return None
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (OSError, UnicodeDecodeError, msgspec.DecodeError):
            return None
        return kept.session if kept.hosts == self._hosts else None

    def write(self, session: SessionId) -> None:
        """Keep it, if the directory is ours. Raises OSError."""
        if self._lock is None:
            return
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(_Kept(self._hosts, session)))
        new.replace(self._path)

    def close(self) -> None:
        """The session is over."""
        if self._lock is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
