"""Custom executors: a process of the framework's own that runs tasks.

An executor is started with its first task; its tasks wait until it subscribes (``delivered``). When it ends, by
itself or because it was told to, the tasks that it has left behind have failed.

    FETCHING → STARTING → RUNNING (not subscribed yet) → REGISTERED → ENDED
"""

from __future__ import annotations

from collections import deque

import msgspec

from headrace.kernel.core import CancelTimer, Effect, SetTimer
from headrace.kernel.process import Ended, Found
from headrace.mesos.agent.core.completed import SHOWN_PER_EXECUTOR
from headrace.mesos.agent.core.containers import DOCKER, ContainerSpec, Limitation, kind_of
from headrace.mesos.agent.core.delivered import DeliveredTask, Verdict
from headrace.mesos.agent.core.events import (
    CancelFetch,
    CloseStream,
    ContainerFound,
    Fetch,
    SignalContainer,
    StartContainer,
    Tell,
    UpdateContainer,
)
from headrace.mesos.agent.core.records import (
    ENDED,
    FETCHING,
    QUEUED,
    REGISTERED,
    RUNNING,
    STARTING,
    CompletedTask,
    Ending,
    ExecutorRecord,
    ExecutorState,
    executor_state_key,
    put,
)
from headrace.mesos.agent.core.reporting import EXECUTOR_TERMINATED, LAUNCH_FAILED, NANOSECONDS, Context, lost_state
from headrace.mesos.agent.core.shown import shown_executor, shown_task
from headrace.mesos.agent.flags.units import exact_duration
from headrace.mesos.messages import executor as api
from headrace.mesos.messages.common import (
    AgentID,
    AgentInfo,
    ContainerID,
    ContainerStatus,
    FrameworkID,
    FrameworkInfo,
    KillPolicy,
    TaskGroupInfo,
    TaskStatus,
)


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds that executors have: to subscribe, to do so again after a restart of the agent, to shut down."""

    registration: float = 60.0
    reregistration: float = 2.0
    shutdown: float = 5.0
    recovery: float = 900.0


class CustomExecutor:
    """One executor process. ``stream``: where it listens, 0 if it does not. ``tasks``: those whose story goes on."""

    custom = True

    def __init__(
        self,
        context: Context,
        timeouts: Timeouts,
        agent: AgentInfo,
        framework: FrameworkInfo,
        record: ExecutorRecord,
        state: ExecutorState,
    ) -> None:
        self._context = context
        self._timeouts = timeouts
        self._agent = agent
        self.framework = framework
        self.record = record
        self.phase = state.phase
        self.ending = state.ending
        self.pid, self.ip = state.pid, state.ip
        self.stream = 0
        self.tasks: dict[str, DeliveredTask] = {}
        self._queue: list[DeliveredTask] = []
        self.completed: deque[CompletedTask] = deque(maxlen=SHOWN_PER_EXECUTOR)

    @property
    def container_id(self) -> str:
        return self.record.place.container_id

    @property
    def kind(self) -> str:
        """Which containerizer runs it; ``spec`` would list what all of its tasks hold."""
        return kind_of(self.record.executor.container)

    @property
    def subject(self) -> str:
        """Whose story this is."""
        return f"{self.record.framework_id}/{self.record.place.executor_id}"

    @property
    def live(self) -> bool:
        """Whether its process may run."""
        return self.phase != ENDED

    @property
    def grace(self) -> float:
        """Seconds that it has to shut down."""
        own = self.record.executor.shutdown_grace_period
        return max(0.0, own.nanoseconds / NANOSECONDS) if own is not None else self._timeouts.shutdown

    def spec(self) -> ContainerSpec:
        """The container that it runs in; it holds what its tasks hold, too."""
        info = self.record.executor
        of_tasks = [resource for task in self.tasks.values() if task.live for resource in task.info.resources or ()]
        return ContainerSpec(
            self.record.place,
            info.name or info.executor_id.value,
            info.command,
            self._variables(),
            [*(info.resources or ()), *of_tasks],
            {},
            info.container,
            self.grace,
        )

    def state(self) -> ExecutorState:
        """What is stored of it."""
        return ExecutorState(self.phase, self.ending, self.pid, self.ip)

    def enter(self, task: DeliveredTask) -> None:
        """One more task, to be delivered or known already."""
        self.tasks[task.info.task_id.value] = task
        if task.phase == QUEUED:
            self._queue.append(task)

    # its process

    def begin(self, now: float) -> list[Effect]:
        """To be started, or found half-fetched after a restart."""
        command = self.record.executor.command
        if command is None or not command.uris:
            return self.fetched(now)
        self.phase = FETCHING
        return [self._save(), Fetch(self.record.place, command.uris, command.user or "")]

    def fetched(self, now: float) -> list[Effect]:
        """The sandbox is ready."""
        self.phase = STARTING
        return [self._save(), StartContainer(self.spec())]

    def started(self, now: float, pid: int, ip: str) -> list[Effect]:
        """Its process runs; it is to subscribe in time."""
        if self.phase == STARTING:
            self.phase = RUNNING
        self.pid, self.ip = pid, ip
        return [self._save(), *self._clock(now)]

    def found(self, now: float, fact: ContainerFound) -> tuple[list[Effect], Ended | None]:
        """What a restarted agent sees of it; with its end, if it has ended."""
        if fact.found is Found.RUNNING:
            return (self.started(now, fact.pid, fact.ip) if self.phase == STARTING else self._clock(now)), None
        if fact.found is Found.ENDED:
            return [], fact.end or Ended(137, 9)
        if self.phase == STARTING and self.ending is None:
            return [StartContainer(self.spec())], None
        return [], Ended(-1)

    def ended(self) -> list[Effect]:
        """Its process has ended."""
        self.phase = ENDED
        gone = [CloseStream(self.stream)] if self.stream else []
        self.stream = 0
        return [*gone, CancelTimer(self._timer)]

    def verdict(self, limitation: Limitation | None) -> Verdict:
        """What becomes of the tasks that it has left behind."""
        if limitation is None and self.ending is not None:
            limitation = self.ending.limitation
        if limitation is not None:
            return Verdict("TASK_FAILED", limitation.reason, limitation.message, limitation)
        if self.ending is not None and self.ending.reason:
            return Verdict("TASK_FAILED", self.ending.reason, self.ending.message)
        return Verdict()

    def launch_verdict(self, message: str, lost: bool) -> Verdict:
        """What becomes of its tasks if it could not be started."""
        if lost:
            return Verdict(lost_state(self.framework), EXECUTOR_TERMINATED, message)
        return Verdict("TASK_FAILED", LAUNCH_FAILED, f"Failed to launch container: {message}")

    # what it says and is told

    def subscribed(self, now: float, stream: int, known: set[str]) -> list[Effect]:
        """It listens; ``known`` are the tasks of which it has not seen any status acknowledged."""
        effects: list[Effect] = [CloseStream(self.stream)] if self.stream else []
        if self.ending is not None:
            self.stream = 0
            return [*effects, Tell(stream, api.Event("SHUTDOWN")), CloseStream(stream)]
        self.stream = stream
        effects += [Tell(stream, self._subscribed()), CancelTimer(self._timer)]
        if self.phase != REGISTERED:
            self.phase = REGISTERED
            effects.append(self._save())
        missed = [t for t in self.tasks.values() if t.undecided and t.info.task_id.value not in known]
        effects += self._tell_of(missed)
        effects += self.deliver()
        for task in self.tasks.values():
            if task.live and task.killing is not None:
                effects += self.tell_kill(task, None)
        return effects

    def disconnected(self, stream: int) -> list[Effect]:
        """Its connection is gone; it may come back. An older connection's end means nothing."""
        if stream == self.stream:
            self.stream = 0
        return []

    def deliver(self) -> list[Effect]:
        """Tell it of the tasks that wait, if it listens."""
        if not self.stream:
            return []
        waiting, self._queue = [task for task in self._queue if task.phase == QUEUED], []
        holds_more: list[Effect] = [UpdateContainer(self.spec())] if waiting else []
        return holds_more + [effect for task in waiting for effect in task.deliver()] + self._tell_of(waiting)

    def container_status(self) -> ContainerStatus:
        """Where its tasks run."""
        return ContainerStatus(ContainerID(self.container_id), self._context.network(self.ip), self.pid or None)

    def acknowledge(self, status: TaskStatus) -> list[Effect]:
        """What it said of a task is stored."""
        said = api.Acknowledged(status.task_id, status.uuid or "")
        return self._tell(api.Event("ACKNOWLEDGED", acknowledged=said))

    def tell_kill(self, task: DeliveredTask, policy: KillPolicy | None) -> list[Effect]:
        """It is to end one of its tasks."""
        return self._tell(api.Event("KILL", kill=api.Kill(task.info.task_id, policy)))

    def message(self, data: str) -> list[Effect]:
        """Bytes of its framework; lost if it does not listen."""
        return self._tell(api.Event("MESSAGE", message=api.Data(data)))

    # its end

    def shut_down(self, now: float) -> list[Effect]:
        """It is to end with all that it runs; killed when the grace period is over."""
        if self.phase == ENDED or self.ending is not None:
            return []
        self.ending = Ending(now + self.grace)
        if self.phase == FETCHING:
            return [CancelFetch(self.container_id), *self.ended()]
        saved = self._save()
        if self.phase == STARTING:
            return [saved, *([self._signal()] if self.kind == DOCKER else [])]  # its image may be on its way
        return [saved, *self._end_politely()]

    def exceeded(self, now: float, limitation: Limitation) -> list[Effect]:
        """It takes more than it may have: end it at once."""
        if self.phase not in (RUNNING, REGISTERED) or self.ending is not None:
            return []
        self.ending = Ending(now, limitation=limitation)
        return [self._save(), self._signal(force=True)]

    def time_over(self, now: float) -> list[Effect]:
        """It has not subscribed in time, or not shut down in time."""
        if self.phase not in (RUNNING, REGISTERED):
            return []
        if self.ending is None:
            if self.stream:
                return []
            again = self.phase == REGISTERED
            seconds = self._timeouts.reregistration if again else self._timeouts.registration
            what = "reregister" if again else "register"
            reason = "REASON_EXECUTOR_REREGISTRATION_TIMEOUT" if again else "REASON_EXECUTOR_REGISTRATION_TIMEOUT"
            self.ending = Ending(now, reason, f"Executor did not {what} within {exact_duration(seconds)}")
            return [self._save(), self._signal(force=True)]
        return [self._signal(force=True)]

    # helpers

    @property
    def _timer(self) -> str:
        return f"executor/{self.container_id}"

    def _clock(self, now: float) -> list[Effect]:
        """The process runs: what it has to do, and by when."""
        if self.ending is not None:
            return self._end_politely()
        if self.stream:
            return []
        timeout = self._timeouts.reregistration if self.phase == REGISTERED else self._timeouts.registration
        return [SetTimer(self._timer, now + timeout)]

    def _end_politely(self) -> list[Effect]:
        assert self.ending is not None  # noqa: S101 - callers have set it
        asked = self._tell(api.Event("SHUTDOWN")) or [self._signal()]
        return [*asked, SetTimer(self._timer, self.ending.deadline)]

    def _tell_of(self, tasks: list[DeliveredTask]) -> list[Effect]:
        """LAUNCH or, for those that were launched together, LAUNCH_GROUP."""
        effects: list[Effect] = []
        groups: dict[str, list[DeliveredTask]] = {}
        for task in tasks:
            if not task.record.group:
                effects += self._tell(api.Event("LAUNCH", launch=api.Launch(shown_task(task.info))))
            else:
                groups.setdefault(task.record.group, []).append(task)
        for group in groups.values():
            body = api.LaunchGroup(TaskGroupInfo([shown_task(task.info) for task in group]))
            effects += self._tell(api.Event("LAUNCH_GROUP", launch_group=body))
        return effects

    def _tell(self, event: api.Event) -> list[Effect]:
        return [Tell(self.stream, event)] if self.stream else []

    def _signal(self, force: bool = False) -> Effect:
        return SignalContainer(self.container_id, force, self.kind)

    def _subscribed(self) -> api.Event:
        info = self.record.executor
        if info.framework_id is None:
            info = msgspec.structs.replace(info, framework_id=FrameworkID(self.record.framework_id))
        agent = msgspec.structs.replace(self._agent, id=AgentID(self.record.place.agent_id))
        body = api.Subscribed(shown_executor(info), self.framework, agent, ContainerID(self.container_id))
        return api.Event("SUBSCRIBED", subscribed=body)

    def _variables(self) -> dict[str, str]:
        """What Mesos tells an executor besides what every container is told."""
        return {
            "LIBPROCESS_IP": self._context.ip,
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": exact_duration(self.grace),
            "MESOS_HTTP_COMMAND_EXECUTOR": "0",
            "MESOS_RECOVERY_TIMEOUT": exact_duration(self._timeouts.recovery),
            "MESOS_SLAVE_PID": f"slave(1)@{self._context.ip}:{self._agent.port}",
            "MESOS_SUBSCRIPTION_BACKOFF_MAX": exact_duration(self._timeouts.reregistration),
        }

    def _save(self) -> Effect:
        """Store the state as it is now: to be called after the change."""
        return put(executor_state_key(self.record.framework_id, self.record.place.executor_id), self.state())


def wait_status(end: Ended) -> int:
    """How a process ended, as wait(2) has it; -1 if nobody can tell."""
    return end.signal or (end.code << 8 if end.code >= 0 else -1)
