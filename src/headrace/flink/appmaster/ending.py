"""What is left to do when a cluster has ended: its files, and a job's result for whoever asks or starts it again.

The order is what keeps a job from running twice: the result is noted (``note``) before the store is emptied and
anything is removed (``clear``), so a process that is killed in between finds it (``before``) and goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from shutil import rmtree

from headrace.flink import high_availability, job_result
from headrace.flink.appmaster.events import Finish, Stop
from headrace.flink.appmaster.slots import Slot, this_owner
from headrace.flink.appmaster.supervision import IDLE_PATIENCE, Supervision
from headrace.flink.cluster import Cluster
from headrace.flink.job import Job
from headrace.flink.job_result import JobResult, Record

log = logging.getLogger(__name__)

STORE = "appmaster.db"
"""The store's file; others of it begin so."""


async def _nothing_else() -> None:
    """Nobody else knows of the result."""


class Ending:
    """The end of one cluster. ``job`` is None for a session; ``digest`` is that of the job."""

    def __init__(
        self,
        cluster: Cluster,
        job: Job | None,
        sandbox: Path,
        environment: Mapping[str, str],
        slot: Slot,
        supervision: Supervision,
        digest: str = "",
    ) -> None:
        self._options = cluster.flink
        self._slot = slot
        self._supervision = supervision
        self._job = job
        self._sandbox = sandbox
        self._digest = digest
        self._run = _run(sandbox, environment)
        self._in_task = bool(environment.get("MESOS_TASK_ID"))
        named = high_availability.named_directory(cluster.flink, environment)
        self._shared = job_result.record_path(named) if job is not None else None
        self._own = sandbox / ".headrace" / "job-result.json" if job is not None else None

    def before(self) -> JobResult | None:
        """How the job ended when it ran before; None if it has not. Raises UserError, OSError."""
        for path, record in self._records():
            if self._is_ours(path, record):
                log.warning("%s; it has run and is not run again; remove %s to run it", record.result, path)
                return record.result
        return None

    def note(self, finish: Finish, words: str) -> JobResult | None:
        """Note how the job ended, if it has; before anything is removed. ``words``: why its program failed."""
        if self._job is None or not finish.said:
            return None
        kept = high_availability.directory(self._options)
        result = job_result.collect(finish.said, finish.status, kept, words)
        self.keep(result)
        return result

    def tell(self, result: JobResult) -> None:
        """Say how the job ended; the last thing that is said."""
        log.log(logging.ERROR if result.status else logging.INFO, "%s", result)

    def keep(self, result: JobResult) -> None:
        """Note a result for later processes. Raises OSError."""
        for path in filter(None, (self._shared, self._own)):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            job_result.save(Record(result, self._digest, self._run), path)

    async def clear(self, *, but_store: bool = False) -> None:
        """Remove the files of a cluster that is gone for good; a result that was noted stays.

        ``but_store``: so does a store that lies there, as its framework could not be torn down.
        """
        await asyncio.to_thread(high_availability.remove, self._options, STORE if but_store else "")
        await asyncio.to_thread(rmtree, self._sandbox / ".headrace" / "jobmanager", ignore_errors=True)

    async def begin(self) -> bool:
        """Before the job runs: forget the result of another one, and what that has left; whether there was any."""
        others = self._records()
        if not others:
            return False  # what lies here is of a cluster that goes on
        for path, record in others:
            log.info("%s: it is of another job, or of an earlier run by hand; this one runs (%s)", path, record.result)
        await self.clear()
        self._forget()
        return True

    def let_go(self, finish: Finish, result: JobResult | None) -> None:
        """Let others have the place of a cluster that is gone for good, unless its result stays with it."""
        if finish.gone and (result is None or not self.idle):
            self._slot.forget()

    async def leave(
        self,
        result: JobResult,
        stop: asyncio.Event,
        *,
        at_once: bool = False,
        forget: Callable[[], Awaitable[None]] = _nothing_else,
    ) -> int:
        """Exit status: the job's; where the process is to stay, 0 when it is asked to stop, as it is with ``at_once``.

        If the app is destroyed, all is forgotten, and by ``forget`` what others know; else the job has run, also for
        a later task.
        """
        job_result.save(result, self._sandbox / "job-result.json")
        if not self.idle:
            return result.status
        if not at_once:
            log.info("nothing is left to do; this stays until the app is destroyed")
            await stop.wait()
        if (await self._supervision.decide(patience=IDLE_PATIENCE)).stop is Stop.DESTROY:
            self._forget()
            await forget()
            await self.clear()
            self._slot.forget()
        return 0

    @property
    def has_records(self) -> bool:
        """Whether any result was noted. Raises as ``before``."""
        return bool(self._records())

    @property
    def idle(self) -> bool:
        """Whether this stays when the job is done."""
        return self._job is not None and self._job.idle

    def _records(self) -> list[tuple[Path, Record]]:
        """What was noted, and where."""
        found = ((path, job_result.load(path)) for path in (self._shared, self._own) if path is not None)
        return [(path, record) for path, record in found if record is not None]

    def _is_ours(self, path: Path, record: Record) -> bool:
        """Whether it is of the same job; by hand a second start in a directory without a name is a second run."""
        if record.job != self._digest:
            return False
        again = self.idle or self._in_task or (record.run == self._run and bool(self._run))
        return path == self._shared or again

    def _forget(self) -> None:
        for path in (self._shared, self._own):
            job_result.forget(path)


def _run(sandbox: Path, environment: Mapping[str, str]) -> str:
    """The run of the script that starts us again; empty if there is none."""
    owner = this_owner(sandbox, environment)
    return f"{owner.boot} {owner.pid} {owner.start}" if owner.pid else ""
