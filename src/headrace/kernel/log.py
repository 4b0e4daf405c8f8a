"""Logging for daemons: one line per record on stderr, ``time level name message key=value …``.

The standard library's logging, because structlog costs 10 MB of memory in each daemon.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from headrace.kernel.clock import iso8601
from headrace.kernel.core import StoryLine

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """Appends what was given by ``extra=`` as ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f" {k}={v!r}" for k, v in record.__dict__.items() if k not in _STANDARD)
        line = f"{iso8601(record.created)} {record.levelname:<7} {record.name} {record.getMessage()}{extra}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def set_up(level: str = "INFO") -> None:
    """Send all records of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


LONGEST = 300


class StoryLog:
    """A listener of ``Stories`` that logs: what ``matters`` to operators at INFO, all else at DEBUG."""

    def __init__(self, logger: logging.Logger, matters: Callable[[str, str], bool]) -> None:
        """``matters`` is asked with subject and decision."""
        self._logger, self._matters = logger, matters
        self._all = logger.isEnabledFor(logging.DEBUG)

    def __call__(self, subject: str, line: StoryLine) -> None:
        """Log one decision, in one line whatever names others have given."""
        level = logging.INFO if self._matters(subject, line.what) else logging.DEBUG
        if level == logging.DEBUG and not self._all:
            return
        text = f"{subject} {line.what}: {line.why}" if line.why else f"{subject} {line.what}"
        if not text.isprintable():
            text = repr(" ".join(text.split()))[1:-1]
        self._logger.log(level, "%s", text if len(text) <= LONGEST else text[:LONGEST] + "…")
