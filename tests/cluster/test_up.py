"""``headrace up`` and the demo behind ``make run``, as a user runs them."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.cluster.harness import get, wait_for
from tests.cluster.house import HEADRACE, House

FREE = [part for name in ("master", "agent", "marathon", "gateway") for part in (f"--{name}-port", "0")]


def up(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``headrace up`` that is expected to end by itself."""
    command = [str(HEADRACE), "up", "--data", str(data), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has reaped yet does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_page_shows_what_runs_and_a_second_cluster_on_the_same_data_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    try:
        page = house.url("gateway") + "/api/overview"  # as the agent listens before it is registered
        wait_for(lambda: [agent["active"] for agent in get(page)["agents"]] == [True], "the page shows the agent")
        second = up(tmp_path / "data", *FREE)
        assert second.returncode == 2
        assert "in use" in second.stderr
        assert "Traceback" not in second.stderr
        assert get(page)["agents"]
    finally:
        house.close()
    assert house.processes() == []


def test_sigkill_of_up_itself_stops_the_daemons_but_a_new_one_finds_the_tasks(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    try:
        app = '{"id": "/sleeper", "cmd": "sleep 1000", "cpus": 0.1, "mem": 32}'
        command = [str(HEADRACE), "app", "create", "--marathon", house.url("marathon"), "--wait", "-"]
        subprocess.run(command, input=app, text=True, check=True, timeout=120)
        (task,) = house.processes("sleep", "1000")[-1:]
        os.kill(house.up.pid, signal.SIGKILL)
        house.up.wait(60)
        wait_for(lambda: not house.processes("-m", "headrace."), "the daemons have ended")
        assert alive(task)
    finally:
        house.close()
    again = House(tmp_path / "data")
    try:
        url = again.url("marathon") + "/v2/apps//sleeper"
        wait_for(lambda: get(url)["app"]["tasksRunning"] == 1, "the task is known again")
        assert alive(task)
    finally:
        again.close()
    assert not alive(task)
    assert again.processes() == []


def test_a_port_in_use_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        outcome = up(tmp_path / "data", *FREE[:-4], "--marathon-port", port, "--gateway-port", "0")
    assert outcome.returncode == 2
    assert f"port {port}" in outcome.stderr
    assert "--marathon-port" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("component", ["master", "agent", "marathon"])
def test_data_of_another_version_is_refused_and_left_alone(tmp_path: Path, component: str) -> None:
    directory = tmp_path / "data" / component
    directory.mkdir(parents=True)
    path = directory / f"{component}.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE owner (component TEXT NOT NULL, layout INTEGER NOT NULL)")
        db.execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        db.execute("INSERT INTO owner VALUES (?, 99)", (component,))
    db.close()
    outcome = up(tmp_path / "data", *FREE)
    assert outcome.returncode == 2, outcome
    assert f"{component}.db holds data of {component} in layout 99" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_make_run_once_checks_its_result_and_leaves_nothing_cold_and_warm(tmp_path: Path) -> None:
    """The second time Marathon has the session in its store already, with a task that is no more."""
    command = [str(HEADRACE), "demo", "--once", "--data", str(tmp_path / "data"), *FREE]
    for _ in ("cold", "warm"):
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        phases = ("cluster up", "session healthy", "TaskManagers registered", "job RUNNING", "first result", "checked")
        assert [phase for phase in phases if phase not in outcome.stdout] == []
        assert "The result is right" in outcome.stdout
        left = [p.pid for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
        assert left == []
