"""What a task runs in: image, networks, mapped ports, volumes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.marathon.core.environment import inner_ports
from headrace.marathon.core.records import Instance
from headrace.marathon.core.secrets import message as secret_message
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.container import DRIVER, DVDI, Container, External, Volume
from headrace.marathon.definitions.parts import BRIDGE, CONTAINER, HOST, LinuxInfo, Network
from headrace.mesos.messages import common


def container_info(
    app: App, instance: Instance, *, bridge: str, secrets: Mapping[str, bytes] = MappingProxyType({})
) -> common.ContainerInfo | None:
    """The container of a task; None where it needs none. ``bridge`` is ``--mesos_bridge_name``."""
    container = app.container
    if container is None and app.host_networking and not app.tty:
        return None
    tty = common.TTYInfo() if app.tty else None
    if container is None:
        return common.ContainerInfo(type="MESOS", tty_info=tty)
    mappings = _mappings(app, instance)
    return common.ContainerInfo(
        type=container.type,
        volumes=[one for volume in container.volumes if (one := _volume(volume, secrets)) is not None] or None,
        docker=_docker(app, container, mappings) if app.docker else None,
        mesos=_image(container, secrets) if not app.docker else None,
        network_infos=_network_infos(app, mappings, bridge) or None,
        linux_info=linux_info(container.linux_info),
        tty_info=tty,
    )


def linux_info(given: LinuxInfo | None) -> common.LinuxInfo | None:
    """Seccomp and IPC as Mesos has them."""
    if given is None:
        return None
    seccomp = given.seccomp
    return common.LinuxInfo(
        seccomp=common.SeccompInfo(seccomp.profile_name, seccomp.unconfined) if seccomp is not None else None,
        ipc_mode=given.ipc_info.mode if given.ipc_info is not None else None,
        shm_size=given.ipc_info.shm_size if given.ipc_info is not None else None,
    )


def network_info(network: Network, bridge: str, mappings: list[common.PortMapping]) -> common.NetworkInfo:
    """One network of a container that is not the host's."""
    labels = [common.Label(key, value) for key, value in network.labels.items()]
    return common.NetworkInfo(
        name=network.name if network.mode == CONTAINER else bridge,
        labels=common.Labels(labels) if labels else None,
        port_mappings=mappings or None,
    )


def docker_image(name: str, *, force_pull: bool, config: bytes | None = None) -> common.MesosInfo:
    """A Docker image for the Mesos containerizer. ``config``: a secret, Docker's ``config.json`` to pull it with."""
    login = None if config is None else secret_message(config)
    return common.MesosInfo(
        common.Image("DOCKER", docker=common.DockerImage(name, config=login), cached=not force_pull)
    )


def _docker(app: App, container: Container, mappings: list[tuple[list[str], common.PortMapping]]) -> common.DockerInfo:
    docker = container.docker
    assert docker is not None  # noqa: S101 - the rules say that there is an image
    mode = app.networks[0].mode
    return common.DockerInfo(
        image=docker.image,
        network={HOST: "HOST", BRIDGE: "BRIDGE", CONTAINER: "USER"}[mode],
        port_mappings=[one for _, one in mappings] or None if mode != HOST else None,
        privileged=docker.privileged,
        parameters=[common.Parameter(one.key, one.value) for one in docker.parameters] or None,
        force_pull_image=docker.force_pull_image,
    )


def _image(container: Container, secrets: Mapping[str, bytes]) -> common.MesosInfo | None:
    docker = container.docker
    if docker is None:
        return None
    config = secrets[docker.pull_config.secret] if docker.pull_config is not None else None
    return docker_image(docker.image, force_pull=docker.force_pull_image, config=config)


def _mappings(app: App, instance: Instance) -> list[tuple[list[str], common.PortMapping]]:
    """Ports of the host that lead into the container, with the networks that they are for."""
    if app.host_networking:
        return []
    inner = inner_ports(app, instance)
    return [
        (mapping.network_names, common.PortMapping(host, number, protocol))
        for (port, number), mapping, host in zip(inner, app.port_mappings, instance.ports, strict=False)
        if port.host is not None
        for protocol in port.protocol.split(",")
    ]


def _network_infos(
    app: App, mappings: list[tuple[list[str], common.PortMapping]], bridge: str
) -> list[common.NetworkInfo]:
    if app.host_networking or (app.docker and app.networks[0].mode == BRIDGE):
        return []
    if app.docker:
        return [network_info(one, bridge, []) for one in app.networks]
    return [
        network_info(one, bridge, [mapping for names, mapping in mappings if not names or one.name in names])
        for one in app.networks
    ]


def secret_volume(path: str, value: bytes) -> common.Volume:
    """A file with a secret in it."""
    return common.Volume(path, "RO", source=common.VolumeSource("SECRET", secret=secret_message(value)))


def _external(of: External) -> common.VolumeSource:
    """A volume of a Docker volume driver; an agent that has no such drivers says so when it is launched."""
    prefix = f"{DVDI}/"
    options = {key.removeprefix(prefix): value for key, value in of.options.items() if key.startswith(prefix)}
    driver = options.pop(DRIVER.removeprefix(prefix))
    if of.size is not None:
        options["size"] = str(of.size)
    told = common.Parameters([common.Parameter(key, value) for key, value in options.items()]) if options else None
    return common.VolumeSource("DOCKER_VOLUME", docker_volume=common.DockerVolume(of.name, driver, told))


def _volume(volume: Volume, secrets: Mapping[str, bytes]) -> common.Volume | None:
    """Persistent volumes come with the resources, not here."""
    if volume.secret is not None:
        return secret_volume(volume.container_path, secrets[volume.secret])
    if volume.external is not None:
        return common.Volume(volume.container_path, volume.mode, source=_external(volume.external))
    if volume.host_path is None:
        return None
    return common.Volume(container_path=volume.container_path, host_path=volume.host_path, mode=volume.mode)
