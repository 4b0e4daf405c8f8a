"""Tasks through custom executors: how many a second, executors' start included.

As the original was measured (mesos-figures.md (c)): a checkpointing framework, a Python executor on each agent
that ends every task at once, every update acknowledged.
"""

from __future__ import annotations

import asyncio
import shlex
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench.framework import Launcher
from bench.table import Row
from headrace.mesos.messages.common import CommandInfo, ExecutorID, ExecutorInfo
from headrace.mesos.resources import Resources
from tests.cluster.harness import cluster

RESOURCES = "cpus:1000;mem:1000000;disk:100000"
TASKS = 500
ORIGINALS = {4: 194.0, 2: 187.0}
"""Tasks finished a second, by agents; the best run of each."""
_PROGRAM = Path(__file__).with_name("fast_executor.py")


def _executor(run: int, number: int) -> ExecutorInfo:
    command = CommandInfo(value=f"exec {shlex.quote(sys.executable)} {shlex.quote(str(_PROGRAM))}")
    return ExecutorInfo(
        ExecutorID(f"fast-{run}-{number}"),
        "CUSTOM",
        command=command,
        resources=Resources.of(cpus=0.1, mem=32).messages(),
    )


async def _measure(master: str, agents: int) -> float:
    """Tasks finished a second, median of three."""
    rates = []
    async with Launcher(master) as launcher:
        for run in range(3):
            _, finished = await launcher.execute(TASKS, partial(_executor, run), agents)
            rates.append(TASKS / finished)
    return statistics.median(rates)


def rows() -> list[Row]:
    """The figures of this bench."""
    found = []
    for agents, original in ORIGINALS.items():
        with (
            tempfile.TemporaryDirectory() as directory,
            cluster(Path(directory), agents=agents, resources=RESOURCES) as it,
        ):
            rate = asyncio.run(_measure(it.master.url, agents))
        name = f"{TASKS} tasks on {agents} agents, custom executors started, finished a second"
        found.append(Row(name, rate, "tasks/s", 2 * original, original, more_is_better=True))
    return found
