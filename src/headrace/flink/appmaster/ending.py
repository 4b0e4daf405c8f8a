"""What is left to do when a cluster has ended: its files, and a job's result for whoever asks or starts it again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from headrace.flink import high_availability, job_result
from headrace.flink.appmaster.events import Finish, Stop
from headrace.flink.appmaster.slots import Slot
from headrace.flink.appmaster.supervision import Supervision
from headrace.flink.cluster import Cluster
from headrace.flink.job import Job
from headrace.flink.job_result import JobResult

log = logging.getLogger(__name__)


class Ending:
    """The end of one cluster. ``job`` is None for a session."""

    def __init__(
        self,
        cluster: Cluster,
        job: Job | None,
        sandbox: Path,
        environment: Mapping[str, str],
        slot: Slot,
        supervision: Supervision,
    ) -> None:
        self._options = cluster.flink
        self._slot = slot
        self._supervision = supervision
        self._job = job
        self._sandbox = sandbox
        named = high_availability.named_directory(cluster.flink, environment)
        self._record = job_result.record_path(named) if job is not None else None

    def before(self) -> JobResult | None:
        """How the job ended when it ran in an earlier task; None if it has not run."""
        result = job_result.load(self._record)
        if result is not None:
            log.warning("%s; it has run and is not run again; remove %s to run it", result, self._record)
        return result

    def settle(self, finish: Finish, words: str) -> JobResult | None:
        """Note how the job ended, then remove what is not needed any more. ``words``: why its program failed."""
        result = None
        if self._job is not None and finish.said:
            kept = high_availability.directory(self._options)
            result = job_result.collect(finish.said, finish.status, kept, words)
            job_result.save(result, self._record)
            log.log(logging.ERROR if result.status else logging.INFO, "%s", result)
        if finish.gone:
            high_availability.remove(self._options)
            if result is None or not self._idle:
                self._slot.forget()
        return result

    async def leave(self, result: JobResult, stop: asyncio.Event) -> int:
        """Exit status: the job's; where the process is to stay, 0 when it is asked to stop.

        If the app is destroyed, all is forgotten; else the job has run, also for a later task.
        """
        job_result.save(result, self._sandbox / "job-result.json")
        if not self._idle:
            return result.status
        log.info("nothing is left to do; this stays until the app is destroyed")
        await stop.wait()
        if (await self._supervision.decide()).stop is Stop.DESTROY:
            job_result.forget(self._record)
            high_availability.remove(self._options)
            self._slot.forget()
        return 0

    @property
    def _idle(self) -> bool:
        return self._job is not None and self._job.idle
