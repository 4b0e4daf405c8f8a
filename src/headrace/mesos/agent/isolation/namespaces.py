"""Namespaces of a container's own: process ids, mounts. Made by util-linux's ``unshare``, joined by ``nsenter``.

In a namespace of process ids process 1 is a small shell: a command that is process 1 itself would ignore SIGTERM. It
runs the command, takes in orphans, says how the command ended, and with it all that is left ends.

The process that a container's command is going to be exists before its namespaces do, and these before their mounts:
``<run_dir>/unready`` is empty, or not there, once all is as it will be. Until then who joins waits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from headrace.mesos.agent.isolation.volumes import Mount

UNSHARE, NSENTER, MOUNT = "/usr/bin/unshare", "/usr/bin/nsenter", "/usr/bin/mount"

_UNREADY = "unready"

_FLAGS = ["--mount", "--propagation", "slave"]
_PID_FLAGS = ["--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]

# $0 is mount, $1 the run directory; for each volume rw or ro, its source and its target; then -- and what the next part
# needs. The file is emptied, as a full disk would not let it be made, and by its descriptor, as a mount may hide it.
# No variable is touched before the command has been forked: it would be the command's too.
_MOUNTS = """
exec 6<"$1/unready"
shift
while [ "$1" != -- ]; do
  "$0" --rbind -- "$2" "$3" || exit 125
  [ "$1" = rw ] || "$0" -o remount,bind,ro -- "$3" || exit 125
  shift 3
done
shift
command : >/proc/self/fd/6
exec 6<&-
"""

_EXEC = """
exec "$@"
"""

# $1 the run directory, then the command. As in the supervisor, `wait` returns early on a signal that is trapped.
_FIRST_PROCESS = """
{ unset PWD OLDPWD; shift; exec "$@"; } &
child=$!
trap : TERM INT HUP
exec 5>&- 8>&-
wait $child; status=$?
while [ $status -gt 128 ]; do
  kill -0 $child 2>/dev/null; alive=$?
  wait $child 2>/dev/null; again=$?
  [ $again = 127 ] || status=$again
  [ $alive = 0 ] && [ $again != 127 ] || break
done
[ $status -le 128 ] || jobs >"$1/how"
exit $status
"""

_THERE = 'cd "$1" && shift && exec "$@"'

# $1 the file, $2 the process that makes the namespaces: if it ends before, there is nothing to join
_WAIT = 'while [ -s "$1" ] && kill -0 "$2" 2>/dev/null; do /bin/sleep 0.01; done; shift 2; exec "$@"'


def begin(run_dir: Path) -> None:
    """Before ``making``: nobody can join yet. Raises OSError."""
    (run_dir / _UNREADY).write_text("not yet")


def making(run_dir: Path, mounts: Sequence[Mount], own_ids: bool) -> list[str]:
    """The program that runs what is appended to it in new namespaces."""
    volumes = [part for m in mounts for part in ("ro" if m.read_only else "rw", str(m.source), str(m.target))]
    if own_ids:
        script = ["/bin/sh", "-c", _MOUNTS + _FIRST_PROCESS, MOUNT, str(run_dir), *volumes, "--", str(run_dir)]
        return [UNSHARE, *_FLAGS, *_PID_FLAGS, *script]
    return [UNSHARE, *_FLAGS, "/bin/sh", "-c", _MOUNTS + _EXEC, MOUNT, str(run_dir), *volumes, "--"]


def joining(pid: int, own_ids: bool, directory: Path, run_dir: Path) -> list[str]:
    """The program that runs what is appended to it in the namespaces that process ``pid`` of ``run_dir`` makes."""
    ids = [f"--pid=/proc/{pid}/ns/pid_for_children"] if own_ids else []
    wait = []
    if _size(run_dir / _UNREADY):
        wait = ["/bin/sh", "-c", _WAIT, "sh", str(run_dir / _UNREADY), str(pid)]
    return [*wait, NSENTER, f"--mount=/proc/{pid}/ns/mnt", *ids, "--", "/bin/sh", "-c", _THERE, "sh", str(directory)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # of an earlier agent's container
        return 0


def joined_process(pid: int) -> int:
    """The process that ``pid`` has put into a container's namespaces, if it is what ``joining`` has made."""
    if Path(f"/proc/{pid}/comm").read_text().strip() != os.path.basename(NSENTER):
        return pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


def problem(own_ids: bool) -> str | None:
    """Why this machine can't make them, found by trying; None if it can."""
    for program in (UNSHARE, NSENTER, MOUNT):
        if not os.access(program, os.X_OK):
            return f"{program} is missing (package util-linux)"
    if os.geteuid() != 0:
        return "only an agent that runs as root can make namespaces"
    return _try([UNSHARE, *_FLAGS, *(_PID_FLAGS if own_ids else ()), "/bin/sh", "-c", f"{MOUNT} --bind /tmp /tmp"])


def _try(argv: list[str]) -> str | None:
    told = os.memfd_create("headrace-try")
    try:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, told, 1),
            (os.POSIX_SPAWN_DUP2, told, 2),
        ]
        pid = os.posix_spawn(argv[0], argv, {"PATH": "/usr/bin:/bin"}, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        if status == 0:
            return None
        return os.pread(told, 500, 0).decode(errors="replace").strip() or f"{argv[0]} failed"
    finally:
        os.close(told)
