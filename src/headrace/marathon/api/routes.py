"""HTTP requests to the core's events, and its answers back.

Ids in paths may have leading slashes (``/v2/apps//a/b``), trailing ones, or be percent-encoded: slashes count once,
and not at the end. The last part of a path such as ``/restart`` wins over an id. Booleans are read in any case. HEAD
is answered as GET, OPTIONS with what may be asked.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from headrace.kernel.http import HttpError, Request, Response, Router
from headrace.kernel.shell import Shell
from headrace.marathon.api.apps import Apps
from headrace.marathon.api.asking import Asker, embeds, flag, path_id
from headrace.marathon.api.counts import Counts
from headrace.marathon.api.events import EventBus, Events
from headrace.marathon.api.facts import Facts
from headrace.marathon.api.groups import Groups
from headrace.marathon.api.logging import Logging
from headrace.marathon.api.metrics import Metrics
from headrace.marathon.api.pods import Pods
from headrace.marathon.api.system import System
from headrace.marathon.api.tasks import Tasks
from headrace.marathon.api.views.deployments import deployments
from headrace.marathon.api.views.history import ended_deployments, one_deployment
from headrace.marathon.api.views.queue import queue
from headrace.marathon.core.events import CancelDeployment, ResetDelay
from headrace.marathon.definitions.errors import Rejected

_SLASHES = re.compile("//+")
_DEPLOYMENT = "Marathon-Deployment-Id"
_TOO_MANY = 403
"""Only the limit of deployments is answered with this."""
_OWN_HEAD = frozenset(("/v2/pods", "/v2/events"))
"""Where HEAD is cheaper than GET."""


class Api:
    """The handler of requests that are let in."""

    def __init__(self, shell: Shell[Any], bus: EventBus, counts: Counts, facts: Facts) -> None:
        self._asker = Asker(shell, facts.patience)
        self._counts = counts
        self._router = Router()
        tasks = Tasks(self._asker)
        for routes in (
            System(self._asker, facts),
            Metrics(self._asker, counts, facts),
            Logging(),
            Events(bus),
            Apps(self._asker, tasks),
            tasks,
            Pods(self._asker),
            Groups(self._asker),
        ):
            routes.add_routes(self._router)
        self._router.add("GET", "/v2/deployments", self._deployments)
        self._router.add("GET", "/v2/deployments/{deployment_id}", self._deployment)
        self._router.add("DELETE", "/v2/deployments/{deployment_id}", self._cancel)
        self._router.add("GET", "/v2/queue", self._queue)
        self._router.add("DELETE", "/v2/queue/{rest:rest}", self._reset_delay)

    async def __call__(self, request: Request) -> Response:
        path = _SLASHES.sub("/", request.path)
        request = msgspec.structs.replace(request, path=path.rstrip("/") or "/")
        if request.method == "HEAD" and request.path not in _OWN_HEAD:
            request = msgspec.structs.replace(request, method="GET")
        try:
            if request.method == "OPTIONS":
                return Response(200, headers={"Allow": ", ".join([*self._router.methods(request.path), "OPTIONS"])})
            answer = self._router(request)
            response = answer if isinstance(answer, Response) else await answer
        except Rejected as rejected:
            response = Response.json(rejected.body, rejected.status)
        except HttpError as error:
            response = Response.json({"message": error.message}, error.status)
        self._count(response)
        return response

    def _count(self, response: Response) -> None:
        if _DEPLOYMENT in response.headers:
            self._counts.counters["deployments.counter"] += 1
        elif response.status == _TOO_MANY:
            self._counts.counters["deployments.dismissed.counter"] += 1

    def _deployments(self, request: Request) -> Any:
        if flag(request, "ended"):
            return self._asker.look(ended_deployments)
        wanted = embeds(request)
        return self._asker.look(lambda core, now: deployments(core, now, wanted))

    def _deployment(self, request: Request, deployment_id: str) -> Any:
        wanted = embeds(request)
        return self._asker.look(lambda core, now: one_deployment(core, now, deployment_id, wanted))

    def _cancel(self, request: Request, deployment_id: str) -> Any:
        return self._asker.ask(lambda to: CancelDeployment(to, deployment_id, flag(request, "force")))

    def _queue(self, request: Request) -> Any:
        wanted = embeds(request)
        return self._asker.look(lambda core, now: queue(core, now, wanted))

    def _reset_delay(self, request: Request, rest: str) -> Any:
        parts = [part for part in rest.split("/") if part]
        if len(parts) < 2 or parts[-1] != "delay":
            raise HttpError(404, f"There is nothing to delete at {request.path}; DELETE /v2/queue/<app id>/delay")
        return self._asker.ask(lambda to: ResetDelay(to, path_id(parts[:-1])))
