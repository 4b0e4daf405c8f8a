"""The containerizer while answers of a fake engine are lost: nothing runs twice, nothing is declared dead."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.kernel.process import Ended, Found
from headrace.mesos.agent.core.containers import ContainerSpec, Fact, Place
from headrace.mesos.agent.core.events import ContainerEnded, ContainerFound, ContainerStarted, StartFailed
from headrace.mesos.agent.docker import containerizer, starting, watching
from headrace.mesos.agent.docker.containerizer import DockerContainerizer
from headrace.mesos.agent.docker.engine import (
    EngineAway,
    EngineConfig,
    EngineContainer,
    EngineError,
    EngineState,
    HostConfig,
)
from headrace.mesos.agent.docker.starting import Settings
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import CommandInfo, ContainerInfo, DockerInfo

SPEC = ContainerSpec(
    Place("a", "f", "t", "c1"), "t", CommandInfo("true"), container=ContainerInfo("DOCKER", docker=DockerInfo("i"))
)
FACT = Fact("c1")


class FakeEngine:
    """One container at most. ``before`` and ``after`` hold, by method, what to raise before or after doing it."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.status: str | None = None
        self.exit_code = 0
        self.out_of_memory = False
        self.labels: dict[str, str] = {}
        self.before: dict[str, list[Exception | Callable[[], None]]] = {}
        self.after: dict[str, list[Exception]] = {}
        self.done: list[str] = []
        self.changed = asyncio.Event()

    def close(self) -> None:
        pass

    def set(self, status: str | None, exit_code: int = 0) -> None:
        self.status, self.exit_code = status, exit_code
        self.changed.set()

    def _step(self, name: str, then: Callable[[], None] = lambda: None) -> None:
        if self.before.get(name):
            first = self.before[name].pop(0)
            if isinstance(first, Exception):
                raise first
            first()
        then()
        self.done.append(name)
        if self.after.get(name):
            raise self.after[name].pop(0)

    async def has_image(self, image: str) -> bool:
        return True

    async def create(self, name: str, body: dict[str, Any]) -> str:
        def then() -> None:
            if self.status is not None:
                raise EngineError(409, "the name is in use")
            self.status, self.labels = "created", body["Labels"]

        self._step("create", then)
        return "engine-id"

    async def start(self, container: str) -> None:
        self._step("start", lambda: self.set("running"))

    async def inspect(self, container: str) -> EngineContainer:
        self._step("inspect")
        if self.status is None:
            raise EngineError(404, "no such container")
        pid = 7 if self.status == "running" else 0
        state = EngineState(self.status, pid, self.exit_code, killed_for_memory=self.out_of_memory)
        return EngineContainer("engine-id", state, EngineConfig(self.labels, "SIGINT"), HostConfig("host"))

    async def wait(self, container: str) -> None:
        self._step("wait")
        while self.status == "running":
            self.changed.clear()
            await self.changed.wait()

    async def logs(self, container: str, since: str, follow: bool) -> AsyncIterator[list[tuple[int, bytes]]]:
        if follow:
            await asyncio.Event().wait()
        yield []

    async def kill(self, container: str, signal: str) -> None:
        self._step("kill", lambda: self.set("exited", 137))
        self.done.append(signal)

    async def remove(self, container: str) -> None:
        def then() -> None:
            if self.status == "running":
                raise EngineError(409, "it runs")
            self.set(None)

        self._step("remove", then)

    async def labelled(self, label: str, key: str) -> dict[str, str]:
        self._step("labelled")
        return {"c1": "engine-id"} if self.status is not None else {}


class World:
    def __init__(self, data: Path) -> None:
        self.data = data
        self.events: list[Any] = []
        self.changed = asyncio.Event()
        self.it = DockerContainerizer("/socket", Layout(data), Settings({}, "h:1"), self.post)
        self.engine: FakeEngine = self.it._engine  # type: ignore[assignment]

    def post(self, *events: Any) -> None:
        self.events += events
        self.changed.set()

    async def next(self) -> Any:
        async with asyncio.timeout(60):
            while not self.events:
                self.changed.clear()
                await self.changed.wait()
        return self.events.pop(0)

    async def began(self) -> None:
        self.it.start(SPEC)
        assert await self.next() == ContainerStarted("c1", 7)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(containerizer, "Engine", FakeEngine)
    monkeypatch.setattr(watching, "_STREAM_END", 0.0)
    for module in (containerizer, starting, watching):
        monkeypatch.setattr(module, "pauses", lambda: itertools.repeat(0.001))
    it = World(tmp_path)
    yield it
    it.it.stop()
    await asyncio.sleep(0)


