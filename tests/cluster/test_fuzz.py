"""No request of any form ends a process, hangs, or is answered with a server error.

``HEADRACE_FUZZ=50000`` sends so many requests instead of a few; ``HEADRACE_FUZZ_SEED`` others.
"""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import Any

from tests.cluster.fuzz import SLOW, fuzz
from tests.cluster.harness import cluster, get, wait_for

REQUESTS = int(os.environ.get("HEADRACE_FUZZ", "3000"))
SEED = int(os.environ.get("HEADRACE_FUZZ_SEED", "6"))
ENOUGH = {"master 202": 0.01, "master 200": 0.03, "agent 200": 0.03}
"""The share of requests that must have been answered so, at least."""
GROWTH = 150.0
"""MiB that a daemon may have grown by: books, streams and what Python keeps."""


def test_requests_of_every_form(tmp_path: Path) -> None:
    with cluster(tmp_path) as it:
        master, agent = it.master, it.agents[0]
        [agent_id] = wait_for(lambda: [one["id"] for one in slaves(master.url)], "the agent")
        before = {daemon.name: resident(daemon.pid) for daemon in (master, agent)}
        outcome = asyncio.run(fuzz(SEED, REQUESTS, master.url, agent.url, agent_id))
        logs = "".join(daemon.log.read_text() for daemon in (master, agent))
        gc.collect()  # a connection that nobody has closed is this test's fault, not that of a later one
        found = "\n".join(outcome.faults)
        assert not outcome.faults, f"{found}\n{logs[-3000:]}"
        assert master.runs, logs[-3000:]
        assert agent.runs, logs[-3000:]
        assert "Traceback" not in logs, logs[logs.index("Traceback") - 500 :][:3000]
        for status, share in ENOUGH.items():
            assert outcome.statuses[status] > REQUESTS * share, outcome.statuses  # and it was not all refused
        assert outcome.slowest[0] < SLOW, f"metrics took {outcome.slowest}, and {outcome.slow[-30:]}"
        for daemon in (master, agent):
            grown = resident(daemon.pid) - before[daemon.name]
            assert grown < GROWTH, f"{daemon.name} has grown by {grown:.0f} MiB"
        for url in (master.url, agent.url):
            get(url + "/state")
        wait_for(lambda: [one["active"] for one in slaves(master.url) if one["id"] == agent_id] == [True], "the agent")


def slaves(master: str) -> list[dict[str, Any]]:
    return list(get(master + "/state")["slaves"])


def resident(pid: int) -> float:
    """MiB."""
    [line] = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
