"""Asking the Marathon that runs our own task, with a server that plays master and Marathon."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace.flink import high_availability
from headrace.flink.appmaster.events import Stop
from headrace.flink.appmaster.finishing import STOP_LIMIT
from headrace.flink.appmaster.jobmanager import STOP_PATIENCE
from headrace.flink.appmaster.stopping import App
from headrace.flink.appmaster.supervision import IDLE_PATIENCE, PATIENCE, Supervision, situation
from headrace.flink.cluster import Cluster, resolve
from headrace.kernel.http import HttpServer, Request, Response

TASK = {"MARATHON_APP_ID": "/a/b", "MESOS_TASK_ID": "a_b.1", "MESOS_FRAMEWORK_ID": "F1"}


class World:
    """A master and a Marathon at one address; ``webui_url`` is what the master says of Marathon."""

    def __init__(self) -> None:
        self.server = HttpServer(self.answer)
        self.webui_url: str | None = None
        self.app: tuple[int, Any] = (200, {"app": {"instances": 1, "tasks": [{"id": "a_b.1"}]}})
        self.deployments: Any = []
        self.follows = False
        self.slow = 0.0
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def answer(self, request: Request) -> Response:
        self.asked.append(request.path)
        await asyncio.sleep(self.slow)
        framework = {"id": "F1", "webui_url": self.webui_url or self.url}
        match request.path:
            case "/master/frameworks" if self.follows:
                self.follows = False
                return Response.text("", 307, {"Location": f"//127.0.0.1:{self.server.port}/master/frameworks"})
            case "/master/tasks":
                return Response.json(
                    {"tasks": [{"id": "a_b.1", "framework_id": "F1"}, {"id": "x", "framework_id": ""}]}
                )
            case "/master/frameworks":
                return Response.json({"frameworks": [{"id": "F0", "webui_url": "http://127.0.0.1:1"}, framework]})
            case "/v2/apps/a/b":
                return Response.json(self.app[1], status=self.app[0])
            case "/v2/deployments":
                return Response.json(self.deployments)
        return Response.json({"message": "nothing here"}, status=404)

    def supervision(self, environment: dict[str, str] = TASK) -> Supervision:
        return Supervision(cluster(self.url, environment), environment)


def cluster(master: str, environment: dict[str, str], given: dict[str, str] | None = None) -> Cluster:
    options = high_availability.with_defaults({"mesos.master": master, **(given or {})}, environment, Path("/box"))
    return resolve(options, environment, "me")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    it = World()
    await it.server.start()
    yield it
    await it.server.stop()


@pytest.mark.parametrize("known", [True, False])
async def test_the_framework_of_our_own_task_is_asked(world: World, known: bool) -> None:
    """A container may not know the framework's id; the master does."""
    environment = {key: value for key, value in TASK.items() if known or key != "MESOS_FRAMEWORK_ID"}
    world.deployments = [{"steps": [{"actions": [{"action": "ScaleApplication", "app": "/a/b"}]}]}]
    found = await world.supervision(environment).app(patience=60)
    assert found == App(instances=1, actions=frozenset({"ScaleApplication"}))
    assert ("/master/tasks" in world.asked) is not known


async def test_a_master_that_does_not_lead_names_the_leader(world: World) -> None:
    world.follows = True
    assert await world.supervision().app(patience=60) == App()
    assert world.asked.count("/master/frameworks") == 2


async def test_a_destroyed_app(world: World) -> None:
    world.app = (404, {"message": "App '/a/b' does not exist"})
    world.deployments = [{"steps": [{"actions": [{"action": "StopApplication", "app": "/a/b"}]}]}]
    assert (await world.supervision().decide(patience=60)).stop is Stop.DESTROY


async def test_an_app_that_marathon_has_forgotten_is_not_destroyed(world: World) -> None:
    """It has come up with an empty store, or an old one: it kills what it does not know."""
    world.app = (404, {"message": "App '/a/b' does not exist"})
    assert (await world.supervision().decide(patience=60)).stop is Stop.SUSPEND


