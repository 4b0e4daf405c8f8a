"""``headrace flink …`` for jobs, against a stub of Flink: what it asks, what it prints, how it ends."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from click.testing import CliRunner, Result

from headrace.cli import flink_locate, flink_savepoints, flink_target
from headrace.cli.api import CommandError
from headrace.cli.flink_find import find_job, find_task_manager
from headrace.cli.flink_rest import JobRow
from headrace.cli.flink_upload import upload
from headrace.cli.main import main
from tests.unit.cli.flink_stub import Stub, stub

JOB, OTHER, OLD = "a" * 32, "ab" + "b" * 30, "c" * 32
TRACE = """java.util.concurrent.CompletionException: java.io.IOException: x
\tat org.apache.flink.X.y(X.java:1)
Caused by: java.io.IOException: Failed to create savepoint directory at /full
\tat org.apache.flink.Z.y(Z.java:1)
"""


def row(jid: str, name: str, state: str = "RUNNING", **tasks: int) -> dict[str, Any]:
    return {"jid": jid, "name": name, "state": state, "start-time": 1, "duration": 2, "tasks": tasks}


@pytest.fixture(scope="module")
def running() -> Iterator[Stub]:
    with stub() as it:
        yield it


@pytest.fixture
def flink(running: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Two jobs that run, and one that has ended."""
    monkeypatch.setattr(flink_savepoints, "_POLL", 0.001)
    monkeypatch.setattr(flink_target, "_POLL", 0.001)
    running.asked.clear()
    running.answers = {
        "GET /jobs/overview": {"jobs": [row(JOB, "count"), row(OTHER, "other"), row(OLD, "old", "FINISHED")]},
        f"GET /jobs/{JOB}": {"state": "FINISHED"},
        f"POST /jobs/{JOB}/stop": (202, {"request-id": "t1"}),
        f"POST /jobs/{JOB}/savepoints": (202, {"request-id": "t1"}),
        f"GET /jobs/{JOB}/savepoints/t1": [
            {"status": {"id": "IN_PROGRESS"}},
            {"status": {"id": "COMPLETED"}, "operation": {"location": "file:/sp/1"}},
        ],
    }
    return running


def invoke(flink: Stub, *arguments: str, status: int = 0) -> Result:
    command, *others = arguments
    result = CliRunner().invoke(main, ["flink", command, "-m", flink.url, *others])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result


# savepoints


@pytest.mark.parametrize("wanted", [JOB, "aaa", "count"])
def test_stop_prints_the_savepoints_path_and_nothing_else(flink: Stub, wanted: str) -> None:
    done = invoke(flink, "stop", wanted, "--savepoint", "/sp", "--drain")
    assert done.stdout == "file:/sp/1\n"
    assert flink.bodies(f"POST /jobs/{JOB}/stop") == [{"targetDirectory": "/sp", "drain": True}]


def test_stop_can_leave_the_job_to_itself(flink: Stub) -> None:
    done = json.loads(invoke(flink, "stop", "count", "--no-wait", "--json").stdout)
    assert done == {"job": JOB, "operation": f"/jobs/{JOB}/savepoints/t1"}
    assert flink.bodies(f"POST /jobs/{JOB}/stop") == [{"drain": False}]


def test_savepoint_leaves_the_job_running(flink: Stub) -> None:
    assert json.loads(invoke(flink, "savepoint", "count", "s3://b/sp", "--json").stdout) == {
        "job": JOB,
        "savepoint": "file:/sp/1",
    }
    asked = {"target-directory": "s3://b/sp", "cancel-job": False}
    assert flink.bodies(f"POST /jobs/{JOB}/savepoints") == [asked]


