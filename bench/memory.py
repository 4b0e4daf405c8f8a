"""What the Python processes of one machine hold in memory when nothing happens.

The cluster is what ``headrace up`` runs, with a Flink session on it, some seconds after its start.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.table import Row
from tests.cluster.house import House

ORIGINALS = {"mesos.master": 74.0, "mesos.agent": 73.3}


def rows() -> list[Row]:
    """Resident MB of each process, and of all."""
    with tempfile.TemporaryDirectory() as directory:
        house = House(Path(directory) / "data")
        try:
            house.start_session()
            time.sleep(5)
            sizes = house.python_sizes()
        finally:
            house.close()
    rows = [Row(f"{name}, resident", size, "MB", None, ORIGINALS.get(name)) for name, size in sizes.items()]
    return [*rows, Row("all Python processes, resident", sum(sizes.values()), "MB", 150)]
