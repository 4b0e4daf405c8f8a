"""Savepoints: taken, taken with the job's end, removed. Flink does them by and by; here they are followed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable

from headrace.cli.api import CommandError, NoAnswerError
from headrace.cli.flink_rest import ENDED, FlinkCluster, Operation
from headrace.cli.progress import Tell

_POLL = 0.1
_NO_DIRECTORY = re.compile(r"\[target-?[dD]irectory\] must be provided|No savepoint directory configured")


def check_directory(directory: str | None) -> None:
    """Raises CommandError if it can't be a directory for savepoints: hosts of the cluster write them."""
    if directory is not None and not directory.startswith("/") and "://" not in directory:
        raise CommandError(
            f"the directory {directory!r} must be absolute, or an address such as s3://bucket/savepoints: "
            "the hosts of the cluster write to it"
        )


async def savepoint(cluster: FlinkCluster, job: str, directory: str | None, tell: Tell) -> str:
    """Take a savepoint; returns its path. Raises CommandError."""
    tell("taking a savepoint")
    return await _location(cluster, job, await _triggered(cluster.trigger_savepoint(job, directory)))


async def stop(cluster: FlinkCluster, job: str, directory: str | None, *, drain: bool, tell: Tell) -> str:
    """Take a savepoint and end the job; returns the savepoint's path when it has ended. Raises CommandError."""
    tell("taking a savepoint")
    location = await _location(cluster, job, await trigger_stop(cluster, job, directory, drain=drain))
    tell("waiting for the job's end")
    await wait_for_end(cluster, job)
    return location


async def trigger_stop(cluster: FlinkCluster, job: str, directory: str | None, *, drain: bool) -> str:
    """Begin to stop a job; returns where to ask how it goes. Raises CommandError."""
    return await _triggered(cluster.trigger_stop(job, directory, drain=drain))


async def dispose(cluster: FlinkCluster, path: str, tell: Tell) -> None:
    """Remove a savepoint's files. Raises CommandError."""
    tell("removing the savepoint")
    if failure := (await _finished(cluster, await cluster.trigger_disposal(path))).failure:
        raise CommandError(f"the savepoint {path} could not be removed: {failure}")


async def wait_for_end(cluster: FlinkCluster, job: str) -> str:
    """The state in which the job ends; empty if its cluster ends with it, as a job's own does.

    Raises CommandError if the cluster can't tell.
    """
    while True:
        try:
            state = (await cluster.job(job)).state
        except NoAnswerError:
            return ""
        if state in ENDED:
            return state
        await asyncio.sleep(_POLL)


async def _location(cluster: FlinkCluster, job: str, asked_at: str) -> str:
    outcome = await _finished(cluster, asked_at)
    if outcome.failure or not outcome.location:
        why = outcome.failure or "Flink says that it is done, but not where the savepoint is"
        raise CommandError(_explained(f"the savepoint of job {job} failed: {why}"))
    return outcome.location


async def _finished(cluster: FlinkCluster, asked_at: str) -> Operation:
    while True:
        operation = await cluster.operation(asked_at)
        if operation.done:
            return operation
        await asyncio.sleep(_POLL)


async def _triggered(asked: Awaitable[str]) -> str:
    try:
        return await asked
    except CommandError as error:
        raise CommandError(_explained(str(error)), error.status) from None


def _explained(message: str) -> str:
    """Flink's message; where it misses a directory, what to do."""
    if _NO_DIRECTORY.search(message):
        return (
            "there is no directory for savepoints: give one with --savepoint DIR (`headrace flink savepoint JOB DIR`), "
            "or start the cluster with -D execution.checkpointing.savepoint-dir=DIR"
        )
    return message
