"""The agent's decisions: who it is to the master, which tasks it holds, what becomes of each.

Driven by ``AgentInput``; ``registration()`` is what the link says first. A task is in ``tasks`` until its last
status has been acknowledged, then among the completed until its sandbox is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from headrace.kernel.core import Delete, Effect, SetTimer, Stories, TimerFired
from headrace.kernel.ids import IdSource
from headrace.mesos.agent.completed import CompletedTasks
from headrace.mesos.agent.containers import Place
from headrace.mesos.agent.events import (
    AgentInput,
    Begin,
    ContainerEnded,
    ContainerFound,
    ContainerStarted,
    Exit,
    FetchDone,
    FetchFailed,
    LinkLost,
    Probed,
    Reconnect,
    Send,
    ShutdownRequested,
    StartFailed,
)
from headrace.mesos.agent.records import (
    AGENT,
    ENDED,
    FETCHING,
    AgentRecord,
    CompletedTask,
    FrameworkRecord,
    Saved,
    TaskRecord,
    TaskState,
    completed_key,
    framework_key,
    put,
    state_key,
    task_key,
)
from headrace.mesos.agent.tasks import AGENT_SOURCE, Context, Task, grace_of
from headrace.mesos.agent.validation import problem_of
from headrace.mesos.messages.agent_link import (
    AcknowledgeUpdate,
    KillTask,
    KnownTask,
    Ping,
    Pong,
    Refused,
    Register,
    Registered,
    RunTasks,
    ShutdownFramework,
    StatusUpdate,
    Unregister,
)
from headrace.mesos.messages.common import (
    AgentID,
    AgentInfo,
    FrameworkID,
    FrameworkInfo,
    KillPolicy,
    TaskID,
    TaskInfo,
    TaskStatus,
)
from headrace.mesos.resources import EMPTY, Resources

SHUTDOWN_MARGIN = 5.0
"""Seconds that a shutdown waits for processes beyond the longest grace period."""


class AgentConfig(msgspec.Struct, frozen=True):
    """What the daemon was started with. ``gc_delay`` in seconds."""

    info: AgentInfo
    version: str
    ip: str = "127.0.0.1"
    gc_delay: float = 7 * 86400.0


class Framework:
    """A framework with tasks here, or with sandboxes of ended ones."""

    def __init__(self, info: FrameworkInfo, ending: bool = False) -> None:
        self.info = info
        self.ending = ending
        self.tasks: dict[str, Task] = {}


class AgentCore:
    """Decides for one agent; see the module's text."""

    def __init__(self, config: AgentConfig, saved: Saved, *, new_id: IdSource, new_uuid: Callable[[], str]) -> None:
        self.config = config
        self.agent_id = saved.agent.agent_id if saved.agent else ""
        self.frameworks: dict[str, Framework] = {}
        self.completed = CompletedTasks(saved.completed, config.gc_delay)
        self.stories = Stories()
        self.counters = dict.fromkeys(("finished", "failed", "killed", "lost", "error"), 0)
        self._context = Context(config.ip, new_uuid)
        self._new_id = new_id
        self._runs: dict[str, Task] = {}
        self._refused = False
        self._shutdown: str | None = None
        self._left = False
        for framework_id, framework in saved.frameworks.items():
            self.frameworks[framework_id] = Framework(framework.info, framework.ending)
        for record, state in saved.tasks:
            self._adopt(record, state)

    # what others may read

    @property
    def connected(self) -> bool:
        """Whether the master listens."""
        return self._context.connected

    @property
    def tasks(self) -> list[Task]:
        """All tasks whose story is not over."""
        return list(self._runs.values())

    def run(self, container_id: str) -> Task | None:
        """The task of a container."""
        return self._runs.get(container_id)

    def used(self) -> Resources:
        """What the tasks that have not ended hold."""
        total = EMPTY
        for task in self._runs.values():
            if task.phase != ENDED:
                total = total + Resources.parse(task.info.resources)
        return total

    def registration(self) -> Register | None:
        """The first word to the master; None while the tasks of a refused or leaving agent are ending."""
        if self._refused or self._shutdown is not None:
            return None
        known = [task for task in self._runs.values() if not task.orphaned]
        infos = {task.record.framework_id: self.frameworks[task.record.framework_id].info for task in known}
        return Register(
            self.config.info,
            self.config.version,
            AgentID(self.agent_id) if self.agent_id else None,
            list(infos.values()),
            [
                KnownTask(_id(task.framework), task.info, task.updates.latest, task.updates.acknowledged)
                for task in known
            ],
        )

    # events

    def handle(self, event: AgentInput, now: float) -> Sequence[Effect]:
        """Take one event."""
        match event:
            case Ping():
                return [Send(Pong())]
            case AcknowledgeUpdate(framework_id, task_id, uuid):
                task = self._find(framework_id.value, task_id.value)
                return self._after(task, task.acknowledge(now, uuid), now) if task else []
            case RunTasks(framework, tasks):
                return self._run_tasks(framework, tasks, now)
            case KillTask(framework_id, task_id, policy):
                return self._kill(framework_id.value, task_id.value, policy, now)
            case FetchDone(container_id):
                return self._of(container_id, now, lambda task: task.fetched(now) if task.phase == FETCHING else [])
            case FetchFailed(container_id, message) | StartFailed(container_id, message):
                return self._of(container_id, now, lambda task: task.launch_failed(now, message))
            case ContainerStarted(container_id, pid):
                return self._of(container_id, now, lambda task: task.started(now, pid))
            case ContainerEnded(container_id, end):
                return self._of(container_id, now, lambda task: task.ended(now, end))
            case ContainerFound(container_id):
                return self._of(container_id, now, lambda task: task.found(now, event))
            case Probed(container_id, passed, why):
                return self._probed(container_id, passed, why, now)
            case TimerFired(key):
                return self._timer(key, now)
            case _:
                return self._membership(event, now)

    def _membership(self, event: AgentInput, now: float) -> Sequence[Effect]:
        match event:
            case Begin():
                return self._recover(now)
            case Registered(agent_id):
                return self._registered(agent_id.value, now)
            case Refused(message):
                return self._begin_anew(message, now)
            case LinkLost(why):
                if self._context.connected:
                    self.stories.tell("agent", now, "lost the master", why)
                self._context.connected = False
                return []
            case ShutdownFramework(framework_id):
                return self._end_framework(framework_id.value, now)
            case ShutdownRequested(why):
                return self._shut_down(why, now)
        raise TypeError(f"an agent knows no {type(event).__name__}")

    def _recover(self, now: float) -> list[Effect]:
        effects: list[Effect] = self.completed.begin(now)
        for task in list(self._runs.values()):
            if task.phase == FETCHING:
                effects += task.begin(now)
            elif task.finished:
                effects += self._after(task, [], now)
        return effects

    # the master

    def _registered(self, agent_id: str, now: float) -> list[Effect]:
        self._context.connected = True
        effects: list[Effect] = []
        if agent_id != self.agent_id:
            self.agent_id = agent_id
            self.stories.tell("agent", now, f"registered as {agent_id}")
        else:
            self.stories.tell("agent", now, "registered again")
        info = self.config.info
        effects.append(put(AGENT, AgentRecord(agent_id, info.resources or [], info.attributes or [])))
        for task in self._runs.values():
            effects += task.resume(now)
        return effects

    def _begin_anew(self, message: str, now: float) -> list[Effect]:
        if not self.agent_id:
            self.stories.tell("agent", now, "refused by the master", message)
            return []  # being new does not help; the link tries again with its back-off
        self.stories.tell("agent", now, "refused by the master; ends its tasks and comes as a new agent", message)
        self._refused = True
        self._context.connected = False
        effects: list[Effect] = []
        for framework_id in list(self.frameworks):
            effects += self._end_framework(framework_id, now)
        return [*effects, *self._when_empty()]

    def _shut_down(self, why: str, now: float) -> list[Effect]:
        if self._shutdown is not None:
            return []
        self._shutdown = why
        effects: list[Effect] = []
        longest = 0.0
        for task in list(self._runs.values()):
            if task.phase != ENDED:
                longest = max(longest, grace_of(task.info.kill_policy))
                effects += self._after(task, task.kill(now, None), now)
        return [*effects, SetTimer("shutdown", now + longest + SHUTDOWN_MARGIN), *self._when_empty()]

    def _when_empty(self) -> list[Effect]:
        """What waits for the last process to end."""
        if any(task.phase != ENDED for task in self._runs.values()):
            return []
        if self._shutdown is not None:
            return self._leave(self._shutdown)
        if self._refused:
            self._refused = False
            self.agent_id = ""
            return [Delete(AGENT), Reconnect()]
        return []

    def _leave(self, why: str) -> list[Effect]:
        if self._left:
            return []
        self._left = True
        effects: list[Effect] = [Delete(AGENT)]
        for task in list(self._runs.values()):
            task.orphaned = True
            effects += self._complete(task, 0.0 if not task.history else task.history[-1].timestamp)
        return [*effects, Send(Unregister(why)), Exit()]

    # tasks

    def _run_tasks(self, info: FrameworkInfo, tasks: list[TaskInfo], now: float) -> list[Effect]:
        if self._shutdown is not None:
            return []  # the master will hear that this agent is gone, and tell the framework
        framework_id = _id(info).value
        framework = self.frameworks.get(framework_id)
        effects: list[Effect] = []
        if framework is None or framework.info != info or framework.ending:
            known = framework.tasks if framework else {}
            framework = self.frameworks[framework_id] = Framework(info)
            framework.tasks = known
            effects.append(put(framework_key(framework_id), FrameworkRecord(info)))
        for task in tasks:
            if task.task_id.value in framework.tasks:
                self.stories.tell(f"{framework_id}/{task.task_id.value}", now, "told to run it again", "it is known")
                continue
            effects += self._run(framework_id, task, now)
        return effects

    def _run(self, framework_id: str, info: TaskInfo, now: float) -> list[Effect]:
        task_id = info.task_id.value
        place = Place(self.agent_id, framework_id, task_id, self._new_id())
        record = TaskRecord(framework_id, info, place)
        task = self._adopt(record, TaskState(FETCHING, TaskStatus(info.task_id, "TASK_STAGING", timestamp=now)))
        problem = problem_of(info)
        self.stories.tell(
            task.subject, now, "refused" if problem else "accepted", problem or f"container {task.container_id}"
        )
        effects = task.refuse(now, problem) if problem else task.begin(now)
        return [put(task_key(framework_id, task_id), record), *self._after(task, effects, now)]

    def _kill(self, framework_id: str, task_id: str, policy: KillPolicy | None, now: float) -> list[Effect]:
        task = self._find(framework_id, task_id)
        if task is not None:
            self.stories.tell(task.subject, now, "kill asked for")
            return self._after(task, task.kill(now, policy), now)
        # No uuid: nobody can acknowledge what no stream holds. A framework that misses it asks again.
        status = TaskStatus(
            TaskID(task_id),
            "TASK_LOST",
            message="This agent does not have the task",
            source=AGENT_SOURCE,
            reason="REASON_RECONCILIATION",
            agent_id=AgentID(self.agent_id),
            timestamp=now,
        )
        return [Send(StatusUpdate(FrameworkID(framework_id), status, status.state))]

    def _probed(self, container_id: str, passed: bool, why: str, now: float) -> list[Effect]:
        task = self._runs.get(container_id)
        if task is not None and not passed:
            self.stories.tell(task.subject, now, "health check failed", why)
        return self._of(container_id, now, lambda task: task.probed(now, passed))

    def _end_framework(self, framework_id: str, now: float) -> list[Effect]:
        framework = self.frameworks.get(framework_id)
        if framework is None:
            return []
        framework.ending = True
        effects: list[Effect] = [put(framework_key(framework_id), FrameworkRecord(framework.info, True))]
        for task in list(framework.tasks.values()):
            self.stories.tell(task.subject, now, "ended with its framework")
            effects += self._after(task, task.abandon(now), now)
        return effects

    def _timer(self, key: str, now: float) -> list[Effect]:
        kind, _, rest = key.partition("/")
        if kind == "update":
            task = self._find(*rest.split("/", 1))
            return task.retry(now) if task else []
        if kind == "kill":
            return self._of(rest, now, lambda task: task.grace_over())
        if kind == "limit":
            return self._of(rest, now, lambda task: task.time_over(now))
        if kind == "health":
            return self._of(rest, now, lambda task: task.health_due())
        if kind == "shutdown" and self._shutdown is not None:
            return self._leave(f"{self._shutdown}; gave up waiting for processes to end")
        if kind == "gc":
            return self._collect(now)
        return []

    def _collect(self, now: float) -> list[Effect]:
        effects = self.completed.collect(now)
        for framework_id in [f for f in self.frameworks if not self.frameworks[f].tasks and not self.completed.has(f)]:
            del self.frameworks[framework_id]
            effects.append(Delete(framework_key(framework_id)))
        return effects

    # bookkeeping

    def _adopt(self, record: TaskRecord, state: TaskState) -> Task:
        framework = self.frameworks[record.framework_id]
        task = Task(self._context, framework.info, record, state)
        task.orphaned = framework.ending
        framework.tasks[record.task.task_id.value] = task
        self._runs[task.container_id] = task
        return task

    def _find(self, framework_id: str, task_id: str) -> Task | None:
        framework = self.frameworks.get(framework_id)
        return framework.tasks.get(task_id) if framework else None

    def _of(self, container_id: str, now: float, step: Callable[[Task], list[Effect]]) -> list[Effect]:
        task = self._runs.get(container_id)
        return self._after(task, step(task), now) if task is not None else []

    def _after(self, task: Task, effects: list[Effect], now: float) -> list[Effect]:
        """What follows from a task's step: its story, and its way to the completed ones."""
        status = task.updates.latest
        self.stories.tell(task.subject, now, status.state, status.message or "")
        if task.finished:
            effects = [*effects, *self._complete(task, now)]
        if task.phase == ENDED and (self._refused or self._shutdown is not None):
            effects = [*effects, *self._when_empty()]
        return effects

    def _complete(self, task: Task, now: float) -> list[Effect]:
        framework_id, task_id = task.record.framework_id, task.info.task_id.value
        del self._runs[task.container_id]
        del self.frameworks[framework_id].tasks[task_id]
        state = task.updates.latest.state
        kind = state.removeprefix("TASK_").lower()
        self.counters[kind] = self.counters.get(kind, 0) + 1
        done = CompletedTask(framework_id, task.info, task.record.place, state, now, task.history)
        return [
            Delete(task_key(framework_id, task_id)),
            Delete(state_key(framework_id, task_id)),
            put(completed_key(task.container_id), done),
            *self.completed.add(done),
        ]


def _id(info: FrameworkInfo) -> FrameworkID:
    assert info.id is not None  # noqa: S101 - the master names every framework that it sends
    return info.id
