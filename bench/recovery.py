"""How long agents and the master are away when they are killed.

Seconds from the start of the new process until the master says that the agent, or all agents, are connected;
medians. Tasks run on the agents meanwhile, and go on.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from bench.framework import Launcher
from bench.table import Row
from tests.cluster.harness import Cluster, Daemon, cluster, get, wait_for

RESOURCES = "cpus:1000;mem:1000000;disk:100000"
AGENTS = 4
RUNS = 5


def _connected(it: Cluster) -> int:
    return sum(agent["active"] for agent in get(it.master.url + "/slaves")["slaves"])


def _restart(it: Cluster, daemon: Daemon) -> float:
    """Seconds from its start until all agents are there."""
    daemon.kill()
    if daemon is not it.master:
        wait_for(lambda: _connected(it) < AGENTS, "the master notices")
    began = time.perf_counter()
    daemon.start()
    wait_for(lambda: _connected(it) == AGENTS, "all agents are back", pause=0.005)
    return time.perf_counter() - began


async def _with_tasks(it: Cluster) -> tuple[list[float], list[float]]:
    async with Launcher(it.master.url) as launcher:
        await launcher.launch(20, "sleep 120")
        agents = [await asyncio.to_thread(_restart, it, it.agents[0]) for _ in range(RUNS)]
        masters = [await asyncio.to_thread(_restart, it, it.master) for _ in range(RUNS)]
        return agents, masters


def rows() -> list[Row]:
    """The figures of this bench."""
    with (
        tempfile.TemporaryDirectory() as directory,
        cluster(Path(directory), agents=AGENTS, resources=RESOURCES) as it,
    ):
        agents, masters = asyncio.run(_with_tasks(it))
    return [
        Row("agent killed, started again: registered", statistics.median(agents), "s", 0.5, 2.63),
        Row(f"master killed, started again: all {AGENTS} agents registered", statistics.median(masters), "s", 2, 74.5),
    ]
