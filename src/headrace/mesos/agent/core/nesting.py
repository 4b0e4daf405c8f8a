"""What a nested or standalone container is to be: its path, its command and environment, what it may ask for. Pure."""

from __future__ import annotations

import msgspec

from headrace.mesos.agent.core.books import Books
from headrace.mesos.agent.core.containers import DOCKER, EXEC, POSIX, SESSION, ContainerSpec, Place, kind_of
from headrace.mesos.agent.core.executors import CustomExecutor
from headrace.mesos.agent.core.groups import GroupExecutor
from headrace.mesos.agent.core.records import REGISTERED, RUNNING
from headrace.mesos.agent.core.validation import problem_of_command
from headrace.mesos.messages.agent_operator import Launch, LaunchContainer
from headrace.mesos.messages.common import CommandInfo, ContainerID, ContainerInfo, Environment
from headrace.mesos.resources import InvalidResourceError, Resources

_MAX_NAME = 255
_MAX_DEPTH = 32


class Refusal(Exception):  # noqa: N818 - an answer to a call, not an error of the agent
    """The call can't be obeyed; ``status`` is HTTP's."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def path_of(container_id: ContainerID) -> str:
    """The names of a container from the outermost on, with periods between."""
    names = [container_id.value]
    while container_id.parent is not None:
        container_id = container_id.parent
        names.append(container_id.value)
    return ".".join(reversed(names))


def id_of(path: str) -> ContainerID:
    """The id whose path this is."""
    found: ContainerID | None = None
    for name in path.split("."):
        found = ContainerID(name, found)
    assert found is not None  # noqa: S101 - splitting gives one name at least
    return found


def problem_of_id(container_id: ContainerID) -> str | None:
    """What is wrong with an id, in Mesos's words; None if it can be tried."""
    depth, above = 0, container_id.parent
    name = container_id.value
    if not name:
        return "ID must not be empty"
    if len(name.encode("utf-8", "replace")) > _MAX_NAME:
        return f"ID must not be greater than {_MAX_NAME} characters"
    if any(c in "/\\. " or not c.isprintable() for c in name):
        return f"'{name}' contains invalid characters"
    while above is not None:
        depth, above = depth + 1, above.parent
    if depth > _MAX_DEPTH or len(path_of(container_id).encode("utf-8", "replace")) > _MAX_NAME:
        return f"it is nested too deeply, or its names are too long: together {_MAX_NAME} bytes"
    if container_id.parent is not None and (problem := problem_of_id(container_id.parent)):
        return f"its parent is invalid: {problem}"
    return None


def place_of(books: Books, path: str) -> tuple[bool, ContainerSpec] | None:
    """The container of a task or an executor with this path: whether it runs, and what it is; None if none has it."""
    parent, _, name = path.rpartition(".")
    task = books.containers.get(name)
    if task is not None and task.record.place.parent_id == parent:
        return (task.phase == RUNNING, task.spec()) if task.live else None
    executor = books.executors.get(path)
    if isinstance(executor, CustomExecutor):
        return (executor.phase in (RUNNING, REGISTERED), executor.spec()) if executor.live else None
    if isinstance(executor, GroupExecutor):
        return True, ContainerSpec(executor.record.place, executor.record.place.executor_id)
    return None


def spec_of(launch: Launch | LaunchContainer, parent: ContainerSpec, session: bool) -> ContainerSpec:
    """A container in ``parent``. Raises Refusal."""
    docker = kind_of(parent.container) == DOCKER or parent.via == EXEC
    if docker and not session:
        raise Refusal(400, _ONLY_SESSIONS)
    command = _command(launch, None if docker else parent.command)  # a Docker container hands them on by itself
    _check_container(launch.container, session)
    path = path_of(launch.container_id)
    group = not parent.via and not parent.inside and parent.command is None and not docker
    place = parent.place
    shares = parent.inside or place.container_id
    return ContainerSpec(
        Place(place.agent_id, place.framework_id, place.executor_id, path, place.container_id if group else ""),
        launch.container_id.value,
        command,
        parent.variables,
        container=launch.container,
        inside="" if group else shares,
        via=EXEC if docker else SESSION if session else "",
    )


def standalone_spec(launch: LaunchContainer, agent_id: str) -> ContainerSpec:
    """A container of its own. Raises Refusal."""
    try:
        Resources.parse(launch.resources)
    except InvalidResourceError as error:
        raise Refusal(400, f"launch_container.resources: {error}") from None
    container = launch.container
    if container is not None and container.type not in (None, POSIX):
        raise Refusal(400, f"launch_container.container.type: {container.type!r} is not {POSIX}")
    if container is not None and container.tty_info is not None:
        raise Refusal(400, _NO_TERMINAL)
    return ContainerSpec(
        Place(agent_id, "", "", path_of(launch.container_id)),
        launch.container_id.value,
        _command(launch, None),
        resources=launch.resources or [],
        limits=launch.limits or {},
        container=container,
    )


_ONLY_SESSIONS = "in a container of type DOCKER only sessions (LAUNCH_NESTED_CONTAINER_SESSION) can be launched"
_NO_TERMINAL = "container.tty_info: only a session (LAUNCH_NESTED_CONTAINER_SESSION) can have a terminal here"


def _command(launch: Launch | LaunchContainer, above: CommandInfo | None) -> CommandInfo:
    """The command, with the user and the variables of its parent's."""
    command = launch.command
    if command is None:
        raise Refusal(400, "command: is missing; images are not run here, so there is no other")
    problem = problem_of_command(command, "command")
    if problem is not None:
        raise Refusal(400, problem)
    inherited = (above.environment.variables if above is not None and above.environment is not None else None) or []
    own = (command.environment.variables if command.environment is not None else None) or []
    return msgspec.structs.replace(
        command,
        user=command.user or (above.user if above is not None else None),
        environment=Environment([*inherited, *own]) if inherited or own else None,
    )


def _check_container(container: ContainerInfo | None, session: bool) -> None:
    if container is None:
        return
    if container.type not in (None, POSIX):
        raise Refusal(400, f"container.type: {container.type!r} is not {POSIX}")
    if container.tty_info is not None and not session:
        raise Refusal(400, _NO_TERMINAL)
    for name in container.__struct_fields__:
        if name not in ("type", "tty_info") and getattr(container, name) is not None:
            raise Refusal(400, f"container.{name}: a nested container shares what its parent has; leave it out")
