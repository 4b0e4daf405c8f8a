"""What the page shows: the master's state and Marathon's apps, joined and cut down; pure.

The fields are those of Mesos's ``/master/state`` and Marathon's ``/v2/apps``; what is missing
there is empty here. Newest tasks first, at most ``LIMIT`` rows of each kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

LIMIT = 500
_ENDED_TASKS = 30


class StatusState(msgspec.Struct):
    state: str = ""
    timestamp: float = 0.0
    message: str = ""


class TaskState(msgspec.Struct):
    """A task of ``/master/state``."""

    id: str = ""
    name: str = ""
    framework_id: str = ""
    executor_id: str = ""
    slave_id: str = ""
    state: str = ""
    resources: dict[str, Any] = {}
    statuses: list[StatusState] = []

    @property
    def since(self) -> float:
        """Epoch seconds of its latest status; 0 if there is none."""
        return max((status.timestamp for status in self.statuses), default=0.0)

    @property
    def sandbox(self) -> str:
        """Where the agent's ``/files`` API shows its sandbox."""
        return f"/frameworks/{self.framework_id}/executors/{self.executor_id or self.id}/runs/latest"


class LabelState(msgspec.Struct):
    key: str = ""
    value: str | None = None


class FrameworkState(msgspec.Struct):
    """A framework of ``/master/state``."""

    id: str = ""
    name: str = ""
    active: bool = True
    hostname: str = ""
    webui_url: str = ""
    role: str = ""
    roles: list[str] = []
    used_resources: dict[str, Any] = {}
    tasks: list[TaskState] = []
    completed_tasks: list[TaskState] = []
    labels: list[LabelState] = []

    def label(self, key: str) -> str:
        """The value of a label; empty if there is none."""
        return next((label.value or "" for label in self.labels if label.key == key), "")


class AgentState(msgspec.Struct):
    """An agent of ``/master/state``, where it is called a slave. ``pid``: ``slave(1)@ip:port``."""

    id: str = ""
    hostname: str = ""
    pid: str = ""
    active: bool = True
    deactivated: bool = False
    drain_info: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    used_resources: dict[str, Any] = {}

    @property
    def state(self) -> str:
        """One word: whether it takes part, and if not, why."""
        if self.deactivated:
            return str(self.drain_info.get("state", "deactivated")).lower()
        return "active" if self.active else "disconnected"

    @property
    def ip(self) -> str:
        """Empty if the master doesn't tell."""
        return self.pid.rpartition("@")[2].rpartition(":")[0]

    @property
    def url(self) -> str:
        """The agent's own address; empty if the master doesn't tell."""
        address = self.pid.rpartition("@")[2]
        return f"http://{address}" if address else ""


class MasterState(msgspec.Struct):
    """The parts of ``/master/state`` that are used here."""

    version: str = ""
    slaves: list[AgentState] = []
    frameworks: list[FrameworkState] = []
    completed_frameworks: list[FrameworkState] = []

    def tasks(self) -> Iterator[TaskState]:
        """Every task that the master knows, ended ones included."""
        for framework in (*self.frameworks, *self.completed_frameworks):
            yield from framework.tasks
            yield from framework.completed_tasks


class AppState(msgspec.Struct, rename="camel"):
    """An app of ``/v2/apps``."""

    id: str = ""
    instances: int = 0
    tasks_running: int = 0
    tasks_staged: int = 0
    tasks_healthy: int = 0
    tasks_unhealthy: int = 0
    deployments: list[dict[str, Any]] = []


class Apps(msgspec.Struct):
    """The body of ``/v2/apps``."""

    apps: list[AppState] = []


class Component(msgspec.Struct, omit_defaults=True):
    """Whether a daemon answers. ``error`` says why not."""

    name: str
    url: str
    error: str = ""


class AgentRow(msgspec.Struct):
    id: str
    hostname: str
    url: str
    active: bool
    cpus: float
    cpus_used: float
    mem: float
    mem_used: float
    state: str = ""


class FrameworkRow(msgspec.Struct):
    id: str
    name: str
    role: str
    active: bool
    url: str
    tasks: int
    cpus_used: float
    mem_used: float


class TaskRow(msgspec.Struct):
    id: str
    name: str
    framework: str
    framework_id: str
    agent_id: str
    agent: str
    state: str
    since: float
    message: str
    cpus: float
    mem: float


class Overview(msgspec.Struct):
    """The page's content. ``totals`` counts what the lists may have cut."""

    components: list[Component]
    agents: list[AgentRow]
    frameworks: list[FrameworkRow]
    tasks: list[TaskRow]
    apps: list[AppState]
    totals: dict[str, int]


def overview(components: list[Component], state: MasterState, apps: Apps) -> Overview:
    """Join what the daemons told."""
    hosts = {agent.id: agent.hostname for agent in state.slaves}
    running = [_task(t, f, hosts) for f in state.frameworks for t in f.tasks]
    ended = [_task(t, f, hosts) for f in state.frameworks for t in f.completed_tasks]
    running.sort(key=_newest)
    ended.sort(key=_newest)
    return Overview(
        components,
        [_agent(agent) for agent in state.slaves[:LIMIT]],
        [_framework(framework) for framework in state.frameworks[:LIMIT]],
        running[:LIMIT] + ended[:_ENDED_TASKS],
        apps.apps[:LIMIT],
        {
            "agents": len(state.slaves),
            "frameworks": len(state.frameworks),
            "tasks": len(running),
            "apps": len(apps.apps),
        },
    )


def _newest(row: TaskRow) -> float:
    return -row.since


def _agent(agent: AgentState) -> AgentRow:
    total, used = agent.resources, agent.used_resources
    return AgentRow(
        agent.id,
        agent.hostname,
        agent.url,
        agent.active,
        _number(total, "cpus"),
        _number(used, "cpus"),
        _number(total, "mem"),
        _number(used, "mem"),
        agent.state,
    )


def _framework(framework: FrameworkState) -> FrameworkRow:
    used = framework.used_resources
    return FrameworkRow(
        framework.id,
        framework.name,
        ", ".join(framework.roles) or framework.role,
        framework.active,
        framework.webui_url,
        len(framework.tasks),
        _number(used, "cpus"),
        _number(used, "mem"),
    )


def _task(task: TaskState, framework: FrameworkState, hosts: dict[str, str]) -> TaskRow:
    last = task.statuses[-1] if task.statuses else StatusState()
    return TaskRow(
        task.id,
        task.name,
        framework.name,
        framework.id,
        task.slave_id,
        hosts.get(task.slave_id, task.slave_id),
        task.state,
        last.timestamp,
        last.message,
        _number(task.resources, "cpus"),
        _number(task.resources, "mem"),
    )


def _number(resources: dict[str, Any], name: str) -> float:
    value = resources.get(name, 0)
    return float(value) if isinstance(value, (int, float)) else 0.0
