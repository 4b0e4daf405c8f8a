"""What the master knows: frameworks, agents, tasks, offers. Plain objects without rules of their own."""

from __future__ import annotations

from collections import Counter, deque

import msgspec

from headrace.mesos.master.core import constraints
from headrace.mesos.messages.common import (
    AgentInfo,
    ContainerStatus,
    DurationInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkInfo,
    OperationStatus,
    TaskInfo,
    TaskStatus,
    Unavailability,
    is_terminal,
)
from headrace.mesos.messages.operator import MachineID
from headrace.mesos.messages.scheduler import Operation
from headrace.mesos.resources import EMPTY, Resources

MAX_COMPLETED_TASKS = 1000
"""Per framework, unless the master's flags say otherwise; the same for unreachable ones."""

TaskKey = tuple[str, str]
"""Framework id and task id."""


class Task:
    """A task that was handed to an agent, or that an agent has reported.

    ``resources`` are taken from the agent while ``holds``. ``unacknowledged`` is the update that
    was passed on last and still waits for its acknowledgement. ``executor_id`` is empty for command tasks.
    """

    __slots__ = (
        *("agent_id", "executor_id", "framework_id", "holds", "id", "info"),
        *("resources", "role", "state", "statuses", "unacknowledged"),
    )

    def __init__(self, framework_id: str, role: str, info: TaskInfo, resources: Resources) -> None:
        self.id = info.task_id.value
        self.framework_id = framework_id
        self.agent_id = info.agent_id.value
        self.role = role
        self.info = info
        self.executor_id = info.executor.executor_id.value if info.executor is not None else ""
        self.resources = resources
        self.holds = True
        self.state = "TASK_STAGING"
        self.statuses: list[TaskStatus] = []
        self.unacknowledged: TaskStatus | None = None

    @property
    def key(self) -> TaskKey:
        return self.framework_id, self.id

    @property
    def ended(self) -> bool:
        return is_terminal(self.state)

    @property
    def told_executor(self) -> ExecutorID | None:
        """Its executor, as statuses name it: not for command tasks."""
        return ExecutorID(self.executor_id) if self.executor_id else None

    @property
    def container_status(self) -> ContainerStatus | None:
        """Where it runs, as far as it was ever said."""
        return next((s.container_status for s in reversed(self.statuses) if s.container_status is not None), None)

    def note(self, status: TaskStatus) -> bool:
        """Keep a status; a newer one of the same state takes the place of the one before it. False if it does."""
        known = bool(self.statuses) and self.statuses[-1].state == status.state
        if known:
            self.statuses.pop()
        self.statuses.append(status)
        return not known

    def slim(self) -> None:
        """Drop what nobody asks about a task that has ended."""
        self.info = msgspec.structs.replace(self.info, command=None, executor=None, data=None)


ExecutorKey = tuple[str, str]
"""Framework id and executor id; unique on an agent."""


class Executor:
    """An executor on an agent. It holds ``resources`` beside those of its tasks until it has exited."""

    __slots__ = ("agent_id", "framework_id", "id", "info", "resources", "role")

    def __init__(self, framework_id: str, role: str, agent_id: str, info: ExecutorInfo, resources: Resources) -> None:
        self.id = info.executor_id.value
        self.framework_id = framework_id
        self.agent_id = agent_id
        self.role = role
        self.info = info
        self.resources = resources

    @property
    def key(self) -> ExecutorKey:
        return self.framework_id, self.id


OperationKey = tuple[str, str]
"""Framework id (empty for an operator) and operation id."""


class TrackedOperation:
    """An operation with an id, from when the agent was told until its last status has been acknowledged.

    ``info`` is None if only its status is known: the master was restarted in between.
    """

    __slots__ = ("agent_id", "framework_id", "id", "info", "status")

    def __init__(self, framework_id: str, agent_id: str, info: Operation | None, status: OperationStatus) -> None:
        self.id = status.operation_id.value if status.operation_id is not None else ""
        self.framework_id = framework_id
        self.agent_id = agent_id
        self.info = info
        self.status = status

    @property
    def key(self) -> OperationKey:
        return self.framework_id, self.id


