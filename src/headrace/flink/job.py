"""Job clusters: a cluster for one job, which ends with it.

The job is a graph that Flink serialized to a file (``internal.jobgraph-path``), a jar with a main class
(``headrace.job.jar``), a SQL script (``headrace.job.sql``) or a PyFlink program (``headrace.job.python``). What is read
here says how its JobManager is started.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec

from headrace.flink.distribution import Distribution
from headrace.flink.options import FlinkOptions
from headrace.flink.python_job import program as python_program
from headrace.kernel.daemon import UserError

TYPE, GRAPH = "headrace.cluster.type", "internal.jobgraph-path"
JAR, CLASS, ARGUMENTS, SQL = "headrace.job.jar", "headrace.job.class", "headrace.job.arguments", "headrace.job.sql"
PYTHON = "headrace.job.python"
WHEN_DONE = "headrace.job.when-done"
SQL_VARIABLE = "HEADRACE_JOB_SQL"
"""Holds the script itself where ``headrace.job.sql`` is a dash."""

GRAPH_MAIN = "org.headrace.flink.HeadraceJobGraphClusterEntrypoint"
PROGRAM_MAIN = "org.headrace.flink.HeadraceApplicationClusterEntrypoint"
SQL_RUNNER = "org.headrace.flink.SqlRunner"
_SERIALIZED = b"\xac\xed\x00\x05"

_COMMON: FlinkOptions = {
    "internal.cluster.execution-mode": "DETACHED",  # else it would wait for somebody to fetch the result
    "execution.submit-failed-job-on-application-error": "true",
    "execution.shutdown-on-application-finish": "true",
    "job-result-store.delete-on-commit": "false",  # so that a JobManager that comes back knows a finished job
    "application-result-store.delete-on-commit": "false",  # the same since Flink 2.3
    "web.submit.enable": "false",
    "web.cancel.enable": "true",
    "headrace.sql.warm-up": "false",
}


class Job(msgspec.Struct, frozen=True):
    """One job: the JobManager's main class, what its options say, its arguments, and the script if it is SQL.

    ``idle``: when it is done, the application master stays and does nothing, for a supervisor that would start it
    again.
    """

    main: str
    options: FlinkOptions
    arguments: list[str] = []
    script: str | None = None
    idle: bool = False

    def job_manager_options(self, private: Path) -> FlinkOptions:
        """The JobManager's options, and the files below ``private`` that they name, written."""
        from headrace.flink.conf import write_private

        arguments = list(self.arguments)
        if self.script is not None:
            write_private(private / "job.sql", self.script.encode())
            arguments = [str(private / "job.sql")]
        write_private(private / "job-arguments", msgspec.json.encode(arguments))
        return {**_COMMON, **self.options, "headrace.job.arguments-file": str(private / "job-arguments")}


def read(
    given: FlinkOptions, environment: Mapping[str, str], driver_jar: Path, flink: Distribution | None = None
) -> Job | None:
    """The job; None if this is a session cluster. ``flink`` is what a Python program needs. Raises UserError."""
    kind = given.get(TYPE, "session")
    if kind not in ("session", "job"):
        raise UserError(f"option {TYPE} is {kind!r}; it must be session or job")
    named = [key for key in (GRAPH, JAR, SQL, PYTHON) if key in given]
    if kind == "session":
        for key in (*named, CLASS, ARGUMENTS, WHEN_DONE):
            if key in given:
                raise UserError(f"option {key} is for job clusters; start one with mesos-appmaster-job.sh")
        return None
    if len(named) > 1:
        raise UserError(f"options {' and '.join(named)} name two jobs; a job cluster has one: give one of them")
    idle = _idle(given, environment)
    if JAR in given:
        return _program(given, idle)
    if PYTHON in given and flink is not None and CLASS not in given:
        options, arguments = python_program(given, environment, flink)
        return Job(PROGRAM_MAIN, options, [*arguments, *_arguments(given)], idle=idle)
    for key in (CLASS, ARGUMENTS):
        if key in given:
            raise UserError(f"option {key} needs {JAR}, the jar that it is about")
    if SQL in given:
        options = {JAR: str(driver_jar), CLASS: SQL_RUNNER}
        return Job(PROGRAM_MAIN, options, script=_script(given[SQL], environment), idle=idle)
    return _graph(given, idle)


def _graph(given: FlinkOptions, idle: bool) -> Job:
    path = Path(given.get(GRAPH, "job.graph")).absolute()
    hint = "" if GRAPH in given else f"; name the job's with -D{GRAPH}=…, -D{JAR}=… or -D{SQL}=…"
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise UserError(f"the job graph {path} can't be read: {error.strerror}{hint}") from None
    if start != _SERIALIZED:
        raise UserError(f"{path} is no job graph: it does not begin as an object that Java has serialized")
    return Job(GRAPH_MAIN, {GRAPH: str(path)}, idle=idle)


def _program(given: FlinkOptions, idle: bool) -> Job:
    jar = Path(given[JAR]).absolute()
    try:
        with jar.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise UserError(f"{JAR}: {jar} can't be read: {error.strerror}") from None
    if start != b"PK":
        raise UserError(f"{JAR}: {jar} is not a jar (a zip file)")
    options = {JAR: str(jar), **({CLASS: given[CLASS]} if CLASS in given else {})}
    return Job(PROGRAM_MAIN, options, _arguments(given), idle=idle)


def _arguments(given: FlinkOptions) -> list[str]:
    try:
        return shlex.split(given.get(ARGUMENTS, ""))
    except ValueError as error:
        raise UserError(f"option {ARGUMENTS} can't be split into arguments: {error}") from None


def _script(path: str, environment: Mapping[str, str]) -> str:
    if path == "-":
        if not environment.get(SQL_VARIABLE):
            raise UserError(f"option {SQL} is a dash, but the environment variable {SQL_VARIABLE} is not set")
        return environment[SQL_VARIABLE]
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{SQL}: the script {path} can't be read: {error}") from None


def _idle(given: FlinkOptions, environment: Mapping[str, str]) -> bool:
    """Marathon starts whatever ends again, so there the application master stays."""
    default = "idle" if environment.get("MARATHON_APP_ID") else "exit"
    value = given.get(WHEN_DONE, default)
    if value not in ("idle", "exit"):
        raise UserError(f"option {WHEN_DONE} is {value!r}; it must be idle or exit")
    return value == "idle"
