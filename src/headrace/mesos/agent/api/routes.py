"""The agent's HTTP surface: Mesos's v0 endpoints, plain, below ``/slave(1)`` and with ``.json``; v1 is elsewhere."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from headrace.kernel.http import HttpError, Request, Response, Router
from headrace.kernel.log import Verbosity, log_file
from headrace.mesos.agent.api import views
from headrace.mesos.agent.api.container_calls import ContainerCalls
from headrace.mesos.agent.api.executor_api import ExecutorApi
from headrace.mesos.agent.api.operator_api import OperatorApi
from headrace.mesos.agent.api.statistics import measure, shown_containers, v0_container, v0_statistics
from headrace.mesos.agent.core.agent import AgentCore
from headrace.mesos.agent.flags.agent import Flags
from headrace.mesos.agent.flags.units import duration
from headrace.mesos.agent.sandbox.fetcher import Fetcher
from headrace.mesos.agent.sandbox.files import Files
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.logging_toggle import LoggingToggle
from headrace.mesos.masters import master_hosts
from headrace.mesos.own_log import OwnLog

_PREFIXES = ("", "/slave(1)")


class AgentApi:
    """Answers requests; 503 until ``attach``."""

    def __init__(
        self, flags: Flags, layout: Layout, started: float, executors: ExecutorApi, containers: ContainerCalls
    ) -> None:
        self._flags = flags
        self._containers = containers
        self._layout = layout
        self._started = started
        self._executors = executors
        self._core: AgentCore | None = None
        self._fetcher: Fetcher | None = None
        self._port = 0
        self._router = Router()
        self._add_routes()

    def attach(self, core: AgentCore, fetcher: Fetcher, port: int) -> None:
        """From now on there is something to tell."""
        self._core, self._fetcher, self._port = core, fetcher, port

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        if self._core is None:
            raise HttpError(503, "The agent is starting")
        return self._router(request)

    def _add_routes(self) -> None:
        answers: dict[str, Callable[[Request], Any]] = {
            "/state": self._state,
            "/flags": lambda _: {"flags": self.flags()},
            "/version": lambda _: {"version": self._known().config.version},
            "/metrics/snapshot": lambda _: self.metrics(),
            "/system/stats": lambda _: views.system(),
            "/story": self._story,
        }
        files = Files(self._layout, lambda: self._known().agent_id, OwnLog("/slave/log", log_file()))
        toggle = LoggingToggle(Verbosity(), lambda text: duration("duration", text))
        operators = OperatorApi(self._known, self, files, toggle, self._containers)
        for prefix in _PREFIXES:
            self._router.add("GET", f"{prefix}/health", lambda _: Response(200))
            self._router.add("POST GET HEAD PUT DELETE PATCH", f"{prefix}/api/v1/executor", self._executors)
            self._router.add("POST GET HEAD PUT DELETE PATCH", f"{prefix}/api/v1", operators)
            for ending in ("", ".json"):
                self._router.add("GET", f"{prefix}/containers{ending}", self._running)
                self._router.add("GET", f"{prefix}/monitor/statistics{ending}", self._statistics)
                self._router.add("GET POST", f"{prefix}/logging/toggle{ending}", toggle)
            for path, answer in answers.items():
                for ending in ("", ".json"):
                    self._router.add("GET", f"{prefix}{path}{ending}", _as_json(answer))
            files.routes(self._router, prefix)

    def _known(self) -> AgentCore:
        assert self._core is not None  # noqa: S101 - checked at the door
        return self._core

    def _state(self, _: Request) -> dict[str, Any]:
        return views.state(
            self._known(),
            started=self._started,
            port=self._port,
            master=master_hosts(self._flags.master)[0],
            flags=self._flags.shown(),
            directory=lambda place: str(self._layout.sandbox(place)),
        )

    async def _running(self, request: Request) -> Response:
        asked = {name: request.parameter(f"show_{name}") == "true" for name in ("nested", "standalone")}
        shown = shown_containers(self._known(), **asked)
        if container_id := request.parameter("container_id"):
            shown = [one for one in shown if one.path.rpartition(".")[2] == container_id]
        measured = await measure()
        return Response.json([v0_container(one, measured) for one in shown])

    async def _statistics(self, _: Request) -> Response:
        shown = shown_containers(self._known(), nested=False, standalone=False)
        measured = await measure()
        return Response.json([v0_statistics(one, measured) for one in shown])

    def flags(self) -> dict[str, str]:
        """The flags that are in effect."""
        return self._flags.shown()

    def metrics(self) -> dict[str, float]:
        """All metrics."""
        assert self._fetcher is not None  # noqa: S101 - attached with the core
        return views.metrics(self._known(), self._fetcher, started=self._started, now=time.time())

    def _story(self, request: Request) -> dict[str, Any]:
        """What was decided about a task, or, without parameters, about the agent itself."""
        framework_id, task_id = request.parameter("framework_id"), request.parameter("task_id")
        if bool(framework_id) != bool(task_id):
            raise HttpError(400, "Give framework_id and task_id, or neither for the agent's own story")
        subject = f"{framework_id}/{task_id}" if task_id else "agent"
        lines = self._known().stories.of(subject)
        if not lines and task_id:
            raise HttpError(404, f"This agent knows nothing of task {task_id!r} of framework {framework_id!r}")
        return {"story": lines}


def _as_json(answer: Callable[[Request], Any]) -> Callable[[Request], Response]:
    return lambda request: Response.json(answer(request))
