"""What has become of a container: a task's own, or that of a custom executor."""

from __future__ import annotations

from collections.abc import Callable

from headrace.kernel.core import Effect
from headrace.mesos.agent.core.books import Books
from headrace.mesos.agent.core.events import (
    AgentInput,
    Checked,
    ContainerEnded,
    ContainerFound,
    ContainerStarted,
    FetchDone,
    FetchFailed,
    LimitExceeded,
    Probed,
    StartFailed,
)
from headrace.mesos.agent.core.executors import CustomExecutor, wait_status
from headrace.mesos.agent.core.groups import GroupExecutor
from headrace.mesos.agent.core.records import FETCHING
from headrace.mesos.agent.core.tasks import Task


class ContainerDesk:
    """Leads what happened to whom it happened, and on to what follows (``Books.after``)."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def handle(self, event: AgentInput, now: float) -> list[Effect] | None:
        """Take one event; None if it is about something else."""
        match event:
            case FetchDone(container_id):
                return self._either(
                    container_id,
                    now,
                    lambda task: task.fetched(now) if task.phase == FETCHING else [],
                    lambda executor: executor.fetched(now) if executor.phase == FETCHING else [],
                )
            case FetchFailed(container_id, message):
                why = f"Failed to fetch all URIs for container '{container_id}': {message}"
                return self._start_failed(StartFailed(container_id, why), now)
            case StartFailed():
                return self._start_failed(event, now)
            case ContainerStarted(container_id, pid, ip):
                return self._either(
                    container_id,
                    now,
                    lambda task: task.started(now, pid, ip),
                    lambda executor: executor.started(now, pid, ip),
                )
            case ContainerEnded(container_id, end, limitation):
                executor = self._custom(container_id)
                if executor is not None:
                    return self._books.end_custom(executor, now, wait_status(end), executor.verdict(limitation))
                return self.step(container_id, now, lambda task: task.ended(now, end, limitation))
            case ContainerFound(container_id):
                return self._found(event, now)
            case Probed(container_id, passed, why):
                return self._probed(container_id, passed, why, now)
            case LimitExceeded(container_id, limitation):
                return self._either(
                    container_id,
                    now,
                    lambda task: task.exceeded(limitation),
                    lambda executor: executor.exceeded(now, limitation),
                )
            case Checked(container_id, status):
                return self.step(container_id, now, lambda task: task.checked(now, status))
        return None

    def timer(self, kind: str, container_id: str, now: float) -> list[Effect]:
        """A timer of a container is due; nothing if there is no such kind."""
        match kind:
            case "kill":
                return self.step(container_id, now, lambda task: task.grace_over())
            case "limit":
                return self.step(container_id, now, lambda task: task.time_over(now))
            case "health":
                return self.step(container_id, now, lambda task: task.health_due())
            case "check":
                return self.step(container_id, now, lambda task: task.check_due())
            case "executor":
                return self._executor_timer(container_id, now)
        return []

    def step(self, container_id: str, now: float, step: Callable[[Task], list[Effect]]) -> list[Effect]:
        """One step of the task that has this container, and what follows."""
        task = self._books.containers.get(container_id)
        return self._books.after(task, step(task), now) if task is not None else []

    def _either(
        self,
        container_id: str,
        now: float,
        of_task: Callable[[Task], list[Effect]],
        of_executor: Callable[[CustomExecutor], list[Effect]],
    ) -> list[Effect]:
        executor = self._custom(container_id)
        return of_executor(executor) if executor is not None else self.step(container_id, now, of_task)

    def _start_failed(self, event: StartFailed, now: float) -> list[Effect]:
        executor = self._custom(event.container_id)
        if executor is not None:
            verdict = executor.launch_verdict(event.message, event.lost)
            return self._books.end_custom(executor, now, -1, verdict)
        return self.step(event.container_id, now, lambda task: task.launch_failed(now, event.message, event.lost))

    def _found(self, event: ContainerFound, now: float) -> list[Effect]:
        executor = self._custom(event.container_id)
        if executor is None:
            return self.step(event.container_id, now, lambda task: task.found(now, event))
        effects, end = executor.found(now, event)
        if end is None:
            return effects
        verdict = executor.verdict(event.limitation)
        return [*effects, *self._books.end_custom(executor, now, wait_status(end), verdict)]

    def _executor_timer(self, container_id: str, now: float) -> list[Effect]:
        executor = self._books.executors.get(container_id)
        if isinstance(executor, GroupExecutor):
            return self._books.linger_over(executor, now)
        return executor.time_over(now) if executor is not None else []

    def _custom(self, container_id: str) -> CustomExecutor | None:
        executor = self._books.executors.get(container_id)
        return executor if isinstance(executor, CustomExecutor) else None

    def _probed(self, container_id: str, passed: bool, why: str, now: float) -> list[Effect]:
        task = self._books.containers.get(container_id)
        if task is not None and not passed:
            self._books.stories.tell(task.subject, now, "health check failed", why)
        return self.step(container_id, now, lambda task: task.probed(now, passed))
