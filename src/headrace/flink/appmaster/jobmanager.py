"""Keeping the JobManager alive: when it is started, when again, and when that is given up.

Pure. Each start is a new run with a number, stored before the process is made, so that a process
that outlived the application master is found again and none is started twice.
"""

from __future__ import annotations

from headrace.flink.appmaster import records
from headrace.flink.appmaster.events import SignalJobManager, StartJobManager
from headrace.flink.appmaster.records import JobManagerRecord
from headrace.kernel.core import CancelTimer, Effect, SetTimer

START_TIMER = "job-manager/start"
KILL_TIMER = "job-manager/kill"
FIRST_PAUSE, LAST_PAUSE = 0.1, 30.0
"""Seconds until it is started again: the first time, and at most; they double."""
STEADY = 60.0
"""Seconds with a driver after which a JobManager counts as good: the next pause is the first again."""
MOST_FAILURES = 3
"""So many ends in a row before any driver attached mean that it can't start at all."""
STOP_PATIENCE, UNHURRIED_PATIENCE = 1.2, 4.0
"""Seconds that a JobManager gets to end by itself: when SIGKILL follows soon for all, and else."""


class JobManagerKeeper:
    """Decides about the JobManager's process."""

    def __init__(self, record: JobManagerRecord | None) -> None:
        self._record = record or JobManagerRecord(0)
        self._restarts = 0
        self._attached_at: float | None = None
        self.pause = FIRST_PAUSE
        """Seconds from the latest end to the next start."""
        self.alive = False
        self.stopping = False

    @property
    def run(self) -> int:
        return self._record.run

    @property
    def hopeless(self) -> bool:
        """Whether starting it again makes no sense: none of this cluster ever worked."""
        return self._record.failures >= MOST_FAILURES and not self._record.worked

    def found(self) -> None:
        """The run of an earlier process of ours lives."""
        self.alive = True

    def start(self) -> list[Effect]:
        """Start it now."""
        if self.alive or self.stopping:
            return []
        self._record = JobManagerRecord(self._record.run + 1, self._record.failures, self._record.worked)
        self.alive = True
        return [records.put_job_manager(self._record), StartJobManager(self.run)]

    def attached(self, now: float) -> list[Effect]:
        """Its driver has attached: it works."""
        if self._attached_at is None:
            self._attached_at = now
        if self._record.worked and not self._record.failures:
            return []
        self._record = JobManagerRecord(self._record.run, worked=True)
        return [records.put_job_manager(self._record)]

    def ended(self, attached: bool, now: float, *, watched: bool = True) -> list[Effect]:
        """The process has ended; ``attached``: its driver had attached before. It starts again after a pause.

        ``watched``: we saw it; else it may never have been made, or has gone with us: no failure of its own.
        """
        self.alive = False
        if self.stopping:
            return [CancelTimer(KILL_TIMER)]
        if self._attached_at is not None and now - self._attached_at >= STEADY:
            self._restarts = 0
        self._attached_at = None
        self.pause = min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._restarts, 30))
        self._restarts += 1
        failures = 0 if attached else self._record.failures + watched
        self._record = JobManagerRecord(self._record.run, failures, self._record.worked)
        return [records.put_job_manager(self._record), SetTimer(START_TIMER, now + self.pause)]

    def stop(self, now: float, *, by_itself: bool = False, hurried: bool = True) -> list[Effect]:
        """End it for good; ``by_itself``: it is ending already, and is only killed if that takes too long."""
        if self.stopping:
            return []
        self.stopping = True
        effects: list[Effect] = [CancelTimer(START_TIMER)]
        if self.alive and not by_itself:
            effects.append(SignalJobManager(self.run, kill=False))
        if self.alive:
            effects.append(SetTimer(KILL_TIMER, now + (STOP_PATIENCE if hurried else UNHURRIED_PATIENCE)))
        return effects

    def kill(self) -> list[Effect]:
        """It has had its time."""
        return [SignalJobManager(self.run, kill=True)] if self.alive else []
