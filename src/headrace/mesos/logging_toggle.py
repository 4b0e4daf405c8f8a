"""``/logging/toggle`` and (GET|SET)_LOGGING_LEVEL of master and agent: log everything for a while. Texts are Mesos's.

Levels are those of glog's verbose logging: 0 is as the process was started, any above it logs everything.
"""

from __future__ import annotations

from collections.abc import Callable

from headrace.kernel.http.messages import Request, Response
from headrace.kernel.http.origin import foreign_reader
from headrace.kernel.log import Verbosity
from headrace.mesos.door import text

HIGHEST = 2**32 - 1


class LoggingToggle:
    """``duration`` reads times such as ``10secs`` and raises ValueError; ``verbosity`` is the process's."""

    def __init__(self, verbosity: Verbosity, duration: Callable[[str], float]) -> None:
        self.verbosity = verbosity
        self._duration = duration

    def __call__(self, request: Request) -> Response:
        """Tell the level, or set it if ``level`` and ``duration`` are given; GET and POST do the same.

        As a GET is what any page can make a browser send, another site's page can't set it.
        """
        level, duration = request.parameter("level"), request.parameter("duration")
        if not level and not duration:
            return text(200, f"{self.verbosity.level}\n")
        if (source := foreign_reader(request.headers)) is not None:
            return text(403, f"The level is not set for {source[:200]}: ask by a program, such as curl.\n")
        if not duration:
            return text(400, "Expecting 'duration=value' in query.\n")
        if not level:
            return text(400, "Expecting 'level=value' in query.\n")
        if not (level.isascii() and level.isdigit()) or int(level[:20]) > HIGHEST:
            return text(400, f"Invalid level '{level[:40]}': give a number from 0 to {HIGHEST}.\n")
        try:
            seconds = self._duration(duration)
        except ValueError as error:
            return text(400, f"Invalid duration '{duration[:40]}': give {error}.\n")
        wrong = self.set(int(level), seconds)
        return text(400, f"{wrong}.\n") if wrong else Response(200)

    def set(self, level: int, seconds: float) -> str:
        """Log at a level for a while; else what is wrong with them, and nothing changes."""
        if not 0 <= level <= HIGHEST or not seconds >= 0:
            return f"Invalid level or duration: give a level from 0 to {HIGHEST} and a time from 0 on"
        self.verbosity.set(level, seconds)
        return ""
