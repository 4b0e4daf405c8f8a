"""Processes that outlive whoever started them, exit status included.

A process is started under a supervisor: a ``/bin/sh`` of under 1 MB that is the leader of a new
session, runs the command, writes its exit status to a file and then ends what the command left
behind in its process group. The supervisor holds a lock on ``<run_dir>/lock`` for as long as it
lives, so that whoever comes later can tell "runs" from "ended" from "never started" without
trusting process ids, which the kernel uses again:

    <run_dir>/lock     held while the supervisor lives
    <run_dir>/pid      the supervisor's process id = session id = process group id; empty until it is ready
    <run_dir>/command  the command's process id
    <run_dir>/status   exit status of the command, as the shell has it: 128 + n for signal n
    <run_dir>/alive    a pipe that tells when the last process of the command is gone

With ``own_group=False`` the process stays in the caller's session and group, so that whoever ends
the caller's group ends it too; then only the command itself is signalled, never a group.

Watching is by pidfd: the kernel tells when a process ends, nothing is polled.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import fcntl
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

_LOCK_FD = 9

# $1 run directory, $2 working directory, $3 stdout, $4 stderr, $5 own or shared group, then the command with its
# arguments. Only builtins are used: the supervisor costs one fork besides its own. A line of a few bytes is one
# write, and readers take an empty file for one that is not there yet, so nothing needs a rename.
# The file pid says by being there that the command may have begun, and by its content that signals may come.
# The trap makes the supervisor outlive the SIGTERM that its group gets. It is set after the command has been
# forked: a child that has yet to undo a trap would lose a signal.
# `wait` returns early, above 128, on a trapped signal: it is asked again while the child lives, and once more for
# the case that both came together; 127 says that the shell has told the status before.
# A command that was asked to end may be a shell that dies at once while what it runs still cleans up. All of them
# hold the writing end of the pipe `alive`: it is at its end when they are gone. It is opened for reading while 7,
# both ends at once, is still there, so that opening never waits. The last line ends what is left of the group.
_SUPERVISOR = """
run=$1; cd "$2" || exit 1; exec >>"$3" 2>>"$4"; group=$5; shift 5
: >"$run/pid"
exec 7<>"$run/alive"
"$@" </dev/null 7>&- 9>&- 8>"$run/alive" &
child=$! stopping=
trap stopping=yes TERM INT HUP
echo $child >"$run/command"
echo $$ >"$run/pid"
wait $child; status=$?
while [ $status -gt 128 ]; do
  kill -0 $child 2>/dev/null; alive=$?
  wait $child 2>/dev/null; again=$?
  [ $again = 127 ] || status=$again
  [ $alive = 0 ] && [ $again != 127 ] || break
done
echo $status >"$run/status"
[ -z "$stopping" ] || { exec 6<"$run/alive" 7>&-; read -r rest <&6; }
[ "$group" = own ] && kill -KILL 0
"""


class Found(enum.Enum):
    """What ``find`` makes of a run directory."""

    RUNNING = "running"
    ENDED = "ended"
    NEVER_STARTED = "never started"


class Ended(msgspec.Struct, frozen=True):
    """How a supervised process ended.

    ``code`` is the exit status; ``signal`` the signal that ended it, 0 if none. A command that exits
    by itself with 128 + n can't be told from one that signal n ended: the shell reports both alike.
    """

    code: int
    signal: int = 0

    @property
    def succeeded(self) -> bool:
        return self.code == 0 and self.signal == 0

    def __str__(self) -> str:
        if self.signal:
            return f"Command terminated with signal {_signal_name(self.signal)}"
        return f"Command exited with status {self.code}"


def start(
    argv: Sequence[str],
    *,
    run_dir: Path,
    work_dir: Path,
    environment: Mapping[str, str],
    stdout: Path,
    stderr: Path,
    own_group: bool = True,
) -> int:
    """Start ``argv`` under a supervisor; returns the supervisor's process id.

    ``run_dir`` must exist and must not have been used before. Raises OSError if no process can be made.
    """
    lock = os.open(run_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.mkfifo(run_dir / "alive", 0o600)
        places = map(str, (run_dir, work_dir, stdout, stderr))
        return os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _SUPERVISOR, "headrace-supervisor", *places, "own" if own_group else "shared", *argv],
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, lock, _LOCK_FD),
            ],
            setsid=own_group,
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXFSZ],
            setsigmask=[],
        )
    finally:
        os.close(lock)


def find(run_dir: Path) -> Found:
    """Whether the process of ``run_dir`` runs, has ended, or was never started."""
    try:
        lock = os.open(run_dir / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return Found.NEVER_STARTED
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Found.RUNNING
    finally:
        os.close(lock)
    return Found.ENDED if (run_dir / "pid").exists() else Found.NEVER_STARTED


def read_pid(run_dir: Path, patience: float = 1.0) -> int | None:
    """The supervisor's process id; waits up to ``patience`` seconds for one that is just starting."""
    deadline = time.monotonic() + patience
    while True:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((run_dir / "pid").read_text())
        if time.monotonic() > deadline or find(run_dir) is not Found.RUNNING:
            return None
        time.sleep(0.005)


