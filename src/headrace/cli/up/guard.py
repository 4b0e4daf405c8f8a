"""What holds if ``headrace up`` itself is killed: the daemons go, the tasks stay.

The guard is a ``/bin/sh`` of under 1 MB. It reads the daemons' process ids from a pipe, a line
whenever they change; the pipe's end means that ``up`` is gone, and the guard ends the daemons. It
inherits the lock on the data directory, so that the next ``up`` waits until they are gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable
from pathlib import Path

from headrace.kernel.daemon import UserError

_LOCK_FD = 9
_PATIENCE = 12.0

_SCRIPT = """
trap '' HUP INT TERM
pids=
while read -r line; do pids=$line; done
[ -n "$pids" ] || exit 0
kill -TERM $pids 2>/dev/null
for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
  alive=
  for pid in $pids; do kill -0 $pid 2>/dev/null && alive=yes; done
  [ -n "$alive" ] || exit 0
  sleep 0.2
done
kill -KILL $pids 2>/dev/null
"""


class DataLock:
    """The right to run a cluster on a data directory; goes with the process and its guard."""

    def __init__(self, root: Path) -> None:
        """Raises UserError if the directory can't be used or another ``headrace up`` runs on it."""
        path = root / "up.lock"
        try:
            root.mkdir(parents=True, exist_ok=True)
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(
                f"the data directory {root} can't be used: {error.strerror}; give another with --data"
            ) from error
        deadline = time.monotonic() + _PATIENCE
        while not self._try():
            holder = os.pread(self.fd, 32, 0).decode("ascii", "replace").strip()
            if _lives(holder) or time.monotonic() > deadline:
                os.close(self.fd)
                raise UserError(
                    f"the data directory {root} is in use by another `headrace up` (process {holder}); "
                    "stop that one first, or give another directory with --data"
                )
            time.sleep(0.05)  # its guard is ending the daemons
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, str(os.getpid()).encode(), 0)

    def _try(self) -> bool:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Guard:
    """The guard's pipe."""

    def __init__(self, lock: DataLock) -> None:
        read_end, self._pipe = os.pipe2(os.O_CLOEXEC)
        try:
            self._pid = os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", _SCRIPT, "headrace-guard"],
                {"PATH": "/usr/bin:/bin"},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, read_end, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, lock.fd, _LOCK_FD),
                ],
                setsid=True,
            )
        finally:
            os.close(read_end)

    def watch(self, pids: Iterable[int]) -> None:
        """These are the daemons now."""
        with contextlib.suppress(BrokenPipeError):  # somebody killed the guard; nothing else is lost
            os.write(self._pipe, " ".join(map(str, pids)).encode() + b"\n")

    def dismiss(self) -> None:
        """All has ended in good order."""
        self.watch(())
        os.close(self._pipe)
        os.waitpid(self._pid, 0)


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