async def test_a_start_whose_answer_is_lost_is_not_repeated(world: World) -> None:
    world.engine.after["start"] = [EngineAway("gone")]
    world.engine.before["inspect"] = [EngineAway("gone"), EngineError(500, "not yet")]
    await world.began()
    assert world.engine.done.count("start") == 1


async def test_a_start_that_did_not_get_through_is_repeated(world: World) -> None:
    world.engine.before["start"] = [EngineAway("gone"), EngineAway("gone")]
    await world.began()
    assert world.engine.done.count("start") == 1


async def test_a_container_whose_creation_was_not_answered_is_used(world: World) -> None:
    world.engine.after["create"] = [EngineAway("gone")]
    await world.began()
    assert world.engine.done.count("create") == 1


async def test_what_started_although_the_engine_refused_is_watched(world: World) -> None:
    world.engine.after["start"] = [EngineError(500, "context deadline exceeded")]
    await world.began()
    assert world.engine.status == "running"


async def test_a_refused_start_leaves_no_container(world: World) -> None:
    world.engine.before["start"] = [EngineError(400, "port is already allocated")]
    world.it.start(SPEC)
    assert await world.next() == StartFailed("c1", "port is already allocated")
    assert world.engine.status is None


async def test_another_ones_container_of_that_name_is_let_be(world: World) -> None:
    world.engine.status = "running"
    world.it.start(SPEC)
    assert await world.next() == StartFailed("c1", "the name is in use")
    assert world.engine.status == "running"


async def test_no_end_is_told_while_the_engine_is_away(world: World) -> None:
    world.engine.before["wait"] = [EngineAway("gone"), EngineError(500, "starting")]
    world.engine.before["inspect"] = []
    await world.began()
    world.engine.set("exited", 3)
    world.engine.before["inspect"] += [EngineAway("gone"), EngineError(503, "starting")]
    assert await world.next() == ContainerEnded("c1", Ended(3))
    assert not world.engine.before["inspect"]


async def test_a_container_that_somebody_removed_has_ended(world: World) -> None:
    await world.began()
    world.engine.set(None)
    assert await world.next() == ContainerEnded("c1", Ended(137, 9))


async def test_a_lack_of_memory_that_is_noted_after_the_end_is_told(world: World) -> None:
    await world.began()
    world.engine.before["inspect"] = [lambda: None, lambda: setattr(world.engine, "out_of_memory", True)]
    world.engine.set("exited", 137)
    ended = await world.next()
    assert ended.limitation.reason == "REASON_CONTAINER_LIMITATION_MEMORY"


async def test_a_signal_is_sent_again_until_the_engine_has_it(world: World) -> None:
    await world.began()
    world.engine.before["kill"] = [EngineAway("gone"), EngineAway("gone")]
    world.it.signal("c1", False)
    assert await world.next() == ContainerEnded("c1", Ended(137, 9))
    assert world.engine.done.count("kill") == 1
    assert "SIGINT" in world.engine.done


async def test_a_start_that_comes_through_after_the_agents_own_restart(world: World) -> None:
    world.engine.status, world.engine.labels = "created", {"headrace.container": "c1"}
    world.engine.before["remove"] = [lambda: world.engine.set("running")]
    assert await world.it.find([FACT]) == [ContainerFound("c1", Found.RUNNING, 7)]


async def test_a_container_that_was_never_started_is_cleared_away(world: World) -> None:
    world.engine.status, world.engine.labels = "created", {"headrace.container": "c1"}
    world.engine.before["remove"] = [EngineAway("gone")]
    assert await world.it.find([FACT]) == [ContainerFound("c1", Found.NEVER_STARTED)]
    assert world.engine.status is None


async def test_a_restart_without_an_engine_tells_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containerizer, "_FIND_PATIENCE", 0.01)
    world.engine.status, world.engine.labels = "running", {"headrace.container": "c1"}
    away = world.engine.before["labelled"] = [EngineAway("gone")] * 10_000
    assert await world.it.find([FACT]) == []
    world.it.signal("c1", True)  # nobody knows it yet; the core signals again when it is found
    world.it.start(SPEC_2)
    assert (await world.next()).container_id == "c2"
    away.clear()
    assert await world.next() == ContainerFound("c1", Found.RUNNING, 7)
    assert "kill" not in world.engine.done


SPEC_2 = ContainerSpec(Place("a", "f", "t", "c2"), "t", CommandInfo(), container=SPEC.container)
