"""What SIGTERM means: a table of what the supervisor says, and how its answers are read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.flink.appmaster.events import Stop
from headrace.flink.appmaster.stopping import App, Situation, decide, read_actions, read_app
from headrace.flink.cluster import ASK
from headrace.kernel.daemon import UserError
from tests.unit.flink.observing import Built

D, S, R = Stop.DESTROY, Stop.SUSPEND, Stop.RESTART
SCALES, STOPS, RESTARTS = ({f"{name}Application"} for name in ("Scale", "Stop", "Restart"))


def app(instances: int = 1, others: int = 0, actions: set[str] = frozenset(), exists: bool = True) -> App:  # type: ignore[assignment]
    return App(exists, instances, others, frozenset(actions))


@pytest.mark.parametrize(
    ("said", "stop"),
    [
        (None, S),  # no answer, or not Marathon's
        (app(exists=False), S),  # Marathon may have lost its store
        (app(exists=False, actions=SCALES), S),
        (app(exists=False, actions=STOPS), D),
        (app(actions=STOPS), D),  # the original still shows an app that it has begun to stop
        (app(0), S),
        (app(0, actions=SCALES), S),
        (app(1), R),  # killed, or unhealthy: another task follows
        (app(1, actions=RESTARTS), R),
        (app(1, 1, RESTARTS), R),  # the next one is there already
        (app(1, 2, SCALES), D),  # one too many
        (app(2, 2, SCALES), D),
        (app(1, 0, SCALES), R),  # one is to stay, and the others do not run yet
        (app(3, 2, SCALES), R),  # killed while the app is scaled up
        (app(3, 2), R),
        (app(2, 2), R),  # a successor that starts early is no reason to lose jobs
    ],
)
def test_what_marathon_wants(said: App | None, stop: Stop) -> None:
    situation = Situation(ASK, supervised=True, files_stay=True, store_stays=True)
    assert decide(situation, said).stop is stop


@pytest.mark.parametrize(
    ("said", "stop"),
    [(None, S), (app(exists=False, actions=STOPS), D), (app(0), S), (app(1), S), (app(1, 2, SCALES), D)],
)
def test_without_a_store_that_outlives_the_task_there_is_no_restart(said: App | None, stop: Stop) -> None:
    situation = Situation(ASK, supervised=True, files_stay=True, store_stays=False)
    assert decide(situation, said).stop is stop


def test_one_that_stands_by_is_not_one_too_many() -> None:
    """With ZooKeeper the instances have one cluster in common: scaled down, it goes on."""
    situation = Situation(ASK, supervised=True, files_stay=True, store_stays=True, standbys=True)
    assert decide(situation, app(1, 2, SCALES)).stop is R
    assert decide(situation, app(exists=False, actions=STOPS)).stop is D


@pytest.mark.parametrize(
    ("choice", "files_stay", "store_stays", "stop"),
    [
        (ASK, False, True, D),
        (ASK, True, True, S),
        ("destroy", True, True, D),
        ("suspend", False, False, S),
        ("restart", True, True, R),
        ("restart", True, False, S),
    ],
)
def test_nobody_supervises(choice: str, files_stay: bool, store_stays: bool, stop: Stop) -> None:
    situation = Situation(choice, supervised=False, files_stay=files_stay, store_stays=store_stays)
    assert decide(situation, None).stop is stop


@pytest.mark.parametrize("choice", ["destroy", "suspend", "restart"])
def test_who_says_what_it_means_is_not_asked_about_it(choice: str) -> None:
    situation = Situation(choice, supervised=True, files_stay=True, store_stays=True)
    assert decide(situation, app(exists=False)).stop is Stop(choice)


def test_the_option(tmp_path: Any) -> None:
    name = "headrace.appmaster.on-stop"
    assert Built([], tmp_path).cluster.on_stop == "ask"
    assert Built([f"-D{name}=Suspend"], tmp_path).cluster.on_stop == "suspend"
    with pytest.raises(UserError, match=f"{name} is 'stay'; it must be one of ask, destroy, suspend, restart"):
        Built([f"-D{name}=stay"], tmp_path)


TASKS = [
    {"id": "mine", "state": "TASK_RUNNING"},
    {"id": "b", "state": "TASK_RUNNING"},
    {"id": "c", "state": "TASK_KILLING"},
    {"id": "d", "state": "TASK_STAGING"},
]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, {"app": {"id": "/a/b", "instances": 3, "tasks": TASKS}}, app(3, 1)),
        (200, {"app": {"id": "/a/b", "instances": 0}}, app(0, 0)),
        (404, {"message": "App '/a/b' does not exist"}, app(exists=False)),
        (404, {"message": "App '/c' does not exist"}, None),
        (404, {"message": "There is nothing at /v2/apps/a/b"}, None),
        (404, "not found", None),
        (401, {"message": "Invalid username or password."}, None),
        (503, {"message": "Could not determine the current leader"}, None),
        (200, {"app": {"instances": "many"}}, None),
        (200, [], None),
    ],
)
def test_what_is_not_marathons_answer_is_none(status: int, body: object, said: App | None) -> None:
    found = read_app(status, msgspec.json.encode(body), "/a/b", "mine")
    assert found == (msgspec.structs.replace(said, instances=1) if said is not None and not said.exists else said)
    assert read_app(status, b"<html>", "/a/b", "mine") is None


@pytest.mark.parametrize(
    "steps",
    [
        [{"actions": [{"action": "StopApplication", "app": "/a"}, {"action": "ScaleApplication", "app": "/b"}]}],
        [[{"action": "StopApplication", "app": "/a"}], [{"action": "ScaleApplication", "app": "/b"}]],
    ],
)
def test_actions_of_deployments(steps: object) -> None:
    body = msgspec.json.encode([{"id": "x", "steps": steps, "currentActions": []}])
    assert read_actions(body, "/a") == STOPS
    assert read_actions(body, "/b") == SCALES
    assert read_actions(body, "/c") == set()
    assert read_actions(b"<html>", "/a") == set()
