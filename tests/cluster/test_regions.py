"""Agents in another region than the master's, and what the master logs of it all."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from headrace.kernel.clock import SystemClock
from headrace.kernel.http import HttpClient
from headrace.mesos.client import ClientEvent, Connected, Received, SchedulerClient
from headrace.mesos.messages.common import Capability, FrameworkInfo
from tests.cluster.harness import Daemon, get, wait_for

RESOURCES = "cpus:1;mem:128;disk:128;ports:[31000-31001]"


def domain(region: str) -> str:
    return json.dumps({"fault_domain": {"region": {"name": region}, "zone": {"name": f"{region}-1"}}})


class Framework:
    """Keeps what it is offered."""

    def __init__(self, master: str, name: str, *capabilities: str) -> None:
        self.connected = False
        self.hosts: list[str] = []
        self._http = HttpClient()
        known = [Capability(one) for one in ("MULTI_ROLE", "RESERVATION_REFINEMENT", *capabilities)]
        info = FrameworkInfo("root", name, roles=[name], capabilities=known)
        self._client = SchedulerClient(master, info, self._hear, http=self._http, clock=SystemClock())
        self._running = asyncio.create_task(self._client.run())

    def _hear(self, event: ClientEvent) -> None:
        if isinstance(event, Connected):
            self.connected = True
        elif isinstance(event, Received) and event.event.offers is not None:
            self.hosts += [offer.hostname or "" for offer in event.event.offers.offers]

    async def stop(self) -> None:
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running
        self._http.close()


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"not within 60 s: {what}"
        await asyncio.sleep(0.01)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Daemon]:
    flags = ["--port", "0", "--data", str(tmp_path / "m"), "--domain", domain("eu"), "--require-agent-domain"]
    it = Daemon("master", "headrace.mesos.master", flags, tmp_path).start()
    yield it
    it.stop()


def agent(master: Daemon, directory: Path, name: str, *flags: str) -> Daemon:
    flags = ("--master", master.url, "--port", "0", "--hostname", name, "--data", str(directory / name), *flags)
    return Daemon(name, "headrace.mesos.agent", [*flags, "--resources", RESOURCES], directory).start()


async def test_another_region_is_for_frameworks_that_are_aware_of_regions(master: Daemon, tmp_path: Path) -> None:
    agents = [agent(master, tmp_path, "remote", "--domain", domain("us"))]
    wait_for(lambda: get(master.url + "/slaves")["slaves"], "the agent is registered")
    plain, aware = Framework(master.url, "plain"), None
    try:
        await until(lambda: plain.connected, "subscribed")
        aware = Framework(master.url, "aware", "REGION_AWARE")
        await until(lambda: aware.hosts, "the remote agent is offered")
        agents.append(agent(master, tmp_path, "local", "--domain", domain("eu")))
        await until(lambda: plain.hosts, "the local agent is offered")
        assert (plain.hosts, aware.hosts) == (["local"], ["remote"])
    finally:
        for framework in filter(None, (plain, aware)):
            await framework.stop()
        for one in agents:
            one.stop()
    wait_for(lambda: "-S0 disconnected: " in master.log.read_text(), "the master has noticed that the agent is gone")
    said = master.log.read_text()
    assert said.count(" registered: from 127.0.0.1\n") == 2
    assert " subscribed: as aware\n" in said


def test_an_agent_without_a_domain_is_told_why(master: Daemon, tmp_path: Path) -> None:
    stranger = agent(master, tmp_path, "stranger")
    try:
        wait_for(lambda: "--require_agent_domain" in stranger.log.read_text(), "the agent says why")
    finally:
        stranger.stop()
