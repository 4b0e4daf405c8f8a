"""The REST API of a Flink cluster, as far as commands need it.

Source: Flink documentation, "REST API". Field names are Flink's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from headrace.cli.api import AnswerError, CommandError, Server, passes
from headrace.flink.distribution import DRIVER_JAR
from headrace.flink.java_errors import root_cause
from headrace.kernel.http import HttpClient

SQL_RUNNER = "org.headrace.flink.SqlRunner"

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
    tasks: dict[str, int] = {}

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def waits_for_slots(self) -> bool:
        """Whether some of its tasks have no slot yet."""
        return not self.ended and any(self.tasks.get(state) for state in ("created", "scheduled"))


class _Jobs(msgspec.Struct):
    jobs: list[JobRow] = []


class TaskManagerRow(msgspec.Struct):
    """A row of ``GET /taskmanagers``."""

    id: str = ""


class _TaskManagers(msgspec.Struct):
    taskmanagers: list[TaskManagerRow] = []


class _Setting(msgspec.Struct):
    key: str = ""
    value: str = ""


class _Submitted(msgspec.Struct):
    jobid: str


class _Exceptions(msgspec.Struct, rename="kebab"):
    root_exception: str | None = None


class _Triggered(msgspec.Struct, rename="kebab"):
    request_id: str


class _Stage(msgspec.Struct):
    id: str = ""


class _Cause(msgspec.Struct, rename="kebab"):
    stack_trace: str = ""


class _Outcome(msgspec.Struct, rename="kebab"):
    location: str | None = None
    failure_cause: _Cause | None = None


class Operation(msgspec.Struct):
    """``GET …/savepoints/:id`` and ``GET /savepoint-disposal/:id``."""

    status: _Stage = msgspec.field(default_factory=_Stage)
    operation: _Outcome | None = None

    @property
    def done(self) -> bool:
        return self.status.id == "COMPLETED"

    @property
    def location(self) -> str:
        """Where the savepoint is; empty if there is none."""
        return (self.operation.location or "") if self.operation is not None else ""

    @property
    def failure(self) -> str:
        """Flink's root cause; empty if it did not fail."""
        cause = self.operation.failure_cause if self.operation is not None else None
        return "" if cause is None else root_cause(cause.stack_trace) or "Flink gave no explanation"


class Submission(msgspec.Struct, frozen=True):
    """How a jar is to be run, beside its arguments."""

    entry_class: str | None = None
    parallelism: int | None = None
    savepoint: str | None = None
    allow_non_restored_state: bool = False

    def body(self, arguments: Sequence[str]) -> dict[str, object]:
        """The body of ``POST /jars/:id/run``."""
        given = {
            "programArgsList": list(arguments),
            "entryClass": self.entry_class,
            "parallelism": self.parallelism,
            "savepointPath": self.savepoint,
            "allowNonRestoredState": self.allow_non_restored_state or None,
        }
        return {key: value for key, value in given.items() if value is not None}


AS_IT_IS = Submission()


class FlinkCluster:
    """One cluster's REST API. All methods raise CommandError."""

    def __init__(self, cluster: str, url: str, http: HttpClient) -> None:
        self.id = cluster
        self.server = Server(f"Flink cluster {cluster}", url, http)

    async def answers(self) -> bool:
        """Whether its JobManager is there, and leads."""
        try:
            await self.server.call("GET", "/overview", timeout=5)
        except CommandError as error:
            return not passes(error)
        return True

    async def overview(self) -> ClusterOverview:
        return await self.server.get("/overview", ClusterOverview, timeout=5)

    async def jobs(self) -> list[JobRow]:
        return (await self.server.get("/jobs/overview", _Jobs)).jobs

    async def job(self, job: str) -> Job:
        return await self.server.get(_job(job), Job)

    async def cancel(self, job: str) -> None:
        await self.server.call("PATCH", f"{_job(job)}?mode=cancel")

    async def failure(self, job: str) -> str:
        """Why the job failed."""
        exceptions = await self.server.get(f"{_job(job)}/exceptions?maxExceptions=1", _Exceptions)
        return root_cause(exceptions.root_exception or "Flink gave no explanation; its log has the details")

    async def default_parallelism(self) -> int | None:
        """What the cluster's configuration says, which REST does not use by itself; None if it says nothing."""
        try:
            settings = await self.server.get("/jobmanager/config", list[_Setting])
        except AnswerError:
            return None  # it shows its configuration to nobody
        value = next((it.value for it in settings if it.key == "parallelism.default"), "")
        return int(value) if value.isdecimal() and int(value) else None

    async def run(self, jar_id: str, arguments: Sequence[str], how: Submission) -> str:
        """Run the jar's main method in the cluster; returns the job's id."""
        path = f"/jars/{quote(jar_id, safe='')}/run"
        answer = await self.server.send("POST", path, how.body(arguments), timeout=_PLANNING)
        return msgspec.convert(answer, _Submitted).jobid

    async def drop(self, jar_id: str) -> None:
        """Remove an uploaded jar; a running job keeps what it needs."""
        await self.server.call("DELETE", f"/jars/{quote(jar_id, safe='')}")

    async def trigger_stop(self, job: str, directory: str | None, *, drain: bool) -> str:
        """Begin to stop the job with a savepoint; returns where to ask how it goes."""
        body = {"targetDirectory": directory, "drain": drain}
        return await self._trigger(f"{_job(job)}/stop", f"{_job(job)}/savepoints", **body)

    async def trigger_savepoint(self, job: str, directory: str | None) -> str:
        """Begin a savepoint; returns where to ask how it goes."""
        body = {"target-directory": directory, "cancel-job": False}
        return await self._trigger(f"{_job(job)}/savepoints", f"{_job(job)}/savepoints", **body)

    async def trigger_disposal(self, savepoint: str) -> str:
        """Begin to remove a savepoint; returns where to ask how it goes."""
        return await self._trigger("/savepoint-disposal", "/savepoint-disposal", **{"savepoint-path": savepoint})

    async def operation(self, path: str) -> Operation:
        """How something goes that was triggered."""
        return await self.server.get(path, Operation)

    async def task_managers(self) -> list[str]:
        """Ids of those that are registered."""
        return [row.id for row in (await self.server.get("/taskmanagers", _TaskManagers)).taskmanagers]

    async def _trigger(self, path: str, asked_at: str, **body: object) -> str:
        answer = await self.server.send("POST", path, {key: value for key, value in body.items() if value is not None})
        return f"{asked_at}/{quote(msgspec.convert(answer, _Triggered).request_id, safe='')}"


def _job(job: str) -> str:
    return f"/jobs/{quote(job, safe='')}"


def driver_jar() -> Path:
    """The jar that holds the SQL runner. Raises CommandError that tells how to build it."""
    if not DRIVER_JAR.is_file():
        raise CommandError(
            f"the driver jar {DRIVER_JAR} is missing; in a checkout `make setup` builds it "
            "(needs javac, e.g. from openjdk-17-jdk-headless)"
        )
    return DRIVER_JAR
