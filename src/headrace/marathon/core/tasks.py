"""What a task is told: command, environment, files, labels. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from headrace.marathon.core.containers import container_info
from headrace.marathon.core.environment import effective_ports, environment, inner_ports
from headrace.marathon.core.records import Instance
from headrace.marathon.core.secrets import message as secret_message
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.checks import Check, HealthCheck
from headrace.marathon.definitions.parts import Environment, Fetch, SecretRef
from headrace.marathon.definitions.paths import task_name
from headrace.mesos.messages import common


def task_info(
    app: App,
    instance: Instance,
    resources: list[common.Resource],
    *,
    prefix: str,
    bridge: str,
    enforced: bool = False,
    secrets: Mapping[str, bytes] = MappingProxyType({}),
) -> common.TaskInfo:
    """The task to launch for ``instance``, with the health check that its agent runs. ``secrets`` by their names."""
    checks = [app.health_checks[index] for index in app.agent_checks]
    grace = app.task_kill_grace_period_seconds
    return common.TaskInfo(
        name=task_name(app.id),
        task_id=common.TaskID(instance.task_id),
        agent_id=common.AgentID(instance.agent_id),
        resources=resources,
        command=_command(app, environment(app, instance, prefix=prefix, enforced=enforced), secrets),
        container=container_info(app, instance, bridge=bridge, secrets=secrets),
        check=_check(app.check, app, instance) if app.check is not None else None,
        limits=_limits(app),
        kill_policy=None if grace is None else common.KillPolicy(common.DurationInfo(int(grace * 1e9))),
        labels=common.Labels([common.Label(key, value) for key, value in app.labels.items()]) if app.labels else None,
        health_check=_agent_check(checks, app, instance) if checks else None,
        discovery=_discovery(app, instance),
    )


def _command(app: App, given: Environment, secrets: Mapping[str, bytes]) -> common.CommandInfo:
    env, uris = variables(given, secrets), fetched(app.fetch)
    if app.cmd is not None:
        return common.CommandInfo(app.cmd, shell=True, environment=env, uris=uris, user=app.user)  # noqa: S604
    if app.container is not None and app.container.docker is not None:
        # the image's own program, with these arguments
        return common.CommandInfo(shell=False, arguments=app.args or None, environment=env, uris=uris, user=app.user)
    return common.CommandInfo(app.args[0], shell=False, arguments=app.args, environment=env, uris=uris, user=app.user)


def variables(given: Environment, secrets: Mapping[str, bytes]) -> common.Environment:
    """Variables in Mesos's form."""
    return common.Environment([_variable(name, value, secrets) for name, value in given.items()])


def fetched(given: Iterable[Fetch]) -> list[common.CommandUri] | None:
    """What is fetched into the sandbox, in Mesos's form."""
    return [
        common.CommandUri(
            one.uri, executable=one.executable, extract=one.extract, cache=one.cache, output_file=one.dest_path
        )
        for one in given
    ] or None


def _variable(name: str, value: str | SecretRef, secrets: Mapping[str, bytes]) -> common.EnvironmentVariable:
    if isinstance(value, str):
        return common.EnvironmentVariable(name, value)
    return common.EnvironmentVariable(name, type="SECRET", secret=secret_message(secrets[value.secret]))


def _limits(app: App) -> dict[str, common.Limit] | None:
    given = app.resource_limits
    if given is None:
        return None
    named = (("cpus", given.cpus), ("mem", given.mem))
    return {name: common.Limit("Infinity" if isinstance(one, str) else one) for name, one in named if one is not None}


def _check(check: Check, app: App, instance: Instance) -> common.CheckInfo:
    """The check that only reports."""
    where = check.http or check.tcp
    port = (where.port or nth_port(app, instance, where.port_index or 0) or 0) if where is not None else 0
    shell = check.exec.command.shell if check.exec is not None else None
    return common.CheckInfo(
        "COMMAND" if shell is not None else "HTTP" if check.http is not None else "TCP",
        command=common.CheckCommand(common.CommandInfo(shell, shell=True)) if shell is not None else None,  # noqa: S604
        http=common.CheckHttp(port, check.http.path) if check.http is not None else None,
        tcp=common.CheckTcp(port) if check.tcp is not None else None,
        delay_seconds=float(check.delay_seconds),
        interval_seconds=float(check.interval_seconds),
        timeout_seconds=float(check.timeout_seconds),
    )


def check_port(check: HealthCheck, app: App, instance: Instance) -> int | None:
    """The port that Marathon's check looks at; None if the task has none such."""
    return check.port if check.port is not None else nth_port(app, instance, check.port_index)


def nth_port(app: App, instance: Instance, index: int | None) -> int | None:
    """One of the ports under which the task is reached."""
    numbers = [number for _, number in effective_ports(app, instance)]
    return numbers[index] or None if index is not None and index < len(numbers) else None


def _inner_port(check: HealthCheck, app: App, instance: Instance) -> int:
    """The port that an agent looks at, from within the container."""
    if check.port is not None:
        return check.port
    numbers = [number for _, number in (effective_ports if app.host_networking else inner_ports)(app, instance)]
    index = check.port_index
    return numbers[index] if index is not None and index < len(numbers) else 0


def _agent_check(checks: list[HealthCheck], app: App, instance: Instance) -> common.HealthCheck:
    """Several (commands) become one that all of them must pass, with the strictest times.

    A MESOS_* check kills at the first failure even if ``maxConsecutiveFailures`` is 0, as Marathon's does.
    """
    first = checks[0]
    kind = first.protocol.removeprefix("MESOS_")
    most = min((one.max_consecutive_failures for one in checks if one.max_consecutive_failures), default=0)
    port = _inner_port(first, app, instance)
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


def _discovery(app: App, instance: Instance) -> common.DiscoveryInfo | None:
    if not instance.ports:
        return None
    ports = []
    for defined, number in effective_ports(app, instance):
        labels = [common.Label(key, value) for key, value in defined.labels.items()]
        ports += [
            common.Port(number, defined.name, protocol, labels=common.Labels(labels) if labels else None)
            for protocol in defined.protocol.split(",")
        ]
    return common.DiscoveryInfo("FRAMEWORK", task_name(app.id), ports=common.Ports(ports))
