"""HTTP requests to the core's events, and its answers back.

Ids in paths may have leading slashes (``/v2/apps//a/b``), trailing ones, or be percent-encoded;
the last part of a path such as ``/restart`` wins over an id. Booleans are read in any case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from headrace.kernel.http import HttpError, Request, Response, Router
from headrace.kernel.shell import Shell
from headrace.marathon.api.apps import Apps
from headrace.marathon.api.asking import Asker, embeds, flag, path_id
from headrace.marathon.api.events import EventBus
from headrace.marathon.api.groups import Groups
from headrace.marathon.api.pods import Pods
from headrace.marathon.api.tasks import Tasks
from headrace.marathon.api.views.deployments import deployments
from headrace.marathon.api.views.metrics import metrics
from headrace.marathon.api.views.queue import queue
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import Answer, CancelDeployment, Look, ResetDelay
from headrace.marathon.definitions.errors import Rejected

_NO_CACHE = {
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
}


class Api:
    """The handler of all requests. ``leader`` is this Marathon's ``host:port``; ``info`` fills /v2/info."""

    def __init__(
        self, shell: Shell[Any], bus: EventBus, leader: Callable[[], str], info: Callable[[], dict[str, Any]]
    ) -> None:
        self._asker = Asker(shell)
        self._bus = bus
        self._leader = leader
        self._info = info
        self._router = self._routes()

    async def __call__(self, request: Request) -> Response:
        headers = {**_NO_CACHE, "X-Marathon-Leader": f"http://{self._leader()}"}
        try:
            answer = self._router(request)
            response = answer if isinstance(answer, Response) else await answer
        except Rejected as rejected:
            response = Response.json(rejected.body, rejected.status)
        except HttpError as error:
            response = Response.json({"message": error.message}, error.status)
        return msgspec.structs.replace(response, headers=headers | dict(response.headers))

    def _routes(self) -> Router:
        router, asker = Router(), self._asker
        router.add("GET", "/", lambda request: Response(302, headers={"Location": "/ui/"}))
        router.add("GET", "/ping", _ping)
        router.add("GET", "/metrics", self._metrics)
        router.add("GET", "/metrics/prometheus", self._prometheus)
        router.add("GET", "/v2/info", lambda request: asker.look(self._about))
        router.add("GET", "/v2/leader", lambda request: Response.json({"leader": self._leader()}))
        router.add("GET", "/v2/plugins", lambda request: Response.json({"plugins": []}))
        router.add("GET", "/v2/events", self._events)
        tasks = Tasks(asker)
        for routes in (Apps(asker, tasks), tasks, Pods(asker), Groups(asker)):
            routes.add_routes(router)
        router.add("GET", "/v2/deployments", lambda request: asker.look(deployments))
        router.add("DELETE", "/v2/deployments/{deployment_id}", self._cancel)
        router.add("GET", "/v2/queue", self._queue)
        router.add("DELETE", "/v2/queue/{rest:rest}", self._reset_delay)
        return router

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

    def _about(self, core: MarathonCore, now: float) -> Answer:
        return Answer(200, self._info() | {"leader": self._leader(), "frameworkId": core.books.framework_id})

    def _events(self, request: Request) -> Response:
        if "text/event-stream" not in request.headers.get("accept", ""):
            raise HttpError(405, "The event stream needs the header 'Accept: text/event-stream'")
        kinds = frozenset(request.query.get("event_type", []))
        stream = self._bus.attach(request.peer, kinds)
        return Response(200, stream, "text/event-stream")

    async def _metrics(self, request: Request) -> Response:
        values = await self._asker.shell.ask(lambda to: Look(to, metrics))
        gauges = {name: {"value": value} for name, value in values.items()}
        empty: dict[str, Any] = {"counters": {}, "histograms": {}, "meters": {}, "timers": {}}
        return Response.json({"version": "4.0.0", "gauges": gauges} | empty)

    async def _prometheus(self, request: Request) -> Response:
        values = await self._asker.shell.ask(lambda to: Look(to, metrics))
        lines = []
        for name, value in values.items():
            plain = name.replace(".", "_").replace("-", "_")
            lines += [f"# TYPE {plain} gauge", f"{plain} {value}"]
        return Response.text("\n".join(lines) + "\n")


def _ping(request: Request) -> Response:
    accept = request.headers.get("accept", "*/*")
    if "text/plain" in accept or "*/*" in accept or "text/*" in accept:
        return Response(200, b"pong", "text/plain")
    if "text/html" in accept:
        return Response(200, b"pong", "text/html")
    if "application/json" in accept:
        return Response.json("pong")
    return Response(204)
