"""Logging for daemons: one line per record on stderr, ``time level name message key=value …``.

The standard library's logging, because structlog costs 10 MB of memory in each daemon.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

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
    # what no line shows need not be found out for each: who called, in which thread, process and task
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # as Python's HOWTO of logging says


LONGEST_TIME = 1e9
"""Seconds: for ever, as far as timers go."""


class Verbosity:
    """How much more than usual this process logs, for a while: 0 is as it was started, 1 and more is everything."""

    def __init__(self) -> None:
        self.level = 0
        self._usual: int | None = None
        self._back: asyncio.TimerHandle | None = None

    def set(self, level: int, seconds: float) -> None:
        """Log at ``level`` for some seconds, then as usual again."""
        root = logging.getLogger()
        if self._usual is None:
            self._usual = root.level
        if self._back is not None:
            self._back.cancel()
        self.level = level
        root.setLevel(logging.DEBUG if level else self._usual)
        loop = asyncio.get_running_loop()
        self._back = loop.call_later(min(max(0.0, seconds), LONGEST_TIME), self._as_usual) if level else None

    def _as_usual(self) -> None:
        self._back = None
        self.level = 0
        if self._usual is not None:
            logging.getLogger().setLevel(self._usual)


def log_file() -> Path | None:
    """The file that the records of this process go to, if it is one: what stderr was directed to.

    It is opened by its descriptor, so it is this file whatever it is called by now.
    """
    try:
        is_file = stat.S_ISREG(os.fstat(sys.__stderr__.fileno()).st_mode) if sys.__stderr__ is not None else False
    except (OSError, ValueError):
        return None
    return Path(f"/proc/self/fd/{sys.__stderr__.fileno()}") if is_file and sys.__stderr__ is not None else None


LONGEST = 300


class StoryLog:
    """A listener of ``Stories`` that logs: what ``matters`` to operators at INFO, all else at DEBUG."""

    def __init__(self, logger: logging.Logger, matters: Callable[[str, str], bool]) -> None:
        """``matters`` is asked with subject and decision."""
        self._logger, self._matters = logger, matters

    def __call__(self, subject: str, line: StoryLine) -> None:
        """Log one decision, in one line whatever names others have given."""
        level = logging.INFO if self._matters(subject, line.what) else logging.DEBUG
        if not self._logger.isEnabledFor(level):
            return
        text = f"{subject} {line.what}: {line.why}" if line.why else f"{subject} {line.what}"
        if not text.isprintable():
            text = repr(" ".join(text.split()))[1:-1]
        self._logger.log(level, "%s", text if len(text) <= LONGEST else text[:LONGEST] + "…")
