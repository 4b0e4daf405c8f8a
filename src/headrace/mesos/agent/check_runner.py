"""Where checks of a container are carried out: its commands run inside it, its ports are reached at an address."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from headrace.mesos.agent.core.containers import ContainerSpec
from headrace.mesos.agent.core.secrets import variables_of
from headrace.mesos.agent.isolation.isolation import Isolation
from headrace.mesos.agent.launcher import command_line, container_environment
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.agent.users import as_user, check_user
from headrace.mesos.messages.common import CommandInfo

LOCAL = "127.0.0.1"

_ENTER = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"'


_LAST_WAIT = 1.0


class CheckRunner(Protocol):
    """What a containerizer does for the checks of its containers."""

    async def run_check(self, spec: ContainerSpec, command: CommandInfo, timeout: float) -> int:
        """The exit status of a command in the container. Raises TimeoutError, when all of it has been ended."""

    def address(self, container_id: str) -> str:
        """Where the container's ports are reached from this machine; empty if nowhere."""


class ProcessChecks:
    """Checks of containers that are processes of this machine: in their sandboxes, cgroups and namespaces."""

    def __init__(self, layout: Layout, environment: Mapping[str, str], endpoint: str, isolation: Isolation) -> None:
        self._layout = layout
        self._environment = environment
        self._endpoint = endpoint
        self._isolation = isolation

    async def run_check(self, spec: ContainerSpec, command: CommandInfo, timeout: float) -> int:
        """See CheckRunner. Raises OSError, UserProblem too."""
        sandbox = self._layout.sandbox(spec.place)
        environment = container_environment(self._environment, spec, sandbox, self._endpoint)
        environment |= variables_of(command)
        return await _run(self._command_line(spec, command, sandbox), sandbox, environment, timeout)

    def address(self, container_id: str) -> str:
        """They are all in the machine's own network."""
        return LOCAL

    def _command_line(self, spec: ContainerSpec, command: CommandInfo, sandbox: Path) -> list[str]:
        user = check_user(command.user or (spec.command.user if spec.command else None))
        argv, enter = self._isolation.inside(spec.place.container_id, as_user(user, command_line(command)), sandbox)
        return ["/bin/sh", "-c", _ENTER, "sh", *map(str, enter), "--", *argv] if enter else argv


async def _run(argv: Sequence[str], directory: Path, environment: Mapping[str, str], timeout: float) -> int:
    """Exit status, or minus the signal; what the command leaves behind is ended. Raises TimeoutError, OSError."""
    child = _started(argv, directory, environment)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    try:
        fd = os.pidfd_open(child.pid)
    except OSError:
        _end(child)
        child.wait()
        raise

    def over() -> None:
        loop.remove_reader(fd)
        os.close(fd)
        _end(child)
        ended.set_result(child.wait())

    loop.add_reader(fd, over)
    try:
        await asyncio.wait([ended], timeout=timeout)
        if not ended.done():
            raise TimeoutError
        return ended.result()
    finally:
        if not ended.done():
            _end(child)
            await asyncio.wait([ended], timeout=_LAST_WAIT)


def _started(argv: Sequence[str], directory: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - running the framework's commands is what it is for
        argv,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGKILL to its whole group. To be called before it is waited for: then its id can be another's."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
