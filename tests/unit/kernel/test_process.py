"""Real supervisors, real signals; each case takes some milliseconds."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from headrace.kernel import process
from headrace.kernel.process import Ended, Found

TELLS = pytest.mark.skipif(os.path.realpath("/bin/sh").endswith("bash"), reason="bash does not tell them apart")


class Runs:
    """Starts commands under supervisors and ends what a test left."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.pids: list[int] = []

    def start(
        self,
        name: str,
        *argv: str,
        own_group: bool = True,
        variables: Mapping[str, str] | None = None,
        enter: Sequence[Path] = (),
        before: Sequence[str] = (),
        **environment: str,
    ) -> Path:
        run_dir = self._root / name
        run_dir.mkdir()
        pid = process.start(
            argv,
            run_dir=run_dir,
            work_dir=self._root,
            environment={"PATH": os.environ["PATH"], **environment, **(variables or {})},
            stdout=run_dir / "stdout",
            stderr=run_dir / "stderr",
            own_group=own_group,
            enter=enter,
            before=before,
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
    return await asyncio.wait_for(done, 60)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
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
        pytest.param("exit 143", Ended(143), "Command exited with status 143", marks=TELLS),
        pytest.param("exit 137", Ended(137), "Command exited with status 137", marks=TELLS),
        ("exit 255", Ended(255), "Command exited with status 255"),
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
    await until(lambda: process.signal_group(run_dir, signal.SIGTERM))
    assert await end_of(runs, run_dir) == Ended(5)
    assert not process.signal_group(run_dir, signal.SIGTERM)


async def test_a_command_that_ignores_term_goes_on_until_it_is_killed(runs: Runs) -> None:
    run_dir = runs.start("run", "/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done")
    await until(lambda: (run_dir / "stdout").exists() and (run_dir / "stdout").read_text())
    for _ in range(3):
        await until(lambda: process.signal_group(run_dir, signal.SIGTERM))
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
    await until(lambda: process.signal_group(run_dir, signal.SIGTERM))
    assert await end_of(runs, run_dir) == Ended(143, 15)
    assert (tmp_path / "cleaned").read_text() == "done\n"


async def test_a_killed_supervisor_takes_its_command_along(runs: Runs) -> None:
    run_dir = runs.start("run", "sleep", "60")
    await until(lambda: (run_dir / "command").exists() and (run_dir / "command").read_text())
    command = int((run_dir / "command").read_text())
    os.kill(runs.pids[-1], signal.SIGKILL)
    assert await end_of(runs, run_dir) == Ended(137, 9)
    await until(lambda: not alive(command))


async def test_a_supervisor_that_was_killed_before_it_was_watched_takes_its_command_along(runs: Runs) -> None:
    run_dir = runs.start("run", "sleep", "60")
    await until(lambda: (run_dir / "command").exists() and (run_dir / "command").read_text())
    command = int((run_dir / "command").read_text())
    os.kill(runs.pids[-1], signal.SIGKILL)
    await until(lambda: process.find(run_dir) is not Found.RUNNING)
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


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("what", ["link", "dangling", "pipe", "hard link", "directory"])
def test_output_goes_to_nothing_that_was_put_in_its_place(tmp_path: Path, name: str, what: str) -> None:
    run_dir, precious, file = tmp_path / "run", tmp_path / "precious", tmp_path / name
    run_dir.mkdir()
    precious.write_text("as it was")
    put: dict[str, Callable[[], None]] = {
        "link": lambda: file.symlink_to(precious),
        "dangling": lambda: file.symlink_to(tmp_path / "new"),
        "pipe": lambda: os.mkfifo(file),
        "hard link": lambda: file.hardlink_to(precious),
        "directory": file.mkdir,
    }
    put[what]()
    places = {"run_dir": run_dir, "work_dir": tmp_path, "stdout": tmp_path / "stdout", "stderr": tmp_path / "stderr"}
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=name):
        process.start(["echo", "ran"], environment={}, **places)  # type: ignore[arg-type]
    assert len(os.listdir("/proc/self/fd")) == before
    assert precious.read_text() == "as it was"
    assert not (tmp_path / "new").exists()
    assert process.find(run_dir) is Found.NEVER_STARTED


async def test_output_is_appended_wherever_the_end_is(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    out = tmp_path / "out"
    out.write_text("earlier\n")
    script = "echo one; while [ ! -e go ]; do sleep 0.005; done; echo two"
    runs.pids.append(
        process.start(
            ["/bin/sh", "-c", script],
            run_dir=tmp_path / "run",
            work_dir=tmp_path,
            environment={"PATH": os.environ["PATH"]},
            stdout=out,
            stderr=out,
        )
    )
    await until(lambda: out.read_text() == "earlier\none\n")
    os.truncate(out, 0)  # as a rotation does
    (tmp_path / "go").touch()
    assert await end_of(runs, tmp_path / "run") == Ended(0)
    assert out.read_text() == "two\n"


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


SHELL_NAMES = {"run": "prod", "group": "web", "child": "x", "status": "7", "stopping": "", "TOKEN": "a\n'b\" $c"}
OTHER_NAMES = {"a.b": "1\n2", "foo-bar": "'\"`$x", "PWD": "/nowhere", "IFS": "x", "PPID": "1", "_": "u", "é": "ü"}


@pytest.mark.parametrize("given", [SHELL_NAMES, SHELL_NAMES | OTHER_NAMES])
async def test_the_command_gets_just_the_variables_that_it_is_given(runs: Runs, given: dict[str, str]) -> None:
    run_dir = runs.start("run", "env", "-0", variables=given)
    assert await end_of(runs, run_dir) == Ended(0)
    lines = (run_dir / "stdout").read_text().split("\0")[:-1]
    assert dict(line.split("=", 1) for line in lines) == {"PATH": os.environ["PATH"]} | given


async def test_variables_are_on_no_command_line_and_no_descriptor_is_left(runs: Runs) -> None:
    run_dir = runs.start("run", "sh", "-c", "ls /proc/$$/fd; exec sleep 60", variables={"a.b": "s3cret"})
    await until(lambda: (run_dir / "stdout").exists() and (run_dir / "stdout").read_text().count("\n") >= 4)
    await until(lambda: (run_dir / "command").exists() and (run_dir / "command").read_text())
    command = int((run_dir / "command").read_text())
    lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in (runs.pids[-1], command)]  # noqa: ASYNC240
    assert "s3cret" not in "".join(lines)
    held = {int(fd) for fd in (run_dir / "stdout").read_text().split()}
    assert {fd for fd in held if fd < 10} == {0, 1, 2, 8}  # from 10 on are those that the tests were started with


