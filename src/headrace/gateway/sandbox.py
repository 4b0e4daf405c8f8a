"""A task's sandbox, through the ``/files`` API of the agent that it runs or ran on.

The agent decides what may be read; a path is only ever one below the sandbox of a known task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

import msgspec

from headrace.gateway.overview import MasterState
from headrace.kernel.http import HttpClient, HttpClientError, HttpError, Request, Response

_PIECE = 256 * 1024
"""How much of a file's end is shown, in bytes."""


class FileEntry(msgspec.Struct):
    """An entry of ``/files/browse``; ``path`` is the agent's."""

    path: str
    size: int = 0
    mode: str = ""
    mtime: float = 0.0


class _Piece(msgspec.Struct):
    data: str = ""
    offset: int = 0


class FileRow(msgspec.Struct):
    name: str
    size: int
    directory: bool
    mtime: float


class Sandboxes:
    """Handlers of the gateway's ``/api/tasks/{framework}/{task}/files``."""

    def __init__(self, http: HttpClient, state: Callable[[], Awaitable[MasterState]]) -> None:
        self._http = http
        self._state = state

    async def list(self, request: Request, framework: str, task: str) -> Response:
        """The files, or those of the directory that ``?path=`` names. Raises HttpError."""
        agent, sandbox = await self._find(framework, task)
        directory = _below(sandbox, request.parameter("path"))
        entries = msgspec.json.decode(await self._ask(agent, "browse", path=directory), type=list[FileEntry])
        rows = [FileRow(e.path.rpartition("/")[2], e.size, e.mode.startswith("d"), e.mtime) for e in entries]
        return Response.json(rows)

    async def download(self, request: Request, framework: str, task: str, name: str) -> Response:
        """The end of a file as text; with ``?whole`` the agent is asked for all of it. Raises HttpError."""
        agent, sandbox = await self._find(framework, task)
        path = _below(sandbox, name)
        if "whole" in request.query:
            return Response(307, headers={"Location": f"{agent}/files/download?path={quote(path, safe='')}"})
        size = msgspec.json.decode(await self._ask(agent, "read", path=path, offset="-1"), type=_Piece).offset
        start = max(0, size - _PIECE)
        answer = await self._ask(agent, "read", path=path, offset=str(start), length=str(_PIECE))
        text = msgspec.json.decode(answer, type=_Piece).data
        return Response.text(text, headers={"Cache-Control": "no-store"})

    async def _find(self, framework_id: str, task_id: str) -> tuple[str, str]:
        state = await self._state()
        agents = {agent.id: agent for agent in state.slaves}
        for task in state.tasks():
            if task.framework_id == framework_id and task.id == task_id and task.slave_id in agents:
                return agents[task.slave_id].url, task.sandbox
        raise HttpError(404, f"Task {task_id} of framework {framework_id} is not known, or its agent is gone")

    async def _ask(self, agent: str, what: str, **parameters: str) -> bytes:
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
        try:
            answer = await self._http.request("GET", f"{agent}/files/{what}?{query}", timeout=10)
        except HttpClientError as error:
            raise HttpError(502, str(error)) from None
        if answer.status != 200:
            raise HttpError(answer.status if answer.status in (403, 404) else 502, f"The agent says: {answer.message}")
        return answer.body


def _below(sandbox: str, name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise HttpError(400, f"{name!r} leaves the sandbox")
    return "/".join([sandbox, *parts])
