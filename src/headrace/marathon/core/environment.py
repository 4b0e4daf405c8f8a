"""The variables that a task finds: who it is, what it may use, which ports are its own. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headrace.marathon.core.records import Instance
from headrace.marathon.definitions.app import App, Port
from headrace.marathon.definitions.parts import Environment

_LONGEST_LABEL_KEY, _LONGEST_LABEL_VALUE = 493, 512


def environment(app: App, instance: Instance, *, prefix: str = "", enforced: bool = False) -> Environment:
    """The variables of one task; the app's own come last and win.

    ``prefix`` is ``--env_vars_prefix``; ``enforced`` says that its group enforces the role.
    """
    variables: Environment = {
        "MESOS_TASK_ID": instance.task_id,
        "MARATHON_APP_ID": app.id,
        "MARATHON_APP_VERSION": app.version,
        "MARATHON_APP_RESOURCE_CPUS": str(app.cpus),
        "MARATHON_APP_RESOURCE_MEM": str(app.mem),
        "MARATHON_APP_RESOURCE_DISK": str(app.disk),
        "MARATHON_APP_RESOURCE_GPUS": str(app.gpus),
        "MARATHON_APP_ENFORCE_GROUP_ROLE": str(enforced).upper(),
    }
    if app.docker and app.container is not None and app.container.docker is not None:
        variables["MARATHON_APP_DOCKER_IMAGE"] = app.container.docker.image
    variables |= labels(app.labels)
    variables |= {prefix + name: value for name, value in _network(app, instance).items()}
    return variables | app.env


def effective_ports(app: App, instance: Instance) -> Iterator[tuple[Port, int]]:
    """The number under which the task itself listens for each of its ports: the host's, else the container's."""
    for port, host in zip(app.ports, instance.ports, strict=False):
        yield port, host or port.container or 0


def inner_ports(app: App, instance: Instance) -> Iterator[tuple[Port, int]]:
    """The number within the container, where it has a network of its own, for each of its ports."""
    for port, host in zip(app.ports, instance.ports, strict=False):
        yield port, port.container or host


def labels(given: dict[str, str]) -> dict[str, str]:
    """Labels as variables; those that are too long are left out."""
    short = {
        escaped(key): value
        for key, value in given.items()
        if len(key) < _LONGEST_LABEL_KEY and len(value) < _LONGEST_LABEL_VALUE
    }
    return {"MARATHON_APP_LABELS": " ".join(short)} | {f"MARATHON_APP_LABEL_{key}": v for key, v in short.items()}


def escaped(name: str) -> str:
    """A name as a part of a variable's."""
    return re.sub(r"[^a-zA-Z0-9_]+", "_", name).upper()


def _network(app: App, instance: Instance) -> dict[str, str]:
    out = {"HOST": instance.host}
    ports = list(effective_ports(app, instance))
    if not ports:
        return out
    out["PORT"] = str(ports[0][1])
    out["PORTS"] = ",".join(str(number) for _, number in ports)
    for index, (port, number) in enumerate(ports):
        out[f"PORT{index}"] = str(number)
        out[f"PORT_{port.requested or number}"] = str(number)
        if port.name is not None:
            out[f"PORT_{escaped(port.name)}"] = str(number)
    return out
