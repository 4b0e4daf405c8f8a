"""How a job cluster's job has ended: written where people, scripts and the next application master look.

    job-result.json            in the task's sandbox
    .headrace/job-result.json  a ``Record`` for a process that comes back in this sandbox
    <cluster's directory>.done the same beside the high availability files, if the cluster has a name: a supervisor
                               may start the task again, and the job must not run a second time

A cluster with its store in ZooKeeper has it there, too: see ``appmaster.farewell``. Flink's own words come from its
job result store; see Flink documentation, "Job Result Store".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from headrace.flink.java_errors import root_cause
from headrace.kernel.daemon import UserError
from headrace.kernel.output_file import read_regular, replace_file

_LIMIT = 1 << 20
"""No result has more bytes."""
_STATES = {"SUCCEEDED": "FINISHED", "FAILED": "FAILED", "CANCELED": "CANCELED"}


class JobResult(msgspec.Struct, frozen=True):
    """The job's id, state (FINISHED, FAILED, CANCELED, UNKNOWN), exit status, and why it failed."""

    job: str
    state: str
    status: int
    message: str = ""

    def __str__(self) -> str:
        ended = f"{f'job {self.job}' if self.job else 'the job'} {self.state}"
        return f"{ended}: {self.message}" if self.message else ended


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A result with the digest of its job (see ``job_identity``) and the ``run`` of which process it is from.

    Both are empty if they are not known.
    """

    result: JobResult
    job: str = ""
    run: str = ""


def collect(said: str, status: int, directory: Path | None, words: str) -> JobResult:
    """What Flink said of the cluster's end, and what its files below ``directory`` say of the job.

    ``words`` is why its program failed, which may be before there was a job.
    """
    found: dict[str, Any] = {}
    for path in sorted((directory / "job-results").glob("*.json")) if directory else ():
        try:
            found = msgspec.json.decode(path.read_bytes()).get("result") or {}
        except (OSError, msgspec.DecodeError, AttributeError):
            continue
    cause = found.get("failure-cause") or {}
    trace = str(cause.get("stack-trace") or "") if isinstance(cause, dict) else ""
    message = (root_cause(trace) if trace else words) if status else ""
    return JobResult(str(found.get("id") or ""), _STATES.get(said, "UNKNOWN"), status, message)


def record_path(directory: Path | None) -> Path | None:
    """Where the end is noted for the next application master; None if there is no place for it."""
    return directory.with_name(directory.name + ".done") if directory is not None else None


def load(path: Path | None) -> Record | None:
    """A result that was noted; None if there is none. Raises UserError if it can't be read, OSError."""
    try:
        return msgspec.json.decode(read_regular(path, _LIMIT), type=Record) if path is not None else None
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} says how this cluster's job has ended, but can't be read ({error}): "
            "remove it if the job is to run, maybe a second time"
        ) from None


def save(result: JobResult | Record, *paths: Path | None) -> None:
    """Note a result, safe from a power failure; each file has the old content or the new. Raises OSError."""
    for path in paths:
        if path is not None:
            replace_file(path, msgspec.json.encode(result) + b"\n", 0o644, sync=True)


def forget(path: Path | None) -> None:
    """Remove a result that was noted."""
    if path is not None:
        path.unlink(missing_ok=True)
