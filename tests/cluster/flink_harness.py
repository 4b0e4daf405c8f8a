"""Application masters as an agent would run them, but by hand: each in its own sandbox, session and group.

$HEADRACE_TEST_FLINK is the version of Flink that all cluster tests run, such as 2.3.0; not set: the default one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from headrace.flink import distribution
from headrace.flink.distribution import Distribution
from headrace.flink.listener import PORT
from headrace.kernel.daemon import read_ready
from tests.cluster.harness import HeldPort, get, wait_for

SCRIPT = Path(__file__).parents[2] / "scripts" / "mesos-appmaster.sh"
FLINK = os.environ.get("HEADRACE_TEST_FLINK", "")
FLINK_OPTIONS: dict[str, object] = {"headrace.flink.version": FLINK} if FLINK else {}
"""What every application master of the tests is given."""
JVM_WAIT = 240.0
"""Seconds that JVMs may take to start on a busy machine."""


def flink() -> Distribution:
    """The Flink that the tests run."""
    return distribution.find_flink({key: str(value) for key, value in FLINK_OPTIONS.items()}, {})


class AppMaster:
    """One run of ``mesos-appmaster.sh`` in a sandbox of its own. ``prefix``: a command that becomes the script."""

    script = SCRIPT
    prefix: Sequence[str] = ()

    def __init__(self, sandbox: Path, master: str, **options: object) -> None:
        self.sandbox = sandbox
        sandbox.mkdir(parents=True)
        self._port = HeldPort()  # where it listens when it is started again, too
        given = {**FLINK_OPTIONS, PORT: self._port.number, **options}
        arguments = [f"-D{key.replace('__', '-').replace('_', '.')}={value}" for key, value in given.items()]
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with (sandbox / "stdout").open("w") as out, (sandbox / "stderr").open("w") as err:
            self.process = subprocess.Popen(
                [*self.prefix, str(self.script), f"-Dmesos.master={master}", *arguments],
                cwd=sandbox,
                stdout=out,
                stderr=err,
                env=environment,
                start_new_session=True,
            )
        try:
            self.url = wait_for(self._ready, f"the application master is ready; see {sandbox}").url
        except BaseException:
            self.stop()
            raise

    def _ready(self) -> Any:
        return next(filter(None, map(read_ready, (self.sandbox / "stdout").read_text().splitlines())), None)

    @property
    def state(self) -> Any:
        return get(self.url + "/state")

    @property
    def web(self) -> str:
        """REST of the JobManager, once its driver has attached."""

        def attached() -> Any:
            manager = self.state["job_manager"]
            return manager["attached"] and manager["web"]

        return str(wait_for(attached, f"the driver attaches; see {self.sandbox}", JVM_WAIT))

    @property
    def pid(self) -> int:
        """The Python process below the script. Raises ProcessLookupError while there is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if not children:
            raise ProcessLookupError("the script has no child")
        return int(children[0])

    @property
    def job_manager_pid(self) -> int:
        """Of its JVM. Raises OSError while it is being made."""
        run = self.state["job_manager"]["run"]
        text = (self.sandbox / ".headrace" / "jobmanager" / str(run) / "command").read_text()
        if not text:
            raise ProcessLookupError(f"run {run} is just being started")
        return int(text)

    def workers(self, state: str = "TASK_RUNNING") -> list[Any]:
        return [w for w in self.state["workers"] if w["state"] == state and w["goal"] == "Launched"]

    def wait_for_task_managers(self, count: int) -> list[str]:
        """Ids of TaskManagers, once exactly ``count`` are registered and running."""
        self.web  # noqa: B018 - wait for the driver first

        def enough() -> Any:
            manager = self.state["job_manager"]
            if not manager["attached"]:
                return None
            registered = {tm["id"] for tm in get(manager["web"] + "/taskmanagers")["taskmanagers"]}
            running = {worker["id"] for worker in self.workers()}
            return len(running) == count and registered == running and sorted(running)

        found = wait_for(enough, f"{count} TaskManagers; see {self.sandbox}", JVM_WAIT, pause=0.1)
        return list(found)

    def stop(self) -> int:
        """SIGTERM to the whole group, as an agent does it; returns the script's status."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


@contextmanager
def app_master(sandbox: Path, master: str, **options: object) -> Iterator[AppMaster]:
    """A session cluster with small JVMs that start fast."""
    small = {
        "mesos.resourcemanager.tasks.cpus": 0.5,
        "mesos.resourcemanager.tasks.mem": 800,
        "env.java.opts.all": "-XX:TieredStopAtLevel=1",
    }
    it = AppMaster(sandbox, master, **{**small, **options})
    try:
        yield it
    finally:
        it.stop()


def make_count(directory: Path, lib: Path, last: int = 100) -> Path:
    """Compile ``jobs/Count.java`` by the Flink in ``lib``: ``count.jar``, and a graph that counts to ``last``."""
    source = Path(__file__).parent / "jobs" / "Count.java"
    for command in (
        ["javac", "--release", "11", "-nowarn", "-cp", f"{lib}/*", "-d", "classes", str(source)],
        ["jar", "--create", "--file", "count.jar", "--main-class", "Count", "-C", "classes", "."],
        ["java", "-XX:TieredStopAtLevel=1", "-cp", f"count.jar:{lib}/*", "Count", str(last), "-1", "count.graph"],
    ):
        subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=JVM_WAIT)
    return directory


def run_jar(web: str, jar: Path, *arguments: str) -> str:
    """Submit the program in a jar over REST; returns its job's id."""
    head = 'Content-Disposition: form-data; name="jarfile"; filename="job.jar"\r\n\r\n'
    body = f"--mark\r\n{head}".encode() + jar.read_bytes() + b"\r\n--mark--\r\n"
    uploaded = _post(web + "/jars/upload", body, "multipart/form-data; boundary=mark")["filename"]
    program = json.dumps({"programArgsList": arguments}).encode()
    return str(_post(f"{web}/jars/{uploaded.rpartition('/')[2]}/run", program, "application/json")["jobid"])


def end_of(web: str, job: str) -> str:
    """The job's state once it has ended."""

    def ended() -> Any:
        state = get(f"{web}/jobs/{job}")["state"]
        return state in ("FINISHED", "FAILED", "CANCELED") and state

    return str(wait_for(ended, "the job ends", JVM_WAIT))


def _post(url: str, body: bytes, kind: str) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": kind})  # noqa: S310 - our own daemons
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        return json.load(answer)


def task_manager_pids(worker_id: str) -> list[int]:
    """The JVMs of one TaskManager, found by its id on their command lines."""
    mark = f"taskmanager.resource-id={worker_id}".encode()
    parents = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if mark in (command := path.read_bytes()) and b"java" in command.partition(b"\0")[0]:
                stat = path.with_name("stat").read_text()
                parents[int(path.parent.name)] = int(stat.rpartition(")")[2].split()[1])
    return [pid for pid, parent in parents.items() if parent not in parents]  # what it forks has its words for a moment
