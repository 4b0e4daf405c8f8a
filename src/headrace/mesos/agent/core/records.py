"""What the agent keeps in its store, and under which keys.

    agent                            who the master says this agent is, and what it offered
    frameworks/<framework>           FrameworkInfo of each framework that has or had tasks here
    executors/<framework>/<executor>        an executor that has not ended; written once
    executor-states/<framework>/<executor>  how far it got
    tasks/<framework>/<task>         what was launched; written once
    states/<framework>/<task>        how far it got; written at each step
    completed/<container>            an ended task whose sandbox is still there
    completed-executors/<container>  an ended executor whose sandbox is still there
    nested/<path>                    a container that an operator's call has launched
    draining                         an operator's order that this agent be empty, until it is
    total                            all resources, as reservations and volumes have left them
    operations/<uuid>                an operation's last status, until it has been acknowledged

Tasks are always kept, also those of frameworks that ask for ``checkpoint: false``: it costs nothing, and no
framework is worse off for a task that survives the agent.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from headrace.kernel.core import Put
from headrace.mesos.agent.core.containers import ContainerSpec, Limitation, Place
from headrace.mesos.messages.agent_link import KnownOperation
from headrace.mesos.messages.common import (
    Attribute,
    DurationInfo,
    ExecutorInfo,
    FrameworkInfo,
    Resource,
    TaskInfo,
    TaskStatus,
)

AGENT = "agent"
TOTAL = "total"
DRAIN = "draining"

QUEUED = "QUEUED"
FETCHING = "FETCHING"
STARTING = "STARTING"
RUNNING = "RUNNING"
REGISTERED = "REGISTERED"
ENDED = "ENDED"

ASKED = "ASKED"
TIME_LIMIT = "TIME_LIMIT"
UNHEALTHY = "UNHEALTHY"

COMMAND = "COMMAND"
GROUP = "GROUP"
CUSTOM = "CUSTOM"


class AgentRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """``agent_id`` as the master gave it; resources and attributes as last registered."""

    agent_id: str
    resources: list[Resource] = []
    attributes: list[Attribute] = []


class DrainRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """Since when this agent is to be empty, how long its tasks may take to end, whether it is gone then."""

    started: float
    max_grace_period: DurationInfo | None = None
    mark_gone: bool = False


class FrameworkRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """``ending``: the framework is no more and its tasks are being ended."""

    info: FrameworkInfo
    ending: bool = False


class TaskRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was launched and where it runs.

    ``sort``: COMMAND, GROUP (in the default executor) or CUSTOM (``place`` is its executor's then).
    ``group``: the tasks of one executor that were launched together have the same. ``shared``: the persistent volumes
    that the executor of its group holds.
    """

    framework_id: str
    task: TaskInfo
    place: Place
    sort: str = COMMAND
    group: str = ""
    shared: list[Resource] = []


class Killing(msgspec.Struct, frozen=True, omit_defaults=True):
    """The task is to end, SIGKILL at time ``deadline``; ``cause`` shapes its last status."""

    deadline: float
    cause: str = ASKED


class HistoryLine(msgspec.Struct, frozen=True):
    """One state that a task was in."""

    state: str
    timestamp: float