@pytest.mark.parametrize("command", [("stop", "count"), ("savepoint", "count")])
def test_a_failed_savepoint_is_told_in_one_line(flink: Stub, command: tuple[str, ...]) -> None:
    flink.answers[f"GET /jobs/{JOB}/savepoints/t1"] = {
        "status": {"id": "COMPLETED"},
        "operation": {"failure-cause": {"class": "x", "stack-trace": TRACE}},
    }
    said = invoke(flink, *command, status=1).stderr.splitlines()[-1]
    assert said == f"Error: the savepoint of job {JOB} failed: Failed to create savepoint directory at /full"


@pytest.mark.parametrize(
    "message",
    [
        "Config key [state.savepoints.dir] is not set. Property [targetDirectory] must be provided.",
        "Config key [execution.checkpointing.savepoint-dir] is not set. Property [target-directory] must be provided.",
        "Config key [execution.checkpointing.savepoint-dir] is not set. Property [targetDirectory] must be provided.",
    ],
)
def test_a_missing_directory_is_told_with_the_option(flink: Stub, message: str) -> None:
    flink.answers[f"POST /jobs/{JOB}/stop"] = (400, {"errors": [message]})
    said = invoke(flink, "stop", "count", status=1).stderr
    assert "--savepoint DIR" in said
    assert "-D execution.checkpointing.savepoint-dir=DIR" in said


def test_a_relative_directory_is_refused_before_anything_is_asked(flink: Stub) -> None:
    assert "must be absolute" in invoke(flink, "stop", "count", "--savepoint", "sp", status=1).stderr
    assert flink.asked == []


def test_what_takes_too_long_goes_on_and_has_its_own_status(flink: Stub) -> None:
    flink.answers[f"GET /jobs/{JOB}/savepoints/t1"] = {"status": {"id": "IN_PROGRESS"}}
    said = invoke(flink, "savepoint", "count", "--timeout", "0.05", status=4).stderr
    assert f"the savepoint of job {JOB} is not done after 0.05 s; it goes on" in said


def test_disposal(flink: Stub) -> None:
    flink.answers["POST /savepoint-disposal"] = (202, {"request-id": "d1"})
    flink.answers["GET /savepoint-disposal/d1"] = {"status": {"id": "COMPLETED"}, "operation": {}}
    assert "is removed" in invoke(flink, "savepoint", "--dispose", "/sp/1").stdout
    assert flink.bodies("POST /savepoint-disposal") == [{"savepoint-path": "/sp/1"}]
    flink.answers["GET /savepoint-disposal/d1"]["operation"] = {"failure-cause": {"stack-trace": TRACE}}
    assert "/sp/1 could not be removed: Failed to" in invoke(flink, "savepoint", "-d", "/sp/1", status=1).stderr


# cancel, list, ui, logs


def test_cancel_waits_for_the_end(flink: Stub) -> None:
    flink.answers[f"PATCH /jobs/{JOB}"] = (202, {})
    flink.answers[f"GET /jobs/{JOB}"] = [{"state": "CANCELLING"}, {"state": "CANCELED"}]
    assert invoke(flink, "cancel", "count").stdout == f"job {JOB} is cancelled\n"


def test_a_job_that_ended_first_was_not_cancelled(flink: Stub) -> None:
    flink.answers[f"PATCH /jobs/{JOB}"] = (202, {})
    assert "is FINISHED already" in invoke(flink, "cancel", "count", status=1).stderr


@pytest.mark.parametrize("command", ["cancel", "stop", "savepoint"])
def test_a_job_that_is_not_there(flink: Stub, command: str) -> None:
    said = invoke(flink, command, "nonsense", status=3).stderr
    assert f"{JOB}  running  count" in said
    assert OLD not in said
    assert "has ended already: FINISHED" in invoke(flink, command, "old", status=1).stderr


def test_list_shows_what_runs(flink: Stub) -> None:
    shown = invoke(flink, "list").stdout
    assert JOB in shown
    assert OLD not in shown
    assert OLD in invoke(flink, "list", "--all").stdout
    rows = json.loads(invoke(flink, "list", "--all", "--json").stdout)
    assert [(it["jid"], it["why"]) for it in rows] == [(JOB, ""), (OTHER, ""), (OLD, "")]