class Offer(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Resources that a framework may use until it answers or they are rescinded."""

    id: str
    framework_id: str
    role: str
    agent_id: str
    resources: Resources


class Framework:
    """A framework; ``stream`` is set while it is connected. ``info`` carries its id.

    ``executors`` by agent id and executor id, ``operations`` by operation id.
    """

    __slots__ = (
        *("calls", "capabilities", "completed", "constraints", "events", "executors", "id", "info"),
        *("offer_counts", "offers", "operations"),
        *(
            "recovered",
            "registered",
            "reregistered",
            "roles",
            "stream",
            "suppressed",
            "tasks",
            "unreachable",
            "unregistered",
        ),
    )

    def __init__(
        self, framework_id: str, info: FrameworkInfo, now: float, max_completed_tasks: int = MAX_COMPLETED_TASKS
    ) -> None:
        self.id = framework_id
        self.stream: str | None = None
        self.recovered = False
        self.registered = now
        self.reregistered: float | None = None
        self.unregistered = 0.0
        self.suppressed: frozenset[str] = frozenset()
        self.tasks: dict[str, Task] = {}
        self.unreachable: dict[str, Task] = {}
        self.completed: deque[Task] = deque(maxlen=max_completed_tasks)
        self.executors: dict[tuple[str, str], Executor] = {}
        self.operations: dict[str, TrackedOperation] = {}
        self.constraints = constraints.NONE
        self.offers: dict[str, Offer] = {}
        self.calls: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.offer_counts: Counter[str] = Counter()
        self.describe(info)

    def describe(self, info: FrameworkInfo) -> None:
        """The framework is now what ``info`` says."""
        self.info = info
        self.capabilities = frozenset(c.type for c in info.capabilities or () if c.type)
        self.roles = roles_of(info)

    @property
    def connected(self) -> bool:
        return self.stream is not None

    @property
    def partition_aware(self) -> bool:
        return "PARTITION_AWARE" in self.capabilities


class Drain(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an agent is emptied: since ``started``, and whether that is done (``drained``).

    ``max_grace_period``: no task may take longer to end. ``mark_gone``: when it is empty, the agent is gone.
    """

    started: float
    max_grace_period: DurationInfo | None = None
    mark_gone: bool = False
    drained: bool = False

    @property
    def state(self) -> str:
        """In Mesos's words."""
        return "DRAINED" if self.drained else "DRAINING"


class Deactivation(msgspec.Struct, frozen=True, omit_defaults=True):
    """An operator's word that nothing of an agent is to be offered; with ``drain`` it is emptied, too."""

    drain: Drain | None = None


class Agent:
    """An agent that is registered, or was until its stream ended (``stream`` is None then).

    ``unavailability``: when its machine is to be serviced. ``deactivation``: an operator's. ``encoded``: what offers
    say of it. ``view``: what the views have encoded of it, while it has that ``total``.
    """

    __slots__ = (
        *("deactivation", "encoded", "executors", "id", "info", "ip", "kills", "number", "offers", "operations"),
        *("registered", "reregistered", "stream", "tasks", "total", "unanswered", "unavailability", "version", "view"),
    )

    def __init__(self, agent_id: str, number: int, info: AgentInfo, total: Resources, ip: str, now: float) -> None:
        self.id = agent_id
        self.number = number
        self.ip = ip
        self.stream: str | None = None
        self.version = ""
        self.registered = now
        self.reregistered: float | None = None
        self.unanswered = 0
        self.unavailability: Unavailability | None = None
        self.deactivation: Deactivation | None = None
        self.tasks: dict[TaskKey, Task] = {}
        self.executors: dict[ExecutorKey, Executor] = {}
        self.operations: dict[OperationKey, TrackedOperation] = {}
        self.offers: dict[str, Offer] = {}
        self.kills: dict[TaskKey, object] = {}
        self.describe(info, total)

    def describe(self, info: AgentInfo, total: Resources) -> None:
        """The agent is now what ``info`` says."""
        self.info = info
        self.total = total
        self.encoded: bytes | None = None
        self.view: tuple[Resources, bytes] | None = None

    @property
    def connected(self) -> bool:
        return self.stream is not None

    @property
    def active(self) -> bool:
        """Whether anything of it may be offered."""
        return self.stream is not None and self.deactivation is None

    def used(self) -> dict[tuple[str, str], Resources]:
        """What tasks and executors hold, by framework and role."""
        used: dict[tuple[str, str], Resources] = {}
        for executor in self.executors.values():
            if executor.resources:
                owner = (executor.framework_id, executor.role)
                used[owner] = used.get(owner, EMPTY) + executor.resources
        for task in self.tasks.values():
            if task.holds:
                owner = (task.framework_id, task.role)
                used[owner] = used.get(owner, EMPTY) + task.resources
        return used


class Absent(msgspec.Struct, frozen=True):
    """An agent that the master knows of but has no link to; ``since`` is when it became unreachable, if it did."""

    info: AgentInfo
    ip: str
    registered: float
    since: float | None = None


class Removal(msgspec.Struct, frozen=True):
    """When and why an agent was removed; ``gone``: an operator said that it never comes back."""

    at: float
    why: str
    gone: bool = False


class Quota(msgspec.Struct, frozen=True):
    """What a role is guaranteed and what it may hold at most, in thousandths by resource name.

    A kind without a limit is not limited. A role stays listed when both have been taken back.
    """

    guarantees: dict[str, int] = {}
    limits: dict[str, int] = {}


MachineKey = tuple[str, str]
"""Host name in lower case, and address; either may be empty."""


class Machine(msgspec.Struct, frozen=True):
    """A machine in the maintenance schedule: it is drained, then it is ``down`` until it is up again."""

    id: MachineID
    unavailability: Unavailability
    down: bool = False


def roles_of(info: FrameworkInfo) -> tuple[str, ...]:
    """The roles that a framework is subscribed to."""
    if any(capability.type == "MULTI_ROLE" for capability in info.capabilities or ()):
        return tuple(info.roles or ())
    return (info.role or "*",)
