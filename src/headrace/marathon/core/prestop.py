"""What a task is asked before it is told to end (``preStop``): once, with a deadline, whatever it answers.

The call is kept with the instance from its launch, so it is made even if the app is gone from the books by then. When
it began is stored: after a restart it goes on, and is made again if its answer was not seen.
"""

from __future__ import annotations

from headrace.marathon.core.books import Books
from headrace.marathon.core.events import Probe, Probed
from headrace.marathon.core.records import Condition, Instance, PreStopCall
from headrace.marathon.core.tasks import nth_port
from headrace.marathon.definitions.app import App

TIMER = "prestop/"


def call(app: App, instance: Instance) -> PreStopCall | None:
    """What a new instance is to be asked at its end; its ports are known."""
    wanted = app.pre_stop
    port = nth_port(app, instance, wanted.http.port_index) if wanted is not None else None
    return PreStopCall(port, wanted.http.path, wanted.deadline_seconds) if wanted is not None and port else None


class PreStops:
    """Tasks that prepare for their end, by instance."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._asked: dict[str, str] = {}

    def holds(self, instance: Instance, now: float) -> bool:
        """Whether the task may not be told to end yet; begins the call if need be."""
        if instance.pre_stop is None or self._asked.get(instance.id) == instance.task_id:
            return instance.id in self._asked
        if instance.pre_stop_until is None:
            if instance.condition is not Condition.RUNNING:
                return False
            instance.pre_stop_until = now + instance.pre_stop.seconds
            self._books.save(instance)
        left = instance.pre_stop_until - now
        if left <= 0:
            return False
        self._asked[instance.id] = instance.task_id
        wanted = instance.pre_stop
        self._books.tell(instance.id, now, "asked to prepare for its end", f"it has {left:.0f} s for that")
        self._books.effects.append(
            Probe(TIMER + instance.id, instance.task_id, "HTTP", instance.host, wanted.port, wanted.path, left)
        )
        self._books.wake(TIMER + instance.id, instance.pre_stop_until)
        return True

    def answered(self, outcome: Probed, now: float) -> Instance | None:
        """The answer has come, or none will; returns the instance that can be ended now."""
        instance = self.over(outcome.key.removeprefix(TIMER), now, outcome.task_id)
        if instance is not None and not outcome.passed:
            self._books.tell(instance.id, now, "its pre-stop call failed; it is ended all the same", outcome.cause)
        return instance

    def over(self, instance_id: str, now: float, task_id: str | None = None) -> Instance | None:
        """The time is up; returns the instance that can be ended now."""
        instance = self._books.instances.get(instance_id)
        asked = self._asked.get(instance_id)
        if instance is None or asked is None or asked != instance.task_id or task_id not in (None, asked):
            return None
        del self._asked[instance_id]
        self._books.no_wake(TIMER + instance_id)
        instance.pre_stop_until = now
        self._books.save(instance)
        return instance

    def ended(self, instance_id: str) -> None:
        """Its task is no more."""
        if self._asked.pop(instance_id, None) is not None:
            self._books.no_wake(TIMER + instance_id)
