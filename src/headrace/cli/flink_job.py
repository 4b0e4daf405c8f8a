"""Submits a job and tells how it comes up: what it waits for, until it runs, ends or fails."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from headrace.cli import progress
from headrace.cli.api import CommandError
from headrace.cli.flink_rest import AS_IT_IS, ENDED, SQL_RUNNER, FlinkCluster, Submission, driver_jar
from headrace.cli.flink_upload import check_jar, upload
from headrace.cli.flink_waiting import Explainer, waiting_for

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


def pairs(values: Sequence[str]) -> dict[str, str]:
    """What ``--set NAME=VALUE`` gives. Raises CommandError."""
    found = {}
    for value in values:
        name, separator, content = value.partition("=")
        if not separator:
            raise CommandError(f"--set {value!r} must be NAME=VALUE")
        found[name] = content
    return found


async def submit_sql(cluster: FlinkCluster, script: str, how: Submission = AS_IT_IS, *, quiet: bool = False) -> str:
    """Run a script's statements in the cluster; returns the job's id. Raises CommandError."""
    encoded = base64.b64encode(script.encode()).decode()
    how = msgspec.structs.replace(how, entry_class=SQL_RUNNER)
    return await submit_jar(cluster, driver_jar(), ["--script-base64", encoded], how, quiet=quiet)


async def submit_jar(
    cluster: FlinkCluster, jar: Path, arguments: Sequence[str], how: Submission = AS_IT_IS, *, quiet: bool = False
) -> str:
    """Upload the jar, run it, remove it again; returns the job's id. Raises CommandError.

    ``quiet``: nothing is shown meanwhile.
    """
    size = check_jar(jar)
    if how.parallelism is None:
        how = msgspec.structs.replace(how, parallelism=await cluster.default_parallelism())
    with progress.sending(jar.name, size, quiet=quiet) as on_sent:
        uploaded = await upload(cluster.server.url, cluster.id, jar, on_sent)
    try:
        with progress.waiting("the program builds its job", only_on_terminal=True, quiet=quiet):
            return await cluster.run(uploaded, arguments, how)
    finally:
        await cluster.drop(uploaded)


async def wait_until_running(
    cluster: FlinkCluster, job: str, tell: Callable[[str], None], explainer: Explainer | None = None
) -> str:
    """Return the job's state when all its tasks run or it has ended well.

    ``tell`` is told what it waits for, whenever that changes. Raises CommandError if it failed.
    """
    told, why = "", ""
    while True:
        state = await cluster.job(job)
        if state.state in ("FAILED", "FAILING", "CANCELED"):
            waited = f"; before, {why}" if why else ""
            raise CommandError(f"job {job} {state.state.lower()}: {await cluster.failure(job)}{waited}")
        if state.state in ENDED or (state.state == "RUNNING" and state.all_running):
            return state.state
        master = await explainer.state() if explainer is not None and state.unplaced else None
        why = await explainer.why(master) if explainer is not None else ""
        waits = waiting_for(state, await cluster.overview(), master, why)
        if waits != told:
            tell(waits)
            told = waits
        await asyncio.sleep(_POLL)
