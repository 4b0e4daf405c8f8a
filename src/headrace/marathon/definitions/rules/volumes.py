"""An app's container: image, volumes, mapped ports."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.container import DOCKER, DRIVER, DVDI, Container, Volume
from headrace.marathon.definitions.errors import Violation
from headrace.marathon.definitions.parts import CONTAINER
from headrace.marathon.definitions.rules import common
from headrace.marathon.definitions.rules.context import EXTERNAL_VOLUMES, Context


def container(app: App, context: Context) -> Iterator[Violation]:
    """The rules of ``/container``."""
    it = app.container
    if it is None:
        return
    if it.docker is not None and it.docker.pull_config is not None:
        path = "/container/docker/pullConfig"
        if it.type == DOCKER:
            yield Violation(path, "pullConfig is not supported with Docker containerizer")
        else:
            yield from common.secret_reference(it.docker.pull_config.secret, app.secrets, path, context)
    for index, volume in enumerate(it.volumes):
        yield from _volume(volume, app, f"/container/volumes({index})", context)
    yield from _mappings(app, it)
    yield from common.linux_info(it.linux_info, "/container/linuxInfo")
    if it.type == DOCKER and sum(one.mode == CONTAINER for one in app.networks) > 1:
        yield Violation("/", "may only specify a single container network when using the Docker container engine")


def _mappings(app: App, it: Container) -> Iterator[Violation]:
    mappings = it.port_mappings or []
    names = [one.name for one in mappings if one.name is not None]
    if len(set(names)) < len(names):
        yield Violation("/container/portMappings", "Port names must be unique.")
    fixed = [(one.host_port, one.protocol) for one in mappings if one.host_port]
    if len(set(fixed)) < len(fixed):
        yield Violation("/container/portMappings", "Ports must be unique.")
    for index, one in enumerate(mappings):
        path = f"/container/portMappings({index})"
        yield from common.network_names(one.network_names, one.host_port, app.networks, path)


def _volume(volume: Volume, app: App, path: str, context: Context) -> Iterator[Violation]:
    if volume.persistent is not None:
        if volume.mode != "RW":
            yield Violation(f"{path}/mode", f"got {(volume.mode or '').capitalize()}, expected Rw")
        if volume.container_path in (".", "..") or "/" in volume.container_path:
            yield Violation(f"{path}/containerPath", "must be a single directory name, relative to the sandbox")
        yield from common.persistent(volume.persistent, f"{path}/persistent", app.id, volume.container_path)
    elif volume.external is not None:
        yield from context.needs(EXTERNAL_VOLUMES, path)
        if app.instances > 1:
            yield Violation("/instances", f"got {app.instances}, expected 1 or less")
        if volume.external.provider != DVDI:
            words = f"got {volume.external.provider}, expected one of: [{DVDI}]; others can't be had here"
            yield Violation(f"{path}/external/provider", words)
        elif not volume.external.options.get(DRIVER):
            yield Violation(f"{path}/external/options", f"must name the volume's driver as {DRIVER}")
    elif volume.secret is not None:
        feature = list(context.needs("secrets", path))
        yield from feature
        if not feature and volume.secret not in app.secrets:
            yield Violation(f"{path}/secret", "references an undefined secret")
        if app.docker:
            words = "secrets as files need the type MESOS: Docker's containers can have them in env alone"
            yield Violation(f"{path}/secret", words)
    elif volume.host_path is None:
        yield Violation(f"{path}/hostPath", "undefined")
