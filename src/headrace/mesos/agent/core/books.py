"""The agent's books: frameworks, tasks and executors, what of them has ended, and what follows when one ends.

A task is in the books until its last status has been acknowledged, then among the completed until its sandbox is
removed. All changes that follow from one event are in one batch of effects, so the store never holds half of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from headrace.kernel.core import Delete, Effect, Stories
from headrace.mesos.agent.core.completed import CompletedTasks
from headrace.mesos.agent.core.containers import POSIX, Fact, Place
from headrace.mesos.agent.core.delivered import DeliveredTask, Verdict
from headrace.mesos.agent.core.events import Send
from headrace.mesos.agent.core.executors import CustomExecutor, Timeouts
from headrace.mesos.agent.core.groups import GroupExecutor
from headrace.mesos.agent.core.records import (
    CUSTOM,
    ENDED,
    FETCHING,
    GROUP,
    REGISTERED,
    RUNNING,
    CompletedExecutor,
    CompletedTask,
    ExecutorRecord,
    ExecutorState,
    FrameworkRecord,
    Saved,
    TaskRecord,
    TaskState,
    completed_executor_key,
    completed_key,
    executor_key,
    executor_state_key,
    framework_key,
    put,
    state_key,
    task_key,
)
from headrace.mesos.agent.core.reporting import Context, ReportedTask
from headrace.mesos.agent.core.tasks import Task
from headrace.mesos.messages.agent_link import ExecutorExited
from headrace.mesos.messages.common import AgentInfo, ExecutorID, FrameworkID, FrameworkInfo, Resource
from headrace.mesos.resources import EMPTY, Resources

Executor = CustomExecutor | GroupExecutor


class AgentConfig(msgspec.Struct, frozen=True):
    """What the daemon was started with. ``gc_delay`` in seconds; ``containerizers``: the kinds that there are."""

    info: AgentInfo
    version: str
    ip: str = "127.0.0.1"
    gc_delay: float = 7 * 86400.0
    gc_disk_headroom: float = 0.1
    timeouts: Timeouts = Timeouts()
    containerizers: tuple[str, ...] = (POSIX,)


class Framework:
    """A framework with tasks here, or with sandboxes of ended ones. ``ending``: it is no more."""

    def __init__(self, info: FrameworkInfo, ending: bool = False) -> None:
        self.info = info
        self.ending = ending
        self.tasks: dict[str, ReportedTask] = {}
        self.executors: dict[str, Executor] = {}


class Books:
    """``on_end`` is asked for more effects whenever something that ran has ended, ``on_gone`` about its container."""

    def __init__(self, config: AgentConfig, saved: Saved, context: Context) -> None:
        self.config = config
        self.context = context
        self.frameworks: dict[str, Framework] = {}
        self.containers: dict[str, Task] = {}
        self.executors: dict[str, Executor] = {}
        self._named: dict[tuple[str, str], int] = {}
        self.completed = CompletedTasks(
            saved.completed, config.gc_delay, config.gc_disk_headroom, saved.completed_executors
        )
        self.stories = Stories()
        self.counters = dict.fromkeys(("finished", "failed", "killed", "lost", "error"), 0)
        self.on_end: Callable[[float], Sequence[Effect]] = lambda _: []
        self.on_gone: Callable[[str], Sequence[Effect]] = lambda _: []
        for framework_id, framework in saved.frameworks.items():
            self.frameworks[framework_id] = Framework(framework.info, framework.ending)
        for record, executor_state in saved.executors:
            self.adopt_executor(record, executor_state)
        for task_record, task_state in saved.tasks:
            self.adopt_task(task_record, task_state)

    # reading

    @property
    def tasks(self) -> Iterator[ReportedTask]:
        """All tasks whose story is not over."""
        return (task for framework in self.frameworks.values() for task in framework.tasks.values())

    @property
    def idle(self) -> bool:
        """Whether nothing runs any more."""
        return not any(task.live for task in self.tasks) and not any(e.live for e in self.executors.values())

    def find(self, framework_id: str, task_id: str) -> ReportedTask | None:
        framework = self.frameworks.get(framework_id)
        return framework.tasks.get(task_id) if framework else None

    def executor(self, framework_id: str, executor_id: str) -> Executor | None:
        framework = self.frameworks.get(framework_id)
        return framework.executors.get(executor_id) if framework else None

    def used(self) -> Resources:
        """What the tasks and executors that have not ended hold."""
        total = EMPTY
        for task in self.tasks:
            if task.live:
                total = total + Resources.parse(task.info.resources)
        for executor in self.executors.values():
            total = total + Resources.parse(executor.record.executor.resources)
        return total

    def running(self) -> list[tuple[Place, list[Resource]]]:
        """Of all containers that run: where they lie, and what they hold, delivered tasks included."""
        found = [
            (run.record.place, run.info.resources or []) for run in self.containers.values() if run.phase == RUNNING
        ]
        for executor in self.executors.values():
            if isinstance(executor, CustomExecutor) and executor.phase in (RUNNING, REGISTERED):
                held = list(executor.record.executor.resources or ())
                for task in executor.tasks.values():
                    held += (task.info.resources or ()) if task.live else ()
                found.append((executor.record.place, held))
        return found

    def known(self) -> set[str]:
        """All containers whose files are not to be touched: those that run, and those whose sandboxes still stay."""
        return {*self.containers, *self.executors, *self.completed.containers()}

    def left(self) -> dict[str, list[Fact]]:
        """By containerizer: what may still run after a restart."""
        found: dict[str, list[Fact]] = {}
        runs: list[Task | CustomExecutor] = list(self.containers.values())
        runs += [executor for executor in self.executors.values() if isinstance(executor, CustomExecutor)]
        for one in runs:
            if one.phase not in (FETCHING, ENDED):
                found.setdefault(one.kind, []).append(Fact(one.container_id, one.pid))
        return found

    # entering

    def enter_framework(self, info: FrameworkInfo) -> list[Effect]:
        """The framework as the master describes it now; one that was ending has come back."""
        framework_id = framework_id_of(info).value
        framework = self.frameworks.get(framework_id)
        if framework is not None and framework.info == info and not framework.ending:
            return []
        fresh = self.frameworks[framework_id] = Framework(info)
        if framework is not None:
            fresh.tasks, fresh.executors = framework.tasks, framework.executors
        return [put(framework_key(framework_id), FrameworkRecord(info))]

    def adopt_task(self, record: TaskRecord, state: TaskState) -> ReportedTask:
        """Enter a task, launched now or read from the store."""
        framework = self.frameworks[record.framework_id]
        task: ReportedTask
        if record.sort == CUSTOM:
            task = delivered = DeliveredTask(self.context, framework.info, record, state)
            executor = self.executors.get(record.place.container_id)
            if isinstance(executor, CustomExecutor):
                executor.enter(delivered)
        else:
            task = run = Task(self.context, framework.info, record, state)
            self.containers[run.container_id] = run
            executor = self.executors.get(record.place.parent_id) if record.sort == GROUP else None
            if isinstance(executor, GroupExecutor):
                executor.tasks[record.task.task_id.value] = run
        task.orphaned = framework.ending
        framework.tasks[record.task.task_id.value] = task
        return task

    def adopt_executor(self, record: ExecutorRecord, state: ExecutorState) -> Executor:
        """Enter an executor, to be started now or read from the store."""
        framework = self.frameworks[record.framework_id]
        executor: Executor
        if record.custom:
            config = self.config
            executor = CustomExecutor(self.context, config.timeouts, config.info, framework.info, record, state)
        else:
            executor = GroupExecutor(framework.info, record, state)
        framework.executors[record.place.executor_id] = executor
        self.executors[executor.container_id] = executor
        return executor

    # what follows

    def after(self, task: ReportedTask, effects: list[Effect], now: float) -> list[Effect]:
        """What follows from a task's step: its story, the end of its group, its way to the completed ones."""
        status = task.updates.latest
        if task.history:
            self.stories.tell(task.subject, now, status.state, status.message or "")
        if task.live:
            return effects
        effects = [*effects, *self._take_along(task, now)]
        if isinstance(task, Task):
            effects += self.on_gone(task.path)
        if task.finished:
            effects += self.complete(task, now)
        effects += self._settle(task.record.place.parent_id, now)
        effects += self.on_end(now)
        return effects

    def complete(self, task: ReportedTask, now: float) -> list[Effect]:
        """The task's story is over."""
        record, task_id = task.record, task.info.task_id.value
        framework_id = record.framework_id
        if self.frameworks[framework_id].tasks.pop(task_id, None) is None:
            return []
        state = task.updates.latest.state
        kind = state.removeprefix("TASK_").lower()
        self.counters[kind] = self.counters.get(kind, 0) + 1
        done = CompletedTask(framework_id, task.info, record.place, state, now, task.history, record.sort)
        gone = [Delete(task_key(framework_id, task_id)), Delete(state_key(framework_id, task_id))]
        if record.sort == CUSTOM:
            return [*gone, *self._attach(done)]
        del self.containers[task.container_id]
        parent = self.executors.get(record.place.parent_id)
        if parent is not None:
            parent.tasks.pop(task_id, None)
        return [*gone, put(completed_key(task.container_id), done), *self.completed.add(done)]

    def end_custom(self, executor: CustomExecutor, now: float, status: int, verdict: Verdict) -> list[Effect]:
        """A custom executor's process has ended with ``status``, as wait(2) has it."""
        effects = [*executor.ended(), *self.retire(executor, now, status)]
        for task in list(executor.tasks.values()):
            effects += self.after(task, task.left_behind(now, verdict), now)
        return [*effects, *self.on_end(now)]

    def retire(self, executor: Executor, now: float, status: int) -> list[Effect]:
        """The executor is no more."""
        record = executor.record
        framework_id, executor_id = record.framework_id, record.place.executor_id
        del self.frameworks[framework_id].executors[executor_id]
        del self.executors[executor.container_id]
        self.stories.tell(executor.subject, now, "executor ended", f"status {status}")
        tasks = list(executor.completed) if isinstance(executor, CustomExecutor) else []
        done = CompletedExecutor(framework_id, record.executor, record.place, now, tasks)
        exited = ExecutorExited(FrameworkID(framework_id), ExecutorID(executor_id), status)
        if (framework_id, executor_id) in self._named:
            self._named[framework_id, executor_id] = status
        return [
            Delete(executor_key(framework_id, executor_id)),
            Delete(executor_state_key(framework_id, executor_id)),
            put(completed_executor_key(executor.container_id), done),
            *self.completed.add(done),
            *self.on_gone(executor.container_id),
            *([Send(exited)] if self.context.connected else []),
        ]

    def name_executors(self) -> list[Executor]:
        """Those that a registration is to name; ``tell_of_exits`` tells which of them are gone when it arrives."""
        named = [e for e in self.executors.values() if not self.frameworks[e.record.framework_id].ending]
        self._named = {(e.record.framework_id, e.record.place.executor_id): -1 for e in named}
        return named

    def tell_of_exits(self) -> list[Effect]:
        """The master takes the executors that the registration named for running: which of them have ended since."""
        gone = [(key, status) for key, status in self._named.items() if self.executor(*key) is None]
        self._named = {}
        return [Send(ExecutorExited(FrameworkID(key[0]), ExecutorID(key[1]), status)) for key, status in gone]

    def settle(self, now: float) -> list[Effect]:
        """After a restart: the default executors that have nothing left to do."""
        groups = [container_id for container_id, e in self.executors.items() if isinstance(e, GroupExecutor)]
        return [effect for container_id in groups for effect in self._settle(container_id, now)]

    def linger_over(self, executor: GroupExecutor, now: float) -> list[Effect]:
        """The last acknowledgement of a default executor's tasks has not come in time."""
        return [] if executor.busy else [*self.retire(executor, now, 0), *self.on_end(now)]

    def forget_frameworks(self) -> list[Effect]:
        """Frameworks of which nothing is left."""
        effects: list[Effect] = []
        for framework_id, framework in list(self.frameworks.items()):
            if not framework.tasks and not framework.executors and not self.completed.has(framework_id):
                del self.frameworks[framework_id]
                effects.append(Delete(framework_key(framework_id)))
        return effects

    def _take_along(self, task: ReportedTask, now: float) -> list[Effect]:
        """The tasks of the same group that can't go on without it."""
        executor = self.executors.get(task.record.place.parent_id)
        if not isinstance(executor, GroupExecutor) or not isinstance(task, Task):
            return []
        effects: list[Effect] = []
        for other in executor.doomed_by(task):
            effects += self.after(other, other.kill(now, None), now)
        return effects

    def _settle(self, container_id: str, now: float) -> list[Effect]:
        executor = self.executors.get(container_id)
        if not isinstance(executor, GroupExecutor):
            return []
        over, effects = executor.look(now)
        return [*effects, *self.retire(executor, now, 0)] if over else effects

    def _attach(self, done: CompletedTask) -> list[Effect]:
        executor = self.executors.get(done.place.container_id)
        if not isinstance(executor, CustomExecutor):
            ended = self.completed.attach(done)
            return [put(completed_executor_key(done.place.container_id), ended)] if ended is not None else []
        del executor.tasks[done.task.task_id.value]
        executor.completed.append(done)
        return []


def framework_id_of(info: FrameworkInfo) -> FrameworkID:
    """The master names every framework that it sends."""
    assert info.id is not None  # noqa: S101
    return info.id


def place_in(executor: Executor, new_id: str) -> Place:
    """Where a task of ``executor`` lies: in a container of its own, or in a custom executor's."""
    place = executor.record.place
    if executor.record.custom:
        return place
    return msgspec.structs.replace(place, container_id=new_id, parent_id=place.container_id)
