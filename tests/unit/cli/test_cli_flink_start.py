"""How clusters are started: what is refused before an app is made, what the start tells, what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headrace.cli.commands import app as deployments
from headrace.cli.main import main
from tests.unit.cli.flink_stub import Stub, stub

APP, DEPLOYMENTS = "GET /v2/apps/flink/session", "GET /v2/deployments"
CREATED = (201, {"id": "/flink/session", "deployments": [{"id": "d"}]})


@pytest.fixture(scope="module")
def running() -> Iterator[Stub]:
    with stub() as it:
        yield it


@pytest.fixture
def world(running: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Marathon, master, agent and Flink in one; the deployment is done at the fourth look."""
    monkeypatch.setattr(deployments, "_POLL", 0.001)
    running.asked.clear()
    agent = {"id": "s", "hostname": "h", "pid": f"slave(1)@{running.url.removeprefix('http://')}"}
    tasks = [{"id": "f.1", "framework_id": "m", "slave_id": "s"}]
    labels = [{"key": "headrace.cluster", "value": "/flink/session"}]
    flink = {"id": "fw", "name": "Flink", "webui_url": running.url, "labels": labels}
    running.answers = {
        "POST /v2/apps": CREATED,
        APP: {"app": {}},
        DEPLOYMENTS: [[{"id": "d"}], [{"id": "d"}], [{"id": "d"}], []],
        "GET /master/state": {"frameworks": [{"id": "m", "tasks": tasks}, flink], "slaves": [agent]},
        "GET /files/download": b"the port is taken",
    }
    return running


def session(world: Stub, *options: str, status: int = 0) -> Result:
    servers = ["--marathon", world.url, "--master", world.url]
    result = CliRunner().invoke(main, ["flink", "session", *servers, *options])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result


def failed(status: int) -> dict[str, Any]:
    message = f"Command exited with status {status}"
    return {"app": {"lastTaskFailure": {"taskId": "f.1", "message": message, "state": "TASK_FAILED"}}}


def test_what_passes_is_told_once_and_waited_out(world: Stub) -> None:
    world.answers[APP] = failed(75)
    done = session(world)
    assert f"session /flink/session is up: {world.url}" in done.stdout
    assert done.stderr.count("the port is taken") == 1
    assert "Marathon tries again" in done.stderr


def test_a_start_that_never_succeeds_ends_with_the_timeout(world: Stub) -> None:
    world.answers |= {APP: failed(1), DEPLOYMENTS: [[{"id": "d"}]]}
    said = session(world, "--timeout", "0.05", status=4).stderr
    assert "deployment d is not complete after 0.05 s" in said
    assert said.count("the port is taken") == 1


def test_a_mistake_ends_the_wait(world: Stub) -> None:
    world.answers |= {APP: failed(2), DEPLOYMENTS: [[{"id": "d"}]]}
    said = session(world, status=1).stderr
    assert "does not start: Command exited with status 2" in said
    assert "`headrace app destroy /flink/session` ends that" in said


@pytest.mark.parametrize(
    ("ids", "wanted", "said"),
    [
        (["/a", "/flink"], "/flink/session", "there is an app /flink, so nothing can be below it"),
        (["/flink/session/one"], "flink/session", "there is an app /flink/session/one below it"),
        ([], "/flink/session", "it is a group of apps"),
    ],
)
def test_an_app_in_the_way_is_named(world: Stub, ids: list[str], wanted: str, said: str) -> None:
    details = [{"path": "/", "errors": ["Groups and Applications may not have the same identifier."]}]
    world.answers |= {
        "POST /v2/apps": (422, {"message": "Object is not valid", "details": details}),
        "GET /v2/apps": {"apps": [{"id": it} for it in ids]},
    }
    error = session(world, "--id", wanted, status=1).stderr
    assert "the app /flink/session can't be made" in error
    assert said in error


def test_sessions_and_jobs_have_ids_side_by_side(world: Stub) -> None:
    session(world, "--no-wait")
    assert world.bodies("POST /v2/apps")[0]["id"] == "/flink/session"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--id", "/Bad_Id"], "consist of a-z, 0-9, '-' and '.'"),
        (["--id", "/"], "is no id of an app"),
        (["--task-cpus", "-1"], "--task-cpus"),
        (["--task-mem", "0"], "--task-mem"),
        (["--cpus", "0"], "--cpus"),
        (["--mem", "-5"], "--mem"),
        (["--flink", "2.99"], "there is no Flink 2.99 here"),
    ],
)
def test_what_can_not_start_is_refused_before_an_app_is_made(world: Stub, options: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["flink", "session", "--marathon", world.url, "--master", world.url, *options])
    assert result.exit_code != 0
    assert said in str(result.exception if not result.stderr else result.stderr)
    assert world.asked == []
