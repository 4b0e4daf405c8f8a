"""What of the books is in the store.

    frameworks/<id>   a framework that has not ended, so that its failover timeout counts after a restart
    completed/<id>    one that has: its id is refused
    agents/<id>       an agent that may come back under its id
    removed/<id>      one that may not

Tasks are not stored: agents report them when they register.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.kernel.core import Delete, Put
from headrace.mesos.master.model import Absent, Agent, Framework
from headrace.mesos.messages.common import FrameworkInfo

FRAMEWORKS, COMPLETED, AGENTS, REMOVED = "frameworks/", "completed/", "agents/", "removed/"
MAX_REMEMBERED = 1000
"""Ids of completed frameworks and of removed agents that are kept."""

_encode = msgspec.json.Encoder().encode


class StoredFramework(msgspec.Struct, frozen=True):
    """A framework as it is stored; ``unregistered`` is 0 while it lives."""

    info: FrameworkInfo
    registered: float
    unregistered: float = 0.0


class StoredRemoval(msgspec.Struct, frozen=True):
    """When an agent was removed, and why."""

    at: float
    why: str


class Content(msgspec.Struct):
    """The store's content, decoded."""

    frameworks: dict[str, StoredFramework] = {}
    completed: dict[str, StoredFramework] = {}
    agents: dict[str, Absent] = {}
    removed: dict[str, StoredRemoval] = {}


def read(content: Mapping[str, bytes]) -> Content:
    """Decode the store's content; oldest completed frameworks and removed agents first."""
    out = Content({}, {}, {}, {})
    for key, value in content.items():
        kind, _, name = key.partition("/")
        if kind == "frameworks":
            out.frameworks[name] = msgspec.json.decode(value, type=StoredFramework)
        elif kind == "completed":
            out.completed[name] = msgspec.json.decode(value, type=StoredFramework)
        elif kind == "agents":
            out.agents[name] = msgspec.json.decode(value, type=Absent)
        elif kind == "removed":
            out.removed[name] = msgspec.json.decode(value, type=StoredRemoval)
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


def remove_agent(agent_id: str, at: float, why: str) -> tuple[Delete, Put]:
    """Store that an agent may not come back."""
    return Delete(AGENTS + agent_id), Put(REMOVED + agent_id, _encode(StoredRemoval(at, why)))
