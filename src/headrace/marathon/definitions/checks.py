"""Checks of an app: health, readiness, and Mesos's own that only reports."""

from __future__ import annotations

import msgspec

from headrace.marathon.definitions.parts import Part


class HealthCheck(Part, frozen=True):
    """``port`` wins over ``port_index``; a check without either takes the app's first port."""

    protocol: str = "HTTP"
    path: str | None = None
    port: int | None = None
    port_index: int | None = None
    command: str | None = None
    grace_period_seconds: int = 300
    interval_seconds: int = 60
    timeout_seconds: int = 20
    max_consecutive_failures: int = 3
    delay_seconds: int = 15
    ignore_http1xx: bool = msgspec.field(default=False, name="ignoreHttp1xx")
    ip_protocol: str = "IPv4"


class ReadinessCheck(Part, frozen=True):
    name: str = "readinessCheck"
    protocol: str = "HTTP"
    path: str = "/"
    port_name: str = "http-api"
    interval_seconds: int = 30
    timeout_seconds: int = 10
    http_status_codes_for_ready: list[int] = msgspec.field(default_factory=lambda: [200])
    preserve_last_response: bool = False


class HttpCheck(Part, frozen=True):
    port_index: int | None = None
    port: int | None = None
    path: str | None = None


class TcpCheck(Part, frozen=True):
    port_index: int | None = None
    port: int | None = None


class ShellCommand(Part, frozen=True):
    shell: str


class ExecCheck(Part, frozen=True):
    command: ShellCommand


class Check(Part, frozen=True):
    """Exactly one of ``http``, ``tcp`` and ``exec``."""

    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    exec: ExecCheck | None = None
    interval_seconds: int = 60
    timeout_seconds: int = 20
    delay_seconds: int = 15


class PreStopHttp(Part, frozen=True, omit_defaults=False):
    """What is asked for with GET; ``port_index`` is one of the app's ports."""

    path: str = "/"
    port_index: int = 0


class PreStop(Part, frozen=True, omit_defaults=False):
    """What comes before a task is told to end, which it is when the answer is there, or ``deadline_seconds`` are over.

    Marathon does not know it.
    """

    http: PreStopHttp
    deadline_seconds: int = 30
