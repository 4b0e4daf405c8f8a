"""Rows of the seeds about one session cluster on one agent: how it comes up, and what disturbs it.

One application master serves all tests that need no other; they run in order. It reaches its master through a door
that tests can shut.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.flink_harness import JVM_WAIT, AppMaster, app_master, end_of, run_jar, task_manager_pids
from tests.cluster.harness import Cluster, HeldPort, cluster, get, wait_for

FAILOVER = 30
"""Seconds after which the master forgets a framework that is away. Half of them are enough to try again, every 5 s."""


class Door:
    """Passes connections on to a server while it is open; ``url`` stays the same."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("http://").rpartition(":")
        self._target = host, int(port)
        self._sockets: list[socket.socket] = []
        """The listening one first; none while it is shut."""
        self._lock = threading.Lock()
        self._port = HeldPort()
        self.url = f"http://127.0.0.1:{self._port.number}"

    def open(self) -> None:
        server = socket.create_server(("127.0.0.1", self._port.number))
        self._sockets = [server]
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def shut(self) -> None:
        """Nobody comes in any more, and who is in is thrown out."""
        with self._lock:
            for one in self._sockets:
                _end(one)
            self._sockets = []

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                inside = server.accept()[0]
                if not self._lead_on(server, inside):
                    inside.close()

    def _lead_on(self, server: socket.socket, inside: socket.socket) -> bool:
        with self._lock, suppress(OSError):
            if server not in self._sockets:
                return False  # it was shut just now
            outside = socket.create_connection(self._target)
            self._sockets += (inside, outside)
            for pair in ((inside, outside), (outside, inside)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()
            return True
        return False


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def mesos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("rows")) as it:
        yield it


@pytest.fixture(scope="module")
def door(mesos: Cluster) -> Iterator[Door]:
    it = Door(mesos.master.url)
    yield it
    it.shut()


@pytest.fixture(scope="module")
def session(mesos: Cluster, door: Door) -> Iterator[AppMaster]:
    """One TaskManager at most, with the two slots that the job needs."""
    options = {
        "mesos.failover-timeout": FAILOVER,
        "slotmanager.number-of-slots.max": 2,
        "taskmanager.numberOfTaskSlots": 2,
        "resourcemanager.taskmanager-timeout": 600_000,  # none ends for want of work
        "headrace.sql.warm-up": "false",
        "high-availability.cluster-id": "rows",
    }
    with app_master(mesos.directory / "session", door.url, **options) as it:
        yield it


def frameworks(mesos: Cluster) -> list[Any]:
    return list(get(mesos.master.url + "/master/state")["frameworks"])


def test_s2_3_an_application_master_waits_for_its_master(mesos: Cluster, door: Door, session: AppMaster) -> None:
    said = session.sandbox / "stderr"
    wait_for(lambda: said.read_text().count("not subscribed") > 2, "it tries again and again")
    assert session.web  # the dashboard is up meanwhile
    assert not session.state["connected"]
    door.open()
    wait_for(lambda: frameworks(mesos), "it is registered")


def test_s0_11_mesos_shows_the_way_to_the_dashboard(mesos: Cluster, session: AppMaster) -> None:
    url = wait_for(lambda: frameworks(mesos)[0]["webui_url"], "the dashboard is shown")
    assert get(url + "/overview")["flink-version"]
    assert get(url + "/config")["features"]["web-submit"]


def test_s0_27_and_s0_22_two_jobs_have_the_same_task_manager_without_marathon(session: AppMaster, jobs: Path) -> None:
    """One after the other."""
    seen = set()
    for _ in range(2):
        assert end_of(session.web, run_jar(session.web, jobs / "count.jar", "100")) == "FINISHED"
        seen.add(tuple(worker["id"] for worker in session.workers()))
    assert len(seen) == 1
    assert len(seen.pop()) == 1


def test_s0_3_a_broken_subscription_costs_nothing(mesos: Cluster, door: Door, session: AppMaster) -> None:
    (worker,) = session.wait_for_task_managers(1)
    (framework,), pids = frameworks(mesos), task_manager_pids(worker)
    door.shut()
    wait_for(lambda: not frameworks(mesos)[0]["active"], "the master notices")
    broken = time.monotonic()
    wait_for(lambda: time.monotonic() - broken > FAILOVER * 0.51, "more than half of the time is over", pause=0.1)
    door.open()
    wait_for(lambda: session.state["connected"] and frameworks(mesos)[0]["active"], "it is subscribed again")
    (again,) = frameworks(mesos)
    assert again["id"] == framework["id"]
    assert [(task["id"], task["state"]) for task in again["tasks"]] == [(worker, "TASK_RUNNING")]
    assert session.wait_for_task_managers(1) == [worker]
    assert task_manager_pids(worker) == pids


def test_s0_4_a_killed_task_manager_is_replaced_by_the_next(session: AppMaster, jobs: Path) -> None:
    """By one with the next number, for the next job."""
    (worker,) = session.wait_for_task_managers(1)
    (pid,) = task_manager_pids(worker)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not session.workers(), "its end is known")
    wait_for(lambda: not get(session.web + "/taskmanagers")["taskmanagers"], "Flink has been told")
    assert end_of(session.web, run_jar(session.web, jobs / "count.jar", "100")) == "FINISHED"
    (other,) = session.wait_for_task_managers(1)
    name, _, number = worker.rpartition("-")
    assert other == f"{name}-{int(number) + 1:05d}"


def test_s0_4_a_broken_command_is_not_tried_for_ever_without_a_pause(mesos: Cluster) -> None:
    """Flink's own limit holds: some failures at once, then one try after each pause."""
    most, pause = 3, 2
    options = {
        "mesos.initial-tasks": 1,
        "mesos.resourcemanager.tasks.taskmanager-cmd": "false",
        "resourcemanager.start-worker.max-failure-rate": most,
        "resourcemanager.start-worker.retry-interval": f"{pause} s",
        "high-availability.cluster-id": "broken",
        "headrace.sql.warm-up": "false",
    }
    with app_master(mesos.directory / "broken", mesos.master.url, **options) as it:
        said = it.sandbox / "stderr"

        def failures() -> list[datetime]:
            """When Flink was told of each."""
            lines = said.read_text().rpartition("\n")[0].splitlines()
            return [datetime.fromisoformat(line.split()[0]) for line in lines if "is TASK_FAILED" in line]

        wait_for(lambda: len(failures()) > most + 2, "it fails again and again", JVM_WAIT)
        times = failures()
        pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
        assert min(pauses[most:]) > pause * 0.9
        assert it.web
