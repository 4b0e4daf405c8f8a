"""The v0 endpoints: the books as JSON, in Mesos's shape. They only read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import msgspec

from headrace.kernel.clock import Clock
from headrace.kernel.http.messages import JSON, Request, Response
from headrace.mesos import MESOS_VERSION
from headrace.mesos.master.api import metrics, roles, shapes
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.model import Framework, Task
from headrace.mesos.master.flags import duration

CAPABILITIES = ("AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2")

_EXPLAINED_AGENTS = 100

_encode = msgspec.json.Encoder().encode
_WITHOUT_TASKS = b"," + msgspec.json.encode({**dict.fromkeys(shapes.STATES, 0), "framework_ids": []})[1:]


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
            "/state": _json(self._state),
            "/state-summary": _json(self._summary),
            "/slaves": _json(self._slaves),
            "/frameworks": _json(self._frameworks),
            "/tasks": _json(self._tasks),
            "/roles": _json(lambda _: {"roles": roles.roles(self._books)}),
            "/flags": _json(lambda _: {"flags": self._flags}),
            "/version": _json(lambda _: {"version": MESOS_VERSION}),
            "/story": _json(self._story),
            "/metrics/snapshot": self._metrics,
            "/health": lambda _: Response(200),
            "/redirect": self._redirect,
        }

    def _metrics(self, request: Request) -> Response:
        """All metrics; ``timeout`` is heeded in that it is never reached."""
        timeout = request.parameter("timeout")
        try:
            if timeout:
                duration(timeout)
        except ValueError as error:
            return Response.text(f"Invalid timeout '{timeout[:40]}': give {error}.\n", 400)
        return Response(200, _encode(metrics.snapshot(self._books, self._clock.now())), JSON)

    def _redirect(self, _: Request) -> Response:
        master = self._books.master
        return Response(307, headers={"Location": f"//{master.hostname}:{master.port}"})

    # Whole pages

    def _state(self, _: Request) -> dict[str, Any]:
        books, master = self._books, self._books.master
        active = sum(agent.active for agent in books.agents.values())
        return {
            "version": MESOS_VERSION,
            "start_time": books.started,
            "elected_time": books.started,
            "id": master.id,
            "pid": master.pid,
            "hostname": master.hostname,
            "capabilities": CAPABILITIES,
            **({"domain": master.domain} if master.domain is not None else {}),
            "activated_slaves": float(active),
            "deactivated_slaves": float(len(books.agents) - active),
            "unreachable_slaves": float(sum(absent.since is not None for absent in books.absent.values())),
            "leader": master.pid,
            "leader_info": {"id": master.id, "pid": master.pid, "port": master.port, "hostname": master.hostname},
            **({"cluster": self._cluster} if self._cluster else {}),
            "flags": self._flags,
            "slaves": [msgspec.Raw(shapes.agent(agent) + b"}") for agent in books.agents.values()],
            "recovered_slaves": self._recovered(),
            "frameworks": [shapes.framework(framework) for framework in books.frameworks.values()],
            "completed_frameworks": [shapes.framework(framework) for framework in books.completed],
            "orphan_tasks": [],
            "unregistered_frameworks": [],
        }

    def _recovered(self) -> list[dict[str, Any]]:
        books = self._books
        return [
            shapes.absent(agent_id, books.absent[agent_id], books.deactivated.get(agent_id))
            for agent_id in sorted(books.awaited)
        ]

    def _summary(self, _: Request) -> dict[str, Any]:
        books = self._books
        by_agent: dict[str, list[Task]] = {}
        for framework in books.frameworks.values():
            for task in shapes.all_tasks(framework):
                by_agent.setdefault(task.agent_id, []).append(task)
        return {
            "hostname": books.master.hostname,
            **({"cluster": self._cluster} if self._cluster else {}),
            "slaves": [_summed(shapes.agent(agent), by_agent.get(agent.id, [])) for agent in books.agents.values()],
            "frameworks": [shapes.framework_summary(framework) for framework in books.frameworks.values()],
        }

    def _slaves(self, request: Request) -> dict[str, Any]:
        wanted = request.parameter("slave_id")
        agents = [agent for agent in self._books.agents.values() if wanted in ("", agent.id)]
        return {
            "slaves": [shapes.joined(shapes.agent(agent), shapes.full_resources(agent)) for agent in agents],
            "recovered_slaves": self._recovered(),
        }

    def _frameworks(self, request: Request) -> dict[str, Any]:
        wanted = request.parameter("framework_id")
        return {
            "frameworks": [shapes.framework(f) for f in self._books.frameworks.values() if wanted in ("", f.id)],
            "completed_frameworks": [shapes.framework(f) for f in self._books.completed if wanted in ("", f.id)],
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
            for task in shapes.all_tasks(framework)
            if task_id in ("", task.id)
        ]
        tasks.sort(key=_first_time, reverse=request.parameter("order") != "asc")
        return {"tasks": [shapes.task(task) for task in tasks[offset : offset + limit]]}

    def _story(self, request: Request) -> dict[str, Any]:
        """Why things are as they are: what was decided about a framework, a task, an operation, an agent or a role."""
        books = self._books
        framework_id, task_id = request.parameter("framework_id"), request.parameter("task_id")
        agent_id, role = request.parameter("agent_id"), request.parameter("role")
        operation_id = request.parameter("operation_id")
        out: dict[str, Any] = {}
        if framework_id:
            out["framework"] = books.stories.of(f"framework/{framework_id}")
        if framework_id and task_id:
            out["task"] = books.stories.of(f"task/{framework_id}/{task_id}")
        if framework_id and operation_id:
            out["operation"] = books.stories.of(f"operation/{framework_id}/{operation_id}")
        if agent_id:
            out["agent"] = books.stories.of(f"agent/{agent_id}")
        if role:
            out["role"] = books.stories.of(f"role/{role}")
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


def _json(view: Callable[[Request], Any]) -> Callable[[Request], Response]:
    return lambda request: Response(200, _encode(view(request)), JSON)


def _number(request: Request, name: str, default: int) -> int:
    text = request.parameter(name)
    return int(text) if text.isascii() and text.isdigit() else default


def _first_time(task: Task) -> float:
    return (task.statuses[0].timestamp or 0.0) if task.statuses else 0.0


def _summed(one: bytes, tasks: list[Task]) -> msgspec.Raw:
    if not tasks:
        return msgspec.Raw(one + _WITHOUT_TASKS)
    owners = dict.fromkeys(task.framework_id for task in tasks)
    return shapes.joined(one, {**shapes.counts(tasks), "framework_ids": list(owners)})
