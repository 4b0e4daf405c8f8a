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

import msgspec

from headrace.flink.appmaster.events import Driver, Worker
from headrace.kernel.core import Delete, Put

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
    """Read a store's content."""
    return Recovered(
        generation=msgspec.json.decode(content.get(GENERATION, b"0"), type=int),
        framework_id=content.get(FRAMEWORK, b"").decode(),
        driver=msgspec.json.decode(content[DRIVER], type=Driver) if DRIVER in content else None,
        job_manager=(
            msgspec.json.decode(content[JOB_MANAGER], type=JobManagerRecord) if JOB_MANAGER in content else None
        ),
        port=msgspec.json.decode(content.get(PORT, b"0"), type=int),
        workers=[
            msgspec.json.decode(value, type=Worker)
            for key, value in sorted(content.items())
            if key.startswith(_WORKERS)
        ],
        failed=msgspec.json.decode(content.get(FAILED, b"0"), type=int),
    )


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
