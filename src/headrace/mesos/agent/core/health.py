"""Health checks that a task brings along, as Mesos runs them: when to probe, and what a result means.

A failure within the grace period counts only once the task has been healthy. Each failure is told, and the first
success after none; after ``consecutive_failures`` the task is killed.
"""

from __future__ import annotations

from headrace.kernel.core import Effect, SetTimer
from headrace.mesos.agent.core.containers import ContainerSpec
from headrace.mesos.agent.core.events import ProbeHealth
from headrace.mesos.agent.core.secrets import SecretError, text_of
from headrace.mesos.messages.common import CommandInfo, HealthCheck, HealthCheckHttp

DELAY = 15.0
INTERVAL = 10.0
TIMEOUT = 20.0
GRACE = 10.0
FAILURES = 3


def problem_of_check(check: HealthCheck | None) -> str | None:
    """What is wrong with a check, led by the field's path; None if it can be run."""
    if check is None:
        return None
    if check.type == "COMMAND":
        return problem_of_probe(check.command, "health_check.command")
    if check.type == "HTTP":
        return _http_problem(check.http)
    if check.type == "TCP":
        if check.tcp is None:
            return "health_check.tcp: a check of type TCP needs its port"
        return problem_of_port(check.tcp.port, "health_check.tcp.port")
    return f"health_check.type: {check.type!r} is not one of COMMAND, HTTP, TCP"


def problem_of_probe(command: CommandInfo | None, where: str) -> str | None:
    """What is wrong with the command of a check, led by the field's path; None if it can be run."""
    if command is None or not command.value or "\0" in command.value:
        return f"{where}.value: a check of type COMMAND needs a command line"
    if any("\0" in argument for argument in command.arguments or ()):
        return f"{where}.arguments: hold a NUL character"
    return problem_of_variables(command, where)


def problem_of_variables(command: CommandInfo, where: str) -> str | None:
    """What is wrong with a command's environment, led by the field's path; None if it can be given to a process."""
    variables = command.environment.variables if command.environment else None
    for i, variable in enumerate(variables or ()):
        place = f"{where}.environment.variables[{i}]"
        if not variable.name or "=" in variable.name or "\0" in variable.name:
            return f"{place}.name: {variable.name!r} can't name a variable"
        try:
            if "\0" in text_of(variable):
                return f"{place}.value: holds a NUL character"
        except SecretError as problem:
            return f"{place}.secret: {problem}"
    return None


def _http_problem(check: HealthCheckHttp | None) -> str | None:
    if check is None:
        return "health_check.http: a check of type HTTP needs its port"
    if check.scheme not in (None, "", "http", "https"):
        return f"health_check.http.scheme: {check.scheme!r} is not one of http, https"
    return problem_of_path(check.path, "health_check.http.path") or problem_of_port(
        check.port, "health_check.http.port"
    )


def problem_of_path(path: str | None, where: str) -> str | None:
    """What is wrong with the path that a check asks for."""
    if any(character <= " " or character == "\x7f" for character in path or ""):
        return f"{where}: holds a space or a control character; write it as %20 or the like"
    return None


def problem_of_port(port: int, where: str) -> str | None:
    """What is wrong with the port that a check connects to."""
    return None if 0 < port < 65536 else f"{where}: {port} is not a port; give 1 to 65535"


class HealthWatch:
    """One task's check while it runs. All times in seconds."""

    def __init__(self, check: HealthCheck, spec: ContainerSpec) -> None:
        self._check = check
        self._spec = spec
        self._since = 0.0
        self._failures = 0
        self.healthy: bool | None = None

    def begin(self, now: float, since: float, healthy: bool | None) -> Effect:
        """The task runs since ``since``; ``healthy`` is what was told last."""
        self._since, self.healthy = since, healthy
        delay = DELAY if self._check.delay_seconds is None else self._check.delay_seconds
        return self._again(max(now, since + delay))

    def due(self) -> Effect:
        """Time for a probe."""
        return ProbeHealth(self._spec, self._check, self._check.timeout_seconds or TIMEOUT)

    def judge(self, now: float, passed: bool) -> tuple[bool, bool, Effect]:
        """A probe has come back: whether to tell, whether to kill, and the next probe."""
        interval = INTERVAL if self._check.interval_seconds is None else self._check.interval_seconds
        again = self._again(now + max(0.1, interval))
        if passed:
            tell = self.healthy is not True
            self._failures, self.healthy = 0, True
            return tell, False, again
        grace = GRACE if self._check.grace_period_seconds is None else self._check.grace_period_seconds
        if self.healthy is None and now < self._since + grace:
            return False, False, again
        self._failures += 1
        self.healthy = False
        most = FAILURES if self._check.consecutive_failures is None else self._check.consecutive_failures
        return True, 0 < most <= self._failures, again

    def _again(self, at: float) -> Effect:
        return SetTimer(f"health/{self._spec.place.container_id}", at)