def test_the_dashboards_address(flink: Stub) -> None:
    assert invoke(flink, "ui").stdout == flink.url + "\n"
    assert json.loads(invoke(flink, "ui", "--json").stdout)["url"] == flink.url


def test_logs_of_a_cluster_without_a_master(flink: Stub) -> None:
    flink.answers["GET /jobmanager/log"] = b"one\ntwo\n"
    flink.answers["GET /taskmanagers"] = {"taskmanagers": [{"id": "tm-x-00001"}, {"id": "tm-x-00002"}]}
    flink.answers["GET /taskmanagers/tm-x-00002/stdout"] = b"out"
    assert invoke(flink, "logs").stdout == "one\ntwo\n"
    assert invoke(flink, "logs", "--bytes", "4").stdout == "two\n"
    assert invoke(flink, "logs", "--taskmanager", "00002", "--stdout").stdout == "out"
    assert "-f needs the sandbox" in invoke(flink, "logs", "-f", status=1).stderr


def test_logs_from_sandboxes_also_of_a_task_manager_that_has_ended(flink: Stub) -> None:
    def task(name: str) -> dict[str, str]:
        return {"id": name, "framework_id": "fw", "slave_id": "s1"}

    found = state(flink, tasks=[task("tm-00001")], completed_tasks=[task("tm-00002")])
    found["frameworks"][0]["labels"].append({"key": "headrace.task", "value": "app.1"})
    found["frameworks"].append({"id": "m", "tasks": [task("app.1")]})
    found["slaves"][0]["pid"] = f"slave(1)@{flink.url.removeprefix('http://')}"
    flink.answers |= {"GET /master/state": found, "GET /files/download": b"text"}
    for arguments in ([], ["--taskmanager", "00001"], ["--taskmanager", "00002", "--stderr"]):
        assert by_master(flink, "logs", "--bytes", "4", *arguments).stdout.startswith("text")
    assert "there is tm-00001" in by_master(flink, "logs", "--taskmanager", "x", status=3).stderr


# submitting


def jar(directory: Path, size: int = 600_000) -> Path:
    path = directory / "a job.jar"
    with ZipFile(path, "w") as file:
        file.writestr("a", b"x" * size)
    return path


def test_run_uploads_the_jar_and_says_how_to_run_it(flink: Stub, tmp_path: Path) -> None:
    flink.answers |= {
        "POST /jars/upload": {"filename": "/web/1_a.jar"},
        "POST /jars/1_a.jar/run": {"jobid": JOB},
        "DELETE /jars/1_a.jar": {},
    }
    path = jar(tmp_path)
    arguments = ["--class", "A", "-p", "2", "--from-savepoint", "/sp", "--allow-non-restored-state", "--json"]
    done = invoke(flink, "run", str(path), *arguments, "--", "x")
    assert json.loads(done.stdout) == {"job": JOB, "cluster": flink.url, "state": "FINISHED"}
    ((_, sent),) = [it for it in flink.asked if it[0] == "POST /jars/upload"]
    assert path.read_bytes() in sent
    assert b'filename="a%20job.jar"' in sent
    assert flink.bodies("POST /jars/1_a.jar/run") == [
        {
            "programArgsList": ["x"],
            "entryClass": "A",
            "parallelism": 2,
            "savepointPath": "/sp",
            "allowNonRestoredState": True,
        }
    ]
    assert ("DELETE /jars/1_a.jar", b"") in flink.asked


def test_an_upload_that_is_refused(flink: Stub, tmp_path: Path) -> None:
    flink.answers["POST /jars/upload"] = (413, {"errors": ["too large"]})
    assert "(413): too large" in invoke(flink, "run", str(jar(tmp_path)), status=1).stderr


