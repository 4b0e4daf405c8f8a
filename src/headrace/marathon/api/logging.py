"""/logging: what is logged, for how long."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from headrace.kernel.http import Request, Response, Router
from headrace.marathon.definitions import reading
from headrace.marathon.definitions.errors import Violation, unreadable

ROOT = "ROOT"
LEVELS = {
    "off": logging.CRITICAL + 10,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
    "all": logging.DEBUG,
}
"""Marathon's levels and Python's."""
_NAMES = {
    logging.CRITICAL + 10: "OFF",
    logging.CRITICAL: "FATAL",
    logging.ERROR: "ERROR",
    logging.WARNING: "WARN",
    logging.INFO: "INFO",
    logging.DEBUG: "DEBUG",
}


class Logging:
    """Routes of the loggers."""

    def __init__(self) -> None:
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def add_routes(self, router: Router) -> None:
        router.add("GET", "/logging", lambda request: Response.json(levels()))
        router.add("POST", "/logging", self._set)

    def _set(self, request: Request) -> Response:
        body = reading.parse(request.body)
        name, level, seconds = _wanted(body)
        logger = logging.getLogger(None if name == ROOT else name)
        before = logger.level
        logger.setLevel(level)
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()
        if seconds:
            self._timers[name] = asyncio.get_running_loop().call_later(seconds, logger.setLevel, before)
        return Response.json(body)


def levels() -> dict[str, str]:
    """The level of each logger that has one of its own."""
    named = {
        name: one.level
        for name, one in logging.root.manager.loggerDict.items()
        if isinstance(one, logging.Logger) and one.level
    }
    return {name: _NAMES.get(level, str(level)) for name, level in {ROOT: logging.root.level, **named}.items()}


def _wanted(body: Any) -> tuple[str, int, float]:
    if not isinstance(body, dict):
        raise unreadable([Violation("/", "error.expected.jsobject")])
    name, level, seconds = body.get("logger"), body.get("level"), body.get("durationSeconds", 0)
    wrong = []
    if not isinstance(name, str) or not name:
        wrong.append(Violation("/logger", "error.expected.jsstring" if "logger" in body else "error.path.missing"))
    if not isinstance(level, str) or level.lower() not in LEVELS:
        choices = ", ".join(LEVELS)
        wrong.append(Violation("/level", f"is not one of ({choices})" if "level" in body else "error.path.missing"))
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
        wrong.append(Violation("/durationSeconds", "error.expected.jsnumber"))
    if wrong:
        raise unreadable(wrong)
    return name, LEVELS[level.lower()], float(seconds)  # type: ignore[union-attr,return-value]  # checked above
