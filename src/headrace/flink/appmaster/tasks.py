"""The task of a TaskManager, as Mesos is told.

Pure. The command is a fixed script with arguments: nothing that somebody wrote is ever parsed by a
shell. Configuration and secrets travel in a file, not on the command line, which everybody can see.
"""

from __future__ import annotations

import msgspec

from headrace.flink import jvm
from headrace.flink.appmaster.placement import Seat, needs
from headrace.mesos.messages.common import (
    AgentID,
    CommandInfo,
    CommandUri,
    DurationInfo,
    Environment,
    EnvironmentVariable,
    KillPolicy,
    Label,
    Labels,
    TaskID,
    TaskInfo,
)

LIB_DIR = "flink/lib"
CONF_DIR = "conf"
GRACE = 2.0
"""Seconds from SIGTERM to SIGKILL."""

# taskmanager.out is where Flink's dashboard looks for a TaskManager's output.
_SCRIPT = """\
chmod 600 conf/* && mkdir -p -m 700 tmp && ln -sf stdout taskmanager.out || exit 1
java=${1:-$JAVA_HOME}; java=${java:+$java/bin/java}; java=${java:-java}; shift
command -v "$java" >/dev/null || {
  echo "No Java runtime here: $java not found; install one on this agent or start the agent with JAVA_HOME" >&2
  exit 127
}
export FLINK_CONF_DIR="$PWD/conf" FLINK_LIB_DIR="$PWD/flink/lib" FLINK_PLUGINS_DIR="$PWD/flink/plugins"
exec "$java" "-Djava.io.tmpdir=$PWD/tmp" "$@"
"""


class TaskTemplate(msgspec.Struct, frozen=True):
    """What all TaskManagers of a cluster have in common.

    ``class_path`` is relative to the sandbox; ``java_home`` empty leaves the choice to the agent;
    ``jvm_arguments`` and ``environment`` are what the user wants besides.
    """

    cluster_id: str
    role: str
    uris: list[CommandUri]
    class_path: list[str]
    java_home: str = ""
    jvm_arguments: list[str] = []
    environment: dict[str, str] = {}


def task_info(template: TaskTemplate, seat: Seat) -> TaskInfo:
    """The task that puts a worker into its seat."""
    worker, host = seat.worker, seat.hostname.lower()
    rpc_port, data_port = seat.ports
    dynamic = [
        *worker.dynamic,
        *jvm.pairs(
            {
                "taskmanager.host": host,
                "taskmanager.bind-host": host,
                "taskmanager.rpc.port": str(rpc_port),
                "taskmanager.data.port": str(data_port),
            }
        ),
    ]
    arguments = jvm.task_manager(
        sizes=worker.jvm.split(),
        user=template.jvm_arguments,
        class_path=template.class_path,
        conf_dir=CONF_DIR,
        log="taskmanager.log",
        dynamic=dynamic,
    )
    return TaskInfo(
        name=worker.id,
        task_id=TaskID(worker.id),
        agent_id=AgentID(seat.agent_id),
        resources=needs(worker, seat.ports).messages(template.role),
        command=CommandInfo(
            value="/bin/sh",
            shell=False,
            arguments=["sh", "-c", _SCRIPT, "taskmanager", template.java_home, *arguments],
            environment=Environment([EnvironmentVariable(*pair) for pair in template.environment.items()]),
            uris=template.uris,
        ),
        kill_policy=KillPolicy(DurationInfo(int(GRACE * 1e9))),
        labels=Labels([Label("headrace.cluster", template.cluster_id)]),
    )