async def test_an_upload_that_nobody_takes(tmp_path: Path) -> None:
    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(CommandError, match=r"broke off the upload|did not take"):
            await upload(url, "/f", jar(tmp_path, 20_000_000), lambda count: None)
    with pytest.raises(CommandError, match="did not take"):
        await upload(url, "/f", jar(tmp_path), lambda count: None)


async def test_an_upload_can_be_given_up(flink: Stub, tmp_path: Path) -> None:
    counts: list[int] = []
    reached = threading.Event()

    def on_sent(count: int) -> None:
        counts.append(count)
        reached.set()
        given_up.wait(60)

    given_up = threading.Event()
    work = asyncio.create_task(upload(flink.url, "/f", jar(tmp_path, 3_000_000), on_sent))
    assert await asyncio.to_thread(reached.wait, 60)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    given_up.set()
    assert len(counts) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "x.jar", "--allow-non-restored-state"], "needs --from-savepoint"),
        (["savepoint"], "either JOB or --dispose"),
        (["logs", "--jobmanager", "--taskmanager", "x"], "either --jobmanager or --taskmanager"),
        (["list", "--cluster", "x"], "either --cluster or -m"),
        (["stop", "x", "--timeout", "0"], "--timeout"),
    ],
)
def test_wrong_use(flink: Stub, arguments: list[str], said: str) -> None:
    assert said in invoke(flink, *arguments, status=2).stderr


# a cluster that is found by the master


def state(flink: Stub, **framework: Any) -> dict[str, Any]:
    labels = [{"key": "headrace.cluster", "value": "/f"}, {"key": "headrace.appmaster", "value": flink.url}]
    it = {"id": "fw", "name": "Flink", "active": True, "webui_url": flink.url, "labels": labels}
    return {"frameworks": [it | framework], "slaves": [{"id": "s1", "hostname": "host-1", "pid": "slave(1)@h:1"}]}


def by_master(flink: Stub, *arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["flink", *arguments, "--master", flink.url])
    assert result.exit_code == status, result.output
    return result


def test_why_a_job_waits(flink: Stub) -> None:
    flink.answers |= {
        "GET /master/state": state(flink),
        "GET /jobs/overview": {"jobs": [row(JOB, "count", scheduled=2, total=2)]},
        "GET /state": {"waiting": [{"count": 1, "workers": ["w1"], "needs": {"cpus": 2}, "why": "no offers"}]},
        "GET /master/story": {"offers": [{"agent_id": "s1", "why": "no free resources"}]},
    }
    why = "worker w1 needs 2 cpus; no offers: host-1: no free resources"
    listed = by_master(flink, "list").stdout
    assert "waiting" in listed
    assert f"waiting for slots: {why}" in listed
    (shown,) = json.loads(by_master(flink, "list", "--json").stdout)
    assert shown["why"] == why


def test_a_master_of_others_and_an_application_master_that_is_away(flink: Stub) -> None:
    flink.answers |= {
        "GET /master/state": state(flink),
        "GET /jobs/overview": {"jobs": [row(JOB, "count", scheduled=2, total=2)]},
        "GET /state": {"waiting": [{"count": 1, "workers": ["w1"], "needs": {"cpus": 2}, "why": "no offers"}]},
    }
    assert "worker w1 needs 2 cpus; no offers\n" in by_master(flink, "list").stdout
    del flink.answers["GET /state"]
    assert "waiting for slots" not in by_master(flink, "list").stdout


def test_a_cluster_that_is_starting_is_said_at_once_to_who_only_looks(flink: Stub) -> None:
    flink.answers["GET /master/state"] = state(flink, webui_url="")
    assert "is starting" in by_master(flink, "list", status=1).stderr


