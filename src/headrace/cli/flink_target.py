"""The options that say which Flink cluster is meant, and what they lead to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from headrace.cli import progress
from headrace.cli.api import TOO_LATE, CommandError, Server
from headrace.cli.flink_find import StartingError
from headrace.cli.flink_locate import locate
from headrace.cli.flink_rest import FlinkCluster
from headrace.cli.flink_waiting import Explainer, explainer_of
from headrace.cli.options import master_option, master_server
from headrace.gateway.overview import FrameworkState, MasterState
from headrace.kernel.http import HttpClient

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
T = TypeVar("T")

_STARTING = 120.0
"""Seconds to wait for a JobManager that is coming up."""
_RESTARTING = 10.0
"""Seconds to wait for the next JobManager: after a restart the master shows the one before for a moment."""
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

    async def open(self, http: HttpClient, *, patience: float = 0.0, answering: bool = True) -> OpenTarget:
        """Find it; waits ``patience`` seconds for a JobManager that is coming up.

        ``answering``: waits for one that was restarted just now. Raises CommandError.
        """
        if self._address is not None:
            url = self._address if "://" in self._address else f"http://{self._address}"
            return OpenTarget(FlinkCluster(self._address, url, http), http)
        master = master_server(self._master, http)
        state = await master.get("/master/state", MasterState)
        try:
            await locate(state, self._cluster, http)
        except StartingError:
            state = await self._await_job_manager(master, http, patience)
        if answering and not await self._answers(state, http):
            state = await self._await_next(master, http)
        cluster_id, framework = await locate(state, self._cluster, http)
        return OpenTarget(FlinkCluster(cluster_id, framework.webui_url, http), http, master, state, framework)

    async def _await_job_manager(self, master: Server, http: HttpClient, patience: float) -> MasterState:
        deadline = asyncio.get_running_loop().time() + patience
        with progress.waiting("waiting for the JobManager to come up"):
            while True:
                state = await master.get("/master/state", MasterState)
                try:
                    await locate(state, self._cluster, http)
                    return state
                except StartingError:
                    if asyncio.get_running_loop().time() >= deadline:
                        raise
                await asyncio.sleep(_POLL)

    async def _await_next(self, master: Server, http: HttpClient) -> MasterState:
        """What the master says when the cluster's JobManager answers, or after a while in any case."""
        deadline = asyncio.get_running_loop().time() + _RESTARTING
        with progress.waiting("waiting for the JobManager to answer"):
            while True:
                state = await master.get("/master/state", MasterState)
                late = asyncio.get_running_loop().time() >= deadline
                if late or await self._answers(state, http):
                    return state
                await asyncio.sleep(_POLL)

    async def _answers(self, state: MasterState, http: HttpClient) -> bool:
        try:
            cluster_id, framework = await locate(state, self._cluster, http)
        except StartingError:
            return False
        return await FlinkCluster(cluster_id, framework.webui_url, http).answers()

    async def open_to_submit(self, http: HttpClient, limit: Limit) -> OpenTarget:
        """As ``open``, with time for a cluster that was started just before."""
        opening = self.open(http, patience=_STARTING if limit.seconds is None else math.inf)
        return await limit.on(opening, "the start of the JobManager")


class Limit:
    """``--timeout`` of a command, which counts from here on."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else asyncio.get_running_loop().time() + seconds

    async def on(self, work: Awaitable[T], what: str) -> T:
        """The outcome of ``work``. Raises CommandError with status 4 if ``what`` is not done in time."""
        try:
            async with asyncio.timeout_at(self._end):
                return await work
        except TimeoutError:
            raise CommandError(f"{what} is not done after {self.seconds:g} s; it goes on", TOO_LATE) from None


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
        return explainer_of(self.framework, self.master, self.state, self.http)


async def in_time(work: Awaitable[T], timeout: float | None, what: str) -> T:
    """The outcome of ``work``. Raises CommandError with status 4 if ``what`` is not done within ``timeout`` seconds."""
    return await Limit(timeout).on(work, what)
