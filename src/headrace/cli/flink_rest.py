"""The REST API of a Flink cluster, as far as commands need it; and finding the cluster.

Source: Flink documentation, "REST API". Field names are Flink's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from headrace.cli.api import CommandError, Server
from headrace.flink.distribution import DRIVER_JAR
from headrace.flink.java_errors import root_cause
from headrace.gateway.overview import MasterState
from headrace.kernel.http import HttpClient

CLUSTER_LABEL = "headrace.cluster"
SQL_RUNNER = "org.headrace.flink.SqlRunner"

_BOUNDARY = "headrace-7d1c0a52b3f44f0e"
_PLANNING = 300.0
ENDED = frozenset({"FINISHED", "FAILED", "CANCELED"})


class ClusterOverview(msgspec.Struct, rename="kebab"):
    """``GET /overview``."""

    taskmanagers: int = 0
    slots_total: int = 0
    slots_available: int = 0


class Vertex(msgspec.Struct):
    """A vertex of a job; ``tasks`` counts its tasks by state."""

    name: str = ""
    status: str = ""
    parallelism: int = 1
    tasks: dict[str, int] = {}


class Job(msgspec.Struct):
    """``GET /jobs/:id``."""

    name: str = ""
    state: str = ""
    vertices: list[Vertex] = []

    @property
    def all_running(self) -> bool:
        """Whether every task of it runs or has finished; the job's own state says RUNNING before."""
        return bool(self.vertices) and all(
            count == 0 or state in ("RUNNING", "FINISHED") for v in self.vertices for state, count in v.tasks.items()
        )

    @property
    def unplaced(self) -> int:
        """How many of its tasks have no slot yet."""
        return sum(v.tasks.get(state, 0) for v in self.vertices for state in ("CREATED", "SCHEDULED"))


class JobRow(msgspec.Struct, rename="kebab"):
    """A row of ``GET /jobs/overview``."""

    jid: str = ""
    name: str = ""
    state: str = ""
    start_time: int = 0
    duration: int = 0


class _Jobs(msgspec.Struct):
    jobs: list[JobRow] = []


class _Uploaded(msgspec.Struct):
    filename: str


class _Submitted(msgspec.Struct):
    jobid: str


class _Exceptions(msgspec.Struct, rename="kebab"):
    root_exception: str | None = None


class FlinkCluster:
    """One cluster's REST API. All methods raise CommandError."""

    def __init__(self, cluster: str, url: str, http: HttpClient) -> None:
        self.id = cluster
        self.server = Server(f"Flink cluster {cluster}", url, http)

    async def overview(self) -> ClusterOverview:
        return await self.server.get("/overview", ClusterOverview, timeout=5)

    async def jobs(self) -> list[JobRow]:
        return (await self.server.get("/jobs/overview", _Jobs)).jobs

    async def job(self, job: str) -> Job:
        return await self.server.get(f"/jobs/{quote(job, safe='')}", Job)

    async def cancel(self, job: str) -> None:
        await self.server.call("PATCH", f"/jobs/{quote(job, safe='')}?mode=cancel")

    async def failure(self, job: str) -> str:
        """Why the job failed."""
        exceptions = await self.server.get(f"/jobs/{quote(job, safe='')}/exceptions?maxExceptions=1", _Exceptions)
        return root_cause(exceptions.root_exception or "Flink gave no explanation; its log has the details")

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a jar under a name; returns its id in the cluster."""
        head = (
            f"--{_BOUNDARY}\r\n"
            f'Content-Disposition: form-data; name="jarfile"; filename="{quote(name)}"\r\n'
            "Content-Type: application/java-archive\r\n\r\n"
        ).encode()
        body = head + content + f"\r\n--{_BOUNDARY}--\r\n".encode()
        answer = await self.server.call(
            "POST", "/jars/upload", body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        )
        return msgspec.json.decode(answer.body, type=_Uploaded).filename.rpartition("/")[2]

    async def run(
        self, jar_id: str, arguments: Sequence[str], entry_class: str | None = None, parallelism: int | None = None
    ) -> str:
        """Run the jar's main method in the cluster; returns the job's id."""
        body: dict[str, object] = {"programArgsList": list(arguments)}
        if entry_class is not None:
            body["entryClass"] = entry_class
        if parallelism is not None:
            body["parallelism"] = parallelism
        answer = await self.server.send("POST", f"/jars/{quote(jar_id, safe='')}/run", body, timeout=_PLANNING)
        return msgspec.convert(answer, _Submitted).jobid

    async def drop(self, jar_id: str) -> None:
        """Remove an uploaded jar; a running job keeps what it needs."""
        await self.server.call("DELETE", f"/jars/{quote(jar_id, safe='')}")


def read_jar(jar: Path) -> bytes:
    """The content of a jar. Raises CommandError."""
    try:
        content = jar.read_bytes()
    except OSError as error:
        raise CommandError(f"the jar {jar} can't be read: {error.strerror}") from None
    if not content.startswith(b"PK"):
        raise CommandError(f"{jar} is not a jar (a zip file)")
    return content


def driver_jar() -> Path:
    """The jar that holds the SQL runner. Raises CommandError that tells how to build it."""
    if not DRIVER_JAR.is_file():
        raise CommandError(
            f"the driver jar {DRIVER_JAR} is missing; in a checkout `make setup` builds it "
            "(needs javac, e.g. from openjdk-17-jdk-headless)"
        )
    return DRIVER_JAR


def find_cluster(state: MasterState, cluster: str | None) -> tuple[str, str]:
    """Id and REST URL of a Flink cluster: by its app's id, else by its framework's name.

    Without an id the only cluster that there is. Raises CommandError that lists what there is.
    """
    active_last = sorted(state.frameworks, key=lambda framework: framework.active)
    known = {f.label(CLUSTER_LABEL): f for f in active_last if f.label(CLUSTER_LABEL)}
    if cluster is None:
        if len(known) != 1:
            if not known:
                raise CommandError("there is no Flink cluster; `headrace flink session` starts one")
            there = ", ".join(sorted(known))
            raise CommandError(f"say which Flink cluster with --cluster ID; there is {there}")
        cluster = next(iter(known))
    wanted = cluster.strip("/")
    named = [f for f in reversed(active_last) if f.name == cluster]
    matching = [f for label, f in known.items() if label.strip("/") == wanted] or named
    if not matching:
        there = ", ".join(sorted(known)) or "none; `headrace flink session` starts one"
        raise CommandError(f"there is no Flink cluster {cluster}; known clusters: {there}")
    if not matching[0].webui_url:
        raise CommandError(f"Flink cluster {cluster} is starting: its JobManager is not up yet; try again in a moment")
    return cluster, matching[0].webui_url
