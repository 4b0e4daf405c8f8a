"""Starts, watches and signals the processes of tasks, each within what ``isolation`` makes for it.

Starting is done in slices of a few milliseconds between which the loop goes on, so that a burst of tasks delays
neither pings nor the updates of the tasks that run already.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from headrace.mesos.agent.core.containers import ContainerSpec, Fact, Limitation
from headrace.mesos.agent.core.events import (
    AgentInput,
    ContainerEnded,
    ContainerFound,
    ContainerStarted,
    StartFailed,
)
from headrace.mesos.agent.core.secrets import variables_of
from headrace.mesos.agent.isolation.isolation import Active, Isolation, Start
from headrace.mesos.agent.isolation.namespaces import joined_process
from headrace.mesos.agent.isolation.problems import IsolationProblem
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.agent.users import UserProblem, as_user, check_user, give_to
from headrace.mesos.messages.common import CommandInfo

log = logging.getLogger(__name__)

_SLICE = 0.010
_NOT_READY = 0.005
_TRIES = 200
"""Times that a signal waits for a supervisor to be ready, 1 s in all; then it goes to the id known from its start."""
_LOOK_AGAIN = 1.0
_KILL_AGAIN = 0.005
_KILLS = 400
"""Times that what is left in a container's cgroup is killed, 2 s in all; then it is let be, and said so."""
_LOOKS = 120
"""Times to look, half a minute in all, for the kernel to have killed somebody once it says that a limit is reached.

It says so before it does it, it may not say it again, and on a loaded machine others may run in between.
"""
_LOOK_GROWTH, _LOOK_LATE = 1.2, 0.25
"""By which factor looks get rarer, and seconds between the last ones."""


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
    return environment | variables_of(spec.command)


def command_line(command: CommandInfo) -> list[str]:
    """What is run: ``/bin/sh -c value``, or with ``shell: false`` the program, its first argument being its name."""
    value = command.value or ""
    if command.shell is False:
        return [value, *(command.arguments or ())[1:]]
    return ["/bin/sh", "-c", value]


