"""What SIGTERM means where nobody supervises, and that the next start in the same directory goes on or begins anew.

Stubs take the place of JVMs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster.harness import Cluster, cluster, get, wait_for
from tests.cluster.stub_flink import StubCluster, StubFlink, task_managers

WORKERS = 2


@pytest.fixture(scope="module")
def mesos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("stops")) as it:
        yield it


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> StubFlink:
    return StubFlink(tmp_path_factory.mktemp("stub"))


def frameworks(mesos: Cluster) -> list[dict[str, Any]]:
    return list(get(mesos.master.url + "/master/frameworks")["frameworks"])


@contextmanager
def running(mesos: Cluster, flink: StubFlink, box: Path, **options: Any) -> Iterator[StubCluster]:
    """A cluster in a directory, with its workers; killed at the end if it has not ended."""
    for name in ("stdout", "flink-knows.json"):
        (box / name).unlink(missing_ok=True)
    it = StubCluster(box, mesos.master.url, flink, **options)
    try:
        it.wants(WORKERS, cpus=0.1, memory_mib=64)
        wait_for(lambda: it.url and it.has(WORKERS), f"it has its workers; see {box}")
        wait_for(lambda: len(pids(mesos)) == WORKERS, "their processes run")
        yield it
    finally:
        it.ended(0 if it.process.poll() is not None else 10)


def pids(mesos: Cluster) -> list[int]:
    """Of TaskManagers."""
    return sorted(pid for found in task_managers(mesos.directory).values() for pid in found)


def stop(it: StubCluster) -> None:
    """To the script alone, as systemd's KillMode=mixed does it."""
    it.process.send_signal(signal.SIGTERM)
    assert it.ended() == 0, it.log
    wait_for(lambda: not it.processes(), "no process of it is left")


NAMED = {"high-availability.cluster-id": "one"}


@pytest.mark.parametrize(
    ("choice", "named", "kept"),
    [("", False, "nothing"), ("", True, "files"), ("destroy", True, "nothing"), ("suspend", False, "files")],
)
def test_s0_22_without_a_supervisor_sigterm_ends_all_and_files_stay_if_a_place_was_named(
    mesos: Cluster, flink: StubFlink, tmp_path: Path, choice: str, named: bool, kept: str
) -> None:
    options: dict[str, Any] = {**NAMED, "high-availability.storageDir": tmp_path / "shared"} if named else {}
    if choice:
        options["headrace.appmaster.on-stop"] = choice
    directory = tmp_path / "shared" / "one" if named else tmp_path / "box" / ".headrace" / "ha" / "flink"
    ids = []
    for _ in ("first", "again"):
        with running(mesos, flink, tmp_path / "box", **options) as it:
            ids.append(it.state["framework_id"])
            directory.mkdir(parents=True, exist_ok=True)  # as Flink does
            (directory / "job").touch()
            stop(it)
        wait_for(lambda: not pids(mesos) and not frameworks(mesos), "TaskManagers and framework are gone")
        assert directory.exists() is (kept == "files")
    assert len(set(ids)) == 2


def test_s0_6_restart_keeps_framework_and_task_managers_for_the_next_start(
    mesos: Cluster, flink: StubFlink, tmp_path: Path
) -> None:
    options = {"headrace.appmaster.on-stop": "restart"}
    with running(mesos, flink, tmp_path / "box", **options) as it:
        framework, before = it.state["framework_id"], pids(mesos)
        stop(it)
    assert pids(mesos) == before
    assert [one["id"] for one in frameworks(mesos)] == [framework]
    with running(mesos, flink, tmp_path / "box", **{"headrace.appmaster.on-stop": "destroy"}) as it:
        assert it.state["framework_id"] == framework
        assert pids(mesos) == before
        stop(it)
    wait_for(lambda: not pids(mesos) and not frameworks(mesos), "all is gone")


def test_the_master_is_away_when_it_is_suspended(mesos: Cluster, flink: StubFlink, tmp_path: Path) -> None:
    """What could not be torn down is found again by the next start."""
    options = {"headrace.appmaster.on-stop": "suspend"}
    with running(mesos, flink, tmp_path / "box", **options) as it:
        framework, before = it.state["framework_id"], pids(mesos)
        mesos.master.kill()
        stop(it)
    mesos.master.start()
    with running(mesos, flink, tmp_path / "box", **options) as it:
        assert it.state["framework_id"] == framework
        assert pids(mesos) == before
        stop(it)
    wait_for(lambda: not pids(mesos) and not frameworks(mesos), "all is gone")


def test_the_second_of_one_name_waits_for_the_first(mesos: Cluster, flink: StubFlink, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        **NAMED,
        "high-availability.storageDir": tmp_path,
        "headrace.appmaster.on-stop": "destroy",
    }
    with running(mesos, flink, tmp_path / "a", **options) as first:
        second = StubCluster(tmp_path / "b", mesos.master.url, flink, **options)
        try:
            wait_for(lambda: "this one waits" in second.log, "it waits")
            assert not second.url
            os.killpg(first.process.pid, signal.SIGKILL)
            wait_for(lambda: second.url, "it goes on")
        finally:
            second.terminate()
            assert second.ended() == 0
    # SIGKILL of all but the TaskManagers: nobody knew the framework any more
    for pid in pids(mesos):
        psutil.Process(pid).kill()
