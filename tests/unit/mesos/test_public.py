"""What must stay between a framework and its tasks is in no view: a secret is planted wherever one can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.kernel.clock import SystemClock
from headrace.kernel.http.messages import Request
from headrace.kernel.process import Ended
from headrace.mesos.agent.api import views as agent_views
from headrace.mesos.agent.api.statistics import Measured, shown_containers, v0_container, v0_statistics
from headrace.mesos.agent.core.containers import DOCKER, POSIX
from headrace.mesos.master.api.views import Views
from headrace.mesos.messages.common import ExecutorInfo, TaskInfo
from headrace.mesos.public import public_form
from tests.unit.mesos.agent import agent_world
from tests.unit.mesos.agent.test_agent_operator_api import Door, FakeShell, said
from tests.unit.mesos.master.master_world import World

SECRET = "aHVudGVy"  # also base64, of what is below
DECODED = "hunter"
COMMAND: dict[str, Any] = {
    "value": "run",
    "user": "nobody",
    "environment": {
        "variables": [{"name": "PASSWORD", "value": SECRET}, {"name": "x", "secret": {"value": {"data": SECRET}}}]
    },
    "uris": [
        {"value": f"https://me:{SECRET}@host/a/b.tgz?token={SECRET}#{SECRET}", "extract": False},
        {"value": f"https://host/b?sig={SECRET}@x"},
        {"value": "/local/file"},
    ],
}
IMAGE = {"type": "DOCKER", "docker": {"name": "image", "config": {"value": {"data": SECRET}}}}
VOLUMES: list[dict[str, Any]] = [
    {"container_path": "a", "mode": "RW", "source": {"type": "SECRET", "secret": {"value": {"data": SECRET}}}},
    {
        "container_path": "b",
        "mode": "RW",
        "source": {
            "type": "DOCKER_VOLUME",
            "docker_volume": {"name": "vol", "driver_options": {"parameter": [{"key": "pw", "value": SECRET}]}},
        },
    },
    {"container_path": "c", "mode": "RO", "image": IMAGE},
]
KEYS = ("env", "env-file", "label", "label-file", "e", "mount", "log-opt", "storage-opt", "--env")
PARAMETERS = [{"key": key, "value": f"K={SECRET}"} for key in KEYS] + [{"key": "cap-add", "value": "NET_ADMIN"}]
CONTAINER: dict[str, Any] = {
    "type": "MESOS",
    "volumes": VOLUMES,
    "docker": {"image": "i", "parameters": PARAMETERS},
    "mesos": {"image": IMAGE},
}
HTTP = {"port": 80, "path": f"/health?key={SECRET}"}
HEALTH_CHECK = {"type": "COMMAND", "command": COMMAND, "http": HTTP}
CHECK = {"type": "COMMAND", "command": {"command": COMMAND}, "http": HTTP}
EXECUTOR: dict[str, Any] = {
    "executor_id": {"value": "e"},
    "type": "CUSTOM",
    "command": COMMAND,
    "container": CONTAINER,
    "data": SECRET,
}
TASK: dict[str, Any] = {
    "name": "t",
    "task_id": {"value": "t"},
    "agent_id": {"value": "a"},
    "container": CONTAINER,
    "health_check": HEALTH_CHECK,
    "check": CHECK,
    "data": SECRET,
}


@pytest.mark.parametrize("own", [{"command": COMMAND}, {"executor": EXECUTOR}], ids=["command", "executor"])
def test_nothing_secret_is_in_the_public_form_of_a_task(own: dict[str, Any]) -> None:
    text = msgspec.json.encode(public_form(msgspec.convert(TASK | own, TaskInfo))).decode()
    assert SECRET not in text
    for shown in ('"run"', "nobody", "https://host/a/b.tgz", "/local/file", "NET_ADMIN", '"/health"', '"vol"', "image"):
        assert shown in text


def test_nothing_secret_is_in_the_public_form_of_an_executor() -> None:
    shown = public_form(msgspec.convert(EXECUTOR, ExecutorInfo))
    assert SECRET not in msgspec.json.encode(shown).decode()
    assert shown.executor_id.value == "e"


def test_what_has_no_secrets_is_shown_as_it_is() -> None:
    bare = {name: TASK[name] for name in ("name", "task_id", "agent_id")}
    info = msgspec.convert(bare | {"command": {"value": "x"}, "container": {"type": "MESOS"}}, TaskInfo)
    assert public_form(info) == info


def test_no_view_of_the_master_shows_a_secret() -> None:
    world = World()
    agent, framework = world.agent(cpus=8, mem=8192, disk=64), world.framework()
    container = {"type": "DOCKER", "docker": CONTAINER["docker"], "volumes": VOLUMES[1:2]}
    command = COMMAND | {"environment": {"variables": COMMAND["environment"]["variables"][:1]}}
    executor = framework.executor("e") | EXECUTOR | {"container": container, "command": command}
    for name, own in (("t1", {"command": command}), ("t2", {"command": None, "executor": executor})):
        health_check = {"type": "COMMAND", "command": command}
        more = own | {"container": container, "health_check": health_check, "data": SECRET}
        framework.accept(framework.task(name, agent, **more))
    assert not [status.message for status in framework.statuses], "both are launched"
    views = Views(world.books, {}, "ours", SystemClock()).paths()
    bodies = {
        path: bytes(body)
        for path in ("/state", "/tasks", "/frameworks", "/slaves", "/state-summary")
        if isinstance(body := views[path](Request("GET", path, "", {}, b"")).body, bytes)
    }
    assert len(bodies) == 5
    assert not [path for path, body in bodies.items() if SECRET in body.decode()]
    shown = json.loads(bodies["/tasks"])["tasks"]
    assert [task["container"]["docker"]["image"] for task in shown] == ["i", "i"]


AGENT_CALLS = (
    *("GET_STATE", "GET_EXECUTORS", "GET_TASKS", "GET_CONTAINERS", "GET_FRAMEWORKS", "GET_OPERATIONS", "GET_AGENT"),
    *("GET_HEALTH", "GET_FLAGS", "GET_VERSION", "GET_METRICS", "GET_LOGGING_LEVEL", "GET_RESOURCE_PROVIDERS"),
)
ENDS: dict[str, list[str]] = {
    "it runs": ["c-1", "c-2"],
    "it has ended, and nobody has acknowledged it": ["c-1"],
    "it is over": [],
}


@pytest.mark.parametrize("running", ENDS.values(), ids=ENDS)
async def test_no_view_of_an_agent_shows_a_secret(tmp_path: Path, running: list[str]) -> None:
    door = Door(tmp_path)
    world = door.world = agent_world.World(containerizers=(POSIX, DOCKER))
    world.register()
    docker = {"type": "DOCKER", "docker": CONTAINER["docker"], "volumes": VOLUMES[1:2]}
    checks = {"health_check": HEALTH_CHECK | {"http": None}, "data": SECRET}
    given = TASK | {"agent_id": {"value": "S0"}, "container": docker, "command": COMMAND} | checks
    world.run(msgspec.convert(given, TaskInfo))
    executor = EXECUTOR | {"container": docker}
    world.run(msgspec.convert(given | {"task_id": {"value": "u"}, "command": None, "executor": executor}, TaskInfo))
    for container_id in ("c-1", "c-2"):
        world.fetched(container_id)
        world.start(container_id)
    world.subscribe("e")
    world.says("u", "TASK_RUNNING")
    for container_id in ("c-1", "c-2"):
        if container_id not in running:
            world.end(container_id, Ended(0))
    if not running:
        world.acknowledge_all()
    door.containers.attach(FakeShell(world), world.core)  # type: ignore[arg-type]
    bodies = {kind: said(await door.ask({"type": kind}, accept="application/json")) for kind in AGENT_CALLS}
    state = agent_views.state(world.core, started=0.0, port=1, master="", flags={}, directory=lambda _: "d")
    bodies["/state"] = msgspec.json.encode(state).decode()
    shown = shown_containers(world.core, nested=True, standalone=True)
    nothing = Measured(0.0, {})
    bodies["/containers"] = msgspec.json.encode([v0_container(one, nothing) for one in shown]).decode()
    bodies["/monitor/statistics"] = msgspec.json.encode([v0_statistics(one, nothing) for one in shown]).decode()
    bodies["/story"] = msgspec.json.encode([world.core.stories.of(of) for of in ("agent", "fw/t", "fw/u")]).decode()
    assert not [where for where, body in bodies.items() if SECRET in body or DECODED in body]
    executors = json.loads(bodies["GET_EXECUTORS"])["get_executors"]
    infos = [one["executor_info"] for one in executors["executors"] + executors["completed_executors"]]
    assert sorted(info["executor_id"]["value"] for info in infos) == ["e", "t"]
    assert len(executors["completed_executors"]) == 2 - len(running)
    tasks = json.loads(bodies["GET_TASKS"])["get_tasks"]
    assert {one["container"]["docker"]["image"] for kind in tasks.values() for one in kind} == {"i"}
    assert {one["health_check"]["command"]["value"] for kind in tasks.values() for one in kind} == {"run"}
