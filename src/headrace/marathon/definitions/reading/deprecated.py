"""Turns an app's deprecated fields into their successors: uris, ports, ipAddress, docker.network, docker.portMappings.

What was given both ways and contradicts is refused.
"""

from __future__ import annotations

from typing import Any

from headrace.marathon.definitions import schema
from headrace.marathon.definitions.errors import Violation, invalid

_ARCHIVES = (".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip")
_MODES = {"HOST": "host", "BRIDGE": "container/bridge", "USER": "container"}


def normalise(fields: dict[str, Any]) -> None:
    """Change ``fields`` (as read by the schema) in place. Raises Rejected 422."""
    problems: schema.Problems = []
    _uris(fields, problems)
    _ports(fields, problems)
    _container(fields, problems)
    if problems:
        raise invalid(problems)
    _ip_address(fields)
    _docker_network(fields)


def _uris(fields: dict[str, Any], problems: schema.Problems) -> None:
    uris = fields.pop("uris", None)
    if not uris:
        return
    if fields.get("fetch"):
        problems.append(Violation("/uris", "may not be set in conjunction with fetch"))
    fields["fetch"] = [{"uri": uri, "extract": uri.split("?")[0].endswith(_ARCHIVES)} for uri in uris]


def _ports(fields: dict[str, Any], problems: schema.Problems) -> None:
    ports = fields.pop("ports", None)
    if ports is None:
        return
    defined = fields.get("portDefinitions")
    if len({port for port in ports if port}) < len([port for port in ports if port]):
        problems.append(Violation("/ports", "ports must be unique"))
    if defined is not None and [one.get("port", 0) for one in defined] != ports:
        problems.append(Violation("/ports", "cannot specify both ports and port definitions"))
    if fields.get("ipAddress") is not None and ports:
        problems.append(Violation("/", "cannot specify both an IP address and port"))
    if defined is None:
        fields["portDefinitions"] = [{"port": port} for port in ports]
        if ports:
            fields["portDefinitions"][0]["name"] = "default"


def _container(fields: dict[str, Any], problems: schema.Problems) -> None:
    container: dict[str, Any] = fields.get("container") or {}
    docker = container.get("docker") or {}
    address = fields.get("ipAddress")
    is_docker = "container" in fields and container.get("type", "DOCKER") == "DOCKER"
    if is_docker and not docker:
        problems.append(Violation("/container/docker", "not defined"))
    if not is_docker:
        for name in ("network", "parameters", "portMappings", "credential"):
            if docker.get(name):
                problems.append(Violation(f"/container/docker/{name}", "must be empty"))
    if is_docker and docker.get("credential"):
        problems.append(Violation("/container/docker/credential", "must be empty"))
    if is_docker and address is not None and (address.get("discovery") or {}).get("ports"):
        problems.append(Violation("/ipAddress", "ipAddress/discovery is not allowed for Docker containers"))
    if "networks" in fields:
        if address is not None:
            problems.append(Violation("/", "must not specify both networks and ipAddress"))
        if docker.get("network"):
            problems.append(Violation("/", "must not specify both container.docker.network and networks"))
    if docker.get("network") == "NONE":
        problems.append(Violation("/container/docker/network", "NONE is not supported; leave the network out"))


def _ip_address(fields: dict[str, Any]) -> None:
    """An address of its own is a container network; its ports are those of the container."""
    address = fields.pop("ipAddress", None)
    if address is None:
        return
    mode = (fields.get("container") or {}).get("docker", {}).get("network")
    if mode not in (None, "USER"):
        return  # the container's own word wins
    network = {"mode": "container", "labels": address.get("labels", {})}
    if address.get("networkName"):
        network["name"] = address["networkName"]
    fields["networks"] = [network]
    found = (address.get("discovery") or {}).get("ports") or []
    container = fields.setdefault("container", {"type": "MESOS"})
    if found and not container.get("portMappings"):
        container["portMappings"] = [
            {"containerPort": one["number"], "name": one["name"], "protocol": one["protocol"], "labels": one["labels"]}
            for one in ({"protocol": "tcp", "labels": {}, **one} for one in found)
        ]
    fields.pop("portDefinitions", None)


def _docker_network(fields: dict[str, Any]) -> None:
    container = fields.get("container")
    docker = (container or {}).get("docker")
    if container is None or docker is None:
        return
    docker = dict(docker)
    network, mappings = docker.pop("network", None), docker.pop("portMappings", None)
    docker.pop("credential", None)
    fields["container"] = container = {**container, "docker": docker}
    if network is not None and "networks" not in fields:
        fields["networks"] = [{"mode": _MODES[network]}]
    if mappings and not container.get("portMappings") and network != "HOST":
        container["portMappings"] = mappings
