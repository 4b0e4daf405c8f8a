"""Reads the last lines of what an ended task wrote, from its agent's files API. Best effort, and bounded.

Whatever happens, a reading that was begun has exactly one outcome. Works with any Mesos agent that lets its files be
read without a password.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from headrace.kernel.http import HttpClient, HttpClientError
from headrace.kernel.tasks import Works
from headrace.marathon.core.events import LogsRead, ReadLogs

log = logging.getLogger(__name__)

LINES = 20
"""Of each file."""
_BYTES = 4096
_AT_ONCE = 8
_TIMEOUT = 5.0
_SETTLE = 0.2
"""Seconds for an agent to have all that the task wrote."""


class LastLines:
    """``on_outcome`` gets what was read."""

    def __init__(self, on_outcome: Callable[[LogsRead], None]) -> None:
        self._on_outcome = on_outcome
        self._http = HttpClient(max_idle=0)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._works = Works()

    def read(self, wanted: ReadLogs) -> None:
        """Begin to read; returns at once."""
        self._works.begin(self._run(wanted))

    async def stop(self) -> None:
        """Give up what is being read."""
        await self._works.stop()

    async def _run(self, wanted: ReadLogs) -> None:
        async with self._slots:
            files: dict[str, list[str]] = {}
            note = ""
            try:
                await asyncio.sleep(_SETTLE)
                for name, path in wanted.paths.items():
                    lines = last_lines(await self._end(wanted.url, path))
                    if lines:
                        files[name] = lines
            except HttpClientError as error:
                note = str(error)
            except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
                log.debug("files of %s at %s", wanted.key, wanted.url, exc_info=error)
                note = f"the agent's answer can't be read: {error}"
        self._on_outcome(LogsRead(wanted.key, files, note))

    async def _end(self, url: str, path: str) -> str:
        """The end of a file; empty if there is none. Raises HttpClientError."""
        size = int((await self._part(url, path, -1, 0)).get("offset", 0))
        if size <= 0:
            return ""
        data = (await self._part(url, path, max(0, size - _BYTES), _BYTES))["data"]
        return str(data) if size <= _BYTES else str(data).partition("\n")[2]

    async def _part(self, url: str, path: str, offset: int, length: int) -> dict[str, Any]:
        where = f"{url}/files/read?path={quote(path, safe='')}&offset={offset}" + (
            f"&length={length}" if length else ""
        )
        answer = await self._http.request("GET", where, timeout=_TIMEOUT, max_body=8 * _BYTES)
        if answer.status == 404:
            return {}
        if answer.status != 200:
            raise HttpClientError(f"the agent says {answer.status} when asked for {path}")
        return msgspec.json.decode(answer.body, type=dict[str, Any])


def last_lines(text: str) -> list[str]:
    """The last LINES lines."""
    return text.splitlines()[-LINES:]
