"""What is remembered: instances, deployments, failures, delays. All of it is stored as JSON."""

from __future__ import annotations

import enum

import msgspec

from headrace.marathon.definitions.group import Group
from headrace.marathon.definitions.run_spec import RunSpec


class Goal(enum.Enum):
    """What an instance is meant to do. A stopped one keeps its volumes, to run again."""

    RUNNING = "Running"
    STOPPED = "Stopped"
    DECOMMISSIONED = "Decommissioned"


class Condition(enum.Enum):
    """Where an instance is in its life. A terminal one is either launched again or forgotten."""

    SCHEDULED = "Scheduled"
    PROVISIONED = "Provisioned"
    STAGING = "Staging"
    STARTING = "Starting"
    RUNNING = "Running"
    KILLING = "Killing"
    UNREACHABLE = "Unreachable"
    INACTIVE = "UnreachableInactive"
    FINISHED = "Finished"
    FAILED = "Failed"
    KILLED = "Killed"
    ERROR = "Error"
    DROPPED = "Dropped"
    GONE = "Gone"
    UNKNOWN = "Unknown"


TERMINAL = frozenset(
    {
        Condition.FINISHED,
        Condition.FAILED,
        Condition.KILLED,
        Condition.ERROR,
        Condition.DROPPED,
        Condition.GONE,
        Condition.UNKNOWN,
    }
)


class Cause(enum.Enum):
    """Why a task has ended, or is being ended."""

    ENDED = "ended"
    """By itself."""
    API = "api"
    HEALTH = "health"
    SCALE = "scale"
    UPGRADE = "upgrade"
    REMOVED = "removed"
    """Its app, or what of it there was too much."""
    LAUNCH = "launch"
    """It did not come to run in time."""
    LOST = "lost"
    """Nobody knows: its agent is gone or unreachable."""


LOST = frozenset({Condition.UNREACHABLE, Condition.INACTIVE})
"""Nobody can reach the task's agent: the task can't be killed, and may come back."""


class HealthResult(msgspec.Struct, omit_defaults=True, rename="camel"):
    """What one health check found so far; times are seconds since the epoch."""

    consecutive_failures: int = 0
    first_success: float | None = None
    last_success: float | None = None
    last_failure: float | None = None
    last_failure_cause: str | None = None

    @property
    def known(self) -> bool:
        return self.last_success is not None or self.last_failure is not None

    @property
    def alive(self) -> bool:
        return self.last_success is not None and (self.last_failure is None or self.last_success > self.last_failure)


class ReadinessResult(msgspec.Struct, omit_defaults=True):
    """The last answer to a readiness check."""

    ready: bool = False
    status: int = 0
    content_type: str = ""
    body: str = ""
    at: float = 0.0
    cause: str = ""


class ContainerTask(msgspec.Struct, omit_defaults=True):
    """One container of a pod's instance: a task of its group. ``state`` is Mesos's."""

    condition: Condition = Condition.PROVISIONED
    state: str = ""
    since: float = 0.0
    message: str = ""
    container_id: str = ""


class LocalVolume(msgspec.Struct, frozen=True, omit_defaults=True):
    """A persistent volume of an instance: ``path`` in the container (pods: its name), ``size`` as asked for, in MiB."""

    path: str
    id: str
    size: int
    type: str = "root"


