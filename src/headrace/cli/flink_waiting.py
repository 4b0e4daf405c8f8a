"""Tells why a job waits for slots: what the application master says of its workers, and if no offers come, the master.

The texts are pure functions of what they say. Nothing here fails: an application master that can't be asked, or one
that is not ours, says nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

from headrace.cli import output
from headrace.cli.api import CommandError, Server
from headrace.cli.flink_find import APPMASTER_LABEL
from headrace.cli.flink_rest import ENDED, ClusterOverview, Job
from headrace.gateway.overview import FrameworkState, MasterState
from headrace.kernel.http import HttpClient

_AGAIN, _MASTER_AGAIN = 0.5, 3.0
"""Seconds for which what the application master and the master say is taken to hold."""
_TOLD = 3
_ENDING = frozenset({"CANCELLING", "FAILING"}) | ENDED
_LATELY = 60.0
"""Seconds for which the failure of a worker is taken as what others wait for."""


class RefusedAgent(msgspec.Struct):
    hostname: str = ""
    why: str = ""
    free: dict[str, float] = {}


class Waiting(msgspec.Struct):
    """A row of ``waiting`` in the application master's ``/state``: workers of one size."""

    count: int = 0
    workers: list[str] = []
    needs: dict[str, float] = {}
    role: str = "*"
    since: float = 0.0
    offers: int = 0
    agents: list[RefusedAgent] = []
    why: str = ""


class WantedWorker(msgspec.Struct):
    goal: str = ""


class Failure(msgspec.Struct):
    """The latest end of a worker that was still wanted."""

    worker: str = ""
    at: float = 0.0
    why: str = ""


class AppMasterState(msgspec.Struct):
    """What is used here of the application master's ``/state``."""

    connected: bool = True
    workers: list[WantedWorker] = []
    waiting: list[Waiting] = []
    last_failure: Failure | None = None

    @property
    def wanted(self) -> int:
        """How many TaskManagers there are to be."""
        return sum(worker.goal != "Released" for worker in self.workers)


class _NoOffer(msgspec.Struct):
    agent_id: str = ""
    why: str = ""


class _Story(msgspec.Struct):
    offers: list[_NoOffer] = []


class Explainer:
    """Asks for the reasons. ``hosts`` has the names of agents by their ids."""

    def __init__(
        self, appmaster: Server | None, master: Server | None, framework_id: str, hosts: Mapping[str, str]
    ) -> None:
        self._appmaster = appmaster
        self._master = master
        self._framework_id = framework_id
        self._hosts = hosts
        self._master_says = ""
        self._master_asked = -_MASTER_AGAIN
        self._said: AppMasterState | None = None
        self._asked = -_AGAIN

    async def state(self) -> AppMasterState | None:
        """What the application master says; None if it can't be asked."""
        now = time.monotonic()
        if self._appmaster is not None and now - self._asked >= _AGAIN:
            self._asked = now
            try:
                self._said = await self._appmaster.get("/state", AppMasterState, timeout=3)
            except CommandError:
                self._said = None
        return self._said

    async def why(self, state: AppMasterState | None) -> str:
        """Why workers wait, in one line; empty if none does."""
        if state is None:
            return ""
        if not state.waiting:
            return failing(state.last_failure, time.time())
        row = state.waiting[0]
        return told(row, "" if row.agents or not state.connected else await self._why_no_offers())

    async def _why_no_offers(self) -> str:
        now = time.monotonic()
        if self._master is None or now - self._master_asked < _MASTER_AGAIN:
            return self._master_says
        self._master_asked = now
        try:
            path = f"/master/story?framework_id={quote(self._framework_id, safe='')}"
            story = await self._master.get(path, _Story, timeout=3)
        except CommandError:  # not a master of ours
            return self._master_says
        self._master_says = no_offers([(self._hosts.get(row.agent_id, row.agent_id), row.why) for row in story.offers])
        return self._master_says


def explainer_of(
    framework: FrameworkState | None, master: Server | None, state: MasterState | None, http: HttpClient
) -> Explainer:
    """Who tells why jobs of this framework wait; nobody, if it is not known."""
    url = framework.label(APPMASTER_LABEL) if framework is not None else ""
    appmaster = Server("The application master", url, http) if url else None
    hosts = {agent.id: agent.hostname for agent in state.slaves} if state is not None else {}
    return Explainer(appmaster, master, framework.id if framework is not None else "", hosts)


def waiting_for(job: Job, cluster: ClusterOverview, state: AppMasterState | None = None, why: str = "") -> str:
    """Why the job does not run yet, for people."""
    if job.state in _ENDING:
        return f"the job is {job.state.lower()}"
    slots = f"{cluster.slots_available} of {cluster.slots_total} slots free on {_task_managers(cluster.taskmanagers)}"
    if job.state == "RESTARTING":
        text = f"restarting after a failure ({slots})"
    elif job.unplaced:
        needed = max((v.parallelism for v in job.vertices), default=0)
        text = f"waiting for slots: needs {needed} ({slots})"
        if state is not None and state.wanted > cluster.taskmanagers:
            wanted = "1 slot" if needed == 1 else f"{needed} slots"
            text = f"waiting for {wanted}: {cluster.taskmanagers} of {state.wanted} TaskManagers registered"
    else:
        return "tasks are being deployed"
    return f"{text}; {why}" if why else text


def told(row: Waiting, master_says: str = "") -> str:
    """Why the workers of one size wait."""
    who = f"worker {row.workers[0] if row.workers else '?'}"
    if row.count > 1:
        who = f"{row.count} workers ({row.workers[0]} …) each"
    needs = f"{who} needs {amounts(row.needs)}"
    if not row.agents:
        return f"{needs}; {row.why or 'no offers'}{': ' + master_says if master_says else ''}"
    best, *others = row.agents
    closest = f"{needs}; the closest agent is {best.hostname} with {amounts(best.free)}: {best.why}"
    if len(others) > 1:
        return f"{closest}; {len(others)} more agents are too small or not allowed"
    return closest + "".join(f"; {agent.hostname}: {agent.why}" for agent in others)


def failing(failure: Failure | None, now: float) -> str:
    """That workers do come, but do not last; empty if none has failed lately."""
    if failure is None or now - failure.at > _LATELY:
        return ""
    return (
        f"worker {failure.worker} has failed: {failure.why}; "
        f"see `headrace flink logs --taskmanager {failure.worker} --stderr`"
    )


def amounts(needs: Mapping[str, float]) -> str:
    """Resources for people."""
    return ", ".join(_amount(name, number) for name, number in needs.items()) or "nothing"


def _amount(name: str, number: float) -> str:
    if name == "mem":
        return output.amount(number)
    if name == "disk":
        return f"{output.amount(number)} disk"
    return f"{number:g} {name.removesuffix('s') if number == 1 else name}"


def no_offers(reasons: Sequence[tuple[str, str]]) -> str:
    """The master's reasons, by host; the same reason is said once."""
    if not reasons:
        return "the master has no agents"
    first = {why: host for host, why in reversed(reasons)}
    counts = Counter(why for _, why in reasons).most_common(_TOLD)
    texts = [f"{first[why]}{f' and {n - 1} more' if n > 1 else ''}: {why}" for why, n in counts]
    more = len(first) - len(texts)
    return "; ".join(texts) + (f"; and {more} more reasons" if more > 0 else "")


def _task_managers(count: int) -> str:
    return f"{count} TaskManager{'' if count == 1 else 's'}"
