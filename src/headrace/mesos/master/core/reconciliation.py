"""Reconciliation: tells a framework what the master knows of its tasks.

Silence is an answer too: while agents of before the master's restart may still come back, nothing
is said of a task that is not known yet. Source: Mesos documentation, "Reconciliation".
"""

from __future__ import annotations

from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.model import Framework, Task
from headrace.mesos.messages.common import Identifier, TaskStatus, TimeInfo
from headrace.mesos.messages.scheduler import Event, Reconcile, Update


class Reconciliation:
    """The rules of reconciliation, over the books."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def reconcile(self, framework: Framework, call: Reconcile, now: float) -> None:
        """Answer for the tasks that are asked about; for all that are known if none is."""
        if not call.tasks:
            for task in list(framework.tasks.values()):
                self._send(framework, latest(task, "Reconciliation: Latest task state", "REASON_RECONCILIATION", now))
        for asked in call.tasks or ():
            self.one(framework, asked.task_id, asked.agent_id, now)

    def one(self, framework: Framework, task_id: Identifier, agent_id: Identifier | None, now: float) -> None:
        """Answer for one task."""
        task = framework.tasks.get(task_id.value)
        if task is not None:
            self._send(framework, latest(task, "Reconciliation: Latest task state", "REASON_RECONCILIATION", now))
            return
        known_agent = agent_id.value if agent_id is not None else None
        since = self._unreachable_since(framework, task_id.value, known_agent)
        if since is not None:
            state, why = "TASK_UNREACHABLE", "Reconciliation: Task is unreachable"
        elif self._may_come_back(known_agent):
            return
        elif known_agent in self._books.removed and self._books.removed[known_agent].gone:
            state, why = "TASK_GONE_BY_OPERATOR", "Reconciliation: Task is gone"
        elif known_agent in self._books.agents:
            state, why = "TASK_GONE", "Reconciliation: Task is unknown to the agent"
        else:
            state, why = "TASK_UNKNOWN", "Reconciliation: Task is unknown"
        self._send(
            framework,
            TaskStatus(
                task_id,
                state if framework.partition_aware else "TASK_LOST",
                why,
                "SOURCE_MASTER",
                "REASON_RECONCILIATION",
                agent_id=agent_id,
                timestamp=now,
                unreachable_time=TimeInfo(round(since * 1e9)) if since is not None else None,
            ),
        )

    def _unreachable_since(self, framework: Framework, task_id: str, agent_id: str | None) -> float | None:
        lost = framework.unreachable.get(task_id)
        absent = self._books.absent.get(lost.agent_id if lost is not None else agent_id or "")
        return absent.since if absent is not None else None

    def _may_come_back(self, agent_id: str | None) -> bool:
        awaited = self._books.awaited
        return agent_id in awaited if agent_id is not None else bool(awaited)

    def _send(self, framework: Framework, status: TaskStatus) -> None:
        self._books.send(framework, Event("UPDATE", update=Update(status)))


def latest(task: Task, message: str, reason: str, now: float) -> TaskStatus:
    """The master's own word on the state of a task; it needs no acknowledgement."""
    last = task.statuses[-1] if task.statuses else None
    return TaskStatus(
        Identifier(task.id),
        task.state,
        message,
        "SOURCE_MASTER",
        reason,
        agent_id=Identifier(task.agent_id),
        executor_id=task.told_executor,
        timestamp=now,
        healthy=last.healthy if last is not None else None,
        check_status=last.check_status if last is not None else None,
        container_status=task.container_status,
    )
