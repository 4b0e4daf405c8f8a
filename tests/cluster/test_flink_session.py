"""A session cluster with real Flink on a real master and agent, and what SIGKILL does to it.

One cluster serves all tests of this module, which run in order and leave it as they found it: two
TaskManagers, the floor that ``mesos.initial-tasks`` asks for.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.flink import conf, distribution, memory
from headrace.flink.appmaster.tasks import ARCHIVE
from headrace.flink.archive_build import build
from headrace.flink.archives import Archive
from tests.cluster.flink_harness import JVM_WAIT, AppMaster, app_master, flink, task_manager_pids
from tests.cluster.harness import Cluster, cluster, get, wait_for

FLOOR = {"mesos.initial-tasks": 2}


@pytest.fixture(scope="module")
def mesos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("mesos")) as it:
        yield it


@pytest.fixture(scope="module")
def archives() -> list[Archive]:
    """Those of this machine's user, which scripts/setup.sh has made; else it takes half a minute."""
    return asyncio.run(build({}, os.environ, print))


@pytest.fixture(scope="module")
def session(mesos: Cluster, archives: list[Archive]) -> Iterator[AppMaster]:
    with app_master(mesos.directory / "session", mesos.master.url, **FLOOR) as it:
        yield it


def frameworks(mesos: Cluster) -> list[dict[str, object]]:
    return list(get(mesos.master.url + "/master/state")["frameworks"])


def test_floor_is_there_without_a_job(mesos: Cluster, session: AppMaster) -> None:
    session.wait_for_task_managers(2)
    wait_for(lambda: get(session.web + "/overview")["slots-total"] == 2, "Flink counts two slots")
    (framework,) = frameworks(mesos)
    assert framework["name"] == "Flink"
    assert wait_for(lambda: frameworks(mesos)[0]["webui_url"] == session.web, "the dashboard is shown")


def test_the_jvms_have_their_classes_from_archives(session: AppMaster, archives: list[Archive]) -> None:
    """A JVM that goes without one has not mapped it. TaskManagers share one file with the agent's cache."""
    job_manager, task_manager = archives
    maps = Path(f"/proc/{session.job_manager_pid}/maps").read_text()
    assert all(path in maps for path in job_manager.paths)
    files = set()
    for worker_id in session.wait_for_task_managers(2):
        (pid,) = task_manager_pids(worker_id)
        sandbox = Path(os.readlink(f"/proc/{pid}/cwd"))
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert all(f"{sandbox}/{name}" in maps for name in ARCHIVE)
        assert "cds" not in (sandbox / "stdout").read_text()
        files.add((sandbox / "classes.jsa").stat().st_ino)
    (cached,) = session.sandbox.parent.glob(f"agent-*/fetch-cache/sha256-{task_manager.parts[0].sha256}")
    assert files == {cached.stat().st_ino}


def test_nothing_of_the_configuration_is_on_a_command_line(session: AppMaster) -> None:
    (worker_id, *_) = session.wait_for_task_managers(2)
    (pid,) = task_manager_pids(worker_id)
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    sandbox = Path(os.readlink(f"/proc/{pid}/cwd"))
    assert b"heartbeat.timeout" not in command
    assert "heartbeat.timeout" in (sandbox / "conf" / "config.yaml").read_text()
    assert (sandbox / "conf" / "config.yaml").stat().st_mode & 0o077 == 0
    assert (sandbox / "taskmanager.log").stat().st_size > 0


def test_sigkill_of_the_application_master_touches_nothing(session: AppMaster) -> None:
    workers = session.wait_for_task_managers(2)
    job_manager, pids = session.job_manager_pid, [task_manager_pids(worker) for worker in workers]
    first = session.pid
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: session.state and session.pid != first, "a new application master")
    wait_for(lambda: session.state["connected"] and not session.state["unreconciled"], "it is subscribed again")
    assert session.wait_for_task_managers(2) == workers
    assert session.job_manager_pid == job_manager
    assert [task_manager_pids(worker) for worker in workers] == pids


def test_sigkill_of_all_daemons_at_once_touches_nothing_either(mesos: Cluster, session: AppMaster) -> None:
    workers = session.wait_for_task_managers(2)
    pids = [session.job_manager_pid, *(task_manager_pids(worker) for worker in workers)]
    first = session.pid
    os.kill(first, signal.SIGKILL)
    mesos.agents[0].kill()
    mesos.master.kill()
    mesos.master.start()
    mesos.agents[0].start()
    wait_for(lambda: session.state["connected"] and session.pid != first, "it is subscribed again")
    wait_for(lambda: not session.state["unreconciled"], "the master has answered for all workers")
    assert session.wait_for_task_managers(2) == workers
    assert [session.job_manager_pid, *(task_manager_pids(worker) for worker in workers)] == pids


