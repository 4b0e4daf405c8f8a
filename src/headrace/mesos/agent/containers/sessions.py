"""Runs sessions as processes of this machine, in the sandbox, the cgroups and the namespaces of their parents.

A session's processes hold the lock of its run directory. By that those are found which have made a session of their
own, when it ends; and all that an agent which was killed has left: nobody is connected to them, and they are ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import pwd
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from headrace.kernel import process
from headrace.kernel.process import Ended, Found
from headrace.kernel.process_identity import id_space, start_time
from headrace.mesos.agent.containers.pipes import Pipes
from headrace.mesos.agent.containers.processes import (
    end_holders,
    end_session,
    holders,
    session_of,
    signal_session,
)
from headrace.mesos.agent.containers.session import Session, Sessions
from headrace.mesos.agent.core.containers import ContainerSpec, Fact
from headrace.mesos.agent.core.events import ContainerEnded, ContainerFound, ContainerStarted, StartFailed
from headrace.mesos.agent.core.secrets import SecretError
from headrace.mesos.agent.isolation.isolation import Isolation
from headrace.mesos.agent.launcher import command_line, container_environment
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.agent.users import UserProblem, as_user, check_user
from headrace.mesos.messages.common import CommandInfo

log = logging.getLogger(__name__)

_LOCK_FD = 9
_ENTER = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"'
_ENV, _SETSID = "/usr/bin/env", "/usr/bin/setsid"
_SIGNALS = [signal.SIGPIPE, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGXFSZ]


class _Run(NamedTuple):
    """``pid`` is that of its leader; ``stop``: watch it no more."""

    pid: int
    session: Session
    pipes: Pipes
    stop: Callable[[], None]


class SessionRunner:
    """A containerizer whose containers are sessions; each is in ``sessions`` while it runs."""

    def __init__(
        self,
        layout: Layout,
        environment: Mapping[str, str],
        endpoint: str,
        post: Callable[..., None],
        isolation: Isolation,
        sessions: Sessions,
    ) -> None:
        self._layout = layout
        self._environment = environment
        self._endpoint = endpoint
        self._post = post
        self._isolation = isolation
        self._sessions = sessions
        self._runs: dict[str, _Run] = {}

    def start(self, spec: ContainerSpec) -> None:
        """Start a session; its output waits for who leads it."""
        path = spec.place.container_id
        try:
            self._post(ContainerStarted(path, self._start(path, spec)))
        except (OSError, ValueError, UserProblem, SecretError) as error:
            self._post(StartFailed(path, str(error)))
        except Exception as error:  # whatever it is, one session must not end the agent
            log.exception("session %s can't be started because of a bug", path)
            self._post(StartFailed(path, f"the agent has a bug: {error!r}"))

    def update(self, spec: ContainerSpec) -> None:
        """A session holds nothing of its own."""

    def signal(self, container_id: str, force: bool, number: int = 0) -> None:
        """Signal all of its processes."""
        run = self._runs.get(container_id)
        if run is None:
            return
        if not run.pid:  # ended, and nobody comes for its output
            run.session.on_led()
        elif number == signal.SIGKILL or force:
            end_session(run.pid)
        else:
            signal_session(run.pid, number or signal.SIGTERM)

    async def find(self, left: Sequence[Fact]) -> list[ContainerFound]:
        """End what an earlier agent has left."""
        return [self._find(fact.container_id) for fact in left]

    def stop(self) -> None:
        """The agent ends, and with it every connection: so do the sessions."""
        for path, run in list(self._runs.items()):
            if run.pid:
                self._end_all(path, run.pid)
            run.stop()
            run.pipes.close()
        self._runs.clear()

    def _find(self, path: str) -> ContainerFound:
        run_dir = self._layout.run_dir(path)
        found = process.find(run_dir)
        if found is Found.NEVER_STARTED:
            return ContainerFound(path, found)
        if found is Found.RUNNING:
            self._end_all(path, *_leaders(run_dir))
        return ContainerFound(path, Found.ENDED, 0, Ended(128 + signal.SIGKILL, int(signal.SIGKILL)))

    def _end_all(self, path: str, *leaders: int) -> None:
        """End the sessions of ``leaders``, and who else holds the lock of the container ``path``."""
        end_holders(self._layout.run_dir(path) / "lock", _LOCK_FD, leaders)

    def _start(self, path: str, spec: ContainerSpec) -> int:
        command = spec.command or CommandInfo()
        user = check_user(command.user)
        sandbox = self._layout.sandbox(spec.place).parents[1]
        info = spec.container.tty_info if spec.container is not None else None
        environment = container_environment(self._environment, spec, sandbox, self._endpoint)
        if user is not None:
            environment |= {"USER": user.pw_name, "HOME": user.pw_dir}
        if info is not None:
            environment.setdefault("TERM", "xterm")
        argv = as_user(user, command_line(command))
        enter: list[Path] = []
        if info is not None and self._isolation.has_own_ids(spec.inside):
            argv = [_SETSID, "--ctty", *argv]  # what leads the session would have no id there
        if spec.inside:
            argv, enter = self._isolation.inside(spec.inside, argv, sandbox)
        argv = [_ENV, "-C", str(sandbox), *argv]
        if enter:
            argv = ["/bin/sh", "-c", _ENTER, "sh", *map(str, enter), "--", *argv]
        session: Session
        pipes = Pipes(info is not None, lambda kind, data: session.wrote(kind, data))
        session = Session(pipes, info is not None)
        run_dir, pid = self._layout.run_dir(path), 0
        try:
            if info is not None and info.window_size is not None:
                pipes.resize(info.window_size.rows, info.window_size.columns)
            pid = _spawn(run_dir, argv, environment, pipes.ends, user)
            (run_dir / "pid").write_text(f"{pid} {start_time(pid)}\n")
            pipes.started()
            self._runs[path] = _Run(pid, session, pipes, self._watch(path, pid, session, pipes))
        except BaseException:
            pipes.close()  # first: there may be no descriptor left
            if pid:
                self._give_up(path, pid)
            raise
        self._sessions[path] = session
        return pid

    def _give_up(self, path: str, pid: int) -> None:
        """End what has just been started: nobody would hear of its end. ``pid``: a child not waited for yet."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # whatever can be found out about others
        with contextlib.suppress(OSError):
            self._end_all(path, pid)
        os.waitpid(pid, 0)

    def _watch(self, path: str, pid: int, session: Session, pipes: Pipes) -> Callable[[], None]:
        loop = asyncio.get_running_loop()
        fd = os.pidfd_open(pid)

        def stop() -> None:
            loop.remove_reader(fd)
            os.close(fd)

        def ended() -> None:
            stop()
            self._end_all(path, pid)  # before its id can be given away
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            end = Ended(status) if status >= 0 else Ended(128 - status, -status)
            self._runs[path] = _Run(0, session, pipes, lambda: None)
            if session.led:
                self._finish(path, end)
            else:  # what it wrote is for a connection that is just being made
                session.on_led = lambda: self._finish(path, end)

        try:
            loop.add_reader(fd, ended)
        except OSError:
            os.close(fd)
            raise
        return stop

    def _finish(self, path: str, end: Ended) -> None:
        run = self._runs.pop(path, None)
        if run is not None:
            run.pipes.drain()
            self._sessions.pop(path)
            run.session.end()
            self._post(ContainerEnded(path, end))


