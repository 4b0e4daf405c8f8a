"""The session with ZooKeeper in a file, for a later process of the same directory: it leads on where this one led.

That is so at the same address alone: a session of another one would keep its candidate there, and nobody else could
lead.

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


class Kept(msgspec.Struct, frozen=True):
    """A session, and where it was used: the address without its password."""

    hosts: tuple[str, ...]
    path: str
    user: str
    session: SessionId

    @classmethod
    def of(cls, address: ZooKeeperAddress, session: SessionId) -> Kept:
        """The session at an address."""
        return cls(address.hosts, address.path, address.credentials.partition(":")[0], session)


class SessionFile:
    """The file in ``directory``, which is made."""

    def __init__(self, directory: Path, address: ZooKeeperAddress) -> None:
        self._path = directory / "zookeeper-session"
        self._address = address
        self._lock: int | None = None
        lock = None
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock = lock
        except OSError as error:
            self._warn(directory, error)
            if lock is not None:
                os.close(lock)

    @staticmethod
    def _warn(directory: Path, error: OSError) -> None:
        what = error.strerror
        if isinstance(error, BlockingIOError):
            what = "another Marathon uses it; give each its own directory with --data"
        log.warning("the session is not kept in %s (%s): after a kill it has to run out", directory.absolute(), what)

    def read(self) -> SessionId | None:
        """The session of an earlier process at the same address; None if there is none, or that still lives."""
        kept = self._kept()
        return kept.session if kept is not None and kept == Kept.of(self._address, kept.session) else None

    def read_other(self) -> Kept | None:
        """What an earlier process has left at another address, which is to end; None if there is no such session."""
        kept = self._kept()
        return kept if kept is not None and kept != Kept.of(self._address, kept.session) else None

    def _kept(self) -> Kept | None:
        if self._lock is None:
            return None
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Kept)
        except (OSError, UnicodeDecodeError, msgspec.DecodeError):
            return None

    def write(self, session: SessionId) -> None:
        """Keep it, if the directory is ours. Raises OSError."""
        if self._lock is None:
            return
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(Kept.of(self._address, session)))
        new.replace(self._path)

    def close(self) -> None:
        """The session is over."""
        if self._lock is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
