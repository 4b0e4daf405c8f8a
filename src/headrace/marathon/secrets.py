"""Secrets from files: the source ``db/password`` is the content of ``<directory>/db/password``."""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path

log = logging.getLogger(__name__)

MAX_SIZE = 1024 * 1024


class SecretFiles:
    """Finds secrets below a directory. A line feed at the very end, as editors leave it, is no part of one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()

    def __call__(self, source: str) -> bytes | None:
        """The secret of this source; None if there is none, or it can't be read: the log says why then."""
        parts = source.strip("/").split("/")
        if not all(parts) or any(part in (".", "..") or "\0" in part for part in parts):
            log.warning("secret %.200r: a source is a path below --secrets_dir, without '.' and '..'", source)
            return None
        try:
            data = _content(self._directory.joinpath(*parts))
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("secret %.200r can't be read: %s", source, error.strerror or error)
            return None
        except UnicodeEncodeError as error:  # the machine's locale has no such character
            log.warning("secret %.200r can't be read: %s", source, error.reason)
            return None
        return data.removesuffix(b"\n")


def _content(path: Path) -> bytes:
    """What a file holds. Nothing waits here: a FIFO or a device would hold up all of Marathon. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        data = file.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise OSError(errno.EFBIG, f"it has more than {MAX_SIZE} bytes")
    return data
