"""Where checks of a container are carried out: its commands run inside it, its ports are reached at an address."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from headrace.mesos.agent.core.containers import ContainerSpec
from headrace.mesos.agent.isolation.isolation import Isolation
from headrace.mesos.agent.launcher import command_line, container_environment
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.agent.users import as_user, check_user
from headrace.mesos.messages.common import CommandInfo

LOCAL = "127.0.0.1"

_ENTER = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"'


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
        variables = command.environment.variables if command.environment else None
        environment.update((variable.name, variable.value or "") for variable in variables or ())
        process = await asyncio.create_subprocess_exec(
            *self._command_line(spec, command, sandbox),
            cwd=sandbox,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout):
                return await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left behind, or all of it when time is up

    def address(self, container_id: str) -> str:
        """They are all in the machine's own network."""
        return LOCAL

    def _command_line(self, spec: ContainerSpec, command: CommandInfo, sandbox: Path) -> list[str]:
        user = check_user(command.user or (spec.command.user if spec.command else None))
        argv, enter = self._isolation.inside(spec.place.container_id, as_user(user, command_line(command)), sandbox)
        return ["/bin/sh", "-c", _ENTER, "sh", *map(str, enter), "--", *argv] if enter else argv
