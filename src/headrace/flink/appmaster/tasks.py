"""The task of a TaskManager, as Mesos is told.

Pure. The command is a fixed script with arguments: nothing that somebody wrote is ever parsed by a
shell, but for the two options that are shell commands by their meaning. Configuration and secrets
travel in files, not on the command line, which everybody can see.
"""

from __future__ import annotations

import shlex

import msgspec

from headrace.flink import jvm
from headrace.flink.appmaster.placement import Seat
from headrace.flink.task_options import TaskOptions
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

CONF_DIR = "conf"
ARCHIVE = ("classes.jsa", "more-classes.jsa")
GRACE = 2.0
"""Seconds from SIGTERM to SIGKILL."""

# taskmanager.out is where Flink's dashboard looks for a TaskManager's output.
_SCRIPT = """\
cd "${MESOS_SANDBOX:-.}" && mkdir -p -m 700 tmp secrets && chmod -R go= conf secrets || exit 1
ln -sf stdout taskmanager.out
given=$1 lib=${2:-flink}/lib dist=$3 bootstrap=$4 command=$5 runtime=$6; shift 6
home=${lib%/lib}
case $home in /*) ;; *) home=$PWD/$home;; esac
export FLINK_HOME="$home" FLINK_LIB_DIR="$home/lib" FLINK_PLUGINS_DIR="$home/plugins"
export FLINK_CONF_DIR="$PWD/conf" FLINK_LOG_DIR="$PWD"
[ -z "$bootstrap" ] || eval "$bootstrap" || exit
[ -z "$command" ] || { eval "$command \\"\\$@\\""; exit; }
[ -f "$home/lib/$dist" ] || {
  echo "No $dist in $home/lib; the TaskManager's Flink must be the JobManager's" >&2
  exit 127
}
java=${given:-$JAVA_HOME}; java=${java:+$java/bin/java}; java=${java:-java}
command -v "$java" >/dev/null || {
  echo "No Java runtime here: $java not found; install one on this agent or start the agent with JAVA_HOME" >&2
  exit 127
}
CLASSPATH=
LC_ALL=C
for jar in conf/*.jar; do [ ! -f "$jar" ] || CLASSPATH=$CLASSPATH$jar:; done
for jar in "$lib"/*.jar; do [ "$jar" = "$lib/$dist" ] || CLASSPATH=$CLASSPATH$jar:; done
export CLASSPATH="$CLASSPATH$lib/$dist"
has_archive() { # of this very Java; it fits if the jars are of the time that they had when it was made
  [ -n "$runtime" ] && java_home=$(readlink -f "$(command -v "$java")") && java_home=${java_home%/bin/java} &&
  [ "$(grep -E "^(IMPLEMENTOR|JAVA_|LIBC|OS_)" "$java_home/release")" = "$runtime" ] &&
  TZ=UTC0 touch -c -m -t 200001010000.00 conf/*.jar "$lib"/*.jar
}
has_archive 2>/dev/null && set -- SHARED "$@"
exec "$java" "-Djava.io.tmpdir=$PWD/tmp" "$@"
""".replace("SHARED", " ".join(jvm.shared(ARCHIVE)))


class TaskTemplate(msgspec.Struct, frozen=True):
    """What all TaskManagers of a cluster have in common.

    ``flink_dist`` is the name of Flink's main jar; ``java_home`` empty leaves the choice to the agent;
    ``jvm_arguments`` and ``environment`` are what the user wants besides.
    """

    cluster_id: str
    framework_name: str
    uris: list[CommandUri]
    flink_dist: str
    options: TaskOptions = TaskOptions()
    java_home: str = ""
    jvm_arguments: list[str] = []
    environment: dict[str, str] = {}
    archive_runtime: str = ""
    """Which Java the archive of classes in the sandbox is for; empty if there is none."""


def task_info(template: TaskTemplate, seat: Seat) -> TaskInfo:
    """The task that puts a worker into its seat."""
    worker, options = seat.worker, template.options
    return TaskInfo(
        name=worker.id,
        task_id=TaskID(worker.id),
        agent_id=AgentID(seat.agent_id),
        resources=seat.resources,
        command=_command(template, seat),
        container=options.container.with_ports(seat.ports),
        kill_policy=KillPolicy(DurationInfo(int(GRACE * 1e9))),
        labels=Labels([Label("headrace.cluster", template.cluster_id), *(Label(*pair) for pair in options.labels)]),
    )


def _command(template: TaskTemplate, seat: Seat) -> CommandInfo:
    options = template.options
    dynamic = [*seat.worker.dynamic, *jvm.pairs(_addresses(options, seat))]
    variables = {**template.environment, "TASK_NAME": seat.worker.id, "FRAMEWORK_NAME": template.framework_name}
    if options.command:
        arguments = dynamic
        variables["JVM_ARGS"] = seat.worker.jvm
    else:
        arguments = jvm.task_manager(
            sizes=seat.worker.jvm.split(),
            user=template.jvm_arguments,
            conf_dir=CONF_DIR,
            log="taskmanager.log",
            dynamic=dynamic,
        )
    words = ["sh", "-c", _SCRIPT, "taskmanager", *_own_arguments(template), *arguments]
    environment = Environment([EnvironmentVariable(*pair) for pair in variables.items()])
    user = options.user or None
    if options.container.docker:
        # a command without a shell would go to the image's entrypoint; unset, shell means true
        line = "exec " + shlex.join(["/bin/sh", *words[1:]])
        return CommandInfo(value=line, environment=environment, uris=template.uris, user=user)
    return CommandInfo(
        value="/bin/sh", shell=False, arguments=words, environment=environment, uris=template.uris, user=user
    )


def _own_arguments(template: TaskTemplate) -> list[str]:
    """What the script takes before the JVM's arguments."""
    options = template.options
    java_home = "" if options.container.image else template.java_home
    flink = [options.flink_home, template.flink_dist]
    return [java_home, *flink, options.bootstrap, options.command, template.archive_runtime]


def _addresses(options: TaskOptions, seat: Seat) -> dict[str, str]:
    """Under which name a TaskManager is reached, where it listens, and its ports.

    A name of the user's need not be that of an address of the agent, nor is the agent's one in a container's network.
    """
    host = seat.hostname.lower()
    everywhere = options.hostname or options.container.mapped
    return {
        "taskmanager.host": options.hostname.replace("_TASK_", seat.worker.id).lower() if options.hostname else host,
        "taskmanager.bind-host": "0.0.0.0" if everywhere else host,  # noqa: S104
        **{key: str(port) for key, port in zip(options.port_keys, seat.ports, strict=True)},
    }
