"""Ends tasks and does not let go: a kill is said again until the task's end is known.

What is being killed is not stored: an instance whose goal is to go is killed again after a restart.
"""

from __future__ import annotations

from headrace.marathon.core.books import Books
from headrace.marathon.core.records import LOST, Condition, Goal, Instance
from headrace.mesos.messages.common import AgentID, TaskID
from headrace.mesos.messages.scheduler import Call, Kill

TIMER = "kill/"


class Killer:
    """Kills in flight, by task id."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._pending: dict[str, str] = {}

    def decommission(self, instance: Instance, now: float, why: str) -> None:
        """The instance goes for good."""
        if instance.goal is Goal.DECOMMISSIONED:
            return
        instance.goal = Goal.DECOMMISSIONED
        self._books.tell(instance.app_id, now, f"instance {instance.id} is ended", why)
        if not instance.has_task or instance.condition in LOST:
            # nothing to kill, or nobody to reach: if a lost task comes back, it is unknown and killed then
            self._books.no_wake(f"unreachable/{instance.id}")
            self._books.forget(instance)
            return
        self._books.save(instance)
        self.kill(instance, now, why)

    def kill(self, instance: Instance, now: float, why: str) -> None:
        """End the instance's task; with the goal to run, a new one follows."""
        if instance.condition is Condition.SCHEDULED:
            return
        alive = [one for one in instance.live_task_ids if one not in self._pending]
        if alive:
            self._books.tell(instance.id, now, "killed", why)
        for task_id in alive:
            self._pending[task_id] = instance.agent_id
            self._say(task_id, instance.agent_id, now)

    def unknown(self, task_id: str, agent_id: str, now: float) -> None:
        """End a task that belongs to no instance."""
        if task_id not in self._pending:
            self._pending[task_id] = agent_id
            self._say(task_id, agent_id, now)

    def ended(self, task_id: str) -> None:
        """The task is no more."""
        if self._pending.pop(task_id, None) is not None:
            self._books.no_wake(TIMER + task_id)

    def connected(self, now: float) -> None:
        """Say all again to a master that may not have heard it; begin what was meant before a restart."""
        for task_id, agent_id in self._pending.items():
            self._say(task_id, agent_id, now)
        for instance in self._books.instances.values():
            if instance.goal is Goal.DECOMMISSIONED:
                self.kill(instance, now, "was being ended when Marathon stopped")

    def timer(self, task_id: str, now: float) -> None:
        """Long enough without an answer: once more."""
        agent_id = self._pending.get(task_id)
        if agent_id is not None:
            self._say(task_id, agent_id, now)

    def _say(self, task_id: str, agent_id: str, now: float) -> None:
        agent = AgentID(agent_id) if agent_id else None
        self._books.call(Call("KILL", kill=Kill(TaskID(task_id), agent)))
        self._books.wake(TIMER + task_id, now + self._books.settings.kill_retry_interval)