class TaskState(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a task got. ``pending``: statuses that wait for their acknowledgement, oldest first.

    ``seen``: uuids of an executor's last statuses, to know a repetition by. ``ip``: the container's own address.
    ``limitation``: why the agent ends it.
    """

    phase: str
    latest: TaskStatus
    pending: list[TaskStatus] = []
    acknowledged: str | None = None
    killing: Killing | None = None
    pid: int = 0
    history: list[HistoryLine] = []
    ip: str = ""
    seen: list[str] = []
    limitation: Limitation | None = None


class ExecutorRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """An executor and where it runs; ``custom``: it is a process of the framework's own."""

    framework_id: str
    executor: ExecutorInfo
    place: Place
    custom: bool = False


class Ending(msgspec.Struct, frozen=True, omit_defaults=True):
    """The executor is to end, SIGKILL at time ``deadline``; ``reason`` and ``message`` are for its tasks."""

    deadline: float
    reason: str = ""
    message: str = ""
    limitation: Limitation | None = None


class ExecutorState(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far an executor got."""

    phase: str
    ending: Ending | None = None
    pid: int = 0
    ip: str = ""


class CompletedTask(msgspec.Struct, frozen=True, omit_defaults=True):
    """An ended task: what /state shows of it, and what is to be cleared away ``ended_at`` + gc delay."""

    framework_id: str
    task: TaskInfo
    place: Place
    state: str
    ended_at: float
    history: list[HistoryLine] = []
    sort: str = COMMAND


class CompletedExecutor(msgspec.Struct, frozen=True, omit_defaults=True):
    """An ended executor; ``tasks`` are the last of a custom one, which have no sandboxes of their own."""

    framework_id: str
    executor: ExecutorInfo
    place: Place
    ended_at: float
    tasks: list[CompletedTask] = []


class NestedRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A nested or standalone container and how far it got.

    ``session``: it lives by a connection; ``ending``: it is to be killed; ``status``: its end, as wait(2) has it.
    """

    spec: ContainerSpec
    phase: str
    session: bool = False
    pid: int = 0
    ending: bool = False
    status: int = -1
    limitation: Limitation | None = None


class Saved(msgspec.Struct):
    """The store's content, read."""

    agent: AgentRecord | None
    frameworks: dict[str, FrameworkRecord]
    tasks: list[tuple[TaskRecord, TaskState]]
    completed: list[CompletedTask]
    executors: list[tuple[ExecutorRecord, ExecutorState]] = []
    completed_executors: list[CompletedExecutor] = []
    operations: list[KnownOperation] = []
    total: list[Resource] | None = None
    nested: list[NestedRecord] = []
    drain: DrainRecord | None = None


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


def executor_key(framework_id: str, executor_id: str) -> str:
    return f"executors/{framework_id}/{executor_id}"


def executor_state_key(framework_id: str, executor_id: str) -> str:
    return f"executor-states/{framework_id}/{executor_id}"


def completed_executor_key(container_id: str) -> str:
    return f"completed-executors/{container_id}"


def operation_key(uuid: str) -> str:
    return f"operations/{uuid}"


def nested_key(path: str) -> str:
    return f"nested/{path}"


def load(content: dict[str, bytes]) -> Saved:
    """Read what the store holds. Raises msgspec.DecodeError if another version wrote it."""
    agent, total, drain = content.get(AGENT), content.get(TOTAL), content.get(DRAIN)
    frameworks = {
        record.info.id.value: record for record in _all(content, "frameworks/", FrameworkRecord) if record.info.id
    }
    tasks = []
    for record in _all(content, "tasks/", TaskRecord):
        state = content.get(state_key(record.framework_id, record.task.task_id.value))
        if state is not None:
            tasks.append((record, msgspec.json.decode(state, type=TaskState)))
    executors = []
    for one in _all(content, "executors/", ExecutorRecord):
        state = content.get(executor_state_key(one.framework_id, one.place.executor_id))
        if state is not None:
            executors.append((one, msgspec.json.decode(state, type=ExecutorState)))
    return Saved(
        msgspec.json.decode(agent, type=AgentRecord) if agent else None,
        frameworks,
        tasks,
        sorted(_all(content, "completed/", CompletedTask), key=lambda record: record.ended_at),
        executors,
        sorted(_all(content, "completed-executors/", CompletedExecutor), key=lambda record: record.ended_at),
        _all(content, "operations/", KnownOperation),
        msgspec.json.decode(total, type=list[Resource]) if total else None,
        _all(content, "nested/", NestedRecord),
        msgspec.json.decode(drain, type=DrainRecord) if drain else None,
    )


def _all(content: dict[str, bytes], prefix: str, record_type: type[_T]) -> list[_T]:
    decoder = msgspec.json.Decoder(record_type)
    return [decoder.decode(value) for key, value in content.items() if key.startswith(prefix)]