def test_sigkill_of_a_task_manager_brings_a_new_one(session: AppMaster) -> None:
    """After the application master's own death: so the driver has attached again, too."""
    doomed, other = session.wait_for_task_managers(2)
    (pid,) = task_manager_pids(doomed)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: doomed not in [w["id"] for w in session.workers()], "its end is known")
    now = session.wait_for_task_managers(2)
    assert other in now
    assert doomed not in now


def test_second_cluster_lives_beside_the_first(mesos: Cluster, session: AppMaster) -> None:
    first = session.wait_for_task_managers(2)
    with app_master(mesos.directory / "other", mesos.master.url, **{"mesos.initial-tasks": 1}) as other:
        (worker,) = other.wait_for_task_managers(1)
        wait_for(lambda: len(frameworks(mesos)) == 2, "there are two frameworks")
        assert session.wait_for_task_managers(2) == first
        os.kill(other.pid, signal.SIGKILL)  # so that nobody is there to hear the signal that follows
        assert other.stop() == 0
        wait_for(lambda: not task_manager_pids(worker), "its TaskManager is gone")
    wait_for(lambda: len(frameworks(mesos)) == 1, "its framework is gone")
    assert session.wait_for_task_managers(2) == first


def test_sigkill_of_the_job_manager_brings_a_new_one_with_the_same_task_managers(session: AppMaster) -> None:
    workers, before = session.wait_for_task_managers(2), session.job_manager_pid
    pids = [task_manager_pids(worker) for worker in workers]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: session.state["job_manager"]["run"] > 1, "a second run")
    assert session.wait_for_task_managers(2) == workers
    assert [task_manager_pids(worker) for worker in workers] == pids
    assert session.job_manager_pid != before


def test_without_high_availability_a_new_job_manager_has_new_task_managers(mesos: Cluster) -> None:
    """The old ones could not find it."""
    options = {"mesos.initial-tasks": 1, "high-availability.type": "NONE"}
    with app_master(mesos.directory / "none", mesos.master.url, **options) as it:
        workers = it.wait_for_task_managers(1)
        os.kill(it.job_manager_pid, signal.SIGKILL)
        wait_for(lambda: not any(map(task_manager_pids, workers)), "the old TaskManager is gone")
        assert not set(it.wait_for_task_managers(1)) & set(workers)


def test_sigterm_takes_everything_down(mesos: Cluster, session: AppMaster) -> None:
    workers, job_manager = session.wait_for_task_managers(2), session.job_manager_pid
    assert session.stop() == 0
    wait_for(lambda: not any(map(task_manager_pids, workers)), "no TaskManager is left")
    wait_for(lambda: not Path(f"/proc/{job_manager}").exists(), "no JobManager is left")
    wait_for(lambda: not frameworks(mesos), "no framework is left")


def test_sizes_are_those_of_flinks_own_tool(tmp_path: Path) -> None:
    """For each of these options Flink's own tool comes to the same sizes."""
    home = flink().home
    (dist,) = (home / "lib").glob("flink-dist*.jar")
    for options in (
        {"jobmanager.memory.process.size": "960m"},
        {"jobmanager.memory.heap.size": "300m", "jobmanager.memory.enable-jvm-direct-memory-limit": "true"},
    ):
        (tmp_path / "config.yaml").write_bytes(conf.render(options))
        tool = subprocess.run(
            [
                str(distribution.find_java({}, os.environ)),
                "-classpath",
                f"{home}/bin/bash-java-utils.jar:{dist}",
                "org.apache.flink.runtime.util.bash.BashJavaUtils",
                "GET_JM_RESOURCE_PARAMS",
                "--configDir",
                str(tmp_path),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=JVM_WAIT,
        )
        lines = [line.partition(":")[2] for line in tool.stdout.splitlines() if line.startswith("BASH_JAVA_UTILS")]
        sizes = memory.job_manager(options, None)
        assert lines[0].split() == sizes.jvm_arguments()
        told = dict(pair.split("=") for pair in lines[1].split() if pair != "-D")
        assert told == sizes.options()
