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
    <run_dir>/how      for a status above 128, what the shell says of the end: "Done(143)" or a signal's name
    <run_dir>/alive    a pipe that tells when the last process of the command is gone
    <run_dir>/boot     which boot of the machine, and which space of process ids, the ids above belong to

The command gets exactly the environment that it is given. A shell can't carry every variable: it drops names
such as ``a.b`` and sets some, such as PWD, itself. If one of those is given, the shell gets none at all, and a
Python that turns into the command hands them over from memory: 10 ms, and nothing on a command line.

With ``own_group=False`` the process stays in the caller's session and group, so that whoever ends
the caller's group ends it too; then only the command itself is signalled, never a group.

The command can be put into cgroups (``enter``): it writes itself into them before it begins, while the supervisor
stays outside, so that no limit and no kill of theirs takes the exit status away. ``before`` is a program that gets
the command to run as its last arguments, such as one that makes namespaces.

Watching is by pidfd: the kernel tells when a process ends, nothing is polled.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import errno
import fcntl
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from headrace.kernel.output_file import open_output
from headrace.kernel.process_identity import id_space

_LOCK_FD = 9
_VARIABLES_FD = 5
_UNSHARED_FD = 10  # descriptors from here on are none of those that the shell uses

_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELLS_OWN = re.compile(
    "PWD|OLDPWD|IFS|OPT(IND|ARG|ERR)|PPID|LINENO|SHLVL|E?UID|GROUPS|DIRSTACK|HOSTNAME|(HOST|MACH|OS)TYPE|S?RANDOM"
    "|SECONDS|EPOCH(SECONDS|REALTIME)|FUNCNAME|PIPESTATUS|HISTCMD|SHELLOPTS|BASH.*|TMOUT|ENV|POSIXLY_CORRECT|_"
)
"""Variables that some /bin/sh sets, reads or clears."""

_HAND_OVER = r"""
import os, sys
with open(5, "rb") as file:
    pairs = [pair.partition(b"=") for pair in file.read().split(b"\0")[:-1]]
try:
    os.execvpe(sys.argv[1], sys.argv[1:], {name: value for name, _, value in pairs})
except OSError as error:
    sys.stderr.write(f"{sys.argv[1]}: {error.strerror}\n")
    sys.exit(127 if isinstance(error, FileNotFoundError) else 126)
"""

# $1 run directory, $2 working directory, $3 own or shared group, then the files that it enters cgroups by, --, and
# the command with its arguments. Only builtins are used: the supervisor costs one fork besides
# its own. A line of a few bytes is one write, and readers take an empty file for one that is not there yet, so
# nothing needs a rename.
# The file pid says by being there that the command may have begun, and by its content that signals may come.
# The trap makes the supervisor outlive the SIGTERM that its group gets. It is set after the command has been
# forked: a child that has yet to undo a trap would lose a signal.
# `wait` returns early, above 128, on a trapped signal: it is asked again while the child lives, and once more for
# the case that both came together; 127 says that the shell has told the status before.
# A command that was asked to end may be a shell that dies at once while what it runs still cleans up. All of them
# hold the writing end of the pipe `alive`: it is at its end when they are gone. It is opened for reading while 7,
# both ends at once, is still there, so that opening never waits. The last line ends what is left of the group.
# Until the command is forked no variable is touched, as it would be the command's too: hence the numbers.
# `jobs` tells an exit with 143 from an end by SIGTERM; what `before` runs may know better and has written it then.
_SUPERVISOR = """
cd "$2" || exit 1
: >"$1/pid"
exec 7<>"$1/alive"
{ unset PWD OLDPWD; shift 3; while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"
} </dev/null 7>&- 9>&- 8>"$1/alive" &
child=$! stopping=
trap stopping=yes TERM INT HUP
exec 5>&-
echo $child >"$1/command"
echo $$ >"$1/pid"
wait $child; status=$?
while [ $status -gt 128 ]; do
  kill -0 $child 2>/dev/null; alive=$?
  wait $child 2>/dev/null; again=$?
  [ $again = 127 ] || status=$again
  [ $alive = 0 ] && [ $again != 127 ] || break
done
[ $status -le 128 ] || [ -e "$1/how" ] || jobs >"$1/how"
echo $status >"$1/status"
[ -z "$stopping" ] || { exec 6<"$1/alive" 7>&-; read -r rest <&6; }
[ "$3" = own ] && kill -KILL 0
"""


class Found(enum.Enum):
    """What ``find`` makes of a run directory."""

    RUNNING = "running"
    ENDED = "ended"
    NEVER_STARTED = "never started"


