"""HTTP requests to the core's events, and its answers back.

Ids in paths may have leading slashes (``/v2/apps//a/b``), trailing ones, or be percent-encoded;
the last part of a path such as ``/restart`` wins over an id. Booleans are read in any case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from headrace.kernel.core import Event
from headrace.kernel.http import HttpError, Request, Response, Router
from headrace.kernel.shell import Shell
from headrace.marathon.api import views
from headrace.marathon.api.events import EventBus
from headrace.marathon.api.views import Embeds
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import (
    Answer,
    CancelDeployment,
    CreateApp,
    DeleteApp,
    KillTasks,
    Look,
    Origin,
    ResetDelay,
    RestartApp,
    UpdateApps,
)
from headrace.marathon.definitions import reading, selector
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected, Violation, unreadable
from headrace.marathon.definitions.paths import ID_PATTERN, canonical

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
        self._shell = shell
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
        router = Router()
        router.add("GET", "/", lambda request: Response(302, headers={"Location": "/ui/"}))
        router.add("GET", "/ping", _ping)
        router.add("GET", "/metrics", self._metrics)
        router.add("GET", "/metrics/prometheus", self._prometheus)
        router.add("GET", "/v2/info", lambda request: self._look(self._about))
        router.add("GET", "/v2/leader", lambda request: Response.json({"leader": self._leader()}))
        router.add("GET", "/v2/plugins", lambda request: Response.json({"plugins": []}))
        router.add("GET", "/v2/events", self._events)
        for pattern in ("/v2/apps", "/v2/apps/"):
            router.add("GET", pattern, self._list_apps)
            router.add("POST", pattern, self._create_app)
            router.add("PUT PATCH", pattern, self._update_apps)
        router.add("GET PUT PATCH DELETE POST", "/v2/apps/{rest:rest}", self._app)
        router.add("GET", "/v2/tasks", self._list_tasks)
        router.add("POST", "/v2/tasks/delete", self._kill_listed)
        router.add("GET", "/v2/deployments", lambda request: self._look(views.deployments))
        router.add("DELETE", "/v2/deployments/{deployment_id}", self._cancel)
        router.add("GET", "/v2/queue", self._queue)
        router.add("DELETE", "/v2/queue/{rest:rest}", self._reset_delay)
        router.add("GET", "/v2/groups", self._groups)
        router.add("GET", "/v2/groups/{rest:rest}", self._groups)
        return router

    # apps

    def _list_apps(self, request: Request) -> Any:
        command, part = request.parameter("cmd").lower(), request.parameter("id").lower()
        label = request.parameter("label")
        labels = selector.parse(label) if label else None

        def chosen(app: App) -> bool:
            return (
                (not command or command in (app.cmd or "").lower())
                and (not part or part in app.id.lower())
                and (labels is None or labels(app.labels))
            )

        embeds = _embeds(request)
        return self._look(lambda core, now: views.apps(core, now, chosen, embeds))

    def _create_app(self, request: Request) -> Any:
        body = reading.parse(request.body)
        return self._ask(lambda to: CreateApp(to, body, _flag(request, "force"), _origin(request)))

    def _update_apps(self, request: Request) -> Any:
        bodies = reading.parse(request.body)
        if not isinstance(bodies, list):
            raise unreadable([Violation("/", "error.expected.jsarray")])
        updates = []
        for body in bodies:
            app_id = body.get("id") if isinstance(body, dict) else None
            if not isinstance(app_id, str):
                raise Rejected(422, "requirement failed: App Update must have app id set")
            updates.append((canonical(app_id), body))
        patch = request.method == "PATCH"
        partial = patch or _flag(request, "partialUpdate", default=True)
        return self._update(request, updates, partial=partial, create=not patch, single=False)

    def _app(self, request: Request, rest: str) -> Any:
        parts = [part for part in rest.split("/") if part]
        match request.method, parts:
            case "POST", [*path, "restart"] if path:
                app_id = _id(path)
                return self._ask(lambda to: RestartApp(to, app_id, _flag(request, "force"), _origin(request)))
            case "GET", [*path, "*"]:
                group, embeds = canonical("/" + "/".join(path)), _embeds(request)
                return self._look(lambda core, now: views.apps_below(core, now, group, embeds))
            case "GET", [*path, "tasks"] if path:
                app_id = _id(path[:-1]) + "/*" if path[-1] == "*" else _id(path)
                return self._look(lambda core, now: views.app_tasks(core, now, app_id))
            case "GET", [*path, "versions"] if path:
                app_id = _id(path)
                return self._look(lambda core, now: views.versions(core, now, app_id))
            case "GET", [*path, "versions", version] if path:
                app_id = _id(path)
                return self._look(lambda core, now: views.version(core, now, app_id, version))
            case "DELETE", [*path, "tasks"] if path:
                return self._kill(request, _id(path), None, single=False)
            case "DELETE", [*path, "tasks", task_id] if path:
                return self._kill(request, _id(path), [task_id], single=True)
        return self._one_app(request, _id(parts))

    def _one_app(self, request: Request, app_id: str) -> Any:
        match request.method:
            case "GET" | "HEAD":
                embeds = _embeds(request)
                return self._look(lambda core, now: views.app(core, now, app_id, embeds))
            case "DELETE":
                force = _flag(request, "force", default=True)
                return self._ask(lambda to: DeleteApp(to, app_id, force, _origin(request)))
            case "PUT" | "PATCH":
                patch = request.method == "PATCH"
                partial = patch or _flag(request, "partialUpdate", default=True)
                updates = [(app_id, reading.parse(request.body))]
                return self._update(request, updates, partial=partial, create=not patch, single=True)
        raise HttpError(405, f"{request.method} is not possible at {request.path}; POST apps to /v2/apps")

    def _update(
        self, request: Request, updates: list[tuple[str, Any]], *, partial: bool, create: bool, single: bool
    ) -> Any:
        force, origin = _flag(request, "force"), _origin(request)
        return self._ask(
            lambda to: UpdateApps(
                to, updates, partial=partial, create=create, single=single, force=force, origin=origin
            )
        )

    # tasks, deployments, queue, groups

    def _list_tasks(self, request: Request) -> Any:
        statuses = request.query.get("status", []) + request.query.get("status[]", [])
        return self._look(lambda core, now: views.tasks(core, now, statuses))

    def _kill_listed(self, request: Request) -> Any:
        body = reading.parse(request.body)
        ids = body.get("ids") if isinstance(body, dict) else None
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise unreadable([Violation("/ids", "error.expected.jsarray")])
        return self._kill(request, None, ids, single=False)

    def _kill(self, request: Request, app_id: str | None, ids: list[str] | None, *, single: bool) -> Any:
        event = KillTasks(
            0,
            app_id,
            ids,
            request.parameter("host") or None,
            scale=_flag(request, "scale"),
            wipe=_flag(request, "wipe"),
            single=single,
            force=_flag(request, "force"),
            origin=_origin(request),
        )
        return self._ask(lambda to: msgspec.structs.replace(event, to=to))

    def _cancel(self, request: Request, deployment_id: str) -> Any:
        return self._ask(lambda to: CancelDeployment(to, deployment_id, _flag(request, "force")))

    def _queue(self, request: Request) -> Any:
        embeds = _embeds(request)
        return self._look(lambda core, now: views.queue(core, now, embeds))

    def _reset_delay(self, request: Request, rest: str) -> Any:
        parts = [part for part in rest.split("/") if part]
        if len(parts) < 2 or parts[-1] != "delay":
            raise HttpError(404, f"There is nothing to delete at {request.path}; DELETE /v2/queue/<app id>/delay")
        return self._ask(lambda to: ResetDelay(to, _id(parts[:-1])))

    def _groups(self, request: Request, rest: str = "") -> Any:
        names = request.query.get("embed", [])
        embeds = Embeds(Embeds.of(names) | {name for name in names if name in ("group.groups", "group.apps")})
        group = canonical("/" + rest)
        return self._look(lambda core, now: views.groups(core, now, group, embeds, whole=not names))

    # around

    def _about(self, core: MarathonCore, now: float) -> Answer:
        return Answer(200, self._info() | {"leader": self._leader(), "frameworkId": core.books.framework_id})

    def _events(self, request: Request) -> Response:
        if "text/event-stream" not in request.headers.get("accept", ""):
            raise HttpError(405, "The event stream needs the header 'Accept: text/event-stream'")
        kinds = frozenset(request.query.get("event_type", []))
        stream = self._bus.attach(request.peer, kinds)
        return Response(200, stream, "text/event-stream")

    async def _metrics(self, request: Request) -> Response:
        values = await self._shell.ask(lambda to: Look(to, views.metrics))
        gauges = {name: {"value": value} for name, value in values.items()}
        empty: dict[str, Any] = {"counters": {}, "histograms": {}, "meters": {}, "timers": {}}
        return Response.json({"version": "4.0.0", "gauges": gauges} | empty)

    async def _prometheus(self, request: Request) -> Response:
        values = await self._shell.ask(lambda to: Look(to, views.metrics))
        lines = []
        for name, value in values.items():
            plain = name.replace(".", "_").replace("-", "_")
            lines += [f"# TYPE {plain} gauge", f"{plain} {value}"]
        return Response.text("\n".join(lines) + "\n")

    async def _look(self, view: Callable[[MarathonCore, float], Answer]) -> Response:
        def guarded(core: MarathonCore, now: float) -> Answer:
            try:
                return view(core, now)
            except Rejected as rejected:
                return Answer(rejected.status, rejected.body)

        return _response(await self._shell.ask(lambda to: Look(to, guarded)))

    async def _ask(self, make: Callable[[int], Event]) -> Response:
        return _response(await self._shell.ask(make))


def _response(answer: Answer) -> Response:
    if answer.body is None:
        return Response(answer.status, headers=answer.headers)
    return Response.json(answer.body, answer.status, answer.headers)


def _ping(request: Request) -> Response:
    accept = request.headers.get("accept", "*/*")
    if "text/plain" in accept or "*/*" in accept or "text/*" in accept:
        return Response(200, b"pong", "text/plain")
    if "text/html" in accept:
        return Response(200, b"pong", "text/html")
    if "application/json" in accept:
        return Response.json("pong")
    return Response(204)


def _id(parts: list[str]) -> str:
    path = "/" + "/".join(parts)
    if not ID_PATTERN.fullmatch(path):
        raise Rejected(404, f"App '{path}' does not exist")
    return canonical(path)


def _flag(request: Request, name: str, *, default: bool = False) -> bool:
    """Whether a query parameter is true; ``name`` alone is true, other words are not."""
    value = request.query.get(name, [""])[-1] if name in request.query else None
    if value is None:
        return default
    return value.lower() in ("true", "")


def _embeds(request: Request) -> Embeds:
    return Embeds.of(request.query.get("embed", []))


def _origin(request: Request) -> Origin:
    return Origin(request.peer.rpartition(":")[0], request.path)
