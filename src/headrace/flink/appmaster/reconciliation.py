"""Reconciliation: the master is asked what became of tasks until it has answered for each.

Pure. After every subscription all launched workers are asked about, one by one and all together
(implicitly, which brings forth tasks that nobody here knows); who got no answer is asked about
again with growing pauses; every quarter of an hour everything is asked once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.flink.appmaster.events import SendCall
from headrace.kernel.core import CancelTimer, Effect, SetTimer
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import AgentID, TaskID

RETRY_TIMER = "reconcile/retry"
PERIODIC_TIMER = "reconcile/periodic"
FIRST_PAUSE, LAST_PAUSE = 5.0, 60.0
PERIOD = 900.0


class ReconciliationCoordinator:
    """``jitter`` gives numbers in [0, 1)."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._unanswered: dict[str, str] = {}
        self._retries = 0
        self._connected = False

    @property
    def unanswered(self) -> list[str]:
        """Workers about which the master has said nothing yet."""
        return list(self._unanswered)

    def connected(self, workers: Mapping[str, str], now: float) -> list[Effect]:
        """``workers``: agent ids by worker id."""
        self._connected = True
        return self.everything(workers, now)

    def disconnected(self) -> list[Effect]:
        self._connected = False
        self._retries = 0
        return [CancelTimer(RETRY_TIMER), CancelTimer(PERIODIC_TIMER)]

    def everything(self, workers: Mapping[str, str], now: float) -> list[Effect]:
        """Ask about all, and implicitly about what is not in ``workers``."""
        if not self._connected:
            return []
        implicit = SendCall(scheduler.Call("RECONCILE", reconcile=scheduler.Reconcile([])))
        return [implicit, *self.ask(workers, now), SetTimer(PERIODIC_TIMER, now + PERIOD)]

    def ask(self, workers: Mapping[str, str], now: float) -> list[Effect]:
        """Ask about these now, again later if need be."""
        self._unanswered |= workers
        if not self._connected or not workers:
            return []
        self._retries = 0
        return [_explicit(workers), SetTimer(RETRY_TIMER, now + self._pause())]

    def answered(self, worker_id: str) -> list[Effect]:
        """There is news of a worker, or it is of no interest any more."""
        if self._unanswered.pop(worker_id, None) is None or self._unanswered:
            return []
        self._retries = 0
        return [CancelTimer(RETRY_TIMER)]

    def retry(self, now: float) -> list[Effect]:
        """The pause is over."""
        if not self._connected or not self._unanswered:
            return []
        self._retries += 1
        return [_explicit(self._unanswered), SetTimer(RETRY_TIMER, now + self._pause())]

    def _pause(self) -> float:
        return min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._retries, 30)) * (1.0 + 0.2 * self._jitter())


def _explicit(workers: Mapping[str, str]) -> SendCall:
    tasks = [
        scheduler.ReconcileTask(TaskID(worker_id), AgentID(agent_id) if agent_id else None)
        for worker_id, agent_id in workers.items()
    ]
    return SendCall(scheduler.Call("RECONCILE", reconcile=scheduler.Reconcile(tasks)))
