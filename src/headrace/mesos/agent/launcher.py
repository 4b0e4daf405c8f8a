"""Starts, watches and signals the processes of tasks.

Starting is done in slices of a few milliseconds between which the loop goes on, so that a burst of tasks delays
neither pings nor the updates of the tasks that run already.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from headrace.kernel import process
from headrace.kernel.process import Ended, Found
from headrace.mesos.agent.containers import ContainerSpec, Fact
from headrace.mesos.agent.events import (
    AgentInput,
    ContainerEnded,
    ContainerFound,
    ContainerStarted,
    StartFailed,
)
from headrace.mesos.agent.layout import Layout
from headrace.mesos.agent.users import UserProblem, as_user, check_user, give_to
from headrace.mesos.messages.common import CommandInfo

log = logging.getLogger(__name__)

_SLICE = 0.010
_NOT_READY = 0.005
_TRIES = 200
"""Times that a signal waits for a supervisor to be ready, 1 s in all; then it goes to the id known from its start."""
_LOOK_AGAIN = 1.0


def base_environment(given: Mapping[str, str]) -> dict[str, str]:
    """What every task gets: PATH with this Python's directory first, HOME, LANG, USER; ``given`` wins.

    ``given`` is the agent's flag for executors' environments.
    """
    python = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    environment = {"PATH": f"{python}:{path}", "LANG": os.environ.get("LANG", "C.UTF-8")}
    environment["HOME"] = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    for name in ("USER", "TZ", "JAVA_HOME"):
        if name in os.environ:
            environment[name] = os.environ[name]
    return environment | dict(given)


def container_environment(base: Mapping[str, str], spec: ContainerSpec, sandbox: Path, endpoint: str) -> dict[str, str]:
    """A container's whole environment; its command's own variables win over all others."""
    place = spec.place
    environment = {
        **base,
        **spec.variables,
        "MESOS_SANDBOX": str(sandbox),
        "MESOS_DIRECTORY": str(sandbox),
        "MESOS_FRAMEWORK_ID": place.framework_id,
        "MESOS_EXECUTOR_ID": place.executor_id,
        "MESOS_AGENT_ID": place.agent_id,
        "MESOS_SLAVE_ID": place.agent_id,
        "MESOS_CONTAINER_ID": place.container_id,
        "MESOS_AGENT_ENDPOINT": endpoint,
        "MESOS_CHECKPOINT": "1",
        "LIBPROCESS_PORT": "0",
    }
    command = spec.command
    variables = command.environment.variables if command and command.environment else None
    environment.update((variable.name, variable.value or "") for variable in variables or ())
    return environment


def command_line(command: CommandInfo) -> list[str]:
    """What is run: ``/bin/sh -c value``, or with ``shell: false`` the program, its first argument being its name."""
    value = command.value or ""
    if command.shell is False:
        return [value, *(command.arguments or ())[1:]]
    return ["/bin/sh", "-c", value]


class Launcher:
    """Processes by container id; what becomes of them is posted."""

    def __init__(
        self, layout: Layout, environment: Mapping[str, str], endpoint: str, post: Callable[..., None]
    ) -> None:
        self._layout = layout
        self._environment = environment
        self._endpoint = endpoint
        self._post = post
        self._queue: deque[ContainerSpec] = deque()
        self._scheduled = False
        self._watches: dict[str, Callable[[], None]] = {}
        self._pids: dict[str, int] = {}

    def start(self, spec: ContainerSpec) -> None:
        """Start a task's command soon."""
        self._queue.append(spec)
        if not self._scheduled:
            self._start_some()

    def signal(self, container_id: str, force: bool, tries: int = _TRIES) -> None:
        """Signal all processes of a task."""
        number = signal.SIGKILL if force else signal.SIGTERM
        run_dir = self._layout.run_dir(container_id)
        pid = None if tries else self._pids.get(container_id)
        if process.signal_group(run_dir, number, patience=0, pid=pid) or process.find(run_dir) is not Found.RUNNING:
            return
        if tries:
            asyncio.get_running_loop().call_later(_NOT_READY, self.signal, container_id, force, tries - 1)
        else:
            log.error("container %s: can't be signalled, its supervisor has not told its process id", container_id)

    async def find(self, left: Sequence[Fact]) -> list[ContainerFound]:
        """What has become of these after a restart; begins to watch those that run."""
        return [self._find(fact.container_id, fact.pid) for fact in left]

    def _find(self, container_id: str, pid: int = 0, patience: float = 1.0) -> ContainerFound:
        """What is left of a run after a restart; begins to watch it if it runs. ``pid``: what was stored of it."""
        run_dir = self._layout.run_dir(container_id)
        found = process.find(run_dir)
        if found is Found.RUNNING:
            pid = pid or process.read_pid(run_dir, patience=patience) or 0
            if pid:
                self._watch(container_id, pid)
                return ContainerFound(container_id, found, pid)
            found = process.find(run_dir)
        if found is Found.RUNNING:  # no id to watch it by, as on a full disk
            asyncio.get_running_loop().call_later(_LOOK_AGAIN, self._find_again, container_id)
        if found is not Found.ENDED:
            return ContainerFound(container_id, found)
        process.end_leftovers(run_dir)
        return ContainerFound(container_id, found, 0, process.read_end(run_dir))

    def _find_again(self, container_id: str) -> None:
        self._post(self._find(container_id, patience=0))

    def stop(self) -> None:
        """Watch no more; the processes go on."""
        self._queue.clear()
        for stop in self._watches.values():
            stop()
        self._watches.clear()

    def _start_some(self) -> None:
        self._scheduled = False
        until = time.monotonic() + _SLICE
        outcomes = []
        while self._queue and time.monotonic() < until:
            outcomes.append(self._start(self._queue.popleft()))
        self._post(*outcomes)
        if self._queue:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start_some)

    def _start(self, spec: ContainerSpec) -> AgentInput:
        container_id = spec.place.container_id
        try:
            pid = self._spawn(spec)
        except UserProblem as problem:
            return StartFailed(container_id, str(problem))
        except (OSError, ValueError) as error:
            return StartFailed(container_id, f"can't start the command: {error}")
        self._watch(container_id, pid)
        return ContainerStarted(container_id, pid)

    def _spawn(self, spec: ContainerSpec) -> int:
        place, command = spec.place, spec.command or CommandInfo()
        user = check_user(command.user)
        sandbox = self._layout.create(place)
        run_dir = self._layout.run_dir(place.container_id)
        os.makedirs(run_dir, exist_ok=True)
        environment = container_environment(self._environment, spec, sandbox, self._endpoint)
        if user is not None:
            give_to(user, sandbox)
            environment |= {"USER": user.pw_name, "HOME": user.pw_dir}
        return process.start(
            as_user(user, command_line(command)),
            run_dir=run_dir,
            work_dir=sandbox,
            environment=environment,
            stdout=sandbox / "stdout",
            stderr=sandbox / "stderr",
        )

    def _watch(self, container_id: str, pid: int) -> None:
        def ended(end: Ended) -> None:
            self._watches.pop(container_id, None)
            self._pids.pop(container_id, None)
            self._post(ContainerEnded(container_id, end))

        self._pids[container_id] = pid
        self._watches[container_id] = process.watch(pid, self._layout.run_dir(container_id), ended)
