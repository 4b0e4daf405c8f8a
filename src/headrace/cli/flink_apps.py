"""The definitions of apps that are Flink clusters: a session, or one job."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_SIZES = (
    click.option("--task-cpus", type=float, default=1.0, show_default=True, help="CPUs of a TaskManager."),
    click.option("--task-mem", type=int, default=1024, show_default=True, help="Memory of a TaskManager in MiB."),
    click.option("--slots", type=click.IntRange(1), default=1, show_default=True, help="Slots of a TaskManager."),
    click.option("--cpus", type=float, default=0.5, show_default=True, help="CPUs of the JobManager."),
    click.option("--mem", type=int, default=1024, show_default=True, help="Memory of the JobManager in MiB."),
    click.option("--flink", "version", metavar="VERSION", help="Flink's version, if several are installed."),
    click.option("-D", "settings", multiple=True, metavar="KEY=VALUE", help="Any Flink option; may be repeated."),
)


class Decision(msgspec.Struct):
    """A line of an app's story, as Marathon tells it."""

    what: str = ""
    why: str = ""


def start_waits(story: Sequence[Decision]) -> str:
    """What the start of a cluster's app waits for: the refusal of the latest offer, if that was the last decision."""
    if not story or not story[-1].what.startswith("offer of "):
        return "waiting for the JobManager"
    last = story[-1]
    return f"waiting for room for the JobManager: {last.what}{': ' + last.why if last.why else ''}"


def cluster_sizes(command: CommandT) -> CommandT:
    """Options of commands that start a cluster."""
    for option in reversed(_SIZES):
        command = option(command)
    return command


def session_app(
    app_id: str, master: str, settings: tuple[str, ...], *, initial_tasks: int, **sizes: Any
) -> dict[str, Any]:
    """The definition of a session cluster's app; its REST API listens on the app's first port."""
    app = _app(app_id, "mesos-appmaster.sh", master, (f"mesos.initial-tasks={initial_tasks}",), settings, **sizes)
    check = {
        "protocol": "HTTP",
        "path": "/overview",
        "portIndex": 0,
        "gracePeriodSeconds": 120,
        "intervalSeconds": 1,
        "timeoutSeconds": 10,
        "maxConsecutiveFailures": 10,
    }
    return {**app, "healthChecks": [check]}


def job_app(
    app_id: str, master: str, job: tuple[str, ...], settings: tuple[str, ...], env: dict[str, str], **sizes: Any
) -> dict[str, Any]:
    """The definition of a job cluster's app.

    It has no health check: when the job is done, the application master stays, but no REST API.
    """
    return {**_app(app_id, "mesos-appmaster-job.sh", master, job, settings, **sizes), "env": env}


def _app(
    app_id: str,
    script: str,
    master: str,
    first: tuple[str, ...],
    settings: tuple[str, ...],
    *,
    task_cpus: float,
    task_mem: int,
    slots: int,
    cpus: float,
    mem: int,
    version: str | None = None,
) -> dict[str, Any]:
    for setting in settings:
        if "=" not in setting:
            raise click.UsageError(f"-D {setting!r} must be KEY=VALUE")
    options = (
        f"mesos.master={urlsplit(master).netloc or master}",
        *first,
        f"mesos.resourcemanager.tasks.cpus={task_cpus:g}",
        f"mesos.resourcemanager.tasks.mem={task_mem}",
        f"taskmanager.numberOfTaskSlots={slots}",
        *([f"headrace.flink.version={version}"] if version else []),
        *settings,
    )
    return {
        "id": app_id,
        "cmd": shlex.join([script, *(f"-D{option}" for option in options)]),
        "cpus": cpus,
        "mem": mem,
        "instances": 1,
        "portDefinitions": [{"port": 0, "protocol": "tcp", "name": "rest"}],
        "upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0},
    }
