"""A killed JobManager loses no job, by default: it comes back with it, and TaskManagers stay.

One job runs through all tests of this module, in order.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.flink_counting import CountingJob, numbers
from tests.cluster.flink_harness import JVM_WAIT, AppMaster, app_master, flink, task_manager_pids
from tests.cluster.harness import Cluster, cluster, wait_for


@pytest.fixture(scope="module")
def mesos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("ha")) as it:
        yield it


@pytest.fixture(scope="module")
def session(mesos: Cluster) -> Iterator[AppMaster]:
    options = {"mesos.initial-tasks": 1, "web.refresh-interval": 100}
    with app_master(mesos.directory / "session", mesos.master.url, **options) as it:
        it.wait_for_task_managers(1)
        yield it


@pytest.fixture(scope="module")
def job(mesos: Cluster, session: AppMaster) -> CountingJob:
    return CountingJob(session, mesos.master.url, mesos.directory)


def pids_of_task_managers(session: AppMaster) -> dict[str, list[int]]:
    return {worker: task_manager_pids(worker) for worker in session.wait_for_task_managers(1)}


def kill_and_wait(session: AppMaster, job: CountingJob, *pids: int) -> None:
    """Wait until the job runs again, in a JobManager of a later run, on the TaskManagers from before."""
    run = session.state["job_manager"]["run"]
    workers = pids_of_task_managers(session)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: session.state["job_manager"]["run"] > run, "the next JobManager is started", JVM_WAIT)
    wait_for(job.runs, f"the job runs again; see {session.sandbox}", JVM_WAIT)
    assert pids_of_task_managers(session) == workers
    assert job.restored()["id"] > 0


def test_sigkill_of_the_job_manager_restores_the_job_on_the_same_task_managers(
    session: AppMaster, job: CountingJob
) -> None:
    for _ in range(2):
        kill_and_wait(session, job, session.job_manager_pid)
    job.wait_until_it_goes_on()


def test_sigkill_of_application_master_and_job_manager_at_once_does_not_lose_it_either(
    session: AppMaster, job: CountingJob
) -> None:
    kill_and_wait(session, job, session.pid, session.job_manager_pid)
    job.wait_until_it_goes_on()


def test_sigkill_while_it_comes_back(session: AppMaster, job: CountingJob) -> None:
    """Twice more before the job runs: once as soon as there is a process, once when it has taken over."""
    first = session.job_manager_pid
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: session.job_manager_pid != first and session.job_manager_pid, "the second")
    os.kill(second, signal.SIGKILL)
    third = wait_for(lambda: session.job_manager_pid != second and session.job_manager_pid, "the third")
    wait_for(lambda: session.state["job_manager"]["attached"], "it attaches", JVM_WAIT)
    kill_and_wait(session, job, third)
    job.wait_until_it_goes_on()


def test_every_number_was_written_once(job: CountingJob) -> None:
    written = numbers(job.directory)
    assert written == list(range(len(written)))


def test_sigterm_leaves_neither_processes_nor_files(session: AppMaster, job: CountingJob) -> None:
    workers = session.wait_for_task_managers(1)
    kept = session.sandbox / ".headrace" / "ha" / "flink"
    assert (kept / ("execution-plans" if flink().version.startswith("2.") else "job-graphs") / job.id).exists()
    job_manager = session.job_manager_pid
    assert session.stop() == 0
    wait_for(lambda: not any(map(task_manager_pids, workers)), "no TaskManager is left")
    wait_for(lambda: not Path(f"/proc/{job_manager}").exists(), "no JobManager is left")
    assert not kept.exists()
