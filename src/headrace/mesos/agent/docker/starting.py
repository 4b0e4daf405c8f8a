"""Brings one container up: sandbox, image, container; and knows it again if the engine's answer was lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from headrace.mesos.agent.core.containers import ContainerSpec
from headrace.mesos.agent.docker.engine import CONFLICT, Engine, EngineAway, EngineContainer, EngineError
from headrace.mesos.agent.docker.images import PullError, credentials
from headrace.mesos.agent.docker.log_place import LogPlace
from headrace.mesos.agent.docker.output import append, sizes
from headrace.mesos.agent.docker.parameters import Body
from headrace.mesos.agent.docker.run_files import Begun, RunFiles
from headrace.mesos.agent.docker.translation import (
    LABEL_CONTAINER,
    Ground,
    SpecError,
    container_name,
    docker_of,
    image_of,
    request,
    update_of,
)
from headrace.mesos.agent.docker.volumes import SANDBOX, sandbox_directories
from headrace.mesos.agent.docker.watching import pauses
from headrace.mesos.agent.isolation.persistent import path_of
from headrace.mesos.agent.launcher import container_environment
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.agent.users import UserProblem, check_user, give_to
from headrace.mesos.messages.common import Resource

PATIENCE = 30.0
"""Seconds that a start waits for an engine that is away."""

_MAX_CONFIGURATION = 1024 * 1024
_T = TypeVar("_T")


class StartError(Exception):
    """The container can't be started; says why. ``lost``: there could not even be a sandbox for it."""

    def __init__(self, message: str, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class Settings(msgspec.Struct, frozen=True):
    """What holds for all containers.

    ``variables``: the agent's flag for executors' environments; ``endpoint``: host:port of the agent;
    ``remove_delay`` and ``stop_timeout`` in seconds; ``cfs``: as --cgroups_enable_cfs.
    """

    variables: Mapping[str, str]
    endpoint: str
    remove_delay: float = 6 * 3600.0
    stop_timeout: float = 0.0
    cfs: bool = False


class Ready(NamedTuple):
    """A container that may be started now."""

    spec: ContainerSpec
    sandbox: Path
    body: Body


class Starter:
    """Starts containers; ``slots`` bounds how many at a time."""

    def __init__(self, engine: Engine, layout: Layout, settings: Settings) -> None:
        self._engine = engine
        self._layout = layout
        self._settings = settings
        self._slots = asyncio.Semaphore(8)

    async def prepare(self, spec: ContainerSpec) -> Ready:
        """Sandbox and image: all that may be broken off at any time. Raises StartError."""
        try:
            sandbox = self._layout.create(spec.place, spec.task_id)
        except OSError as error:
            raise StartError(f"can't make the sandbox: {error}", lost=True) from None
        try:
            body = request(spec, self._ground(spec, sandbox))
            self._furnish(spec, sandbox)
            await self._patiently(lambda: self._get_image(spec, sandbox))
        except (SpecError, UserProblem, EngineError) as error:
            raise StartError(str(error)) from None
        except OSError as error:
            raise StartError(f"can't make the sandbox ready: {error}") from None
        return Ready(spec, sandbox, body)

    async def start(self, ready: Ready) -> EngineContainer:
        """Create and start the container. Raises StartError, EngineAway (whether it was started is not known)."""
        spec, sandbox = ready.spec, ready.sandbox
        try:
            async with self._slots:
                engine_id = await self._patiently(lambda: self._create(spec, ready.body))
                place = LogPlace(sizes(sandbox))
                files = RunFiles(self._layout.run_dir(spec.place.container_id))
                files.begin(Begun(engine_id, str(sandbox)), place)
                return await self._run(engine_id)
        except EngineError as error:
            raise StartError(str(error)) from None
        except OSError as error:
            raise StartError(f"can't make the sandbox ready: {error}") from None

    def limits(self, spec: ContainerSpec) -> Body:
        """What a running container would be given now. Raises StartError."""
        try:
            return update_of(request(spec, self._ground(spec, self._layout.sandbox(spec.place))))
        except SpecError as error:
            raise StartError(str(error)) from None

    # sandbox

    def _furnish(self, spec: ContainerSpec, sandbox: Path) -> None:
        container, docker = docker_of(spec)
        user = check_user(spec.command.user if spec.command is not None else None)
        for directory in sandbox_directories(container.volumes or (), docker):
            os.makedirs(sandbox / directory, exist_ok=True)
        sizes(sandbox)
        if user is not None:
            give_to(user, sandbox)

    def _ground(self, spec: ContainerSpec, sandbox: Path) -> Ground:
        settings = self._settings
        variables = container_environment(settings.variables, spec, Path(SANDBOX), settings.endpoint)
        variables["MESOS_CONTAINER_NAME"] = container_name(spec.place.container_id)

        def place(resource: Resource) -> str:
            return str(path_of(self._layout, resource))

        return Ground(str(self._layout.data), str(sandbox), variables, place, settings.cfs)

    # image

    async def _get_image(self, spec: ContainerSpec, sandbox: Path) -> None:
        image = image_of(spec)
        if not docker_of(spec)[1].force_pull_image and await self._engine.has_image(image):
            return
        try:
            append(sandbox, 1, f"Pulling image '{image}'\n".encode())
            async for line in self._engine.pull(image, _credentials(image, sandbox)):
                append(sandbox, 1, f"{line}\n".encode())
        except (PullError, EngineError) as error:
            append(sandbox, 1, f"{error}\n".encode())
            raise StartError(f"can't pull image '{image}': {error}") from None

    # container

    async def _create(self, spec: ContainerSpec, body: Body) -> str:
        container_id = spec.place.container_id
        name = container_name(container_id)
        try:
            return await self._engine.create(name, body)
        except EngineError as error:
            if error.status != CONFLICT:
                raise
            there = await self._engine.inspect(name)  # the answer to an earlier request of ours was lost
            if there.label.get(LABEL_CONTAINER) != container_id:
                raise
            return there.id

    async def _run(self, engine_id: str) -> EngineContainer:
        try:
            await self._engine.start(engine_id)
        except EngineError:
            if await self._discarded(engine_id):
                raise
        try:
            return await self._engine.inspect(engine_id)
        except EngineError as error:
            if error.missing:
                raise
            raise EngineAway(str(error)) from None  # it may run

    async def _discarded(self, engine_id: str) -> bool:
        """Remove a container that could not be started; False if it runs all the same."""
        try:
            await self._engine.remove(engine_id)
        except EngineError as error:
            return error.status != CONFLICT
        except EngineAway:
            pass  # it is removed after the agent's next start
        return True

    async def _patiently(self, what: Callable[[], Awaitable[_T]]) -> _T:
        """Do what may be done again, for as long as the engine may be away. Raises StartError."""
        until = asyncio.get_running_loop().time() + PATIENCE
        for pause in pauses():
            try:
                return await what()
            except EngineAway as error:
                if asyncio.get_running_loop().time() + pause > until:
                    raise StartError(str(error)) from None
                await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")


def _credentials(image: str, sandbox: Path) -> str | None:
    """What the task brought along to log in with, else what the agent's user has. Raises StartError."""
    for path in (sandbox / ".docker" / "config.json", sandbox / ".dockercfg", Path.home() / ".docker" / "config.json"):
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_CONFIGURATION)
        except OSError:
            continue
        try:
            return credentials(image, content)
        except ValueError as error:
            raise StartError(f"{path.name} {error}") from None
    return None
