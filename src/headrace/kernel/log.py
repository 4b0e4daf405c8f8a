"""Logging for daemons: one line per record on stderr, ``time level name message key=value …``.

The standard library's logging, because structlog costs 10 MB of memory in each daemon.
"""

from __future__ import annotations

import logging
import sys

from headrace.kernel.clock import iso8601

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
