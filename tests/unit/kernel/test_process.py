"""Real supervisors, real signals; each case takes some milliseconds."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.kernel import process
from headrace.kernel.process import Ended, Found


class Runs:
    """Starts commands under supervisors and ends what a test left."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.pids: list[int] = []

    def start(self, name: str, *argv: str, own_group: bool = True, **environment: str) -> Path:
        run_dir = self._root / name
        run_dir.mkdir()
        pid = process.start(
            argv,
            run_dir=run_dir,
            work_dir=self._root,
            environment={"PATH": os.environ["PATH"], **environment},
            stdout=run_dir / "stdout",
            stderr=run_dir / "stderr",
            own_group=own_group,
        )
        self.pids.append(pid)
        return run_dir


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    started = Runs(tmp_path)
    yield started
    for pid in started.pids:
        try:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


async def end_of(runs: Runs, run_dir: Path) -> Ended:
    done: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
    process.watch(runs.pids[-1], run_dir, done.set_result)
    return await asyncio.wait_for(done, 5)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize(
    ("command", "end", "text"),
    [
        ("exit 0", Ended(0), "Command exited with status 0"),
        ("exit 3", Ended(3), "Command exited with status 3"),
        ("exit 127", Ended(127), "Command exited with status 127"),
        ("kill -9 $$", Ended(137, 9), "Command terminated with signal Killed"),
        ("kill -TERM $$", Ended(143, 15), "Command terminated with signal Terminated"),
        ("/no/such/program", Ended(127), "Command exited with status 127"),
    ],
)
async def test_the_exit_status_is_kept(runs: Runs, command: str, end: Ended, text: str) -> None:
    run_dir = runs.start("run", "/bin/sh", "-c", command)
    assert await end_of(runs, run_dir) == end
    assert str(end) == text
    assert process.find(run_dir) is Found.ENDED
    assert process.read_end(run_dir) == end


async def test_output_and_environment(runs: Runs) -> None:
    run_dir = runs.start("run", "/bin/sh", "-c", 'echo "$GREETING"; pwd; echo oops >&2', GREETING="a  b'c")
    await end_of(runs, run_dir)
    assert (run_dir / "stdout").read_text() == f"a  b'c\n{run_dir.parent}\n"
    assert (run_dir / "stderr").read_text() == "oops\n"


async def test_running_is_told_from_ended_and_never_started(runs: Runs, tmp_path: Path) -> None:
    run_dir = runs.start("run", "sleep", "60")
    assert process.find(run_dir) is Found.RUNNING
    assert process.find(tmp_path / "nothing") is Found.NEVER_STARTED
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked" / "lock").touch()
    assert process.find(tmp_path / "locked") is Found.NEVER_STARTED


async def test_a_term_of_the_group_reaches_the_command_and_its_status_is_reported(runs: Runs) -> None:
    run_dir = runs.start("run", "/bin/sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done")
    await until(lambda: (run_dir / "stdout").exists() and (run_dir / "stdout").read_text())
    assert process.signal_group(run_dir, signal.SIGTERM)
    assert await end_of(runs, run_dir) == Ended(5)
    assert not process.signal_group(run_dir, signal.SIGTERM)


async def test_a_command_that_ignores_term_goes_on_until_it_is_killed(runs: Runs) -> None:
    run_dir = runs.start("run", "/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done")
    await until(lambda: (run_dir / "stdout").exists() and (run_dir / "stdout").read_text())
    for _ in range(3):
        process.signal_group(run_dir, signal.SIGTERM)
    await asyncio.sleep(0.05)
    assert process.find(run_dir) is Found.RUNNING
    process.signal_group(run_dir, signal.SIGKILL)
    assert await end_of(runs, run_dir) == Ended(137, 9)


async def test_a_term_in_the_first_moments_is_never_lost(runs: Runs) -> None:
    for number in range(20):
        run_dir = runs.start(f"run-{number}", "sleep", "60")
        await until(lambda: process.signal_group(run_dir, signal.SIGTERM))  # noqa: B023 - awaited at once
        assert (await end_of(runs, run_dir)) == Ended(143, 15)


async def test_what_the_command_left_behind_ends_with_it(runs: Runs) -> None:
    run_dir = runs.start("run", "/bin/sh", "-c", "sleep 60 & echo $!")
    await end_of(runs, run_dir)
    left = int((run_dir / "stdout").read_text())
    await until(lambda: not alive(left))


async def test_a_command_may_clean_up_after_a_term_though_its_shell_dies_at_once(runs: Runs, tmp_path: Path) -> None:
    """An application master behind ``sh -c`` has to end its cluster before its group is ended."""
    clean_up = 'trap "sleep 0.2; echo done >cleaned; exit" TERM; echo $$ >ready; while :; do sleep 1 & wait; done'
    script = tmp_path / "script"
    script.write_text(clean_up)
    run_dir = runs.start("run", "/bin/sh", "-c", f"/bin/sh {script}; true")
    await until((tmp_path / "ready").exists)
    assert process.signal_group(run_dir, signal.SIGTERM)
    assert await end_of(runs, run_dir) == Ended(143, 15)
    assert (tmp_path / "cleaned").read_text() == "done\n"


async def test_a_killed_supervisor_takes_its_command_along(runs: Runs) -> None:
    run_dir = runs.start("run", "sleep", "60")
    await until(lambda: (run_dir / "command").exists() and (run_dir / "command").read_text())
    command = int((run_dir / "command").read_text())
    os.kill(runs.pids[-1], signal.SIGKILL)
    assert await end_of(runs, run_dir) == Ended(137, 9)
    await until(lambda: not alive(command))


async def test_signal_command_spares_the_group(runs: Runs) -> None:
    run_dir = runs.start("run", "sleep", "60", own_group=False)
    await until(lambda: process.signal_command(run_dir, signal.SIGTERM) or process.find(run_dir) is Found.ENDED)
    assert await end_of(runs, run_dir) == Ended(143, 15)


async def test_watching_what_has_ended_tells_at_once(runs: Runs) -> None:
    run_dir = runs.start("run", "true")
    await until(lambda: process.find(run_dir) is Found.ENDED)
    assert await end_of(runs, run_dir) == Ended(0)


async def test_a_run_directory_in_use_is_refused(runs: Runs) -> None:
    run_dir = runs.start("run", "sleep", "60")
    with pytest.raises(BlockingIOError):
        process.start(
            ["true"], run_dir=run_dir, work_dir=run_dir, environment={}, stdout=run_dir / "o", stderr=run_dir / "e"
        )


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
