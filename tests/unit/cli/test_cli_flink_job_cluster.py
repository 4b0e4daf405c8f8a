"""``headrace flink job`` against a stub: what it waits out, and that it destroys only what has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headrace.cli import flink_job_cluster
from headrace.cli.api import CommandError, passes
from headrace.cli.commands import flink as commands
from headrace.cli.flink_job_cluster import JobCluster
from headrace.cli.main import main
from headrace.cli.options import leading_server, marathon_server
from headrace.kernel.http import HttpClient
from headrace.mesos import masters
from tests.unit.cli.flink_stub import Stub, stub

APP, STATE, FILE, DELETE = "GET /v2/apps/j", "GET /master/state", "GET /files/download", "DELETE /v2/apps/j"
NO_LEADER = (503, {"message": "no leader at the moment"})
RESULT = {"job": "a" * 32, "state": "FINISHED", "status": 0}


@pytest.fixture(scope="module")
def running() -> Iterator[Stub]:
    with stub() as it:
        yield it


@pytest.fixture
def world(running: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Marathon, master and agent in one; the job has a result from the third look on."""
    monkeypatch.setattr(flink_job_cluster, "_POLL", 0.001)
    running.asked.clear()
    tasks = [{"id": f"j.{n}", "framework_id": "m", "slave_id": "s"} for n in range(5)]
    agent = {"id": "s", "hostname": "h", "pid": f"slave(1)@{running.url.removeprefix('http://')}"}
    running.answers = {
        "POST /v2/apps": (201, {"id": "/j"}),
        APP: app(),
        STATE: {"frameworks": [{"id": "m", "tasks": tasks}], "slaves": [agent]},
        FILE: [(404, b""), (404, b""), RESULT],
        DELETE: {"deploymentId": "d"},
    }
    return running


def app(task: int = 1, **more: Any) -> dict[str, Any]:
    return {"app": {"id": "/j", "tasks": [{"id": f"j.{task}"}], **more}}


def failed(task: int, message: str) -> dict[str, Any]:
    failure = {"taskId": f"j.{task}", "message": message, "state": "TASK_FAILED"}
    return app(task + 1, lastTaskFailure=failure)


def run(world: Stub, tmp_path: Path, *options: str, status: int = 0) -> Result:
    (tmp_path / "g").touch()
    servers = ["--marathon", world.url, "--master", world.url]
    result = CliRunner().invoke(main, ["flink", "job", "--graph", str(tmp_path / "g"), "--id", "j", *servers, *options])
    assert result.exit_code == status, result.output
    return result


def destroyed(world: Stub) -> bool:
    return DELETE in [request for request, _ in world.asked]


@pytest.mark.parametrize("server", [APP, STATE])
@pytest.mark.parametrize("trouble", [NO_LEADER, (500, b"restarting")])
def test_a_server_that_is_away_for_a_moment_ends_no_job(world: Stub, tmp_path: Path, server: str, trouble: Any) -> None:
    world.answers[server] = [world.answers[server], trouble, trouble, world.answers[server]]
    done = run(world, tmp_path)
    assert "FINISHED" in done.stdout
    assert "asking again" in done.stderr
    assert world.asked[-1][0] == DELETE


