"""Counters, rates and durations, in the form of Dropwizard Metrics 4.0, as Marathon's /metrics has it.

Nothing ticks: a rate is brought up to date when it is marked or read.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Any

from headrace.kernel.clock import Clock

_TICK = 5.0
_MINUTES = (1, 5, 15)
_DECAY = tuple(1 - math.exp(-_TICK / 60 / minutes) for minutes in _MINUTES)
_KEPT = 1024
_QUANTILES = (("p50", 0.5), ("p75", 0.75), ("p95", 0.95), ("p98", 0.98), ("p99", 0.99), ("p999", 0.999))


class Meter:
    """How often something happens: since the start, and as averages that fade over 1, 5 and 15 minutes."""

    def __init__(self, now: float) -> None:
        self.count = 0
        self._start = self._ticked = now
        self._fresh = 0
        self._rates: list[float] = []

    def mark(self, now: float) -> None:
        """It has happened."""
        self._tick(now)
        self.count += 1
        self._fresh += 1

    def shown(self, now: float, unit: str = "events/second") -> dict[str, Any]:
        """As JSON."""
        self._tick(now)
        age = now - self._start
        rates = {f"m{minutes}_rate": rate for minutes, rate in zip(_MINUTES, self._rates or (0.0,) * 3, strict=True)}
        mean = self.count / age if age > 0 else 0.0
        key = "units" if unit.startswith("events") else "rate_units"
        return {"count": self.count, **rates, "mean_rate": mean, key: unit}

    def _tick(self, now: float) -> None:
        ticks = int((now - self._ticked) // _TICK)
        if ticks <= 0:
            return
        self._ticked += ticks * _TICK
        rate, self._fresh = self._fresh / _TICK, 0
        if not self._rates:
            self._rates = [rate] * len(_MINUTES)
        else:
            self._rates = [old + decay * (rate - old) for old, decay in zip(self._rates, _DECAY, strict=True)]
        self._rates = [old * (1 - decay) ** (ticks - 1) for old, decay in zip(self._rates, _DECAY, strict=True)]


class Timer:
    """How long something takes: the last durations, and how often it happens."""

    def __init__(self, now: float) -> None:
        self._meter = Meter(now)
        self._seconds: deque[float] = deque(maxlen=_KEPT)

    def took(self, seconds: float, now: float) -> None:
        """It has happened and took so long."""
        self._meter.mark(now)
        self._seconds.append(seconds)

    def shown(self, now: float) -> dict[str, Any]:
        """As JSON."""
        known = sorted(self._seconds)
        count = len(known)
        mean = sum(known) / count if count else 0.0
        spread = math.sqrt(sum((one - mean) ** 2 for one in known) / count) if count else 0.0
        quantiles = {name: known[min(count - 1, int(share * count))] if count else 0.0 for name, share in _QUANTILES}
        return {
            "max": known[-1] if count else 0.0,
            "mean": mean,
            "min": known[0] if count else 0.0,
            **quantiles,
            "stddev": spread,
            **self._meter.shown(now, "calls/second"),
            "duration_units": "seconds",
        }


_METHODS = ("GET", "POST", "PUT", "DELETE")
_COUNTERS = (
    "deployments.counter",
    "deployments.dismissed.counter",
    "tasks.launched.counter",
    "mesos.calls.revive.counter",
    "mesos.calls.suppress.counter",
    "mesos.offer-operations.launch-group.counter",
    "mesos.offer-operations.launch.counter",
    "mesos.offer-operations.reserve.counter",
    "mesos.offers.declined.counter",
    "mesos.offers.incoming.counter",
    "mesos.offers.used.counter",
    "http.requests.size.counter.bytes",
    "http.responses.size.counter.bytes",
    "http.responses.size.gzipped.counter.bytes",
    "http.responses.event-stream.size.counter.bytes",
)
"""Those that are there from the start."""


class Counts:
    """Everything that is counted outside of the core; names without their prefix."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started = clock.now()
        self.counters: Counter[str] = Counter(dict.fromkeys(_COUNTERS, 0))
        self.active_requests = 0
        self.event_streams = 0
        self._responses = {f"http.responses.{n}xx.rate.meter": Meter(self.started) for n in range(1, 6)}
        self._durations = {
            name: Timer(self.started)
            for name in (
                "http.requests.duration.timer.seconds",
                *(f"http.requests.{one.lower()}.duration.timer.seconds" for one in _METHODS),
            )
        }

    def now(self) -> float:
        return self._clock.now()

    def answered(self, method: str, status: int, began: float) -> None:
        """A request that came at ``began`` has its answer."""
        now = self._clock.now()
        self._responses[f"http.responses.{status // 100}xx.rate.meter"].mark(now)
        self._durations["http.requests.duration.timer.seconds"].took(now - began, now)
        timer = self._durations.get(f"http.requests.{method.lower()}.duration.timer.seconds")
        if timer is not None:
            timer.took(now - began, now)

    def gauges(self) -> dict[str, float]:
        """What is so now."""
        now = self._clock.now()
        return {
            "uptime.gauge.seconds": now - self.started,
            "leadership.duration.gauge.seconds": now - self.started,
            "http.requests.active.gauge": self.active_requests,
            "http.event-streams.active.gauge": self.event_streams,
        }

    def meters(self) -> dict[str, dict[str, Any]]:
        now = self._clock.now()
        return {name: one.shown(now) for name, one in self._responses.items()}

    def timers(self) -> dict[str, dict[str, Any]]:
        now = self._clock.now()
        return {name: one.shown(now) for name, one in self._durations.items()}
