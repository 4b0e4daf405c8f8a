"""Launch back-off: an app whose tasks keep ending is launched more and more slowly. Pure.

A delay belongs to one configuration of an app: a changed configuration starts without one,
scaling keeps it.
"""

from __future__ import annotations

import msgspec

from headrace.marathon.definitions.run_spec import RunSpec


class Delay(msgspec.Struct, frozen=True):
    """``seconds`` from ``since`` on nothing is launched; ``updated`` is when it was last touched."""

    config_version: str
    seconds: float
    since: float
    updated: float

    @property
    def until(self) -> float:
        return self.since + self.seconds


def after_failure(delay: Delay | None, app: RunSpec, now: float) -> Delay:
    """The delay after one more task ended by itself."""
    current = valid(delay, app, now)
    longest = float(app.max_launch_delay_seconds)
    if current is None:
        return Delay(app.config_version, min(float(app.backoff_seconds), longest), now, now)
    seconds = max(current.seconds * app.backoff_factor, float(app.backoff_seconds))
    return Delay(app.config_version, min(seconds, longest), now, now)


def advanced(delay: Delay | None, app: RunSpec, now: float) -> Delay | None:
    """A task made progress: the delay counts from now, and keeps its length."""
    current = valid(delay, app, now)
    return None if current is None else msgspec.structs.replace(current, since=now, updated=now)


def valid(delay: Delay | None, app: RunSpec, now: float) -> Delay | None:
    """The delay if it still counts: same configuration, touched within ``maxLaunchDelaySeconds``."""
    if delay is None or delay.config_version != app.config_version:
        return None
    if now - delay.updated > max(app.max_launch_delay_seconds, delay.seconds):
        return None
    return delay
