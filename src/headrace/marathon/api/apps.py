"""/v2/apps."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.kernel.http import HttpError, Request, Router
from headrace.marathon.api.asking import Asker, deadline, embeds, flag, origin, path_id
from headrace.marathon.api.tasks import Tasks, prefers_text
from headrace.marathon.api.views import apps as views
from headrace.marathon.api.views.history import app_history
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import Answer, CreateApp, DeleteApp, RestartApp, UpdateApps
from headrace.marathon.definitions import reading, selector
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected, Violation, unreadable
from headrace.marathon.definitions.paths import canonical


class Apps:
    """Routes of apps, their versions and tasks."""

    def __init__(self, asker: Asker, tasks: Tasks) -> None:
        self._asker = asker
        self._tasks = tasks

    def add_routes(self, router: Router) -> None:
        router.add("GET", "/v2/apps", self._list_apps)
        router.add("POST", "/v2/apps", self._create_app)
        router.add("PUT PATCH", "/v2/apps", self._update_apps)
        router.add("GET PUT PATCH DELETE POST", "/v2/apps/{rest:rest}", self._app)

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

        wanted = embeds(request)
        return self._asker.look(lambda core, now: views.apps(core, now, chosen, wanted))

    def _create_app(self, request: Request) -> Any:
        body = reading.parse(request.body)
        who, until = origin(request), deadline(request)
        return self._asker.ask(lambda to: CreateApp(to, body, flag(request, "force"), who, until))

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
        partial = patch or flag(request, "partialUpdate", default=True)
        return self._update(request, updates, partial=partial, create=not patch, single=False)

    def _app(self, request: Request, rest: str) -> Any:
        parts = [part for part in rest.split("/") if part]
        match request.method, parts:
            case "POST", [*path, "restart"] if path:
                app_id, who, until = path_id(path), origin(request), deadline(request)
                return self._asker.ask(lambda to: RestartApp(to, app_id, flag(request, "force"), who, until))
            case "GET", [*path, "*"]:
                group, wanted = canonical("/" + "/".join(path)), embeds(request)
                return self._asker.look(lambda core, now: views.apps_below(core, now, group, wanted))
            case "GET", [*path, "tasks"] if path:
                app_id = path_id(path[:-1]) + "/*" if path[-1] == "*" else path_id(path)
                if prefers_text(request):
                    return self._tasks.text(lambda core, now: views.app_addresses(core, now, app_id))
                return self._asker.look(lambda core, now: views.app_tasks(core, now, app_id))
            case "GET", [*path, "history"] if path:
                return self._history(request, path_id(path), path_id(parts))
            case "GET", [*path, "versions"] if path:
                app_id = path_id(path)
                return self._asker.look(lambda core, now: views.versions(core, now, app_id))
            case "GET", [*path, "versions", version] if path:
                app_id = path_id(path)
                return self._asker.look(lambda core, now: views.version(core, now, app_id, version))
            case "DELETE", [*path, "tasks"] if path:
                return self._tasks.kill(request, path_id(path), None, single=False)
            case "DELETE", [*path, "tasks", task_id] if path:
                return self._tasks.kill(request, path_id(path), [task_id], single=True)
        return self._one_app(request, path_id(parts))

    def _history(self, request: Request, app_id: str, named_so: str) -> Any:
        """Of an app; but an app may be named so itself, as the word is none of Marathon's."""
        wanted = embeds(request)

        def view(core: MarathonCore, now: float) -> Answer:
            if named_so in core.books.apps:
                return views.app(core, now, named_so, wanted)
            return app_history(core, now, app_id)

        return self._asker.look(view)

    def _one_app(self, request: Request, app_id: str) -> Any:
        match request.method:
            case "GET":
                wanted = embeds(request)
                return self._asker.look(lambda core, now: views.app(core, now, app_id, wanted))
            case "DELETE":
                force, who, until = flag(request, "force", default=True), origin(request), deadline(request)
                return self._asker.ask(lambda to: DeleteApp(to, app_id, force, who, until))
            case "PUT" | "PATCH":
                patch = request.method == "PATCH"
                partial = patch or flag(request, "partialUpdate", default=True)
                updates = [(app_id, reading.parse(request.body))]
                return self._update(request, updates, partial=partial, create=not patch, single=True)
        raise HttpError(405, f"{request.method} is not possible at {request.path}; POST apps to /v2/apps")

    def _update(
        self, request: Request, updates: list[tuple[str, Any]], *, partial: bool, create: bool, single: bool
    ) -> Any:
        event = UpdateApps(
            0,
            updates,
            partial=partial,
            create=create,
            single=single,
            force=flag(request, "force"),
            origin=origin(request),
            deadline=deadline(request),
        )
        return self._asker.ask(lambda to: msgspec.structs.replace(event, to=to))
