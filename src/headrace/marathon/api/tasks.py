"""/v2/tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from headrace.kernel.http import Request, Response, Router
from headrace.marathon.api.asking import Asker, deadline, flag, origin
from headrace.marathon.api.views import apps as views
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import KillTasks
from headrace.marathon.definitions import reading
from headrace.marathon.definitions.errors import Violation, unreadable


class Tasks:
    """Routes of tasks, whichever app they belong to."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def add_routes(self, router: Router) -> None:
        router.add("GET", "/v2/tasks", self._list_tasks)
        router.add("POST", "/v2/tasks/delete", self._kill_listed)

    def _list_tasks(self, request: Request) -> Any:
        if prefers_text(request):
            return self.text(views.all_addresses)
        statuses = request.query.get("status", []) + request.query.get("status[]", [])
        return self._asker.look(lambda core, now: views.tasks(core, now, statuses))

    async def text(self, view: Callable[[MarathonCore, float], str]) -> Response:
        """What ``view`` shows, as it is. Raises Rejected."""
        return Response.text(await self._asker.see(view))

    def _kill_listed(self, request: Request) -> Any:
        body = reading.parse(request.body)
        ids = body.get("ids") if isinstance(body, dict) else None
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise unreadable([Violation("/ids", "error.expected.jsarray")])
        return self.kill(request, None, ids, single=False)

    def kill(self, request: Request, app_id: str | None, ids: list[str] | None, *, single: bool) -> Any:
        """Kill the tasks with these ids, or all of an app."""
        event = KillTasks(
            0,
            app_id,
            ids,
            request.parameter("host") or None,
            scale=flag(request, "scale"),
            wipe=flag(request, "wipe"),
            single=single,
            force=flag(request, "force"),
            origin=origin(request),
            deadline=deadline(request),
        )
        return self._asker.ask(lambda to: msgspec.structs.replace(event, to=to))


def prefers_text(request: Request) -> bool:
    """Whether ``Accept`` names text and would rather have it than JSON, which is what is answered else."""
    quality: dict[str, float] = {}
    for one in request.headers.get("accept", "").lower().split(","):
        kind, *parameters = (part.strip() for part in one.split(";"))
        given = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            quality[kind] = float(given)
        except ValueError:
            quality[kind] = 0.0
    text = quality.get("text/plain", quality.get("text/*", 0.0))
    json = next((quality[kind] for kind in ("application/json", "application/*", "*/*") if kind in quality), 0.0)
    return text > json or ("text/plain" in quality and "application/json" not in quality and text == json > 0)
