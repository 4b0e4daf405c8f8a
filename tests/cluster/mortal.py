"""A daemon that dies by SIGKILL at one point of its life: ``python -m tests.cluster.mortal POINT python -m module …``.

POINT is a file with a ``Point``. It dies just before the thing happens, and, started again, just after it has happened,
or only one of both; then never more. The daemon is the real one; only its store, its shell or its HTTP client is
watched.
"""

from __future__ import annotations

from headrace.kernel import lean  # noqa: F401  (first, as in the daemons)

# isort: split
import os
import re
import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

import headrace.kernel.store
from headrace.kernel.core import Effect, Put
from headrace.kernel.http import HttpClient
from headrace.kernel.shell import Shell
from headrace.kernel.store import Store, Write

STORE, HEARS, SENDS = "store", "hears", "sends"
BEFORE, AFTER = "before", "after"


class Point(msgspec.Struct, frozen=True):
    """``what`` (a pattern) happens for the ``nth`` time in the daemon's life.

    The store commits a write (``<key> <value>`` or ``<key> deleted``): before it is durable; after, with nothing of
    what follows from it done. The core hears an event (its repr): before it knows; after, when the effects are
    on their way. A call is sent (its JSON): before it goes out; after it was answered.
    """

    place: str
    what: str
    nth: int = 1
    dies: tuple[str, ...] = (BEFORE, AFTER)

    @property
    def name(self) -> str:
        """For people and file names."""
        words = re.sub(r"[^A-Za-z0-9]+", "-", self.what).strip("-").lower()
        name = f"{self.place}-{words}" + (f"-{self.nth}" if self.nth > 1 else "")
        return name if len(self.dies) == 2 else f"{name}-{self.dies[0]}"


class Deaths:
    """Where it is noted that it has died."""

    def __init__(self, point: Point, file: Path) -> None:
        self._files = [file.with_suffix(f".{when}") for when in point.dies]

    @property
    def count(self) -> int:
        return sum(file.exists() for file in self._files)

    @property
    def over(self) -> bool:
        """Whether it will die no more."""
        return self.count == len(self._files)

    def note(self) -> None:
        self._files[self.count].touch()


class _Fate:
    """The next death; ``before``: before the thing happens."""

    def __init__(self, point: Point, deaths: Deaths) -> None:
        self._deaths = deaths
        self._left = 1 if deaths.count else point.nth
        self._pattern = re.compile(point.what)
        self.before = point.dies[deaths.count] == BEFORE

    def meets(self, text: str) -> bool:
        if not self._pattern.search(text):
            return False
        self._left -= 1
        return self._left == 0

    def strike(self) -> None:
        self._deaths.note()
        os.kill(os.getpid(), signal.SIGKILL)


class _MortalStore:
    def __init__(self, inner: Store, fate: _Fate) -> None:
        self._inner = inner
        self._fate = fate
        self.load, self.close = inner.load, inner.close

    async def commit(self, writes: Sequence[Write]) -> None:
        met = self._fate.meets("\n".join(map(_text, writes)))
        if met and self._fate.before:
            self._fate.strike()
        await self._inner.commit(writes)
        if met:
            self._fate.strike()


def _text(write: Write) -> str:
    return f"{write.key} {write.value.decode()}" if isinstance(write, Put) else f"{write.key} deleted"


def _watch_store(fate: _Fate) -> None:
    inner = headrace.kernel.store.open_store

    def open_store(*arguments: Any, **more: Any) -> Store:
        return _MortalStore(inner(*arguments, **more), fate)

    headrace.kernel.store.open_store = open_store


def _watch_core(fate: _Fate) -> None:
    hear, act = Shell._handle, Shell._carry_out
    due = False

    def handle(self: Shell[Any], event: Any, now: float) -> Sequence[Effect]:
        nonlocal due
        if fate.meets(repr(event)):
            if fate.before:
                fate.strike()
            due = True
        return hear(self, event, now)

    async def carry_out(self: Shell[Any], effects: Sequence[Effect]) -> None:
        await act(self, effects)
        if due:
            fate.strike()

    Shell._handle, Shell._carry_out = handle, carry_out  # type: ignore[method-assign]


def _watch_calls(fate: _Fate) -> None:
    inner, several = HttpClient.request, HttpClient.request_all

    async def request(self: HttpClient, method: str, url: str, **more: Any) -> Any:
        met = fate.meets((more.get("body") or b"").decode(errors="replace"))
        if met and fate.before:
            fate.strike()
        answer = await inner(self, method, url, **more)
        if met:
            fate.strike()
        return answer

    async def request_all(self: HttpClient, method: str, url: str, *, bodies: Sequence[bytes], **more: Any) -> Any:
        met = [number for number, body in enumerate(bodies) if fate.meets(body.decode(errors="replace"))]
        if not met:
            return await several(self, method, url, bodies=bodies, **more)
        before = bodies[: met[0] if fate.before else met[0] + 1]
        if before:
            await several(self, method, url, bodies=before, **more)
        fate.strike()

    HttpClient.request, HttpClient.request_all = request, request_all  # type: ignore[method-assign]


def main() -> None:
    file, at = Path(sys.argv[1]), sys.argv.index("-m") + 1
    point = msgspec.json.decode(file.read_bytes(), type=Point)
    deaths = Deaths(point, file)
    if not deaths.over:
        {STORE: _watch_store, HEARS: _watch_core, SENDS: _watch_calls}[point.place](_Fate(point, deaths))
    del sys.argv[:at]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def prefix(point: Point, directory: Path) -> tuple[list[str], Deaths]:
    """What to put before a daemon's command, and where to see that it has died."""
    file = directory / f"{point.name}.json"
    file.write_bytes(msgspec.json.encode(point))
    return [sys.executable, "-m", "tests.cluster.mortal", str(file)], Deaths(point, file)


if __name__ == "__main__":
    main()
