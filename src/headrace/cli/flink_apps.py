"""The definitions of apps that are Flink clusters: a session, or one job."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from headrace.cli.api import AnswerError, CommandError, Server
from headrace.cli.options import master_of_app

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_IN_THE_WAY = "may not have the same identifier"
_MORE_THAN_0 = click.FloatRange(0, min_open=True)
_SIZES = (
    click.option("--task-cpus", type=_MORE_THAN_0, default=1.0, show_default=True, help="CPUs of a TaskManager."),
    click.option(
        "--task-mem", type=click.IntRange(1), default=1024, show_default=True, help="Memory of a TaskManager in MiB."
    ),
    click.option("--slots", type=click.IntRange(1), default=1, show_default=True, help="Slots of a TaskManager."),
    click.option("--cpus", type=_MORE_THAN_0, default=0.5, show_default=True, help="CPUs of the JobManager."),
    click.option(
        "--mem", type=click.IntRange(1), default=1024, show_default=True, help="Memory of the JobManager in MiB."
    ),
    click.option("--flink", "version", metavar="VERSION", help="Flink's version, if several are installed."),
    click.option("-D", "settings", multiple=True, metavar="KEY=VALUE", help="Any Flink option; may be repeated."),
)


class _Known(msgspec.Struct):
    id: str = ""


class _Apps(msgspec.Struct):
    apps: list[_Known] = []


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


def id_option(default: str) -> Callable[[CommandT], CommandT]:
    """``--id`` of a command that starts a cluster."""
    return click.option(
        "--id", "app_id", default=default, show_default=True, callback=_app_id, help="Id of the app that is made."
    )


def _app_id(_context: click.Context, parameter: click.Parameter, given: str) -> str:
    from headrace.marathon.definitions.paths import ID_PATTERN

    if not given.strip("/") or not ID_PATTERN.fullmatch(given):
        raise click.BadParameter(
            f"{given!r} is no id of an app: its parts, between slashes, consist of a-z, 0-9, '-' and '.', and begin "
            "and end with a letter or digit",
            param=parameter,
        )
    return given


def check_version(version: str | None, marathon: str, settings: Sequence[str]) -> None:
    """Raises UserError if the app would run here and there is no such Flink here; elsewhere there may be one."""
    from headrace.flink import distribution

    host = urlsplit(marathon if "://" in marathon else f"http://{marathon}").hostname
    if not version or host not in ("127.0.0.1", "localhost", "::1"):
        return
    given = dict(setting.partition("=")[::2] for setting in settings)
    home = {distribution.HOME: given[distribution.HOME]} if distribution.HOME in given else {}
    distribution.find_flink({**home, distribution.VERSION: version}, {})


async def create(marathon: Server, definition: dict[str, Any]) -> Any:
    """Have Marathon make the app; its answer. Raises CommandError."""
    try:
        return await marathon.send("POST", "/v2/apps", definition)
    except AnswerError as error:
        if error.code != 422 or _IN_THE_WAY not in str(error):
            raise
        wanted = "/" + definition["id"].strip("/")
        raise CommandError(await _in_the_way(marathon, wanted)) from None


async def _in_the_way(marathon: Server, wanted: str) -> str:
    try:
        ids = sorted(app.id for app in (await marathon.get("/v2/apps", _Apps)).apps)
    except CommandError:
        ids = []
    if above := next((it for it in ids if wanted.startswith(it + "/")), ""):
        return f"the app {wanted} can't be made: there is an app {above}, so nothing can be below it; give another --id"
    below = next((it for it in ids if it.startswith(wanted + "/")), "")
    return (
        f"the app {wanted} can't be made: {f'there is an app {below} below it' if below else 'it is a group of apps'}, "
        "and an app can't have others below it; give another --id"
    )


def cluster_sizes(command: CommandT) -> CommandT:
    """Options of commands that start a cluster."""
    for option in reversed(_SIZES):
        command = option(command)
    return command


def session_app(
    app_id: str, master: str, settings: tuple[str, ...], *, initial_tasks: int, **sizes: Any
) -> dict[str, Any]:
    """The definition of a session cluster's app; its REST API listens on the app's first port. Raises CommandError."""
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
        f"mesos.master={master_of_app(master)}",
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
