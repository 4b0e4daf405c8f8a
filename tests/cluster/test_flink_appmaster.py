"""The application master's command line: mistakes, and the script that keeps it alive."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.flink_harness import SCRIPT
from tests.cluster.harness import wait_for


def run(sandbox: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [str(SCRIPT), *arguments],
        cwd=sandbox,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "mesos.master must be configured"),
        (["-Dmesos.master=nonsense"], "give host:port"),
        (["-Dmesos.master=m:5050", "-Dmesos.initial-tasks=many"], "mesos.initial-tasks"),
        (["-Dmesos.master=m:5050", "-Dheadrace.flink.home=/nowhere"], "flink-dist"),
        (["-Dmesos.master=m:5050", "-Denv.java.home=/nowhere"], "/nowhere/bin/java"),
        (["-Dmesos.master=m:5050", "-Djobmanager.memory.process.size=1600m"], "1600 MiB"),
    ],
)
def test_mistakes_are_said_in_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    ended = run(tmp_path, *arguments, MARATHON_APP_RESOURCE_MEM="1024")
    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("option", ["jobmanager.rpc.port", "rest.port", "mesos.resourcemanager.artifactserver.port"])
def test_port_in_use(tmp_path: Path, option: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = run(tmp_path, "-Dmesos.master=127.0.0.1:1", f"-D{option}={port}")
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    """The script with a ``python`` beside it that does what ``python-does`` says, and a ``sleep`` that does not."""
    shutil.copy(SCRIPT, tmp_path)
    for name, text in (
        (
            "python",
            'echo "run ${HEADRACE_APPMASTER_STOP-}${2#headrace.flink.appmaster}" >>"$0-runs"\n'
            '[ "${2%.last_resort}" != "$2" ] || . "$0-does"',
        ),
        ("sleep", "exit 0"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def start(wrapper: Path, does: str) -> subprocess.Popen[str]:
    (wrapper / "python-does").write_text(does)
    return subprocess.Popen(
        [str(wrapper / SCRIPT.name), "-Da=b"],
        env={**os.environ, "PATH": f"{wrapper}:{os.environ['PATH']}"},
        stderr=subprocess.PIPE,
        text=True,
    )


def runs(wrapper: Path) -> int:
    path = wrapper / "python-runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize(("status", "orderly"), [(0, True), (2, False), (3, True), (4, False)])
def test_ends_are_passed_on_and_no_job_manager_stays_alone(wrapper: Path, status: int, *, orderly: bool) -> None:
    process = start(wrapper, f"exit {status}")
    process.communicate(timeout=60)
    assert process.returncode == status
    last = [] if orderly else ["run .last_resort"]
    assert (wrapper / "python-runs").read_text().splitlines() == ["run ", *last]


@pytest.mark.parametrize("does", ["exit 1", "kill -9 $$"])
def test_crashes_start_it_again_but_not_for_ever(wrapper: Path, does: str) -> None:
    process = start(wrapper, does)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (wrapper / "python-runs").read_text().split("\n") == ["run "] * 6 + ["run .last_resort", ""]
    assert "giving up" in said


def test_trouble_while_a_job_manager_may_live_is_outwaited(wrapper: Path) -> None:
    process = start(wrapper, '[ "$(wc -l <"$0-runs")" -ge 9 ] || exit 75')
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert runs(wrapper) == 9


def test_sigterm_is_passed_on_and_ends_both(wrapper: Path) -> None:
    process = start(wrapper, "trap 'exit 3' TERM; touch \"$0-hears\"; while :; do /bin/sleep 0.05; done")
    wait_for((wrapper / "python-hears").exists, "it runs, and hears signals")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert runs(wrapper) == 1


def test_asked_to_stop_with_nobody_to_do_it_somebody_comes_for_that(wrapper: Path) -> None:
    """The signal hits a Python that is not ready for it yet."""
    process = start(wrapper, '[ -z "$HEADRACE_APPMASTER_STOP" ] || exit 0; exec /bin/sleep 60')
    wait_for(lambda: runs(wrapper) == 1, "it runs")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    child = wait_for(lambda: children.read_text().split(), "its child lives")[0]
    wait_for(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n", "the child is deaf")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (wrapper / "python-runs").read_text() == "run \nrun yes\n"


@pytest.mark.parametrize(("dies", "status"), [(3, 0), (9, 128 + 9)])
def test_whoever_comes_for_the_stop_may_be_killed_too(wrapper: Path, dies: int, status: int) -> None:
    does = (
        f'[ -z "$HEADRACE_APPMASTER_STOP" ] && exec /bin/sleep 60; [ "$(wc -l <"$0-runs")" -gt {dies} ] || kill -9 $$'
    )
    process = start(wrapper, does)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    child = wait_for(lambda: runs(wrapper) and children.read_text().split(), "its child lives")[0]
    wait_for(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n", "the child is deaf")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == status
    last = [] if dies == 3 else ["run yes.last_resort"]
    assert (wrapper / "python-runs").read_text().splitlines() == ["run ", *["run yes"] * min(dies, 5), *last]


def test_job_manager_that_can_not_start_ends_the_cluster(tmp_path: Path) -> None:
    ended = run(tmp_path, "-Dmesos.master=127.0.0.1:1", "-Denv.java.opts.jobmanager=-Xnonsense")
    assert ended.returncode == 4
    assert "the JobManager does not start" in ended.stderr
    assert "-Xnonsense" in (tmp_path / "jobmanager.err").read_text()
