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
        subprocess.run([*command, "-e", script(directory)], check=True, timeout=60, stdout=subprocess.DEVNULL)
        wait_for(lambda: len(numbers(directory)) > 100, "the job writes", 30)
        yield it
    finally:
        it.close()


def session_task(house: House) -> list[int]:
    """The script, the application master and the JobManager."""
    (job_manager,) = house.jvms("HeadraceSessionClusterEntrypoint")
    master = house.daemon("application master")
    assert master is not None
    wrapper = psutil.Process(master).ppid()
    return [wrapper, master, job_manager]


def test_a_new_task_goes_on_with_framework_task_managers_and_job(house: House, directory: Path) -> None:
    framework = {f["id"] for f in house.frameworks()}
    workers, job, before = house.jvms("TaskManagerRunner"), house.job()["jid"], session_task(house)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: house.daemon("application master") not in (None, before[1]), "Marathon starts another", 30)
    wait_for(lambda: len(house.jvms("HeadraceSessionClusterEntrypoint")) == 1, "a JobManager, too", 30)
    wait_for(lambda: not set(session_task(house)) & set(before), "all are new", 10)
    wait_for(lambda: house.job()["jid"] == job and house.job()["state"] == "RUNNING", "the job is back", 60)
    written = len(numbers(directory))
    wait_for(lambda: len(numbers(directory)) > written + 200, "it goes on", 30)
    assert {f["id"] for f in house.frameworks()} == framework
    assert house.jvms("TaskManagerRunner") == workers
    found = numbers(directory)
    assert found == list(range(len(found)))


def test_destroy_removes_what_it_kept(house: House) -> None:
    kept = house.data / "flink" / "flink_session"
    assert (kept / "appmaster.db").exists()
    url = f"{house.url('marathon')}/v2/apps/{APP}"
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=10).close()  # noqa: S310
    wait_for(lambda: not house.flink, "no JVM is left", 5)
    wait_for(lambda: not kept.exists(), "no file is left", 5)
    wait_for(lambda: len(get(house.url("master") + "/master/state")["frameworks"]) == 1, "its framework is gone", 5)
