"""How long a Flink job is away when a JVM is killed, and how fast a cluster is gone.

Seconds from SIGKILL until every task of the job runs again, as REST tells it; medians. The job keeps state and
takes a checkpoint every 500 ms. The originals' figures: Flink 1.12.5 on Mesos 1.11.0 with ZooKeeper, where the
application master and the JobManager are one process.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.table import Row
from tests.cluster.flink_counting import CountingJob
from tests.cluster.flink_harness import AppMaster, app_master, task_manager_pids
from tests.cluster.harness import cluster, get, wait_for

RUNS = 3


@contextmanager
def _session(**options: object) -> Iterator[tuple[AppMaster, CountingJob]]:
    with tempfile.TemporaryDirectory() as directory, cluster(Path(directory)) as mesos:
        given = {"mesos.initial-tasks": 1, "web.refresh-interval": 50, **options}
        with app_master(Path(directory) / "session", mesos.master.url, **given) as it:
            it.wait_for_task_managers(1)
            yield it, CountingJob(it, mesos.master.url, Path(directory))


def _until_it_runs(job: CountingJob, kill: Callable[[], Callable[[], bool]]) -> float:
    """``kill`` returns what tells that the death was noticed."""
    began = time.perf_counter()
    noticed = kill()
    wait_for(noticed, "it is noticed", 30, pause=0.01)
    wait_for(job.runs, "the job runs again", 90, pause=0.01)
    took = time.perf_counter() - began
    job.wait_until_it_goes_on()
    return took


def _job_manager(it: AppMaster) -> Callable[[], bool]:
    run = it.state["job_manager"]["run"]
    os.kill(it.job_manager_pid, signal.SIGKILL)
    return lambda: bool(it.state["job_manager"]["run"] > run)


def _both(it: AppMaster) -> Callable[[], bool]:
    pid = it.pid
    run = it.state["job_manager"]["run"]
    os.kill(it.job_manager_pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    return lambda: bool(it.state["job_manager"]["run"] > run)


def _task_manager(it: AppMaster, job: CountingJob) -> Callable[[], bool]:
    """Kills the one that has the job's tasks."""
    vertex = get(f"{it.web}/jobs/{job.id}")["vertices"][0]["id"]
    (subtask,) = get(f"{it.web}/jobs/{job.id}/vertices/{vertex}")["subtasks"]
    restarts = get(f"{it.web}/jobs/{job.id}")["timestamps"]["RESTARTING"]
    for pid in task_manager_pids(subtask["taskmanager-id"]):
        os.kill(pid, signal.SIGKILL)
    return lambda: bool(get(f"{it.web}/jobs/{job.id}")["timestamps"]["RESTARTING"] > restarts)


def _destroy(it: AppMaster) -> float:
    workers = [worker["id"] for worker in it.workers()]
    job_manager = Path(f"/proc/{it.job_manager_pid}")
    began = time.perf_counter()
    it.process.send_signal(signal.SIGTERM)
    wait_for(
        lambda: it.process.poll() is not None and not job_manager.exists() and not any(map(task_manager_pids, workers)),
        "nothing is left",
        30,
    )
    return time.perf_counter() - began


def rows() -> list[Row]:
    """The figures of this bench."""
    with _session() as (it, job):
        managers = [_until_it_runs(job, lambda: _job_manager(it)) for _ in range(RUNS)]
        both = [_until_it_runs(job, lambda: _both(it)) for _ in range(RUNS)]
        workers = [_until_it_runs(job, lambda: _task_manager(it, job)) for _ in range(RUNS)]
        end = _destroy(it)
    with _session(**{"slotmanager.redundant-taskmanager-num": 1}) as (it, job):
        spare = []
        for _ in range(RUNS):
            wait_for(lambda: get(it.web + "/overview")["slots-available"] >= 1, "there is a spare one", 60)
            spare.append(_until_it_runs(job, lambda: _task_manager(it, job)))
    return [
        Row("JobManager killed: job RUNNING from its checkpoint", statistics.median(managers), "s", 10, 33.1),
        Row("JobManager and application master killed", statistics.median(both), "s", 10, 33.1),
        Row("TaskManager killed: job RUNNING", statistics.median(workers), "s", 5, 8.28),
        Row("the same with one redundant TaskManager", statistics.median(spare), "s", 1.5),
        Row("SIGTERM: no process is left", end, "s", 2, 342),
    ]
