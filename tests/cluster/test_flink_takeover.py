"""The whole task of a session dies, as when its agent kills it or the machine goes down: Marathon starts another.

On ``headrace up`` what the cluster keeps lies below the data directory, so the new application master is the same
framework, takes over the TaskManagers, and its JobManager has the job.
"""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.flink_counting import numbers, script
from tests.cluster.flink_harness import JVM_WAIT
from tests.cluster.harness import get, wait_for
from tests.cluster.house import APP, HEADRACE, House


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("takeover")


@pytest.fixture(scope="module")
def house(directory: Path) -> Iterator[House]:
    it = House(directory / "data")
    try:
        it.start_session()
        command = [str(HEADRACE), "flink", "sql", "--master", it.url("master"), "--cluster", APP]
        subprocess.run([*command, "-e", script(directory)], check=True, timeout=JVM_WAIT, stdout=subprocess.DEVNULL)
        wait_for(lambda: len(numbers(directory)) > 100, "the job writes", JVM_WAIT)
        yield it
    finally:
        it.close()


def session_task(house: House) -> list[int]:
    """The script, the application master and the JobManager; empty while they are not all there."""
    job_managers = house.jvms("HeadraceSessionClusterEntrypoint")
    master = house.daemon("application master")
    if master is None or len(job_managers) != 1:
        return []
    try:
        return [psutil.Process(master).ppid(), master, *job_managers]
    except psutil.NoSuchProcess:
        return []


def test_a_new_task_goes_on_with_framework_task_managers_and_job(house: House, directory: Path) -> None:
    framework = {f["id"] for f in house.frameworks()}
    workers, job, before = house.jvms("TaskManagerRunner"), house.job()["jid"], session_task(house)
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def all_are_new() -> bool:
        now = session_task(house)
        return bool(now) and not set(now) & set(before)

    wait_for(all_are_new, "Marathon starts another one, with a JobManager", JVM_WAIT)
    wait_for(lambda: house.job()["jid"] == job and house.job()["state"] == "RUNNING", "the job is back", JVM_WAIT)
    written = len(numbers(directory))
    wait_for(lambda: len(numbers(directory)) > written + 200, "it goes on", JVM_WAIT)
    assert {f["id"] for f in house.frameworks()} == framework
    assert house.jvms("TaskManagerRunner") == workers
    found = numbers(directory)
    assert found == list(range(len(found)))


def test_destroy_removes_what_it_kept(house: House) -> None:
    kept = house.data / "flink" / "flink_session"
    assert (kept / "appmaster.db").exists()
    url = f"{house.url('marathon')}/v2/apps/{APP}"
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=60).close()  # noqa: S310
    wait_for(lambda: not house.flink, "no JVM is left")
    wait_for(lambda: not kept.exists(), "no file is left")
    wait_for(lambda: len(get(house.url("master") + "/master/state")["frameworks"]) == 1, "its framework is gone")