async def test_the_master_that_is_known_is_not_looked_for(world: World) -> None:
    """The address alone would lead nowhere."""
    lost = Supervision(cluster("127.0.0.1:1", TASK), TASK)
    assert (await lost.decide(patience=60)).stop is Stop.SUSPEND
    assert world.asked == []
    found = await lost.decide(world.url, patience=60)
    assert found.why == "its app goes on, but no later task would find its workers"


async def test_a_silent_zookeeper_is_not_waited_for() -> None:
    """It accepts and says nothing; kazoo alone takes ten seconds to give up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        supervision = Supervision(cluster(f"zk://127.0.0.1:{silent.getsockname()[1]}/mesos", TASK), TASK)
        began = asyncio.get_running_loop().time()
        assert await supervision.app(patience=0.1) is None
        assert asyncio.get_running_loop().time() - began < 9


@pytest.mark.parametrize(
    ("webui_url", "app"),
    [
        ("", (200, {})),
        ("http://127.0.0.1:1", (200, {})),
        ("ftp://x", (200, {})),
        ("https://127.0.0.1:1", (200, {})),  # this process has no TLS
        (None, (401, {"message": "who are you"})),
        (None, (404, {"message": "no such page"})),
        (None, (500, "broken")),
    ],
)
async def test_without_an_answer_nothing_is_lost(world: World, webui_url: str | None, app: tuple[int, Any]) -> None:
    world.webui_url, world.app = webui_url, app
    assert await world.supervision().app(patience=60) is None
    assert (await world.supervision().decide(patience=60)).stop is Stop.SUSPEND


async def test_an_answer_is_not_waited_for_for_long(world: World) -> None:
    world.slow = 5
    assert await world.supervision().app(patience=0.05) is None


def test_there_is_time_for_the_question_and_for_what_follows_it() -> None:
    """The JobManager ends meanwhile; a teardown follows, unless nothing runs any more; SIGKILL comes after 3 s."""
    assert STOP_PATIENCE <= PATIENCE <= STOP_LIMIT - 1
    assert PATIENCE < IDLE_PATIENCE < 3


async def test_nobody_is_asked_where_nobody_supervises(world: World) -> None:
    assert await world.supervision({}).app() is None
    assert (await world.supervision({}).decide()).stop is Stop.DESTROY
    assert world.asked == []


DATA, APP = {"HEADRACE_DATA": "/data"}, {"MARATHON_APP_ID": "/a"}
NAMED = {"high-availability.storageDir": "/nfs", "high-availability.cluster-id": "one"}
ZOOKEEPER = {**NAMED, "high-availability.type": "zookeeper", "high-availability.zookeeper.quorum": "zk:2181"}


@pytest.mark.parametrize(
    ("given", "environment", "supervised", "files", "store"),
    [
        ({}, {}, False, False, True),  # by hand: the next start in this directory finds it
        (NAMED, {}, False, True, True),
        (ZOOKEEPER, {}, False, True, True),
        ({"high-availability.type": "NONE"}, {}, False, False, False),
        ({}, APP | {"MESOS_TASK_ID": "t"}, True, False, False),
        ({}, APP | DATA | {"MESOS_TASK_ID": "t"}, True, True, True),
        (NAMED, APP | {"MESOS_TASK_ID": "t"}, True, True, False),
        (NAMED | {"headrace.appmaster.store": "zk://h/x"}, APP | {"MESOS_TASK_ID": "t"}, True, True, True),
        ({"high-availability.type": "NONE"}, APP | DATA | {"MESOS_TASK_ID": "t"}, True, False, False),
    ],
)
def test_what_outlives_the_task(
    given: dict[str, str], environment: dict[str, str], supervised: bool, files: bool, store: bool
) -> None:
    found = situation(cluster("m:5050", environment, given), environment)
    assert (found.supervised, found.files_stay, found.store_stays) == (supervised, files, store)
