"""What all tasks have in common, whoever runs them: a record, a state, a history, and statuses on their way."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headrace.kernel.core import CancelTimer, Effect
from headrace.mesos.agent.core.records import (
    ASKED,
    ENDED,
    DrainRecord,
    HistoryLine,
    TaskRecord,
    TaskState,
    put,
    state_key,
)
from headrace.mesos.agent.core.updates import UpdateStream
from headrace.mesos.messages.common import (
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
LAUNCH_FAILED = "REASON_CONTAINER_LAUNCH_FAILED"
KILLED_EARLY = "Killed before delivery to the executor"
KILLED_DURING_LAUNCH = "REASON_TASK_KILLED_DURING_LAUNCH"
EXECUTOR_TERMINATED = "REASON_EXECUTOR_TERMINATED"
DRAINING = "REASON_AGENT_DRAINING"

_OF_KILLS = ("TASK_KILLING", "TASK_KILLED")


class Context:
    """What all tasks of an agent share: its address, where ids come from, whether the master listens.

    ``drain``: set while the agent is being emptied.
    """

    def __init__(self, ip: str, new_uuid: Callable[[], str], drain: DrainRecord | None = None) -> None:
        self.ip = ip
        self.new_uuid = new_uuid
        self.connected = False
        self.drain = drain

    def network(self, ip: str = "") -> list[NetworkInfo]:
        """Where a container can be reached; without an address of its own at the agent's."""
        return [NetworkInfo([IPAddress(ip or self.ip, "IPv4")])]


class ReportedTask:
    """A task whose statuses this agent passes on, in order, each until it is acknowledged.

    ``orphaned``: its framework is gone, so nobody hears of it any more.
    """

    def __init__(self, context: Context, framework: FrameworkInfo, record: TaskRecord, state: TaskState) -> None:
        self._context = context
        self.framework = framework
        self.record = record
        self.phase = state.phase
        self.killing = state.killing
        self.pid = state.pid
        self.ip = state.ip
        self.limitation = state.limitation
        self.history = list(state.history)
        self.orphaned = False
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
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.phase != ENDED

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be done: ended, and everybody knows who wants to."""
        return self.phase == ENDED and (self.orphaned or self.updates.done)

    def kill(self, now: float, policy: KillPolicy | None, cause: str = ASKED) -> list[Effect]:
        """Somebody wants it ended."""
        raise NotImplementedError

    def abandon(self, now: float) -> list[Effect]:
        """Its framework is no more: end it, tell nobody."""
        raise NotImplementedError

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
            self.ip,
            limitation=self.limitation,
        )

    def _forsake(self) -> list[Effect]:
        """Its framework is no more: tell nobody."""
        self.orphaned = True
        self.updates.pending.clear()
        return [CancelTimer(self.updates.timer), self._save()]

    def _pass_on(self, now: float, status: TaskStatus) -> list[Effect]:
        """A new status; to be stored by whoever calls."""
        if self._context.drain is not None and status.state in _OF_KILLS:
            status = self._drained(status, self._context.drain)
        if not self.history or self.history[-1].state != status.state:
            self.history.append(HistoryLine(status.state, now))
        if self.orphaned:
            self.updates.latest = status
            return []
        at_once = self.updates.add(status) and self._context.connected
        return self.updates.send(now) if at_once else []

    def _drained(self, status: TaskStatus, drain: DrainRecord) -> TaskStatus:
        """As it is told while the agent is being emptied, whoever wanted the kill."""
        gone = drain.mark_gone and status.state == "TASK_KILLED" and has_capability(self.framework, "PARTITION_AWARE")
        state = "TASK_GONE_BY_OPERATOR" if gone else status.state
        return msgspec.structs.replace(status, state=state, reason=DRAINING)

    def _save(self) -> Effect:
        """Store the state as it is now: to be called after the change."""
        return put(state_key(self.record.framework_id, self.info.task_id.value), self.state())


def grace_of(*policies: KillPolicy | None) -> float:
    """Seconds between SIGTERM and SIGKILL: the first policy that says it, else 3 s as Mesos."""
    for policy in policies:
        if policy is not None and policy.grace_period is not None:
            return max(0.0, policy.grace_period.nanoseconds / NANOSECONDS)
    return DEFAULT_GRACE


def has_capability(framework: FrameworkInfo, name: str) -> bool:
    """Whether the framework said that it knows something, as PARTITION_AWARE."""
    return any(capability.type == name for capability in framework.capabilities or ())


def lost_state(framework: FrameworkInfo) -> str:
    """The state of a task that never got anywhere, in words that the framework knows."""
    return "TASK_DROPPED" if has_capability(framework, "PARTITION_AWARE") else "TASK_LOST"
