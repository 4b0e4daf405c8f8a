"""How fast a Flink cluster starts, beside plain ``java`` command lines of the same run.

The plain ones are started by hand here: Flink's own main classes, the class path, sizes and flags that ours have,
without an archive of classes and without Headrace. Medians of interleaved runs. A TaskManager's time is from its
request to its registration, both from the JobManager's log; for a plain one from the start of its process. The
originals' figures: Flink 1.12.5 on Mesos 1.11.0.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from bench.table import Row
from headrace.flink import conf
from headrace.flink.archive_build import build
from tests.cluster.flink_counting import HEADRACE
from tests.cluster.flink_harness import AppMaster, app_master, task_manager_pids
from tests.cluster.harness import Cluster, cluster, wait_for

RUNS = 5
RESOURCES = "cpus:8;mem:8192;disk:8192;ports:[33000-33999]"
"""Ports that tests beside this one do not have."""
STANDALONE = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
REQUESTED = re.compile(r"^(\S+ \S+) .*Requesting new worker", re.MULTILINE)
REGISTERED = re.compile(r"^(\S+ \S+) .*Registering TaskManager with ResourceID", re.MULTILINE)
RUNNING = re.compile(r"^(\S+ \S+) .* switched from INITIALIZING to RUNNING", re.MULTILINE)
_OURS = ("headrace.", "high-availability", "job-result-store", "application-result-store", "rest.", "web.", "io.tmp")
JOB = """
SET 'parallelism.default' = '{parallelism}';
CREATE TABLE a (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '10');
CREATE TABLE b (n BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO b SELECT n FROM a;
"""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _up(web: str) -> Callable[[], bool]:
    def up() -> bool:
        with urllib.request.urlopen(web + "/overview", timeout=5) as answer:  # noqa: S310 - our own
            return bool(answer.status == 200)

    return up


def _times(log: Path, what: re.Pattern[str]) -> list[float]:
    """When the log says so, in epoch seconds."""
    found = what.findall(log.read_text()) if log.exists() else []
    return [datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f").timestamp() for text in found]


def _settle(pid: int) -> None:
    """Wait until the process has been nearly idle for half a second."""
    last = _cpu(pid)
    for _ in range(60):
        time.sleep(0.5)
        now = _cpu(pid)
        if now - last < 0.05:
            return
        last = now


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# plain Java


class Plain:
    """JVMs of Flink started by hand, with the command lines of ours."""

    def __init__(self, directory: Path, ours: AppMaster, task_manager: int) -> None:
        self._directory = directory
        self._job_manager = _words(ours.job_manager_pid)
        self._task_manager = _words(task_manager)
        sandbox = Path(os.readlink(f"/proc/{task_manager}/cwd"))
        variables = dict(pair.partition("=")[::2] for pair in _strings(f"/proc/{task_manager}/environ"))
        self._class_path = ":".join(str(sandbox / jar) for jar in variables["CLASSPATH"].split(":"))
        self._options = {
            key: value
            for key, value in conf.read_conf_dir(ours.sandbox / ".headrace" / "conf").items()
            if not key.startswith(_OURS)
        }
        self._count = 0

    @contextmanager
    def job_manager(self) -> Iterator[tuple[float, str, Path]]:
        """A standalone JobManager: seconds until its dashboard answers, its RPC port, its log."""
        self._count += 1
        directory = self._directory / f"plain-{self._count}"
        port, rpc = _free_port(), str(_free_port())
        options = {**self._options, "jobmanager.rpc.port": rpc, "rest.port": str(port), "rest.bind-port": str(port)}
        self._configure(directory, {**options, "rest.address": "127.0.0.1", "rest.bind-address": "127.0.0.1"})
        words = _with_paths(self._job_manager, directory)
        words[words.index("-classpath") + 2] = STANDALONE
        began = time.time()
        with _process(words, directory) as process:
            wait_for(_up(f"http://127.0.0.1:{port}"), "the plain JobManager is up", 60, pause=0.01)
            took = time.time() - began
            _settle(process.pid)
            yield took, rpc, directory / "log"

    def task_manager(self, rpc: str, log: Path) -> float:
        """Seconds until a TaskManager is registered there."""
        self._count += 1
        directory = self._directory / f"plain-{self._count}"
        self._configure(directory, {**self._options, "io.tmp.dirs": str(directory)})
        words = _with_paths(self._task_manager, directory)
        ports = {"taskmanager.rpc.port": "0", "taskmanager.data.port": "0"}
        own = {"jobmanager.rpc.port": rpc, "taskmanager.resource-id": f"plain-{self._count}", **ports}
        pairs = [word.partition("=")[0] for word in words]
        for key, value in own.items():
            words[pairs.index(key)] = f"{key}={value}"
        at = next((i for i, word in enumerate(pairs) if word == "headrace.leaders"), None)
        if at is not None:
            del words[at - 1 : at + 1]
        before = len(_times(log, REGISTERED))
        began = time.time()
        with _process(words, directory, CLASSPATH=self._class_path):
            wait_for(lambda: len(_times(log, REGISTERED)) > before, "the plain TaskManager registers", 60, pause=0.05)
            return _times(log, REGISTERED)[before] - began

    def _configure(self, directory: Path, options: dict[str, str]) -> None:
        directory.mkdir()
        (directory / "config.yaml").write_bytes(conf.render(options))
        (directory / "log4j.properties").write_bytes(conf.LOG4J)


def _with_paths(words: Sequence[str], directory: Path) -> list[str]:
    """The same without archive, and with configuration and log in ``directory``."""
    own = {"-Dlog.file": str(directory / "log"), "-Dlog4j.configurationFile": f"file:{directory}/log4j.properties"}
    own["-Djava.io.tmpdir"] = str(directory)
    out = []
    for word in words:
        if not word.startswith(("-Xshare", "-XX:SharedArchiveFile", "-Xlog:cds")):
            key = word.partition("=")[0]
            out.append(f"{key}={own[key]}" if key in own else word)
    out[out.index("--configDir") + 1] = str(directory)
    return out


@contextmanager
def _process(words: Sequence[str], directory: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / "out").open("wb") as out:
        process = subprocess.Popen(
            words,
            cwd=directory,
            stdout=out,
            stderr=out,
            env={**os.environ, "FLINK_CONF_DIR": str(directory), **environment},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _strings(path: str) -> list[str]:
    return Path(path).read_bytes().decode().rstrip("\0").split("\0")


def _words(pid: int) -> list[str]:
    """The process's command line, its program as a path."""
    return [os.readlink(f"/proc/{pid}/exe"), *_strings(f"/proc/{pid}/cmdline")[1:]]


# ours


class Session:
    """A session cluster of ours, with the times of its start."""

    def __init__(self, stack: ExitStack, mesos: Cluster, directory: Path, archive: str, **options: object) -> None:
        port = _free_port()
        began = time.time()
        given = {"headrace.jvm.archive": archive, "rest.port": port, "high-availability.cluster-id": directory.name}
        self.it = stack.enter_context(
            app_master(
                directory,
                mesos.master.url,
                **{**given, "resourcemanager.taskmanager-timeout": "500 ms", "env.java.opts.all": "", **options},
            )
        )
        self._cluster = directory.name
        self._master = mesos.master.url
        wait_for(_up(f"http://127.0.0.1:{port}"), "the dashboard answers", 60, pause=0.01)
        self.to_dashboard = time.time() - began
        has_archive = any("SharedArchiveFile" in word for word in _words(self.it.job_manager_pid))
        assert has_archive == (archive == "auto"), "the archives no longer fit: something was rebuilt meanwhile"
        self.log = directory / "jobmanager.log"
        self.web = self.it.web

    def settle(self) -> None:
        """Wait until the planner is warm and all is quiet."""
        wait_for(lambda: "planner is warm" in self.log.read_text(), "the planner is warm", 60, pause=0.2)
        _settle(self.it.job_manager_pid)

    def submit(self, parallelism: int = 1) -> str:
        """Start the job; its id."""
        command = [str(HEADRACE), "flink", "sql", "--master", self._master, "--cluster", self._cluster, "--detach"]
        script = JOB.format(parallelism=parallelism)
        said = subprocess.run([*command, "-e", script], check=True, timeout=90, capture_output=True, text=True).stdout
        (job,) = re.findall(r"\b[0-9a-f]{32}\b", said)[:1]
        return str(job)

    def task_manager(self, pid_too: list[int] | None = None) -> float:
        """Seconds from a request to the registration; the TaskManager is gone again then."""
        requests, registrations = len(_times(self.log, REQUESTED)), len(_times(self.log, REGISTERED))
        job = self.submit()
        wait_for(lambda: len(_times(self.log, REGISTERED)) > registrations, "it registers", 60, pause=0.05)
        took = _times(self.log, REGISTERED)[registrations] - _times(self.log, REQUESTED)[requests]
        (worker,) = self.it.workers()
        if pid_too is not None:
            pid_too += task_manager_pids(worker["id"])
            return took
        self.cancel(job)
        return took

    def cancel(self, job: str) -> None:
        """Cancel the job and wait until its TaskManagers are gone."""
        request = urllib.request.Request(f"{self.web}/jobs/{job}?mode=cancel", method="PATCH")  # noqa: S310
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
        wait_for(lambda: not self.it.state["workers"], "the TaskManager is released", 60, pause=0.1)
        _settle(self.it.job_manager_pid)


def _to_running(mesos: Cluster, directory: Path, archive: str) -> float:
    """Seconds from the submission of a job of parallelism 2 until all its tasks run, from no TaskManager."""
    with ExitStack() as stack:
        session = Session(stack, mesos, directory, archive)
        session.settle()
        posted = re.compile(r"^(\S+ \S+) .*Received JobGraph submission", re.MULTILINE)
        session.submit(2)
        wait_for(lambda: len(_times(session.log, RUNNING)) >= 2, "the job runs", 90, pause=0.05)
        return _times(session.log, RUNNING)[1] - _times(session.log, posted)[0]


def _cached(mesos: Cluster) -> int:
    """Bytes in the agents' caches."""
    return sum(path.stat().st_size for path in mesos.directory.glob("agent-*/fetch-cache/*"))


def _sizes(pid: int) -> tuple[float, float]:
    """Resident and proportional MB of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss, pss = (int(re.findall(rf"^{name}: +(\d+) kB", text, re.MULTILINE)[0]) / 1000 for name in ("Rss", "Pss"))
    return rss, pss


def _starts(mesos: Cluster, plain: Plain, directory: Path) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {"plain": [], "off": [], "auto": []}
    for run in range(RUNS):
        with plain.job_manager() as (seconds, _, _):
            took["plain"].append(seconds)
        for archive in ("off", "auto"):
            with ExitStack() as stack:
                took[archive].append(Session(stack, mesos, directory / f"{archive}-{run}", archive).to_dashboard)
    return took


def _task_managers(mesos: Cluster, plain: Plain, directory: Path) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {"plain": [], "off": [], "auto": []}
    with ExitStack() as stack:
        sessions = {name: Session(stack, mesos, directory / f"workers-{name}", name) for name in ("off", "auto")}
        _, rpc, log = stack.enter_context(plain.job_manager())
        for session in sessions.values():
            session.settle()
        for _ in range(RUNS):
            took["plain"].append(plain.task_manager(rpc, log))
            for name, session in sessions.items():
                took[name].append(session.task_manager())
    return took


def _compare(name: str, took: dict[str, list[float]], bars: tuple[float, float]) -> list[Row]:
    middle = {key: statistics.median(times) for key, times in took.items()}
    return [
        Row(f"{name}, plain java", middle["plain"], "s"),
        Row(f"{name}, ours without archive, against plain", middle["off"] / middle["plain"], "times", bars[0]),
        Row(f"{name}, ours with archive, against plain", middle["auto"] / middle["plain"], "times", bars[1]),
    ]


def rows() -> list[Row]:
    """The figures of this bench."""
    asyncio.run(build({}, os.environ, lambda text: None))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        mesos = stack.enter_context(cluster(directory, resources=RESOURCES))
        first = Session(stack, mesos, directory / "first", "auto")
        jvm: list[int] = []
        first.task_manager(jvm)
        plain = Plain(directory, first.it, jvm[0])
        before = _cached(mesos)
        rss, pss = _sizes(first.it.pid)
        starts = _starts(mesos, plain, directory)
        workers = _task_managers(mesos, plain, directory)
        added = (_cached(mesos) - before) / 1e6
        to_running = [_to_running(mesos, directory / f"job-{run}", "auto") for run in range(3)]
    starting, registering = "start → dashboard", "slot request → TaskManager registered"
    return [
        *_compare(starting, starts, (1.1, 1.1)),
        Row(f"{starting}, with archive", statistics.median(starts["auto"]), "s", None, 5.24),
        *_compare(registering, workers, (1.1, 0.75)),
        Row("job of parallelism 2 submitted → RUNNING", statistics.median(to_running), "s", None, 15.3),
        Row("application master, resident", rss, "MB", 60),
        Row("application master, proportional", pss, "MB"),
        Row("more in the agent's cache after further starts", added, "MB", 0, 195),
    ]
