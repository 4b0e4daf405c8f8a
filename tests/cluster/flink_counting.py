"""A SQL job that counts upwards and writes what it counts to files, exactly once: what was lost or doubled shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster.flink_harness import JVM_WAIT, AppMaster
from tests.cluster.harness import get, wait_for

HEADRACE = Path(sys.executable).parent / "headrace"

SQL = """
SET 'execution.checkpointing.interval' = '{interval}';
SET 'execution.checkpointing.dir' = 'file://{directory}/checkpoints';
SET 'restart-strategy.type' = 'fixed-delay';
SET 'restart-strategy.fixed-delay.delay' = '200 ms';
SET 'restart-strategy.fixed-delay.attempts' = '1000';
CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '{rate}',
  'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '{last}');
CREATE TABLE written (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'file://{directory}/written',
  'format' = 'csv',
  'sink.rolling-policy.rollover-interval' = '300 ms', 'sink.rolling-policy.check-interval' = '100 ms');
INSERT INTO written SELECT n FROM numbers;
"""


def script(directory: Path, *, last: int = 100_000, rate: int = 200, interval: str = "500 ms") -> str:
    """The job's script; its files lie below ``directory``.

    The source's state has all numbers to come, so ``last`` is not large: eight minutes of counting.
    """
    return SQL.format(directory=directory, last=last, rate=rate, interval=interval)


def numbers(directory: Path) -> list[int]:
    """What was written and committed; files under way begin with a dot.

    A directory that is read while files are renamed in it may show a later one without an earlier one.
    """
    files: list[Path] = []
    while (found := _files(directory)) != files:
        files = found
    return sorted(int(line) for path in files for line in path.read_text().split())


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in (directory / "written").rglob("part-*") if not path.name.startswith("."))


class CountingJob:
    """The job in a session's cluster, started and writing."""

    def __init__(self, session: AppMaster, master: str, directory: Path) -> None:
        self._session = session
        self.directory = directory
        command = [str(HEADRACE), "flink", "sql", "--master", master, "--cluster", "flink", "-e", script(directory)]
        subprocess.run(command, check=True, timeout=JVM_WAIT, stdout=subprocess.DEVNULL)
        wait_for(lambda: len(numbers(directory)) > 100, "the job writes", JVM_WAIT)
        self.id = str(self.row()["jid"])

    def move_to(self, session: AppMaster) -> None:
        """Another application master leads now."""
        self._session = session

    def row(self) -> dict[str, Any]:
        (job,) = get(self._session.web + "/jobs/overview")["jobs"]
        return dict(job)

    def runs(self) -> bool:
        """Whether each of its tasks runs."""
        manager = self._session.state["job_manager"]
        if not manager["attached"]:
            return False
        jobs = get(manager["web"] + "/jobs/overview")["jobs"]
        if [job["jid"] for job in jobs] != [self.id]:
            return False
        tasks = jobs[0]["tasks"]  # none while it is being initialized
        return bool(0 < tasks["total"] == tasks["running"])

    def restored(self) -> Any:
        """The checkpoint that it was restored from."""

        def latest() -> Any:
            return get(f"{self._session.web}/jobs/{self.id}/checkpoints")["latest"]["restored"]

        return wait_for(latest, "it was restored from a checkpoint")

    def wait_until_it_goes_on(self) -> None:
        written = len(numbers(self.directory))
        wait_for(lambda: len(numbers(self.directory)) > written + 150, "the job goes on", JVM_WAIT)
