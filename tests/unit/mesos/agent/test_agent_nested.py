"""Nested and standalone containers: what the core makes of calls, ends and restarts."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from headrace.kernel.process import Ended
from headrace.mesos.agent.core.containers import DOCKER, EXEC, POSIX, SESSION
from headrace.mesos.agent.core.events import ContainerAnswer, ContainerCalled, ContainerGivenUp, StartFailed
from headrace.mesos.agent.core.nested import ENDED_KEPT
from headrace.mesos.agent.core.nesting import id_of, path_of, problem_of_id
from headrace.mesos.agent.core.records import load
from headrace.mesos.messages.agent_operator import Call, Kill, Launch, LaunchContainer, OneContainer
from headrace.mesos.messages.common import (
    CommandInfo,
    CommandUri,
    ContainerID,
    ContainerInfo,
    DockerInfo,
    Environment,
    EnvironmentVariable,
)
from headrace.mesos.messages.common.containers import TTYInfo
from tests.unit.mesos.agent.agent_world import World, default, task

TASK = "c-1"
"""The container of the first task."""


class Operator:
    """Somebody who calls an agent on which the task ``t`` runs."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or _running()
        self.numbers = itertools.count(1000)
        self.last = 0

    def call(self, call: Call) -> ContainerAnswer | None:
        """The answer; None if there is none yet."""
        self.last = next(self.numbers)
        self.world.handle(ContainerCalled(self.last, call))
        return self.answer(self.last)

    def answer(self, number: int) -> ContainerAnswer | None:
        found: Any = self.world.answers.get(number)
        return found if isinstance(found, ContainerAnswer) else None

    def launch(self, path: str, command: str = "true", **more: Any) -> ContainerAnswer | None:
        launch = Launch(id_of(path), CommandInfo(command), **more)
        return self.call(Call("LAUNCH_NESTED_CONTAINER", launch_nested_container=launch))

    def session(self, path: str, **more: Any) -> ContainerAnswer | None:
        launch = Launch(id_of(path), CommandInfo("sh"), **more)
        return self.call(Call("LAUNCH_NESTED_CONTAINER_SESSION", launch_nested_container_session=launch))

    def standalone(self, name: str, **more: Any) -> ContainerAnswer | None:
        launch = LaunchContainer(ContainerID(name), CommandInfo("true"), **more)
        return self.call(Call("LAUNCH_CONTAINER", launch_container=launch))

    def run(self, path: str) -> None:
        """Launch it and have it run."""
        assert (self.launch(path) if "." in path else self.standalone(path)) is None
        self.world.start(path)
        assert self.answer(self.last) == ContainerAnswer(200)

    def wait(self, path: str) -> ContainerAnswer | None:
        return self.call(Call("WAIT_NESTED_CONTAINER", wait_nested_container=OneContainer(id_of(path))))

    def kill(self, path: str, signal: int | None = None) -> ContainerAnswer | None:
        return self.call(Call("KILL_NESTED_CONTAINER", kill_nested_container=Kill(id_of(path), signal)))

    def remove(self, path: str) -> ContainerAnswer | None:
        return self.call(Call("REMOVE_NESTED_CONTAINER", remove_nested_container=OneContainer(id_of(path))))


def _running(**more: Any) -> World:
    world = World()
    world.register()
    world.run(task("t", **more))
    world.start(TASK)
    return world


@pytest.fixture
def operator() -> Operator:
    return Operator()


def test_it_is_started_with_what_its_task_has() -> None:
    environment = Environment([EnvironmentVariable("A", "1"), EnvironmentVariable("B", "2")])
    operator = Operator(_running(command=CommandInfo("sleep", environment=environment, user="kim")))
    own = Environment([EnvironmentVariable("B", "3")])
    launch = Launch(id_of("c-1.x"), CommandInfo("true", environment=own))
    assert operator.call(Call("LAUNCH_NESTED_CONTAINER", launch_nested_container=launch)) is None
    spec = operator.world.specs["c-1.x"]
    assert spec.inside == TASK
    assert spec.variables == {"MESOS_TASK_ID": "t"}
    assert spec.command is not None
    assert spec.command.user == "kim"
    assert spec.command.environment == Environment([*(environment.variables or []), *(own.variables or [])])
    assert (spec.place.framework_id, spec.place.executor_id, spec.place.container_id) == ("fw", "t", "c-1.x")


def test_a_launch_is_answered_when_it_runs_or_can_not(operator: Operator) -> None:
    operator.run("c-1.x")
    assert operator.launch("c-1.x") == ContainerAnswer(202)
    assert operator.launch("c-1.y") is None
    operator.world.handle(StartFailed("c-1.y", "no room"))
    assert operator.answer(operator.last) == ContainerAnswer(400, "Failed to launch container: no room")
    assert operator.wait("c-1.y") == ContainerAnswer(404, "Container c-1.y cannot be found")
    assert [one.spec.place.container_id for one in load(operator.world.store).nested] == ["c-1.x"]