def test_who_submits_waits_for_the_job_manager(flink: Stub, tmp_path: Path) -> None:
    flink.answers |= {
        "GET /master/state": [state(flink, webui_url=""), state(flink)],
        "POST /jars/upload": {"filename": "/web/1_a.jar"},
        "POST /jars/1_a.jar/run": {"jobid": JOB},
        "DELETE /jars/1_a.jar": {},
    }
    done = by_master(flink, "run", str(jar(tmp_path)), "--detach")
    assert "waiting for the JobManager" in done.stderr
    assert done.stdout == f"job {JOB} submitted to /f\n"


def hidden(flink: Stub, url: str = "", **framework: Any) -> dict[str, Any]:
    """The state of a master that shows no dashboard; the application master is told to be at ``url``."""
    found = state(flink, **({"webui_url": "", "hostname": "127.0.0.1"} | framework))
    found["frameworks"][0]["labels"][1]["value"] = url or flink.url
    return found


def test_a_dashboard_that_the_master_does_not_show_is_found_by_the_application_master(flink: Stub) -> None:
    flink.answers |= {"GET /master/state": hidden(flink), "GET /state": {"job_manager": {"web": flink.url}}}
    assert by_master(flink, "ui").stdout == flink.url + "\n"
    assert JOB in by_master(flink, "list").stdout
    flink.answers["GET /master/state"] = hidden(flink, hostname="localhost")  # the same address
    assert by_master(flink, "ui").stdout == flink.url + "\n"


@pytest.mark.parametrize("hostname", ["", "192.0.2.1"])
def test_a_label_that_leads_to_another_host_is_not_followed(flink: Stub, hostname: str) -> None:
    flink.answers["GET /state"] = {"job_manager": {"web": flink.url}}
    flink.answers["GET /master/state"] = hidden(flink, hostname=hostname)
    assert "is starting" in by_master(flink, "ui", status=1).stderr
    assert "GET /state" not in [request for request, _ in flink.asked]


@pytest.mark.parametrize("web", ["", "http://192.0.2.1:80", "file:///etc/passwd", "http://[", "javascript:x"])
def test_a_dashboard_elsewhere_is_not_taken(flink: Stub, web: str) -> None:
    flink.answers |= {"GET /master/state": hidden(flink), "GET /state": {"job_manager": {"web": web}}}
    assert "is starting" in by_master(flink, "ui", status=1).stderr
    flink.answers["GET /master/state"] = hidden(flink, "file:///etc/passwd")
    assert "is starting" in by_master(flink, "ui", status=1).stderr


@pytest.mark.parametrize("command", [["sql", "-e", "SELECT 1"], ["run", "a job.jar"]])
def test_the_wait_for_the_job_manager_is_within_the_timeout(flink: Stub, command: list[str]) -> None:
    flink.answers["GET /master/state"] = state(flink, webui_url="")
    said = by_master(flink, *command, "--timeout", "0.05", status=4).stderr
    assert "the start of the JobManager is not done after 0.05 s" in said


def test_the_wait_for_a_job_that_was_submitted_is_within_the_timeout(flink: Stub, tmp_path: Path) -> None:
    flink.answers |= {
        "POST /jars/upload": {"filename": "/web/1_a.jar"},
        "POST /jars/1_a.jar/run": {"jobid": JOB},
        "DELETE /jars/1_a.jar": {},
        f"GET /jobs/{JOB}": {"state": "RUNNING", "vertices": [{"tasks": {"SCHEDULED": 1}}]},
        "GET /overview": {},
    }
    said = invoke(flink, "run", str(jar(tmp_path)), "--timeout", "0.05", status=4).stderr
    assert f"the start of job {JOB} is not done after 0.05 s; it goes on" in said