class Ended(msgspec.Struct, frozen=True):
    """How a supervised process ended.

    ``code`` is the exit status, 128 + n for signal n; ``signal`` the signal that ended it, 0 if none. Where
    /bin/sh is bash, a command that exits by itself with 128 + n can't be told from one that signal n ended.
    ``code`` is -1 if nobody can tell.
    """

    code: int
    signal: int = 0

    @property
    def succeeded(self) -> bool:
        return self.code == 0 and self.signal == 0

    def __str__(self) -> str:
        if self.code < 0:
            return "Exit status unknown: it could not be written down; look whether the agent's disk is full"
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
    enter: Sequence[Path] = (),
    before: Sequence[str] = (),
) -> int:
    """Start ``argv`` under a supervisor; returns the supervisor's process id.

    ``enter`` are files such as cgroup.procs; ``before`` is a program that is run with all of ``argv`` appended.
    ``run_dir`` must exist; nothing may have been run from it before, though an earlier start may have been cut off.
    ``stdout`` and ``stderr`` are appended to; nothing that lies there instead of a regular file is followed.
    Raises OSError if no process can be made, ValueError if a variable or argument can't be given to any.
    """
    held = [os.open(run_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)]
    try:
        fcntl.flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        _prepare(run_dir)
        actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_DUP2, held[0], _LOCK_FD),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        ]
        if not all(_SHELL_NAME.fullmatch(name) and not _SHELLS_OWN.fullmatch(name) for name in environment):
            held.append(_in_memory(environment))
            actions.append((os.POSIX_SPAWN_DUP2, held[-1], _VARIABLES_FD))
            argv = [sys.executable, "-I", "-S", "-c", _HAND_OVER, *argv]
            environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        for target, path in ((1, stdout), (2, stderr)):
            held.append(_unshared(open_output(path)))
            actions.append((os.POSIX_SPAWN_DUP2, held[-1], target))
        places = [str(run_dir), str(work_dir), "own" if own_group else "shared"]
        return os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _SUPERVISOR, "headrace-supervisor", *places, *map(str, enter), "--", *before, *argv],
            dict(environment),
            file_actions=actions,
            setsid=own_group,
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXFSZ],
            setsigmask=[],
        )
    finally:
        for fd in held:
            os.close(fd)


def _prepare(run_dir: Path) -> None:
    """Make what the supervisor needs, anew if an earlier start got no further. Called with the lock held."""
    if (run_dir / "pid").exists():
        raise FileExistsError(errno.EEXIST, "the directory has been used for a run before", str(run_dir))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(run_dir / "alive")
    (run_dir / "boot").write_text(id_space())
    os.mkfifo(run_dir / "alive", 0o600)


def _in_memory(environment: Mapping[str, str]) -> int:
    """A descriptor to read the variables from. Raises ValueError."""
    pairs = []
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise ValueError(f"{name!r} can't be a variable: its name or value holds what the system does not allow")
        pairs.append(os.fsencode(f"{name}={value}\0"))
    with open(os.memfd_create("headrace-variables"), "w+b") as file:
        file.write(b"".join(pairs))
        file.seek(0)
        return fcntl.fcntl(file.fileno(), fcntl.F_DUPFD_CLOEXEC, _UNSHARED_FD)


def _unshared(fd: int) -> int:
    """``fd`` under a number that none of the shell's descriptors has."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _UNSHARED_FD)
    finally:
        os.close(fd)


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
    except FileNotFoundError:
        return Ended(128 + signal.SIGKILL, int(signal.SIGKILL))
    except (OSError, ValueError):
        return Ended(-1)
    if 128 < status < 128 + signal.NSIG and not _exited_itself(run_dir):
        return Ended(status, status - 128)
    return Ended(status)


def _exited_itself(run_dir: Path) -> bool:
    try:
        return "Done(" in (run_dir / "how").read_text()
    except OSError:
        return False


def end_leftovers(run_dir: Path, group: int | None = None) -> bool:
    """End a command whose supervisor was killed alone; True if there was one.

    Nobody would report its end any more, and its successor must not run beside it. Does nothing if the supervisor
    has ended as it should, for ``own_group=False``, and after a reboot: the ids are others' then. ``group`` is the
    supervisor's process id if it is known; it may not have been written yet.
    """
    if (run_dir / "status").exists():
        return False
    try:
        if (run_dir / "boot").read_text() != id_space():
            return False
        group = group or int((run_dir / "pid").read_text())
        command = int((run_dir / "command").read_text())
        if os.getpgid(command) != group:
            return False
        os.killpg(group, signal.SIGKILL)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return False
    return True


def watch(pid: int, run_dir: Path, on_end: Callable[[Ended], None]) -> Callable[[], None]:
    """Call ``on_end`` in the running loop when the supervisor ``pid`` ends; returns a function to stop watching."""
    loop = asyncio.get_running_loop()
    open_fd: list[int] = []

    def stop() -> None:
        if open_fd:
            loop.remove_reader(open_fd[0])
            os.close(open_fd.pop())

    def ended() -> None:
        stop()
        end_leftovers(run_dir, pid)  # before the id of the process group can be given away
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # a child of ours would stay a zombie; others' are none of our business
        on_end(read_end(run_dir))

    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return loop.call_soon(ended).cancel
    if find(run_dir) is not Found.RUNNING:  # it has ended, and the id may have gone to another process
        os.close(fd)
        return loop.call_soon(ended).cancel
    open_fd.append(fd)
    loop.add_reader(fd, ended)
    return stop


def signal_group(run_dir: Path, number: int, *, patience: float = 0.2, pid: int | None = None) -> bool:
    """Send a signal to the command and all that it started in its group; False if it has ended.

    False too if it is just starting and not ready after ``patience`` seconds: ask ``find`` and try again.
    With ``pid``, as ``start`` returned it, nothing is waited for: for a supervisor that could not write its own.
    The lock is checked first, so a process id that the kernel gave away again is never hit.
    """
    pid = pid or read_pid(run_dir, patience=patience)
    if pid is None or find(run_dir) is not Found.RUNNING:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
    return True


def signal_command(run_dir: Path, number: int) -> bool:
    """Send a signal to the command alone; False if it has ended."""
    try:
        os.kill(command_pid(run_dir), number)
    except ProcessLookupError:
        return False
    return True


def command_pid(run_dir: Path) -> int:
    """The command's process id. Raises ProcessLookupError if it has ended."""
    if find(run_dir) is Found.RUNNING and read_pid(run_dir) is not None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((run_dir / "command").read_text())
    raise ProcessLookupError(errno.ESRCH, "the command has ended", str(run_dir))


def _signal_name(number: int) -> str:
    return (signal.strsignal(number) or str(number)).split(" (")[0]