def test_who_waits_for_one_that_can_not_be_started_is_told(operator: Operator) -> None:
    operator.launch("c-1.x")
    assert operator.wait("c-1.x") is None
    operator.world.handle(StartFailed("c-1.x", "no room"))
    assert operator.answer(operator.last) == ContainerAnswer(400, "no room")


@pytest.mark.parametrize(
    ("parent", "why"),
    [
        ("none", "Parent container none does not exist"),
        ("c-1.none", "Parent container c-1.none does not exist"),
        ("c-2", "Parent container c-2 does not run yet, or not any more"),
    ],
)
def test_its_parent_must_run(operator: Operator, parent: str, why: str) -> None:
    operator.world.run(task("t2"))  # c-2, which has not started
    assert operator.launch(f"{parent}.x") == ContainerAnswer(400, why)


@pytest.mark.parametrize(
    ("container", "field"),
    [
        (ContainerInfo("DOCKER", docker=DockerInfo("image")), "container.type"),
        (ContainerInfo("MESOS", hostname="h"), "container.hostname"),
        (ContainerInfo("MESOS", tty_info=TTYInfo()), "container.tty_info"),
    ],
)
def test_it_may_not_ask_for_what_its_parent_would_have_to_give(
    operator: Operator, container: ContainerInfo, field: str
) -> None:
    answer = operator.launch("c-1.x", container=container)
    assert answer is not None
    assert answer.status == 400
    assert answer.text.startswith(field)
    assert operator.launch("c-1.x") is None


def test_waiting_killing_removing(operator: Operator) -> None:
    operator.run("c-1.x")
    assert operator.wait("c-1.x") is None
    waiting = operator.last
    assert operator.remove("c-1.x") == ContainerAnswer(500, "Nested container has not terminated yet")
    assert operator.kill("c-1.x", 15) == ContainerAnswer(200)
    assert operator.kill("c-1.x") == ContainerAnswer(200)
    assert operator.world.signals == [("c-1.x", False), ("c-1.x", True)]
    operator.world.end("c-1.x", Ended(137, 9))
    told = operator.answer(waiting)
    assert told is not None
    assert told.waited is not None
    assert told.waited.exit_status == 9
    assert operator.wait("c-1.x") == told
    gone = ContainerAnswer(404, "Container 'c-1.x' cannot be found (or is already killed)")
    assert operator.kill("c-1.x") == gone
    assert operator.remove("c-1.x") == ContainerAnswer(200)
    assert operator.remove("c-1.x") == ContainerAnswer(200)
    assert operator.world.removed == ["c-1.x"]
    assert not load(operator.world.store).nested


def test_what_is_killed_before_it_runs_is_killed_when_it_does(operator: Operator) -> None:
    operator.launch("c-1.x")
    assert operator.kill("c-1.x") == ContainerAnswer(200)
    assert not operator.world.signals
    operator.world.start("c-1.x")
    assert operator.world.signals == [("c-1.x", True)]


def test_all_that_is_nested_ends_with_its_task(operator: Operator) -> None:
    for path in ("c-1.x", "c-1.x.y", "c-1.z", "alone"):
        operator.run(path)
    operator.world.end("c-1.z", Ended(0))
    assert operator.wait("c-1.x.y") is None
    waiting = operator.last
    operator.world.end(TASK, Ended(0))
    assert sorted(operator.world.signals) == [("c-1.x", True), ("c-1.x.y", True)]
    operator.world.end("c-1.x", Ended(137, 9))
    operator.world.end("c-1.x.y", Ended(137, 9))
    told = operator.answer(waiting)
    assert told is not None
    assert told.status == 200
    assert operator.wait("c-1.x") == ContainerAnswer(404, "Container c-1.x cannot be found")
    assert [one.spec.place.container_id for one in load(operator.world.store).nested] == ["alone"]


def test_what_is_nested_in_a_nested_container_ends_with_it(operator: Operator) -> None:
    operator.run("c-1.x")
    operator.run("c-1.x.y")
    operator.world.end("c-1.x", Ended(0))
    assert operator.world.signals == [("c-1.x.y", True)]
    operator.world.end("c-1.x.y", Ended(137, 9))
    told = operator.wait("c-1.x.y")
    assert told is not None
    assert told.waited is not None


def test_in_a_group_a_container_is_the_tasks_or_beside_them() -> None:
    world = World()
    world.register()
    world.run_group(default(), task("t"))
    container = world.starting[0]
    executor = world.specs[container].place.parent_id
    world.start(container)
    operator = Operator(world)
    operator.run(f"{executor}.{container}.x")
    assert world.specs[f"{executor}.{container}.x"].inside == container
    operator.run(f"{executor}.y")
    spec = world.specs[f"{executor}.y"]
    assert (spec.inside, spec.place.parent_id) == ("", executor)
    assert operator.launch(f"{container}.z") == ContainerAnswer(400, f"Parent container {container} does not exist")
    world.end(container, Ended(0))
    assert world.signals == [(f"{executor}.{container}.x", True)]


