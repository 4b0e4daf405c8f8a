"""What of the books is in the store.

    frameworks/<id>   a framework that has not ended, so that its failover timeout counts after a restart
    completed/<id>    one that has: its id is refused
    agents/<id>       an agent that may come back under its id
    removed/<id>      one that may not
    deactivated/<id>  one of which nothing is offered, by an operator's word, and how far its draining is
    quotas/<role>, weights/<role>
    maintenance/schedule   planned maintenance, and which machines are down for it

Tasks are not stored: agents report them when they register.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.kernel.core import Delete, Put
from headrace.mesos.master.core.model import Absent, Agent, Deactivation, Framework, Machine, MachineKey, Quota, Removal
from headrace.mesos.messages.common import FrameworkInfo
from headrace.mesos.messages.operator import MachineID, Window

FRAMEWORKS, COMPLETED, AGENTS, REMOVED = "frameworks/", "completed/", "agents/", "removed/"
DEACTIVATED = "deactivated/"
QUOTAS, WEIGHTS, MAINTENANCE = "quotas/", "weights/", "maintenance/schedule"
MAX_REMEMBERED = 1000
"""Ids of completed frameworks that are kept."""

_encode = msgspec.json.Encoder().encode


class StoredFramework(msgspec.Struct, frozen=True):
    """A framework as it is stored; ``unregistered`` is 0 while it lives."""

    info: FrameworkInfo
    registered: float
    unregistered: float = 0.0


class StoredMaintenance(msgspec.Struct, frozen=True):
    """The schedule, and the machines in it with their state."""

    windows: tuple[Window, ...]
    machines: list[Machine]


class Content(msgspec.Struct):
    """The store's content, decoded."""

    frameworks: dict[str, StoredFramework] = {}
    completed: dict[str, StoredFramework] = {}
    agents: dict[str, Absent] = {}
    removed: dict[str, Removal] = {}
    deactivated: dict[str, Deactivation] = {}
    quotas: dict[str, Quota] = {}
    weights: dict[str, float] = {}
    schedule: tuple[Window, ...] = ()
    machines: dict[MachineKey, Machine] = {}


def read(content: Mapping[str, bytes]) -> Content:
    """Decode the store's content; oldest completed frameworks and removed agents first."""
    out = Content({}, {}, {}, {}, {}, {}, {}, (), {})
    for key, value in content.items():
        kind, _, name = key.partition("/")
        if kind == "frameworks":
            out.frameworks[name] = msgspec.json.decode(value, type=StoredFramework)
        elif kind == "completed":
            out.completed[name] = msgspec.json.decode(value, type=StoredFramework)
        elif kind == "agents":
            out.agents[name] = msgspec.json.decode(value, type=Absent)
        elif kind == "removed":
            out.removed[name] = msgspec.json.decode(value, type=Removal)
        elif kind == "deactivated":
            out.deactivated[name] = msgspec.json.decode(value, type=Deactivation)
        elif kind == "quotas":
            out.quotas[name] = msgspec.json.decode(value, type=Quota)
        elif kind == "weights":
            out.weights[name] = msgspec.json.decode(value, type=float)
        elif key == MAINTENANCE:
            maintenance = msgspec.json.decode(value, type=StoredMaintenance)
            out.schedule = maintenance.windows
            out.machines = {machine_key(machine.id): machine for machine in maintenance.machines}
    out.completed = dict(sorted(out.completed.items(), key=lambda item: item[1].unregistered))
    out.removed = dict(sorted(out.removed.items(), key=lambda item: item[1].at))
    return out


def keep_framework(framework: Framework) -> Put:
    """Store a living framework."""
    return Put(FRAMEWORKS + framework.id, _encode(StoredFramework(framework.info, framework.registered)))


def end_framework(framework: Framework) -> tuple[Delete, Put]:
    """Store that a framework has ended."""
    stored = StoredFramework(framework.info, framework.registered, framework.unregistered)
    return Delete(FRAMEWORKS + framework.id), Put(COMPLETED + framework.id, _encode(stored))


def keep_agent(agent: Agent) -> Put:
    """Store a registered agent."""
    return Put(AGENTS + agent.id, _encode(Absent(agent.info, agent.ip, agent.registered)))


def keep_absent(agent_id: str, absent: Absent) -> Put:
    """Store an agent that is unreachable."""
    return Put(AGENTS + agent_id, _encode(absent))


def remove_agent(agent_id: str, removal: Removal) -> tuple[Delete, Put]:
    """Store that an agent may not come back."""
    return Delete(AGENTS + agent_id), Put(REMOVED + agent_id, _encode(removal))


def keep_deactivation(agent_id: str, deactivation: Deactivation) -> Put:
    """Store that nothing of an agent is to be offered."""
    return Put(DEACTIVATED + agent_id, _encode(deactivation))


def keep_quota(role: str, quota: Quota) -> Put:
    """Store a role's quota."""
    return Put(QUOTAS + role, _encode(quota))


def keep_weight(role: str, weight: float) -> Put:
    """Store a role's weight."""
    return Put(WEIGHTS + role, _encode(weight))


def keep_maintenance(windows: tuple[Window, ...], machines: Mapping[MachineKey, Machine]) -> Put | Delete:
    """Store the maintenance schedule."""
    if not windows:
        return Delete(MAINTENANCE)
    return Put(MAINTENANCE, _encode(StoredMaintenance(windows, list(machines.values()))))


def machine_key(machine: MachineID) -> MachineKey:
    """How a machine is looked up."""
    return (machine.hostname or "").lower(), machine.ip or ""
