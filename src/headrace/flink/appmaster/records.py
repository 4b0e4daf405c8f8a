"""What the application master keeps in its store, and how.

generation        how often the process was started: the upper part of event sequences
framework         the framework id
driver            the driver that attached last
job-manager       number of the latest run, of its failures in a row, and whether one ever worked
workers/<id>      each worker with its goal
port              the port of the application master, so that the driver finds it again
failed            how many TaskManagers have failed, if that is limited
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec

from headrace.flink.appmaster.events import Driver, Goal, Worker
from headrace.kernel.core import Delete, Put
from headrace.kernel.store.protocol import StoreError

T = TypeVar("T")

LAYOUT = 1

GENERATION, FRAMEWORK, DRIVER, JOB_MANAGER, PORT = "generation", "framework", "driver", "job-manager", "port"
FAILED = "failed"
_WORKERS = "workers/"

_encode = msgspec.json.Encoder().encode


class JobManagerRecord(msgspec.Struct, frozen=True):
    """The run that was started last; ``failures`` counts ends in a row without a driver attached.

    ``worked``: some run's driver has attached, so that the configuration is good.
    """

    run: int
    failures: int = 0
    worked: bool = False


class Recovered(msgspec.Struct, frozen=True):
    """What an earlier process left; of a first one, nothing."""

    generation: int = 0
    framework_id: str = ""
    driver: Driver | None = None
    job_manager: JobManagerRecord | None = None
    port: int = 0
    workers: list[Worker] = []
    failed: int = 0


def recover(content: Mapping[str, bytes]) -> Recovered:
    """Read a store's content. Raises StoreError that names the entry which can't be read."""
    return Recovered(
        generation=_decoded(content, GENERATION, int) or 0,
        framework_id=_decoded(content, FRAMEWORK, str) or "",
        driver=_decoded(content, DRIVER, Driver),
        job_manager=_decoded(content, JOB_MANAGER, JobManagerRecord),
        port=_decoded(content, PORT, int) or 0,
        workers=[
            worker
            for key in sorted(content)
            if key.startswith(_WORKERS) and (worker := _decoded(content, key, Worker)) is not None
        ],
        failed=_decoded(content, FAILED, int) or 0,
    )


def _decoded(content: Mapping[str, bytes], key: str, kind: type[T]) -> T | None:
    """One entry; None if it is not there. The framework id alone is plain text."""
    if key not in content:
        return None
    try:
        value: Any = content[key].decode() if kind is str else msgspec.json.decode(content[key], type=kind)
        return cast("T", value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(
            f"entry {key} of the application master's store can't be read ({error}); use the version of Headrace "
            "that wrote it, or remove the store if nobody needs it"
        ) from error


def run_of(content: Mapping[str, bytes]) -> int:
    """The number of the JobManager's latest run, 0 if there was none."""
    record = recover({key: content[key] for key in (JOB_MANAGER,) if key in content}).job_manager
    return record.run if record else 0


def leave_framework(content: Mapping[str, bytes]) -> list[Put | Delete]:
    """What is left of a cluster that is gone, but whose framework is still there: that, and workers to be killed."""
    wanted = [w for w in recover(content).workers if w.goal is not Goal.NEW]
    kept = {GENERATION, FRAMEWORK, *(_WORKERS + w.id for w in wanted)}
    released = [put_worker(msgspec.structs.replace(w, goal=Goal.RELEASED)) for w in wanted]
    return [*(Delete(key) for key in content if key not in kept), *released]


def put_worker(worker: Worker) -> Put:
    return Put(_WORKERS + worker.id, _encode(worker))


def delete_worker(worker_id: str) -> Delete:
    return Delete(_WORKERS + worker_id)


def put_generation(generation: int) -> Put:
    return Put(GENERATION, _encode(generation))


def put_framework(framework_id: str) -> Put:
    return Put(FRAMEWORK, framework_id.encode())


def put_driver(driver: Driver) -> Put:
    return Put(DRIVER, _encode(driver))


def put_job_manager(record: JobManagerRecord) -> Put:
    return Put(JOB_MANAGER, _encode(record))


def put_failed(count: int) -> Put:
    return Put(FAILED, _encode(count))


def put_port(port: int) -> Put:
    return Put(PORT, _encode(port))
