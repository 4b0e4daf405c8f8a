"""Job clusters: what options say of the job, and what is said of its end."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headrace.flink import job, job_result
from headrace.flink.job import Job
from headrace.flink.job_result import JobResult, Record
from headrace.flink.options import check_names
from headrace.kernel.daemon import UserError

DRIVER = Path("/driver.jar")
KIND = {"headrace.cluster.type": "job"}
MARATHON = {"MARATHON_APP_ID": "/job"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "job.graph").write_bytes(b"\xac\xed\x00\x05sr")
    (tmp_path / "other.graph").write_bytes(b"\xac\xed\x00\x05sr")
    (tmp_path / "job.jar").write_bytes(b"PK\x03\x04")
    (tmp_path / "job.sql").write_text("INSERT INTO b SELECT 1;")
    (tmp_path / "text").write_text("nonsense")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(given: dict[str, str], environment: dict[str, str] | None = None) -> Job:
    found = job.read(KIND | given, environment or {}, DRIVER)
    assert found is not None
    return found


def test_a_session_has_no_job() -> None:
    assert job.read({}, {}, DRIVER) is None
    assert job.read({"headrace.cluster.type": "session"}, {}, DRIVER) is None


@pytest.mark.parametrize(
    "key",
    ["internal.jobgraph-path", "headrace.job.jar", "headrace.job.sql", "headrace.job.class", "headrace.job.when-done"],
)
def test_a_session_is_told_of_the_other_script(key: str) -> None:
    with pytest.raises(UserError, match=r"mesos-appmaster-job\.sh"):
        job.read({key: "x"}, {}, DRIVER)


def test_the_seeds_misspelling_gets_a_hint() -> None:
    with pytest.raises(UserError, match=r"internal\.jobgraph-path"):
        check_names({"interval.jobgraph-path": "job.graph"})


def test_a_graph_is_job_graph_if_not_named(files: Path) -> None:
    assert read({}).options == {"internal.jobgraph-path": str(files / "job.graph")}
    named = read({"internal.jobgraph-path": "other.graph"})
    assert named.options == {"internal.jobgraph-path": str(files / "other.graph")}
    assert named.main == job.GRAPH_MAIN


def test_a_jar_with_its_class_and_arguments(files: Path) -> None:
    found = read(
        {"headrace.job.jar": "job.jar", "headrace.job.class": "demo.Main", "headrace.job.arguments": "--in 'a b' c"}
    )
    assert found.options == {"headrace.job.jar": str(files / "job.jar"), "headrace.job.class": "demo.Main"}
    options = found.job_manager_options(files)
    assert msgspec.json.decode((files / "job-arguments").read_bytes()) == ["--in", "a b", "c"]
    assert (files / "job-arguments").stat().st_mode & 0o077 == 0
    assert options["headrace.job.arguments-file"] == str(files / "job-arguments")
    assert options["internal.cluster.execution-mode"] == "DETACHED"


@pytest.mark.parametrize(
    ("named", "environment"), [("job.sql", {}), ("-", {job.SQL_VARIABLE: "INSERT INTO b SELECT 1;"})]
)
def test_a_script_is_run_by_the_driver_jar(files: Path, named: str, environment: dict[str, str]) -> None:
    found = read({"headrace.job.sql": named}, environment)
    assert found.options == {"headrace.job.jar": str(DRIVER), "headrace.job.class": job.SQL_RUNNER}
    found.job_manager_options(files / ".")
    assert msgspec.json.decode((files / "job-arguments").read_bytes()) == [str(files / "job.sql")]
    assert (files / "job.sql").read_text() == "INSERT INTO b SELECT 1;"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"headrace.cluster.type": "both"}, "session or job"),
        ({"internal.jobgraph-path": "nowhere"}, "nowhere can't be read: No such file"),
        ({"internal.jobgraph-path": "text"}, "no job graph"),
        ({"headrace.job.jar": "nowhere"}, "nowhere can't be read"),
        ({"headrace.job.jar": "text"}, "not a jar"),
        ({"headrace.job.jar": "job.jar", "headrace.job.sql": "job.sql"}, "two jobs"),
        ({"headrace.job.jar": "job.jar", "headrace.job.arguments": "'"}, "headrace.job.arguments"),
        ({"headrace.job.class": "demo.Main"}, "needs headrace.job.jar"),
        ({"headrace.job.sql": "nowhere"}, "nowhere can't be read"),
        ({"headrace.job.sql": "-"}, job.SQL_VARIABLE),
        ({"headrace.job.when-done": "dance"}, "idle or exit"),
    ],
)
def test_mistakes(files: Path, given: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        job.read(KIND | given, {}, DRIVER)


def test_without_any_job_the_error_names_all_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"job\.graph.*internal\.jobgraph-path.*headrace\.job\.jar.*headrace\.job\.sql"):
        read({})


@pytest.mark.parametrize(
    ("given", "environment", "idle"),
    [
        ({}, {}, False),
        ({}, MARATHON, True),
        ({"headrace.job.when-done": "exit"}, MARATHON, False),
        ({"headrace.job.when-done": "idle"}, {}, True),
    ],
)
def test_under_marathon_it_stays(files: Path, given: dict[str, str], environment: dict[str, str], idle: bool) -> None:
    assert read(given, environment).idle is idle


# the result

TRACE = """org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
\tat org.apache.flink.X.y(X.java:1)
Caused by: java.lang.IllegalStateException: number 77 is unlucky
\tat Count.map(Count.java:7)
"""


def results(directory: Path, **failure: str) -> Path:
    (directory / "job-results").mkdir()
    result = {"id": "abc", "application-status": "FAILED"} | ({"failure-cause": failure} if failure else {})
    (directory / "job-results" / "abc.json").write_bytes(msgspec.json.encode({"result": result, "version": 1}))
    return directory


def test_why_a_job_failed_is_in_flinks_result(tmp_path: Path) -> None:
    kept = results(tmp_path, **{"class": "x", "stack-trace": TRACE})
    found = job_result.collect("FAILED", 3, kept, "")
    assert found == JobResult("abc", "FAILED", 3, "number 77 is unlucky")
    assert str(found) == "job abc FAILED: number 77 is unlucky"


def test_why_a_program_failed_was_said_by_it(tmp_path: Path) -> None:
    assert str(job_result.collect("FAILED", 3, tmp_path, "no table x")) == "the job FAILED: no table x"
    assert job_result.collect("FAILED", 3, None, "no table x").message == "no table x"


@pytest.mark.parametrize(
    ("said", "state"), [("SUCCEEDED", "FINISHED"), ("CANCELED", "CANCELED"), ("UNKNOWN", "UNKNOWN")]
)
def test_states(tmp_path: Path, said: str, state: str) -> None:
    assert job_result.collect(said, 0, results(tmp_path), "old words") == JobResult("abc", state, 0)


def test_a_broken_result_is_left_out(tmp_path: Path) -> None:
    (results(tmp_path) / "job-results" / "abc.json").write_text("{")
    assert job_result.collect("SUCCEEDED", 0, tmp_path, "") == JobResult("", "FINISHED", 0)


def test_a_result_is_found_again(tmp_path: Path) -> None:
    path = job_result.record_path(tmp_path / "cluster")
    assert path == tmp_path / "cluster.done"
    assert job_result.load(path) is None
    record = Record(JobResult("abc", "FAILED", 3, "why"), "digest", "run")
    job_result.save(record, path, None)
    assert job_result.load(path) == record
    job_result.forget(path)
    assert job_result.load(path) is None
    assert job_result.record_path(None) is None
    assert job_result.load(None) is None
