"""One job through all faults in one run, in an order that a seed decides: its result is that of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.flink_counting import HEADRACE, numbers, script
from tests.cluster.flink_harness import JVM_WAIT, AppMaster, app_master, task_manager_pids
from tests.cluster.harness import Cluster, cluster, get, wait_for

SEED = 4
LAST = 8000
"""Far more than the faults take: what is restarted on a slow machine takes its time, while the job goes on."""
BETWEEN = 100
"""Numbers that the job writes from one fault to the next."""


class Faults:
    """SIGKILL of everything, alone and together. Who has nobody in life to start it again is started again here."""

    def __init__(self, mesos: Cluster, session: AppMaster) -> None:
        self._mesos = mesos
        self._session = session

    def task_manager(self) -> None:
        (worker,) = self._session.wait_for_task_managers(1)
        for pid in task_manager_pids(worker):
            os.kill(pid, signal.SIGKILL)

    def job_manager(self) -> None:
        os.kill(self._session.job_manager_pid, signal.SIGKILL)

    def application_master(self) -> None:
        os.kill(self._session.pid, signal.SIGKILL)

    def application_master_and_job_manager(self) -> None:
        pids = self._session.pid, self._session.job_manager_pid
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def master(self) -> None:
        self._mesos.master.kill()
        self._mesos.master.start()

    def agent(self) -> None:
        self._mesos.agents[0].kill()
        self._mesos.agents[0].start()

    def everything(self) -> None:
        self.task_manager()
        self.application_master_and_job_manager()
        self._mesos.agents[0].kill()
        self.master()
        self._mesos.agents[0].start()

    def shuffled(self, seed: int) -> list[Callable[[], None]]:
        """All of them."""
        found = [
            self.task_manager,
            self.job_manager,
            self.application_master,
            self.application_master_and_job_manager,
            self.master,
            self.agent,
            self.everything,
        ]
        random.Random(seed).shuffle(found)
        return found


def job(session: AppMaster) -> Any:
    """Its overview, once its JobManager tells."""

    def look() -> Any:
        manager = session.state["job_manager"]
        jobs = manager["attached"] and get(manager["web"] + "/jobs/overview")["jobs"]
        return jobs and jobs[0]

    return wait_for(look, f"the JobManager has the job; see {session.sandbox}", JVM_WAIT)


def test_a_job_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    options = {"mesos.initial-tasks": 1, "web.refresh-interval": 100}
    with (
        cluster(tmp_path / "mesos") as mesos,
        app_master(tmp_path / "session", mesos.master.url, **options) as session,
    ):
        session.wait_for_task_managers(1)
        command = [str(HEADRACE), "flink", "sql", "--master", mesos.master.url, "--cluster", "flink", "--detach"]
        subprocess.run([*command, "-e", script(tmp_path, last=LAST)], check=True, timeout=JVM_WAIT)
        first = job(session)["jid"]
        for fault in Faults(mesos, session).shuffled(SEED):
            before = len(numbers(tmp_path))
            wait_for(lambda: len(numbers(tmp_path)) >= before + BETWEEN, f"it writes before {fault.__name__}", JVM_WAIT)  # noqa: B023
            assert job(session)["state"] == "RUNNING", f"it has ended before {fault.__name__}"
            fault()
        wait_for(lambda: len(numbers(tmp_path)) == LAST + 1, "all is written", 2 * JVM_WAIT)
        wait_for(lambda: job(session)["state"] == "FINISHED", "it has finished")
        assert job(session)["jid"] == first
        assert numbers(tmp_path) == list(range(LAST + 1))
