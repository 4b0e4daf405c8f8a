"""``headrace flink …`` for jobs, against a session with real Flink: savepoints, why a job waits, logs.

One session serves all tests; it has room for one TaskManager.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace.flink import distribution
from headrace.flink.distribution import DRIVER_JAR
from tests.cluster.flink_counting import numbers, script
from tests.cluster.flink_harness import JVM_WAIT
from tests.cluster.harness import get, wait_for
from tests.cluster.house import HEADRACE, House

ENDLESS = """
SET 'parallelism.default' = '{parallelism}';
SET 'pipeline.name' = '{name}';
CREATE TABLE a (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1');
CREATE TABLE b (n BIGINT) WITH ('connector' = 'blackhole');
INSERT INTO b SELECT n FROM a;
"""


class Session:
    """The session's cluster, and the command."""

    def __init__(self, house: House) -> None:
        self.house = house

    def run(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """``headrace flink …``, which is to end with ``status``."""
        done = subprocess.run(
            [str(HEADRACE), "flink", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=2 * JVM_WAIT,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def says(self, pattern: str, said: Path, *arguments: str) -> None:
        """Run it until its stderr, the file ``said``, matches; then Ctrl-C."""
        with said.open("w") as file:
            process = subprocess.Popen(
                [str(HEADRACE), "flink", *arguments], env=self._environment, stdout=subprocess.DEVNULL, stderr=file
            )
        try:
            wait_for(lambda: re.search(pattern, said.read_text()) or process.poll() is not None, "it says", JVM_WAIT)
            process.send_signal(signal.SIGINT)
            process.wait(60)
        finally:
            process.kill()
            process.wait()
        assert re.search(pattern, said.read_text()), said.read_text()
        assert "Traceback" not in said.read_text()

    @property
    def _environment(self) -> Mapping[str, str]:
        servers = {"HEADRACE_MASTER": self.house.url("master"), "HEADRACE_MARATHON": self.house.url("marathon")}
        return os.environ | servers

    def jobs(self, *arguments: str) -> list[dict[str, Any]]:
        return list(json.loads(self.run("list", "--json", *arguments).stdout))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    it = Session(House(tmp_path_factory.mktemp("commands") / "data"))
    try:
        small = ("env.java.opts.all=-XX:TieredStopAtLevel=1", "taskmanager.memory.network.max=64m")
        settings = [part for setting in small for part in ("-D", setting)]
        sizes = ("--id", "/s", "--task-cpus", "0.5", "--task-mem", "4000", *settings)
        it.run("session", "--timeout", "200", *sizes)
        yield it
    finally:
        it.house.close()


def test_a_job_goes_on_from_its_savepoint(session: Session, tmp_path: Path) -> None:
    sql = script(tmp_path)
    first = json.loads(session.run("sql", "--json", "-e", sql).stdout)
    assert first["state"] == "RUNNING"
    wait_for(lambda: len(numbers(tmp_path)) > 100, "the job writes", JVM_WAIT)
    taken = session.run("savepoint", first["job"][:8], str(tmp_path / "taken")).stdout.strip()
    kept = Path(taken.removeprefix("file:"))
    assert (kept / "_metadata").is_file()
    path = session.run("stop", first["job"][:8], "--savepoint", f"file://{tmp_path}/savepoints").stdout.strip()
    assert session.jobs() == []
    assert [job["state"] for job in session.jobs("--all")] == ["FINISHED"]
    assert "has ended already" in session.run("stop", first["job"], status=1).stderr
    written = len(numbers(tmp_path))
    second = json.loads(session.run("sql", "--json", "--from-savepoint", path, "-e", sql).stdout)
    wait_for(lambda: len(numbers(tmp_path)) > written + 100, "the job goes on", JVM_WAIT)
    (row,) = session.jobs()
    assert row["jid"] == second["job"] != first["job"]
    session.run("cancel", row["name"])
    assert numbers(tmp_path) == list(range(len(numbers(tmp_path))))
    session.run("savepoint", "--dispose", taken)
    assert not kept.exists()


def test_what_is_wrong_with_a_savepoint_is_said(session: Session, tmp_path: Path) -> None:
    sql = ENDLESS.format(parallelism=1, name="endless")
    job = json.loads(session.run("sql", "--json", "-e", sql).stdout)["job"]
    assert "give one with --savepoint DIR" in session.run("stop", "endless", status=1).stderr
    unwritable = session.run("savepoint", job, "/proc/no", status=1).stderr
    assert "savepoint of job" in unwritable
    assert "/proc/no" in unwritable
    assert len(unwritable.splitlines()) == 2, unwritable
    missing = session.run("sql", "--from-savepoint", str(tmp_path / "none"), "-e", sql, status=1).stderr
    assert f"{tmp_path}/none" in missing
    no_job = session.run("cancel", "nonsense", status=3).stderr
    assert job in no_job
    session.run("cancel", job)


def test_why_a_job_waits_is_said(session: Session, tmp_path: Path) -> None:
    sql = ENDLESS.format(parallelism=2, name="wide")
    told = r"needs 0\.5 cpus, 3\.9 GiB, 2 ports; the closest agent is \S+ with [^:]*: mem 31\d\d of 4000"
    session.says(told, tmp_path / "said", "sql", "-e", sql)
    wait_for(lambda: [row for row in session.jobs() if re.search(told, row["why"])], "the list has it, too")
    wait_for(lambda: "waiting for slots: worker" in session.run("list").stdout, "so has the table")
    framework = next(
        f for f in get(session.house.url("master") + "/master/state")["frameworks"] if f["name"] == "Flink"
    )
    (url,) = [label["value"] for label in framework["labels"] if label["key"] == "headrace.appmaster"]
    (waiting,) = get(url + "/state")["waiting"]
    assert waiting["agents"][0]["short"]["mem"] > 800
    assert waiting["offers"] > 0
    session.run("cancel", "wide")
    wait_for(lambda: not get(url + "/state")["waiting"], "nothing waits any more", JVM_WAIT)


def test_logs_and_dashboard(session: Session) -> None:
    assert "JobManager" in session.run("logs", "--bytes", "100000").stdout
    address = session.run("ui").stdout.strip()
    assert get(address + "/overview")["slots-total"] >= 0
    assert session.run("logs", "-m", address, "--bytes", "100000").stdout
    refused = session.run("logs", "-m", address, "-f", status=1).stderr
    assert "-f needs the sandbox" in refused
    assert "there is no TaskManager" in session.run("logs", "--taskmanager", "none", status=3).stderr


def test_s0_11_flinks_own_command_submits_a_job(session: Session, tmp_path: Path) -> None:
    address = session.run("ui").stdout.strip().removeprefix("http://")
    (tmp_path / "config.yaml").write_text("{}\n")
    sql = base64.b64encode(ENDLESS.format(parallelism=1, name="by-flinks-command").encode()).decode()
    lib = distribution.find_flink({}, {}).home / "lib"
    java = str(distribution.find_java({}, os.environ))
    opened = "--add-opens=java.base/java.util=ALL-UNNAMED"
    main = [java, opened, "-XX:TieredStopAtLevel=1", "-cp", f"{lib}/*", "org.apache.flink.client.cli.CliFrontend"]
    program = ["-c", "org.headrace.flink.SqlRunner", str(DRIVER_JAR), "--script-base64", sql]
    done = subprocess.run(
        [*main, "run", "-m", address, "-d", *program],
        env={**os.environ, "FLINK_CONF_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=JVM_WAIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = session.jobs()
    assert row["jid"] in done.stdout
    (task_manager,) = wait_for(lambda: get(f"http://{address}/taskmanagers")["taskmanagers"], "a TaskManager", JVM_WAIT)
    log = session.run("logs", "--taskmanager", task_manager["id"][-5:]).stdout
    assert "TaskExecutor" in log
    session.run("cancel", "by-flinks-command")
