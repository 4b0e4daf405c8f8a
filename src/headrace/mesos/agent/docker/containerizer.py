"""Runs Docker containers for the agent: starts, watches and signals them, and finds them again after a restart.

What is not known because the engine is away is asked again until it answers; no container is given up for that.
An ended container is removed ``remove_delay`` after its end: how it ended has been written down before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from headrace.kernel.process import Found
from headrace.mesos.agent.core.containers import ContainerSpec, Fact
from headrace.mesos.agent.core.events import ContainerEnded, ContainerFound, ContainerStarted, StartFailed
from headrace.mesos.agent.core.secrets import variables_of
from headrace.mesos.agent.docker.engine import CONFLICT, Engine, EngineAway, EngineContainer, EngineError
from headrace.mesos.agent.docker.run_files import RunFiles
from headrace.mesos.agent.docker.starting import Settings, Starter, StartError
from headrace.mesos.agent.docker.translation import LABEL_CONTAINER, LABEL_DATA, container_name
from headrace.mesos.agent.docker.watching import REMOVED, Reach, Watcher, pauses
from headrace.mesos.agent.launcher import command_line
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import CommandInfo

log = logging.getLogger(__name__)

_FIND_PATIENCE = 5.0
"""Seconds that a restarted agent waits for the engine before it goes on without."""
_LOCAL = "127.0.0.1"


class DockerContainerizer:
    """Containers by id; what becomes of them is posted. ``socket``: the path of the engine's."""

    def __init__(
        self,
        socket: str,
        layout: Layout,
        settings: Settings,
        post: Callable[..., None],
    ) -> None:
        self._engine = Engine(socket)
        self._layout = layout
        self._settings = settings
        self._post = post
        self._starter = Starter(self._engine, layout, settings)
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparing: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, EngineContainer] = {}
        self._updates: dict[str, ContainerSpec] = {}
        self._known: set[str] | None = set()
        self._reach = Reach()
        self._watcher = Watcher(self._engine, layout, settings.remove_delay, self._reach, self._spawn)

    async def check(self) -> str:
        """The engine's version; what is wrong with it is logged, and it is "" then."""
        try:
            version = await self._engine.version()
        except (EngineAway, EngineError) as error:
            log.error("%s; tasks in Docker containers fail until it does", error)
            return ""
        log.info("Docker engine %s at %s", version, self._engine.socket)
        return version

    def start(self, spec: ContainerSpec) -> None:
        """Start a container soon."""
        if self._known is not None:
            self._known.add(spec.place.container_id)
        self._preparing[spec.place.container_id] = self._spawn(self._start(spec))

    def update(self, spec: ContainerSpec) -> None:
        """A container holds other resources now, as an executor's does with each task."""
        self._updates[spec.place.container_id] = spec
        if len(self._updates) == 1:
            self._spawn(self._update())

    def signal(self, container_id: str, force: bool, number: int = 0) -> None:
        """The image's stop signal (SIGTERM if it names none), or SIGKILL if ``force``; ``number`` is for others.

        A start that still waits for its image is broken off.
        """
        preparing = self._preparing.pop(container_id, None)
        if preparing is not None:
            preparing.cancel()
            self._post(StartFailed(container_id, "it was ended while its image was got ready"))
        elif container_id in self._runs:
            self._spawn(self._signal(container_id, force))

    async def find(self, left: Sequence[Fact]) -> Sequence[ContainerFound]:
        """What has become of these; begins to watch those that run. Other containers of this agent are ended.

        If the engine does not answer, ContainerFound is posted when it does.
        """
        self._known = {fact.container_id for fact in left}
        try:
            async with asyncio.timeout(_FIND_PATIENCE):
                ours = await self._ours()
        except TimeoutError:
            log.error("the Docker engine is away; %d containers are looked for when it is back", len(left))
            self._spawn(self._find_later(left))
            return []
        return await self._reconcile(left, ours)

    def stop(self) -> None:
        """Watch no more; the containers go on."""
        self._watcher.stop()
        for task in self._tasks:
            task.cancel()
        self._engine.close()

    # for checks

    async def run_check(self, spec: ContainerSpec, command: CommandInfo, timeout: float) -> int:
        """The exit status of a command in a container, or -1 if it has none.

        Raises TimeoutError after ``timeout`` seconds, when it has been killed; EngineAway, EngineError.
        """
        body: dict[str, Any] = {
            "AttachStdout": True,
            "AttachStderr": True,
            "Cmd": command_line(command),
            "Env": [f"{name}={value}" for name, value in variables_of(command).items()],
        }
        async with asyncio.timeout(timeout):
            prepared = await self._prepare_check(container_name(spec.place.container_id), body)
            try:
                await self._engine.run(prepared)
            except asyncio.CancelledError:
                self._spawn(self._end_check(prepared))
                raise
            code, _ = await self._engine.result(prepared)
        return -1 if code is None else code

    def address(self, container_id: str) -> str:
        """Where the container's ports are reached from this machine; empty if nowhere."""
        run = self._runs.get(container_id)
        if run is None:
            return ""
        return _LOCAL if run.host_config.network_mode == "host" else run.ip

    async def _prepare_check(self, name: str, body: dict[str, Any]) -> str:
        for pause in pauses():
            try:
                return await self._engine.prepare(name, body)
            except EngineAway as error:  # that is no fault of the task
                self._reach.lost(error)
            await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")

    async def _end_check(self, prepared: str) -> None:
        with contextlib.suppress(EngineAway, EngineError, OSError):
            code, pid = await self._engine.result(prepared)
            if code is None and pid and os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)  # the engine has no call for it

    # starting

    async def _start(self, spec: ContainerSpec) -> None:
        container_id = spec.place.container_id
        try:
            ready = await self._starter.prepare(spec)
            self._preparing.pop(container_id, None)
            run = await self._until_known(spec, lambda: self._starter.start(ready))
        except StartError as error:
            self._preparing.pop(container_id, None)
            self._post(StartFailed(container_id, str(error), error.lost))
        except Exception as error:  # whatever it is, the task must not wait for ever
            self._preparing.pop(container_id, None)
            self._post(StartFailed(container_id, f"the agent has a bug: {error}"))
            raise
        else:
            self._runs[container_id] = run
            self._post(ContainerStarted(container_id, run.state.pid, run.ip))
            await self._watch(container_id, run)

    async def _until_known(
        self, spec: ContainerSpec, start: Callable[[], Coroutine[Any, Any, EngineContainer]]
    ) -> EngineContainer:
        """Start it; if the engine goes away meanwhile, see whether it did, and start it again only if not."""
        try:
            return await start()
        except EngineAway as error:
            self._reach.lost(error)
        for pause in pauses():
            await asyncio.sleep(pause)
            try:
                run = await self._engine.inspect(container_name(spec.place.container_id))
                return await start() if run.state.fresh else run
            except EngineError as error:
                if error.missing:
                    raise StartError(str(error)) from None
            except EngineAway:
                pass
        raise AssertionError("pauses have no end")

    # after a restart

    async def _ours(self) -> dict[str, str]:
        """The engine's ids of all containers of this agent, by the agent's, once the engine answers."""
        for pause in pauses():
            try:
                ours = await self._engine.labelled(f"{LABEL_DATA}={self._layout.data}", LABEL_CONTAINER)
            except (EngineAway, EngineError) as error:
                self._reach.lost(error)
                await asyncio.sleep(pause)
            else:
                self._reach.found()
                return ours
        raise AssertionError("pauses have no end")

    async def _find_later(self, left: Sequence[Fact]) -> None:
        self._post(*await self._reconcile(left, await self._ours()))

    async def _reconcile(self, left: Sequence[Fact], ours: dict[str, str]) -> list[ContainerFound]:
        found = [self._find(fact.container_id, ours.get(fact.container_id)) for fact in left]
        self._spawn(self._tidy([ours[container_id] for container_id in ours.keys() - (self._known or ())]))
        self._known = None
        return list(await asyncio.gather(*found))

    async def _find(self, container_id: str, engine_id: str | None) -> ContainerFound:
        run = await self._look(engine_id) if engine_id is not None else None
        return await self._found(container_id, run)

    async def _found(self, container_id: str, run: EngineContainer | None) -> ContainerFound:
        if run is None:
            return self._without_container(container_id)
        if run.state.runs:
            self._runs[container_id] = run
            self._spawn(self._watch(container_id, run))
            return ContainerFound(container_id, Found.RUNNING, run.state.pid, ip=run.ip)
        if not run.state.fresh:
            end = await self._watcher.take_up(run)
            return ContainerFound(container_id, Found.ENDED, 0, end.end, end.limitation)
        try:
            await self._engine.remove(run.id)
        except EngineAway:
            return await self._found(container_id, await self._look(run.id))
        except EngineError as error:
            if error.status == CONFLICT:  # the start that an earlier agent asked for comes through only now
                return await self._found(container_id, await self._look(run.id))
            log.warning("container %s can't be removed: %s", container_id, error)
        return ContainerFound(container_id, Found.NEVER_STARTED)

    async def _look(self, engine_id: str) -> EngineContainer | None:
        """A container; None if there is none."""
        for pause in pauses():
            try:
                return await self._engine.inspect(engine_id)
            except EngineError as error:
                if error.missing:
                    return None
                self._reach.lost(error)
            except EngineAway as error:
                self._reach.lost(error)
            await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")

    def _without_container(self, container_id: str) -> ContainerFound:
        """Tell from the files what the engine does not know any more."""
        files = RunFiles(self._layout.run_dir(container_id))
        end = files.end() or (REMOVED if files.begun() else None)
        if end is None:
            return ContainerFound(container_id, Found.NEVER_STARTED)
        return ContainerFound(container_id, Found.ENDED, 0, end.end, end.limitation)

    async def _tidy(self, engine_ids: Sequence[str]) -> None:
        """Containers that no task owns any more: one after the other, as nobody waits for it."""
        for engine_id in engine_ids:
            run = await self._look(engine_id)
            if run is None:
                continue
            try:
                if run.state.runs:
                    log.warning("container %s belongs to no task of this agent: it is ended", run.id[:12])
                    await self._engine.stop(run.id, round(self._settings.stop_timeout))
                if run.state.runs or run.state.fresh:
                    await self._engine.remove(run.id)
                else:
                    self._watcher.remove_later(run)
            except (EngineAway, EngineError) as error:
                log.warning("container %s can't be ended now: %s", run.id[:12], error)

    # watching

    async def _watch(self, container_id: str, run: EngineContainer) -> None:
        end = await self._watcher.watch(run)
        self._runs.pop(container_id, None)
        self._post(ContainerEnded(container_id, end.end, end.limitation))

    async def _update(self) -> None:
        """One after the other; of several for the same container the last one counts."""
        while self._updates:
            container_id, spec = next(iter(self._updates.items()))
            run = self._runs.get(container_id)
            try:
                if run is not None:
                    await self._engine.update(run.id, self._starter.limits(spec))
            except (EngineAway, EngineError, StartError) as error:
                log.error("container %s can't be given what it holds now: %s", container_id, error)
            if self._updates.get(container_id) is spec:
                del self._updates[container_id]

    async def _signal(self, container_id: str, force: bool) -> None:
        for pause in pauses():
            run = self._runs.get(container_id)
            if run is None:
                return
            name = "SIGKILL" if force else run.config.stop_signal or "SIGTERM"
            try:
                await self._engine.kill(run.id, name)
            except EngineAway as error:
                self._reach.lost(error)
            except EngineError as error:
                log.error("container %s can't be sent %s: %s", container_id, name, error)
                return
            else:
                return
            await asyncio.sleep(pause)

    def _spawn(self, what: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a Docker container is not looked after because of a bug", exc_info=error)
