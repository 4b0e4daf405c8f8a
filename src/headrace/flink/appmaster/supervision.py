"""Asks who supervises us what it wants of our app: the Marathon that runs our own task.

Which one that is, the Mesos master knows: the framework of our task, whose ``webui_url`` is Marathon's address. An
answer takes a few milliseconds, on a busy machine much more; none is waited for longer than PATIENCE, as there are only
seconds from SIGTERM to SIGKILL.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from urllib.parse import quote, urljoin

import msgspec

from headrace.flink import high_availability, zookeeper_ha
from headrace.flink.appmaster import credentials, stopping, tls
from headrace.flink.appmaster.stopping import App, Decision, Situation
from headrace.flink.cluster import ASK, Cluster
from headrace.kernel.daemon import UserError
from headrace.kernel.http import HttpClient, HttpClientError
from headrace.mesos.masters import leading_master

log = logging.getLogger(__name__)

PATIENCE = 1.2
"""Seconds for the whole question; the JobManager gets as many to end meanwhile."""
IDLE_PATIENCE = 2.0
"""The same where nothing else is left to do before SIGKILL."""
_MAX_BODY = 64 * 1024 * 1024


class _Task(msgspec.Struct):
    id: str = ""
    framework_id: str = ""


class _Framework(msgspec.Struct):
    id: str = ""
    webui_url: str | None = None


class _Known(msgspec.Struct):
    """What the master knows: /tasks or /frameworks."""

    tasks: list[_Task] = []
    frameworks: list[_Framework] = []


def situation(cluster: Cluster, environment: Mapping[str, str]) -> Situation:
    """What is known without asking. A task's directory is lost to the next task; by hand it is the same one again."""
    options, available = cluster.flink, cluster.highly_available
    in_files = high_availability.directory(options) is not None
    named = not in_files or high_availability.named_directory(options, environment) is not None
    by_hand = not environment.get("MESOS_TASK_ID")
    shared = zookeeper_ha.store_address(cluster.given) is not None
    stable = shared or high_availability.stable_directory(options, environment) is not None
    return Situation(
        choice=cluster.on_stop,
        supervised=bool(environment.get("MARATHON_APP_ID")) and not by_hand,
        files_stay=available and named,
        standbys=shared,
        store_stays=available and (stable or by_hand or "headrace.appmaster.store" in cluster.given),
    )


class Supervision:
    """Who supervises this process, if it is an app of Marathon."""

    def __init__(self, cluster: Cluster, environment: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._situation = situation(cluster, environment)
        self._app_id = environment.get("MARATHON_APP_ID", "")
        self._task_id = environment.get("MESOS_TASK_ID", "")
        self._framework_id = environment.get("MESOS_FRAMEWORK_ID", "")

    @property
    def there(self) -> bool:
        """Whether there is anybody to ask."""
        return self._situation.supervised

    async def decide(self, leader: str = "", patience: float = PATIENCE) -> Decision:
        """What SIGTERM means now. ``leader``: the leading master, if it is known; else it is looked for."""
        situation = self._situation
        asks = situation.choice == ASK and situation.supervised
        decision = stopping.decide(situation, await self.app(patience, leader) if asks else None)
        log.info("asked to stop; %s: %s", decision.stop.value, decision.why)
        return decision

    async def app(self, patience: float = PATIENCE, leader: str = "") -> App | None:
        """Our app as Marathon has it; None if there is no answer."""
        if not self.there:
            return None
        try:
            async with asyncio.timeout(patience):
                return await self._ask(leader)
        except (HttpClientError, TimeoutError, msgspec.DecodeError, UserError) as error:
            log.warning("Marathon can't be asked about %s: %s", self._app_id, str(error) or "no answer in time")
            return None

    async def _ask(self, leader: str) -> App | None:
        marathon = await self._marathon(leader or await leading_master(self._cluster.master))
        if marathon is None:
            return None
        http = HttpClient(max_idle=0)
        base = marathon.rstrip("/")
        app, deployments = await asyncio.gather(
            http.request("GET", f"{base}/v2/apps{quote(self._app_id)}?embed=app.tasks", max_body=_MAX_BODY),
            http.request("GET", f"{base}/v2/deployments", max_body=_MAX_BODY),
        )
        found = stopping.read_app(app.status, app.body, self._app_id, self._task_id)
        if found is None:
            log.warning("%s does not answer as Marathon does: %d to a question for %s", base, app.status, self._app_id)
            return None
        return msgspec.structs.replace(found, actions=stopping.read_actions(deployments.body, self._app_id))

    async def _marathon(self, master: str) -> str | None:
        """The address of the framework that runs our own task."""
        framework_id = self._framework_id
        if not framework_id:
            tasks = (await self._master(f"{master}/master/tasks?task_id={quote(self._task_id)}")).tasks
            framework_id = next((task.framework_id for task in tasks if task.id == self._task_id), "")
        found = (await self._master(f"{master}/master/frameworks?framework_id={quote(framework_id)}")).frameworks
        url = next((one.webui_url for one in found if one.id == framework_id), "") or ""
        if url.startswith("http://") or (url.startswith("https://") and tls.VARIABLE in os.environ):
            return url
        log.warning("framework %s, which runs this task, has no address that can be asked: %r", framework_id, url)
        return None

    async def _master(self, url: str) -> _Known:
        """What the leading master says; one that does not lead names the leader."""
        http = credentials.client_for(self._cluster.given)
        answer = await http.request("GET", url, max_body=_MAX_BODY)
        if answer.status in (302, 307) and "location" in answer.headers:
            answer = await http.request("GET", urljoin(url, answer.headers["location"]), max_body=_MAX_BODY)
        return msgspec.json.decode(answer.body, type=_Known) if answer.status == 200 else _Known()
