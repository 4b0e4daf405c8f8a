"""Routes over an in-process core: paths as clients write them, pages, and what a large change costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from headrace.kernel.clock import ManualClock
from headrace.kernel.core import Reply
from headrace.kernel.http import Request, Response
from headrace.kernel.shell import Shell
from headrace.marathon.api.counts import Counts
from headrace.marathon.api.events import EventBus
from headrace.marathon.api.facts import Facts
from headrace.marathon.api.routes import Api
from headrace.marathon.core.events import ChangeGroup
from tests.unit.marathon.simulation import ORIGIN, Cluster


class Home:
    """A core, its API, and what the API told the daemon."""

    def __init__(self, **facts: Any) -> None:
        self.cluster = Cluster()
        self.counts = Counts(ManualClock(1_000_000.0))
        self.leader: str | None = "me:1"
        self.abdicated = 0
        told = Facts(
            leader=lambda: self.leader, info=lambda: {"name": "m"}, config=dict, abdicate=self._abdicate, **facts
        )
        self.api = Api(cast("Shell[Any]", self), EventBus(self.counts), self.counts, told)

    async def ask(self, make: Any) -> Any:
        """As the shell does, at once."""
        effects = self.cluster.core.handle(make(1), self.cluster.now)
        self.cluster._carry_out(effects)
        return next(one.value for one in effects if isinstance(one, Reply))

    async def __call__(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        path, _, query = path.partition("?")
        return await self.api(Request(method, path, query, headers, body))

    def _abdicate(self) -> None:
        self.abdicated += 1


@asynccontextmanager
async def home(**facts: Any) -> AsyncIterator[Home]:
    it = Home(**facts)
    it.cluster.create("/g/a", labels={"x": "<script>"}, instances=0)
    yield it


@pytest.mark.parametrize(
    "path",
    ["/v2/apps/g/a", "/v2/apps//g/a", "/v2/apps/g/a/", "/v2/apps///g//a//", "//v2/apps/g/a", "/v2//apps/g/a?embed=x"],
)
async def test_slashes_count_once(path: str) -> None:
    async with home() as it:
        assert (await it("GET", path)).status == 200


async def test_an_app_may_be_called_history() -> None:
    async with home() as it:
        assert b'"instances":[]' in cast("bytes", (await it("GET", "/v2/apps/g/a/history")).body)
        it.cluster.create("/g/history", instances=0)
        assert b'"id":"/g/history"' in cast("bytes", (await it("GET", "/v2/apps/g/history")).body)


async def test_head_and_options() -> None:
    async with home() as it:
        assert (await it("HEAD", "/v2/apps/g/a")).status == 200
        assert (await it("HEAD", "/v2/apps/none")).status == 404
        assert (await it("HEAD", "/v2/pods")).body == b""
        assert (await it("HEAD", "/v2/events")).body == b""
        options = await it("OPTIONS", "/v2/queue/")
        assert options.headers["Allow"] == "GET, HEAD, OPTIONS"
        assert (await it("OPTIONS", "/nothing")).status == 404
        assert (await it("PUT", "/v2/queue")).status == 405


@pytest.mark.parametrize(
    ("accept", "status", "kind", "body"),
    [
        ("*/*", 200, "text/plain", b"pong"),
        ("text/*", 200, "text/plain", b"pong"),
        ("text/html", 200, "text/html", b"pong"),
        ("application/json", 200, "application/json", b'"pong"'),
        ("image/png, application/json;q=0.5", 200, "application/json", b'"pong"'),
        ("image/png", 204, None, b""),
    ],
)
async def test_ping(accept: str, status: int, kind: str | None, body: bytes) -> None:
    async with home() as it:
        answer = await it("GET", "/ping", accept=accept)
        assert (answer.status, answer.content_type, answer.body) == (status, kind, body)


async def test_the_leader() -> None:
    async with home() as it:
        assert (await it("DELETE", "/v2/leader?restore=file:///x")).status == 422
        assert it.abdicated == 0
        assert (await it("DELETE", "/v2/leader")).status == 200
        assert it.abdicated == 1
        it.leader = None
        for method in ("GET", "DELETE"):
            answer = await it(method, "/v2/leader")
            assert (answer.status, answer.body) == (404, b'{"message":"There is no leader"}')


async def test_prometheus_can_be_switched_off_and_names_have_another_beginning() -> None:
    async with home(prometheus=False, metrics_prefix="mine") as it:
        assert (await it("GET", "/metrics/prometheus")).status == 404
        assert b'"mine.apps.active.gauge":{"value":1}' in cast("bytes", (await it("GET", "/metrics")).body)


async def test_the_page_lists_apps_and_deployments() -> None:
    async with home() as it:
        it.cluster.create("/stuck", constraints=[["hostname", "LIKE", "none"]])
        page = cast("bytes", (await it("GET", "/ui/")).body).decode()
        assert "<a href='../v2/apps/g/a'>/g/a</a></td><td>app</td><td>0</td><td>0</td><td></td>" in page
        assert "/stuck</a></td><td>app</td><td>0</td><td>1</td><td>yes</td><td>yes</td>" in page
        assert "<script" not in page


async def test_deployments_are_counted() -> None:
    async with home() as it:
        await it("POST", "/v2/apps", b'{"id": "/n", "cmd": "x"}')
        await it("POST", "/v2/apps", b'{"id": "/n", "cmd": "x"}')
        assert it.counts.counters["deployments.counter"] == 1


def test_new_service_ports_of_a_large_group_are_found_without_a_search_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, looks = Cluster(), 0
    taken = cluster.core.books.port_taken

    def counted(port: int) -> bool:
        nonlocal looks
        looks += 1
        return taken(port)

    monkeypatch.setattr(cluster.core.books, "port_taken", counted)
    apps = [{"id": f"a{number}", "cmd": "x", "instances": 0} for number in range(500)]
    body = {"apps": apps}
    answer = cluster.ask(lambda to: ChangeGroup(to, "/g", body, create=True, dry_run=False, force=False, origin=ORIGIN))
    assert answer.status == 201
    ports = {one.ports[0].service for one in cluster.core.books.apps.values()}
    assert ports == set(range(10_000, 10_500))
    assert looks < 5 * len(apps)


@pytest.mark.parametrize(
    ("path", "view"),
    [
        ("/v2/deployments", "headrace.marathon.api.routes.deployments"),
        ("/ui/", "headrace.marathon.api.pages.overview"),
        ("/metrics", "headrace.marathon.api.metrics.metrics"),
    ],
)
async def test_a_view_that_fails_ends_nothing(
    path: str, view: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("a bug")

    async with home() as it:
        with monkeypatch.context() as patch:
            patch.setattr(view, broken)
            answer = await it("GET", path)
        said = b'{"message":"This can\'t be shown: KeyError; the log of this Marathon says where"}'
        assert (answer.status, answer.body) == (500, said)
        assert "a bug" in caplog.text
        assert (await it("GET", path)).status == 200
