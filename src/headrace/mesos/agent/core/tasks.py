"""The life of a task in a container of its own: fetch → start → run → end, and being killed at any point of it.

Command tasks and the tasks of a default executor's groups. Each method takes one thing that happened and returns
effects; the state is stored with each step, before anybody is told. Where Mesos has an executor speak, the statuses
say SOURCE_EXECUTOR too.
"""

from __future__ import annotations

from headrace.kernel.core import CancelTimer, Effect, SetTimer
from headrace.kernel.process import Ended, Found
from headrace.mesos.agent.core.checks import CheckWatch, first_status
from headrace.mesos.agent.core.containers import DOCKER, ContainerSpec, Limitation, kind_of
from headrace.mesos.agent.core.events import CancelFetch, ContainerFound, Fetch, SignalContainer, StartContainer
from headrace.mesos.agent.core.health import HealthWatch
from headrace.mesos.agent.core.records import (
    ASKED,
    COMMAND,
    ENDED,
    FETCHING,
    RUNNING,
    STARTING,
    TIME_LIMIT,
    UNHEALTHY,
    Killing,
    TaskRecord,
    TaskState,
)
from headrace.mesos.agent.core.reporting import (
    AGENT_SOURCE,
    EXECUTOR_SOURCE,
    EXECUTOR_TERMINATED,
    KILLED_DURING_LAUNCH,
    KILLED_EARLY,
    LAUNCH_FAILED,
    NANOSECONDS,
    Context,
    ReportedTask,
    grace_of,
    has_capability,
    lost_state,
)
from headrace.mesos.messages.common import (
    AgentID,
    CheckStatusInfo,
    ContainerID,
    ContainerStatus,
    ExecutorID,
    FrameworkInfo,
    KillPolicy,
    TaskResourceLimitation,
    TaskStatus,
)

HEALTH_TOLD = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"
CHECK_TOLD = "REASON_TASK_CHECK_STATUS_UPDATED"
_OBSERVATIONS = (HEALTH_TOLD, CHECK_TOLD)
_EXECUTORS = (ASKED, UNHEALTHY, TIME_LIMIT)
"""Causes for which it is Mesos's executor that ends a task, and tells TASK_KILLING; for the others it is the agent."""


