"""Where our daemons mean to differ from the recordings, and why.

``docs/differences.md`` shows the rows; ``python -m tests.conformance.differences`` writes them there.
"""

from __future__ import annotations

import re
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
    """What comes instead of what was recorded, ``fields`` in a task's status; ``skip`` leaves the entry out.

    ``left_out``: fields of an answer that are not compared.
    """

    row: Row | None = None
    status: int | None = None
    body: str | None = None
    fields: dict[str, str] | None = None
    skip: bool = False
    left_out: tuple[str, ...] = ()


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
        "a body that is no call in protocol buffers",
        "`Failed to parse body into Call protobuf`",
        "the same, and then the field's path and what is wrong",
        "nobody sees it in the bytes",
    ),
    400,
    "Failed to parse body into Call protobuf: it ends within a number",
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

HISTORY = tuple(
    f"{task}.{field}"
    for task in ("task", "tasks", "unreachable_tasks")
    for field in ("statuses", "status_update_state", "status_update_uuid")
)
_HISTORY = Difference(
    Row(
        "statuses of a task whose agent is back, or whose master was restarted",
        "those that the agent still knows; none if it was unreachable",
        "those that the master knows; the last one after its restart",
        "the agent tells the last one; what the master knows of before it need not forget",
    ),
    left_out=HISTORY,
)
_UNREACHABLE = Difference(
    Row(
        "an agent that becomes unreachable, in the stream for operators",
        "nothing is said of it",
        "AGENT_REMOVED, and AGENT_ADDED when it is back, as there",
        "GET_AGENTS does not have it meanwhile",
    ),
    skip=True,
)
_BACK = Difference(
    Row(
        "the agents of a machine that is up again",
        "come when they are started again",
        "come by themselves, as new ones",
        "an agent that is refused ends its tasks and asks again",
    ),
    skip=True,
)
_PAGES = Difference(
    Row(
        "`/`, `/help`, `/__processes__`, `/profiler`, `/system/stats.json`, `/registrar(1)/registry`",
        "pages of the daemon",
        "404",
        "the gateway has the web UI; the rest tells of Mesos's own insides",
    ),
    404,
    "404 Not Found.",
)
_STATE_JSON = Difference(
    Row("`/master/state.json`", "404 since 1.0", "as `/master/state`", "older clients ask for it"), skip=True
)
_GZIP = Difference(
    Row(
        "`Accept-Encoding: gzip`",
        "answers are compressed",
        "they are not",
        "the master would be busy for longer than a network is",
    ),
    skip=True,
)

_GONE = Difference(
    Row(
        "an agent that is marked gone, in the stream for operators",
        "nothing is said of it",
        "AGENT_REMOVED",
        "whoever watches takes it for alive otherwise",
    ),
    skip=True,
)

_SIGNAL = Difference(
    Row(
        "KILL_NESTED_CONTAINER with `signal`",
        "the container ends by signal 9",
        "its command gets the signal; the status is that command's",
        "that is what was asked for",
    ),
    body='{"type":"WAIT_NESTED_CONTAINER","wait_nested_container":{"exit_status":15}}',
)
_AGENT_ERRORS = Difference(
    Row(
        "errors of an agent's v0 endpoints",
        "plain text, often none",
        "JSON with a `message` that says why, as everywhere here but in v1",
        "whoever reads it should know what to do",
    ),
    404,
)
_AGENT_HELP = Difference(
    Row("`/help` of an agent", "pages about its endpoints", "404", "they are in the documentation"), 404
)

DIFFERENCES: dict[tuple[str, str], Difference] = {
    ("oper_07_agent_nested", "WAIT_NESTED_CONTAINER [11]"): _SIGNAL,
    ("oper_06_agent_gets", "agent GET /files/browse?path=/nope"): _AGENT_ERRORS,
    ("oper_06_agent_gets", "agent GET /files/browse"): _AGENT_ERRORS._replace(status=400),
    ("oper_06_agent_gets", "agent GET /nope"): _AGENT_ERRORS,
    ("oper_06_agent_gets", "agent GET /help"): _AGENT_HELP,
    ("oper_09_drain_gone", "EXTRA AGENT_REMOVED"): _GONE,
    ("sched_09_invalid", "bad protobuf"): _PROTOBUF,
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
        ("oper_08_v0_master", f"GET {path}"): _PAGES
        for path in (
            *("/", "/master", "/help", "/help/master", "/__processes__", "/profiler/start", "/memory-profiler/state"),
            *("/system/stats.json", "/registrar(1)/registry"),
        )
    },
    ("loss_02_agent_unreachable", "EXTRA AGENT_REMOVED"): _UNREACHABLE,
    ("loss_02_agent_unreachable", "GET_TASKS"): _HISTORY,
    ("sched_12_machine_down", "EXTRA AGENT_ADDED"): _BACK,
    ("loss_04_master_restart", "GET_STATE"): _HISTORY,
    ("oper_08_v0_master", "GET /master/state.json"): _STATE_JSON,
    ("oper_08_v0_master", "state gzip"): _GZIP,
    **{
        ("exec_01_executor_side", f"environment {name}"): _VARIABLES
        for name in ("LANG", "HOME", "MESOS_AGENT_ID", "MESOS_CONTAINER_ID")
    },
}
"""By transcript and label of a request (with `` [number]`` where there are several), ``UPDATE <task id>`` (and state),
``RESCIND <offer>``, ``OFFERS <agent>``, ``EXTRA <event>`` for one that nobody recorded, ``ORDER <number>``."""

