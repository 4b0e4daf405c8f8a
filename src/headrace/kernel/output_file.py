"""Opens files to append to where somebody else may have put something in the way."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_output(path: Path) -> int:
    """A descriptor to append to ``path`` by; the file is made if it isn't there.

    Raises OSError, at once, if what is there is anything but a regular file with this one name: a link would lead
    to a file that is not meant, a pipe would wait for its reader.
    """
    fd = os.open(path, _FLAGS, 0o666)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError(errno.EINVAL, "this is not a regular file with one name; remove it", str(path))
        os.set_blocking(fd, True)
    except BaseException:
        os.close(fd)
        raise
    return fd
