"""Launching: tasks by themselves, with executors of their framework's, and groups in an executor.

What a framework has accepted and not used up yet is its ``Hand``. A task that can't be launched ends in TASK_ERROR
by a word of the master; of a group all tasks are launched or none.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.mesos.master.core import validation
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.executors import Executors
from headrace.mesos.master.core.model import Agent, Executor, Framework, Task
from headrace.mesos.master.core.tasks import COUNTED, Tasks
from headrace.mesos.master.core.validation.commands import kind_of_health_check
from headrace.mesos.messages.agent_link import RunGroup, RunTasks
from headrace.mesos.messages.common import ExecutorID, ExecutorInfo, FrameworkID, Identifier, TaskInfo, TaskStatus
from headrace.mesos.messages.scheduler import Event, LaunchGroup, Update
from headrace.mesos.resources import EMPTY, Resources

INVALID_TASK, INVALID_GROUP = "REASON_TASK_INVALID", "REASON_TASK_GROUP_INVALID"


class Hand:
    """What is left of accepted offers, all of one agent and one role.

    ``offered`` is what it began with. ``shared`` are shared volumes: they may be used more often than they were
    offered. ``resized`` is what GROW_VOLUME and SHRINK_VOLUME made: it can't be used in the same call.
    ``started`` are tasks that the agent has not been told of yet, ``fresh`` executors that this call has entered and
    ``running`` those of ``started`` that were there before. ``used``: for anything at all; ``converted``: by
    an operation.
    """

    __slots__ = (
        "agent",
        "converted",
        "framework",
        "fresh",
        "left",
        "offered",
        "resized",
        "role",
        "running",
        "shared",
        "started",
        "used",
    )

    def __init__(self, framework: Framework, agent: Agent, role: str, offered: Resources) -> None:
        self.framework = framework
        self.agent = agent
        self.role = role
        self.offered = self.left = offered
        self.resized = EMPTY
        self.shared = EMPTY
        self.used = self.converted = False
        self.started: list[TaskInfo] = []
        self.fresh: set[str] = set()
        self.running: dict[str, None] = {}
        self.look_for_shared()

    def look_for_shared(self) -> None:
        """Note which shared volumes there are, now that some may have been made or destroyed."""
        self.shared = self.left.where(lambda tag: tag.shared) if self.left.parts else EMPTY

    @property
    def available(self) -> Resources:
        """What a task may use."""
        if not self.shared:
            return self.left
        return self.left.where(lambda tag: not tag.shared) + self.shared

    def take(self, resources: Resources) -> Resources:
        """Use some of it up; returns the uses of shared volumes that go beyond what was offered."""
        extra = EMPTY
        if self.shared:
            extra = resources.where(lambda tag: tag.shared) - self.left.where(lambda tag: tag.shared)
        self.left = self.left - resources
        self.used = True
        return extra


class Launcher:
    """The rules of launching, over the books."""

    def __init__(self, books: Books, tasks: Tasks, executors: Executors) -> None:
        self._books = books
        self._tasks = tasks
        self._executors = executors

    def flush(self, hand: Hand) -> None:
        """Tell the agent of the tasks that were launched one by one."""
        if hand.started:
            running = [ExecutorID(executor_id) for executor_id in hand.running]
            self._books.tell(hand.agent, RunTasks(hand.framework.info, hand.started, running))
            hand.started, hand.running = [], {}

    def launch(self, hand: Hand, infos: Sequence[TaskInfo], now: float) -> None:
        """Launch tasks that stand by themselves, each for which there is enough left."""
        for info in infos:
            info = _completed(info, hand.framework)
            wrong = validation.task(info, hand.framework, hand.agent, hand.role, hand.available)
            if wrong is not None:
                self.refuse(hand.framework, [info], "TASK_ERROR", INVALID_TASK, wrong, now)
                continue
            if info.executor is not None:
                info = msgspec.structs.replace(info, executor=self._executor(hand, info.executor))
            hand.started.append(self._enter(hand, info, now).info)

    def launch_group(self, hand: Hand, group: LaunchGroup, now: float) -> None:
        """Launch all tasks of a group in its executor, or none of them."""
        executor = group.executor
        given = group.task_group.tasks or ()
        if wrong := self._wrong_group(hand, executor, given):
            self.refuse(hand.framework, given, "TASK_ERROR", INVALID_GROUP, wrong, now)
            return
        if not given:
            self._books.story(f"framework/{hand.framework.id}", now, "LAUNCH_GROUP ignored", "it has no tasks")
            return
        self.flush(hand)
        entered = self._executor(hand, executor)
        started = []
        for info in given:
            info = msgspec.structs.replace(_completed(info, hand.framework), executor=None)
            started.append(self._enter(hand, info, now, executor.executor_id.value).info)
        running = executor.executor_id.value in hand.running
        hand.running = {}
        self._books.tell(hand.agent, RunGroup(hand.framework.info, entered, started, running))

    def _wrong_group(self, hand: Hand, executor: ExecutorInfo, infos: Sequence[TaskInfo]) -> str | None:
        seen: set[str] = set()
        for info in infos:
            wrong = validation.by_itself(info, hand.framework, hand.agent) or validation.member(info)
            if wrong is None and info.task_id.value in seen:
                wrong = f"Task has duplicate ID: {info.task_id.value}"
            if wrong is not None:
                return f"Task '{info.task_id.value}' is invalid: {wrong}"
            seen.add(info.task_id.value)
        return validation.group(executor, infos, hand.framework, hand.agent, hand.role, hand.left)

    def _executor(self, hand: Hand, info: ExecutorInfo) -> ExecutorInfo:
        """The executor as it runs on the agent; one that does not run yet enters the books."""
        running = hand.agent.executors.get((hand.framework.id, info.executor_id.value))
        if running is not None:
            if running.id not in hand.fresh:
                hand.running[running.id] = None
            return running.info
        resources = Resources.parse(info.resources)
        info = msgspec.structs.replace(info, resources=resources.messages(hand.role) or None)
        executor = Executor(hand.framework.id, hand.role, hand.agent.id, info, resources)
        self._executors.add(hand.agent, executor)
        hand.fresh.add(executor.id)
        hand.take(resources)
        return info

    def _enter(self, hand: Hand, info: TaskInfo, now: float, executor_id: str = "") -> Task:
        resources = Resources.parse(info.resources)
        # with its role in it, the agent's report is enough for a master without memory
        info = msgspec.structs.replace(info, resources=resources.messages(hand.role))
        task = Task(hand.framework.id, hand.role, info, resources)
        task.executor_id = task.executor_id or executor_id
        self._tasks.add(hand.framework, hand.agent, task)
        extra = hand.take(resources)
        if extra:
            one = hand.shared.where(lambda tag: tag in extra.parts)
            self._books.allocator.update_allocation(hand.agent.id, hand.framework.id, hand.role, one, one + extra)
        self._books.counters["tasks_launched"] += 1
        self._books.story(f"task/{hand.framework.id}/{task.id}", now, "launched", f"on agent {hand.agent.id}")
        return task

    def refuse(
        self, framework: Framework, infos: Sequence[TaskInfo], state: str, reason: str, message: str, now: float
    ) -> None:
        """Say of tasks that they won't be launched."""
        for info in infos:
            self._books.story(f"task/{framework.id}/{info.task_id.value}", now, state, message)
            self._books.counters[COUNTED[state]] += 1
            status = TaskStatus(
                Identifier(info.task_id.value),
                state,
                message,
                "SOURCE_MASTER",
                reason,
                agent_id=info.agent_id,
                timestamp=now,
            )
            self._books.send(framework, Event("UPDATE", update=Update(status)))


def _completed(info: TaskInfo, framework: Framework) -> TaskInfo:
    """With what older schedulers leave out: the executor's framework and the health check's type."""
    executor, check = info.executor, info.health_check
    if executor is not None and executor.framework_id is None:
        executor = msgspec.structs.replace(executor, framework_id=FrameworkID(framework.id))
        info = msgspec.structs.replace(info, executor=executor)
    if check is not None and (kind := kind_of_health_check(check)) and kind != check.type:
        info = msgspec.structs.replace(info, health_check=msgspec.structs.replace(check, type=kind))
    return info
