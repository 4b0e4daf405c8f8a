"""Where the logs of a Flink cluster's processes are: in sandboxes, else only with Flink itself."""

from __future__ import annotations

import sys
from urllib.parse import quote

import click

from headrace.cli.api import CommandError
from headrace.cli.flink_find import TASK_LABEL, find_task_manager
from headrace.cli.flink_target import OpenTarget
from headrace.cli.logs import Reader
from headrace.cli.tasks import sandbox_of

LOG, STDOUT, STDERR = "log", "stdout", "stderr"
_JOB_MANAGER = {LOG: "jobmanager.log", STDOUT: "jobmanager.out", STDERR: "jobmanager.err"}
_TASK_MANAGER = {LOG: "taskmanager.log", STDOUT: "stdout", STDERR: "stderr"}


async def print_log(target: OpenTarget, task_manager: str | None, kind: str, *, last: int | None, follow: bool) -> None:
    """Print a log of the JobManager, or of a TaskManager if one is given. Raises CommandError."""
    if task_manager is None:
        task, file = _own_task(target), _JOB_MANAGER[kind]
    else:
        task_manager = await _task_manager(target, task_manager)
        task, file = (task_manager if target.state is not None else ""), _TASK_MANAGER[kind]
    if task and target.state is not None:
        server, sandbox = sandbox_of(target.state, task, target.http)
        await Reader(server, f"{sandbox}/{file}", _write, _tell).run(last, follow)
    else:
        await _from_flink(target, task_manager, kind, last=last, follow=follow)


def _own_task(target: OpenTarget) -> str:
    """The application master's task, in whose sandbox the JobManager is; empty if it is none."""
    return target.framework.label(TASK_LABEL) if target.framework is not None else ""


async def _task_manager(target: OpenTarget, wanted: str) -> str:
    if target.framework is None:
        return find_task_manager(await target.cluster.task_managers(), wanted)
    living = [task.id for task in target.framework.tasks]
    ended = [task.id for task in target.framework.completed_tasks]
    only_ended = not any(wanted in task for task in living) and any(wanted in task for task in ended)
    return find_task_manager(ended if only_ended else living, wanted)


async def _from_flink(
    target: OpenTarget, task_manager: str | None, kind: str, *, last: int | None, follow: bool
) -> None:
    """Flink gives whole files only, and no stderr."""
    if follow or kind == STDERR:
        what = "-f" if follow else "--stderr"
        raise CommandError(
            f"{what} needs the sandbox, which is found only by the master, of a cluster that is an app: "
            "leave -m away; else read the file where the application master was started"
        )
    whose = "/jobmanager" if task_manager is None else f"/taskmanagers/{quote(task_manager, safe='')}"
    content = (await target.cluster.server.call("GET", f"{whose}/{kind}")).body
    _write(content if last is None else content[-last:])


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _tell(what: str) -> None:
    click.echo(f"headrace: {what}", err=True)