class Launcher:
    """Processes by container id; what becomes of them is posted."""

    def __init__(
        self,
        layout: Layout,
        environment: Mapping[str, str],
        endpoint: str,
        post: Callable[..., None],
        isolation: Isolation | None = None,
    ) -> None:
        self.isolation = isolation or Isolation(Active(), layout)
        self.isolation.watch_memory(self._memory_event)
        self._layout = layout
        self._environment = environment
        self._endpoint = endpoint
        self._post = post
        self._queue: deque[ContainerSpec] = deque()
        self._scheduled = False
        self._watches: dict[str, Callable[[], None]] = {}
        self._pids: dict[str, int] = {}
        self._looking: set[str] = set()

    def start(self, spec: ContainerSpec) -> None:
        """Start a task's command soon."""
        self._queue.append(spec)
        if not self._scheduled:
            self._start_some()

    def update(self, spec: ContainerSpec) -> None:
        """A container holds more or less than at its start."""
        try:
            self.isolation.update(spec)
        except (OSError, IsolationProblem) as error:
            log.error("container %s: can't be given what it holds now: %s", spec.place.container_id, error)

    def signal(self, container_id: str, force: bool, number: int = 0, tries: int = _TRIES) -> None:
        """Signal all processes of a task; with ``number`` its command alone."""
        if number and number != signal.SIGKILL:
            self._signal_command(container_id, number)
            return
        number = signal.SIGKILL if force else signal.SIGTERM
        run_dir = self._layout.run_dir(container_id)
        pid = None if tries else self._pids.get(container_id)
        if process.signal_group(run_dir, number, patience=0, pid=pid) or process.find(run_dir) is not Found.RUNNING:
            return
        if tries:
            asyncio.get_running_loop().call_later(_NOT_READY, self.signal, container_id, force, 0, tries - 1)
        else:
            log.error("container %s: can't be signalled, its supervisor has not told its process id", container_id)

    def _signal_command(self, container_id: str, number: int, tries: int = _TRIES) -> None:
        run_dir = self._layout.run_dir(container_id)
        if process.read_pid(run_dir, patience=0) is None:
            if tries and process.find(run_dir) is process.Found.RUNNING:
                later = asyncio.get_running_loop().call_later
                later(_NOT_READY, self._signal_command, container_id, number, tries - 1)
            return
        with contextlib.suppress(OSError, ValueError):  # it has just ended, or there is no such signal
            os.kill(joined_process(process.command_pid(run_dir)), number)

    async def find(self, left: Sequence[Fact]) -> list[ContainerFound]:
        """What has become of these after a restart; begins to watch those that run."""
        found = [self._find(fact.container_id, fact.pid) for fact in left]
        for one in found:
            for _ in range(_KILLS):
                if one.found is not Found.ENDED or self._cleared(one.container_id):
                    break
                await asyncio.sleep(_KILL_AGAIN)
        self.isolation.sweep({one.container_id for one in found if one.found is Found.RUNNING})
        return found

    def _find(self, container_id: str, pid: int = 0, patience: float = 1.0) -> ContainerFound:
        """What is left of a run after a restart; begins to watch it if it runs. ``pid``: what was stored of it."""
        run_dir = self._layout.run_dir(container_id)
        found = process.find(run_dir)
        if found is Found.RUNNING:
            pid = pid or process.read_pid(run_dir, patience=patience) or 0
            if pid:
                self._watch(container_id, pid)
                if self._limitation(container_id) is not None:  # from before this agent
                    self._look(container_id, 1)
                return ContainerFound(container_id, found, pid)
            found = process.find(run_dir)
        if found is Found.RUNNING:  # no id to watch it by, as on a full disk
            asyncio.get_running_loop().call_later(_LOOK_AGAIN, self._find_again, container_id)
        if found is not Found.ENDED:
            return ContainerFound(container_id, found)
        process.end_leftovers(run_dir)
        return ContainerFound(container_id, found, 0, process.read_end(run_dir), self._limitation(container_id))

    def _find_again(self, container_id: str) -> None:
        found = self._find(container_id, patience=0)
        if found.found is Found.ENDED:
            self._clear(container_id, found)
        else:
            self._post(found)

    def stop(self) -> None:
        """Watch no more; the processes go on."""
        self._queue.clear()
        for stop in self._watches.values():
            stop()
        self._watches.clear()
        self.isolation.stop()

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
            sandbox = self._layout.create(spec.place, spec.task_id)
        except OSError as error:
            return StartFailed(container_id, f"can't make the sandbox: {error}", lost=True)
        try:
            pid = self._spawn(spec, sandbox)
        except (UserProblem, IsolationProblem) as problem:
            return self._failed(container_id, str(problem))
        except (OSError, ValueError) as error:
            return self._failed(container_id, f"can't start the command: {error}")
        except Exception as error:  # whatever it is, one task must not end the agent
            log.exception("container %s can't be started because of a bug", container_id)
            return self._failed(container_id, f"the agent has a bug: {error!r}")
        try:
            self._watch(container_id, pid)
        except Exception as error:
            log.exception("container %s can't be watched and is ended", container_id)
            self._give_up(container_id, pid)
            return self._failed(container_id, f"can't watch the command: {error}")
        return ContainerStarted(container_id, pid)

    def _give_up(self, container_id: str, pid: int) -> None:
        """End what has just been started: nobody would hear of its end. ``pid``: a child not waited for yet."""
        self._watches.pop(container_id, None)
        self._pids.pop(container_id, None)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # not by its files: there may be no descriptor left
        os.waitpid(pid, 0)

    def _failed(self, container_id: str, message: str) -> StartFailed:
        if not self._cleared(container_id):
            log.error("container %s: its cgroups could not be removed", container_id)
        return StartFailed(container_id, message)

    def _spawn(self, spec: ContainerSpec, sandbox: Path) -> int:
        place, command = spec.place, spec.command or CommandInfo()
        user = check_user(command.user)
        run_dir = self._layout.run_dir(place.container_id)
        os.makedirs(run_dir, exist_ok=True)
        environment = container_environment(self._environment, spec, sandbox, self._endpoint)
        if user is not None:
            give_to(user, sandbox)
            environment |= {"USER": user.pw_name, "HOME": user.pw_dir}
        argv = as_user(user, command_line(command))
        if spec.inside:
            how = Start(*self.isolation.inside(spec.inside, argv, sandbox))
        else:
            how = self.isolation.prepare(spec, argv, user)
        return process.start(
            how.argv,
            run_dir=run_dir,
            work_dir=sandbox,
            environment=environment,
            stdout=sandbox / "stdout",
            stderr=sandbox / "stderr",
            enter=how.enter,
            before=how.before,
        )

    def _watch(self, container_id: str, pid: int) -> None:
        def ended(end: Ended) -> None:
            self._watches.pop(container_id, None)
            self._pids.pop(container_id, None)
            self._clear(container_id, ContainerEnded(container_id, end, self._limitation(container_id)))

        self._pids[container_id] = pid
        self.isolation.begin(container_id)
        self._watches[container_id] = process.watch(pid, self._layout.run_dir(container_id), ended)

    def _clear(self, container_id: str, then: AgentInput, tries: int = _KILLS) -> None:
        """End what the container left and remove its cgroups, then post ``then``."""
        if self._cleared(container_id):
            self._post(then)
        elif tries:
            asyncio.get_running_loop().call_later(_KILL_AGAIN, self._clear, container_id, then, tries - 1)
        else:
            log.error("container %s: some of its processes don't end; its cgroups stay", container_id)
            self._post(then)

    def _cleared(self, container_id: str) -> bool:
        try:
            return self.isolation.end(container_id) and self.isolation.remove(container_id)
        except OSError as error:
            log.error("container %s: can't take down its cgroups: %s", container_id, error)
            return True

    def _limitation(self, container_id: str) -> Limitation | None:
        try:
            return self.isolation.limitation(container_id)
        except OSError as error:
            log.error("container %s: can't tell whether it was ended for its memory: %s", container_id, error)
            return None

    def _memory_event(self, container_id: str) -> None:
        """Something may have happened to its memory."""
        if container_id not in self._looking:
            self._look(container_id, _LOOKS)

    def _look(self, container_id: str, tries: int) -> None:
        """End the whole container if the kernel has ended one of its processes for the memory limit."""
        self._looking.discard(container_id)
        if container_id not in self._watches or not tries:
            return
        if self._limitation(container_id) is None:
            self._looking.add(container_id)
            pause = min(_LOOK_LATE, _KILL_AGAIN * _LOOK_GROWTH ** (_LOOKS - tries))
            asyncio.get_running_loop().call_later(pause, self._look, container_id, tries - 1)
            return
        log.info("container %s is at its memory limit and is ended", container_id)
        try:
            self.isolation.end(container_id)
        except OSError as error:
            log.error("container %s: can't be ended: %s", container_id, error)
