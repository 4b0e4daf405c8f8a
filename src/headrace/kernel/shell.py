"""The loop around a core: inbox, store, timers, effects.

Events come in through ``post`` or ``ask`` from the event loop's thread. They are handed to the
core in order, in batches: while one batch is being committed to the store, the next gathers
(group commit). A core that raises is a bug: ``run`` ends with that error and the process with it,
because a half-applied event must not be built upon; the supervisor starts it anew from the store.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from headrace.kernel.clock import Clock
from headrace.kernel.core import CancelTimer, Core, Delete, Effect, Put, Reply, SetTimer, TimerFired
from headrace.kernel.store import Store

EventT = TypeVar("EventT")

_LONGEST = 0.1
"""Seconds after which a turn takes no further events, or effects pause, so that signals and sockets have a turn."""
_SLACK = 64
"""Stale timers that may be kept beside those that count."""


class Shell(Generic[EventT]):
    """Runs one core. ``perform`` carries out the effects that are not the shell's own.

    ``perform`` is called in the loop's thread and must not block; work that takes time is
    started there and its outcome posted as an event.
    """

    def __init__(self, core: Core[EventT], store: Store, perform: Callable[[Effect], None], clock: Clock) -> None:
        self._core = core
        self._store = store
        self._perform = perform
        self._clock = clock
        self._inbox: list[EventT] = []
        self._wakeup = asyncio.Event()
        self._timers: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)

    def post(self, *events: EventT) -> None:
        """Queue events for the core; they are handled in this order."""
        self._inbox.extend(events)
        self._wakeup.set()

    async def ask(self, make: Callable[[int], EventT]) -> Any:
        """Post the event that ``make`` builds around a request number; wait for its ``Reply``."""
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self.post(make(number))
        try:
            return await future
        finally:
            self._asked.pop(number, None)

    async def run(self) -> None:
        """Handle events until cancelled; raises what the core or the store raises."""
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            await self._turn()
            if self._inbox:
                await asyncio.sleep(0)  # a store that commits in place lets nobody else have a turn

    async def _turn(self) -> None:
        now = self._clock.now()
        effects = [*self._handle_some(now), *self._due(now)]
        writes = [effect for effect in effects if isinstance(effect, (Put, Delete))]
        if writes:
            await self._store.commit(writes)
        await self._carry_out(effects)
        self._set_alarm()

    def _handle_some(self, now: float) -> list[Effect]:
        """Handle what waits, but leave the rest for the next turn when this one has taken long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST
        batch, self._inbox = self._inbox, []
        effects: list[Effect] = []
        for number, event in enumerate(batch, 1):
            effects += self._handle(event, now)
            if loop.time() > end:
                self._inbox = batch[number:] + self._inbox
                break
        if self._inbox:
            self._wakeup.set()
        return effects

    def _handle(self, event: EventT, now: float) -> Sequence[Effect]:
        """What the core makes of an event. Timers count from here on, so that a cancelled one can't go off."""
        effects = self._core.handle(event, now)
        for effect in effects:
            match effect:
                case SetTimer(key, at):
                    self._timers[key] = at
                    heapq.heappush(self._heap, (at, key))
                case CancelTimer(key):
                    self._timers.pop(key, None)
        return effects

    def _due(self, now: float) -> list[Effect]:
        """Fire what is due, as long as it does not take long; a timer that is set meanwhile waits for the next turn."""
        due: list[tuple[float, str]] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap))
        effects: list[Effect] = []
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST
        for at, key in due:
            if loop.time() > end:
                heapq.heappush(self._heap, (at, key))
            elif self._timers.get(key) == at:
                del self._timers[key]
                effects += self._handle(TimerFired(key), now)  # type: ignore[arg-type]
        return effects

    async def _carry_out(self, effects: Sequence[Effect]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST
        for effect in effects:
            if loop.time() > end:
                await asyncio.sleep(0)
                end = loop.time() + _LONGEST
            match effect:
                case Put() | Delete() | SetTimer() | CancelTimer():
                    pass
                case Reply(to, value):
                    future = self._asked.get(to)
                    if future is not None and not future.done():
                        future.set_result(value)
                case _:
                    self._perform(effect)

    def _set_alarm(self) -> None:
        if len(self._heap) > 2 * len(self._timers) + _SLACK:  # of timers that are renewed all the time
            self._heap = [(at, key) for key, at in self._timers.items()]
            heapq.heapify(self._heap)
        while self._heap and self._timers.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        at = self._heap[0][0] if self._heap else None
        if at == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = at
        if at is not None:
            self._alarm = asyncio.get_running_loop().call_later(max(0.0, at - self._clock.now()), self._ring)

    def _ring(self) -> None:
        self._alarm = self._alarm_at = None
        self._wakeup.set()
