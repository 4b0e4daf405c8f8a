"""The life of one task: fetch → start → run → end, and being killed at any point of it.

Each method takes one thing that happened and returns effects; the state is stored with each step, before
anybody is told. Where Mesos has a command executor speak, the statuses say SOURCE_EXECUTOR too.
"""

from __future__ import annotations

from collections.abc import Callable

from headrace.kernel.core import CancelTimer, Effect, SetTimer
from headrace.kernel.process import Ended, Found
from headrace.mesos.agent.containers import ContainerSpec
from headrace.mesos.agent.events import CancelFetch, ContainerFound, Fetch, SignalContainer, StartContainer
from headrace.mesos.agent.health import HealthWatch
from headrace.mesos.agent.records import (
    ASKED,
    ENDED,
    FETCHING,
    RUNNING,
    STARTING,
    TIME_LIMIT,
    UNHEALTHY,
    HistoryLine,
    Killing,
    TaskRecord,
    TaskState,
    put,
    state_key,
)
from headrace.mesos.agent.updates import UpdateStream
from headrace.mesos.messages.common import (
    AgentID,
    ContainerID,
    ContainerStatus,
    ExecutorID,
    FrameworkInfo,
    IPAddress,
    KillPolicy,
    NetworkInfo,
    TaskInfo,
    TaskStatus,
)

DEFAULT_GRACE = 3.0
NANOSECONDS = 1_000_000_000

AGENT_SOURCE = "SOURCE_AGENT"
EXECUTOR_SOURCE = "SOURCE_EXECUTOR"


class Context:
    """What all tasks of an agent share: its address, where ids come from, whether the master listens."""

    def __init__(self, ip: str, new_uuid: Callable[[], str]) -> None:
        self.ip = ip
        self.new_uuid = new_uuid
        self.connected = False


