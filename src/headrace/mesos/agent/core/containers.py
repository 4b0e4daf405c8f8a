"""What a container is to the agent, whatever runs it: what is asked for, where it lies, how it ended.

A containerizer is told ``StartContainer`` and ``SignalContainer`` (``events``) and posts ``ContainerStarted`` or
``StartFailed``, later ``ContainerEnded``. Containers outlive the agent: after a restart it is asked to ``find`` them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from headrace.kernel.core import Event
from headrace.mesos.messages.common import CommandInfo, ContainerInfo, Limit, Resource

POSIX = "MESOS"
DOCKER = "DOCKER"
SESSION = "SESSION"
EXEC = "EXEC"
"""A process of this machine whose input and output the agent holds, and a command in a Docker container."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which run of what: enough to find its directories.

    ``executor_id`` is the task's id for a command task. ``parent_id`` is the container of the executor
    to whose task group this one belongs, if it does. A ``container_id`` with periods is the path of a nested
    container; one of no framework is a standalone container's, or nested in one.
    """

    agent_id: str
    framework_id: str
    executor_id: str
    container_id: str
    parent_id: str = ""


class ContainerSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is to run.

    ``command`` is None to run a Docker image as it is meant to. ``variables`` are those that Mesos sets for
    tasks and executors; the command's own win. ``resources`` are what it holds; ``limits`` (by name) what
    it may use where that is more. ``grace`` in seconds: from SIGTERM to SIGKILL.
    ``inside``: the container whose namespaces and cgroups it shares, if it has none of its own; ``via``: who runs it if
    it is nested and not as plain as a task's: SESSION or EXEC.
    ``task_id`` is empty for an executor. ``shared`` are the persistent volumes of the executor of its group.
    """

    place: Place
    name: str
    command: CommandInfo | None = None
    variables: dict[str, str] = {}
    resources: list[Resource] = []
    limits: dict[str, Limit] = {}
    container: ContainerInfo | None = None
    grace: float = 3.0
    task_id: str = ""
    shared: list[Resource] = []
    inside: str = ""
    via: str = ""

    @property
    def kind(self) -> str:
        """Which containerizer runs it: POSIX or DOCKER, SESSION or EXEC."""
        return self.via or kind_of(self.container)


class Limitation(msgspec.Struct, frozen=True, omit_defaults=True):
    """The container was ended because it went over a limit; ``reason`` as REASON_CONTAINER_LIMITATION_MEMORY."""

    reason: str
    message: str
    resources: list[Resource] = []


class Fact(msgspec.Struct, frozen=True):
    """What is asked of a containerizer after a restart: a container and the process id that was stored of it."""

    container_id: str
    pid: int = 0


class Containerizer(Protocol):
    """Runs containers of one kind. Outcomes are posted, as the module says."""

    def start(self, spec: ContainerSpec) -> None:
        """Start a container soon."""

    def update(self, spec: ContainerSpec) -> None:
        """A running container holds other resources now: let it use them, and no more."""

    def signal(self, container_id: str, force: bool, number: int = 0) -> None:
        """SIGTERM to all of its processes, or SIGKILL if ``force``, or ``number`` to its command."""

    async def find(self, left: Sequence[Fact]) -> Sequence[Event]:
        """What has become of these containers, as ContainerFound; begins to watch those that run."""

    def stop(self) -> None:
        """Watch no more; the containers go on."""


def kind_of(container: ContainerInfo | None) -> str:
    """Which containerizer runs a container that is described so."""
    return DOCKER if container is not None and container.type == DOCKER else POSIX