async def test_a_program_that_is_not_there_is_told_of_whatever_the_variables(runs: Runs) -> None:
    run_dir = runs.start("run", "/no/such/program", variables={"a.b": "1"})
    assert await end_of(runs, run_dir) == Ended(127)
    assert "/no/such/program: No such file" in (run_dir / "stderr").read_text()


@pytest.mark.parametrize("name", ["", "a=b", "a\0b"])
def test_what_can_not_be_a_variable_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="can't be a variable"):
        process.start(
            ["true"], run_dir=tmp_path, work_dir=tmp_path, environment={name: "v"}, stdout=tmp_path, stderr=tmp_path
        )
    assert process.find(tmp_path) is Found.NEVER_STARTED


@pytest.mark.parametrize("left", [[], ["lock"], ["lock", "boot"], ["lock", "boot", "alive"]])
async def test_a_start_that_was_cut_off_can_be_made_again(runs: Runs, tmp_path: Path, left: list[str]) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    for name in left:
        os.mkfifo(run_dir / name) if name == "alive" else (run_dir / name).touch()
    assert process.find(run_dir) is Found.NEVER_STARTED
    places = {"run_dir": run_dir, "work_dir": tmp_path, "stdout": run_dir / "stdout", "stderr": run_dir / "stderr"}
    runs.pids.append(process.start(["echo", "ran"], environment={"PATH": os.environ["PATH"]}, **places))  # type: ignore[arg-type]
    assert await end_of(runs, run_dir) == Ended(0)
    assert (run_dir / "stdout").read_text() == "ran\n"
    with pytest.raises(FileExistsError):
        process.start(["true"], environment={}, **places)  # type: ignore[arg-type]


def test_a_status_that_could_not_be_written_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "status").touch()
    end = process.read_end(tmp_path)
    assert not end.succeeded
    assert "unknown" in str(end)


async def test_a_supervisor_that_could_not_write_its_id_is_signalled_by_the_known_one(runs: Runs) -> None:
    run_dir = runs.start("run", "sleep", "60")
    await until(lambda: (run_dir / "pid").exists() and (run_dir / "pid").read_text())
    (run_dir / "pid").write_text("")
    assert not process.signal_group(run_dir, signal.SIGTERM, patience=0)
    assert process.signal_group(run_dir, signal.SIGTERM, pid=runs.pids[-1])
    assert await end_of(runs, run_dir) == Ended(143, 15)


async def test_strangers_that_got_the_ids_after_a_reboot_are_spared(runs: Runs) -> None:
    run_dir = runs.start("run", "sleep", "60")
    await until(lambda: process.read_pid(run_dir))
    (run_dir / "boot").write_text("another boot pid:[1]")
    assert not process.end_leftovers(run_dir)
    assert process.find(run_dir) is Found.RUNNING


async def test_the_command_enters_before_it_begins_and_the_supervisor_stays_outside(runs: Runs, tmp_path: Path) -> None:
    files = [tmp_path / "cgroup.procs", tmp_path / "a b; c"]
    run_dir = runs.start("run", "/bin/sh", "-c", f'cat "{files[0]}" "{files[1]}"', enter=files)
    assert await end_of(runs, run_dir) == Ended(0)
    assert (run_dir / "stdout").read_text() == "0\n0\n"


async def test_a_command_that_can_not_enter_does_not_run(runs: Runs, tmp_path: Path) -> None:
    run_dir = runs.start("run", "/bin/echo", "ran", enter=[tmp_path / "gone" / "cgroup.procs"])
    assert await end_of(runs, run_dir) == Ended(125)
    assert (run_dir / "stdout").read_text() == ""
    assert "gone/cgroup.procs" in (run_dir / "stderr").read_text()


@pytest.mark.parametrize("variables", [{}, {"a.b": "c"}])
async def test_what_runs_before_gets_the_whole_command(runs: Runs, variables: dict[str, str]) -> None:
    before = ["/bin/sh", "-c", 'echo "before $0"; "$@"; echo after', "x y"]
    run_dir = runs.start("run", "/bin/echo", "a b", "$c", variables=variables, before=before)
    assert await end_of(runs, run_dir) == Ended(0)
    assert (run_dir / "stdout").read_text() == "before x y\na b $c\nafter\n"
