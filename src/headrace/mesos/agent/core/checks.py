"""General checks that a task brings along, as Mesos runs them: what was found is told when it changes.

Nothing is killed. A check that can't be carried out, or takes too long, has an empty outcome.
"""

from __future__ import annotations

from headrace.kernel.core import Effect, SetTimer
from headrace.mesos.agent.core.containers import ContainerSpec
from headrace.mesos.agent.core.events import ProbeCheck
from headrace.mesos.agent.core.health import (
    DELAY,
    INTERVAL,
    TIMEOUT,
    problem_of_path,
    problem_of_port,
    problem_of_probe,
)
from headrace.mesos.messages.common import (
    CheckInfo,
    CheckStatusCommand,
    CheckStatusHttp,
    CheckStatusInfo,
    CheckStatusTcp,
)


def problem_of_general_check(check: CheckInfo | None) -> str | None:
    """What is wrong with a check, led by the field's path; None if it can be run."""
    if check is None:
        return None
    if check.type == "COMMAND":
        return problem_of_probe(check.command.command if check.command else None, "check.command.command")
    if check.type == "HTTP":
        if check.http is None:
            return "check.http: a check of type HTTP needs its port"
        return problem_of_path(check.http.path, "check.http.path") or problem_of_port(
            check.http.port, "check.http.port"
        )
    if check.type == "TCP":
        if check.tcp is None:
            return "check.tcp: a check of type TCP needs its port"
        return problem_of_port(check.tcp.port, "check.tcp.port")
    return f"check.type: {check.type!r} is not one of COMMAND, HTTP, TCP"


def first_status(check: CheckInfo) -> CheckStatusInfo:
    """What a status says as long as nothing is known."""
    return outcome_of(check)


def outcome_of(
    check: CheckInfo, *, exit_code: int | None = None, status_code: int | None = None, connected: bool | None = None
) -> CheckStatusInfo:
    """What a check of this type found."""
    if check.type == "COMMAND":
        return CheckStatusInfo(check.type, command=CheckStatusCommand(exit_code))
    if check.type == "HTTP":
        return CheckStatusInfo(check.type, http=CheckStatusHttp(status_code))
    return CheckStatusInfo(check.type, tcp=CheckStatusTcp(connected))


class CheckWatch:
    """One task's check while it runs. ``status`` is what was told last."""

    def __init__(self, check: CheckInfo, spec: ContainerSpec) -> None:
        self.check = check
        self.status = first_status(check)
        self._spec = spec

    def begin(self, now: float, since: float, told: CheckStatusInfo | None) -> Effect:
        """The task runs since ``since``; ``told`` is what was told last."""
        self.status = told or self.status
        delay = DELAY if self.check.delay_seconds is None else self.check.delay_seconds
        return self._again(max(now, since + delay))

    def due(self) -> Effect:
        """Time for a probe."""
        return ProbeCheck(self._spec, self.check, self.check.timeout_seconds or TIMEOUT)

    def judge(self, now: float, status: CheckStatusInfo) -> tuple[bool, Effect]:
        """A probe has come back: whether to tell, and the next probe."""
        tell, self.status = status != self.status, status
        interval = INTERVAL if self.check.interval_seconds is None else self.check.interval_seconds
        return tell, self._again(now + max(0.1, interval))

    def _again(self, at: float) -> Effect:
        return SetTimer(f"check/{self._spec.place.container_id}", at)
