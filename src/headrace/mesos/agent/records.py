"""What the agent keeps in its store, and under which keys.

    agent                            who the master says this agent is, and what it offered
    frameworks/<framework>           FrameworkInfo of each framework that has or had tasks here
    tasks/<framework>/<task>         what was launched; written once
    states/<framework>/<task>        how far it got; written at each step
    completed/<container>            an ended task whose sandbox is still there

Tasks are always kept, also those of frameworks that ask for ``checkpoint: false``: it costs nothing, and no
framework is worse off for a task that survives the agent.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from headrace.kernel.core import Put
from headrace.mesos.agent.containers import Place
from headrace.mesos.messages.common import Attribute, FrameworkInfo, Resource, TaskInfo, TaskStatus

AGENT = "agent"

FETCHING = "FETCHING"
STARTING = "STARTING"
RUNNING = "RUNNING"
ENDED = "ENDED"

ASKED = "ASKED"
TIME_LIMIT = "TIME_LIMIT"
UNHEALTHY = "UNHEALTHY"


class AgentRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """``agent_id`` as the master gave it; resources and attributes as last registered."""

    agent_id: str
    resources: list[Resource] = []
    attributes: list[Attribute] = []


class FrameworkRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """``ending``: the framework is no more and its tasks are being ended."""

    info: FrameworkInfo
    ending: bool = False


class TaskRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was launched and where it runs."""

    framework_id: str
    task: TaskInfo
    place: Place


class Killing(msgspec.Struct, frozen=True, omit_defaults=True):
    """The task is to end, SIGKILL at time ``deadline``; ``cause`` shapes its last status."""

    deadline: float
    cause: str = ASKED


class HistoryLine(msgspec.Struct, frozen=True):
    """One state that a task was in."""

    state: str
    timestamp: float


class TaskState(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a task got. ``pending``: statuses that wait for their acknowledgement, oldest first."""

    phase: str
    latest: TaskStatus
    pending: list[TaskStatus] = []
    acknowledged: str | None = None
    killing: Killing | None = None
    pid: int = 0
    history: list[HistoryLine] = []


class CompletedTask(msgspec.Struct, frozen=True, omit_defaults=True):
    """An ended task: what /state shows of it, and what is to be cleared away ``ended_at`` + gc delay."""

    framework_id: str
    task: TaskInfo
    place: Place
    state: str
    ended_at: float
    history: list[HistoryLine] = []


class Saved(msgspec.Struct):
    """The store's content, read."""

    agent: AgentRecord | None
    frameworks: dict[str, FrameworkRecord]
    tasks: list[tuple[TaskRecord, TaskState]]
    completed: list[CompletedTask]


_T = TypeVar("_T")


def put(key: str, record: msgspec.Struct) -> Put:
    """The effect that stores ``record``."""
    return Put(key, msgspec.json.encode(record))


def framework_key(framework_id: str) -> str:
    return f"frameworks/{framework_id}"


def task_key(framework_id: str, task_id: str) -> str:
    return f"tasks/{framework_id}/{task_id}"


def state_key(framework_id: str, task_id: str) -> str:
    return f"states/{framework_id}/{task_id}"


def completed_key(container_id: str) -> str:
    return f"completed/{container_id}"


def load(content: dict[str, bytes]) -> Saved:
    """Read what the store holds. Raises msgspec.DecodeError if another version wrote it."""
    agent = content.get(AGENT)
    frameworks = {
        record.info.id.value: record for record in _all(content, "frameworks/", FrameworkRecord) if record.info.id
    }
    tasks = []
    for record in _all(content, "tasks/", TaskRecord):
        state = content.get(state_key(record.framework_id, record.task.task_id.value))
        if state is not None:
            tasks.append((record, msgspec.json.decode(state, type=TaskState)))
    completed = sorted(_all(content, "completed/", CompletedTask), key=lambda record: record.ended_at)
    return Saved(msgspec.json.decode(agent, type=AgentRecord) if agent else None, frameworks, tasks, completed)


def _all(content: dict[str, bytes], prefix: str, record_type: type[_T]) -> list[_T]:
    decoder = msgspec.json.Decoder(record_type)
    return [decoder.decode(value) for key, value in content.items() if key.startswith(prefix)]
