"""The small routes around the API: /ping, /v2/info, /v2/leader, /config, /help, /ui/."""

from __future__ import annotations

from typing import Any

from headrace.kernel.http import HttpError, Request, Response, Router
from headrace.marathon.api import pages
from headrace.marathon.api.asking import Asker
from headrace.marathon.api.facts import Facts
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import Answer
from headrace.marathon.definitions.errors import Rejected

_NO_BACKUP = "{} is not supported: copy the directory --data, or that of ZooKeeper, while Marathon is stopped"


class System:
    """Routes that tell of Marathon itself."""

    def __init__(self, asker: Asker, facts: Facts) -> None:
        self._asker = asker
        self._facts = facts

    def add_routes(self, router: Router) -> None:
        facts = self._facts
        router.add("GET", "/", lambda request: Response(302, headers={"Location": "/ui/"}))
        for path in ("/ui", "/ui/index.html"):
            router.add("GET", path, self._overview)
        router.add("GET", "/help", lambda request: pages.endpoints())
        router.add("GET", "/ping", ping)
        router.add("GET", "/config", lambda request: Response.json(facts.config()))
        router.add("GET", "/v2/info", lambda request: self._asker.look(self._about))
        router.add("GET", "/v2/leader", self._leader)
        router.add("DELETE", "/v2/leader", self._abdicate)
        router.add("GET", "/v2/plugins", lambda request: Response.json({"plugins": []}))

    async def _overview(self, request: Request) -> Response:
        return await self._asker.see(pages.overview)

    def _about(self, core: MarathonCore, now: float) -> Answer:
        info: dict[str, Any] = self._facts.info()
        return Answer(200, info | {"leader": self._facts.leader(), "frameworkId": core.books.framework_id})

    def _leader(self, request: Request) -> Response:
        return Response.json({"leader": self._known_leader()})

    def _abdicate(self, request: Request) -> Response:
        self._known_leader()
        for name in ("backup", "restore"):
            if request.parameter(name):
                raise Rejected(422, _NO_BACKUP.format(name))
        self._facts.abdicate()
        return Response.json({"message": "Leadership abdicated"})

    def _known_leader(self) -> str:
        leader = self._facts.leader()
        if not leader:
            raise HttpError(404, "There is no leader")
        return leader


def ping(request: Request) -> Response:
    """``pong`` in the form that is asked for first, of those that there are; 204 if it is none of them."""
    for wanted in request.headers.get("accept", "*/*").split(","):
        match wanted.partition(";")[0].strip().lower():
            case "" | "*/*" | "text/*" | "text/plain":
                return Response(200, b"pong", "text/plain")
            case "text/html":
                return Response(200, b"pong", "text/html")
            case "application/json" | "application/*":
                return Response.json("pong")
    return Response(204)
