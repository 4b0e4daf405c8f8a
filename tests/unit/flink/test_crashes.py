"""What is left behind when nobody starts the application master again; and what its exit statuses are."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from signal import SIGKILL

import pytest

from headrace.flink.appmaster import core, daemon, last_resort, own_address
from headrace.flink.appmaster.jvm_process import JobManagerProcess
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
    process.command_pid(directory)
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
    process.command_pid(directory)
    if not lives:
        last_resort.main(tmp_path)
        os.waitpid(pid, 0)
    with pytest.raises(SystemExit if lives else UserError, match="75" if lives else "nonsense|nowhere"):
        asyncio.run(daemon.main(asyncio.Event(), ["-Dmesos.master=127.0.0.1:1", wrong]))
    if lives:
        last_resort.main(tmp_path)
        os.waitpid(pid, 0)


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
