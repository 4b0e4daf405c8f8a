"""Rotation of what containers write to stdout and stderr: ``stdout`` is the newest, then ``stdout.1``, ``stdout.2`` …

The task writes to the file itself, with no process in between, and always at its end (O_APPEND). So the oldest
blocks are copied to ``stdout.1`` and then cut out of the front of the file, by the file system and in one step
(FALLOC_FL_COLLAPSE_RANGE: ext4, xfs). Nothing is lost, however fast the task writes; a line may be divided between
two files. Where the file system can't do that (tmpfs, btrfs), the front becomes a hole that takes no space and
reads as zeros; /files/read skips it.

How many bytes were ever cut off stands in the attribute ``user.headrace.rotated`` of the file, so that whoever
follows it knows where it was. If the agent is killed between the copy and the cut, those bytes are in both files.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

log = logging.getLogger(__name__)

ROTATED = "user.headrace.rotated"
INTERVAL = 1.0
IDLE_ROUNDS = 10
"""Files that have not grown are looked at in every tenth round only."""

_COLLAPSE = 0x08
_PUNCH = 0x01 | 0x02
_BLOCK = 512
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CUT_IN_STEPS_OF = 4096
"""Bytes. Cuts must be whole blocks of the file system; larger ones are asked for where ``st_blksize`` says so."""

cut_lock = threading.Lock()
"""Held while files are renamed and one is cut: who reads one and its attribute sees both from before, or both from
after; and if the attribute is the same after a rotated file was read as before, that file had its number meanwhile."""


def rotated_bytes(fd: int) -> int:
    """How many bytes were cut off the front of an open file so far."""
    try:
        return int(os.getxattr(fd, ROTATED))
    except (OSError, ValueError):
        return 0


def data_begins(fd: int, offset: int = 0) -> int:
    """Where, from ``offset`` on, there is something in an open file: after a hole, if there is one."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        return os.fstat(fd).st_size if error.errno == errno.ENXIO else offset


