"""What a task is told: command, environment, files, labels. Pure."""

from __future__ import annotations

import re

from headrace.marathon.core.records import Instance
from headrace.marathon.definitions.app import App, HealthCheck
from headrace.marathon.definitions.paths import task_name
from headrace.mesos.messages import common

_LONGEST_LABEL_KEY, _LONGEST_LABEL_VALUE = 493, 512


def environment(app: App, instance: Instance, *, prefix: str = "") -> dict[str, str]:
    """The variables of one task; the app's own come last and win. ``prefix`` is ``--env_vars_prefix``."""
    variables = {
        "MESOS_TASK_ID": instance.task_id,
        "MARATHON_APP_ID": app.id,
        "MARATHON_APP_VERSION": app.version,
        "MARATHON_APP_RESOURCE_CPUS": str(app.cpus),
        "MARATHON_APP_RESOURCE_MEM": str(app.mem),
        "MARATHON_APP_RESOURCE_DISK": str(app.disk),
        "MARATHON_APP_RESOURCE_GPUS": str(app.gpus),
        "MARATHON_APP_ENFORCE_GROUP_ROLE": "FALSE",
    }
    variables |= _labels(app.labels)
    variables |= {prefix + name: value for name, value in _network(app, instance).items()}
    return variables | app.env


def task_info(app: App, instance: Instance, resources: list[common.Resource], *, prefix: str) -> common.TaskInfo:
    """The task to launch for ``instance``, with the health check that its agent runs."""
    checks = [app.health_checks[index] for index in app.agent_checks]
    grace = app.task_kill_grace_period_seconds
    return common.TaskInfo(
        name=task_name(app.id),
        task_id=common.TaskID(instance.task_id),
        agent_id=common.AgentID(instance.agent_id),
        resources=resources,
        command=_command(app, environment(app, instance, prefix=prefix)),
        kill_policy=None if grace is None else common.KillPolicy(common.DurationInfo(int(grace * 1e9))),
        labels=common.Labels([common.Label(key, value) for key, value in app.labels.items()]) if app.labels else None,
        health_check=_agent_check(checks, instance) if checks else None,
        discovery=_discovery(app, instance),
    )


def _command(app: App, variables: dict[str, str]) -> common.CommandInfo:
    env = common.Environment([common.EnvironmentVariable(name, value) for name, value in variables.items()])
    uris = [
        common.CommandUri(
            one.uri, executable=one.executable, extract=one.extract, cache=one.cache, output_file=one.dest_path
        )
        for one in app.fetch
    ] or None
    if app.cmd is not None:
        return common.CommandInfo(app.cmd, shell=True, environment=env, uris=uris, user=app.user)  # noqa: S604
    return common.CommandInfo(app.args[0], shell=False, arguments=app.args, environment=env, uris=uris, user=app.user)


def check_port(check: HealthCheck, instance: Instance) -> int | None:
    """The port that a check looks at; None if the task has none such."""
    return check.port if check.port is not None else nth_port(instance, check.port_index)


def nth_port(instance: Instance, index: int | None) -> int | None:
    """One of the ports that the task has."""
    return instance.ports[index] if index is not None and index < len(instance.ports) else None


def _agent_check(checks: list[HealthCheck], instance: Instance) -> common.HealthCheck:
    """Several (commands) become one that all of them must pass, with the strictest times.

    A MESOS_* check kills at the first failure even if ``maxConsecutiveFailures`` is 0, as Marathon's does.
    """
    first = checks[0]
    kind = first.protocol.removeprefix("MESOS_")
    most = min((one.max_consecutive_failures for one in checks if one.max_consecutive_failures), default=0)
    port = check_port(first, instance) or 0
    return common.HealthCheck(
        type=kind,
        command=_check_command([one.command or "" for one in checks]) if kind == "COMMAND" else None,
        http=common.HealthCheckHttp(port, scheme="http", path=first.path or "/") if kind == "HTTP" else None,
        tcp=common.HealthCheckTcp(port) if kind == "TCP" else None,
        delay_seconds=float(min(one.delay_seconds for one in checks)),
        interval_seconds=float(min(one.interval_seconds for one in checks)),
        timeout_seconds=float(sum(one.timeout_seconds for one in checks)),
        consecutive_failures=most if kind == "COMMAND" else max(1, most),
        grace_period_seconds=float(max(one.grace_period_seconds for one in checks)),
    )


def _check_command(lines: list[str]) -> common.CommandInfo:
    if len(lines) == 1:
        return common.CommandInfo(lines[0], shell=True)  # noqa: S604
    each = 'for line; do /bin/sh -c "$line" || exit; done'
    return common.CommandInfo("/bin/sh", shell=False, arguments=["sh", "-c", each, "checks", *lines])


def _discovery(app: App, instance: Instance) -> dict[str, object] | None:
    if not instance.ports:
        return None
    ports = []
    for number, definition in zip(instance.ports, app.port_definitions, strict=False):
        labels = [{"key": key, "value": value} for key, value in definition.labels.items()]
        for protocol in definition.protocol.split(","):
            port: dict[str, object] = {"number": number, "protocol": protocol}
            if definition.name is not None:
                port["name"] = definition.name
            if labels:
                port["labels"] = {"labels": labels}
            ports.append(port)
    return {"visibility": "FRAMEWORK", "name": task_name(app.id), "ports": {"ports": ports}}


def _labels(labels: dict[str, str]) -> dict[str, str]:
    short = {
        _escaped(key): value
        for key, value in labels.items()
        if len(key) < _LONGEST_LABEL_KEY and len(value) < _LONGEST_LABEL_VALUE
    }
    return {"MARATHON_APP_LABELS": " ".join(short)} | {f"MARATHON_APP_LABEL_{key}": v for key, v in short.items()}


def _network(app: App, instance: Instance) -> dict[str, str]:
    out = {"HOST": instance.host}
    ports = instance.ports
    if not ports:
        return out
    out["PORT"] = str(ports[0])
    out["PORTS"] = ",".join(map(str, ports))
    for index, (number, definition) in enumerate(zip(ports, app.port_definitions, strict=False)):
        out[f"PORT{index}"] = str(number)
        out[f"PORT_{definition.port or number}"] = str(number)
        if definition.name is not None:
            out[f"PORT_{_escaped(definition.name)}"] = str(number)
    return out


def _escaped(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]+", "_", name).upper()
