"""/v2/tasks."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.kernel.http import Request, Router
from headrace.marathon.api.asking import Asker, deadline, flag, origin
from headrace.marathon.api.views import apps as views
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
        statuses = request.query.get("status", []) + request.query.get("status[]", [])
        return self._asker.look(lambda core, now: views.tasks(core, now, statuses))

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