def read_end(run_dir: Path) -> Ended:
    """How the process of ``run_dir`` ended; without a status file its supervisor was killed: signal 9."""
    try:
        status = int((run_dir / "status").read_text())
    except (FileNotFoundError, ValueError):
        return Ended(128 + signal.SIGKILL, int(signal.SIGKILL))
    if 128 < status < 128 + signal.NSIG:
        return Ended(status, status - 128)
    return Ended(status)


def end_leftovers(run_dir: Path) -> bool:
    """End a command whose supervisor was killed alone; True if there was one.

    Nobody would report its end any more, and its successor must not run beside it. Does nothing if the supervisor
    has ended as it should, and for ``own_group=False``.
    """
    if (run_dir / "status").exists():
        return False
    try:
        group, command = (int((run_dir / name).read_text()) for name in ("pid", "command"))
        if os.getpgid(command) != group:
            return False
        os.killpg(group, signal.SIGKILL)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return False
    return True


def watch(pid: int, run_dir: Path, on_end: Callable[[Ended], None]) -> Callable[[], None]:
    """Call ``on_end`` in the running loop when the supervisor ``pid`` ends; returns a function to stop watching."""
    loop = asyncio.get_running_loop()
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        handle = loop.call_soon(lambda: on_end(read_end(run_dir)))
        return handle.cancel
    if find(run_dir) is not Found.RUNNING:  # the id had already gone to another process
        os.close(fd)
        handle = loop.call_soon(lambda: on_end(read_end(run_dir)))
        return handle.cancel
    open_fd = [fd]

    def stop() -> None:
        if open_fd:
            loop.remove_reader(open_fd[0])
            os.close(open_fd.pop())

    def ended() -> None:
        stop()
        end_leftovers(run_dir)  # before the id of the process group can be given away
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # a child of ours would stay a zombie; others' are none of our business
        on_end(read_end(run_dir))

    loop.add_reader(fd, ended)
    return stop


def signal_group(run_dir: Path, number: int, *, patience: float = 0.2) -> bool:
    """Send a signal to the command and all that it started in its group; False if it has ended.

    False too if it is just starting and not ready after ``patience`` seconds: ask ``find`` and try again.
    The lock is checked first, so a process id that the kernel gave away again is never hit.
    """
    pid = read_pid(run_dir, patience=patience)
    if pid is None or find(run_dir) is not Found.RUNNING:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
    return True


def signal_command(run_dir: Path, number: int) -> bool:
    """Send a signal to the command alone; False if it has ended."""
    if find(run_dir) is not Found.RUNNING or read_pid(run_dir) is None:
        return False
    try:
        os.kill(int((run_dir / "command").read_text()), number)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return False
    return True


def _signal_name(number: int) -> str:
    return (signal.strsignal(number) or str(number)).split(" (")[0]
