"""Whether a task can be run here at all; says what is wrong with it, and where."""

from __future__ import annotations

from headrace.mesos.agent.health import problem_of_check, problem_of_variables
from headrace.mesos.messages.common import CommandInfo, TaskInfo
from headrace.mesos.resources import InvalidResourceError, Resources

_MAX_NAME = 255  # what file systems allow for one path segment


def problem_of(task: TaskInfo) -> str | None:
    """What is wrong with ``task``, led by the field's path; None if it can be tried."""
    return (
        _id_problem(task.task_id.value)
        or _kind_problem(task)
        or (_command_problem(task.command) if task.command is not None else "command: a command task needs one")
        or _resources_problem(task)
        or problem_of_check(task.health_check)
        or ("check: general checks are not supported by this agent" if task.check is not None else None)
    )


def _id_problem(task_id: str) -> str | None:
    if not task_id or task_id in (".", "..") or len(task_id.encode()) > _MAX_NAME:
        return f"task_id: {task_id[:40]!r} can't name a directory; use 1 to {_MAX_NAME} bytes, not '.' or '..'"
    if "/" in task_id or not task_id.isprintable():
        return f"task_id: {task_id[:40]!r} holds a slash or a control character"
    return None


def _kind_problem(task: TaskInfo) -> str | None:
    if task.executor is not None:
        return "executor: custom executors are not supported by this agent; give the task a command"
    container = task.container
    if container is None:
        return None
    if container.type != "MESOS" or container.mesos or container.docker:
        return f"container: containers of type {container.type} with an image are not supported by this agent"
    if container.volumes:
        return "container.volumes: volumes are not supported by this agent"
    return None


def _command_problem(command: CommandInfo) -> str | None:
    if not command.value:
        return "command.value: is empty; give a command line, or a program with shell: false"
    if "\0" in command.value or any("\0" in argument for argument in command.arguments or ()):
        return "command: holds a NUL character"
    problem = problem_of_variables(command, "command")
    if problem is not None:
        return problem
    for i, uri in enumerate(command.uris or ()):
        if not uri.value:
            return f"command.uris[{i}].value: is empty"
        output = uri.output_file
        if output is not None and not _stays_inside(output):
            return f"command.uris[{i}].output_file: {output!r} must be a path inside the sandbox"
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


def _resources_problem(task: TaskInfo) -> str | None:
    try:
        Resources.parse(task.resources)
    except InvalidResourceError as error:
        return f"resources: {error}"
    return None