class Task:
    """One run of one task. ``orphaned``: its framework is gone, so nobody hears of it any more."""

    def __init__(self, context: Context, framework: FrameworkInfo, record: TaskRecord, state: TaskState) -> None:
        self._context = context
        self.framework = framework
        self.record = record
        self.phase = state.phase
        self.killing = state.killing
        self.pid = state.pid
        self.history = list(state.history)
        self.orphaned = False
        check = record.task.health_check
        self.health = HealthWatch(check, self.spec()) if check is not None else None
        self.updates = UpdateStream(record.framework_id, state.latest)
        self.updates.pending.extend(state.pending)
        self.updates.acknowledged = state.acknowledged

    @property
    def info(self) -> TaskInfo:
        return self.record.task

    @property
    def container_id(self) -> str:
        return self.record.place.container_id

    @property
    def subject(self) -> str:
        """Whose story this is."""
        return f"{self.record.framework_id}/{self.info.task_id.value}"

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be done: ended, and everybody knows who wants to."""
        return self.phase == ENDED and (self.orphaned or self.updates.done)

    def spec(self) -> ContainerSpec:
        """The container that it runs in."""
        info = self.info
        return ContainerSpec(
            self.record.place,
            info.name,
            info.command,
            {"MESOS_TASK_ID": info.task_id.value},
            info.resources or [],
            info.limits or {},
            info.container,
            grace_of(info.kill_policy),
            info.task_id.value,
        )

    # what happens

    def begin(self, now: float) -> list[Effect]:
        """Launched by the master, or found half-fetched after a restart."""
        uris = self.info.command.uris if self.info.command else None
        if uris:
            self.phase = FETCHING
            user = self.info.command.user if self.info.command else None
            return [self._save(), Fetch(self.record.place, uris, user or "")]
        return self.fetched(now)

    def fetched(self, now: float) -> list[Effect]:
        """The sandbox is ready."""
        self.phase = STARTING
        told = self._tell(now, "TASK_STARTING", source=EXECUTOR_SOURCE)
        return [self._save(), *told, StartContainer(self.spec())]

    def launch_failed(self, now: float, message: str) -> list[Effect]:
        """It could not be fetched or started."""
        if self.killing is not None:
            return self._end(now, "TASK_KILLED", "Killed before it was started", AGENT_SOURCE)
        why = f"Failed to launch container: {message}"
        return self._end(now, "TASK_FAILED", why, AGENT_SOURCE, "REASON_CONTAINER_LAUNCH_FAILED")

    def refuse(self, now: float, message: str) -> list[Effect]:
        """It makes no sense."""
        return self._end(now, "TASK_ERROR", message, AGENT_SOURCE, "REASON_TASK_INVALID")

    def started(self, now: float, pid: int) -> list[Effect]:
        """Its process runs."""
        self.phase = RUNNING
        self.pid = pid
        told = self._tell(now, "TASK_RUNNING", source=EXECUTOR_SOURCE)
        effects = [self._save(), *told, *self._clocks(now)]
        if self.killing is not None:
            effects += self._signal(now)
        return effects

    def ended(self, now: float, end: Ended) -> list[Effect]:
        """Its process has ended."""
        if self.phase == ENDED:
            return []
        if self.killing is None:
            state = "TASK_FINISHED" if end.succeeded else "TASK_FAILED"
            return self._end(now, state, str(end), EXECUTOR_SOURCE)
        if self.killing.cause == TIME_LIMIT:
            return self._end(now, "TASK_FAILED", str(end), EXECUTOR_SOURCE, "REASON_MAX_COMPLETION_TIME_REACHED")
        return self._end(now, "TASK_KILLED", str(end), EXECUTOR_SOURCE)

    def found(self, now: float, fact: ContainerFound) -> list[Effect]:
        """What a restarted agent sees of the process."""
        if fact.found is Found.RUNNING:
            if self.phase == STARTING:
                return self.started(now, fact.pid)
            return [*self._clocks(now), *(self._signal(now) if self.killing else [])]
        if fact.found is Found.ENDED:
            return self.ended(now, fact.end or Ended(137, 9))
        if self.killing is not None:
            return self.launch_failed(now, "")
        if self.phase == STARTING:  # the supervisor's lock proves that it never ran
            return [StartContainer(self.spec())]
        message = "The files of its run are gone, so how it ended can't be told"
        return self._end(now, "TASK_FAILED", message, AGENT_SOURCE, "REASON_EXECUTOR_TERMINATED")

    def kill(self, now: float, policy: KillPolicy | None, cause: str = ASKED) -> list[Effect]:
        """Somebody wants it ended. A second kill can shorten the grace period, not lengthen it."""
        if self.phase == ENDED:
            return []
        grace = grace_of(policy, self.info.kill_policy)
        before = self.killing
        if before is not None and before.deadline <= now + grace:
            return []
        self.killing = Killing(now + grace, before.cause if before else cause)
        if self.phase == FETCHING:
            why = "REASON_TASK_KILLED_DURING_LAUNCH"
            end = self._end(now, "TASK_KILLED", "Killed while its files were fetched", AGENT_SOURCE, why)
            return [CancelFetch(self.container_id), *end]
        if self.phase == STARTING:
            return [self._save()]
        effects: list[Effect] = []
        if before is None and cause == ASKED and self._wants_killing_state():
            effects += self._tell(now, "TASK_KILLING", source=EXECUTOR_SOURCE)
        return [self._save(), *effects, *self._signal(now)]

    def grace_over(self) -> list[Effect]:
        """SIGTERM has not ended it in time."""
        return [SignalContainer(self.container_id, force=True)] if self.phase == RUNNING else []

    def time_over(self, now: float) -> list[Effect]:
        """It has run for as long as it was allowed to."""
        return self.kill(now, None, TIME_LIMIT)

    def health_due(self) -> list[Effect]:
        """Time for a health check."""
        return [self.health.due()] if self.health is not None and self._steady else []

    def probed(self, now: float, passed: bool) -> list[Effect]:
        """The outcome of a health check."""
        if self.health is None or not self._steady:
            return []
        tell, kill, again = self.health.judge(now, passed)
        effects: list[Effect] = []
        newest = self.updates.pending[-1] if len(self.updates.pending) > 1 else None
        if tell and (newest is None or newest.healthy is not passed):  # one that waits may say the same
            reason = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"
            told = self._tell(now, "TASK_RUNNING", source=EXECUTOR_SOURCE, reason=reason, healthy=passed)
            effects = [self._save(), *told]
        return [*effects, *self.kill(now, None, UNHEALTHY)] if kill else [*effects, again]

    def abandon(self, now: float) -> list[Effect]:
        """The framework is no more: end the task, tell nobody."""
        self.orphaned = True
        self.updates.pending.clear()
        return [CancelTimer(self.updates.timer), self._save(), *self.kill(now, None)]

    def acknowledge(self, now: float, uuid: str) -> list[Effect]:
        """The framework has a status; the next one may go."""
        if not self.updates.acknowledge(uuid):
            return []
        following = self.updates.send(now) if self._context.connected else [CancelTimer(self.updates.timer)]
        return [self._save(), *following]

    def resume(self, now: float) -> list[Effect]:
        """The master is there again."""
        return self.updates.resume(now) if self.updates.pending else []

    def retry(self, now: float) -> list[Effect]:
        """An acknowledgement is overdue."""
        return self.updates.retry(now) if self._context.connected else []

    # helpers

    def _end(self, now: float, state: str, message: str, source: str, reason: str | None = None) -> list[Effect]:
        self.phase = ENDED
        healthy = False if self.killing is not None and self.killing.cause == UNHEALTHY else None
        told = self._tell(now, state, message=message, source=source, reason=reason, healthy=healthy)
        timers = [CancelTimer(f"{kind}/{self.container_id}") for kind in ("kill", "limit", "health")]
        return [self._save(), *told, *timers]

    def _tell(
        self,
        now: float,
        state: str,
        *,
        source: str,
        message: str | None = None,
        reason: str | None = None,
        healthy: bool | None = None,
    ) -> list[Effect]:
        from_executor = source == EXECUTOR_SOURCE
        network = [NetworkInfo([IPAddress(self._context.ip, "IPv4")])]
        status = TaskStatus(
            self.info.task_id,
            state,
            message=message,
            source=source,
            reason=reason,
            agent_id=AgentID(self.record.place.agent_id),
            executor_id=ExecutorID(self.info.task_id.value),
            timestamp=now,
            uuid=self._context.new_uuid(),
            healthy=healthy,
            container_status=ContainerStatus(ContainerID(self.container_id), network, self.pid or None)
            if from_executor
            else None,
        )
        if not self.history or self.history[-1].state != state:
            self.history.append(HistoryLine(state, now))
        if self.orphaned:
            self.updates.latest = status
            return []
        at_once = self.updates.add(status) and self._context.connected
        return self.updates.send(now) if at_once else []

    def _signal(self, now: float) -> list[Effect]:
        assert self.killing is not None  # noqa: S101 - callers have checked
        if self.killing.deadline <= now:
            return [SignalContainer(self.container_id, force=True)]
        return [SignalContainer(self.container_id), SetTimer(f"kill/{self.container_id}", self.killing.deadline)]

    @property
    def _steady(self) -> bool:
        return self.phase == RUNNING and self.killing is None

    def _clocks(self, now: float) -> list[Effect]:
        """The timers of a task that runs: how long it may, and when its health is looked at."""
        since = next((line.timestamp for line in self.history if line.state == "TASK_RUNNING"), now)
        effects: list[Effect] = []
        limit = self.info.max_completion_time
        if limit is not None:
            effects.append(SetTimer(f"limit/{self.container_id}", since + limit.nanoseconds / NANOSECONDS))
        if self.health is not None:
            effects.append(self.health.begin(now, since, self.updates.latest.healthy))
        return effects

    def _wants_killing_state(self) -> bool:
        return any(c.type == "TASK_KILLING_STATE" for c in self.framework.capabilities or ())

    def _save(self) -> Effect:
        """Store the state as it is now: to be called after the change."""
        return put(state_key(self.record.framework_id, self.info.task_id.value), self.state())

    def state(self) -> TaskState:
        """What is stored of it."""
        updates = self.updates
        return TaskState(
            self.phase,
            updates.latest,
            list(updates.pending),
            updates.acknowledged,
            self.killing,
            self.pid,
            self.history,
        )


def grace_of(*policies: KillPolicy | None) -> float:
    """Seconds between SIGTERM and SIGKILL: the first policy that says it, else 3 s as Mesos."""
    for policy in policies:
        if policy is not None and policy.grace_period is not None:
            return max(0.0, policy.grace_period.nanoseconds / NANOSECONDS)
    return DEFAULT_GRACE
