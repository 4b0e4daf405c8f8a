"""What becomes of Flink clusters when their supervisor restarts, scales or destroys them, ends, or is not there.

One session with one counting job goes through the tests of this module, in order; the last one looks at its result.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster.flink_counting import numbers, script
from tests.cluster.flink_harness import JVM_WAIT, AppMaster, task_manager_pids
from tests.cluster.harness import get, wait_for
from tests.cluster.house import APP, HEADRACE, House

SMALL = "-Dmesos.resourcemanager.tasks.cpus=0.5 -Dmesos.resourcemanager.tasks.mem=800 -Dweb.refresh-interval=100"
FAST = "-Denv.java.opts.all=-XX:TieredStopAtLevel=1 -Dheadrace.sql.warm-up=false"
CHECK = {
    "protocol": "HTTP",
    "path": "/overview",
    "portIndex": 0,
    "gracePeriodSeconds": 120,
    "intervalSeconds": 1,
    "maxConsecutiveFailures": 0,  # a task that takes over was healthy while it waited; its JobManager takes its time
}


class Session:
    """The session's app on a house that may be started again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.house = House(directory / "data")

    def send(self, method: str, path: str, body: object = None) -> Any:
        url = self.house.url("marathon") + path
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, content, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    @property
    def app(self) -> Any:
        return get(f"{self.house.url('marathon')}/v2/apps{APP}")["app"]

    def start(self) -> None:
        master = self.house.url("master").removeprefix("http://")
        command = f"mesos-appmaster.sh -Dmesos.master={master} -Dmesos.initial-tasks=1 {SMALL} {FAST}"
        app = {"id": APP, "cmd": command, "cpus": 0.3, "mem": 1024, "portDefinitions": [{"port": 0}]}
        self.send("POST", "/v2/apps", {**app, "healthChecks": [CHECK]})
        self.wait_for_clusters(1)

    def frameworks(self) -> dict[str, Any]:
        """Flink's, by the name of the cluster."""
        found = [one for one in self.house.frameworks() if one["name"].startswith("Flink")]
        return {next(x["value"] for x in one["labels"] if x["key"] == "headrace.cluster"): one for one in found}

    def wait_for_clusters(self, count: int) -> None:
        """Each healthy, with its TaskManager."""

        def whole() -> bool:
            found = self.frameworks().values()
            return (
                self.app["tasksHealthy"] == self.app["instances"] == count == len(found)
                and not self.app["deployments"]
                and all(one.get("webui_url") for one in found)  # it is healthy before its driver has attached
                and all(get(one["webui_url"] + "/overview")["taskmanagers"] == 1 for one in found)
            )

        wait_for(whole, f"{count} clusters", 2 * JVM_WAIT, pause=0.2)

    @property
    def jobs(self) -> dict[str, str]:
        """The states of the jobs in the first cluster, by id; of the counting job alone."""
        url = self.frameworks().get(APP, {}).get("webui_url")
        return {job["jid"]: job["state"] for job in get(url + "/jobs/overview")["jobs"]} if url else {}

    def count(self) -> str:
        """Start the job; returns its id."""
        command = [str(HEADRACE), "flink", "sql", "--master", self.house.url("master"), "--cluster", APP, "--detach"]
        subprocess.run(
            [*command, "-e", script(self.directory)], check=True, timeout=JVM_WAIT, stdout=subprocess.DEVNULL
        )
        wait_for(lambda: len(numbers(self.directory)) > 50, "the job writes", JVM_WAIT)
        (job,) = self.jobs
        return job

    def wait_until_it_goes_on(self, job: str) -> None:
        """From a checkpoint: the source would begin at 0 again otherwise."""
        wait_for(lambda: self.jobs == {job: "RUNNING"}, "the job is back", JVM_WAIT, pause=0.1)
        written = len(numbers(self.directory))
        wait_for(lambda: len(numbers(self.directory)) > written + 50, "it goes on", JVM_WAIT)
        found = numbers(self.directory)
        assert found == list(range(len(found)))

    @property
    def kept(self) -> list[str]:
        return sorted(path.name for path in (self.house.data / "flink").iterdir())


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    it = Session(tmp_path_factory.mktemp("life"))
    try:
        it.start()
        yield it
    finally:
        it.house.close()


@pytest.fixture(scope="module")
def job(session: Session) -> str:
    return session.count()


def job_managers(house: House) -> list[int]:
    return house.jvms("HeadraceSessionClusterEntrypoint")


def all_new(now: list[int], before: list[int]) -> bool:
    """Whether there is any, and none of those from before."""
    return bool(now) and not set(now) & set(before)


def test_s0_22_s0_6_restarting_the_app_keeps_task_managers_and_jobs(session: Session, job: str) -> None:
    """As Marathon does it by default: the new task waits, healthy, until the old one is ended."""
    house = session.house
    before, workers, framework = job_managers(house), house.jvms("TaskManagerRunner"), session.frameworks()[APP]["id"]
    session.send("POST", f"/v2/apps{APP}/restart", {})
    wait_for(lambda: all_new(job_managers(house), before), "the next JobManager", JVM_WAIT)
    session.wait_for_clusters(1)
    session.wait_until_it_goes_on(job)
    assert house.jvms("TaskManagerRunner") == workers
    assert session.frameworks()[APP]["id"] == framework


def test_scaled_to_none_nothing_runs_and_scaled_to_one_the_job_goes_on(session: Session, job: str) -> None:
    session.send("PUT", f"/v2/apps{APP}", {"instances": 0})
    wait_for(lambda: not session.house.flink and not session.frameworks(), "nothing is left")
    wait_for(lambda: not session.app["deployments"], "Marathon has noticed")
    assert "flink_session" in session.kept
    session.send("PUT", f"/v2/apps{APP}", {"instances": 1})
    session.wait_for_clusters(1)
    session.wait_until_it_goes_on(job)


