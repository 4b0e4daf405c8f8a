"""An agent that an operator wants empty: it kills its tasks, and says of each that ends that this is why.

The order is stored with the kills, so an agent that is restarted goes on with both. It is done when the last
task has ended and its framework knows. Nothing is launched meanwhile: the master knows. Source: Mesos documentation,
"Performing Node Maintenance".
"""

from __future__ import annotations

from headrace.kernel.core import Delete, Effect
from headrace.mesos.agent.core.books import Books
from headrace.mesos.agent.core.delivered import DeliveredTask
from headrace.mesos.agent.core.executor_desk import ExecutorDesk
from headrace.mesos.agent.core.records import DRAIN, DrainRecord, put
from headrace.mesos.agent.core.reporting import NANOSECONDS, ReportedTask, grace_of
from headrace.mesos.messages.agent_link import DrainAgent
from headrace.mesos.messages.common import DurationInfo, KillPolicy


class Draining:
    """Obeys DRAIN_AGENT."""

    def __init__(self, books: Books, executors: ExecutorDesk) -> None:
        self._books = books
        self._executors = executors

    @property
    def order(self) -> DrainRecord | None:
        """What there is to obey, while there is."""
        return self._books.context.drain

    def begin(self, order: DrainAgent, now: float) -> list[Effect]:
        """Kill all tasks; a second order can shorten what the first one gave them."""
        before = self.order
        started = before.started if before is not None else now
        self._books.context.drain = record = DrainRecord(started, order.max_grace_period, order.mark_gone)
        self._books.stories.tell("agent", now, "draining", "by an operator")
        effects: list[Effect] = [put(DRAIN, record)]
        for task in list(self._books.tasks):
            if task.live:  # it may have ended with another one of its group
                effects += self._kill(task, record.max_grace_period, now)
        return effects

    def over(self, now: float) -> list[Effect]:
        """Whether anything is left; asked after each event while there is an order."""
        if any(not task.orphaned for task in self._books.tasks):
            return []
        return self.forget(now, "drained")

    def forget(self, now: float, why: str) -> list[Effect]:
        """The order counts no more."""
        self._books.context.drain = None
        self._books.stories.tell("agent", now, why)
        return [Delete(DRAIN)]

    def _kill(self, task: ReportedTask, limit: DurationInfo | None, now: float) -> list[Effect]:
        policy = _capped(task, limit)
        grace = grace_of(policy, task.info.kill_policy)
        if task.killing is not None and task.killing.deadline <= now + grace:
            return []
        self._books.stories.tell(task.subject, now, "killed", "its agent is drained")
        if isinstance(task, DeliveredTask):
            return self._executors.kill(task, policy, now)
        return self._books.after(task, task.kill(now, policy), now)


def _capped(task: ReportedTask, limit: DurationInfo | None) -> KillPolicy | None:
    """The policy to kill with, unless its own does: no more than ``limit`` between SIGTERM and SIGKILL."""
    if limit is None or grace_of(task.info.kill_policy) * NANOSECONDS <= limit.nanoseconds:
        return None
    return KillPolicy(limit)
