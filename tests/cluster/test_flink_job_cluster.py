"""Clusters for one job: from a jar, a job graph, a SQL script; how they end, and that a job runs once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.flink.job_result import JobResult
from tests.cluster.flink_counting import numbers, script
from tests.cluster.flink_harness import FLINK_OPTIONS, JVM_WAIT, SCRIPT, AppMaster, flink
from tests.cluster.harness import Cluster, cluster, get, wait_for
from tests.cluster.house import HEADRACE, House

JOB_SCRIPT = SCRIPT.with_name("mesos-appmaster-job.sh")
SMALL = {
    "mesos.resourcemanager.tasks.cpus": 0.5,
    "mesos.resourcemanager.tasks.mem": 800,
    "env.java.opts.all": "-XX:TieredStopAtLevel=1",
    "web.refresh-interval": 100,
}
SQL = """
CREATE TABLE a (n BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '100');
CREATE TABLE b (n BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO b SELECT n FROM a;
"""


@pytest.fixture(scope="module")
def mesos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("jobs")) as it:
        yield it


class Run:
    """One run of the script in a sandbox of its own, to its end."""

    def __init__(self, mesos: Cluster, sandbox: Path, **options: object) -> None:
        sandbox.mkdir(exist_ok=True)
        given = {"mesos.master": mesos.master.url, **FLINK_OPTIONS, **SMALL, **options}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._ended = subprocess.run(
            [str(JOB_SCRIPT), *(f"-D{key}={value}" for key, value in given.items())],
            cwd=sandbox,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=2 * JVM_WAIT,
        )
        self.status, self.stderr = self._ended.returncode, self._ended.stderr
        self._result = sandbox / "job-result.json"
        state = mesos.master.url + "/master/state"
        wait_for(lambda: get(state)["frameworks"] == [], f"its framework is gone: {self.stderr}")

    @property
    def result(self) -> JobResult:
        return msgspec.json.decode(self._result.read_bytes(), type=JobResult)


def test_s0_32_a_job_that_finishes(mesos: Cluster, jobs: Path, tmp_path: Path) -> None:
    """Two subtasks, so two TaskManagers."""
    (tmp_path / "meet").mkdir()
    arguments = f"1000 -1 {tmp_path}/meet"
    it = Run(mesos, tmp_path, **{"headrace.job.jar": jobs / "count.jar", "headrace.job.arguments": arguments})
    assert (it.status, it.result.state) == (0, "FINISHED")
    started = {line.split()[3] for line in it.stderr.splitlines() if "is TASK_RUNNING" in line}
    assert len(started) == 2


def test_s0_32_a_job_that_fails(mesos: Cluster, jobs: Path, tmp_path: Path) -> None:
    it = Run(mesos, tmp_path, **{"headrace.job.jar": jobs / "count.jar", "headrace.job.arguments": "1000 77"})
    assert (it.status, it.result.state) == (3, "FAILED")
    assert it.result.message == "number 77 is unlucky"
    assert "number 77 is unlucky" in it.stderr.splitlines()[-1]


def test_a_jar_whose_program_fails(mesos: Cluster, jobs: Path, tmp_path: Path) -> None:
    it = Run(mesos, tmp_path, **{"headrace.job.jar": jobs / "count.jar", "headrace.job.arguments": "many"})
    assert (it.status, it.result.state) == (3, "FAILED")
    assert "many" in it.result.message


def test_a_class_that_is_not_there(mesos: Cluster, jobs: Path, tmp_path: Path) -> None:
    """The user's mistake: said at once, not tried again."""
    it = Run(mesos, tmp_path, **{"headrace.job.jar": jobs / "count.jar", "headrace.job.class": "Nope"})
    assert it.status == 2
    assert "'Nope' was not found" in it.stderr
    assert it.stderr.count("starting the JobManager") == 1


def test_s0_34_a_job_graph(mesos: Cluster, jobs: Path, tmp_path: Path) -> None:
    """TaskManagers get the jar from the JobManager."""
    options = {"internal.jobgraph-path": jobs / "count.graph", "pipeline.jars": jobs / "count.jar"}
    it = Run(mesos, tmp_path, **options)
    assert (it.status, it.result.state) == (0, "FINISHED")


def test_s0_36_user_code_that_lies_only_in_usrlib(mesos: Cluster, jobs: Path, tmp_path: Path) -> None:
    home = tmp_path / "flink"
    (home / "usrlib").mkdir(parents=True)
    (home / "lib").symlink_to(flink().home / "lib")
    (home / "usrlib" / "count.jar").hardlink_to(jobs / "count.jar")
    it = Run(mesos, tmp_path, **{"internal.jobgraph-path": jobs / "count.graph", "headrace.flink.home": home})
    assert (it.status, it.result.state) == (0, "FINISHED"), it.stderr


def test_a_job_graph_of_another_flink(mesos: Cluster, jobs: Path, tmp_path: Path) -> None:
    graph = (jobs / "count.graph").read_bytes()
    name = b"org.apache.flink.runtime.jobgraph.JobGraph"
    at = graph.index(name) + len(name)  # the version of the class follows its name
    (tmp_path / "job.graph").write_bytes(graph[:at] + b"\x00\x00\x00\x00\x00\x00\x00\x07" + graph[at + 8 :])
    it = Run(mesos, tmp_path)
    assert it.status == 2
    assert "only by the version of Flink that wrote it" in it.stderr


def test_a_script_that_can_not_be_planned(mesos: Cluster, tmp_path: Path) -> None:
    (tmp_path / "job.sql").write_text("INSERT INTO x SELEKT 1;")
    it = Run(mesos, tmp_path, **{"headrace.job.sql": "job.sql"})
    assert (it.status, it.result.state) == (3, "FAILED")
    assert "SELEKT" in it.result.message
    assert "\tat " not in it.stderr


class JobMaster(AppMaster):
    """The same for one job."""

    script = JOB_SCRIPT


@contextmanager
def counting(mesos: Cluster, tmp_path: Path, last: int) -> Iterator[AppMaster]:
    """A job that counts, 200 numbers a second, and has begun."""
    (tmp_path / "job.sql").write_text(script(tmp_path, last=last))
    it = JobMaster(
        tmp_path / "sandbox",
        mesos.master.url,
        **SMALL,
        **{"headrace.job.sql": tmp_path / "job.sql"},
    )
    try:
        wait_for(lambda: len(numbers(tmp_path)) > 100, f"it writes; see {it.sandbox}", JVM_WAIT)
        yield it
    finally:
        it.stop()


def result_of(it: AppMaster) -> Any:
    return msgspec.json.decode((it.sandbox / "job-result.json").read_bytes())


def test_sigkill_of_the_job_manager_does_not_end_the_job(mesos: Cluster, tmp_path: Path) -> None:
    """The end must not come meanwhile: Flink's file sink commits then without a checkpoint, and later once more."""
    with counting(mesos, tmp_path, last=5000) as it:
        os.kill(it.job_manager_pid, signal.SIGKILL)
        assert it.process.wait(2 * JVM_WAIT) == 0
        assert result_of(it)["state"] == "FINISHED"
        assert numbers(tmp_path) == list(range(5001))


def test_cancelling_ends_it_in_order(mesos: Cluster, tmp_path: Path) -> None:
    with counting(mesos, tmp_path, last=30_000) as it:
        (job,) = get(it.web + "/jobs/overview")["jobs"]
        command = [str(HEADRACE), "flink", "cancel", job["jid"], "--master", mesos.master.url]
        subprocess.run(command, check=True, timeout=JVM_WAIT, stdout=subprocess.DEVNULL)
        assert it.process.wait(JVM_WAIT) == 0
        assert result_of(it)["state"] == "CANCELED"
    wait_for(lambda: get(mesos.master.url + "/master/state")["frameworks"] == [], "its framework is gone")


# with Marathon


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    it = House(tmp_path_factory.mktemp("run-once") / "data")
    try:
        yield it
    finally:
        it.close()


def headrace(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    servers = ["--master", house.url("master"), "--marathon", house.url("marathon"), "--task-mem", "800"]
    options = [part for key, value in FLINK_OPTIONS.items() for part in ("-D", f"{key}={value}")]
    command = [str(HEADRACE), "flink", "job", *servers, *options, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * JVM_WAIT, check=False)


def wait_until_removed(house: House) -> None:
    """No app, nor an application master of one."""
    wait_for(lambda: get(house.url("marathon") + "/v2/apps")["apps"] == [], "there is no app")
    wait_for(lambda: house.daemon("application master") is None, "there is no application master")


def test_the_command_follows_the_job_and_removes_the_cluster(house: House, tmp_path: Path) -> None:
    (tmp_path / "ok.sql").write_text(SQL)
    done = headrace(house, "--sql", str(tmp_path / "ok.sql"))
    assert done.returncode == 0, done.stderr
    assert "FINISHED" in done.stdout.splitlines()[-1]
    wait_until_removed(house)


def test_the_command_says_why_a_job_has_failed(house: House, tmp_path: Path) -> None:
    (tmp_path / "bad.sql").write_text(SQL.replace("FROM a", "FROM c"))
    failed = headrace(house, "--sql", str(tmp_path / "bad.sql"), "--id", "/bad")
    assert failed.returncode == 1
    assert "'c' not found" in failed.stderr
    wait_until_removed(house)


def test_a_supervisor_that_starts_it_again_does_not_run_the_job_again(house: House, tmp_path: Path) -> None:
    (tmp_path / "ok.sql").write_text(SQL)
    assert headrace(house, "--sql", str(tmp_path / "ok.sql"), "--id", "/once", "--keep").returncode == 0
    wait_for(lambda: not house.flink, "Flink has ended")
    master = house.daemon("application master")
    assert master is not None, "the application master stays"
    os.kill(os.getpgid(master) * -1, signal.SIGKILL)
    again = wait_for(
        lambda: house.daemon("application master") not in (None, master) and house.daemon("application master"),
        "Marathon starts it again",
    )
    cwd = Path(os.readlink(f"/proc/{again}/cwd"))
    wait_for(lambda: (cwd / "job-result.json").exists(), "it says how the job ended")
    assert "is not run again" in (cwd / "stderr").read_text()
    assert not house.flink
    subprocess.run(
        [str(HEADRACE), "app", "destroy", "/once", "--marathon", house.url("marathon")], check=True, timeout=60
    )
    wait_for(lambda: house.daemon("application master") is None, "it is gone")
    wait_for(lambda: not list((house.data / "flink").glob("once*")), "what it kept is gone")
