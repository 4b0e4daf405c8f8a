"""What the options say about the tasks of TaskManagers, beside CPUs and memory, which Flink asks for.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.flink.constraints import Constraints, constraints
from headrace.flink.container import Container, container
from headrace.flink.reading import couples, integer, number, words
from headrace.kernel.daemon import UserError

PREFIX = "mesos.resourcemanager.tasks."
FLINK_HOME = "headrace.taskmanager.flink-home"
IMAGES_HOME = "/opt/flink"
"""Where Flink's own images have it."""
PORT_KEYS = ("taskmanager.rpc.port", "taskmanager.data.port")
METRICS_PORT = "metrics.internal.query-service.port"
"""Where the JobManager asks for metrics: any port, which in a container's own network nobody would reach."""
ORIGINAL_COMMAND = "$FLINK_HOME/bin/mesos-taskmanager.sh"
"""The original's default, which today's Flink no longer has."""


class TaskOptions(msgspec.Struct, frozen=True):
    """``scalars``: further resources by name. ``port_keys``: options that get a port each.

    ``hostname`` is a pattern with _TASK_ in it, or empty. ``flink_home``: where Flink is on the agent, relative to
    the sandbox or absolute; empty: it is shipped. ``command`` empty: the TaskManager's JVM itself.
    """

    scalars: dict[str, float] = {}
    port_keys: tuple[str, ...] = PORT_KEYS
    hostname: str = ""
    bootstrap: str = ""
    command: str = ""
    uris: tuple[str, ...] = ()
    user: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    flink_home: str = ""
    container: Container = Container()
    constraints: Constraints = Constraints()


def task_options(options: Mapping[str, str]) -> TaskOptions:
    """Read them. Raises UserError."""
    inside = container(options)
    scalars = _scalars(options)
    if "gpus" in scalars and inside.docker:
        raise UserError(
            f"option {PREFIX}gpus needs {PREFIX}container.type=mesos: Mesos gives no GPUs to Docker containers"
        )
    return TaskOptions(
        scalars=scalars,
        port_keys=_port_keys(options, inside),
        hostname=options.get(PREFIX + "hostname", "").strip(),
        bootstrap=options.get(PREFIX + "bootstrap-cmd", "").strip(),
        command=own_command(options),
        uris=tuple(words(options, PREFIX + "uris")),
        user=options.get(PREFIX + "user", "").strip(),
        labels=tuple(couples(options, PREFIX + "labels", ":")),
        flink_home=options.get(FLINK_HOME, IMAGES_HOME if inside.image else "").strip().rstrip("/"),
        container=inside,
        constraints=constraints(options),
    )


def own_command(options: Mapping[str, str]) -> str:
    """The user's command that is the TaskManager; empty if it is ours."""
    command = options.get(PREFIX + "taskmanager-cmd", "").strip()
    return "" if command == ORIGINAL_COMMAND else command


def _port_keys(options: Mapping[str, str], inside: Container) -> tuple[str, ...]:
    own = (*PORT_KEYS, METRICS_PORT) if inside.mapped else PORT_KEYS
    return tuple(dict.fromkeys((*own, *words(options, PREFIX + "port-assignments"))))


def _scalars(options: Mapping[str, str]) -> dict[str, float]:
    network = options.get("mesos.resourcemanager.network.resource.name", "network").strip()
    if not network:
        raise UserError("option mesos.resourcemanager.network.resource.name is empty; leave it away for 'network'")
    amounts = {
        "disk": number(options, PREFIX + "disk", 0.0),
        "gpus": float(integer(options, PREFIX + "gpus", 0)),
        network: number(options, PREFIX + "network.bandwidth", 0.0),
    }
    return {name: amount for name, amount in amounts.items() if amount}
