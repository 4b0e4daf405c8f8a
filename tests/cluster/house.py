"""A whole cluster as a user runs it: ``headrace up``, with Marathon running a Flink session if asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from tests.cluster.flink_harness import FLINK_OPTIONS, JVM_WAIT
from tests.cluster.harness import HeldPort, get, wait_for

HEADRACE = Path(sys.executable).parent / "headrace"
SESSION = Path(__file__).parents[2] / "examples" / "flink-session.json"
APP = "/flink/session"
_FIRST = {"gw1": 30001, "gw2": 28001}.get(os.environ.get("PYTEST_XDIST_WORKER", ""), 32001)
_PORTS = f"[{_FIRST}-{_FIRST + 699}]"
"""What its agent offers: nothing of the kernel's own ports, of ``harness.PORTS``, nor of who runs beside us."""
MODULES = {
    "master": "headrace.mesos.master",
    "agent": "headrace.mesos.agent",
    "marathon": "headrace.marathon",
    "application master": "headrace.flink.appmaster",
}


class House:
    """What ``headrace up`` runs, and the job on it."""

    def __init__(self, data: Path, like: House | None = None) -> None:
        """``like``: one whose addresses are taken again."""
        self.data = data
        names = ("master", "agent", "marathon", "gateway")
        self._ports: dict[str, HeldPort] = like._ports if like else {name: HeldPort() for name in names}
        ports = [part for name, held in self._ports.items() for part in (f"--{name}-port", str(held.number))]
        resources = f"cpus:4;mem:8192;disk:8192;ports:{_PORTS}"
        self._log = (data.parent / "up.log").open("w+")
        self.up = psutil.Popen(
            [HEADRACE, "up", "--data", str(data), *ports, "--resources", resources],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            wait_for(lambda: "is up" in self.output, f"the cluster is up; see {data}")
        except BaseException:
            self.close()
            raise

    def start_session(self) -> None:
        """Have Marathon run the session of the examples; returns when it is healthy."""
        given = {**FLINK_OPTIONS, "resourcemanager.previous-worker.recovery.timeout": "2min"}  # of slow machines
        options = "".join(f" -D{key}={value}" for key, value in given.items())
        master = self.url("master").removeprefix("http://")
        text = SESSION.read_text().replace("127.0.0.1:5050", master + options)
        request = urllib.request.Request(self.url("marathon") + "/v2/apps", text.encode(), method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            assert answer.status == 201
        app = f"{self.url('marathon')}/v2/apps/{APP}"
        wait_for(lambda: get(app)["app"]["tasksHealthy"] == 1, "the session is healthy", JVM_WAIT)

    def python_sizes(self) -> dict[str, float]:
        """Resident MB of each Python process, by its module and the like."""
        sizes = {}
        for process in map(psutil.Process, self.processes()):
            if process.name().startswith("python"):
                sizes[process.cmdline()[2].removeprefix("headrace.")] = process.memory_info().rss / 1e6
        return sizes

    @property
    def output(self) -> str:
        return Path(self._log.name).read_text()

    def url(self, name: str) -> str:
        return next(line.split()[1] for line in self.output.splitlines() if line.split()[:1] == [name])

    def close(self) -> None:
        if self.up.is_running():
            self.up.send_signal(signal.SIGINT)
            self.up.wait(60)
        self._log.close()

    def processes(self, *words: str) -> list[int]:
        """Ids of the processes of this house whose command line has all the words."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = str(self.data) in " ".join([*process.cmdline(), process.cwd()])
                if mine and all(any(word == part or word in part for part in process.cmdline()) for word in words):
                    found.append(process.pid)
            except psutil.Error:
                continue
        return sorted(found)

    def daemon(self, name: str) -> int | None:
        """The process id of one of ``MODULES``; None while it is dead."""
        return next(iter(self.processes("-m", MODULES[name])), None)

    def jvms(self, main: str) -> list[int]:
        return [pid for pid in self.processes(main) if _name(pid) == "java"]

    @property
    def flink(self) -> list[int]:
        """The JobManager and the TaskManagers."""
        return self.jvms("HeadraceSessionClusterEntrypoint") + self.jvms("TaskManagerRunner")

    def dashboard(self) -> str:
        """Raises ConnectionError while there is none."""
        for framework in self.frameworks():
            if framework["name"].startswith("Flink") and framework.get("webui_url"):
                return str(framework["webui_url"])
        raise ConnectionError("Flink has not told yet where its dashboard is")

    def frameworks(self) -> list[dict[str, Any]]:
        return list(get(self.url("master") + "/master/state")["frameworks"])

    def tasks(self) -> dict[str, str]:
        return {t["id"]: t["state"] for t in get(self.url("master") + "/master/tasks?limit=1000")["tasks"]}

    def whole(self) -> bool:
        """Whether everybody is back: agent and both frameworks are active, Marathon answers."""
        state = get(self.url("master") + "/master/state")
        return (
            [agent["active"] for agent in state["slaves"]] == [True]
            and [framework["active"] for framework in state["frameworks"]] == [True, True]
            and get(self.url("marathon") + "/v2/info")["frameworkId"] is not None
        )

    def job(self) -> dict[str, Any]:
        """Raises ConnectionError while there is none."""
        jobs = get(self.dashboard() + "/jobs/overview")["jobs"]
        if not jobs:
            raise ConnectionError("the JobManager has no job yet")
        (job,) = jobs
        return dict(get(f"{self.dashboard()}/jobs/{job['jid']}"))


def _name(pid: int) -> str:
    """Of a process; empty if it has just ended."""
    try:
        return str(psutil.Process(pid).name())
    except psutil.NoSuchProcess:
        return ""