class Leftover(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reservation that nobody needs any more. ``lease``: its label; ``agent_id``: where it is."""

    lease: str
    instance_id: str
    agent_id: str
    role: str


class PreStopCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a task is asked before it is told to end; ``seconds`` that it may take."""

    port: int
    path: str
    seconds: int


class Instance(msgspec.Struct, omit_defaults=True):
    """One running copy of an app or a pod, over all its incarnations: each new launch of it counts one up.

    ``containers`` are a pod's, by name; an app's instance is one task. ``role``: whose resources it has. ``home``: the
    agent that its ``volumes`` are on; ``lease``: a label of what is reserved there; ``settled``: that is known.
    ``check``: what its general check says.
    ``cause`` is set while its task is being ended; until ``pre_stop_until`` it may prepare for that.
    """

    id: str
    app_id: str
    version: str
    config_version: str
    since: float
    incarnation: int = 1
    goal: Goal = Goal.RUNNING
    condition: Condition = Condition.SCHEDULED
    agent_id: str = ""
    host: str = ""
    place: dict[str, str] = {}
    ports: list[int] = []
    state: str = ""
    staged_at: float | None = None
    started_at: float | None = None
    ready: bool = False
    ip_addresses: list[str] = []
    health: list[HealthResult] = []
    check: dict[str, dict[str, int | bool]] = {}
    containers: dict[str, ContainerTask] = {}
    role: str = ""
    agent_url: str = ""
    cause: Cause | None = None
    cause_text: str = ""
    pre_stop: PreStopCall | None = None
    pre_stop_until: float | None = None
    home: str = ""
    lease: str = ""
    settled: bool = False
    volumes: list[LocalVolume] = []

    @property
    def task_id(self) -> str:
        """Of an app."""
        return f"{self.id}._app.{self.incarnation}"

    @property
    def task_ids(self) -> list[str]:
        """All tasks that it has, or had in this incarnation."""
        if not self.containers:
            return [self.task_id]
        return [self.container_task_id(name) for name in self.containers]

    @property
    def live_task_ids(self) -> list[str]:
        """Those that may exist at an agent."""
        if not self.containers:
            return [self.task_id] if self.has_task else []
        alive = [name for name, task in self.containers.items() if task.condition not in TERMINAL]
        return [self.container_task_id(name) for name in alive]

    def container_task_id(self, name: str) -> str:
        """Of one container of a pod."""
        return f"{self.id}.{name}.{self.incarnation}"

    @property
    def executor_id(self) -> str:
        """Of a pod. Each incarnation has its own: an agent drops what comes to an executor that is just ending."""
        return self.id if self.incarnation == 1 else f"{self.id}.{self.incarnation}"

    @property
    def has_task(self) -> bool:
        """Whether a task of it may exist at an agent."""
        return self.condition is not Condition.SCHEDULED and self.condition not in TERMINAL

    @property
    def listed(self) -> bool:
        """Whether its task is shown: it is at an agent, or was there and is stopped. What waits has no task yet."""
        return bool(self.host) and (self.has_task or self.goal is Goal.STOPPED)

    @property
    def wanted(self) -> bool:
        """Whether it counts towards the app's number of instances."""
        return self.goal is Goal.RUNNING and self.condition is not Condition.INACTIVE

    @property
    def healthy(self) -> bool | None:
        """All checks alive, one of them not, or nothing known yet."""
        known = [one for one in self.health if one.known]
        if any(not one.alive for one in known):
            return False
        return True if known and len(known) == len(self.health) else None


def instance_of_task(task_id: str) -> str:
    """The instance that a task id belongs to; the id itself if it has not that form."""
    return task_id.rsplit(".", 2)[0] if ".instance-" in task_id and task_id.count(".") >= 3 else task_id


def container_of_task(task_id: str) -> str:
    """The container that a task id of a pod names."""
    return task_id.rsplit(".", 2)[1]


class Action(msgspec.Struct, frozen=True):
    """One thing that a deployment does to one app or pod."""

    action: str
    app: str
    pod: bool = False

    def shown(self) -> dict[str, str]:
        """As the API has it."""
        if self.pod:
            return {"action": self.action.replace("Application", "Pod"), "pod": self.app}
        return {"action": self.action, "app": self.app}


START, STOP = "StartApplication", "StopApplication"
SCALE, RESTART = "ScaleApplication", "RestartApplication"

Steps = list[list[Action]]


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """A deployment: the affected apps and pods before and after (None: not there).

    ``kill`` names victims of a scale-down. ``groups`` are those whose dependencies count; ``groups_before`` how those
    that were changed with it were before. ``replaces`` are deployments that it put an end to, ``reverts`` the one that
    it undoes; at ``deadline`` it is undone itself. ``unfinished``: by app or pod the action that a deployment which it
    replaces had begun, and that it carries on.
    """

    id: str
    version: str
    original: dict[str, RunSpec | None]
    target: dict[str, RunSpec | None]
    kill: list[str] = []
    groups: dict[str, Group] = {}
    groups_before: dict[str, Group | None] = {}
    replaces: list[str] = []
    reverts: str = ""
    deadline: float | None = None
    unfinished: dict[str, str] = {}


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a change of the root group has replaced: specs and groups as they were before; None: not there."""

    version: str
    specs: dict[str, RunSpec | None] = {}
    groups: dict[str, Group | None] = {}


class Failure(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How a task of an app failed last."""

    app_id: str
    host: str
    message: str
    state: str
    task_id: str
    timestamp: str
    version: str
    slave_id: str | None = None


class EndedContainer(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one container of a pod's instance has ended."""

    name: str
    task_id: str
    state: str
    message: str = ""
    exit_status: int | None = None


class EndedInstance(msgspec.Struct, omit_defaults=True):
    """One incarnation of an instance that is over. ``logs``: the last lines of its output, by file."""

    id: str
    app_id: str
    version: str
    incarnation: int
    task_ids: list[str]
    state: str
    condition: Condition
    cause: Cause
    ended: float
    agent_id: str = ""
    host: str = ""
    role: str = ""
    reason: str = ""
    message: str = ""
    exit_status: int | None = None
    signal: str = ""
    why: str = ""
    staged_at: float | None = None
    started_at: float | None = None
    healthy: bool | None = None
    agent_url: str = ""
    sandbox: str = ""
    containers: list[EndedContainer] = []
    logs: dict[str, list[str]] = {}
    logs_note: str = ""

    @property
    def key(self) -> str:
        return f"{self.id}.{self.incarnation}"


class EndedDeployment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A deployment that is over. ``versions``: of what it was about, before and after; ``at``: the step it came to.

    ``outcome``: succeeded, cancelled, replaced (by a newer one) or reverted (undone by a newer one).
    """

    id: str
    version: str
    outcome: str
    ended: float
    apps: list[str] = []
    pods: list[str] = []
    steps: Steps = []
    at: int = 0
    why: str = ""
    replaced_by: str = ""
    replaces: list[str] = []
    reverts: str = ""
    versions: dict[str, tuple[str | None, str | None]] = {}
