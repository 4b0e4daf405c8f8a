"""Where our daemons mean to differ from the recordings, and why.

``docs/differences.md`` shows the rows; ``python -m tests.conformance.differences`` writes them there.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parent.parent.parent / "docs" / "differences.md"
BEGIN, END = "<!-- rows of tests/conformance/differences.py -->\n", "<!-- end of rows -->\n"


class Row(NamedTuple):
    """One line of the table."""

    what: str
    mesos: str
    ours: str
    why: str


class Difference(NamedTuple):
    """What comes instead of what was recorded, ``fields`` in a task's status; ``skip`` leaves the entry out."""

    row: Row | None = None
    status: int | None = None
    body: str | None = None
    fields: dict[str, str] | None = None
    skip: bool = False


SAME = Difference()

_IGNORED = Row(
    "ACCEPT with a LAUNCH without its `launch` body, an operation without a type or of an unknown one",
    "202, ignored in silence",
    "400 with the field's path",
    "the framework would wait for ever",
)
_NO_LAUNCH = Difference(
    _IGNORED, 400, "Failed to validate scheduler::Call: Expecting 'accept.operations[0].launch' to be present"
)
_NO_TYPE = Difference(
    _IGNORED, 400, "Failed to validate scheduler::Call: Expecting 'accept.operations[0].type' to be present"
)
_PROTOBUF = Difference(
    Row(
        "`application/x-protobuf`",
        "spoken",
        "415, `Protocol buffers are not supported by this master`",
        "not there yet; every call and event has a JSON form",
    ),
    415,
    "Protocol buffers are not supported by this master: Expecting 'Content-Type' of application/json",
)
_PATHS = Difference(
    Row(
        "unknown paths below `/api/v1`",
        "taken for `/api/v1` itself",
        "404",
        "a mistyped path must show",
    ),
    404,
    "404 Not Found.",
)

_RECOVERY = Difference(
    Row(
        "SUBSCRIBE while the master reads its store",
        "503 until it has",
        "503 too, but it takes milliseconds, so the replay does not meet it",
        "the store is read at once",
    ),
    skip=True,
)

_EXIT_127 = Difference(
    Row(
        "a command without a shell that is not there",
        "`Command exited with status 1`",
        "`Command exited with status 127`",
        "127 says what was wrong, as it does of a command in a shell",
    ),
    fields={"message": "Command exited with status 127"},
)
_FETCH = Difference(
    Row(
        "a URI that can't be fetched",
        "`Failed to fetch all URIs for container '…': exited with status 1`",
        "the same with the URI and what was wrong",
        "nobody has to look for it in the agent's log",
    ),
    fields={
        "message": "Failed to launch container: Failed to fetch all URIs for container "
        "'5134c8bd-9532-40d9-8b8c-a31c5e015765': Failed to fetch URI '/no/such/file': "
        "there is no such file on this agent"
    },
)
_NO_USER = Difference(
    Row(
        "a task as a user that the agent does not know",
        "TASK_LOST, `REASON_EXECUTOR_TERMINATED`, `Failed to create executor directory …`",
        "TASK_FAILED, `REASON_CONTAINER_LAUNCH_FAILED`, `Failed to launch container: No such user …`",
        "lost tasks are tried again as they are, and this one can't succeed",
    ),
    fields={
        "state": "TASK_FAILED",
        "reason": "REASON_CONTAINER_LAUNCH_FAILED",
        "message": "Failed to launch container: No such user 'nosuchuser' on this machine",
    },
)
_ENDS_TASKS = Difference(
    Row(
        "SIGUSR1 to the agent",
        "it unregisters at once; its tasks are TASK_LOST, and are ended",
        "it ends its tasks, each says how it ended (TASK_KILLED), then it unregisters",
        "the framework knows that nothing runs any more",
    ),
    skip=True,
)
_CHECKPOINT = Difference(
    Row(
        "`checkpoint: false`, the agent disconnects",
        "TASK_LOST at once, and the task is ended",
        "as with `checkpoint: true`: the task goes on and keeps its state, until the agent is unreachable",
        "tasks do not depend on daemons here, and keeping them costs nothing",
    ),
    skip=True,
)
_EXECUTOR_END = Difference(
    Row(
        "the end of an executor that is older than its agent's process",
        "noticed by polling, and FAILURE comes seconds later",
        "FAILURE at once",
        "it is watched like any other",
    ),
    skip=True,
)
_VARIABLES = Difference(
    Row(
        "further variables in the environment of executors",
        "",
        "`LANG`, `HOME`, `MESOS_AGENT_ID`, `MESOS_CONTAINER_ID`",
        "commands expect the first two; the others have the names of today",
    ),
    skip=True,
)

DIFFERENCES: dict[tuple[str, str], Difference] = {
    ("sched_09_invalid", "bad protobuf"): _PROTOBUF,
    ("sched_10_protobuf", "None"): _PROTOBUF,
    ("sched_09_invalid", "LAUNCH without launch body"): _NO_LAUNCH,
    ("sched_09_invalid", "operation without type"): _NO_TYPE,
    ("sched_09_invalid", "unknown operation type"): _NO_TYPE,
    ("sched_09_invalid", "unknown path"): _PATHS,
    ("sched_02_task_outcomes", "UPDATE t-0b24da26 TASK_FAILED"): _EXIT_127,
    ("sched_02_task_outcomes", "UPDATE t-b7b7c4fd TASK_FAILED"): _FETCH,
    ("sched_02_task_outcomes", "UPDATE t-fa3c778d TASK_LOST"): _NO_USER,
    ("loss_01_agent_recovery", "UPDATE nc-cmd TASK_LOST"): _CHECKPOINT,
    ("loss_01_agent_recovery", "EXTRA FAILURE rvd"): _EXECUTOR_END,
    ("loss_03_agent_shutdown", "UPDATE u-1 TASK_LOST"): _ENDS_TASKS,
    ("loss_03_agent_shutdown", "EXTRA UPDATE u-1"): _ENDS_TASKS,
    ("loss_04_master_restart", "SUBSCRIBE [13]"): _RECOVERY,
    **{
        ("exec_01_executor_side", f"environment {name}"): _VARIABLES
        for name in ("LANG", "HOME", "MESOS_AGENT_ID", "MESOS_CONTAINER_ID")
    },
}
"""By transcript and label of a request (with `` [number]`` where there are several), ``UPDATE <task id>`` (and state),
``RESCIND <offer>``, ``OFFERS <agent>``, ``EXTRA <event>`` for one that nobody recorded, ``ORDER <number>``."""

FIELDS: dict[str, Row] = {
    "master_info.capabilities": Row(
        "capabilities of the master in SUBSCRIBED", "a list", "those that it has", "it names what it can do"
    ),
}
"""Fields of events that are not compared, as ``parent.field``."""


def rows() -> list[Row]:
    """Every row once, in the order of the tables above."""
    meant = [difference.row for difference in DIFFERENCES.values() if difference.row is not None]
    return list(dict.fromkeys([*meant, *FIELDS.values()]))


def table() -> str:
    """The rows as the page shows them."""
    head = "| what | in Mesos | here | reason |\n|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows())


def page(text: str) -> str:
    """The page with the rows as they are now. Raises ValueError if it has no place for them."""
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:begin] + table() + text[end:]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
