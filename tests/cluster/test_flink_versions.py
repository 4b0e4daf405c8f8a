"""Flink 2.2 and 2.3 beside the default version: what differs there, in as little time as possible.

`make flink-versions` runs all other tests of Flink with them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace.flink import distribution
from headrace.kernel.daemon import UserError
from tests.cluster.flink_counting import HEADRACE, CountingJob, numbers, script
from tests.cluster.flink_harness import FLINK, JVM_WAIT, AppMaster, app_master, make_count, task_manager_pids
from tests.cluster.harness import Cluster, cluster, get, wait_for
from tests.cluster.test_flink_job_cluster import SMALL, JobMaster

VERSIONS = ("2.2", "2.3")

pytestmark = pytest.mark.skipif(bool(FLINK), reason="all other tests run with that version")


def installed(version: str) -> distribution.Distribution:
    try:
        return distribution.find_flink({"headrace.flink.version": version}, {})
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def mesos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("versions")) as it:
        yield it


def test_every_version_is_installed_where_tests_run() -> None:
    """Else the tests below would be skipped, and nobody would see it."""
    for version in VERSIONS:
        found = distribution.find_flink({"headrace.flink.version": version}, {})
        assert found.warning == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sessions_job_outlives_its_task_manager_and_job_manager(mesos: Cluster, tmp_path: Path, version: str) -> None:
    options = {"headrace.flink.version": version, "mesos.initial-tasks": 1, "web.refresh-interval": 100}
    with app_master(tmp_path / "session", mesos.master.url, **options) as session:
        job = CountingJob(session, mesos.master.url, tmp_path)
        assert get(session.web + "/config")["flink-version"] == installed(version).version
        (doomed,) = session.wait_for_task_managers(1)
        os.kill(task_manager_pids(doomed)[0], signal.SIGKILL)
        wait_for(lambda: doomed not in [worker["id"] for worker in session.workers()], "its end is known")
        (other,) = session.wait_for_task_managers(1)
        job.wait_until_it_goes_on()
        os.kill(session.job_manager_pid, signal.SIGKILL)
        wait_for(lambda: session.state["job_manager"]["run"] == 2, "the next JobManager is started")
        wait_for(job.runs, f"the job runs again; see {session.sandbox}", JVM_WAIT)
        assert job.restored()["id"] > 0
        assert session.wait_for_task_managers(1) == [other]
        job.wait_until_it_goes_on()
        written = numbers(tmp_path)
        assert written == list(range(len(written)))
        assert session.stop() == 0


@contextmanager
def job_master(mesos: Cluster, sandbox: Path, **options: object) -> Iterator[AppMaster]:
    it = JobMaster(sandbox, mesos.master.url, **SMALL, **options)
    try:
        yield it
    finally:
        it.stop()


def result(it: AppMaster) -> Any:
    return json.loads((it.sandbox / "job-result.json").read_text())["state"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_job_cluster_from_a_script(mesos: Cluster, tmp_path: Path, version: str) -> None:
    (tmp_path / "job.sql").write_text(script(tmp_path, last=400))
    options = {"headrace.flink.version": version, "headrace.job.sql": tmp_path / "job.sql"}
    with job_master(mesos, tmp_path / "sandbox", **options) as it:
        assert it.process.wait(2 * JVM_WAIT) == 0
        assert result(it) == "FINISHED"
        assert numbers(tmp_path) == list(range(401))


def test_a_job_graph_outlives_its_job_manager_where_flink_has_no_job_clusters(mesos: Cluster, tmp_path: Path) -> None:
    """In Flink 2 a session runs the graph; it must not run it twice, and must end as the job does."""
    make_count(tmp_path, installed("2.3").home / "lib", 10**12)
    options = {"headrace.flink.version": "2.3", "internal.jobgraph-path": tmp_path / "count.graph"}
    with job_master(mesos, tmp_path / "sandbox", **options, **{"pipeline.jars": tmp_path / "count.jar"}) as it:

        def running() -> Any:
            manager = it.state["job_manager"]
            rows = get(manager["web"] + "/jobs/overview")["jobs"] if manager["attached"] else []
            return [row["jid"] for row in rows if 0 < row["tasks"]["total"] == row["tasks"]["running"]]

        before = wait_for(running, f"the job runs; see {it.sandbox}", JVM_WAIT)
        os.kill(it.job_manager_pid, signal.SIGKILL)
        wait_for(lambda: it.state["job_manager"]["run"] == 2, "the next JobManager is started")
        assert wait_for(running, f"the job runs again; see {it.sandbox}", JVM_WAIT) == before
        shown = f"{mesos.master.url}/master/frameworks?framework_id={it.state['framework_id']}"
        wait_for(lambda: get(shown)["frameworks"][0]["webui_url"] == it.web, "the master has the new address")
        command = [str(HEADRACE), "flink", "cancel", before[0], "--master", mesos.master.url]
        subprocess.run(command, check=True, timeout=JVM_WAIT, stdout=subprocess.DEVNULL)
        assert it.process.wait(JVM_WAIT) == 0
        assert result(it) == "CANCELED"