def _leaders(run_dir: Path) -> list[int]:
    """The leader of the session of ``run_dir``; none if its id may be somebody else's by now.

    It is not while the leader runs, nor, after that, while somebody of its session does.
    """
    try:
        if (run_dir / "boot").read_text() != id_space():
            return []
        pid, _, started = (run_dir / "pid").read_text().strip().partition(" ")
        leader = int(pid)
    except (OSError, ValueError):
        return []
    if int(started or 0) == start_time(leader) > 0 and session_of(leader) == leader:
        return [leader]
    return [leader] if any(session_of(pid) == leader for pid in holders(run_dir / "lock", _LOCK_FD)) else []


def _spawn(
    run_dir: Path, argv: list[str], environment: Mapping[str, str], ends: list[int], user: pwd.struct_passwd | None
) -> int:
    """Start it as the leader of a session, with a terminal if ``ends`` is only one. Raises OSError, ValueError."""
    os.makedirs(run_dir, exist_ok=True)
    (run_dir / "boot").write_text(id_space())
    held = [os.open(run_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)]
    try:
        fcntl.flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_DUP2, held[0], _LOCK_FD)
        ]
        if len(ends) == 1:
            if user is not None:
                os.fchown(ends[0], user.pw_uid, -1)
            # a session's leader that opens a terminal gets it as its controlling one
            actions.append((os.POSIX_SPAWN_OPEN, 0, os.ttyname(ends[0]), os.O_RDWR, 0))
            actions += [(os.POSIX_SPAWN_DUP2, 0, fd) for fd in (1, 2)]
        else:
            for target, fd in enumerate(ends):
                held.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOCK_FD + 1))
                actions.append((os.POSIX_SPAWN_DUP2, held[-1], target))
        return os.posix_spawn(
            argv[0],
            argv,
            dict(environment),
            file_actions=actions,
            setsid=True,
            setsigdef=_SIGNALS,
            setsigmask=[],
        )
    finally:
        for fd in held:
            os.close(fd)
