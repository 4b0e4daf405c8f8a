"""What /state shows of frameworks: their executors with their tasks. A command task has one of its own, as in Mesos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headrace.mesos.agent.core.books import Executor, Framework
from headrace.mesos.agent.core.completed import CompletedTasks
from headrace.mesos.agent.core.containers import Place
from headrace.mesos.agent.core.executors import CustomExecutor
from headrace.mesos.agent.core.records import COMMAND, CompletedExecutor, CompletedTask, HistoryLine
from headrace.mesos.agent.core.reporting import ReportedTask
from headrace.mesos.messages.common import (
    CommandInfo,
    ContainerID,
    ContainerStatus,
    ExecutorInfo,
    FrameworkInfo,
    Resource,
    TaskInfo,
)
from headrace.mesos.resources import InvalidResourceError, Resources

Directory = Callable[[Place], str]
_SCALARS = ("cpus", "gpus", "mem", "disk")
_Lists = dict[str, list[dict[str, Any]]]


def amounts(resources: Resources) -> dict[str, Any]:
    """Resources as /state writes them: scalars as numbers, ranges as text."""
    out: dict[str, Any] = {name: resources.scalar(name) for name in {*_SCALARS, *resources.scalars}}
    for name, spans in resources.ranges.items():
        out[name] = "[" + ", ".join(f"{begin}-{end}" for begin, end in spans) + "]"
    for name, items in resources.sets.items():
        out[name] = "{" + ", ".join(sorted(items)) + "}"
    return out


def executors_of(framework: Framework, directory: Directory) -> list[dict[str, Any]]:
    """Those that run, and those whose last task's story goes on."""
    out: dict[str, dict[str, Any]] = {}
    for executor in framework.executors.values():
        done = [_done(task) for task in executor.completed] if isinstance(executor, CustomExecutor) else []
        out[executor.container_id] = (
            _executor(executor, framework.info, directory) | _empty() | {"completed_tasks": done}
        )
    for task in framework.tasks.values():
        place = task.record.place
        container_id = place.parent_id or place.container_id
        if container_id not in out:
            out[container_id] = _of_command(task.info, framework.info, place, directory) | _empty()
        _file(task, out[container_id])
    return list(out.values())


def completed_executors_of(
    completed: CompletedTasks, framework_id: str, info: FrameworkInfo, directory: Directory
) -> list[dict[str, Any]]:
    """Those that have ended, oldest first."""
    nested: dict[str, list[dict[str, Any]]] = {}
    out = []
    for task in completed.of(framework_id):
        if task.sort == COMMAND:
            shown = _of_command(task.task, info, task.place, directory)
            out.append(shown | _empty() | {"completed_tasks": [_done(task)]})
        else:
            nested.setdefault(task.place.parent_id, []).append(_done(task))
    for executor in completed.executors_of(framework_id):
        tasks = [*map(_done, executor.tasks), *nested.get(executor.place.container_id, ())]
        out.append(_executor(executor, info, directory) | _empty() | {"completed_tasks": tasks})
    return out


def task_amounts(resources: list[Resource] | None) -> dict[str, Any]:
    """What a task or an executor holds; nothing if that makes no sense."""
    try:
        return amounts(Resources.parse(resources).without_tags())
    except InvalidResourceError:
        return {}


def command_executor_name(info: TaskInfo) -> str:
    """As Mesos calls the executor of a command task."""
    return f"Command Executor (Task: {info.task_id.value}) (Command: {_short(info.command)})"


def _short(given: CommandInfo | None) -> str:
    command = (given.value if given else "") or ""
    short = command if len(command) <= 15 else command[:12] + "..."
    return f"sh -c '{short}'" if given is None or given.shell is not False else short


def _empty() -> _Lists:
    return {"tasks": [], "queued_tasks": [], "completed_tasks": []}


def _file(task: ReportedTask, executor: dict[str, Any]) -> None:
    """Put a task into the list where it belongs."""
    kind = "queued_tasks" if not task.history else "tasks" if task.live else "completed_tasks"
    executor[kind].append(
        _task(task.info, task.record.place, task.updates.latest.state, task.history, task.record.sort)
    )


def _executor(executor: Executor | CompletedExecutor, framework: FrameworkInfo, directory: Directory) -> dict[str, Any]:
    if isinstance(executor, CompletedExecutor):
        info, place = executor.executor, executor.place
    else:
        info, place = executor.record.executor, executor.record.place
    return {
        "id": place.executor_id,
        "name": _name(info),
        "source": info.source or "",
        "container": place.container_id,
        "directory": directory(place),
        "resources": task_amounts(info.resources),
        "role": role_of(info.resources, framework),
        "type": info.type or "CUSTOM",
        **({"labels": info.labels.labels} if info.labels is not None else {}),
    }


def _name(info: ExecutorInfo) -> str:
    return info.name or ("Default Executor" if info.type == "DEFAULT" else "")


def _of_command(info: TaskInfo, framework: FrameworkInfo, place: Place, directory: Directory) -> dict[str, Any]:
    return {
        "id": place.executor_id,
        "name": command_executor_name(info),
        "source": place.executor_id,
        "container": place.container_id,
        "directory": directory(place),
        "resources": task_amounts(info.resources),
        "role": role_of(info.resources, framework),
    }


def _done(task: CompletedTask) -> dict[str, Any]:
    return _task(task.task, task.place, task.state, task.history, task.sort)


def _task(info: TaskInfo, place: Place, state: str, history: list[HistoryLine], sort: str) -> dict[str, Any]:
    parent = ContainerID(place.parent_id) if place.parent_id else None
    container = ContainerStatus(ContainerID(place.container_id, parent))
    out: dict[str, Any] = {
        "id": info.task_id.value,
        "name": info.name,
        "framework_id": place.framework_id,
        "executor_id": "" if sort == COMMAND else place.executor_id,
        "slave_id": place.agent_id,
        "state": state,
        "resources": task_amounts(info.resources),
        "role": role_of(info.resources, None),
        "statuses": [
            {"state": line.state, "timestamp": line.timestamp, "container_status": container} for line in history
        ],
    }
    if info.labels is not None:
        out["labels"] = info.labels.labels
    if info.discovery is not None:
        out["discovery"] = info.discovery
    return out


def role_of(resources: list[Resource] | None, framework: FrameworkInfo | None) -> str:
    """To whom these resources are allocated; those that do not say so, to the framework's role."""
    for resource in resources or ():
        if resource.allocation_info is not None and resource.allocation_info.role:
            return resource.allocation_info.role
    return (framework.role if framework is not None else None) or "*"
