"""The agent's decisions: who it is to the master, what it is told to run, what becomes of each.

Driven by ``AgentInput``; ``registration()`` is what the link says first. What there is, and what follows when
something ends, is in the ``books``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.kernel.core import Delete, Effect, SetTimer, Stories, TimerFired
from headrace.kernel.ids import IdSource
from headrace.mesos.agent.core.books import AgentConfig, Books, Framework
from headrace.mesos.agent.core.completed import CompletedTasks
from headrace.mesos.agent.core.container_desk import ContainerDesk
from headrace.mesos.agent.core.containers import Fact, Place
from headrace.mesos.agent.core.delivered import DeliveredTask
from headrace.mesos.agent.core.draining import Draining
from headrace.mesos.agent.core.events import (
    AgentInput,
    Begin,
    ContainerCalled,
    DiskUsage,
    ExecutorCalls,
    ExecutorStreamClosed,
    Exit,
    LinkLost,
    Reconnect,
    Send,
    ShutdownRequested,
)
from headrace.mesos.agent.core.executor_desk import ExecutorDesk
from headrace.mesos.agent.core.executors import CustomExecutor
from headrace.mesos.agent.core.launches import Launches
from headrace.mesos.agent.core.nested import NestedDesk
from headrace.mesos.agent.core.nesting import place_of
from headrace.mesos.agent.core.operations import OperationDesk
from headrace.mesos.agent.core.records import (
    AGENT,
    CUSTOM,
    FETCHING,
    AgentRecord,
    DrainRecord,
    FrameworkRecord,
    Saved,
    framework_key,
    put,
)
from headrace.mesos.agent.core.reporting import AGENT_SOURCE, Context, ReportedTask, grace_of
from headrace.mesos.agent.core.tasks import Task
from headrace.mesos.messages.agent_link import (
    AcknowledgeOperation,
    AcknowledgeUpdate,
    ApplyOperation,
    DrainAgent,
    KillTask,
    KnownExecutor,
    KnownOperation,
    KnownTask,
    Ping,
    Pong,
    Refused,
    Register,
    Registered,
    RunGroup,
    RunTasks,
    ShutdownExecutor,
    ShutdownFramework,
    StatusUpdate,
    ToExecutor,
    Unregister,
)
from headrace.mesos.messages.common import (
    AgentID,
    ExecutorID,
    FrameworkID,
    KillPolicy,
    Resource,
    TaskID,
    TaskStatus,
)
from headrace.mesos.resources import Resources

__all__ = ["AgentConfig", "AgentCore", "Framework"]

SHUTDOWN_MARGIN = 5.0
"""Seconds that a shutdown waits for processes beyond the longest grace period."""


class AgentCore:
    """Decides for one agent; see the module's text."""

    def __init__(self, config: AgentConfig, saved: Saved, *, new_id: IdSource, new_uuid: Callable[[], str]) -> None:
        self.config = config
        self.agent_id = saved.agent.agent_id if saved.agent else ""
        self._context = Context(config.ip, new_uuid, saved.drain)
        self._books = Books(config, saved, self._context)
        self._books.on_end = self._when_idle
        self._launches = Launches(self._books, new_id)
        self._executors = ExecutorDesk(self._books)
        self._containers = ContainerDesk(self._books)
        self._draining = Draining(self._books, self._executors)
        self.nested = NestedDesk(self._books, saved.nested)
        self._books.on_gone = self.nested.gone
        total = Resources.parse(config.info.resources if saved.total is None else saved.total)
        self._operations = OperationDesk(total, saved.operations, new_uuid=new_uuid, stories=self._books.stories)
        self._refused = False
        self._shutdown: str | None = None
        self._left = False

    # what others may read

    @property
    def connected(self) -> bool:
        """Whether the master listens."""
        return self._context.connected

    @property
    def frameworks(self) -> dict[str, Framework]:
        """By id: those with anything here."""
        return self._books.frameworks

    @property
    def completed(self) -> CompletedTasks:
        """What has ended."""
        return self._books.completed

    @property
    def stories(self) -> Stories:
        """Why what was decided."""
        return self._books.stories

    @property
    def counters(self) -> dict[str, int]:
        """How many tasks ended how."""
        return self._books.counters

    @property
    def tasks(self) -> list[ReportedTask]:
        """All tasks whose story is not over."""
        return list(self._books.tasks)

    @property
    def drain(self) -> DrainRecord | None:
        """How this agent is being emptied, while it is."""
        return self._draining.order

    @property
    def total(self) -> Resources:
        """All resources, as reservations and volumes have left them."""
        return self._operations.total

    def used(self) -> Resources:
        """What the tasks and executors that have not ended hold."""
        return self._books.used()

    @property
    def operations(self) -> list[KnownOperation]:
        """Those whose last status has not been acknowledged."""
        return self._operations.known

    def has_container(self, path: str) -> bool:
        """Whether a container with this path has not ended, whosever it is."""
        held = self.nested.containers.get(path)
        return held.live if held is not None else place_of(self._books, path) is not None

    def running(self) -> list[tuple[Place, list[Resource]]]:
        """Of all containers that run: where they lie, and what they hold."""
        return self._books.running()

    def known(self) -> set[str]:
        """All containers whose files are not to be touched."""
        return self._books.known() | self.nested.known()

    def left(self) -> dict[str, list[Fact]]:
        """By containerizer: what may still run after a restart."""
        found = self._books.left()
        for kind, facts in self.nested.left().items():
            found[kind] = [*found.get(kind, ()), *facts]
        return found

    def registration(self) -> Register | None:
        """The first word to the master; None while the tasks of a refused or leaving agent are ending."""
        if self._refused or self._shutdown is not None:
            return None
        known = [task for task in self._books.tasks if not task.orphaned]
        executors = self._books.name_executors()
        holders = {one.record.framework_id: None for one in (*known, *executors)}
        return Register(
            self.config.info,
            self.config.version,
            AgentID(self.agent_id) if self.agent_id else None,
            [self.frameworks[framework_id].info for framework_id in holders],
            [_known(task) for task in known],
            [KnownExecutor(FrameworkID(e.record.framework_id), e.record.executor) for e in executors],
            self._operations.known,
            self.total.messages(),
        )

    # events

    def handle(self, event: AgentInput, now: float) -> Sequence[Effect]:
        """Take one event."""
        effects = self._take(event, now)
        if self._draining.order is not None and (over := self._draining.over(now)):
            return [*effects, *over]
        return effects

    def _take(self, event: AgentInput, now: float) -> Sequence[Effect]:
        match event:
            case Ping():
                return [Send(Pong())]
            case AcknowledgeUpdate(framework_id, task_id, uuid):
                task = self._books.find(framework_id.value, task_id.value)
                return self._books.after(task, task.acknowledge(now, uuid), now) if task else []
            case RunTasks() | RunGroup():
                return self._launch(event, now)
            case KillTask(framework_id, task_id, policy):
                return self._kill(framework_id.value, task_id.value, policy, now)
            case DrainAgent():
                return self._draining.begin(event, now)
            case ExecutorCalls():
                return self._executors.call(event, now)
            case ContainerCalled():
                return self.nested.call(event, self.agent_id, now)
            case ExecutorStreamClosed():
                return self._executors.stream_closed(event)
            case ToExecutor():
                return self._executors.message(event, now)
            case ShutdownExecutor(framework_id, executor_id):
                return self._executors.shut_down(framework_id.value, executor_id.value, now)
            case ApplyOperation():
                return self._operations.apply(event, self.agent_id, self.connected, now)
            case AcknowledgeOperation():
                return self._operations.acknowledge(event)
            case TimerFired(key):
                return self._timer(key, now)
        effects = self.nested.handle(event, now)
        if effects is None:
            effects = self._containers.handle(event, now)
        return effects if effects is not None else self._membership(event, now)

    def _membership(self, event: AgentInput, now: float) -> Sequence[Effect]:
        match event:
            case Begin():
                return self._recover(now)
            case Registered(agent_id):
                return self._registered(agent_id.value, now)
            case Refused(message, leave=True):
                return self._shut_down(message, now)
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
            case DiskUsage(share):
                return self._disk_used(share, now)
        raise TypeError(f"an agent knows no {type(event).__name__}")

    def _recover(self, now: float) -> list[Effect]:
        effects: list[Effect] = [*self.completed.begin(now), *self._operations.begin(), *self.nested.begin()]
        for task in self.tasks:
            if isinstance(task, Task) and task.phase == FETCHING:
                effects += task.begin(now)
            elif task.finished:
                effects += self._books.after(task, [], now)
        for executor in list(self._books.executors.values()):
            if isinstance(executor, CustomExecutor) and executor.phase == FETCHING:
                effects += executor.begin(now)
        return [*effects, *self._books.settle(now)]

    # the master

    def _registered(self, agent_id: str, now: float) -> list[Effect]:
        self._context.connected = True
        if agent_id != self.agent_id:
            self.agent_id = agent_id
            self.stories.tell("agent", now, f"registered as {agent_id}")
        else:
            self.stories.tell("agent", now, "registered again")
        info = self.config.info
        effects: list[Effect] = [put(AGENT, AgentRecord(agent_id, info.resources or [], info.attributes or []))]
        effects += self._books.tell_of_exits()
        for task in self._books.tasks:
            effects += task.resume(now)
        return [*effects, *self._operations.resume(now)]

    def _begin_anew(self, message: str, now: float) -> list[Effect]:
        if not self.agent_id:
            self.stories.tell("agent", now, "refused by the master", message)
            return []  # being new does not help; the link tries again with its back-off
        self.stories.tell("agent", now, "refused by the master; ends its tasks and comes as a new agent", message)
        self._refused = True
        self._context.connected = False
        effects = self._operations.forget()
        for framework_id in list(self.frameworks):
            effects += self._end_framework(framework_id, now)
        return [*effects, *self._when_idle(now)]

    def _shut_down(self, why: str, now: float) -> list[Effect]:
        if self._shutdown is not None:
            return []
        self._shutdown = why
        effects = self.nested.end_all()
        longest = 0.0
        for executor in self._customs():
            longest = max(longest, executor.grace)
            effects += self._executors.end(executor, now)
        for task in self.tasks:
            if isinstance(task, Task) and task.live:
                longest = max(longest, grace_of(task.info.kill_policy))
                effects += self._books.after(task, task.kill(now, None), now)
        return [*effects, SetTimer("shutdown", now + longest + SHUTDOWN_MARGIN), *self._when_idle(now)]

    def _when_idle(self, now: float) -> list[Effect]:
        """What waits for the last process to end."""
        if (self._shutdown is None and not self._refused) or not self._books.idle:
            return []
        if self._shutdown is not None:
            return self._leave(self._shutdown, now)
        self._refused = False
        self.agent_id = ""
        return [Delete(AGENT), Reconnect()]

    def _leave(self, why: str, now: float) -> list[Effect]:
        if self._left:
            return []
        self._left = True
        effects: list[Effect] = [Delete(AGENT)]
        for task in self.tasks:
            task.orphaned = True
            effects += self._books.complete(task, now)
        for executor in list(self._books.executors.values()):
            effects += self._books.retire(executor, now, -1)
        return [*effects, Send(Unregister(why)), Exit()]

    # tasks

    def _launch(self, event: RunTasks | RunGroup, now: float) -> list[Effect]:
        """A leaving agent's master will hear of it, and tell the framework; to one that drains it gives nothing."""
        if self._shutdown is not None:
            return []
        effects = self._draining.forget(now, "not drained any more") if self._draining.order is not None else []
        if isinstance(event, RunTasks):
            return [*effects, *self._launches.tasks(self.agent_id, event, now)]
        return [*effects, *self._launches.group(self.agent_id, event, now)]

    def _kill(self, framework_id: str, task_id: str, policy: KillPolicy | None, now: float) -> list[Effect]:
        task = self._books.find(framework_id, task_id)
        if task is not None:
            self.stories.tell(task.subject, now, "kill asked for")
            if isinstance(task, DeliveredTask):
                return self._executors.kill(task, policy, now)
            return self._containers.step(task.container_id, now, lambda task: task.kill(now, policy))
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

    def _end_framework(self, framework_id: str, now: float) -> list[Effect]:
        framework = self.frameworks.get(framework_id)
        if framework is None:
            return []
        framework.ending = True
        effects: list[Effect] = [put(framework_key(framework_id), FrameworkRecord(framework.info, True))]
        for task in list(framework.tasks.values()):
            self.stories.tell(task.subject, now, "ended with its framework")
            effects += self._books.after(task, task.abandon(now), now)
        for executor in self._customs():
            if executor.record.framework_id == framework_id:
                effects += self._executors.end(executor, now)
        return effects

    def _timer(self, key: str, now: float) -> list[Effect]:
        kind, _, rest = key.partition("/")
        match kind:
            case "update":
                task = self._books.find(*rest.split("/", 1))
                return task.retry(now) if task else []
            case "operation":
                return self._operations.retry(rest, self.connected, now)
            case "shutdown" if self._shutdown is not None:
                return self._leave(f"{self._shutdown}; gave up waiting for processes to end", now)
            case "gc":
                return [*self.completed.collect(now), *self._books.forget_frameworks()]
        return self._containers.timer(kind, rest, now)

    def _disk_used(self, share: float, now: float) -> list[Effect]:
        before = self.completed.waiting
        effects = self.completed.prune(now, share)
        if gone := before - self.completed.waiting:
            self.stories.tell("agent", now, f"removed {gone} old sandboxes", f"{share:.0%} of the disk is in use")
        return [*effects, *self._books.forget_frameworks()] if gone else effects

    def _customs(self) -> list[CustomExecutor]:
        return [executor for executor in self._books.executors.values() if isinstance(executor, CustomExecutor)]


def _known(task: ReportedTask) -> KnownTask:
    record = task.record
    held = record.place.parent_id or record.sort == CUSTOM
    return KnownTask(
        FrameworkID(record.framework_id),
        task.info,
        task.updates.latest,
        task.updates.acknowledged,
        ExecutorID(record.place.executor_id) if held else None,
    )
