"""Ends tasks and does not let go: a kill is said again until the task's end is known.

What is being killed is not stored: an instance whose goal is to go is killed again after a restart.
"""

from __future__ import annotations

from headrace.marathon.core.books import Books
from headrace.marathon.core.events import Probed
from headrace.marathon.core.prestop import PreStops
from headrace.marathon.core.records import LOST, Cause, Condition, Goal, Instance, instance_of_task
from headrace.marathon.core.residency import fits
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.common import AgentID, TaskID
from headrace.mesos.messages.scheduler import Call, Kill

TIMER = "kill/"


class Killer:
    """Kills in flight, by task id."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._pre_stops = PreStops(books)
        self._pending: dict[str, str] = {}
        self._attempts: dict[str, int] = {}

    @property
    def in_flight(self) -> int:
        """Tasks that were told to end and have not said so."""
        return len(self._pending)

    @property
    def attempts(self) -> int:
        """How often they were told."""
        return sum(self._attempts.values())

    def decommission(self, instance: Instance, now: float, why: str, cause: Cause = Cause.REMOVED) -> None:
        """The instance goes for good."""
        if instance.goal is Goal.DECOMMISSIONED:
            return
        instance.goal = Goal.DECOMMISSIONED
        _blame(instance, cause, why)
        self._books.tell(instance.app_id, now, f"instance {instance.id} is ended", why)
        if not instance.has_task or instance.condition in LOST:
            # nothing to kill, or nobody to reach: if a lost task comes back, it is unknown and killed then
            self._books.no_wake(f"unreachable/{instance.id}")
            if instance.has_task:
                self._books.over(instance, now, instance.state, instance.condition)
            self._books.forget(instance)
            return
        self._books.save(instance)
        self.kill(instance, now, why)

    def retire(self, instance: Instance, app: RunSpec, now: float, why: str, cause: Cause = Cause.REMOVED) -> None:
        """The instance is not to run for now: it goes, but with volumes that the app still has it is only stopped."""
        if not instance.home or not fits(app, instance):
            self.decommission(instance, now, why, cause)
        elif instance.goal is Goal.RUNNING:
            instance.goal = Goal.STOPPED
            _blame(instance, cause, why)
            self._books.tell(instance.app_id, now, f"instance {instance.id} is stopped and keeps its volumes", why)
            self._books.save(instance)
            self.kill(instance, now, why)

    def kill(self, instance: Instance, now: float, why: str, cause: Cause = Cause.REMOVED) -> None:
        """End the instance's task; with the goal to run, a new one follows."""
        if instance.condition is Condition.SCHEDULED or (instance.home and instance.condition in LOST):
            return
        alive = [one for one in instance.live_task_ids if one not in self._pending]
        if alive:
            self._books.tell(instance.id, now, "killed", why)
            if instance.cause is None:
                _blame(instance, cause, why)
                self._books.save(instance)
            if self._pre_stops.holds(instance, now):
                return
        for task_id in alive:
            self._pending[task_id] = instance.agent_id
            self._say(task_id, instance.agent_id, now)

    def prepared(self, outcome: Probed, now: float) -> None:
        """A task that was asked to prepare for its end has answered, or could not be asked."""
        instance = self._pre_stops.answered(outcome, now)
        if instance is not None:
            self.kill(instance, now, instance.cause_text)

    def time_is_up(self, instance_id: str, now: float) -> None:
        """A task has not prepared for its end in time."""
        instance = self._pre_stops.over(instance_id, now)
        if instance is not None:
            self._books.tell(instance_id, now, "its pre-stop call took too long; it is ended all the same")
            self.kill(instance, now, instance.cause_text)

    def unknown(self, task_id: str, agent_id: str, now: float) -> None:
        """End a task that belongs to no instance."""
        if task_id not in self._pending:
            self._pending[task_id] = agent_id
            self._say(task_id, agent_id, now)

    def ended(self, task_id: str) -> None:
        """The task is no more."""
        self._pre_stops.ended(instance_of_task(task_id))
        if self._pending.pop(task_id, None) is not None:
            self._attempts.pop(task_id, None)
            self._books.no_wake(TIMER + task_id)

    def connected(self, now: float) -> None:
        """Say all again to a master that may not have heard it; begin what was meant before a restart."""
        for task_id, agent_id in self._pending.items():
            self._say(task_id, agent_id, now)
        for instance in self._books.instances.values():
            if instance.goal is not Goal.RUNNING or instance.cause is not None:
                self.kill(instance, now, "was being ended when Marathon stopped")

    def timer(self, task_id: str, now: float) -> None:
        """Long enough without an answer: once more."""
        agent_id = self._pending.get(task_id)
        if agent_id is not None:
            self._say(task_id, agent_id, now)

    def _say(self, task_id: str, agent_id: str, now: float) -> None:
        agent = AgentID(agent_id) if agent_id else None
        self._attempts[task_id] = self._attempts.get(task_id, 0) + 1
        self._books.call(Call("KILL", kill=Kill(TaskID(task_id), agent)))
        self._books.wake(TIMER + task_id, now + self._books.settings.kill_retry_interval)


def _blame(instance: Instance, cause: Cause, why: str) -> None:
    """Who ends a task first is the one who did it."""
    if instance.cause is None and instance.has_task:
        instance.cause, instance.cause_text = cause, why
