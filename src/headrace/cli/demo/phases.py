"""The demo's phases: what is done, when, and what the others wait for; pure."""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """In the order in which they are begun; some go on side by side."""

    CLUSTER = "cluster up"
    SUBMITTED = "session submitted"
    JOB_MANAGER = "JobManager answers"
    HEALTHY = "session healthy"
    TASK_MANAGERS = "TaskManagers registered"
    JOB_SUBMITTED = "job submitted"
    JOB_RUNNING = "job RUNNING"
    FIRST_RESULT = "first result"
    CHECKED = "result complete and checked"


_WIDTH = max(len(phase.value) for phase in Phase)


class Phases:
    """Times in epoch seconds; ``began`` is when the user asked."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._waiting: dict[Phase, str] = {}
        self.times: dict[Phase, float] = {}

    def waits(self, phase: Phase, what: str) -> None:
        """The phase is going on, and this is what it waits for."""
        self._waiting[phase] = what

    def done(self, phase: Phase, now: float, detail: str = "") -> str:
        """The phase is over; returns the line that says so."""
        self._waiting.pop(phase, None)
        self.times[phase] = now - self._began
        return f"{self.times[phase]:6.1f} s  {phase.value:<{_WIDTH}}  {detail}".rstrip()

    def failed(self, phase: Phase, now: float) -> str:
        """The phase will not be over; returns the line that says so."""
        return f"{now - self._began:6.1f} s  {phase.value:<{_WIDTH}}  failed"

    def waiting(self, now: float) -> str:
        """The line that says what everything waits for; empty if nothing does."""
        if not self._waiting:
            return ""
        parts = " · ".join(f"{phase.value}: {what}" for phase, what in self._waiting.items())
        return f"{now - self._began:6.1f} s  {parts}"
