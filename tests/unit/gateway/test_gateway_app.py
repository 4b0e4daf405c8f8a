"""The gateway's handlers, with daemons that answer, fail or are not there."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import headrace.gateway
from headrace.gateway import Gateway
from headrace.kernel.http import FileBody, HttpError, HttpServer, Request, Response, Router

STATIC = Path(headrace.gateway.__file__).parent / "static"


async def ask(gateway: Gateway, path: str, query: str = "") -> Response:
    answer = gateway(Request("GET", path, query, {}, b""))
    return await answer if isinstance(answer, Awaitable) else answer


def content(answer: Response) -> Any:
    assert isinstance(answer.body, bytes)
    return msgspec.json.decode(answer.body)


class Daemons:
    """One server that is master, marathon and agent at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = False
        router = Router()
        router.add("GET", "/master/state", self._state)
        router.add("GET", "/v2/apps", lambda request: Response.json({"apps": [{"id": "/<script>"}]}))
        router.add("GET", "/files/browse", self._browse)
        router.add("GET", "/files/read", self._read)
        self.server = HttpServer(router)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def _state(self, request: Request) -> Response:
        self.asked.append("state")
        if self.broken:
            return Response.text("the master is confused", 500)
        task = {"id": "t/1", "framework_id": "F", "slave_id": "S", "state": "TASK_RUNNING"}
        return Response.json(
            {
                "slaves": [{"id": "S", "pid": f"slave(1)@127.0.0.1:{self.server.port}"}],
                "frameworks": [{"id": "F", "tasks": [task]}],
            }
        )

    def _browse(self, request: Request) -> Response:
        path = request.parameter("path")
        return Response.json([{"path": f"{path}/stdout", "size": 3, "mode": "-rw-r--r--", "mtime": 1.0}])

    def _read(self, request: Request) -> Response:
        self.asked.append(request.parameter("path"))
        if request.parameter("offset") == "-1":
            return Response.json({"data": "", "offset": 1_000_000})
        return Response.json({"data": "<b>end</b>", "offset": int(request.parameter("offset"))})


async def test_the_overview_names_components_that_do_not_answer() -> None:
    gateway = Gateway(lambda: "http://127.0.0.1:9", lambda: "")
    components = content(await ask(gateway, "/api/overview"))["components"]
    assert "can't reach http://127.0.0.1:9" in components[0]["error"]
    assert components[1]["error"] == "is starting"
    gateway.close()


async def test_all_who_look_at_once_share_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.gateway.app._FRESH", 60)
    daemons = Daemons()
    await daemons.server.start()
    gateway = Gateway(lambda: daemons.url, lambda: daemons.url)
    first = content(await ask(gateway, "/api/overview"))
    assert [task["id"] for task in first["tasks"]] == ["t/1"]
    assert content(await ask(gateway, "/api/overview")) == first
    assert daemons.asked == ["state"]
    gateway.close()
    await daemons.server.stop()


async def test_an_error_answer_is_shown_with_its_status() -> None:
    daemons = Daemons()
    daemons.broken = True
    await daemons.server.start()
    gateway = Gateway(lambda: daemons.url, lambda: daemons.url)
    component = content(await ask(gateway, "/api/overview"))["components"][0]
    assert component["error"] == "answered 500: the master is confused"
    gateway.close()
    await daemons.server.stop()


async def test_a_sandbox_is_browsed_and_the_end_of_a_file_is_text() -> None:
    daemons = Daemons()
    await daemons.server.start()
    gateway = Gateway(lambda: daemons.url, lambda: daemons.url)
    handlers = gateway._sandboxes
    request = Request("GET", "/", "path=log", {}, b"")
    rows = content(await handlers.list(request, "F", "t/1"))
    assert rows == [{"name": "stdout", "size": 3, "directory": False, "mtime": 1.0}]
    answer = await handlers.download(Request("GET", "/", "", {}, b""), "F", "t/1", "log/a b")
    assert answer.body == b"<b>end</b>"
    assert answer.content_type == "text/plain; charset=utf-8"
    assert daemons.asked[-1] == "/frameworks/F/executors/t/1/runs/latest/log/a b"
    whole = await handlers.download(Request("GET", "/", "whole", {}, b""), "F", "t/1", "log/a b")
    assert whole.status == 307
    for name, status in (("../x", 400), ("a/../../x", 400)):
        with pytest.raises(HttpError) as caught:
            await handlers.download(request, "F", "t/1", name)
        assert caught.value.status == status
    with pytest.raises(HttpError) as caught:
        await handlers.list(request, "F", "unknown")
    assert caught.value.status == 404
    gateway.close()
    await daemons.server.stop()


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/static/page.js", 200), ("/static/..%2fapp.py", 404), ("/static/app.py", 404), ("/health", 200)],
)
async def test_only_the_pages_own_files_are_served(path: str, status: int) -> None:
    gateway = Gateway(lambda: "", lambda: "")
    answer = await ask(gateway, path.replace("%2f", "/") if status == 200 else path)
    assert answer.status == status
    if isinstance(answer.body, FileBody):
        assert answer.body.length == answer.body.path.stat().st_size > 0
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    gateway.close()


def test_the_page_needs_nothing_from_elsewhere_and_never_builds_markup() -> None:
    script = (STATIC / "page.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
    for name in ("index.html", "style.css"):
        assert not re.search(r"https?://|//cdn|@import|style=|onclick", (STATIC / name).read_text())
