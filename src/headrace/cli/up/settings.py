"""What ``headrace up`` was asked to do: handed from the command line to the lean process as JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec

from headrace.cli.up.core import Kind


class DemoSettings(msgspec.Struct, frozen=True):
    """The demo to run in the cluster. ``began``: when the user asked for it, in epoch seconds."""

    once: bool
    began: float


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster on one machine. Port 0 takes a free one. ``resources`` are those of each agent.

    ``master_flags``, ``agent_flags`` and ``marathon_flags`` are further arguments of these daemons.
    """

    data: str
    host: str = "127.0.0.1"
    master_port: int = 5050
    agent_port: int = 5051
    marathon_port: int = 8080
    gateway_port: int = 8000
    agents: int = 1
    resources: str | None = None
    master_flags: list[str] = []
    agent_flags: list[str] = []
    marathon_flags: list[str] = []
    demo: DemoSettings | None = None

    @property
    def root(self) -> Path:
        return Path(self.data)

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def log_of(self, name: str) -> Path:
        """Where the daemon ``name`` logs to."""
        return self.logs / f"{name}.log"


class DaemonSpec(msgspec.Struct, frozen=True):
    """One daemon: its name, what it is, its port as asked for, and the option that says so."""

    name: str
    kind: Kind
    port: int
    option: str
    index: int = 0


def daemons(settings: Settings) -> list[DaemonSpec]:
    """The daemons of a cluster; agent N has the port of the first plus N-1."""
    agents = [
        DaemonSpec(
            "agent" if index == 0 else f"agent-{index + 1}",
            Kind.AGENT,
            settings.agent_port + index if settings.agent_port else 0,
            "--agent-port",
            index,
        )
        for index in range(settings.agents)
    ]
    return [
        DaemonSpec("master", Kind.MASTER, settings.master_port, "--master-port"),
        *agents,
        DaemonSpec("marathon", Kind.MARATHON, settings.marathon_port, "--marathon-port"),
    ]
