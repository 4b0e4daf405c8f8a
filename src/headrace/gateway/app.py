"""The gateway's HTTP side: the page, ``/api/overview``, a task's sandbox, ``/health``.

Nothing is polled: the daemons are asked when somebody looks, and what they answered serves all
who look within half a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from headrace.gateway.overview import Apps, Component, MasterState, Overview, overview
from headrace.gateway.sandbox import Sandboxes
from headrace.kernel.http import FileBody, HttpClient, HttpClientError, Request, Response, Router

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript"}
_FRESH = 0.5
_TIMEOUT = 5.0

# The page loads nothing from elsewhere and no script runs but its own.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

ContentT = TypeVar("ContentT", bound=msgspec.Struct)


class Gateway:
    """A handler for HttpServer. ``master`` and ``marathon`` tell their URLs, empty while unknown."""

    def __init__(self, master: Callable[[], str], marathon: Callable[[], str]) -> None:
        self._master = master
        self._marathon = marathon
        self._http = HttpClient(max_idle=2)
        self._sandboxes = Sandboxes(self._http, self._master_state)
        self._asking: asyncio.Task[Overview] | None = None
        self._answer: tuple[float, bytes] = (0.0, b"")
        self._router = Router()
        self._router.add("GET", "/", lambda request: _static("index.html"))
        self._router.add("GET", "/static/{name}", lambda request, name: _static(name))
        self._router.add("GET", "/health", lambda request: Response.json({"status": "ok"}))
        self._router.add("GET", "/api/overview", self._overview)
        self._router.add("GET", "/api/tasks/{framework}/{task}/files", self._sandboxes.list)
        self._router.add("GET", "/api/tasks/{framework}/{task}/files/{name:rest}", self._sandboxes.download)

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        return self._router(request)

    def close(self) -> None:
        """Drop the connections to the daemons."""
        self._http.close()

    async def _overview(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        if loop.time() - self._answer[0] > _FRESH:
            if self._asking is None:
                self._asking = loop.create_task(self._ask())
                self._asking.add_done_callback(self._asked)
            content = await asyncio.shield(self._asking)
            self._answer = (loop.time(), msgspec.json.encode(content))
        return Response(body=self._answer[1], content_type="application/json", headers={"Cache-Control": "no-store"})

    def _asked(self, asking: asyncio.Task[Overview]) -> None:
        self._asking = None

    async def _ask(self) -> Overview:
        (master, state), (marathon, apps) = await asyncio.gather(
            self._get("master", self._master(), "/master/state", MasterState),
            self._get("marathon", self._marathon(), "/v2/apps", Apps),
        )
        return overview([master, marathon], state, apps)

    async def _master_state(self) -> MasterState:
        _, state = await self._get("master", self._master(), "/master/state", MasterState)
        return state

    async def _get(self, name: str, url: str, path: str, type_: type[ContentT]) -> tuple[Component, ContentT]:
        if not url:
            return Component(name, url, "is starting"), type_()
        try:
            answer = await self._http.request("GET", url + path, timeout=_TIMEOUT)
            if answer.status != 200:
                return Component(name, url, f"answered {answer.status}: {answer.message}"), type_()
            return Component(name, url), msgspec.json.decode(answer.body, type=type_)
        except HttpClientError as error:
            return Component(name, url, str(error)), type_()
        except msgspec.DecodeError as error:
            return Component(name, url, f"sent what can't be read: {error}"), type_()


def _static(name: str) -> Response:
    path = _STATIC / name
    kind = _TYPES.get(path.suffix)
    if path.parent != _STATIC or kind is None or not path.is_file():
        return Response.json({"message": f"There is no file {name}"}, 404)
    return Response(body=FileBody(path, 0, path.stat().st_size), content_type=kind, headers=_HEADERS)
