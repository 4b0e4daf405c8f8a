"""Tasks as commands look for them: which one is meant, why one has failed, what it wrote at its end."""

from __future__ import annotations

import re

import msgspec

from headrace.cli.api import NOT_THERE, CommandError, Server
from headrace.cli.logs import read_end
from headrace.gateway.overview import AgentState, MasterState, TaskState
from headrace.kernel.http import HttpClient

MISTAKE = 2
"""Exit status of an application master whose options are wrong: the next one would say the same."""
_END = 2000
"""Bytes of a failed task's stderr that are shown."""
_EXITED = re.compile(r"exited with status (\d+)")


class TaskFailure(msgspec.Struct, rename="camel"):
    """``lastTaskFailure`` of an app of Marathon."""

    task_id: str = ""
    message: str = ""
    state: str = ""
    timestamp: str = ""

    @property
    def exit_status(self) -> int | None:
        """The command's exit status; None if it has none, or it is not told."""
        found = _EXITED.search(self.message)
        return int(found[1]) if found else None


def any_task(state: MasterState, wanted: str) -> TaskState:
    """The task with this id; else the only living one whose id begins so; else the last that ended.

    Raises CommandError.
    """
    tasks = [task for task in state.tasks() if wanted and task.id.startswith(wanted)]
    living = {task.id for framework in state.frameworks for task in framework.tasks}
    found = (
        [task for task in tasks if task.id == wanted]
        or [task for task in tasks if task.id in living]
        or sorted(tasks, key=lambda task: task.since)[-1:]
    )
    if not found:
        raise CommandError(f"there is no task {wanted}; `headrace task list --all` shows all", NOT_THERE)
    if len({task.id for task in found}) > 1:
        some = ", ".join(task.id for task in found[:5])
        raise CommandError(f"{wanted} may mean {len(found)} tasks: {some} …")
    return found[0]


def find_task(state: MasterState, wanted: str) -> tuple[TaskState, AgentState]:
    """The same with its agent. Raises CommandError if that is not connected."""
    found = any_task(state, wanted)
    agent = next((agent for agent in state.slaves if agent.id == found.slave_id), None)
    if agent is None or not agent.url:
        raise CommandError(f"the agent of task {found.id} is not connected, so its sandbox can't be read now")
    return found, agent


def sandbox_of(state: MasterState, wanted: str, http: HttpClient) -> tuple[Server, str]:
    """The agent that has the task's sandbox, and the sandbox's path there. Raises CommandError as ``find_task``."""
    found, agent = find_task(state, wanted)
    return Server(f"The agent {agent.hostname}", agent.url, http), found.sandbox


async def last_words(state: MasterState, failure: TaskFailure, http: HttpClient) -> str:
    """Why a task has failed, and the end of what it wrote to stderr, if that can be read."""
    try:
        agent, sandbox = sandbox_of(state, failure.task_id, http)
        written = (await read_end(agent, f"{sandbox}/stderr", _END)).strip()
    except CommandError as error:
        return f"{failure.message}; what it wrote can't be read: {error}"
    return f"{failure.message}; the end of what it wrote:\n{written}"