@pytest.mark.parametrize("server", [APP, STATE])
def test_a_server_that_stays_away_destroys_nothing(
    world: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setattr(flink_job_cluster, "_PATIENCE", 0.02)
    world.answers[server] = NO_LEADER
    said = run(world, tmp_path, status=1).stderr
    assert "no leader at the moment" in said
    assert "the app /j stays; `headrace app destroy /j` ends it" in said
    assert not destroyed(world)


def test_an_answer_that_will_not_change_is_told_at_once_and_destroys_nothing(world: Stub, tmp_path: Path) -> None:
    world.answers[APP] = (401, {"message": "who are you?"})
    assert "who are you?" in run(world, tmp_path, status=1).stderr
    assert not destroyed(world)


def test_a_task_that_marathon_starts_again_is_not_the_jobs_end(world: Stub, tmp_path: Path) -> None:
    world.answers[APP] = [app(), failed(1, "Command terminated with signal Killed")]
    world.answers[FILE] = [(404, b"")] * 5 + [RESULT]
    done = run(world, tmp_path)
    assert "task j.1 of /j has ended: Command terminated with signal Killed; Marathon starts it again" in done.stderr
    assert "FINISHED" in done.stdout


def test_a_task_that_ends_with_its_job_has_its_result(world: Stub, tmp_path: Path) -> None:
    """As with headrace.job.when-done=exit."""
    ended = failed(1, "Command exited with status 3")
    ended["app"]["tasks"] = []
    world.answers |= {APP: [app(), ended], FILE: [(404, b""), RESULT | {"state": "FAILED", "message": "77 is unlucky"}]}
    assert "77 is unlucky" in run(world, tmp_path, status=1).stderr
    assert destroyed(world)


def test_a_mistake_is_told_and_its_app_destroyed(world: Stub, tmp_path: Path) -> None:
    world.answers |= {APP: failed(1, "Command exited with status 2"), FILE: b"'Nope' was not found"}
    assert "'Nope' was not found" in run(world, tmp_path, status=1).stderr
    assert destroyed(world)


def test_an_app_that_does_not_start_is_given_up_but_stays(world: Stub, tmp_path: Path) -> None:
    message = "Command exited with status 127"
    world.answers |= {APP: [failed(n, message) for n in (0, 1, 2, 3)], FILE: b"mesos-appmaster-job.sh: not found"}
    said = run(world, tmp_path, status=1).stderr
    assert "mesos-appmaster-job.sh: not found" in said
    assert "it has ended 3 times before there was a job" in said
    assert not destroyed(world)


def test_how_the_job_has_ended_is_told_also_if_its_app_stays(
    world: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flink_job_cluster, "_PATIENCE_AT_END", 0.02)
    world.answers[DELETE] = NO_LEADER
    done = run(world, tmp_path)
    assert "FINISHED" in done.stdout
    assert "/j was not destroyed" in done.stderr


def test_an_app_that_somebody_has_destroyed(world: Stub, tmp_path: Path) -> None:
    world.answers[APP] = [app(), (404, {"message": "App '/j' does not exist"})]
    assert "was destroyed before its job had ended" in run(world, tmp_path, status=1).stderr


@pytest.mark.parametrize("keep", [False, True])
async def test_ctrl_c_says_what_is_done(world: Stub, capsys: pytest.CaptureFixture[str], keep: bool) -> None:
    world.answers[FILE] = (404, b"")
    http = HttpClient()
    try:
        cluster = JobCluster("/j", marathon_server(world.url, http), lambda: leading_server(world.url, http), http)
        following = asyncio.create_task(commands._to_its_end(cluster, keep))
        while (STATE, b"") not in world.asked:
            await asyncio.sleep(0.001)
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
    finally:
        http.close()
    said = capsys.readouterr().err
    assert ("/j goes on" if keep else "destroying /j") in said
    assert destroyed(world) != keep


# a master that is elected


def elect(monkeypatch: pytest.MonkeyPatch, *leaders: str) -> list[str]:
    """Has these lead, one after the other; returns what is asked for."""
    asked: list[str] = []

    async def leading_master(text: str) -> str:
        asked.append(text)
        return leaders[min(len(asked), len(leaders)) - 1]

    monkeypatch.setattr(masters, "leading_master", leading_master)
    return asked


def test_the_app_looks_for_the_leader_itself_and_the_command_follows_it(
    world: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zk = "zk://z1:2181,z2:2181/mesos"
    asked = elect(monkeypatch, "http://127.0.0.1:9", world.url)
    assert "FINISHED" in run(world, tmp_path, "--master", zk).stdout
    assert asked == [zk, zk]
    (definition,) = world.bodies("POST /v2/apps")
    assert f"-Dmesos.master={zk} " in definition["cmd"]


def test_a_session_is_told_the_election_too(world: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    elect(monkeypatch, world.url)
    monkeypatch.setenv("HEADRACE_MASTER", "file:///etc/master")
    result = CliRunner().invoke(main, ["flink", "session", "--no-wait", "--marathon", world.url])
    assert result.exit_code == 0, result.output
    assert "-Dmesos.master=file:///etc/master " in world.bodies("POST /v2/apps")[0]["cmd"]


def test_a_password_does_not_get_into_the_apps_command(world: Stub, tmp_path: Path) -> None:
    said = run(world, tmp_path, "--master", "zk://u:secret@z1:2181/mesos", status=1).stderr
    assert "file:///path" in said
    assert "secret" not in said
    assert world.asked == []


async def test_an_election_without_a_leader_is_trouble_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(text: str) -> str:
        raise TimeoutError

    monkeypatch.setattr(masters, "leading_master", nobody)
    http = HttpClient()
    with pytest.raises(CommandError, match="no master leads") as raised:
        await leading_server("zk://z1:2181/mesos", http)
    assert passes(raised.value)
