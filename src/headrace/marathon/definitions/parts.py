"""What apps and pods have in common: networks, images, volumes, secrets, strategies.

JSON names are Marathon's camelCase. Times are seconds, memory and disk MiB.
"""

from __future__ import annotations

import msgspec

HOST, BRIDGE, CONTAINER = "host", "container/bridge", "container"


class Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A part of a definition."""


class Network(Part, frozen=True, omit_defaults=False):
    """``mode``: host, container/bridge or container; only the last has a name."""

    mode: str = CONTAINER
    name: str | None = None
    labels: dict[str, str] = {}


class Secret(Part, frozen=True, omit_defaults=False):
    """Where the secret that a definition names comes from."""

    source: str


class SecretRef(Part, frozen=True, omit_defaults=False):
    """A variable whose value is the secret of this name."""

    secret: str


EnvValue = str | SecretRef
Environment = dict[str, EnvValue]


class Fetch(Part, frozen=True):
    uri: str
    extract: bool = True
    executable: bool = False
    cache: bool = False
    dest_path: str | None = None


class UpgradeStrategy(Part, frozen=True, omit_defaults=False):
    """Shares of ``instances``: what must stay healthy, and what may run on top.

    ``deadline_seconds``, which Marathon does not know: a deployment that takes longer is undone.
    """

    minimum_health_capacity: float = 1.0
    maximum_over_capacity: float = 1.0
    deadline_seconds: int | msgspec.UnsetType = msgspec.UNSET


class UnreachableStrategy(Part, frozen=True, omit_defaults=False):
    """Seconds after which a lost instance is replaced, and after which it is forgotten."""

    inactive_after_seconds: int = 0
    expunge_after_seconds: int = 0


class ExecutorResources(Part, frozen=True, omit_defaults=False):
    """What an executor takes for itself."""

    cpus: float = 0.1
    mem: float = 32.0
    disk: float = 10.0


Limit = float | str
"""A number, or ``unlimited``."""


class ResourceLimits(Part, frozen=True):
    """Up to where a task may go beyond what it requests; None: no further."""

    cpus: Limit | None = None
    mem: Limit | None = None


class Seccomp(Part, frozen=True):
    profile_name: str | None = None
    unconfined: bool | None = None


class IpcInfo(Part, frozen=True):
    mode: str
    shm_size: int | None = None


class LinuxInfo(Part, frozen=True):
    """What a container is allowed beyond others, or less than they."""

    seccomp: Seccomp | None = None
    ipc_info: IpcInfo | None = None


class PullConfig(Part, frozen=True, omit_defaults=False):
    """The secret that holds a registry's credentials, as Docker's config.json has them."""

    secret: str


class Persistent(Part, frozen=True):
    """A volume that outlives its task; ``size`` and ``max_size`` MiB, ``type`` root, path or mount."""

    size: int
    type: str = "root"
    max_size: int | None = None
    profile_name: str | None = None
    constraints: list[list[str]] = []


class VersionInfo(Part, frozen=True):
    last_scaling_at: str = ""
    last_config_change_at: str = ""
