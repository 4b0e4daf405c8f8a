"""/v2/pods. What belongs to a pod is behind ``::``: /v2/pods/a/b::status."""

from __future__ import annotations

from typing import Any

from headrace.kernel.http import HttpError, Request, Response, Router
from headrace.marathon.api.asking import Asker, deadline, flag, origin, path_id
from headrace.marathon.api.views import pods as views
from headrace.marathon.api.views.history import pod_history
from headrace.marathon.core.events import CreatePod, DeletePod, KillInstances, UpdatePod
from headrace.marathon.definitions import reading
from headrace.marathon.definitions.errors import Violation, unreadable


class Pods:
    """Routes of pods, their status, versions and instances."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def add_routes(self, router: Router) -> None:
        router.add("HEAD", "/v2/pods", lambda request: Response(200))
        router.add("GET", "/v2/pods", lambda request: self._asker.look(views.pods))
        router.add("POST", "/v2/pods", self._create)
        router.add("GET PUT DELETE", "/v2/pods/{rest:rest}", self._pod)

    def _create(self, request: Request) -> Any:
        body = reading.parse(request.body)
        who, until = origin(request), deadline(request)
        return self._asker.ask(lambda to: CreatePod(to, body, flag(request, "force"), who, until))

    def _pod(self, request: Request, rest: str) -> Any:
        name, _, what = rest.partition("::")
        if not name.strip("/") and what == "status" and request.method == "GET":
            return self._asker.look(views.statuses)
        pod_id = path_id([part for part in name.split("/") if part], "Pod")
        match request.method, [part for part in what.split("/") if part]:
            case "GET", []:
                return self._asker.look(lambda core, now: views.pod(core, now, pod_id))
            case "GET", ["status"]:
                return self._asker.look(lambda core, now: views.status(core, now, pod_id))
            case "GET", ["history"]:
                return self._asker.look(lambda core, now: pod_history(core, now, pod_id))
            case "GET", ["versions"]:
                return self._asker.look(lambda core, now: views.versions(core, now, pod_id))
            case "GET", ["versions", version]:
                return self._asker.look(lambda core, now: views.version(core, now, pod_id, version))
            case "PUT", []:
                body, force, until = reading.parse(request.body), flag(request, "force"), deadline(request)
                return self._asker.ask(lambda to: UpdatePod(to, pod_id, body, force, origin(request), until))
            case "DELETE", []:
                force, until = flag(request, "force"), deadline(request)
                return self._asker.ask(lambda to: DeletePod(to, pod_id, force, origin(request), until))
            case "DELETE", ["instances"]:
                return self._kill(request, pod_id, _ids(reading.parse(request.body)), single=False)
            case "DELETE", ["instances", instance_id]:
                return self._kill(request, pod_id, [instance_id], single=True)
        raise HttpError(404, f"There is nothing at {request.path} for {request.method}")

    def _kill(self, request: Request, pod_id: str, ids: list[str], *, single: bool) -> Any:
        wipe = flag(request, "wipe")
        return self._asker.ask(lambda to: KillInstances(to, pod_id, ids, wipe=wipe, single=single))


def _ids(body: Any) -> list[str]:
    if not isinstance(body, list) or not all(isinstance(one, str) for one in body):
        raise unreadable([Violation("/", "error.expected.jsarray")])
    return body
