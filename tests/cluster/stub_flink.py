"""Clusters without JVMs: the real application master, with small processes in place of Flink's.

``StubFlink`` is a Java home whose ``java`` is a script, and a Flink home without content. As the JobManager it runs
``stub_job_manager``; as a TaskManager it only waits for its end, with its id on the command line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from headrace.flink.listener import PORT
from headrace.kernel.daemon import read_ready
from tests.cluster.flink_harness import SCRIPT
from tests.cluster.harness import HeldPort, get
from tests.cluster.stub_job_manager import KNOWS, WANTS

_JAVA = """\
#!/bin/sh
case " $* " in
*" org.apache.flink.runtime.taskexecutor.TaskManagerRunner "*)
  mkfifo wait && exec 3<>wait && read -r nothing <&3 ;;
*) exec {python} -I -S {job_manager} "$@" ;;
esac
"""


_RESOURCE_ID = b"taskmanager.resource-id="


class StubFlink:
    """What stands in for Java and for Flink's jars, below ``directory``; ``script`` starts application masters."""

    def __init__(self, directory: Path, script: Path = SCRIPT) -> None:
        self.script = script
        self.java_home, self.flink_home = directory / "java", directory / "flink"
        for path in (self.java_home / "bin", self.flink_home / "lib"):
            path.mkdir(parents=True)
        (self.flink_home / "lib" / "flink-dist-1.20.5.jar").write_bytes(b"")
        (self.java_home / "release").write_text('JAVA_VERSION="17.0.0"\n')
        program = self.java_home / "bin" / "java"
        program.write_text(
            _JAVA.format(python=sys.executable, job_manager=Path(__file__).with_name("stub_job_manager.py"))
        )
        program.chmod(0o755)

    @property
    def options(self) -> dict[str, object]:
        return {"env.java.home": self.java_home, "headrace.flink.home": self.flink_home}


class StubCluster:
    """One application master in its sandbox; started, but perhaps not ready yet.

    ``wants`` changes what its Flink wants, ``knows`` is what that Flink knows.
    """

    def __init__(self, sandbox: Path, master: str, flink: StubFlink, **options: object) -> None:
        self.sandbox = sandbox
        sandbox.mkdir(parents=True, exist_ok=True)
        self._port = HeldPort()  # where it listens when it is started again, too
        given = {**flink.options, PORT: self._port.number, **options}
        arguments = [f"-D{key}={value}" for key, value in given.items()]
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with (sandbox / "stdout").open("w") as out, (sandbox / "stderr").open("w") as err:
            self.process = subprocess.Popen(
                [str(flink.script), f"-Dmesos.master={master}", *arguments],
                cwd=sandbox,
                stdout=out,
                stderr=err,
                env=environment,
                start_new_session=True,
            )

    def wants(self, workers: int, **more: object) -> None:
        """How many workers Flink wants, and of which size."""
        fresh = self.sandbox / "wants.new"
        fresh.write_text(json.dumps({"workers": workers, **more}))
        fresh.replace(self.sandbox / WANTS)

    @property
    def url(self) -> str:
        """Of the latest process; empty while none was ever ready."""
        lines = reversed((self.sandbox / "stdout").read_text().splitlines())
        return next((ready.url for ready in map(read_ready, lines) if ready), "")

    @property
    def state(self) -> Any:
        return get(self.url + "/state")

    @property
    def knows(self) -> Any:
        """What Flink has written; None before the first word."""
        path = self.sandbox / KNOWS
        return json.loads(path.read_bytes()) if path.exists() else None

    @property
    def log(self) -> str:
        return (self.sandbox / "stderr").read_text()

    @property
    def starts(self) -> int:
        """How often the application master was started."""
        return 1 + self.log.count("; starting it again")

    def has(self, workers: int) -> Any:
        """Ids of the workers that Flink has, if it has ``workers`` and waits for none."""
        knows = self.knows
        return knows and len(knows["live"]) == workers and not knows["pending"] and (sorted(knows["live"]) or True)

    def processes(self) -> list[int]:
        """Those of its session: the script, the application master, the JobManager and its parent."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(path.read_text().rpartition(")")[2].split()[3]) == self.process.pid:
                    found.append(int(path.parent.name))
        return found

    def job_managers(self) -> int:
        """How many there are; one, if all is well."""
        count = 0
        for pid in self.processes():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                count += any(word.endswith(b"/stub_job_manager.py") for word in words)
        return count

    def terminate(self) -> None:
        """SIGTERM to the whole group, as an agent does it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)

    def ended(self, patience: float = 60.0) -> int:
        """Wait for the end; the script's status. What is left then is killed."""
        try:
            return self.process.wait(patience)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def task_managers(below: Path) -> Mapping[str, list[int]]:
    """Process ids of TaskManagers by worker id, of those whose sandbox is below a directory."""
    found: dict[str, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            worker = _worker(path)
            if worker and Path(os.readlink(path / "cwd")).is_relative_to(below):
                parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
                if worker != _worker(path.with_name(parent)):  # what it has just forked has its words, too
                    found.setdefault(worker, []).append(int(path.name))
    return found


def _worker(process: Path) -> str:
    """The id on a TaskManager's command line; empty if it is none."""
    words = (process / "cmdline").read_bytes().split(b"\0")
    if len(words) < 2 or not words[1].endswith(b"/bin/java"):
        return ""  # the task's supervisor has the words, too
    return next((word.partition(b"=")[2].decode() for word in words if word.startswith(_RESOURCE_ID)), "")
