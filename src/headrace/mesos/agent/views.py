"""What people see of an agent: /state, /containers and the metrics, in Mesos's shape."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from headrace.mesos.agent.containers import Place
from headrace.mesos.agent.core import AgentCore, Framework
from headrace.mesos.agent.fetcher import Fetcher
from headrace.mesos.agent.records import ENDED, CompletedTask, HistoryLine
from headrace.mesos.agent.tasks import Task
from headrace.mesos.messages.common import FrameworkInfo, TaskInfo
from headrace.mesos.resources import InvalidResourceError, Resources

Directory = Callable[[Place], str]
_SCALARS = ("cpus", "gpus", "mem", "disk")


def state(
    core: AgentCore, *, started: float, port: int, master: str, flags: dict[str, str], directory: Directory
) -> dict[str, Any]:
    """The body of /state."""
    info = core.config.info
    total = Resources.parse(info.resources)
    live = [f for f in core.frameworks.values() if f.tasks]
    past = [f for f in core.frameworks.values() if not f.tasks]
    return {
        "version": core.config.version,
        "start_time": started,
        "id": core.agent_id,
        "pid": f"slave(1)@{core.config.ip}:{port}",
        "hostname": info.hostname,
        "capabilities": ["MULTI_ROLE", "HIERARCHICAL_ROLE"],
        "resources": amounts(total),
        "reserved_resources": {},
        "unreserved_resources": amounts(total),
        "reserved_resources_full": {},
        "unreserved_resources_full": info.resources,
        "reserved_resources_allocated": {},
        "unreserved_resources_allocated": amounts(core.used()),
        "resource_providers": [],
        "attributes": {
            a.name: a.scalar.value if a.scalar else a.text.value if a.text else None for a in info.attributes or ()
        },
        "master_hostname": master.partition("://")[2].rpartition(":")[0] if core.connected else "",
        "registered": core.connected,
        "flags": flags,
        "frameworks": [_framework(core, f, directory) for f in live],
        "completed_frameworks": [_framework(core, f, directory) for f in past],
    }


def amounts(resources: Resources) -> dict[str, Any]:
    """Resources as /state writes them: scalars as numbers, ranges as text."""
    out: dict[str, Any] = {name: resources.scalar(name) for name in {*_SCALARS, *resources.scalars}}
    for name, spans in resources.ranges.items():
        out[name] = "[" + ", ".join(f"{begin}-{end}" for begin, end in spans) + "]"
    for name, items in resources.sets.items():
        out[name] = "{" + ", ".join(sorted(items)) + "}"
    return out


def containers(core: AgentCore, now: float) -> list[dict[str, Any]]:
    """The body of /containers."""
    return [
        {
            "container_id": task.container_id,
            "executor_id": task.info.task_id.value,
            "executor_name": _executor_name(task.info),
            "framework_id": task.record.framework_id,
            "source": task.info.task_id.value,
            "statistics": _statistics(task, now),
            "status": {"container_id": {"value": task.container_id}, "executor_pid": task.pid},
        }
        for task in core.tasks
        if task.phase != ENDED and task.pid
    ]


def metrics(core: AgentCore, fetcher: Fetcher, *, started: float, now: float) -> dict[str, float]:
    """The body of /metrics/snapshot."""
    total, used = Resources.parse(core.config.info.resources), core.used()
    out = {f"slave/tasks_{kind}": float(count) for kind, count in core.counters.items()}
    states = dict.fromkeys(("staging", "starting", "running", "killing"), 0)
    for task in core.tasks:
        kind = task.updates.latest.state.removeprefix("TASK_").lower()
        if kind in states:
            states[kind] += 1
    out |= {f"slave/tasks_{kind}": float(count) for kind, count in states.items()}
    for name in _SCALARS:
        of, taken = total.scalar(name), used.scalar(name)
        out |= {
            f"slave/{name}_total": of,
            f"slave/{name}_used": taken,
            f"slave/{name}_percent": taken / of if of else 0.0,
        }
    load = os.getloadavg()
    pages = os.sysconf("SC_PAGE_SIZE")
    out |= {
        "slave/registered": float(core.connected),
        "slave/uptime_secs": now - started,
        "slave/frameworks_active": float(sum(1 for f in core.frameworks.values() if f.tasks)),
        "containerizer/fetcher/task_fetches_succeeded": float(fetcher.succeeded),
        "containerizer/fetcher/task_fetches_failed": float(fetcher.failed),
        "containerizer/fetcher/cache_size_total_bytes": float(fetcher.cache.index.capacity),
        "containerizer/fetcher/cache_size_used_bytes": float(fetcher.cache.index.used),
        "gc/path_removals_pending": float(core.completed.waiting),
        "system/cpus_total": float(os.cpu_count() or 0),
        "system/load_1min": load[0],
        "system/load_5min": load[1],
        "system/load_15min": load[2],
        "system/mem_total_bytes": float(os.sysconf("SC_PHYS_PAGES") * pages),
        "system/mem_free_bytes": float(os.sysconf("SC_AVPHYS_PAGES") * pages),
    }
    return dict(sorted(out.items()))


def _framework(core: AgentCore, framework: Framework, directory: Directory) -> dict[str, Any]:
    info = framework.info
    framework_id = info.id.value if info.id else ""
    return {
        "id": framework_id,
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout or 0.0,
        "checkpoint": bool(info.checkpoint),
        "hostname": info.hostname or "",
        "roles": info.roles or [info.role or "*"],
        "executors": [_running(task, directory) for task in framework.tasks.values()],
        "completed_executors": [_completed(task, info, directory) for task in core.completed.of(framework_id)],
    }


def _running(task: Task, directory: Directory) -> dict[str, Any]:
    entry = _task(task.info, task.record.framework_id, task.record.place, task.updates.latest.state, task.history)
    ended, queued = task.phase == ENDED, not task.history
    lists = {
        "tasks": [] if ended or queued else [entry],
        "queued_tasks": [entry] if queued else [],
        "completed_tasks": [entry] if ended else [],
    }
    return _executor(task.info, task.framework, task.record.place, directory) | lists


def _completed(task: CompletedTask, framework: FrameworkInfo, directory: Directory) -> dict[str, Any]:
    entry = _task(task.task, task.framework_id, task.place, task.state, task.history)
    return _executor(task.task, framework, task.place, directory) | {
        "tasks": [],
        "queued_tasks": [],
        "completed_tasks": [entry],
    }


def _executor(info: TaskInfo, framework: FrameworkInfo, place: Place, directory: Directory) -> dict[str, Any]:
    return {
        "id": place.executor_id,
        "name": _executor_name(info),
        "source": place.executor_id,
        "container": place.container_id,
        "directory": directory(place),
        "resources": _task_amounts(info),
        "role": _role(info, framework),
    }


def _task(info: TaskInfo, framework_id: str, place: Place, state: str, history: list[HistoryLine]) -> dict[str, Any]:
    container = {"container_id": {"value": place.container_id}}
    out: dict[str, Any] = {
        "id": info.task_id.value,
        "name": info.name,
        "framework_id": framework_id,
        "executor_id": "",
        "slave_id": place.agent_id,
        "state": state,
        "resources": _task_amounts(info),
        "statuses": [
            {"state": line.state, "timestamp": line.timestamp, "container_status": container} for line in history
        ],
    }
    if info.labels is not None:
        out["labels"] = info.labels.labels
    if info.discovery is not None:
        out["discovery"] = info.discovery
    return out


def _task_amounts(info: TaskInfo) -> dict[str, Any]:
    try:
        return amounts(Resources.parse(info.resources))
    except InvalidResourceError:
        return {}


def _role(info: TaskInfo, framework: FrameworkInfo) -> str:
    for resource in info.resources or ():
        if resource.allocation_info is not None and resource.allocation_info.role:
            return resource.allocation_info.role
    return framework.role or "*"


def _executor_name(info: TaskInfo) -> str:
    command = (info.command.value if info.command else "") or ""
    short = command if len(command) <= 15 else command[:12] + "..."
    shell = f"sh -c '{short}'" if info.command is None or info.command.shell is not False else short
    return f"Command Executor (Task: {info.task_id.value}) (Command: {shell})"


def _statistics(task: Task, now: float) -> dict[str, float]:
    resources = Resources.parse(task.info.resources)
    return {
        "timestamp": now,
        "cpus_limit": resources.scalar("cpus"),
        "mem_limit_bytes": resources.scalar("mem") * 1024 * 1024,
    }
