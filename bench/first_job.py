"""How long `make run` takes, warm: phases of ``headrace demo --once``, medians of three runs."""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile

from bench.table import Row
from tests.cluster.house import HEADRACE

PHASES = {
    "cluster up": None,
    "session healthy": None,
    "TaskManagers registered": None,
    "job RUNNING": 15.0,
    "first result": None,
}


def rows() -> list[Row]:
    """Seconds from the command's start to each phase."""
    took: dict[str, list[float]] = {name: [] for name in PHASES}
    for _ in range(3):
        with tempfile.TemporaryDirectory() as directory:
            ports = [part for name in ("master", "agent", "marathon", "gateway") for part in (f"--{name}-port", "0")]
            command = [str(HEADRACE), "demo", "--once", "--data", directory, *ports]
            output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
        for seconds, name in re.findall(r"^ *([\d.]+) s  ([A-Za-z ]+?)(?:  |$)", output, re.MULTILINE):
            if name in took:
                took[name].append(float(seconds))
    return [Row(name, statistics.median(took[name]), "s", bar) for name, bar in PHASES.items()]