def rotate(sandbox: Path, name: str, most: int, files: int) -> int:
    """Rotate a file, at most as often as ``files`` stay; returns how many bytes went out of it. Raises OSError.

    ``most``: bytes that a file may have. Nothing that the task puts in the way is followed.
    """
    gone = 0
    with _opened(sandbox, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC) as directory:
        try:
            with _opened(name, _OPEN, directory) as fd:
                status = os.fstat(fd)
                surplus = _piece(status, data_begins(fd), most, status.st_size) - files * most
                if surplus > most:  # it would not be kept for long enough to be worth the copy
                    with cut_lock:
                        gone += _cut(fd, surplus // _block(status) * _block(status))
                for _ in range(files):
                    piece = _piece(os.fstat(fd), data_begins(fd), most, most)
                    if not piece:
                        break
                    temporary = _copied(directory, fd, name, piece, files)
                    with cut_lock:
                        _rename(directory, name, temporary, files)
                        gone += _cut(fd, piece)
        except FileNotFoundError:
            return gone
    return gone


def _piece(status: os.stat_result, begins: int, threshold: int, most: int) -> int:
    """How much is to go now: whole blocks, ``most`` at most, and never all of the file; 0 below ``threshold``."""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return 0  # the task has put something else there
    there = status.st_size - begins
    if there < threshold:
        return 0
    return min(most, there - 1) // _block(status) * _block(status)


def _block(status: os.stat_result) -> int:
    return max(_CUT_IN_STEPS_OF, status.st_blksize)


def _copied(directory: int, fd: int, name: str, piece: int, files: int) -> str:
    """Copy the oldest bytes to a file that nobody reads, and make room for it; returns its name."""
    status = os.fstat(fd)
    temporary = f".{name}.rotating"
    for old in (temporary, f"{name}.{files}"):  # the oldest first: the disk may be full
        with contextlib.suppress(FileNotFoundError):
            os.unlink(old, dir_fd=directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    copied = os.open(temporary, flags, status.st_mode & 0o777, dir_fd=directory)
    try:
        os.fchown(copied, status.st_uid, status.st_gid)
        _copy(fd, data_begins(fd), piece, copied)
    except OSError:
        os.unlink(temporary, dir_fd=directory)
        raise
    finally:
        os.close(copied)
    return temporary


def _rename(directory: int, name: str, temporary: str, files: int) -> None:
    """The copy becomes ``name.1``; what is there ``name.2`` and so on."""
    for number in range(files - 1, 0, -1):
        with contextlib.suppress(OSError):
            os.rename(f"{name}.{number}", f"{name}.{number + 1}", src_dir_fd=directory, dst_dir_fd=directory)
    os.rename(temporary, f"{name}.1", src_dir_fd=directory, dst_dir_fd=directory)


def _copy(source: int, offset: int, size: int, target: int) -> None:
    done = 0
    while done < size:
        sent = os.sendfile(target, source, offset + done, size - done)
        if not sent:
            raise OSError(errno.EIO, "the file has become shorter")
        done += sent


def _cut(fd: int, piece: int) -> int:
    """Called with the lock held."""
    if _fallocate(fd, _COLLAPSE, 0, piece):
        with contextlib.suppress(OSError):
            os.setxattr(fd, ROTATED, str(rotated_bytes(fd) + piece).encode())
    elif not _fallocate(fd, _PUNCH, data_begins(fd), piece):
        raise OSError(errno.EOPNOTSUPP, "the file system can't cut off the front of a file")
    return piece


def _fallocate(fd: int, mode: int, offset: int, size: int) -> bool:
    """False if the file system can't. Raises OSError."""
    import ctypes  # only who rotates needs it

    call = ctypes.CDLL(None, use_errno=True).fallocate
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    while call(fd, mode, offset, size) != 0:
        error = ctypes.get_errno()
        if error in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            return False
        if error != errno.EINTR:
            raise OSError(error, os.strerror(error))
    return True


@contextlib.contextmanager
def _opened(path: Path | str, flags: int, above: int | None = None) -> Iterator[int]:
    fd = os.open(path, flags, dir_fd=above)
    try:
        yield fd
    finally:
        os.close(fd)


class Rotation:
    """Looks after the files of all running containers, in a thread. A limit of 0 bytes is none."""

    def __init__(self, running: Callable[[], list[Path]], limits: dict[str, int], files: int) -> None:
        """``running``: the sandboxes of what runs; ``limits``: bytes by file name."""
        self._running = running
        self._limits = {name: limit for name, limit in limits.items() if limit}
        self._files = files
        self._sizes: dict[tuple[str, str], int] = {}
        self._failed: set[str] = set()
        self._round = 0

    async def run(self) -> None:
        """Rotate until cancelled."""
        while True:
            await asyncio.to_thread(self.look, self._running())
            await asyncio.sleep(INTERVAL)

    def look(self, sandboxes: list[Path]) -> None:
        """Rotate what is too large now."""
        self._round += 1
        all_of_them = self._round % IDLE_ROUNDS == 1
        known, self._sizes = self._sizes, {}
        self._failed.intersection_update(map(str, sandboxes))
        for sandbox in sandboxes:
            for name, limit in self._limits.items():
                key = (str(sandbox), name)
                before = known.get(key, 0)
                if before >= 0 or all_of_them:
                    self._sizes[key] = self._one(sandbox, name, limit, abs(before))
                else:
                    self._sizes[key] = before

    def _one(self, sandbox: Path, name: str, limit: int, before: int) -> int:
        """The file's size; negative if it does not grow."""
        try:
            size = os.stat(sandbox / name, follow_symlinks=False).st_size
            if size >= limit:
                rotate(sandbox, name, limit, self._files)
        except FileNotFoundError:
            return 0
        except OSError as error:
            if str(sandbox) not in self._failed:
                self._failed.add(str(sandbox))
                log.warning("can't rotate %s/%s: %s", sandbox, name, error)
            return 0
        return -size if size == before else size
