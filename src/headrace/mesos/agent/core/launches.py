"""What the master wants started: tasks, groups of tasks, and the executors that they need."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.kernel.core import Effect
from headrace.kernel.ids import IdSource
from headrace.mesos.agent.core.books import Books, Executor, framework_id_of, place_in
from headrace.mesos.agent.core.containers import Place
from headrace.mesos.agent.core.delivered import DeliveredTask
from headrace.mesos.agent.core.executors import CustomExecutor
from headrace.mesos.agent.core.records import (
    COMMAND,
    CUSTOM,
    FETCHING,
    GROUP,
    QUEUED,
    RUNNING,
    ExecutorRecord,
    ExecutorState,
    TaskRecord,
    TaskState,
    executor_key,
    executor_state_key,
    put,
    task_key,
)
from headrace.mesos.agent.core.reporting import ReportedTask
from headrace.mesos.agent.core.tasks import Task
from headrace.mesos.agent.core.validation import problem_of, problem_of_executor
from headrace.mesos.messages.agent_link import RunGroup, RunTasks
from headrace.mesos.messages.common import ExecutorInfo, Resource, TaskInfo, TaskStatus

TASK_INVALID = "REASON_TASK_INVALID"
NO_EXECUTOR = "No executor is expected to launch and there is no executor running"
GROUP_INVALID = "REASON_TASK_GROUP_INVALID"


class Launches:
    """Enters what is launched into the books. ``agent_id`` is who the agent is to the master now."""

    def __init__(self, books: Books, new_id: IdSource) -> None:
        self._books = books
        self._new_id = new_id

    def tasks(self, agent_id: str, event: RunTasks, now: float) -> list[Effect]:
        """Command tasks, and tasks that bring a custom executor along."""
        effects = self._books.enter_framework(event.framework)
        framework_id = framework_id_of(event.framework).value
        gone = {one.value for one in event.running if self._books.executor(framework_id, one.value) is None}
        wanted: dict[str, Executor] = {}
        for task in self._new(framework_id, event.tasks, now):
            problem = problem_of(task, self._books.config.containerizers)
            if problem is not None:
                effects += self._refuse(agent_id, framework_id, task, task.executor, problem, TASK_INVALID, now)
            elif task.executor is None:
                effects += self._start(agent_id, framework_id, task, now)
            elif task.executor.executor_id.value in gone:
                effects += self._drop(agent_id, framework_id, task, task.executor, now)
            else:
                executor, started = self._executor(agent_id, framework_id, task.executor, now)
                wanted[executor.container_id] = executor
                effects += [*started, *self._enter(executor, task, "", now)]
        return effects + self._deliver(list(wanted.values()))

    def group(self, agent_id: str, event: RunGroup, now: float) -> list[Effect]:
        """Tasks that start together, in an executor that may run already."""
        effects = self._books.enter_framework(event.framework)
        framework_id, executor_info = framework_id_of(event.framework).value, event.executor
        tasks = self._new(framework_id, event.tasks, now)
        if not tasks:
            return effects
        problem = self._problem_of_group(executor_info, tasks)
        if problem is not None:
            for task in tasks:
                effects += self._refuse(agent_id, framework_id, task, executor_info, problem, GROUP_INVALID, now)
            return effects
        if event.running and self._books.executor(framework_id, executor_info.executor_id.value) is None:
            for task in tasks:
                effects += self._drop(agent_id, framework_id, task, executor_info, now)
            return effects
        executor, started = self._executor(agent_id, framework_id, executor_info, now)
        effects += started
        group = self._new_id()
        entered = [self._adopt(executor, task, group, now) for task in tasks]
        for one in entered:
            effects += self._begin(executor, one, now)
        return effects + self._deliver([executor])

    # helpers

    def _new(self, framework_id: str, tasks: list[TaskInfo], now: float) -> list[TaskInfo]:
        """Without those that are known."""
        fresh = []
        for task in tasks:
            if self._books.find(framework_id, task.task_id.value) is None:
                fresh.append(task)
            else:
                self._books.stories.tell(f"{framework_id}/{task.task_id.value}", now, "told to run it again", "known")
        return fresh

    def _problem_of_group(self, executor: ExecutorInfo, tasks: list[TaskInfo]) -> str | None:
        kinds = self._books.config.containerizers
        problem = problem_of_executor(executor, kinds, for_group=True)
        for task in tasks:
            problem = problem or problem_of(task, kinds, CUSTOM if _is_custom(executor) else GROUP)
            if problem is not None:
                return f"Task '{task.task_id.value}': {problem}" if len(tasks) > 1 else problem
        return problem

    def _start(self, agent_id: str, framework_id: str, info: TaskInfo, now: float) -> list[Effect]:
        """A command task."""
        place = Place(agent_id, framework_id, info.task_id.value, self._new_id())
        task = self._adopt_at(place, framework_id, info, COMMAND, "", now)
        assert isinstance(task, Task)  # noqa: S101 - what COMMAND means
        self._books.stories.tell(task.subject, now, "accepted", f"container {task.container_id}")
        return [_stored(task), *self._books.after(task, task.begin(now), now)]

    def _refuse(
        self,
        agent_id: str,
        framework_id: str,
        info: TaskInfo,
        executor: ExecutorInfo | None,
        problem: str,
        reason: str,
        now: float,
    ) -> list[Effect]:
        task = self._only_told_of(agent_id, framework_id, info, executor, now)
        self._books.stories.tell(task.subject, now, "refused", problem)
        return [_stored(task), *self._books.after(task, task.refuse(now, problem, reason), now)]

    def _drop(
        self, agent_id: str, framework_id: str, info: TaskInfo, executor: ExecutorInfo, now: float
    ) -> list[Effect]:
        """Its executor has ended while the master sent it; for a new one nothing has been set aside."""
        task = self._only_told_of(agent_id, framework_id, info, executor, now)
        return [_stored(task), *self._books.after(task, task.drop(now, NO_EXECUTOR), now)]

    def _only_told_of(
        self, agent_id: str, framework_id: str, info: TaskInfo, executor: ExecutorInfo | None, now: float
    ) -> Task:
        """A task that will never run, but has a status to be told."""
        executor_id = executor.executor_id.value if executor is not None else info.task_id.value
        place = Place(agent_id, framework_id, executor_id, self._new_id())
        task = self._adopt_at(place, framework_id, info, COMMAND, "", now)
        assert isinstance(task, Task)  # noqa: S101 - what COMMAND means
        return task

    def _executor(
        self, agent_id: str, framework_id: str, info: ExecutorInfo, now: float
    ) -> tuple[Executor, list[Effect]]:
        """The executor of that id, and what it takes to have it."""
        executor_id = info.executor_id.value
        known = self._books.executor(framework_id, executor_id)
        if known is not None:
            return known, []
        custom = _is_custom(info)
        place = Place(agent_id, framework_id, executor_id, self._new_id())
        record = ExecutorRecord(framework_id, info, place, custom)
        executor = self._books.adopt_executor(record, ExecutorState(FETCHING if custom else RUNNING))
        self._books.stories.tell(executor.subject, now, "executor accepted", f"container {executor.container_id}")
        begun = executor.begin(now) if isinstance(executor, CustomExecutor) else []
        state = put(executor_state_key(framework_id, executor_id), executor.state())
        return executor, [put(executor_key(framework_id, executor_id), record), state, *begun]

    def _enter(self, executor: Executor, info: TaskInfo, group: str, now: float) -> list[Effect]:
        return self._begin(executor, self._adopt(executor, info, group, now), now)

    def _adopt(self, executor: Executor, info: TaskInfo, group: str, now: float) -> ReportedTask:
        sort = CUSTOM if executor.record.custom else GROUP
        place = place_in(executor, "" if executor.record.custom else self._new_id())
        held = executor.record.executor.resources or () if sort == GROUP else ()
        shared = [one for one in held if one.disk is not None and one.disk.persistence is not None]
        return self._adopt_at(place, executor.record.framework_id, info, sort, group, now, shared)

    def _begin(self, executor: Executor, task: ReportedTask, now: float) -> list[Effect]:
        self._books.stories.tell(task.subject, now, "accepted", f"container {task.container_id}")
        effects: list[Effect] = []
        if isinstance(task, Task):
            effects = task.begin(now) if task.live else []
        elif isinstance(task, DeliveredTask) and isinstance(executor, CustomExecutor):
            effects = task.begin() if executor.ending is None else task.drop(now, "Executor terminating")
        return [_stored(task), *self._books.after(task, effects, now)]

    def _adopt_at(
        self,
        place: Place,
        framework_id: str,
        info: TaskInfo,
        sort: str,
        group: str,
        now: float,
        shared: Sequence[Resource] = (),
    ) -> ReportedTask:
        record = TaskRecord(framework_id, info, place, sort, group, list(shared))
        staging = TaskStatus(info.task_id, "TASK_STAGING", timestamp=now)
        return self._books.adopt_task(record, TaskState(QUEUED if sort == CUSTOM else FETCHING, staging))

    def _deliver(self, executors: list[Executor]) -> list[Effect]:
        return [e for executor in executors if isinstance(executor, CustomExecutor) for e in executor.deliver()]


def _stored(task: ReportedTask) -> Effect:
    return put(task_key(task.record.framework_id, task.info.task_id.value), task.record)


def _is_custom(info: ExecutorInfo) -> bool:
    return info.type == "CUSTOM" or (info.type != "DEFAULT" and info.command is not None)
