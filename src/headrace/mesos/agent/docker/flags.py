"""The agent's flags about containerizers, Docker's above all. Imports nothing of Docker's, which may not be wanted."""

from __future__ import annotations

import argparse

import msgspec

from headrace.mesos.agent.flags.units import duration

_KNOWN = ("mesos", "docker")


class DockerFlags(msgspec.Struct, frozen=True):
    """``enabled``: Docker containers are run; times in seconds."""

    enabled: bool = False
    socket: str = "/var/run/docker.sock"
    remove_delay: float = 6 * 3600.0
    stop_timeout: float = 0.0

    def shown(self) -> dict[str, str]:
        """As /flags tells them."""
        return {
            "containerizers": ",".join(_KNOWN if self.enabled else _KNOWN[:1]),
            "docker_socket": self.socket,
            "docker_remove_delay": f"{self.remove_delay:g}secs",
            "docker_stop_timeout": f"{self.stop_timeout:g}secs",
        }


def add_to(parser: argparse.ArgumentParser) -> None:
    """Make the parser know them."""
    for name, default, explanation in (
        ("containerizers", "mesos", "mesos, or mesos,docker to run Docker images as well (default mesos)"),
        ("docker_socket", DockerFlags().socket, "the Docker engine's socket (default /var/run/docker.sock)"),
        ("docker_remove_delay", "6hrs", "how long ended Docker containers stay (default 6hrs)"),
        ("docker_stop_timeout", "0secs", "from stop signal to SIGKILL for Docker containers that no task owns"),
    ):
        names = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        parser.add_argument(*names, default=default, help=explanation)


def read(given: argparse.Namespace) -> DockerFlags:
    """What was given. Raises ValueError."""
    names = [name.strip() for name in given.containerizers.split(",")]
    unknown = [name for name in names if name not in _KNOWN]
    if unknown or "mesos" not in names:
        raise ValueError(f"--containerizers: {given.containerizers!r} is neither mesos nor mesos,docker")
    return DockerFlags(
        "docker" in names,
        given.docker_socket.removeprefix("unix://"),
        duration("--docker_remove_delay", given.docker_remove_delay),
        duration("--docker_stop_timeout", given.docker_stop_timeout),
    )
