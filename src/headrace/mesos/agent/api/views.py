"""What people see of an agent: /state and the metrics, in Mesos's shape."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from headrace.mesos.agent.api.executor_views import (
    Directory,
    amounts,
    completed_executors_of,
    executors_of,
)
from headrace.mesos.agent.core.agent import AgentCore, Framework
from headrace.mesos.agent.core.records import DrainRecord
from headrace.mesos.agent.sandbox.fetcher import Fetcher
from headrace.mesos.messages.agent_link import DrainAgent
from headrace.mesos.messages.common import Resource
from headrace.mesos.resources import EMPTY, Resources

_SCALARS = ("cpus", "gpus", "mem", "disk")


def state(
    core: AgentCore, *, started: float, port: int, master: str, flags: dict[str, str], directory: Directory
) -> dict[str, Any]:
    """The body of /state."""
    info, total, used = core.config.info, core.total, core.used()
    live = [f for f in core.frameworks.values() if f.tasks or f.executors]
    past = [f for f in core.frameworks.values() if not f.tasks and not f.executors]
    reserved: dict[str, list[Resource]] = {}
    for resource in total.where(lambda tag: bool(tag.reservations)).messages():
        reserved.setdefault((resource.reservations or [])[-1].role or "*", []).append(resource)
    free = total.where(lambda tag: not tag.reservations)
    return {
        "version": core.config.version,
        "start_time": started,
        "id": core.agent_id,
        "pid": f"slave(1)@{core.config.ip}:{port}",
        "hostname": info.hostname,
        "capabilities": ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"],
        "resources": amounts(total.without_tags()),
        "reserved_resources": {role: amounts(held) for role, held in _by_role(total).items()},
        "unreserved_resources": amounts(free.without_tags()),
        "reserved_resources_full": reserved,
        "unreserved_resources_full": [msgspec.structs.replace(one, role="*") for one in free.messages()],
        "reserved_resources_allocated": {role: amounts(held) for role, held in _by_role(used).items()},
        "unreserved_resources_allocated": amounts(used.where(lambda tag: not tag.reservations).without_tags()),
        "resource_providers": [],
        "attributes": {
            a.name: a.scalar.value if a.scalar else a.text.value if a.text else None for a in info.attributes or ()
        },
        "master_hostname": master if core.connected else "",
        "registered": core.connected,
        "flags": flags,
        **_draining(core.drain),
        "frameworks": [_framework(core, f, directory) for f in live],
        "completed_frameworks": [_framework(core, f, directory) for f in past],
    }


def _draining(drain: DrainRecord | None) -> dict[str, Any]:
    if drain is None:
        return {}
    config = DrainAgent(drain.max_grace_period, drain.mark_gone)
    return {"drain_config": msgspec.to_builtins(config), "estimated_drain_start_time_seconds": drain.started}


def system() -> dict[str, float]:
    """The body of /system/stats.json."""
    load, pages = os.getloadavg(), os.sysconf("SC_PAGE_SIZE")
    return {
        "avg_load_15min": load[2],
        "avg_load_1min": load[0],
        "avg_load_5min": load[1],
        "cpus_total": os.cpu_count() or 0,
        "mem_free_bytes": os.sysconf("SC_AVPHYS_PAGES") * pages,
        "mem_total_bytes": os.sysconf("SC_PHYS_PAGES") * pages,
    }


def metrics(core: AgentCore, fetcher: Fetcher, *, started: float, now: float) -> dict[str, float]:
    """The body of /metrics/snapshot."""
    total, used = core.total.without_tags(), core.used().without_tags()
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
        "slave/frameworks_active": float(sum(1 for f in core.frameworks.values() if f.tasks or f.executors)),
        "slave/executors_running": float(sum(len(f.executors) for f in core.frameworks.values())),
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
        "executors": executors_of(framework, directory),
        "completed_executors": completed_executors_of(core.completed, framework_id, info, directory),
    }


def _by_role(resources: Resources) -> dict[str, Resources]:
    """What is reserved, for whom."""
    out: dict[str, Resources] = {}
    for tag, part in resources.parts.items():
        if tag.reservations:
            held = Resources(parts={tag: part}).without_tags()
            out[tag.role] = out.get(tag.role, EMPTY) + held
    return out
