"""Secrets from files: the source ``db/password`` is the content of ``<directory>/db/password``."""

from __future__ import annotations

import logging
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
            log.warning("secret %r: a source is a path below --secrets_dir, without '.' and '..'", source)
            return None
        try:
            with self._directory.joinpath(*parts).open("rb") as file:
                data = file.read(MAX_SIZE + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("secret %r can't be read: %s", source, error.strerror)
            return None
        if len(data) > MAX_SIZE:
            log.warning("secret %r has more than %d bytes", source, MAX_SIZE)
            return None
        return data.removesuffix(b"\n")
