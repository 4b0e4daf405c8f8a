"""The container of an app: image, volumes, ports that are mapped."""

from __future__ import annotations

from headrace.marathon.definitions.parts import LinuxInfo, Part, Persistent, PullConfig

DOCKER, MESOS = "DOCKER", "MESOS"
DVDI, DRIVER = "dvdi", "dvdi/driver"
"""The provider of external volumes, and its option for the driver."""


class Parameter(Part, frozen=True, omit_defaults=False):
    """An option of ``docker run``."""

    key: str
    value: str


class Docker(Part, frozen=True):
    """An image, and how the Docker engine runs it (MESOS containers only take the image)."""

    image: str
    force_pull_image: bool = False
    privileged: bool = False
    parameters: list[Parameter] = []
    pull_config: PullConfig | None = None


class External(Part, frozen=True):
    """A volume of a storage provider; ``size`` GiB."""

    name: str
    provider: str
    options: dict[str, str] = {}
    size: int | None = None
    shared: bool = False


class Volume(Part, frozen=True):
    """One of: a path of the host, a persistent volume, an external one, a secret as a file."""

    container_path: str
    mode: str | None = None
    host_path: str | None = None
    persistent: Persistent | None = None
    external: External | None = None
    secret: str | None = None


class PortMapping(Part, frozen=True):
    """``host_port`` None: no port of the host; 0: any. ``container_port`` 0: the same as the host's."""

    container_port: int = 0
    host_port: int | None = None
    service_port: int = 0
    protocol: str = "tcp"
    name: str | None = None
    labels: dict[str, str] = {}
    network_names: list[str] = []


class Container(Part, frozen=True):
    """``port_mappings`` None only with host networking."""

    type: str = DOCKER
    docker: Docker | None = None
    volumes: list[Volume] = []
    port_mappings: list[PortMapping] | None = None
    linux_info: LinuxInfo | None = None
