"""Opens and replaces files where somebody else may have put something in the way."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_output(path: Path) -> int:
    """A descriptor to append to ``path`` by; the file is made if it isn't there. Raises as ``open_regular``."""
    return open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


def open_regular(path: Path, flags: int, permissions: int = 0o600) -> int:
    """A descriptor of ``path``, opened with ``flags``; ``permissions`` are those of a file that is made.

    Raises OSError, at once, if what is there is anything but a regular file with this one name: a link would lead
    to a file that is not meant, a pipe would wait for its reader.
    """
    try:
        fd = os.open(path, flags | _FLAGS, permissions)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "this is a symbolic link; remove it", str(path)) from None
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise OSError(errno.EINVAL, "this is not a regular file with one name; remove it", str(path))
        os.set_blocking(fd, True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_regular(path: Path, most: int = 65536) -> bytes:
    """The first ``most`` bytes of a file. Raises as ``open_regular``."""
    with open(open_regular(path, os.O_RDONLY), "rb") as file:
        return file.read(most)


def replace_file(path: Path, content: bytes, permissions: int = 0o600, *, sync: bool = False) -> None:
    """Write a file: a reader sees the old content or the new. What is in the way is replaced, not followed.

    With ``sync`` it is safe from a power failure when this returns. Raises OSError.
    """
    fresh = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, permissions), "wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)
    if sync:
        _sync(path.parent)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
