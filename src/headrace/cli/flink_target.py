"""The options that say which Flink cluster is meant, and what they lead to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from headrace.cli import progress
from headrace.cli.api import TOO_LATE, CommandError, Server
from headrace.cli.flink_find import APPMASTER_LABEL, StartingError, find_framework
from headrace.cli.flink_rest import FlinkCluster
from headrace.cli.flink_waiting import Explainer
from headrace.cli.options import master_option, master_server
from headrace.gateway.overview import FrameworkState, MasterState
from headrace.kernel.http import HttpClient

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
T = TypeVar("T")

_STARTING = 120.0
"""Seconds to wait for a JobManager that is coming up."""
_POLL = 0.3

_OPTIONS = (
    click.option(
        "--cluster", metavar="ID", help="Id of the cluster's app; may be left out if there is one cluster only."
    ),
    click.option("-m", "--address", metavar="HOST:PORT", help="The JobManager's REST address, instead of --cluster."),
    master_option,
)

timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Wait no longer, and end with status 4; what was begun goes on.",
)


def target_options(command: CommandT) -> CommandT:
    """``--cluster``, ``-m`` and ``--master``; the command gets them as ``target``."""

    def with_target(*args: Any, cluster: str | None, address: str | None, master: str, **kwargs: Any) -> Any:
        if cluster is not None and address is not None:
            raise click.UsageError("Give either --cluster or -m.")
        return command(*args, target=Target(master, cluster, address), **kwargs)

    with_target.__doc__, with_target.__name__ = command.__doc__, command.__name__
    with_target.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    wrapped: Any = with_target
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


class Target:
    """Which cluster is meant."""

    def __init__(self, master: str, cluster: str | None, address: str | None) -> None:
        self._master = master
        self._cluster = cluster
        self._address = address

    async def open(self, http: HttpClient, *, patience: float = 0.0) -> OpenTarget:
        """Find it; waits ``patience`` seconds for a JobManager that is coming up. Raises CommandError."""
        if self._address is not None:
            url = self._address if "://" in self._address else f"http://{self._address}"
            return OpenTarget(FlinkCluster(self._address, url, http), http)
        master = master_server(self._master, http)
        state = await master.get("/master/state", MasterState)
        try:
            cluster_id, framework = find_framework(state, self._cluster)
        except StartingError:
            state = await self._await_job_manager(master, patience)
            cluster_id, framework = find_framework(state, self._cluster)
        return OpenTarget(FlinkCluster(cluster_id, framework.webui_url, http), http, master, state, framework)

    async def _await_job_manager(self, master: Server, patience: float) -> MasterState:
        deadline = asyncio.get_running_loop().time() + patience
        with progress.waiting("waiting for the JobManager to come up"):
            while True:
                state = await master.get("/master/state", MasterState)
                try:
                    find_framework(state, self._cluster)
                    return state
                except StartingError:
                    if asyncio.get_running_loop().time() >= deadline:
                        raise
                await asyncio.sleep(_POLL)

    async def open_to_submit(self, http: HttpClient) -> OpenTarget:
        """As ``open``, with time for a cluster that was started just before."""
        return await self.open(http, patience=_STARTING)


class OpenTarget:
    """A cluster that was found; master, state and framework are known unless it was given by its address."""

    def __init__(
        self,
        cluster: FlinkCluster,
        http: HttpClient,
        master: Server | None = None,
        state: MasterState | None = None,
        framework: FrameworkState | None = None,
    ) -> None:
        self.cluster = cluster
        self.http = http
        self.master = master
        self.state = state
        self.framework = framework

    def explainer(self) -> Explainer:
        """Who tells why jobs wait."""
        url = self.framework.label(APPMASTER_LABEL) if self.framework is not None else ""
        appmaster = Server("The application master", url, self.http) if url else None
        hosts = {agent.id: agent.hostname for agent in self.state.slaves} if self.state is not None else {}
        return Explainer(appmaster, self.master, self.framework.id if self.framework is not None else "", hosts)


async def in_time(work: Awaitable[T], timeout: float | None, what: str) -> T:
    """The outcome of ``work``. Raises CommandError with status 4 if ``what`` is not done within ``timeout`` seconds."""
    try:
        async with asyncio.timeout(timeout):
            return await work
    except TimeoutError:
        raise CommandError(f"{what} is not done after {timeout:g} s; it goes on", TOO_LATE) from None
