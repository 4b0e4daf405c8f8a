"""A store in one SQLite file (WAL), held by one process at a time.

With ``Durability.POWER`` each commit is synced to disk in a writer thread, so that the event loop
goes on; with ``Durability.PROCESS`` a commit is a write to the page cache and happens in place: a loss of power
may take the last commits, but leaves a sound file, as the log is synced before it is brought into it.
Nobody but the owner can read the files: they may hold what is secret to a task.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from headrace.kernel.core import Put
from headrace.kernel.store.protocol import Durability, StoreError, Write

_ENTRIES = "CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB NOT NULL)"
"""Not WITHOUT ROWID: there, whoever passes a row of several pages on the way to another one reads all of it."""


class SqliteStore:
    """Keys and values in table ``entries``; owner and layout version in table ``owner``.

    Raises StoreError if the file is held by another process, is no database, or belongs to
    another component or layout version.
    """

    def __init__(self, path: str, *, component: str, layout: int, durability: Durability) -> None:
        self._path = path
        self._durability = durability
        self._lock = _hold(path)
        try:
            self._db = self._open(component, layout)
        except BaseException:
            os.close(self._lock)
            raise
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")

    def load(self) -> dict[str, bytes]:
        return dict(self._db.execute("SELECT key, value FROM entries"))

    async def commit(self, writes: Sequence[Write]) -> None:
        if self._durability is Durability.PROCESS:
            self._apply(writes)
        else:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._apply, writes)

    def close(self) -> None:
        self._writer.shutdown()
        self._db.close()
        os.close(self._lock)

    def _apply(self, writes: Sequence[Write]) -> None:
        last = {write.key: write for write in writes}.values()
        puts = [(write.key, write.value) for write in last if isinstance(write, Put)]
        deletes = [(write.key,) for write in last if not isinstance(write, Put)]
        try:
            with self._db:
                self._db.execute("BEGIN")
                self._db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", puts)
                self._db.executemany("DELETE FROM entries WHERE key = ?", deletes)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: can't write: {error}; check the disk's free space and rights") from error

    def _open(self, component: str, layout: int) -> sqlite3.Connection:
        try:
            _make_private(self._path)
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {'FULL' if self._durability is Durability.POWER else 'NORMAL'}")
            with db:
                db.execute("BEGIN IMMEDIATE")
                tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                if not tables:
                    db.execute("CREATE TABLE owner (component TEXT NOT NULL, layout INTEGER NOT NULL)")
                    db.execute(_ENTRIES)
                    db.execute("INSERT INTO owner VALUES (?, ?)", (component, layout))
                found = db.execute("SELECT component, layout FROM owner").fetchone() if tables else (component, layout)
                if found == (component, layout):
                    _bring_up_to_date(db)
        except OSError as error:
            raise StoreError(
                f"{self._path}: can't be opened: {error.strerror}; give a directory that this user may write"
            ) from error
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path} is not a store of Headrace ({error}); move it away or give another data directory"
            ) from error
        if found != (component, layout):
            db.close()
            raise StoreError(
                f"{self._path} holds data of {found[0]} in layout {found[1]}, "
                f"this is {component} with layout {layout}; "
                "use the version of Headrace that wrote it, or give another data directory"
            )
        return db


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """Within a transaction: earlier versions kept the entries in another kind of table."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries' AND sql LIKE '%WITHOUT ROWID'").fetchone():
        db.execute("ALTER TABLE entries RENAME TO earlier_entries")
        db.execute(_ENTRIES)
        db.execute("INSERT INTO entries SELECT key, value FROM earlier_entries")
        db.execute("DROP TABLE earlier_entries")


def _make_private(path: str) -> None:
    """Let nobody else read the file, nor the log beside it, which takes its mode from it. Raises OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for file in (path, f"{path}-wal", f"{path}-shm"):
        with contextlib.suppress(FileNotFoundError, PermissionError):  # an earlier version may have made it
            os.chmod(file, 0o600)


def _hold(path: str) -> int:
    """Lock the store against a second process; the lock goes with the process."""
    try:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{path}: can't be opened: {error.strerror}; give a directory that this user may write"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreError(f"{path} is in use by another process; stop it first or give another data directory") from None
    return lock