def test_a_timeout_is_said_as_such_also_if_it_is_seen_late(flink: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine stops us for a while in the midst of a look."""
    looks = 0

    async def locate(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 2:
            time.sleep(0.2)  # noqa: ASYNC251
        return await flink_locate.locate(*arguments)

    monkeypatch.setattr(flink_target, "locate", locate)
    flink.answers["GET /master/state"] = state(flink, webui_url="")
    said = by_master(flink, "sql", "-e", "SELECT 1", "--timeout", "0.1", status=4).stderr
    assert "the start of the JobManager is not done after 0.1 s" in said


@pytest.mark.parametrize(
    ("config", "given", "parallelism"),
    [
        ([{"key": "parallelism.default", "value": "10"}], [], {"parallelism": 10}),
        ([{"key": "parallelism.default", "value": "10"}], ["-p", "3"], {"parallelism": 3}),
        ([{"key": "other", "value": "10"}], [], {}),
        ([{"key": "parallelism.default", "value": "-1"}], [], {}),
        ((403, {"errors": ["no"]}), [], {}),
    ],
)
def test_the_clusters_default_parallelism_holds_for_what_is_submitted(
    flink: Stub, tmp_path: Path, config: Any, given: list[str], parallelism: dict[str, int]
) -> None:
    flink.answers |= {
        "GET /jobmanager/config": [config],
        "POST /jars/upload": {"filename": "/web/1_a.jar"},
        "POST /jars/1_a.jar/run": {"jobid": JOB},
        "DELETE /jars/1_a.jar": {},
    }
    invoke(flink, "run", str(jar(tmp_path)), "--detach", *given)
    assert flink.bodies("POST /jars/1_a.jar/run") == [{"programArgsList": []} | parallelism]


@pytest.mark.parametrize("gone", [{"webui_url": "http://127.0.0.1:9"}, {"webui_url": ""}])
def test_who_cancels_just_after_a_restart_waits_for_the_next_job_manager(flink: Stub, gone: dict[str, str]) -> None:
    flink.answers |= {
        "GET /master/state": [state(flink, webui_url="http://127.0.0.1:9"), state(flink, **gone), state(flink)],
        "GET /overview": [(503, {"errors": ["ongoing leader election"]}), {}],
        f"PATCH /jobs/{JOB}": (202, {}),
    }
    done = by_master(flink, "cancel", "count", "--no-wait")
    assert done.stdout == f"job {JOB} is being cancelled\n"
    assert "waiting for the JobManager to answer" in done.stderr


def test_a_job_manager_that_is_not_there_is_said_after_a_while(flink: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flink_target, "_RESTARTING", 0.01)
    flink.answers["GET /master/state"] = state(flink, webui_url="http://127.0.0.1:9")
    assert "does not answer" in by_master(flink, "cancel", "count", status=1).stderr


# finding


def test_a_living_job_goes_before_those_that_ended_under_its_name() -> None:
    jobs = [JobRow("1a", "n", "FINISHED", 5), JobRow("1b", "n", "RUNNING", 6), JobRow("2", "m", "FAILED", 7)]
    assert find_job(jobs, "n").jid == "1b"
    assert find_job(jobs, "1").jid == "1b"
    assert find_job(jobs, "1a").jid == "1a"
    assert find_job([*jobs, JobRow("3", "m", "CANCELED", 9)], "m").jid == "3"
    for wrong in ("x", ""):
        with pytest.raises(CommandError, match="there is no job"):
            find_job(jobs, wrong)
    with pytest.raises(CommandError, match="may mean 2 jobs"):
        find_job([*jobs, JobRow("1c", "n", "CREATED", 9)], "n")


def test_a_task_manager_is_found_by_either_end_of_its_id() -> None:
    ids = ["taskmanager-k-00001", "taskmanager-k-00012"]
    assert find_task_manager(ids, "00001") == ids[0]
    assert find_task_manager(ids, ids[1]) == ids[1]
    assert find_task_manager(ids, "taskmanager-k-00012") == ids[1]
    for wrong, said in (("taskmanager", "may mean 2"), ("7", "there is taskmanager-k-00001, ")):
        with pytest.raises(CommandError, match=said):
            find_task_manager(ids, wrong)
