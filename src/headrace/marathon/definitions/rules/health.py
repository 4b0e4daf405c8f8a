"""An app's checks: health, readiness, and the one that only reports."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Violation
from headrace.marathon.definitions.rules.common import check_path

_INDEX = "Health check port indices must address an element of the ports array or container port mappings."
_AGENTS = ("MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP")


def health(app: App) -> Iterator[Violation]:
    """The rules of ``/healthChecks``, ``/readinessChecks`` and ``/check``."""
    ports = len(app.ports)
    for index, check in enumerate(app.health_checks):
        path = f"/healthChecks({index})"
        if check.protocol == "COMMAND":
            if check.command is None:
                yield Violation(f"{path}/command", "must not be empty")
            elif "\0" in check.command:
                yield Violation(f"{path}/command/value", "must not contain NUL")
        elif check.port is None and (check.port_index is None or check.port_index >= ports):
            yield Violation(path, _INDEX)
        yield from check_path(check.path, f"{path}/path", "health check")
        if check.ip_protocol == "IPv6" and not (app.docker and check.protocol in _AGENTS):
            yield Violation(f"{path}/ipProtocol", "IPv6 can only be used for container type DOCKER")
    if sum(1 for check in app.health_checks if check.protocol in _AGENTS) > 1:
        yield Violation("/", "AppDefinition can contain at most one Mesos health check")
    yield from _readiness(app)
    yield from _check(app, ports)


def _readiness(app: App) -> Iterator[Violation]:
    names = {one.name for one in app.ports}
    for index, readiness in enumerate(app.readiness_checks):
        path = f"/readinessChecks({index})"
        yield from check_path(readiness.path, f"{path}/path", "readiness check")
        if readiness.port_name not in names:
            yield Violation(f"{path}/portName", f"No port definition reference for portName {readiness.port_name}")
        if readiness.timeout_seconds >= readiness.interval_seconds:
            got, limit = readiness.timeout_seconds, readiness.interval_seconds
            yield Violation(f"{path}/timeoutSeconds", f"got {got}, expected less than {limit}")


def _check(app: App, ports: int) -> Iterator[Violation]:
    check = app.check
    if check is None:
        return
    if app.docker:
        yield Violation("/", "AppDefinition must not use 'checks' if using docker")
    if [check.http, check.tcp, check.exec].count(None) != 2:
        yield Violation("/check", "must define exactly one of http, tcp and exec")
    where = check.http or check.tcp
    if where is not None and where.port is None and (where.port_index or 0) >= ports:
        yield Violation("/check", _INDEX)
    if check.exec is not None and "\0" in check.exec.command.shell:
        yield Violation("/check/exec/command/shell", "must not contain NUL")