def test_a_session_ends_with_the_connection_that_holds_it(operator: Operator) -> None:
    assert operator.session("c-1.s", container=ContainerInfo("MESOS", tty_info=TTYInfo())) is None
    assert operator.world.specs["c-1.s"].kind == SESSION
    operator.world.start("c-1.s")
    launched = operator.last
    assert operator.session("c-1.s") == ContainerAnswer(202)
    operator.world.handle(ContainerGivenUp("c-1.s", operator.last))
    assert not operator.world.signals, "it is not that client's"
    operator.world.handle(ContainerGivenUp("c-1.s", launched))
    assert operator.world.signals == [("c-1.s", True)]


def test_a_session_does_not_end_with_the_connection_of_one_that_had_its_name(operator: Operator) -> None:
    operator.session("c-1.s")
    operator.world.start("c-1.s")
    operator.world.end("c-1.s", Ended(0))
    first = operator.last
    operator.remove("c-1.s")
    operator.world.ever_started.remove("c-1.s")
    operator.session("c-1.s")
    operator.world.start("c-1.s")
    operator.world.handle(ContainerGivenUp("c-1.s", first))
    assert not operator.world.signals


def test_a_container_goes_on_when_nobody_waits_for_it_any_more(operator: Operator) -> None:
    operator.run("c-1.x")
    operator.wait("c-1.x")
    operator.world.handle(ContainerGivenUp("c-1.x", operator.last))
    operator.world.end("c-1.x", Ended(0))
    assert operator.answer(operator.last) is None
    assert not operator.world.signals


def test_in_a_docker_container_there_are_sessions_only() -> None:
    world = World(containerizers=(POSIX, DOCKER))
    world.register()
    world.run(task("t", container=ContainerInfo("DOCKER", docker=DockerInfo("image"))))
    world.start(TASK)
    operator = Operator(world)
    refused = operator.launch("c-1.x")
    assert refused is not None
    assert "only sessions" in refused.text
    assert operator.session("c-1.s") is None
    assert world.specs["c-1.s"].kind == EXEC


def test_files_are_fetched_first(operator: Operator) -> None:
    command = CommandInfo("true", uris=[CommandUri("/file")])
    launch = Launch(id_of("c-1.x"), command)
    assert operator.call(Call("LAUNCH_NESTED_CONTAINER", launch_nested_container=launch)) is None
    assert operator.world.fetching == {"c-1.x"}
    operator.world.crash()
    assert operator.world.fetching == {"c-1.x"}
    operator.world.fetched("c-1.x")
    operator.world.start("c-1.x")


def test_after_a_restart_they_are_as_they_were(operator: Operator) -> None:
    for path in ("c-1.x", "c-1.y", "alone"):
        operator.run(path)
    operator.launch("c-1.never")
    operator.world.running.remove("c-1.y")
    operator.world.ended["c-1.y"] = Ended(3)
    operator.world.crash()
    told = operator.wait("c-1.y")
    assert told is not None
    assert told.waited is not None
    assert told.waited.exit_status == 3 << 8
    assert operator.wait("c-1.never") == ContainerAnswer(404, "Container c-1.never cannot be found")
    assert operator.wait("c-1.x") is None
    operator.world.end("c-1.x", Ended(0))
    assert operator.answer(operator.last) is not None
    assert operator.wait("alone") is None


def test_only_so_many_ended_ones_are_remembered(operator: Operator) -> None:
    for number in range(ENDED_KEPT + 10):
        path = f"c-1.x{number}"
        operator.run(path)
        operator.world.end(path, Ended(0))
    assert len(operator.world.core.nested.containers) <= ENDED_KEPT + 1
    assert operator.wait("c-1.x0") == ContainerAnswer(404, "Container c-1.x0 cannot be found")
    assert operator.world.removed


def test_paths_are_ids() -> None:
    container_id = ContainerID("c", ContainerID("b", ContainerID("a")))
    assert path_of(container_id) == "a.b.c"
    assert id_of("a.b.c") == container_id


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "ID must not be empty"),
        ("a/b", "'a/b' contains invalid characters"),
        ("..", "'..' contains invalid characters"),
        ("a b", "'a b' contains invalid characters"),
        ("a\0", "'a\0' contains invalid characters"),
        ("x" * 300, "ID must not be greater than 255 characters"),
    ],
)
def test_ids_that_are_none(name: str, why: str) -> None:
    assert problem_of_id(ContainerID(name)) == why
    below = problem_of_id(ContainerID("x", ContainerID(name)))
    assert below is not None


def test_an_id_that_is_nested_endlessly_is_refused() -> None:
    container_id = ContainerID("x")
    for _ in range(5000):
        container_id = ContainerID("x", container_id)
    assert "too deeply" in (problem_of_id(container_id) or "")
