"""How fast tasks start: one at a time, and in bursts, on a real master and a real agent.

As the original was measured (mesos-figures.md (b)).
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path

from bench.framework import Launcher
from bench.table import Row
from tests.cluster.harness import cluster

RESOURCES = "cpus:1000;mem:1000000;disk:100000;ports:[31000-32000]"


async def _measure(master: str) -> list[Row]:
    async with Launcher(master) as launcher:
        singles = []
        for _ in range(30):
            singles += await launcher.launch(1, "true")
            await launcher.all_ended()
        rows = [
            Row("one task, ACCEPT → RUNNING, median of 30", statistics.median(singles) * 1000, "ms", 16, 128),
            Row("one task, ACCEPT → RUNNING, 95th percentile", sorted(singles)[28] * 1000, "ms", None, 152),
        ]
        for count, original in ((100, 9.4), (500, 7.9)):
            rates = []
            for _ in range(3):
                took = await launcher.launch(count, "sleep 1")
                rates.append(count / max(took))
                await launcher.all_ended()
            bar = 25 * original
            name = f"{count} tasks in one ACCEPT, running a second, median of 3"
            rows.append(Row(name, statistics.median(rates), "tasks/s", bar, original, more_is_better=True))
    return rows


def rows() -> list[Row]:
    """The figures of this bench."""
    with tempfile.TemporaryDirectory() as directory, cluster(Path(directory), resources=RESOURCES) as it:
        return asyncio.run(_measure(it.master.url))
