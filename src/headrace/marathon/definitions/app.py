"""An app as it is kept: canonical fields with Marathon's names and defaults.

Deprecated fields (``uris``, ``ports``, ``ipAddress``, ``docker.network`` …) never get here; reading has turned them
into their successors. Times are seconds, memory and disk MiB.
"""

from __future__ import annotations

import msgspec

from headrace.marathon.definitions.checks import Check, HealthCheck, PreStop, ReadinessCheck
from headrace.marathon.definitions.container import DOCKER, Container, PortMapping
from headrace.marathon.definitions.parts import (
    HOST,
    Environment,
    ExecutorResources,
    Fetch,
    Network,
    Part,
    ResourceLimits,
    Secret,
    UnreachableStrategy,
    UpgradeStrategy,
    VersionInfo,
)


class PortDefinition(Part, frozen=True):
    """A port with host networking."""

    port: int = 0
    protocol: str = "tcp"
    name: str | None = None
    labels: dict[str, str] = {}


class Port(msgspec.Struct, frozen=True):
    """A port of the app's tasks, whichever way it was defined.

    ``host`` is the port to take of the host: a number, 0 for any, None for none. ``container`` is None with host
    networking; 0 is the same number as the host's. ``requested`` is the number that was asked for, 0 if none.
    """

    service: int
    host: int | None
    container: int | None
    requested: int
    protocol: str
    name: str | None
    labels: dict[str, str]


class Residency(Part, frozen=True, omit_defaults=False):
    """Goes with persistent volumes; without effect, as the same is said by other fields."""

    relaunch_escalation_timeout_seconds: int = 3600
    task_lost_behavior: str = "WAIT_FOREVER"


class App(Part, frozen=True, tag_field="kind", tag="app"):
    """One app definition. ``unreachable_strategy`` None is ``"disabled"``: lost instances are waited for.

    ``instances_per``, which Marathon does not know: ``agent`` is an instance on every agent; ``instances`` is 1 then.
    """

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
    container: Container | None = None
    networks: list[Network] = msgspec.field(default_factory=lambda: [Network(HOST)])
    constraints: list[list[str]] = []
    dependencies: list[str] = []
    env: Environment = {}
    secrets: dict[str, Secret] = {}
    executor: str = ""
    executor_resources: ExecutorResources | None = None
    resource_limits: ResourceLimits | None = None
    fetch: list[Fetch] = []
    health_checks: list[HealthCheck] = []
    readiness_checks: list[ReadinessCheck] = []
    check: Check | None = None
    labels: dict[str, str] = {}
    port_definitions: list[PortDefinition] = []
    require_ports: bool = False
    accepted_resource_roles: list[str] = []
    role: str = "*"
    residency: Residency | None = None
    task_kill_grace_period_seconds: int | None = None
    kill_selection: str = "YOUNGEST_FIRST"
    unreachable_strategy: UnreachableStrategy | None = UnreachableStrategy()
    upgrade_strategy: UpgradeStrategy = UpgradeStrategy()
    user: str | None = None
    tty: bool | None = None
    instances_per: str | None = None
    pre_stop: PreStop | None = None
    version: str = ""
    version_info: VersionInfo = VersionInfo()

    def same_config(self, other: object) -> bool:
        """Whether nothing but the number of instances (and the version) differs."""
        return isinstance(other, App) and _bare(self) == _bare(other)

    @property
    def agent_checks(self) -> list[int]:
        """Which health checks the task's agent runs: the commands, or else the one of its own kind.

        An agent has one check for a task. It does without TLS, so MESOS_HTTPS is always Marathon's to probe.
        """
        commands = [index for index, one in enumerate(self.health_checks) if one.protocol == "COMMAND"]
        kinds = ("MESOS_HTTP", "MESOS_TCP")
        return commands or [index for index, one in enumerate(self.health_checks) if one.protocol in kinds][:1]

    @property
    def per_agent(self) -> bool:
        """Whether there is an instance on every agent, rather than a number of them."""
        return self.instances_per is not None

    @property
    def config_version(self) -> str:
        """The version since which the configuration is what it is."""
        return self.version_info.last_config_change_at

    @property
    def checked(self) -> bool:
        """Whether its health is known."""
        return bool(self.health_checks)

    @property
    def host_networking(self) -> bool:
        return any(one.mode == HOST for one in self.networks)

    @property
    def port_mappings(self) -> list[PortMapping]:
        """Those of its container; none with host networking."""
        return (self.container.port_mappings or []) if self.container is not None else []

    @property
    def ports(self) -> list[Port]:
        """All ports in their order."""
        if not self.host_networking:
            return [_mapped(one) for one in self.port_mappings]
        return [
            Port(one.port, one.port if self.require_ports else 0, None, one.port, one.protocol, one.name, one.labels)
            for one in self.port_definitions
        ]

    @property
    def resident(self) -> bool:
        """Whether it keeps volumes, and so stays where it is."""
        return self.container is not None and any(one.persistent is not None for one in self.container.volumes)

    @property
    def docker(self) -> bool:
        """Whether the Docker engine runs it."""
        return self.container is not None and self.container.type == DOCKER

    def with_service_ports(self, numbers: list[int]) -> App:
        """The app with these service ports, one for each of ``ports``."""
        replace = msgspec.structs.replace
        if self.host_networking:
            given = zip(self.port_definitions, numbers, strict=True)
            return replace(self, port_definitions=[replace(one, port=number) for one, number in given])
        pairs = zip(self.port_mappings, numbers, strict=True)
        mappings = [replace(one, service_port=number) for one, number in pairs]
        if not mappings or self.container is None:
            return self
        return replace(self, container=replace(self.container, port_mappings=mappings))


def _mapped(one: PortMapping) -> Port:
    requested = one.host_port or one.container_port
    return Port(one.service_port, one.host_port, one.container_port, requested, one.protocol, one.name, one.labels)


def _bare(app: App) -> App:
    return msgspec.structs.replace(app, instances=0, version="", version_info=VersionInfo())
