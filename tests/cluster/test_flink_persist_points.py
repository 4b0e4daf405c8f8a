"""SIGKILL of application master, master and agent, before and after each thing that they store, hear or send.

Each point is met by a cluster of its own that lives through the same story: it starts two workers, one of them dies,
one is released, the JobManager dies, it is asked to stop. Whenever the killed process is back, the workers are those
that Flink wants: the same ids, agents and processes as before, nothing twice, nothing left over. The JVMs are stubs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.flink_harness import SCRIPT
from tests.cluster.harness import RESOURCES, Cluster, Daemon, cluster, get, wait_for
from tests.cluster.mortal import AFTER, BEFORE, HEARS, SENDS, STORE, Deaths, Point, prefix
from tests.cluster.stub_flink import StubCluster, StubFlink, task_managers

AT_ONCE = 8
PATIENCE = 90.0

_STORED_BY_APPLICATION_MASTER = [
    ("generation 1", 1),
    ("generation 2", 1),
    ("port", 1),
    ("framework ", 1),
    ("driver", 1),
    ("driver", 2),
    ('job-manager .*"run":1,', 1),
    ('job-manager .*"worked":true', 1),
    ('job-manager .*"run":2,', 1),
    ('workers/.*"goal":"New"', 1),
    ('workers/.*"goal":"New"', 3),
    ('workers/.*"goal":"Launched"', 1),
    ('workers/.*"goal":"Launched"', 2),
    ('workers/.*"goal":"Released"', 1),
    ("workers/.* deleted", 1),
    ("workers/.* deleted", 2),
    ("failed", 1),
]
_HEARD_BY_APPLICATION_MASTER = [
    "MasterConnected",
    "OffersReceived",
    "StatusReceived.*TASK_STARTING",
    "StatusReceived.*TASK_RUNNING",
    "StatusReceived.*TASK_FAILED",
    "StatusReceived.*TASK_KILLED",
    "DriverAttached",
    "WorkerRequested",
    "WorkerReleased",
    "JobManagerEnded",
]
_SENT_BY_APPLICATION_MASTER = ["REVIVE", "ACCEPT", "ACKNOWLEDGE", "RECONCILE", "SUPPRESS", "KILL"]
_END = [
    *((STORE, what, when) for what in ("framework deleted", "generation deleted") for when in (BEFORE, AFTER)),
    (HEARS, "StopAsked", BEFORE),
    (HEARS, "StopAsked", AFTER),
    (SENDS, "TEARDOWN", BEFORE),
]
"""One death each: when it has been asked to stop, nobody starts it more than once."""
_END_AT_MASTER = [(STORE, "completed/", AFTER), (HEARS, "FrameworkCalled.*type='TEARDOWN'", AFTER)]
"""Only afterwards: before, it depends on how soon the master is back, for whom nobody waits long at the end."""

_STORED_BY_MASTER = ["agents/", "frameworks/.*registered"]
_HEARD_BY_MASTER = [
    "AgentRegisters",
    "FrameworkSubscribes",
    "FrameworkCalled.*type='REVIVE'",
    "FrameworkCalled.*type='ACCEPT'",
    "FrameworkCalled.*type='ACKNOWLEDGE'",
    "FrameworkCalled.*type='RECONCILE'",
    "FrameworkCalled.*type='KILL'",
    "AgentCalled.*TASK_RUNNING",
    "AgentCalled.*TASK_FAILED",
    "AgentCalled.*TASK_KILLED",
]
_STORED_BY_AGENT = [
    ("agent ", 1),
    ("frameworks/.* {", 1),
    ("tasks/.* {", 1),
    ('states/.*"phase":"FETCHING"', 1),
    ('states/.*"phase":"STARTING"', 1),
    ('states/.*"phase":"RUNNING"', 1),
    ('states/.*"acknowledged":"TASK_STARTING"', 1),
    ('states/.*"acknowledged":"TASK_RUNNING"', 1),
    ('states/.*"killing"', 1),
    ('states/.*"phase":"ENDED"', 1),
    ('states/.*"phase":"ENDED"', 2),
    ("completed/", 1),
    ("completed/", 2),
    ('frameworks/.*"ending":true', 1),
]
_HEARD_BY_AGENT = [
    "RunTasks",
    "FetchDone",
    "ContainerStarted",
    "ContainerEnded",
    "AcknowledgeUpdate",
    "KillTask",
    "ShutdownFramework",
]


def _points(place: str, what: list[tuple[str, int]] | list[str]) -> list[Point]:
    pairs = [one if isinstance(one, tuple) else (one, 1) for one in what]
    return [Point(place, pattern, nth) for pattern, nth in pairs]


APPLICATION_MASTER, MASTER, AGENT = "application master", "master", "agent-1"
POINTS: dict[str, list[Point]] = {
    APPLICATION_MASTER: [
        *_points(STORE, _STORED_BY_APPLICATION_MASTER),
        *_points(HEARS, _HEARD_BY_APPLICATION_MASTER),
        *_points(SENDS, [f'"type":"{kind}"' for kind in _SENT_BY_APPLICATION_MASTER]),
        *(Point(place, what, dies=(when,)) for place, what, when in _END),
    ],
    MASTER: [
        *_points(STORE, _STORED_BY_MASTER),
        *_points(HEARS, _HEARD_BY_MASTER),
        *(Point(place, what, dies=(when,)) for place, what, when in _END_AT_MASTER),
    ],
    AGENT: [*_points(STORE, _STORED_BY_AGENT), *_points(HEARS, _HEARD_BY_AGENT)],
}


class Story:
    """What one cluster lives through; each step ends when the workers are what Flink wants."""

    def __init__(self, mesos: Cluster, it: StubCluster, name: str) -> None:
        self._mesos = mesos
        self._it = it
        self._names = f"{name}_{{attempt}}"
        self._mine = f"{name}_"

    def tell(self, *, crash: bool) -> None:
        """All of it; ``crash``: the application master dies once more."""
        it = self._it
        it.wants(2, names=self._names)
        two = self._settled(2)
        if crash:
            os.kill(_child(it.process.pid), signal.SIGKILL)
            assert self._settled(2, of=two, starts=2) == two
        victim, other = sorted(two)
        os.kill(two[victim], signal.SIGKILL)
        again = self._settled(2, without=victim)
        assert again[other] == two[other]
        it.wants(1, names=self._names)
        one = self._settled(1, of=again)
        before = it.knows
        os.kill(before["pid"], signal.SIGKILL)
        wait_for(lambda: it.knows["attempt"] != before["attempt"], "the next JobManager", PATIENCE)
        assert self._settled(1) == one
        it.terminate()
        assert it.ended(PATIENCE) == 0
        wait_for(lambda: not it.processes() and not self._processes(), "no process is left", PATIENCE)
        wait_for(lambda: not self._alive(), "the master knows no task of it", PATIENCE)

    def check_what_ran(self) -> None:
        """Three workers have run, each once."""
        slaves = self._mesos.directory / "agent-1" / "slaves"
        ran = slaves.glob(f"*/frameworks/*/executors/{self._mine}*/runs/*/taskmanager.out")
        names = [path.parts[-4] for path in ran if path.parts[-2] != "latest"]
        assert len(names) == len(set(names)) == 3, names

    def _settled(
        self, count: int, *, of: dict[str, int] | None = None, without: str = "", starts: int = 1
    ) -> dict[str, int]:
        """Process ids by worker, once Flink, the application master, the master and the agent agree."""

        def look() -> Any:
            knows = self._it.knows
            if not knows or self._it.starts < starts or knows["pending"] or without in knows["live"]:
                return None
            return len(knows["live"]) == count and self._agreed(set(knows["live"]))

        found: dict[str, int] = wait_for(look, f"{count} workers", PATIENCE, pause=0.1)
        if of is not None:
            assert found.items() <= of.items()
        return found

    def _agreed(self, wanted: set[str]) -> dict[str, int] | None:
        """Process ids by worker; None if anybody knows of others than the wanted ones."""
        state = self._it.state
        kept = {worker["id"]: worker["goal"] for worker in state["workers"]}
        if kept != dict.fromkeys(wanted, "Launched") or state["unreconciled"] or self._it.job_managers() != 1:
            return None
        running = self._processes()
        once = all(len(pids) == 1 for pids in running.values())
        if not once or set(running) != wanted or self._alive() != dict.fromkeys(wanted, "TASK_RUNNING"):
            return None
        return {name: pids[0] for name, pids in running.items()}

    def _processes(self) -> dict[str, list[int]]:
        return {
            name: pids for name, pids in task_managers(self._mesos.directory).items() if name.startswith(self._mine)
        }

    def _alive(self) -> dict[str, str]:
        tasks = get(self._mesos.master.url + "/master/tasks?limit=100000")["tasks"]
        ended = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_GONE", "TASK_DROPPED")
        return {t["id"]: t["state"] for t in tasks if t["id"].startswith(self._mine) and t["state"] not in ended}


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@contextmanager
def started_again(daemon: Daemon, deaths: Deaths) -> Iterator[None]:
    """Somebody who starts the daemon again when it has been killed."""
    over = threading.Event()

    def watch() -> None:
        starts = 1
        while not over.wait(0.05):
            if not daemon.runs and deaths.count == starts:
                daemon.stop()
                daemon.start()
                starts += 1

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Lives:
    """All stories, several at once; each test asks for the outcome of its own."""

    def __init__(self, directory: Path, shared: Cluster) -> None:
        self._directory = directory
        self._shared = shared
        self._flink = StubFlink(directory / "stub")
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._lives: dict[tuple[str, Point], Callable[[], None]] = {}
        self._outcomes: dict[tuple[str, Point], Future[None]] = {}

    def begin(self, points: list[tuple[str, Point]]) -> None:
        """First make all scripts: one can't be started while a process that is just forked has it open for writing."""
        for who, point in points:
            directory = self._directory / f"{who}-{point.name}".replace(" ", "-")
            directory.mkdir()
            command, deaths = prefix(point, directory)
            if who == APPLICATION_MASTER:
                flink = StubFlink(directory / "stub", self._script(directory, command))
                live = partial(self._live, self._shared, directory, flink, point, deaths)
            else:
                live = partial(self._daemon, directory, who, command, point, deaths)
            self._lives[who, point] = live
        self._outcomes = {which: self._pool.submit(live) for which, live in self._lives.items()}

    def _script(self, directory: Path, command: list[str]) -> Path:
        """A copy of the script, which takes the python that lies beside it."""
        words = ["env", f"PYTHONPATH={Path(__file__).parents[2]}", *command]
        python = directory / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        python.chmod(0o755)
        return Path(shutil.copy(SCRIPT, directory))

    def outcome(self, who: str, point: Point) -> None:
        """Raises what was wrong."""
        self._outcomes[who, point].result(900)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _daemon(self, directory: Path, who: str, command: list[str], point: Point, deaths: Deaths) -> None:
        """A master or an agent that dies at the point, and all that belongs to it."""
        with cluster(directory / "mesos", agents=0, prefixes={who: command}) as mesos, ExitStack() as stack:
            if who == MASTER:
                stack.enter_context(started_again(mesos.master, deaths))
            agent = mesos.add_agent("--resources", RESOURCES)
            if who == AGENT:
                stack.enter_context(started_again(agent, deaths))
            self._live(mesos, directory, self._flink, point, deaths)

    def _live(self, mesos: Cluster, directory: Path, flink: StubFlink, point: Point, deaths: Deaths) -> None:
        """The story. An application master that dies has its own script; one Mesos serves all of those."""
        options = {"mesos.maximum-failed-tasks": 10}
        it = StubCluster(directory / "sandbox", mesos.master.url, flink, **options)
        story = Story(mesos, it, point.name)
        try:
            story.tell(crash=point.what == "generation 2")
            wait_for(lambda: deaths.over, "it is killed", PATIENCE)
            story.check_what_ran()
        except Exception as error:
            error.add_note(f"see {directory}")
            raise
        finally:
            it.terminate()
            with suppress(subprocess.TimeoutExpired):
                it.ended()


@pytest.fixture(scope="module")
def lives(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    wanted: list[Any] = [item.callspec.params for item in items]
    directory = tmp_path_factory.mktemp("points")
    with cluster(directory / "mesos", resources=RESOURCES) as shared:
        it = Lives(directory, shared)
        it.begin([(one["who"], one["point"]) for one in wanted])
        try:
            yield it
        finally:
            it.close()


@pytest.mark.parametrize(
    ("who", "point"),
    [pytest.param(who, point, id=f"{who}-{point.name}") for who, points in POINTS.items() for point in points],
)
def test_after_sigkill_the_workers_are_those_from_before(lives: Lives, who: str, point: Point) -> None:
    lives.outcome(who, point)
