"""What the Python daemons of one machine hold in memory when nothing happens."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil

from bench.table import Row
from tests.cluster.harness import cluster


def rows() -> list[Row]:
    """Resident MB of each daemon, two seconds after its start."""
    with tempfile.TemporaryDirectory() as directory, cluster(Path(directory)) as it:
        marathon = it.add_marathon()
        time.sleep(2)
        daemons = {"master": it.master, "agent": it.agents[0], "marathon": marathon}
        return [
            Row(f"{name}, resident", psutil.Process(daemon.pid).memory_info().rss / 1e6, "MB", None, original)
            for (name, daemon), original in zip(daemons.items(), (74.0, 73.3, None), strict=True)
        ]
