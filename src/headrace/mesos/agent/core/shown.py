"""Tasks and executors as Mesos tells executors of them: with the defaults that its messages show."""

from __future__ import annotations

import msgspec

from headrace.mesos.messages.common import CommandInfo, ExecutorInfo, TaskInfo


def shown_executor(info: ExecutorInfo) -> ExecutorInfo:
    """``info`` with the default of its command."""
    if info.command is None or info.command.shell is not None:
        return info
    return msgspec.structs.replace(info, command=_shown(info.command))


def shown_task(info: TaskInfo) -> TaskInfo:
    """``info`` with the defaults of its command, or of that of its executor."""
    if info.executor is not None:
        info = msgspec.structs.replace(info, executor=shown_executor(info.executor))
    if info.command is not None and info.command.shell is None:
        info = msgspec.structs.replace(info, command=_shown(info.command))
    return info


def _shown(command: CommandInfo) -> CommandInfo:
    """A command says that it is for a shell, even where that was left out."""
    return msgspec.structs.replace(command, shell=True)  # noqa: S604 - a field of a message
