"""How it is found out whether a task is well, and how it is ended."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Enum, Int32, Uint32
from headrace.mesos.messages.common.containers import CommandInfo, IPVersion
from headrace.mesos.messages.common.values import DurationInfo, Message

CheckType: TypeAlias = Annotated[str, Enum(UNKNOWN=0, COMMAND=1, HTTP=2, TCP=3)]


class KillPolicy(Message, frozen=True):
    grace_period: Annotated[DurationInfo | None, 1] = None


class HealthCheckHttp(Message, frozen=True):
    port: Annotated[Uint32, 1]
    scheme: Annotated[str | None, 3] = None
    path: Annotated[str | None, 2] = None
    protocol: Annotated[IPVersion | None, 5] = None
    statuses: Annotated[list[Uint32] | None, 4] = None


class HealthCheckTcp(Message, frozen=True):
    port: Annotated[Uint32, 1]
    protocol: Annotated[IPVersion | None, 2] = None


class HealthCheck(Message, frozen=True):
    """A check that the agent runs; times in seconds."""

    type: Annotated[CheckType | None, 8] = None
    command: Annotated[CommandInfo | None, 7] = None
    http: Annotated[HealthCheckHttp | None, 1] = None
    tcp: Annotated[HealthCheckTcp | None, 9] = None
    delay_seconds: Annotated[float | None, 2] = None
    interval_seconds: Annotated[float | None, 3] = None
    timeout_seconds: Annotated[float | None, 4] = None
    consecutive_failures: Annotated[Uint32 | None, 5] = None
    grace_period_seconds: Annotated[float | None, 6] = None


class CheckCommand(Message, frozen=True):
    command: Annotated[CommandInfo, 1]


class CheckHttp(Message, frozen=True):
    port: Annotated[Uint32, 1]
    path: Annotated[str | None, 2] = None


class CheckTcp(Message, frozen=True):
    port: Annotated[Uint32, 1]


class CheckInfo(Message, frozen=True):
    """A general check: its outcome is told, nothing is killed; times in seconds."""

    type: Annotated[CheckType | None, 1] = None
    command: Annotated[CheckCommand | None, 2] = None
    http: Annotated[CheckHttp | None, 3] = None
    tcp: Annotated[CheckTcp | None, 7] = None
    delay_seconds: Annotated[float | None, 4] = None
    interval_seconds: Annotated[float | None, 5] = None
    timeout_seconds: Annotated[float | None, 6] = None


class CheckStatusCommand(Message, frozen=True):
    exit_code: Annotated[Int32 | None, 1] = None


class CheckStatusHttp(Message, frozen=True):
    status_code: Annotated[Uint32 | None, 1] = None


class CheckStatusTcp(Message, frozen=True):
    succeeded: Annotated[bool | None, 1] = None


class CheckStatusInfo(Message, frozen=True):
    """What a general check found last; an empty body: nothing yet."""

    type: Annotated[CheckType | None, 1] = None
    command: Annotated[CheckStatusCommand | None, 2] = None
    http: Annotated[CheckStatusHttp | None, 3] = None
    tcp: Annotated[CheckStatusTcp | None, 4] = None
