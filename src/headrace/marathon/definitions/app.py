"""An app as it is kept: canonical fields with Marathon's names and defaults.

Deprecated fields (``uris``, ``ports``) never get here; ``normalise`` has turned them into their
successors. Times are seconds, memory and disk MiB.
"""

from __future__ import annotations

from typing import Any

import msgspec


class _Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A part of a definition; JSON names are camelCase."""


class PortDefinition(_Part, frozen=True):
    port: int = 0
    protocol: str = "tcp"
    name: str | None = None
    labels: dict[str, str] = {}


class Fetch(_Part, frozen=True):
    uri: str
    extract: bool = True
    executable: bool = False
    cache: bool = False
    dest_path: str | None = None


class HealthCheck(_Part, frozen=True):
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


class ReadinessCheck(_Part, frozen=True):
    name: str = "readinessCheck"
    protocol: str = "HTTP"
    path: str = "/"
    port_name: str = "http-api"
    interval_seconds: int = 30
    timeout_seconds: int = 10
    http_status_codes_for_ready: list[int] = msgspec.field(default_factory=lambda: [200])
    preserve_last_response: bool = False


class UpgradeStrategy(_Part, frozen=True, omit_defaults=False):
    """Shares of ``instances``: what must stay healthy, and what may run on top."""

    minimum_health_capacity: float = 1.0
    maximum_over_capacity: float = 1.0


class UnreachableStrategy(_Part, frozen=True, omit_defaults=False):
    """Seconds after which a lost instance is replaced, and after which it is forgotten."""

    inactive_after_seconds: int = 0
    expunge_after_seconds: int = 0


class VersionInfo(_Part, frozen=True):
    last_scaling_at: str = ""
    last_config_change_at: str = ""


class App(_Part, frozen=True):
    """One app definition. ``unreachable_strategy`` None is ``"disabled"``: lost instances are waited for."""

    id: str
    cmd: str | None = None
    args: list[str] = []
    cpus: float = 1.0
    mem: float = 128.0
    disk: float = 0.0
    gpus: int = 0
    instances: int = 1
    backoff_seconds: int = 1
    backoff_factor: float = 1.15
    max_launch_delay_seconds: int = 300
    container: dict[str, Any] | None = None
    constraints: list[list[str]] = []
    dependencies: list[str] = []
    env: dict[str, str] = {}
    executor: str = ""
    fetch: list[Fetch] = []
    health_checks: list[HealthCheck] = []
    readiness_checks: list[ReadinessCheck] = []
    labels: dict[str, str] = {}
    port_definitions: list[PortDefinition] = []
    require_ports: bool = False
    accepted_resource_roles: list[str] = []
    role: str = "*"
    task_kill_grace_period_seconds: int | None = None
    kill_selection: str = "YOUNGEST_FIRST"
    unreachable_strategy: UnreachableStrategy | None = UnreachableStrategy()
    upgrade_strategy: UpgradeStrategy = UpgradeStrategy()
    user: str | None = None
    version: str = ""
    version_info: VersionInfo = VersionInfo()

    def same_config(self, other: App) -> bool:
        """Whether nothing but the number of instances (and the version) differs."""
        return _bare(self) == _bare(other)

    @property
    def agent_checks(self) -> list[int]:
        """Which health checks the task's agent runs: the commands, or else the one of its own kind.

        An agent has one check for a task. It does without TLS, so MESOS_HTTPS is always Marathon's to probe.
        """
        commands = [index for index, one in enumerate(self.health_checks) if one.protocol == "COMMAND"]
        kinds = ("MESOS_HTTP", "MESOS_TCP")
        return commands or [index for index, one in enumerate(self.health_checks) if one.protocol in kinds][:1]

    @property
    def config_version(self) -> str:
        """The version since which the configuration is what it is."""
        return self.version_info.last_config_change_at


def _bare(app: App) -> App:
    return msgspec.structs.replace(app, instances=0, version="", version_info=VersionInfo())


def encode(app: App) -> bytes:
    """As stored."""
    return msgspec.json.encode(app)


def decode(data: bytes) -> App:
    """From ``encode``'s form."""
    return _DECODER.decode(data)


_DECODER = msgspec.json.Decoder(App)
