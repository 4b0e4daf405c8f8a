"""Which containers an agent shows, and what each of them uses: /containers, /monitor/statistics, GET_CONTAINERS.

The figures come from /proc, by the session that the processes of a container are in: nothing is kept between requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from headrace.mesos.agent.api.executor_views import command_executor_name
from headrace.mesos.agent.containers.processes import Usage, usage_by_session
from headrace.mesos.agent.core.agent import AgentCore
from headrace.mesos.agent.core.executors import CustomExecutor
from headrace.mesos.agent.core.nesting import id_of
from headrace.mesos.agent.core.tasks import Task
from headrace.mesos.messages.agent_operator import ResourceStatistics
from headrace.mesos.messages.common import Resource
from headrace.mesos.resources import InvalidResourceError, Resources

_MIB = 1024 * 1024


class Shown(NamedTuple):
    """A container that runs. ``path``: its names from the outermost on; ``name``: its executor's, if it is one's."""

    path: str
    pid: int
    resources: list[Resource] | None
    name: str | None = None
    framework_id: str = ""
    executor_id: str = ""


class Measured(NamedTuple):
    """What all sessions of processes used at one time."""

    at: float
    usage: Mapping[int, Usage]

    def of(self, container: Shown) -> ResourceStatistics:
        """What a container uses, and what it may."""
        used, held = self.usage.get(container.pid), _amounts(container.resources)
        cpus, mem = held.scalar("cpus") or None, int(held.scalar("mem") * _MIB) or None
        return ResourceStatistics(
            self.at,
            processes=used.processes if used else None,
            cpus_user_time_secs=used.user_time if used else None,
            cpus_system_time_secs=used.system_time if used else None,
            cpus_limit=cpus,
            cpus_soft_limit=cpus,
            mem_rss_bytes=used.memory if used else None,
            mem_limit_bytes=mem,
            mem_soft_limit_bytes=mem,
        )


async def measure() -> Measured:
    """Look at all processes, beside the loop."""
    return Measured(time.time(), await asyncio.to_thread(usage_by_session))


def shown_containers(core: AgentCore, *, nested: bool, standalone: bool) -> list[Shown]:
    """Those of command tasks and of custom executors that run; nested and standalone ones, if they are asked for."""
    out = []
    for task in core.tasks:
        if not isinstance(task, Task) or not task.live or not task.pid:
            continue
        place = task.record.place
        if task.alone:
            name = command_executor_name(task.info)
            out.append(Shown(task.path, task.pid, task.info.resources, name, place.framework_id, place.executor_id))
        elif nested:
            out.append(Shown(task.path, task.pid, task.info.resources))
    for framework in core.frameworks.values():
        for executor in framework.executors.values():
            place, info = executor.record.place, executor.record.executor
            pid = executor.pid if isinstance(executor, CustomExecutor) else 0
            if pid:
                name = info.name or info.executor_id.value
                out.append(Shown(place.container_id, pid, info.resources, name, place.framework_id, place.executor_id))
    out += [
        Shown(held.container_id, held.record.pid, held.record.spec.resources)
        for held in core.nested.containers.values()
        if held.live and (nested if "." in held.container_id else standalone)
    ]
    return out


def v0_container(one: Shown, measured: Measured) -> dict[str, Any]:
    """An entry of /containers."""
    status: dict[str, Any] = {"container_id": id_of(one.path), "executor_pid": one.pid}
    shown: dict[str, Any] = {"container_id": one.path.rpartition(".")[2]}
    if one.name is not None:
        shown |= _named(one)
    return shown | {"statistics": measured.of(one), "status": status}


def v0_statistics(one: Shown, measured: Measured) -> dict[str, Any]:
    """An entry of /monitor/statistics."""
    return _named(one) | {"statistics": measured.of(one)}


def _named(one: Shown) -> dict[str, Any]:
    return {
        "executor_id": one.executor_id,
        "executor_name": one.name,
        "framework_id": one.framework_id,
        "source": one.executor_id,
    }


def _amounts(resources: list[Resource] | None) -> Resources:
    try:
        return Resources.parse(resources).without_tags()
    except InvalidResourceError:
        return Resources.parse([])