class Task(ReportedTask):
    """One run of one task."""

    def __init__(self, context: Context, framework: FrameworkInfo, record: TaskRecord, state: TaskState) -> None:
        super().__init__(context, framework, record, state)
        info = record.task
        self.health = HealthWatch(info.health_check, self.spec()) if info.health_check is not None else None
        self.check = CheckWatch(info.check, self.spec()) if info.check is not None else None

    @property
    def alone(self) -> bool:
        """Whether it is a command task, not one of a group."""
        return self.record.sort == COMMAND

    @property
    def kind(self) -> str:
        """Which containerizer runs it."""
        return kind_of(self.info.container)

    @property
    def path(self) -> str:
        """Its container's, from the outermost on."""
        place = self.record.place
        return f"{place.parent_id}.{place.container_id}" if place.parent_id else place.container_id

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
            self.record.shared,
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
        return [self._save(), StartContainer(self.spec())]

    def launch_failed(self, now: float, message: str, lost: bool = False) -> list[Effect]:
        """It could not be fetched or started; ``lost``: there is not even a place for it."""
        if self.killing is not None:
            return self._end(now, "TASK_KILLED", "Killed before it was started", AGENT_SOURCE)
        if lost and self.alone:
            return self._end(now, lost_state(self.framework), message, AGENT_SOURCE, EXECUTOR_TERMINATED)
        source = AGENT_SOURCE if self.alone else EXECUTOR_SOURCE
        return self._end(now, "TASK_FAILED", f"Failed to launch container: {message}", source, LAUNCH_FAILED)

    def refuse(self, now: float, message: str, reason: str = "REASON_TASK_INVALID") -> list[Effect]:
        """It makes no sense."""
        return self._end(now, "TASK_ERROR", message, AGENT_SOURCE, reason)

    def drop(self, now: float, message: str) -> list[Effect]:
        """Its executor is no more."""
        return self._end(now, lost_state(self.framework), message, AGENT_SOURCE, EXECUTOR_TERMINATED)

    def started(self, now: float, pid: int, ip: str = "") -> list[Effect]:
        """Its process runs."""
        self.phase = RUNNING
        self.pid, self.ip = pid, ip
        told = [*self._tell(now, "TASK_STARTING"), *self._tell(now, "TASK_RUNNING")]
        effects = [self._save(), *told, *self._clocks(now)]
        if self.killing is not None:
            effects += self._signal(now)
        return effects

    def ended(self, now: float, end: Ended, limitation: Limitation | None = None) -> list[Effect]:
        """Its process has ended."""
        if self.phase == ENDED:
            return []
        limitation = limitation or self.limitation
        if self.killing is None and limitation is not None:
            source = AGENT_SOURCE if self.alone else EXECUTOR_SOURCE
            return self._end(now, "TASK_FAILED", limitation.message, source, limitation.reason, limitation)
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
                return self.started(now, fact.pid, fact.ip)
            return [*self._clocks(now), *(self._signal(now) if self.killing else [])]
        if fact.found is Found.ENDED:
            return self.ended(now, fact.end or Ended(137, 9), fact.limitation)
        if self.killing is not None:
            return self.launch_failed(now, "")
        if self.phase == STARTING:  # the supervisor's lock proves that it never ran
            return [StartContainer(self.spec())]
        message = "The files of its run are gone, so how it ended can't be told"
        return self._end(now, "TASK_FAILED", message, AGENT_SOURCE, EXECUTOR_TERMINATED)

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
            end = self._end(now, "TASK_KILLED", KILLED_EARLY, AGENT_SOURCE, KILLED_DURING_LAUNCH)
            return [CancelFetch(self.container_id), *end]
        if self.phase == STARTING:  # a process starts at once, but an image may take its time
            return [self._save(), *([self._signal_effect()] if self.kind == DOCKER else ())]
        effects: list[Effect] = []
        if before is None and cause in _EXECUTORS and has_capability(self.framework, "TASK_KILLING_STATE"):
            effects += self._tell(now, "TASK_KILLING")
        return [self._save(), *effects, *self._signal(now)]

    def grace_over(self) -> list[Effect]:
        """SIGTERM has not ended it in time."""
        return [self._signal_effect(force=True)] if self.phase == RUNNING else []

    def time_over(self, now: float) -> list[Effect]:
        """It has run for as long as it was allowed to."""
        return self.kill(now, None, TIME_LIMIT)

    def health_due(self) -> list[Effect]:
        """Time for a health check."""
        return [self.health.due()] if self.health is not None and self._steady else []

    def check_due(self) -> list[Effect]:
        """Time for a general check."""
        return [self.check.due()] if self.check is not None and self._steady else []

    def probed(self, now: float, passed: bool) -> list[Effect]:
        """The outcome of a health check."""
        if self.health is None or not self._steady:
            return []
        tell, kill, again = self.health.judge(now, passed)
        effects = self._observed(now, HEALTH_TOLD) if tell else []
        return [*effects, *self.kill(now, None, UNHEALTHY)] if kill else [*effects, again]

    def checked(self, now: float, status: CheckStatusInfo) -> list[Effect]:
        """The outcome of a general check; told if it is another than before."""
        if self.check is None or not self._steady:
            return []
        tell, again = self.check.judge(now, status)
        return [*(self._observed(now, CHECK_TOLD) if tell else []), again]

    def exceeded(self, limitation: Limitation) -> list[Effect]:
        """It takes more than it may have: end it at once."""
        if not self._steady or self.limitation is not None:
            return []
        self.limitation = limitation
        return [self._save(), self._signal_effect(force=True)]

    def abandon(self, now: float) -> list[Effect]:
        """Its framework is no more: end it, tell nobody."""
        return [*self._forsake(), *self.kill(now, None)]

    # helpers

    def _observed(self, now: float, reason: str) -> list[Effect]:
        """Tell what was seen of a running task; it overtakes one that still waits, so there is never more than one."""
        pending = self.updates.pending
        if len(pending) > 1 and pending[-1].reason in _OBSERVATIONS:
            pending.pop()
        told = self._tell(now, "TASK_RUNNING", reason=reason)
        return [self._save(), *told]

    def _end(
        self,
        now: float,
        state: str,
        message: str,
        source: str,
        reason: str | None = None,
        limitation: Limitation | None = None,
    ) -> list[Effect]:
        self.phase = ENDED
        told = self._tell(now, state, message, source, reason, limitation)
        timers = [CancelTimer(f"{kind}/{self.container_id}") for kind in ("kill", "limit", "health", "check")]
        return [self._save(), *told, *timers]

    def _tell(
        self,
        now: float,
        state: str,
        message: str | None = None,
        source: str = EXECUTOR_SOURCE,
        reason: str | None = None,
        limitation: Limitation | None = None,
    ) -> list[Effect]:
        status = TaskStatus(
            self.info.task_id,
            state,
            message=message,
            source=source,
            reason=reason,
            agent_id=AgentID(self.record.place.agent_id),
            executor_id=ExecutorID(self.record.place.executor_id),
            timestamp=now,
            uuid=self._context.new_uuid(),
            healthy=self._health_in(reason),
            check_status=self._check_in(source, reason),
            container_status=self._container_status(state) if source == EXECUTOR_SOURCE else None,
            limitation=TaskResourceLimitation(limitation.resources) if limitation is not None else None,
        )
        return self._pass_on(now, status)

    def _health_in(self, reason: str | None) -> bool | None:
        if reason in _OBSERVATIONS:
            return self.health.healthy if self.health is not None else None
        unhealthy = self.phase == ENDED and self.killing is not None and self.killing.cause == UNHEALTHY
        return False if unhealthy else None

    def _check_in(self, source: str, reason: str | None) -> CheckStatusInfo | None:
        if self.check is None or source != EXECUTOR_SOURCE:
            return None
        return self.check.status if reason in _OBSERVATIONS else first_status(self.check.check)

    def _container_status(self, state: str) -> ContainerStatus:
        place = self.record.place
        if self.alone:
            container = ContainerID(place.container_id)
            return ContainerStatus(container, self._context.network(self.ip), self.pid or None)
        container = ContainerID(place.container_id, ContainerID(place.parent_id))
        if state not in ("TASK_RUNNING", "TASK_KILLING"):
            return ContainerStatus(container)
        return ContainerStatus(container, self._context.network(self.ip), self.pid or None)

    def _signal(self, now: float) -> list[Effect]:
        assert self.killing is not None  # noqa: S101 - callers have checked
        if self.killing.deadline <= now:
            return [self._signal_effect(force=True)]
        return [self._signal_effect(), SetTimer(f"kill/{self.container_id}", self.killing.deadline)]

    def _signal_effect(self, force: bool = False) -> Effect:
        return SignalContainer(self.container_id, force, self.kind)

    @property
    def _steady(self) -> bool:
        return self.phase == RUNNING and self.killing is None

    def _clocks(self, now: float) -> list[Effect]:
        """The timers of a task that runs: how long it may, and when its health is looked at."""
        limit = self.info.max_completion_time
        if limit is None and self.health is None and self.check is None:
            return []
        since = next((line.timestamp for line in self.history if line.state == "TASK_RUNNING"), now)
        effects: list[Effect] = []
        if limit is not None:
            effects.append(SetTimer(f"limit/{self.container_id}", since + limit.nanoseconds / NANOSECONDS))
        if self.health is not None:
            effects.append(self.health.begin(now, since, self.updates.latest.healthy))
        if self.check is not None:
            effects.append(self.check.begin(now, since, self.updates.latest.check_status))
        return effects