FIELDS: dict[str, Row] = {}
"""Fields of events that are not compared, as ``parent.field``."""


_BUILD = Row("how the daemon was built", "`git_sha`, `build_date` and the like", "the version alone", "it is not built")
_FLAGS = Row("`flags`", "those of Mesos", "those of this master", "they say what can be set")
_LOG = Row("lines of a daemon's log", "glog's", "ours", "another program writes them")
_PROVIDERS = Row("`RESOURCE_PROVIDER` of an agent", "always there", "not there", "there are no resource providers")
_BUILT = ("git_sha", "git_tag", "build_date", "build_time", "build_user")
ANSWER_FIELDS: dict[str, Row] = {
    **{f"{at}.{name}": _BUILD for at in ("", "version_info") for name in _BUILT},
    "get_flags.flags": _FLAGS,
    ".flags": _FLAGS,
    **dict.fromkeys(("read_file.size", "read_file.data", ".data", "./master/log", ".log_dir"), _LOG),
}
"""Fields of answers to operators that are not compared."""

_AGENT_HISTORY = Row(
    "statuses of tasks in an agent's GET_TASKS and GET_STATE",
    "all with all that was said",
    "the newest as it was said; of those before, and of tasks that are over, state and time",
    "an agent would have to keep them all",
)
_AGENT_FACTS = Row(
    "an agent's `/state`",
    "`capabilities` RESOURCE_PROVIDER and others, `log_dir`",
    "the capabilities that this master looks at, no `log_dir`",
    "there are no resource providers, and logs go to stderr",
)
_NESTED_ID = Row(
    "`container_id` of nested containers in GET_CONTAINERS",
    "without its parent",
    "with it",
    "there may be two of one name",
)
AGENT_FIELDS: dict[str, Row] = {
    **{f"{at}.{name}": _BUILD for at in ("", "version_info") for name in _BUILT},
    ".log_dir": _AGENT_FACTS,
    "containers.container_id": _NESTED_ID,
    **dict.fromkeys(
        ("command.shell", "command.arguments"),
        Row(
            "executors of command tasks in an agent's GET_EXECUTORS",
            "`mesos-executor` is their command",
            "the task's own command",
            "there is no such process",
        ),
    ),
    **{
        f"statuses.{name}": _AGENT_HISTORY
        for name in ("uuid", "message", "source", "executor_id", "network_infos", "executor_pid")
    },
    "completed_tasks.status_update_uuid": _AGENT_HISTORY,
    "container_status.network_infos": _AGENT_HISTORY,
    "container_status.executor_pid": _AGENT_HISTORY,
    **dict.fromkeys(
        ("containers.resource_statistics",),
        Row(
            "what a container uses, in its statistics",
            "as its isolators measure it",
            "of the processes in its session, from /proc",
            "it costs nothing until somebody asks",
        ),
    ),
}
"""Fields of an agent's answers that are not compared."""
AGENT_METRICS_LEFT_OUT = re.compile(
    r"^resource_provider_manager/|^containerizer/mesos/|revocable|^slave/(in)?valid_|^slave/executors_|^slave/recovery_"
    r"|^slave/container_launch_errors$|^slave/executor_directory_max|^gc/path_removals_(failed|succeeded)$|tasks_gone$"
)
"""Metrics that this agent does not count."""

ITEMS_LEFT_OUT = ("RESOURCE_PROVIDER", {"type": "RESOURCE_PROVIDER"})
"""What is not compared in lists of such answers."""

_PORTS = Row(
    "`offered_resources` and `allocated_resources` of a framework in GET_FRAMEWORKS",
    "sometimes with ports",
    "without",
    "port numbers of several agents can't be added up",
)
_METRICS = Row(
    "metrics",
    "some 300",
    "those of tasks, agents, frameworks, offers, calls, resources, shares and quota; "
    "none of queues, single operations, the registrar and the machine",
    "what is counted has to be of use to somebody",
)
METRICS_LEFT_OUT = re.compile(
    r"^(registrar|system|log|overlay)/|event_queue|/allocation_run|/offer_filters/|/consumed$|/offered_or_allocated$"
    r"|^master/(in)?valid_|^master/operations/|/operations(/|$)|/tasks/terminal/|/task_unknown$|^master/slave_shutdowns_"
    r"|^master/slave_removals/|^master/(dropped_messages|http_cache_hits)$"
    r"|^master/messages_(authenticate|deactivate_framework|executor_to_framework|exited_executor|framework_to_executor"
    r"|operation_status_update|operation_status_update_acknowledgement|reconcile_operations|register_\w+|reregister_\w+"
    r"|status_update|unregister_\w+|update_slave)$"
)
"""Metrics that this master does not count."""


def rows() -> list[Row]:
    """Every row once, in the order of the tables above."""
    meant = [difference.row for difference in DIFFERENCES.values() if difference.row is not None]
    fields = (*FIELDS.values(), *ANSWER_FIELDS.values(), *AGENT_FIELDS.values())
    return list(dict.fromkeys([*meant, *fields, _PROVIDERS, _PORTS, _METRICS]))


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
