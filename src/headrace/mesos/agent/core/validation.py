"""Whether a task can be run here at all; says what is wrong with it, and where."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.mesos.agent.core.checks import problem_of_general_check
from headrace.mesos.agent.core.containers import DOCKER, POSIX, kind_of
from headrace.mesos.agent.core.health import problem_of_check, problem_of_variables
from headrace.mesos.agent.core.records import COMMAND, CUSTOM, GROUP
from headrace.mesos.messages.common import CommandInfo, ContainerInfo, ExecutorInfo, Resource, TaskInfo
from headrace.mesos.resources import InvalidResourceError, Resources

_MAX_NAME = 255  # what file systems allow for one path segment


def problem_of(task: TaskInfo, containerizers: Sequence[str] = (POSIX,), sort: str = COMMAND) -> str | None:
    """What is wrong with ``task``, led by the field's path; None if it can be tried.

    ``sort``: how it is to be run, see ``records``; a command task may turn out to be a custom executor's.
    """
    common = _id_problem("task_id", task.task_id.value) or _resources_problem("resources", task.resources)
    if common is not None:
        return common
    if task.executor is not None:
        if sort != COMMAND:
            return "executor: the tasks of a group share that of the group; leave it out"
        return problem_of_executor(task.executor, containerizers)
    if sort == CUSTOM:
        return None
    return (
        problem_of_container(task.container, containerizers, in_group=sort == GROUP)
        or _command_problem(task)
        or problem_of_check(task.health_check)
        or problem_of_general_check(task.check)
    )


def problem_of_executor(
    executor: ExecutorInfo, containerizers: Sequence[str] = (POSIX,), for_group: bool = False
) -> str | None:
    """What is wrong with an executor; None if it can be tried."""
    common = _id_problem("executor.executor_id", executor.executor_id.value) or _resources_problem(
        "executor.resources", executor.resources
    )
    if common is not None:
        return common
    if executor.type == "DEFAULT":
        if not for_group:
            return "executor.type: a DEFAULT executor runs groups of tasks only; launch this by LAUNCH_GROUP"
        if executor.command is not None:
            return "executor.command: a DEFAULT executor has none"
        container = executor.container
        if container is not None and container.type != "MESOS":
            return "executor.container.type: that of a DEFAULT executor is MESOS"
        return None
    if executor.command is None:
        return "executor.command: a custom executor needs one"
    return problem_of_container(executor.container, containerizers) or problem_of_command(
        executor.command, "executor.command"
    )


def _id_problem(where: str, value: str) -> str | None:
    if not value or value in (".", "..") or len(value.encode()) > _MAX_NAME:
        return f"{where}: {value[:40]!r} can't name a directory; use 1 to {_MAX_NAME} bytes, not '.' or '..'"
    if "/" in value or not value.isprintable():
        return f"{where}: {value[:40]!r} holds a slash or a control character"
    return None


def problem_of_container(
    container: ContainerInfo | None, containerizers: Sequence[str], in_group: bool = False
) -> str | None:
    """Whether there is anybody to run such a container; details are the containerizer's matter."""
    kind = container.type if container is not None else POSIX
    if kind not in (POSIX, DOCKER):
        return f"container.type: {kind!r} is not one of {POSIX}, {DOCKER}"
    if kind not in containerizers:
        return f"container.type: this agent runs no {kind} containers, only {', '.join(containerizers)}"
    if container is None:
        return None
    if kind == DOCKER:
        if in_group:
            return "container.type: a task of a group can't be a DOCKER container"
        return None if container.docker is not None else "container.docker: a container of type DOCKER needs it"
    if container.mesos is not None and container.mesos.image:
        return "container.mesos.image: images are run by type DOCKER only"
    return None


def _command_problem(task: TaskInfo) -> str | None:
    if task.command is None:
        return None if kind_of(task.container) == DOCKER else "command: a command task needs one"
    return problem_of_command(task.command, "command", optional=kind_of(task.container) == DOCKER)


def problem_of_command(command: CommandInfo, where: str, optional: bool = False) -> str | None:
    """What is wrong with a command; ``optional``: it may lack its value, as an image has its own."""
    if not command.value and not optional:
        return f"{where}.value: is empty; give a command line, or a program with shell: false"
    if "\0" in (command.value or "") or any("\0" in argument for argument in command.arguments or ()):
        return f"{where}: holds a NUL character"
    problem = problem_of_variables(command, where)
    if problem is not None:
        return problem
    for i, uri in enumerate(command.uris or ()):
        if not uri.value:
            return f"{where}.uris[{i}].value: is empty"
        output = uri.output_file
        if output is not None and not _stays_inside(output):
            return f"{where}.uris[{i}].output_file: {output!r} must be a path inside the sandbox"
    return None


def _stays_inside(path: str) -> bool:
    parts = path.split("/")
    return (
        bool(path)
        and not path.startswith("/")
        and ".." not in parts
        and parts[-1] not in ("", ".")
        and "\0" not in path
    )


def _resources_problem(where: str, resources: list[Resource] | None) -> str | None:
    try:
        Resources.parse(resources)
    except InvalidResourceError as error:
        return f"{where}: {error}"
    return None
