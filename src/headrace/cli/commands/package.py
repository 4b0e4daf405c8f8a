"""``headrace package …``: packages of a Universe, as ``dcos package`` has them, against Marathon.

There is no memory of what is installed: installed packages are the apps of Marathon that carry a package's labels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlencode

import click
import msgspec

from headrace.cli import output
from headrace.cli.api import CommandError, Server
from headrace.cli.commands.app import deployment_of, read_definition, wait_for_deployment
from headrace.cli.options import (
    given_master_option,
    json_option,
    marathon_option,
    marathon_server,
    master_of_app,
    master_option,
    master_server,
    run,
)
from headrace.gateway.overview import MasterState
from headrace.kernel.http import HttpClient
from headrace.universe import packages
from headrace.universe.packages import FRAMEWORK_LABEL, NAME_LABEL, VERSION_LABEL, Package

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_PATIENCE = 5.0
"""Seconds in which a framework may end by itself once its app is gone."""

repo_option = click.option(
    "--repo",
    type=click.Path(file_okay=False, path_type=Path),
    default=packages.BUILT_IN,
    envvar="HEADRACE_REPO",
    show_envvar=True,
    metavar="DIR",
    help="A directory of packages, <name>/<release>/package.json …; else those that come with Headrace.",
)
app_id_option = click.option("--app-id", default="", metavar="ID", help="Id of the app; else the package says it.")


class _App(msgspec.Struct):
    id: str = ""
    labels: dict[str, str] = {}


class _Apps(msgspec.Struct):
    apps: list[_App] = []


class _Row(msgspec.Struct):
    name: str
    version: str
    app: str
    """Where it is installed; empty if it is not."""


def rendering_options(command: CommandT) -> CommandT:
    """What decides what a package becomes."""
    for option in (
        app_id_option,
        click.option("--package-version", "version", default="", metavar="VERSION", help="Else the newest."),
        click.option("--options", "file", type=click.File("rb"), metavar="FILE", help="Options as JSON."),
        repo_option,
    ):
        command = option(command)
    return command


@click.group()
def package() -> None:
    """Packages of a Universe: apps with options."""


@package.command()
@click.argument("name")
@rendering_options
@given_master_option
def render(name: str, version: str, file: BinaryIO | None, repo: Path, app_id: str, master: str) -> None:
    """Print the app that the package NAME becomes."""
    output.json(packages.rendered(*_asked(name, version, file, repo, master), app_id))


@package.command()
@click.argument("name")
@rendering_options
@click.option("--wait", is_flag=True, help="Return when the app is there.")
@click.option("--timeout", type=float, default=300.0, show_default=True, help="Seconds to wait.")
@marathon_option
@given_master_option
def install(
    name: str,
    version: str,
    file: BinaryIO | None,
    repo: Path,
    app_id: str,
    wait: bool,
    timeout: float,
    marathon: str,
    master: str,
) -> None:
    """Install the package NAME as an app of Marathon."""
    found, options = _asked(name, version, file, repo, master)
    app = packages.rendered(found, options, app_id)

    async def work(http: HttpClient) -> None:
        server = marathon_server(marathon, http)
        await _refuse_second(server, found.name, str(app.get("id", "")))
        answer = await server.send("POST", "/v2/apps", app)
        if wait and (deployment := deployment_of(answer)):
            await wait_for_deployment(server, deployment, timeout)
        click.echo(f"package {found.name} {found.version} is installed as app {answer.get('id', app.get('id'))}")
        _say_notes(found.about, "postInstallNotes")

    run(work)


@package.command()
@click.argument("name")
@app_id_option
@click.option("--all", "every", is_flag=True, help="All apps that are this package.")
@click.option("--timeout", type=float, default=60.0, show_default=True, help="Seconds that ending an app may take.")
@marathon_option
@master_option
def uninstall(name: str, app_id: str, every: bool, timeout: float, marathon: str, master: str) -> None:
    """End the package NAME: its app, and then its framework, if that is still there."""

    async def work(http: HttpClient) -> None:
        server = marathon_server(marathon, http)
        found = [app for app in await _installed(server) if app.labels[NAME_LABEL] == name]
        if app_id:
            found = [app for app in found if app.id.strip("/") == app_id.strip("/")]
        if not found:
            raise CommandError(f"package {name} is not installed{f' as app {app_id}' if app_id else ''}")
        if len(found) > 1 and not every:
            ids = ", ".join(app.id for app in found)
            raise CommandError(f"package {name} is installed as {ids}; name one with --app-id, or give --all")
        for app in found:
            answer = await server.send("DELETE", f"/v2/apps/{quote(app.id.strip('/'), safe='/')}?force=true")
            if deployment := deployment_of(answer):
                await wait_for_deployment(server, deployment, timeout)
            if framework := app.labels.get(FRAMEWORK_LABEL):
                await _end_framework(master_server(master, http), framework)
            click.echo(f"package {name} is no longer installed as app {app.id}")

    run(work)


@package.command("list")
@click.argument("name", required=False)
@repo_option
@marathon_option
@json_option
def list_packages(name: str | None, repo: Path, marathon: str, as_json: bool) -> None:
    """List packages: those that are installed, and the newest of those that could be."""
    installed = run(lambda http: _installed(marathon_server(marathon, http)))
    rows = [_Row(app.labels[NAME_LABEL], app.labels.get(VERSION_LABEL, ""), app.id) for app in installed]
    rows += [_Row(one, packages.find(repo, one).version, "") for one in packages.names(repo)]
    rows = [row for row in rows if name in (None, row.name)]
    if as_json:
        output.json(rows)
        return
    output.table(
        ["PACKAGE", "VERSION", "INSTALLED AS"], [(r.name, r.version, r.app or "-") for r in rows], "No packages."
    )


def _asked(name: str, version: str, file: BinaryIO | None, repo: Path, master: str) -> tuple[Package, dict[str, Any]]:
    """The package and its options; one that wants to know the master is told."""
    found = packages.find(repo, name, version)
    options = {} if file is None else read_definition(file.read(), file.name)
    service = found.config.get("properties", {}).get("service", {}).get("properties", {})
    given = options.get("service", {})
    if "mesos-master" in service and isinstance(given, dict) and "mesos-master" not in given:
        options["service"] = {**given, "mesos-master": master_of_app(master)}
    return found, options


async def _installed(marathon: Server) -> list[_App]:
    apps = (await marathon.get("/v2/apps", _Apps)).apps
    return [app for app in apps if NAME_LABEL in app.labels]


async def _refuse_second(marathon: Server, name: str, app_id: str) -> None:
    for app in await _installed(marathon):
        if app.labels[NAME_LABEL] == name and app.id.strip("/") == app_id.strip("/"):
            raise CommandError(f"package {name} is installed already, as app {app.id}; give another --app-id")


async def _end_framework(master: Server, name: str) -> None:
    """Tear down the framework of an app that is gone, unless it has ended by itself. Raises CommandError."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        found = [one for one in (await master.get("/master/state", MasterState)).frameworks if one.name == name]
        if not found:
            return
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(0.2)
    if len(found) > 1:
        ids = ", ".join(one.id for one in found)
        raise CommandError(f"several frameworks are called {name} ({ids}); none was torn down")
    content = urlencode({"frameworkId": found[0].id}).encode()
    await master.call("POST", "/master/teardown", content, {"Content-Type": "application/x-www-form-urlencoded"})
    click.echo(f"framework {found[0].id} ({name}) is torn down")


def _say_notes(about: dict[str, Any], key: str) -> None:
    if isinstance(about.get(key), str):
        click.echo(about[key])
