"""What is left behind when nobody starts the application master again; and what its exit statuses are."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from headrace.flink.appmaster import core, daemon, last_resort, own_address
from headrace.flink.appmaster.jvm_process import JobManagerProcess
from headrace.flink.appmaster.slots import SCRIPT_VARIABLE
from headrace.kernel import process
from headrace.kernel.daemon import EXIT_USAGE, UserError

REFERENCE = Path(__file__).parents[3] / "docs" / "reference.md"
SCRIPT = Path(__file__).parents[3] / "scripts" / "mesos-appmaster.sh"


def test_a_job_manager_that_nobody_watches_any_more_is_ended(tmp_path: Path) -> None:
    for run in (1, 2):
        directory = tmp_path / ".headrace" / "jobmanager" / str(run)
        directory.mkdir(parents=True)
        out = tmp_path / "out"
        command = ["/bin/sh", "-c", "exit 3"] if run == 1 else ["/bin/sleep", "60"]
        pid = process.start(
            command, run_dir=directory, work_dir=tmp_path, environment={}, stdout=out, stderr=out, own_group=False
        )
        if run == 1:
            os.waitpid(pid, 0)
    assert process.read_pid(directory, patience=60)
    assert last_resort.main(tmp_path) == 1
    os.waitpid(pid, 0)
    assert process.read_end(directory).signal == SIGKILL
    assert last_resort.main(tmp_path) == 0
    assert last_resort.main(tmp_path / "nothing") == 0


@pytest.mark.parametrize("wrong", ["-Dmesos.nonsense=1", "-Denv.java.home=/nowhere"])
@pytest.mark.parametrize("lives", [True, False])
def test_a_mistake_is_outwaited_while_a_job_manager_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, *, lives: bool
) -> None:
    directory, out = tmp_path / ".headrace" / "jobmanager" / "1", tmp_path / "out"
    directory.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    pid = process.start(
        ["/bin/sleep", "60"], run_dir=directory, work_dir=tmp_path, environment={}, stdout=out, stderr=out
    )
    assert process.read_pid(directory, patience=60)
    if not lives:
        last_resort.main(tmp_path)
        os.waitpid(pid, 0)
    with pytest.raises(SystemExit if lives else UserError, match="75" if lives else "nonsense|nowhere"):
        asyncio.run(daemon.main(asyncio.Event(), ["-Dmesos.master=127.0.0.1:1", wrong]))
    if lives:
        last_resort.main(tmp_path)
        os.waitpid(pid, 0)


DEAF_FIRST = """#!/bin/sh
trap 'touch lost' TERM
echo $$ >started
until [ -e go ]; do /bin/sleep 0.02; done
trap 'exit 3' TERM
touch hears
kill -URG $PPID
while :; do /bin/sleep 0.02; done
"""


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_sigterm_that_came_before_it_could_be_heard_is_repeated(tmp_path: Path, shell: str) -> None:
    """The script's child is only just forked, or has not come to its own handlers."""
    script = Path(shutil.copy(SCRIPT, tmp_path))
    (tmp_path / "python").write_text(DEAF_FIRST)
    (tmp_path / "python").chmod(0o755)
    started = subprocess.Popen([shell, str(script)], cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_for(tmp_path / "started")
        started.send_signal(SIGTERM)
        _wait_for(tmp_path / "lost")
        (tmp_path / "go").touch()
        assert started.wait(60) == 3
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, SIGKILL)
        started.wait()


TELLS = """
import os, signal, subprocess, sys
heard = []
signal.signal(signal.SIGURG, lambda *_: heard.append(1))
code = "from headrace.flink.appmaster.__main__ import tell_script; tell_script()"
for owner in (os.getpid(), os.getppid()):
    before = len(heard)
    subprocess.run([sys.executable, "-c", code], env={**os.environ, sys.argv[1]: str(owner)}, check=True)
    print(len(heard) - before)
"""


def test_its_script_is_told_that_signals_are_heard() -> None:
    """Nobody else, whoever the environment names."""
    ended = subprocess.run(
        [sys.executable, "-c", TELLS, SCRIPT_VARIABLE], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "1\n0\n"


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.01)


def test_without_a_job_manager_there_are_no_last_words(tmp_path: Path) -> None:
    it = JobManagerProcess(tmp_path / ".headrace", tmp_path, {}, lambda run, how, mistake: None)
    assert it.last_words() == ""


def test_s0_6_each_exit_status_is_documented_and_fits() -> None:
    statuses = {
        0,
        1,
        EXIT_USAGE,
        core.EXIT_MISTAKE,
        core.EXIT_FAILED,
        core.EXIT_JOB_MANAGER,
        own_address.EXIT_TRY_AGAIN,
    }
    assert all(0 <= status < 126 for status in statuses)  # a shell uses what is above itself
    lines = REFERENCE.read_text().split("## Exit statuses")[1].split("\n## ")[0].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| application master"))
    documented = set()
    for line in lines[first:]:
        if line.startswith("| `mesos"):
            break
        documented.add(int(re.split(r" *\| *", line)[2]))
    assert documented == statuses
    assert f'[ "$status" -eq {own_address.EXIT_TRY_AGAIN} ]' in SCRIPT.read_text()
