"""/v2/groups. The last parts ``apps``, ``versions`` and ``versions/<T>`` win over an id."""

from __future__ import annotations

from typing import Any

from headrace.kernel.http import HttpError, Request, Router
from headrace.marathon.api.asking import Asker, deadline, embeds, flag, origin, path_id
from headrace.marathon.api.views import groups as views
from headrace.marathon.core.events import ChangeGroup, DeleteGroup, EnforceRole
from headrace.marathon.definitions import reading
from headrace.marathon.definitions.errors import Rejected, Violation, unreadable
from headrace.marathon.definitions.timestamps import check_timestamp


class Groups:
    """Routes of groups and their versions."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def add_routes(self, router: Router) -> None:
        router.add("GET POST PUT PATCH DELETE", "/v2/groups", self._group)
        router.add("GET POST PUT PATCH DELETE", "/v2/groups/{rest:rest}", self._group)

    def _group(self, request: Request, rest: str = "") -> Any:
        parts = [part for part in rest.split("/") if part]
        match request.method, parts:
            case "GET", [*path, "apps"]:
                wanted, group = embeds(request), path_id(path, "Group")
                return self._asker.look(lambda core, now: views.apps(core, now, group, wanted))
            case "GET", [*path, "versions"]:
                group = path_id(path, "Group")
                return self._asker.look(lambda core, now: views.versions(core, now, group))
            case "GET", [*path, "versions", version]:
                group, wanted = path_id(path, "Group"), embeds(request)
                return self._asker.look(lambda core, now: views.version(core, now, group, version, wanted))
            case "PUT", [*path, "versions", version]:
                return self._go_back(request, path_id(path, "Group"), version)
        group = path_id(parts, "Group")
        match request.method:
            case "GET":
                wanted = embeds(request)
                return self._asker.look(lambda core, now: views.group(core, now, group, wanted))
            case "DELETE":
                force, until = flag(request, "force"), deadline(request)
                return self._asker.ask(lambda to: DeleteGroup(to, group, force, origin(request), until))
            case "PATCH":
                enforce = _enforce(reading.parse(request.body))
                return self._asker.ask(lambda to: EnforceRole(to, group, enforce))
            case "POST" | "PUT":
                return self._change(request, group)
        raise HttpError(405, f"{request.method} is not possible at {request.path}")

    def _go_back(self, request: Request, group: str, version: str) -> Any:
        """What Python's client sends, without a body."""
        body, force, who = {"version": check_timestamp(version)}, flag(request, "force"), origin(request)
        return self._asker.ask(
            lambda to: ChangeGroup(to, group, body, create=False, dry_run=False, force=force, origin=who)
        )

    def _change(self, request: Request, group: str) -> Any:
        event = {
            "path": group,
            "body": reading.parse(request.body),
            "create": request.method == "POST",
            "dry_run": request.method == "PUT" and flag(request, "dryRun"),
            "force": flag(request, "force"),
            "origin": origin(request),
            "deadline": deadline(request),
        }
        return self._asker.ask(lambda to: ChangeGroup(to, **event))


def _enforce(body: Any) -> bool:
    value = body.get("enforceRole") if isinstance(body, dict) else None
    if not isinstance(value, bool):
        raise unreadable([Violation("/enforceRole", "error.expected.jsboolean")])
    if set(body) != {"enforceRole"}:
        raise Rejected(422, "Only enforceRole can be patched; PUT the group to change anything else")
    return value
