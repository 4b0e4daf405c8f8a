"""The v0 endpoints: the books as JSON, in Mesos's shape. They only read.

What never changes about an agent is encoded once and spliced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from headrace.kernel.clock import Clock
from headrace.kernel.http.messages import JSON, Request, Response
from headrace.mesos.master import metrics
from headrace.mesos.master.books import Books
from headrace.mesos.master.model import Absent, Agent, Framework, Offer, Task
from headrace.mesos.messages.common import AgentInfo, Attribute, TaskStatus
from headrace.mesos.resources import EMPTY, Resources

MESOS_VERSION = "1.11.0"
"""The version whose API the master speaks; clients look at it."""

_EXPLAINED_AGENTS = 100

_encode = msgspec.json.Encoder().encode
_STATES = (
    *("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_FINISHED"),
    *("TASK_KILLED", "TASK_FAILED", "TASK_LOST", "TASK_ERROR", "TASK_UNREACHABLE"),
)


_CALLBACK = re.compile(r"[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*", re.ASCII)


class Views:
    """The GET endpoints of the master."""

    def __init__(self, books: Books, flags: dict[str, str], cluster: str, clock: Clock) -> None:
        self._books = books
        self._flags = flags
        self._cluster = cluster
        self._clock = clock

    def paths(self) -> dict[str, Callable[[Request], Response]]:
        """Handlers by path."""
        return {
            "/state": self._jsonp(self._state),
            "/state.json": self._jsonp(self._state),
            "/state-summary": self._jsonp(self._summary),
            "/slaves": self._jsonp(self._slaves),
            "/frameworks": self._jsonp(self._frameworks),
            "/tasks": self._jsonp(self._tasks),
            "/tasks.json": self._jsonp(self._tasks),
            "/roles": self._jsonp(self._roles),
            "/flags": self._jsonp(lambda _: {"flags": self._flags}),
            "/version": self._jsonp(lambda _: {"version": MESOS_VERSION}),
            "/story": self._jsonp(self._story),
            "/metrics/snapshot": self._jsonp(lambda _: metrics.snapshot(self._books, self._clock.now())),
            "/health": lambda _: Response(200),
            "/redirect": self._redirect,
        }

    def _jsonp(self, view: Callable[[Request], Any]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            body = _encode(view(request))
            callback = request.parameter("jsonp")
            if callback and not _CALLBACK.fullmatch(callback):
                return Response.text("Expecting 'jsonp' to be the name of a function", 400)
            if callback:
                return Response(200, b"%b(%b);" % (callback.encode(), body), "text/javascript")
            return Response(200, body, JSON)

        return answer

    def _redirect(self, _: Request) -> Response:
        master = self._books.master
        return Response(307, headers={"Location": f"//{master.hostname}:{master.port}"})

    # Whole pages

    def _state(self, _: Request) -> dict[str, Any]:
        books, master = self._books, self._books.master
        connected = sum(agent.connected for agent in books.agents.values())
        return {
            "version": MESOS_VERSION,
            "start_time": books.started,
            "elected_time": books.started,
            "id": master.id,
            "pid": master.pid,
            "hostname": master.hostname,
            "capabilities": [capability.type for capability in master.capabilities or ()],
            "activated_slaves": float(connected),
            "deactivated_slaves": float(len(books.agents) - connected),
            "unreachable_slaves": float(sum(absent.since is not None for absent in books.absent.values())),
            "leader": master.pid,
            "leader_info": {"id": master.id, "pid": master.pid, "port": master.port, "hostname": master.hostname},
            **({"cluster": self._cluster} if self._cluster else {}),
            "flags": self._flags,
            "slaves": [msgspec.Raw(_agent(agent) + b"}") for agent in books.agents.values()],
            "recovered_slaves": self._recovered(),
            "frameworks": [_framework(framework) for framework in books.frameworks.values()],
            "completed_frameworks": [_framework(framework) for framework in books.completed],
            "orphan_tasks": [],
            "unregistered_frameworks": [],
        }

    def _recovered(self) -> list[dict[str, Any]]:
        return [_absent(agent_id, self._books.absent[agent_id]) for agent_id in sorted(self._books.awaited)]

    def _summary(self, _: Request) -> dict[str, Any]:
        books = self._books
        by_agent: dict[str, list[Task]] = {agent_id: [] for agent_id in books.agents}
        for framework in books.frameworks.values():
            for task in _all_tasks(framework):
                if task.agent_id in by_agent:
                    by_agent[task.agent_id].append(task)
        return {
            "hostname": books.master.hostname,
            **({"cluster": self._cluster} if self._cluster else {}),
            "slaves": [_summed(_agent(agent), by_agent[agent.id]) for agent in books.agents.values()],
            "frameworks": [_framework_summary(framework) for framework in books.frameworks.values()],
        }

    def _slaves(self, request: Request) -> dict[str, Any]:
        wanted = request.parameter("slave_id")
        agents = [agent for agent in self._books.agents.values() if wanted in ("", agent.id)]
        return {
            "slaves": [_joined(_agent(agent), _full_resources(agent)) for agent in agents],
            "recovered_slaves": self._recovered(),
        }

    def _frameworks(self, request: Request) -> dict[str, Any]:
        wanted = request.parameter("framework_id")
        return {
            "frameworks": [_framework(f) for f in self._books.frameworks.values() if wanted in ("", f.id)],
            "completed_frameworks": [_framework(f) for f in self._books.completed if wanted in ("", f.id)],
            "unregistered_frameworks": [],
        }

    def _tasks(self, request: Request) -> dict[str, Any]:
        limit, offset = _number(request, "limit", 100), _number(request, "offset", 0)
        framework_id, task_id = request.parameter("framework_id"), request.parameter("task_id")
        frameworks = [*self._books.frameworks.values(), *self._books.completed]
        tasks = [
            task
            for framework in frameworks
            if framework_id in ("", framework.id)
            for task in _all_tasks(framework)
            if task_id in ("", task.id)
        ]
        tasks.sort(key=_first_time, reverse=request.parameter("order") != "asc")
        return {"tasks": [_task(task) for task in tasks[offset : offset + limit]]}

    def _roles(self, _: Request) -> dict[str, Any]:
        roles: dict[str, list[Framework]] = {}
        for framework in self._books.frameworks.values():
            for role in framework.roles:
                roles.setdefault(role, []).append(framework)
        for role in self._books.settings.weights:
            roles.setdefault(role, [])
        return {"roles": [self._role(name, members) for name, members in sorted(roles.items())]}

    def _role(self, name: str, members: list[Framework]) -> dict[str, Any]:
        allocated = _sum(t.resources for f in members for t in f.tasks.values() if t.holds and t.role == name)
        offered = _sum(offer.resources for f in members for offer in f.offers.values() if offer.role == name)
        return {
            "name": name,
            "weight": self._books.settings.weights.get(name, 1.0),
            "resources": _present(allocated + offered),
            "allocated": _present(allocated),
            "offered": _present(offered),
            "reserved": {},
            "frameworks": [framework.id for framework in members],
        }

    def _story(self, request: Request) -> dict[str, Any]:
        """Why things are as they are: what was decided about a framework, a task or an agent."""
        books = self._books
        framework_id, task_id = request.parameter("framework_id"), request.parameter("task_id")
        agent_id = request.parameter("agent_id")
        out: dict[str, Any] = {}
        if framework_id:
            out["framework"] = books.stories.of(f"framework/{framework_id}")
        if framework_id and task_id:
            out["task"] = books.stories.of(f"task/{framework_id}/{task_id}")
        if agent_id:
            out["agent"] = books.stories.of(f"agent/{agent_id}")
        if framework_id in books.frameworks:
            out["offers"] = self._why_no_offers(books.frameworks[framework_id], agent_id)
        return out

    def _why_no_offers(self, framework: Framework, agent_id: str) -> list[dict[str, str]]:
        agents = [agent_id] if agent_id else list(islice(self._books.agents, _EXPLAINED_AGENTS))
        return [
            {"role": role, "agent_id": agent, "why": self._books.allocator.explain(framework.id, role, agent)}
            for role in framework.roles
            for agent in agents
            if agent in self._books.agents
        ]


def _number(request: Request, name: str, default: int) -> int:
    text = request.parameter(name)
    return int(text) if text.isdigit() else default


# Agents


def _agent(agent: Agent) -> bytes:
    """An agent as an open JSON object: ``{…`` without its closing brace."""
    head = agent.encoded.get("v0")
    if head is None:
        head = agent.encoded["v0"] = _encode(
            _agent_head(agent.id, agent.info, agent.ip, agent.registered, agent.total)
        )[:-1]
    used = _sum(agent.used().values()) if agent.tasks else EMPTY
    offered = _sum(offer.resources for offer in agent.offers.values())
    tail = {
        **({"reregistered_time": agent.reregistered} if agent.reregistered is not None else {}),
        "used_resources": _amounts(used),
        "offered_resources": _amounts(offered),
        "reserved_resources": {},
        "unreserved_resources": _amounts(agent.total),
        "active": agent.connected,
        "deactivated": False,
        "version": agent.version,
        "capabilities": ["MULTI_ROLE", "RESERVATION_REFINEMENT"],
    }
    return head + b"," + _encode(tail)[1:-1]


def _agent_head(agent_id: str, info: AgentInfo, ip: str, registered: float, total: Resources) -> dict[str, Any]:
    return {
        "id": agent_id,
        "hostname": info.hostname,
        "port": info.port or 0,
        "attributes": {attribute.name: _attribute(attribute) for attribute in info.attributes or ()},
        "pid": f"slave(1)@{ip}:{info.port or 0}",
        "registered_time": registered,
        "resources": _amounts(total),
    }


def _absent(agent_id: str, absent: Absent) -> dict[str, Any]:
    total = Resources.parse(absent.info.resources)
    return {**_agent_head(agent_id, absent.info, absent.ip, absent.registered, total), "active": False}


def _attribute(attribute: Attribute) -> Any:
    if attribute.scalar is not None:
        return attribute.scalar.value
    if attribute.text is not None:
        return attribute.text.value
    if attribute.ranges is not None:
        return "[" + ", ".join(f"{span.begin}-{span.end}" for span in attribute.ranges.range or ()) + "]"
    return "{" + ", ".join((attribute.set.item if attribute.set is not None else None) or ()) + "}"


def _joined(open_object: bytes, more: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(open_object + b"," + _encode(more)[1:])


def _summed(open_object: bytes, tasks: list[Task]) -> msgspec.Raw:
    owners = dict.fromkeys(task.framework_id for task in tasks)
    return _joined(open_object, {**_counts(tasks), "framework_ids": list(owners)})


def _full_resources(agent: Agent) -> dict[str, Any]:
    used = [m for (_, role), held in agent.used().items() for m in held.messages(role)]
    offered = [m for offer in agent.offers.values() for m in offer.resources.messages(offer.role)]
    return {
        "reserved_resources_full": {},
        "unreserved_resources_full": [_starred(m) for m in agent.total.messages()],
        "used_resources_full": [_starred(m) for m in used],
        "offered_resources_full": [_starred(m) for m in offered],
    }


def _starred(message: Any) -> Any:
    return msgspec.structs.replace(message, role="*")


# Frameworks


def _framework(framework: Framework) -> dict[str, Any]:
    info = framework.info
    used = _sum(task.resources for task in framework.tasks.values() if task.holds)
    offered = _sum(offer.resources for offer in framework.offers.values())
    return {
        **_framework_head(framework, used, offered),
        "user": info.user,
        "failover_timeout": info.failover_timeout or 0.0,
        "checkpoint": bool(info.checkpoint),
        "registered_time": framework.registered,
        "unregistered_time": framework.unregistered,
        **({"reregistered_time": framework.reregistered} if framework.reregistered is not None else {}),
        **({"principal": info.principal} if info.principal else {}),
        "resources": _amounts(used + offered),
        **({"roles": framework.roles} if "MULTI_ROLE" in framework.capabilities else {"role": info.role or "*"}),
        "tasks": [_task(task) for task in framework.tasks.values()],
        "unreachable_tasks": [_task(task) for task in framework.unreachable.values()],
        "completed_tasks": [_task(task) for task in framework.completed],
        "offers": [_offer(offer) for offer in framework.offers.values()],
        "executors": [],
        **({"labels": info.labels.labels or []} if info.labels is not None else {}),
        "offer_constraints": {},
    }


def _framework_head(framework: Framework, used: Resources, offered: Resources) -> dict[str, Any]:
    info = framework.info
    return {
        "id": framework.id,
        "name": info.name,
        "used_resources": _amounts(used),
        "offered_resources": _amounts(offered),
        "capabilities": [capability.type for capability in info.capabilities or () if capability.type],
        "hostname": info.hostname or "",
        "webui_url": info.webui_url or "",
        "active": framework.connected,
        "connected": framework.connected,
        "recovered": framework.recovered,
    }


def _framework_summary(framework: Framework) -> dict[str, Any]:
    used = _sum(task.resources for task in framework.tasks.values() if task.holds)
    offered = _sum(offer.resources for offer in framework.offers.values())
    tasks = list(_all_tasks(framework))
    return {
        **_framework_head(framework, used, offered),
        **_counts(tasks),
        "slave_ids": list(dict.fromkeys(task.agent_id for task in tasks)),
    }


def _offer(offer: Offer) -> dict[str, Any]:
    return {
        "id": offer.id,
        "framework_id": offer.framework_id,
        "allocation_info": {"role": offer.role},
        "slave_id": offer.agent_id,
        "resources": _amounts(offer.resources),
    }


# Tasks


def _all_tasks(framework: Framework) -> Iterator[Task]:
    yield from framework.tasks.values()
    yield from framework.unreachable.values()
    yield from framework.completed


def _first_time(task: Task) -> float:
    return (task.statuses[0].timestamp or 0.0) if task.statuses else 0.0


def _task(task: Task) -> dict[str, Any]:
    info = task.info
    return {
        "id": task.id,
        "name": info.name,
        "framework_id": task.framework_id,
        "executor_id": "",
        "slave_id": task.agent_id,
        "state": task.state,
        "resources": _amounts(task.resources),
        "role": task.role,
        "statuses": [_status(status) for status in task.statuses],
        **({"labels": info.labels.labels or []} if info.labels is not None else {}),
        **({"discovery": info.discovery} if info.discovery is not None else {}),
        **({"container": info.container} if info.container is not None else {}),
    }


def _status(status: TaskStatus) -> dict[str, Any]:
    where = status.container_status
    return {
        "state": status.state,
        "timestamp": status.timestamp or 0.0,
        **({"labels": status.labels.labels or []} if status.labels is not None else {}),
        **({"healthy": status.healthy} if status.healthy is not None else {}),
        **({"container_status": msgspec.structs.replace(where, executor_pid=None)} if where is not None else {}),
    }


def _counts(tasks: Iterable[Task]) -> dict[str, int]:
    counts = dict.fromkeys(_STATES, 0)
    for task in tasks:
        counts[task.state] = counts.get(task.state, 0) + 1
    return counts


# Resources


def _sum(many: Iterable[Resources]) -> Resources:
    total = EMPTY
    for one in many:
        total = total + one
    return total


def _amounts(resources: Resources) -> dict[str, Any]:
    """Scalars as numbers, the usual ones even if there is none of them; ranges and sets as text."""
    out: dict[str, Any] = {name: resources.scalar(name) for name in ("disk", "mem", "gpus", "cpus")}
    out.update(_present(resources))
    return out


def _present(resources: Resources) -> dict[str, Any]:
    out: dict[str, Any] = {name: resources.scalar(name) for name in resources.scalars}
    for name, spans in resources.ranges.items():
        out[name] = "[" + ", ".join(f"{begin}-{end}" for begin, end in spans) + "]"
    for name, items in resources.sets.items():
        out[name] = "{" + ", ".join(sorted(items)) + "}"
    return out
