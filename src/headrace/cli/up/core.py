"""Decides what ``headrace up`` starts, starts again and stops; pure.

Start:   master; when it is ready, agents and marathon together.
Restart: a daemon that ends by itself is started again, at once the first time, then with growing
         delays; one that never became ready ends the whole start instead: nothing would help it.
Stop:    marathon, so that nobody launches anything; agents, by the signal that makes them end all
         tasks; master. A stage that takes too long is killed. What is left of tasks is swept last.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from signal import SIGKILL, SIGTERM, SIGUSR1, Signals
from typing import TypeAlias

from headrace.kernel.core import CancelTimer, Effect, Event, SetTimer, TimerFired

FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0
STABLE_AFTER = 30.0
"""Seconds: the first and the longest wait before a new start; a run this long resets the wait."""

MISTAKES = frozenset((2, 111, 112))
"""Exit statuses of a daemon that has told the user what to put right; the latter two are Marathon's."""

_STOP_TIMER = "stop"


class Kind(enum.Enum):
    """What a daemon is; the value is its place in the order of stopping."""

    MARATHON = 0
    AGENT = 1
    MASTER = 2


_STOP_SIGNAL = {Kind.MARATHON: SIGTERM, Kind.AGENT: SIGUSR1, Kind.MASTER: SIGTERM}
_PATIENCE = {Kind.MARATHON: 2.0, Kind.AGENT: 6.0, Kind.MASTER: 2.0}


class Begin(Event, frozen=True):
    """Start everything."""


class BecameReady(Event, frozen=True):
    """The daemon accepts requests at ``url``."""

    name: str
    url: str


class Exited(Event, frozen=True):
    """The daemon ended. ``status``: exit status, negative for a signal; ``reason``: its last words."""

    name: str
    status: int
    reason: str = ""


class StopAsked(Event, frozen=True):
    """Somebody wants all of it to end, with this exit status; asked again, it must hurry."""

    status: int = 0


class Swept(Event, frozen=True):
    """What tasks had left behind is gone."""


SupervisorEvent: TypeAlias = Begin | BecameReady | Exited | StopAsked | Swept | TimerFired


class Start(Effect, frozen=True):
    """Start the daemon."""

    name: str


class Signal(Effect, frozen=True):
    """Send the daemon a signal."""

    name: str
    number: int


class Sweep(Effect, frozen=True):
    """End what is left of the tasks, then post Swept."""


class Say(Effect, frozen=True):
    """Tell the user."""

    text: str


class AllReady(Effect, frozen=True):
    """Every daemon has become ready for the first time."""


class Finish(Effect, frozen=True):
    """Everything has ended; exit with ``status``, and say ``error`` if there was one."""

    status: int
    error: str = ""