def test_after_the_end_of_up_the_next_one_goes_on(session: Session, job: str) -> None:
    session.house.up.send_signal(signal.SIGINT)
    assert session.house.up.wait(60) == 0
    wait_for(lambda: not session.house.processes(), "no process is left")
    written = numbers(session.directory)
    session.house.close()
    session.house = House(session.directory / "data", like=session.house)
    session.wait_for_clusters(1)
    session.wait_until_it_goes_on(job)
    assert len(numbers(session.directory)) > len(written)


def test_s2_11_three_instances_are_three_clusters(session: Session, job: str) -> None:
    first = session.frameworks()[APP]["id"]
    session.send("PUT", f"/v2/apps{APP}", {"instances": 3})
    session.wait_for_clusters(3)
    found = session.frameworks()
    assert sorted(found) == [APP, f"{APP}@2", f"{APP}@3"]
    assert sorted(one["name"] for one in found.values()) == ["Flink", "Flink@2", "Flink@3"]
    assert len({one["id"] for one in found.values()}) == 3
    assert found[APP]["id"] == first
    assert len(session.house.jvms("TaskManagerRunner")) == 3


def test_s2_1_scaled_to_one_the_others_are_gone_and_the_first_has_not_noticed(session: Session, job: str) -> None:
    first = session.frameworks()[APP]["id"]
    session.send("PUT", f"/v2/apps{APP}", {"instances": 1})
    session.wait_for_clusters(1)
    assert {name: one["id"] for name, one in session.frameworks().items()} == {APP: first}
    wait_for(lambda: len(session.house.flink) == 2, "a JobManager and a TaskManager are left")
    wait_for(lambda: session.kept == ["flink_session", "flink_session.slot"], "files of the others are gone")
    session.wait_until_it_goes_on(job)


def test_s2_17_destroy_ends_everything_at_once(session: Session, job: str) -> None:
    house = session.house
    pids = house.flink
    assert len(pids) == 2
    session.send("DELETE", f"/v2/apps{APP}")
    wait_for(lambda: not house.flink, "no JVM is left")
    wait_for(lambda: not session.frameworks(), "the framework is gone")
    wait_for(lambda: session.kept == [], "its files are gone")


def test_s2_17_kill_9_of_all_and_nobody_comes(session: Session, tmp_path: Path) -> None:
    """Nobody supervises: TaskManagers go after the timeout, and the master forgets the framework."""
    options = {
        "mesos.initial-tasks": 1,
        "mesos.resourcemanager.tasks.cpus": 0.5,
        "mesos.resourcemanager.tasks.mem": 800,
        "env.java.opts.all": "-XX:TieredStopAtLevel=1",
        "headrace.sql.warm-up": "false",
        "taskmanager.registration.timeout": "5 s",
        "heartbeat.interval": "500 ms",
        "heartbeat.timeout": "6 s",  # by which a TaskManager notices that nobody is there
        "mesos.failover-timeout": 30,
    }
    it = AppMaster(tmp_path / "box", session.house.url("master"), **options)
    (worker,) = it.wait_for_task_managers(1)
    pids = [it.process.pid, it.pid, it.job_manager_pid]
    os.killpg(it.process.pid, signal.SIGKILL)
    it.process.wait(60)
    wait_for(lambda: not any(map(psutil.pid_exists, pids)), "all are dead")
    wait_for(lambda: not task_manager_pids(worker), "the TaskManager goes")
    (log,) = session.house.data.glob(f"agent/slaves/*/frameworks/*/executors/{worker}/runs/latest/taskmanager.log")
    assert "RegistrationTimeoutException" in log.read_text()  # not by the master, which waits longer
    wait_for(lambda: "flink" not in session.frameworks(), "the framework is forgotten", 120)


def test_a_job_cluster_that_is_restarted_goes_on_and_destroyed_it_is_gone(session: Session, tmp_path: Path) -> None:
    (tmp_path / "job.sql").write_text(script(tmp_path))
    servers = ["--master", session.house.url("master"), "--marathon", session.house.url("marathon")]
    sizes = ["--task-cpus", "0.5", "--task-mem", "800", "-D", "env.java.opts.all=-XX:TieredStopAtLevel=1"]
    command = [str(HEADRACE), "flink", "job", "--sql", str(tmp_path / "job.sql"), "--id", "/count", "--detach"]
    subprocess.run([*command, *servers, *sizes], check=True, timeout=JVM_WAIT, stdout=subprocess.DEVNULL)
    wait_for(lambda: len(numbers(tmp_path)) > 50, "it writes", JVM_WAIT)
    workers, job_manager = session.house.jvms("TaskManagerRunner"), session.house.jvms("ApplicationClusterEntrypoint")
    session.send("POST", "/v2/apps//count/restart", {})
    after = partial(session.house.jvms, "ApplicationClusterEntrypoint")
    wait_for(lambda: all_new(after(), job_manager), "the next one", JVM_WAIT)
    written = len(numbers(tmp_path))
    wait_for(lambda: len(numbers(tmp_path)) > written + 50, "it goes on", JVM_WAIT)
    found = numbers(tmp_path)
    assert found == list(range(len(found)))
    assert session.house.jvms("TaskManagerRunner") == workers
    session.send("DELETE", "/v2/apps//count")
    wait_for(lambda: not session.house.jvms("TaskManagerRunner") and not session.frameworks(), "all is gone")
    wait_for(lambda: session.kept == [], "its files are gone")
