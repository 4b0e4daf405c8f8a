"""Submits a job and tells how it comes up: what it waits for, until it runs, ends or fails."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from headrace.cli.api import CommandError
from headrace.cli.flink_rest import (
    ENDED,
    SQL_RUNNER,
    ClusterOverview,
    FlinkCluster,
    Job,
    driver_jar,
    read_jar,
)

_POLL = 0.1
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def fill_in(script: str, values: Mapping[str, str]) -> str:
    """Replace ``${name}`` within SQL literals by its value, quotes doubled.

    Raises CommandError for a name without a value.
    """
    missing = sorted({name for name in _PLACEHOLDER.findall(script) if name not in values})
    if missing:
        raise CommandError(f"the script needs a value for {', '.join(missing)}: give --set {missing[0]}=…")
    return _PLACEHOLDER.sub(lambda match: values[match[1]].replace("'", "''"), script)


async def submit_sql(cluster: FlinkCluster, script: str) -> str:
    """Run a script's statements in the cluster; returns the job's id. Raises CommandError."""
    encoded = base64.b64encode(script.encode()).decode()
    return await submit_jar(cluster, driver_jar(), ["--script-base64", encoded], SQL_RUNNER)


async def submit_jar(
    cluster: FlinkCluster,
    jar: Path,
    arguments: Sequence[str],
    entry_class: str | None = None,
    parallelism: int | None = None,
) -> str:
    """Upload the jar, run it, remove it again; returns the job's id. Raises CommandError."""
    uploaded = await cluster.upload(jar.name, read_jar(jar))
    try:
        return await cluster.run(uploaded, arguments, entry_class, parallelism)
    finally:
        await cluster.drop(uploaded)


async def wait_until_running(cluster: FlinkCluster, job: str, tell: Callable[[str], None]) -> str:
    """Return the job's state when all its tasks run or it has ended well.

    ``tell`` is told what it waits for, whenever that changes. Raises CommandError if it failed.
    """
    told = ""
    while True:
        state = await cluster.job(job)
        if state.state in ("FAILED", "FAILING", "CANCELED"):
            raise CommandError(f"job {job} {state.state.lower()}: {await cluster.failure(job)}")
        if state.state in ENDED or (state.state == "RUNNING" and state.all_running):
            return state.state
        waits = waiting_for(state, await cluster.overview())
        if waits != told:
            tell(waits)
            told = waits
        await asyncio.sleep(_POLL)


def waiting_for(job: Job, cluster: ClusterOverview) -> str:
    """Why the job does not run yet, for people."""
    slots = f"{cluster.slots_available} of {cluster.slots_total} slots free on {cluster.taskmanagers} TaskManagers"
    if job.state == "RESTARTING":
        return f"restarting after a failure ({slots})"
    if job.unplaced:
        needed = max((v.parallelism for v in job.vertices), default=0)
        return f"waiting for slots: needs {needed} ({slots})"
    return "tasks are being deployed"