class _State(enum.Enum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RESTING = "resting"
    ENDED = "ended"

    @property
    def alive(self) -> bool:
        return self in (_State.STARTING, _State.READY)


class _Daemon:
    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind
        self.state = _State.WAITING
        self.url = ""
        self.started_at = 0.0
        self.failures = 0


class Supervisor:
    """The decisions. ``daemons`` are names with their kinds; exactly one is the master."""

    def __init__(self, daemons: Sequence[tuple[str, Kind]]) -> None:
        self._daemons = {name: _Daemon(name, kind) for name, kind in daemons}
        self._stage: Kind | None = None
        self._sweeping = False
        self._status = 0
        self._error = ""
        self._complete = False

    @property
    def stopping(self) -> bool:
        """Whether the end has begun."""
        return self._stage is not None

    def handle(self, event: SupervisorEvent, now: float) -> list[Effect]:
        """Take one event; return what to do."""
        match event:
            case Begin():
                return self._start_all(Kind.MASTER, now)
            case BecameReady(name, url):
                return self._ready(self._daemons[name], url, now)
            case Exited(name, status, reason):
                return self._exited(self._daemons[name], status, reason, now)
            case StopAsked(status):
                return self._stop(status, now)
            case TimerFired(key):
                return self._due(key, now)
            case Swept():
                return [Finish(self._status, self._error)]

    def _start_all(self, kind: Kind, now: float) -> list[Effect]:
        return [self._start(d, now) for d in self._daemons.values() if d.kind is kind and d.state is _State.WAITING]

    def _start(self, daemon: _Daemon, now: float) -> Effect:
        daemon.state = _State.STARTING
        daemon.started_at = now
        return Start(daemon.name)

    def _ready(self, daemon: _Daemon, url: str, now: float) -> list[Effect]:
        if daemon.state is not _State.STARTING:
            return []
        first = not daemon.url
        daemon.state, daemon.url = _State.READY, url
        if self.stopping:
            return []
        if not first:
            return [Say(f"{daemon.name} is back at {url}")]
        effects: list[Effect] = [Say(f"{daemon.name:<9} {url}")]
        if daemon.kind is Kind.MASTER:
            effects += self._start_all(Kind.AGENT, now)
            effects += self._start_all(Kind.MARATHON, now)
        if not self._complete and all(d.url for d in self._daemons.values()):
            self._complete = True
            effects.append(AllReady())
        return effects

    def _exited(self, daemon: _Daemon, status: int, reason: str, now: float) -> list[Effect]:
        daemon.state = _State.ENDED
        if self._stage is not None:
            return self._advance(now) if daemon.kind is self._stage else []
        if not daemon.url:
            self._error = f"{daemon.name} could not start: {reason or _describe(status)}"
            return self._stop(2 if status in MISTAKES else 1, now)
        if now - daemon.started_at >= STABLE_AFTER:
            daemon.failures = 0
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2**daemon.failures)
        daemon.failures += 1
        daemon.state = _State.RESTING
        why = f" ({reason})" if reason else ""
        text = f"{daemon.name} {_describe(status)}{why}; starting it again in {delay:g} s"
        return [Say(text), SetTimer(daemon.name, now + delay)]

    def _due(self, key: str, now: float) -> list[Effect]:
        if key == _STOP_TIMER:
            return self._kill_stage()
        daemon = self._daemons[key]
        return [self._start(daemon, now)] if daemon.state is _State.RESTING and not self.stopping else []

    def _stop(self, status: int, now: float) -> list[Effect]:
        if self._stage is not None:
            return self._kill_stage()
        self._status = status
        effects: list[Effect] = []
        for daemon in self._daemons.values():
            if daemon.state is _State.RESTING:
                effects.append(CancelTimer(daemon.name))
            if not daemon.state.alive:
                daemon.state = _State.ENDED
        self._stage = Kind.MARATHON
        return effects + self._enter(Kind.MARATHON, now)

    def _enter(self, stage: Kind, now: float) -> list[Effect]:
        self._stage = stage
        alive = self._alive(stage)
        if not alive:
            return self._advance(now)
        signals: list[Effect] = [Signal(d.name, _STOP_SIGNAL[stage]) for d in alive]
        return [*signals, SetTimer(_STOP_TIMER, now + _PATIENCE[stage])]

    def _advance(self, now: float) -> list[Effect]:
        assert self._stage is not None  # noqa: S101 - only called while stopping
        if self._alive(self._stage):
            return []
        if self._stage is not Kind.MASTER:
            return self._enter(Kind(self._stage.value + 1), now)
        if self._sweeping:
            return []
        self._sweeping = True
        return [CancelTimer(_STOP_TIMER), Sweep()]

    def _kill_stage(self) -> list[Effect]:
        assert self._stage is not None  # noqa: S101 - only called while stopping
        return [Signal(d.name, SIGKILL) for d in self._alive(self._stage)]

    def _alive(self, kind: Kind) -> list[_Daemon]:
        return [d for d in self._daemons.values() if d.kind is kind and d.state.alive]


def _describe(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
