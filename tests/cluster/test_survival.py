"""A running Flink job outlives everything around it: what the README promises, on the whole house.

``headrace up`` runs the cluster, Marathon runs the session, a SQL job counts upwards and writes what it
counts to files, exactly once. The tests run in order on that one job.
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
from tests.cluster.house import APP, HEADRACE, MODULES, House


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("survival")


@pytest.fixture(scope="module")
def house(directory: Path) -> Iterator[House]:
    it = House(directory / "data")
    try:
        it.start_session()
        command = [str(HEADRACE), "flink", "sql", "--master", it.url("master"), "--cluster", APP, "--detach"]
        subprocess.run([*command, "-e", script(directory, last=100_000)], check=True, timeout=JVM_WAIT)
        wait_for(lambda: it.job()["state"] == "RUNNING" and numbers(directory), "the job runs and writes", JVM_WAIT)
        yield it
    finally:
        it.close()


def _undisturbed(house: House, directory: Path, kill: list[str]) -> None:
    before, tasks, flink = house.job(), house.tasks(), house.flink
    written = len(numbers(directory))
    pids = [house.daemon(name) for name in kill]
    for pid in pids:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: all(house.daemon(name) not in (None, *pids) for name in kill), "they are started again")
    wait_for(house.whole, "everybody is back")
    wait_for(lambda: len(numbers(directory)) > written + 200, "the job goes on")
    after = wait_for(house.job, "Flink's dashboard is known again")
    assert house.flink == flink
    assert house.tasks() == tasks
    assert after["state"] == "RUNNING"
    assert after["timestamps"]["RESTARTING"] == before["timestamps"]["RESTARTING"]


@pytest.mark.parametrize("name", MODULES)
def test_the_job_does_not_notice_the_death_of(name: str, house: House, directory: Path) -> None:
    _undisturbed(house, directory, [name])


def test_the_job_does_not_notice_the_death_of_all_at_once(house: House, directory: Path) -> None:
    _undisturbed(house, directory, list(MODULES))


def test_a_killed_task_manager_is_replaced_and_the_job_goes_on_from_its_checkpoint(
    house: House, directory: Path
) -> None:
    before = house.job()["timestamps"]["RESTARTING"]
    managers = house.jvms("TaskManagerRunner")
    overview = f"{house.dashboard()}/jobs/{house.job()['jid']}"
    # all of the job runs in one slot: kill the TaskManager that has it
    (subtask,) = get(f"{overview}/vertices/{house.job()['vertices'][0]['id']}")["subtasks"]
    worker = subtask["taskmanager-id"]
    (victim,) = [pid for pid in managers if worker in " ".join(psutil.Process(pid).cmdline())]
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: house.job()["timestamps"]["RESTARTING"] > before, "Flink notices")
    wait_for(lambda: house.job()["state"] == "RUNNING", "the job runs again", JVM_WAIT)
    wait_for(lambda: len(house.jvms("TaskManagerRunner")) == 2, "there are two TaskManagers again", JVM_WAIT)
    written = len(numbers(directory))
    wait_for(lambda: len(numbers(directory)) > written + 200, "it writes")
    assert get(f"{overview}/checkpoints")["latest"]["restored"] is not None


def test_after_all_that_every_number_was_written_once(house: House, directory: Path) -> None:
    def once() -> bool:
        """Files that are committed together get their names one after the other."""
        written = numbers(directory)
        return written == list(range(len(written)))

    wait_for(once, "every number is there once")


def test_bad_sql_is_explained_without_a_stack_trace(house: House) -> None:
    sql = ["-e", "INSERT INTO x SELEKT 1"]
    command = [str(HEADRACE), "flink", "sql", "--master", house.url("master"), "--cluster", APP, *sql]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=JVM_WAIT, check=False)
    assert outcome.returncode == 1
    assert "SELEKT" in outcome.stderr
    assert "\tat " not in outcome.stderr + outcome.stdout
    assert house.job()["state"] == "RUNNING"


def test_python_stays_small(house: House) -> None:
    sizes = house.python_sizes()
    assert len(sizes) >= 5
    assert sum(sizes.values()) <= 150, sizes


def test_when_its_app_is_destroyed_no_task_manager_is_left(house: House) -> None:
    assert house.jvms("TaskManagerRunner")
    request = urllib.request.Request(f"{house.url('marathon')}/v2/apps/{APP}", method="DELETE")  # noqa: S310
    urllib.request.urlopen(request, timeout=60).close()  # noqa: S310
    wait_for(lambda: not house.jvms("TaskManagerRunner"), "no TaskManager is left")
    wait_for(lambda: not house.flink, "no JobManager is left")
    wait_for(lambda: get(house.url("master") + "/master/state")["frameworks"][1:] == [], "its framework is gone")


def test_ctrl_c_leaves_no_process_behind(house: House) -> None:
    before = house.processes()
    assert len(before) >= 4
    house.up.send_signal(signal.SIGINT)
    assert house.up.wait(120) == 0
    assert house.processes() == []
