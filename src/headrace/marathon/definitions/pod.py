"""A pod as it is kept: containers that are launched together, with Marathon's names and defaults.

What apps have too (instances, back-off, strategies …) has the apps' names here and Marathon's nested ones in JSON
(``scheduling``, ``scaling``); reading and writing translate. Times are seconds, memory and disk MiB.
"""

from __future__ import annotations

import msgspec

from headrace.marathon.definitions.parts import (
    HOST,
    Environment,
    ExecutorResources,
    Fetch,
    LinuxInfo,
    Network,
    Part,
    Persistent,
    PullConfig,
    ResourceLimits,
    Secret,
    UnreachableStrategy,
    UpgradeStrategy,
    VersionInfo,
)


class Resources(Part, frozen=True, omit_defaults=False):
    cpus: float
    mem: float
    disk: float = 0.0
    gpus: int = 0


class Image(Part, frozen=True, omit_defaults=False):
    """``id``: the image's name."""

    id: str
    kind: str = "DOCKER"
    pull_config: PullConfig | None = None
    force_pull: bool = False
    labels: dict[str, str] = {}


class Endpoint(Part, frozen=True, omit_defaults=False):
    """``host_port`` None: no port of the host; 0: any."""

    name: str
    container_port: int | None = None
    host_port: int | None = None
    protocol: list[str] = msgspec.field(default_factory=lambda: ["tcp"])
    labels: dict[str, str] = {}
    network_names: list[str] = []


class PodHttp(Part, frozen=True):
    endpoint: str
    path: str | None = None
    scheme: str = "HTTP"


class PodTcp(Part, frozen=True):
    endpoint: str


class Command(Part, frozen=True):
    """``shell`` or ``argv``."""

    shell: str | None = None
    argv: list[str] | None = None


class Exec(Part, frozen=True):
    command: Command
    override_entrypoint: bool | None = None


class PodExec(Part, frozen=True):
    command: Command


class PodHealthCheck(Part, frozen=True, omit_defaults=False):
    """Exactly one of ``http``, ``tcp`` and ``exec``."""

    http: PodHttp | None = None
    tcp: PodTcp | None = None
    exec: PodExec | None = None
    grace_period_seconds: int = 300
    interval_seconds: int = 60
    max_consecutive_failures: int = 3
    timeout_seconds: int = 20
    delay_seconds: int = 15


class PodCheck(Part, frozen=True, omit_defaults=False):
    """A check that only reports."""

    http: PodHttp | None = None
    tcp: PodTcp | None = None
    exec: PodExec | None = None
    interval_seconds: int = 60
    timeout_seconds: int = 20
    delay_seconds: int = 15


class VolumeMount(Part, frozen=True, omit_defaults=False):
    name: str
    mount_path: str
    read_only: bool = False


class Lifecycle(Part, frozen=True):
    kill_grace_period_seconds: float | None = None


class PodContainer(Part, frozen=True):
    """One container of a pod: a task of the group."""

    name: str
    resources: Resources
    exec: Exec | None = None
    resource_limits: ResourceLimits | None = None
    endpoints: list[Endpoint] = []
    image: Image | None = None
    environment: Environment = {}
    user: str | None = None
    health_check: PodHealthCheck | None = None
    check: PodCheck | None = None
    volume_mounts: list[VolumeMount] = []
    artifacts: list[Fetch] = []
    labels: dict[str, str] = {}
    lifecycle: Lifecycle | None = None
    linux_info: LinuxInfo | None = None
    tty: bool | None = None


class PodVolume(Part, frozen=True):
    """Ephemeral, unless one of the others is given."""

    name: str
    host: str | None = None
    secret: str | None = None
    persistent: Persistent | None = None


class Pod(Part, frozen=True, tag_field="kind", tag="pod"):
    """One pod definition. ``unreachable_strategy`` None is ``"disabled"``."""

    id: str
    containers: list[PodContainer]
    labels: dict[str, str] = {}
    user: str | None = None
    environment: Environment = {}
    secrets: dict[str, Secret] = {}
    volumes: list[PodVolume] = []
    networks: list[Network] = msgspec.field(default_factory=lambda: [Network(HOST)])
    instances: int = 1
    backoff_seconds: float = 1.0
    backoff_factor: float = 1.15
    max_launch_delay_seconds: float = 300.0
    constraints: list[list[str]] = []
    accepted_resource_roles: list[str] = []
    role: str = "*"
    kill_selection: str = "YOUNGEST_FIRST"
    unreachable_strategy: UnreachableStrategy | None = UnreachableStrategy()
    upgrade_strategy: UpgradeStrategy = UpgradeStrategy()
    executor_resources: ExecutorResources = ExecutorResources()
    linux_info: LinuxInfo | None = None
    legacy_shared_cgroups: bool | None = None
    dependencies: list[str] = []
    version: str = ""
    version_info: VersionInfo = VersionInfo()

    def same_config(self, other: object) -> bool:
        """Whether nothing but the number of instances (and the version) differs."""
        return isinstance(other, Pod) and _bare(self) == _bare(other)

    @property
    def config_version(self) -> str:
        """The version since which the configuration is what it is."""
        return self.version_info.last_config_change_at

    @property
    def per_agent(self) -> bool:
        """Only apps can have an instance on every agent."""
        return False

    @property
    def checked(self) -> bool:
        """Whether its health is known."""
        return any(one.health_check is not None for one in self.containers)

    @property
    def host_networking(self) -> bool:
        return any(one.mode == HOST for one in self.networks)

    @property
    def resident(self) -> bool:
        """Whether it keeps volumes, and so stays where it is."""
        return any(one.persistent is not None for one in self.volumes)

    @property
    def endpoints(self) -> list[Endpoint]:
        """Those of all containers."""
        return [endpoint for container in self.containers for endpoint in container.endpoints]

    def total(self) -> Resources:
        """What one instance takes, its executor's share included."""
        executor, each = self.executor_resources, [one.resources for one in self.containers]
        return Resources(
            executor.cpus + sum(one.cpus for one in each),
            executor.mem + sum(one.mem for one in each),
            executor.disk + sum(one.disk for one in each),
            sum(one.gpus for one in each),
        )


def _bare(pod: Pod) -> Pod:
    return msgspec.structs.replace(pod, instances=0, version="", version_info=VersionInfo())
