"""The v0 endpoints have every field of the recorded ones, of the same type, where ours mean to have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.kernel.clock import ManualClock
from headrace.kernel.http import Request
from headrace.mesos.master.api.views import Views
from headrace.mesos.messages.common import AgentInfo, Label, Labels
from headrace.mesos.resources import Resources
from tests.unit.mesos.master.master_world import FakeAgent, World

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "oper_08_v0_master.bodies.json").read_text())

LEFT_OUT = {
    **dict.fromkeys(
        ("git_sha", "git_tag", "build_date", "build_time", "build_user"), "how the original was built; ours was not"
    ),
    "log_dir": "logs go to stderr",
    "quota": "quota is not supported yet",
}
"""Fields that ours do not have, and why."""


@pytest.fixture
def answers() -> dict[str, Any]:
    """What ours say of the recorded situation: one task done, one running, one offer out."""
    world = World()
    resources = Resources.of(cpus=8, mem=8192, disk=20480).with_ports(range(31000, 32001))
    first = FakeAgent(world, AgentInfo("h1", 5051, resources.messages()))
    first.register()
    labels = Labels([Label("DCOS_PACKAGE_NAME", "flink")])
    framework = world.framework("anchor", webui_url="http://ui", labels=labels)
    framework.accept(framework.task("v0-done", first), framework.task("v0-run-0", first))
    for state in ("TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"):
        framework.acknowledge(first.update("v0-done", state))
    framework.acknowledge(first.update("v0-run-0", "TASK_RUNNING"))
    views = Views(world.books, {"port": "5050"}, "anchor", ManualClock(world.now)).paths()
    bodies: dict[str, Any] = {}
    for path in RECORDED:
        request = Request("GET", path, "", {}, b"")
        response = views[path.removeprefix("/master") or path](request)
        assert isinstance(response.body, bytes)
        bodies[path] = msgspec.json.decode(response.body)
    return bodies


def missing(recorded: Any, ours: Any, at: str) -> list[str]:
    """Fields of ``recorded`` that ``ours`` lack or have with another type."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        return [
            line
            for field, value in recorded.items()
            if field not in LEFT_OUT
            for line in (
                missing(value, ours[field], f"{at}.{field}") if field in ours else [f"{at}.{field} is missing"]
            )
        ]
    if isinstance(recorded, list) and isinstance(ours, list):
        if not recorded or not ours:
            return []
        name = recorded[0].get("name") if isinstance(recorded[0], dict) else None
        counterpart = next((item for item in ours if name is not None and item.get("name") == name), ours[0])
        return missing(recorded[0], counterpart, f"{at}[0]")
    numbers = (int, float)
    if isinstance(recorded, numbers) and isinstance(ours, numbers):
        return []
    return [] if type(recorded) is type(ours) else [f"{at} is {ours!r}, not {recorded!r}"]


OPEN = ("flags", "container_status", "ports", "attributes")
"""Objects whose fields depend on the set-up."""


@pytest.mark.parametrize("path", [path for path in RECORDED if path != "/metrics/snapshot"])
def test_fields(path: str, answers: dict[str, Any]) -> None:
    lines = missing(RECORDED[path], answers[path], path)
    assert [line for line in lines if not any(f".{field}" in line for field in OPEN)] == []


def test_metrics(answers: dict[str, Any]) -> None:
    ours = answers["/metrics/snapshot"]
    assert ours["master/tasks_running"] == 1.0
    assert ours["master/tasks_finished"] == 1.0
    assert ours["master/slaves_active"] == 1.0
    wanted = [
        name
        for name in RECORDED["/metrics/snapshot"]
        if name.startswith(("master/tasks_", "master/slaves_", "master/frameworks_", "master/cpus", "master/mem_"))
        and "revocable" not in name
    ]
    assert [name for name in wanted if name not in ours] == []


def test_state_counts_everything_once(answers: dict[str, Any]) -> None:
    state = answers["/master/state"]
    (slave,), (framework,) = state["slaves"], state["frameworks"]
    assert slave["used_resources"]["cpus"] + slave["offered_resources"]["cpus"] == slave["resources"]["cpus"] == 8.0
    assert framework["used_resources"] == slave["used_resources"]
    assert [task["id"] for task in framework["completed_tasks"]] == ["v0-done"]
    summary = answers["/master/state-summary"]["frameworks"][0]
    assert (summary["TASK_RUNNING"], summary["TASK_FINISHED"]) == (1, 1)


def test_labels_and_the_web_address_of_a_framework_are_shown(answers: dict[str, Any]) -> None:
    (framework,) = answers["/master/state"]["frameworks"]
    assert framework["webui_url"] == "http://ui"
    assert framework["labels"] == [{"key": "DCOS_PACKAGE_NAME", "value": "flink"}]
