"""Options that several commands share, and the servers that they lead to."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import click

from headrace.cli.api import CommandError, NoAnswerError, Server
from headrace.kernel.http import HttpClient

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
T = TypeVar("T")

_OWN = ("host", "ip", "port", "data", "work-dir", "master", "resources")
"""Flags of daemons that ``headrace up`` gives them."""
_HINT = "is the cluster up (`headrace up`), and is the address right (--{0} or HEADRACE_{1})?"

_SEARCH = 10.0
"""Seconds to look for the leading master."""


async def _leader(given: str) -> str:
    """The leading master, where ZooKeeper knows it or a file says it. Raises NoAnswerError, UserError."""
    if not given.startswith(("zk://", "file://")):
        return given
    from headrace.mesos.masters import leading_master, shown

    try:
        async with asyncio.timeout(_SEARCH):
            return await leading_master(given)
    except TimeoutError:
        raise NoAnswerError(f"no master leads at {shown(given)}, or ZooKeeper does not answer") from None


def _leading(_context: click.Context, _parameter: click.Parameter, given: str) -> str:
    return asyncio.run(_leader(given))


def _master_option(callback: Callable[[click.Context, click.Parameter, str], str] | None) -> Callable[..., Any]:
    return click.option(
        "--master",
        envvar="HEADRACE_MASTER",
        default="http://127.0.0.1:5050",
        show_default=True,
        show_envvar=True,
        metavar="URL",
        callback=callback,
        help="The Mesos master's address, or zk://host:port,…/path of the masters' election.",
    )


marathon_option = click.option(
    "--marathon",
    envvar="HEADRACE_MARATHON",
    default="http://127.0.0.1:8080",
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="Marathon's address.",
)
master_option = _master_option(_leading)
given_master_option = _master_option(None)
"""As it is given, for an app that looks for the leader by itself; ``leading_server`` is for the command's own calls."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def _flags(_context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> list[str]:
    """Flags of a daemon, as it takes them."""
    for text in given:
        name, separator, _ = text.partition("=")
        if not separator or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
            raise click.BadParameter(f"{text!r} is no flag with its value; give it as name=value", param=parameter)
        if name.replace("_", "-") in _OWN:
            raise click.BadParameter(f"{name} is set by headrace up itself", param=parameter)
    return [f"--{text}" for text in given]


class Finite(click.FloatRange):
    """A number within bounds, but neither ``nan`` nor ``inf``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number to reckon with.", param, ctx)
        return number


def _host(_context: click.Context, parameter: click.Parameter, given: str) -> str:
    if not given.strip():
        raise click.BadParameter("it is empty (an unset variable?); give an address, or leave it out", param=parameter)
    return given


def cluster_options(command: CommandT) -> CommandT:
    """The options of ``headrace up`` and of everything else that starts a cluster."""
    port = click.IntRange(0, 65535)
    for option in reversed(
        [
            click.option(
                "--host", default="127.0.0.1", show_default=True, callback=_host, help="Address to listen on."
            ),
            click.option("--master-port", type=port, default=5050, show_default=True, help="0 takes a free one."),
            click.option("--agent-port", type=port, default=5051, show_default=True, help="Of the first agent."),
            click.option("--marathon-port", type=port, default=8080, show_default=True),
            click.option("--gateway-port", type=port, default=8000, show_default=True, help="Of the web page."),
            click.option(
                "--agents", type=click.IntRange(1, 64), default=1, show_default=True, help="How many; they share it."
            ),
            click.option(
                "--resources",
                metavar="TEXT",
                help="What each agent offers, e.g. 'cpus:4;mem:8192;ports:[31000-31999]' (ports are divided among "
                "several); else this machine's.",
            ),
            click.option(
                "--master-flag",
                "master_flags",
                multiple=True,
                metavar="NAME=VALUE",
                callback=_flags,
                help="A flag for the master, e.g. offer_timeout=1mins; can be given several times.",
            ),
            click.option(
                "--agent-flag",
                "agent_flags",
                multiple=True,
                metavar="NAME=VALUE",
                callback=_flags,
                help="A flag for each agent, e.g. containerizers=mesos,docker or isolation=auto.",
            ),
            click.option(
                "--marathon-flag",
                "marathon_flags",
                multiple=True,
                metavar="NAME=VALUE",
                callback=_flags,
                help="A flag for marathon, e.g. enable_features=secrets; mesos_role is marathon by default.",
            ),
        ]
    ):
        command = option(command)
    return command


def marathon_server(url: str, http: HttpClient) -> Server:
    """Marathon's API at ``url``; the scheme may be left out."""
    return Server("Marathon", _with_scheme(url), http, _HINT.format("marathon", "MARATHON"))


def master_server(url: str, http: HttpClient) -> Server:
    """The master's API at ``url``; the scheme may be left out."""
    return Server("The Mesos master", _with_scheme(url), http, _HINT.format("master", "MASTER"))


async def leading_server(given: str, http: HttpClient) -> Server:
    """The API of the master that leads now. Raises NoAnswerError, UserError."""
    return master_server(await _leader(given), http)


def master_of_app(given: str) -> str:
    """The master as an app's ``mesos.master``: what was given, so that the app finds the next leader too.

    Raises CommandError if everybody could read a password in it.
    """
    text = given.strip()
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise CommandError(
            "the password in --master would stand in the app's command; write the address into a file that the hosts "
            "of agents have as well, and give --master file:///path"
        )
    return text if text.startswith("zk://") else text.removeprefix("http://").rstrip("/")


def run(work: Callable[[HttpClient], Coroutine[Any, Any, T]]) -> T:
    """Run a command's asynchronous part with a client of its own."""

    async def with_client() -> T:
        http = HttpClient()
        try:
            return await work(http)
        finally:
            http.close()

    return asyncio.run(with_client())


async def until(condition: Callable[[], Awaitable[bool]], seconds: float, every: float = 0.2) -> bool:
    """Poll until the condition holds; False if it does not within ``seconds``."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await condition():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(every)
    return True


def _with_scheme(url: str) -> str:
    return url if "://" in url else f"http://{url}"
