"""Nodes as commands look for them: the agents that a master knows, which of them is meant, and their machines; pure.

The fields are those of Mesos's ``/master/slaves`` and ``/maintenance/*``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.cli import output
from headrace.cli.api import NOT_THERE, CommandError


class Nanoseconds(msgspec.Struct, frozen=True):
    nanoseconds: int = 0

    @property
    def seconds(self) -> float:
        return self.nanoseconds / 1e9


class DrainConfig(msgspec.Struct, frozen=True):
    max_grace_period: Nanoseconds | None = None
    mark_gone: bool = False


class DrainInfo(msgspec.Struct, frozen=True):
    state: str = ""
    config: DrainConfig = DrainConfig()


class MachineId(msgspec.Struct, frozen=True, omit_defaults=True):
    """A machine as a maintenance schedule names it."""

    hostname: str = ""
    ip: str = ""

    def __str__(self) -> str:
        return "@".join(part for part in (self.hostname, self.ip) if part)

    def is_of(self, hostname: str, ip: str) -> bool:
        """Whether an agent that names itself so is on this machine."""
        return (not self.hostname or self.hostname.lower() == hostname.lower()) and self.ip in ("", ip)

    def is_called(self, name: str) -> bool:
        """Whether a person may mean it by ``name``."""
        return name.lower() in (self.hostname.lower(), self.ip, str(self).lower())


class _Persistence(msgspec.Struct, frozen=True):
    id: str = ""


class _Disk(msgspec.Struct, frozen=True):
    persistence: _Persistence | None = None


class _Scalar(msgspec.Struct, frozen=True):
    value: float = 0.0


class Reserved(msgspec.Struct, frozen=True):
    """A resource of an agent's ``reserved_resources_full``."""

    scalar: _Scalar = _Scalar()
    disk: _Disk | None = None

    @property
    def volume(self) -> str:
        """The id of the persistent volume that it is; empty if it is none."""
        return self.disk.persistence.id if self.disk is not None and self.disk.persistence is not None else ""


class Node(msgspec.Struct):
    """An agent of ``/master/slaves``. ``recovered``: the master waits for it after its own restart."""

    id: str = ""
    hostname: str = ""
    pid: str = ""
    active: bool = True
    deactivated: bool = False
    version: str = ""
    registered_time: float = 0.0
    reregistered_time: float = 0.0
    attributes: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    used_resources: dict[str, Any] = {}
    reserved_resources: dict[str, dict[str, Any]] = {}
    reserved_resources_full: dict[str, list[Reserved]] = {}
    drain_info: DrainInfo | None = None
    estimated_drain_start_time_seconds: float = 0.0
    recovered: bool = False

    @property
    def address(self) -> str:
        """``ip:port``; empty if the master does not tell."""
        return self.pid.rpartition("@")[2]

    @property
    def machine(self) -> MachineId:
        """The machine that it is on."""
        return MachineId(self.hostname, self.address.rpartition(":")[0])

    @property
    def state(self) -> str:
        """One word, or two: what it may be used for."""
        if self.drain_info is not None:
            decided = self.drain_info.state.lower() + (", then gone" if self.drain_info.config.mark_gone else "")
        else:
            decided = "deactivated" if self.deactivated else ""
        if self.recovered:
            return f"{decided}, not back yet" if decided else "not back yet"
        return decided or ("active" if self.active else "disconnected")

    def is_abbreviated(self, name: str) -> bool:
        """Whether its id begins or ends so."""
        return self.id.startswith(name) or self.id.endswith(f"-{name}")


class Nodes(msgspec.Struct):
    """The body of ``/master/slaves``."""

    slaves: list[Node] = []
    recovered_slaves: list[Node] = []

    def all(self) -> list[Node]:
        """Registered ones first."""
        return [*self.slaves, *(msgspec.structs.replace(node, recovered=True) for node in self.recovered_slaves)]


class Unavailability(msgspec.Struct, omit_defaults=True):
    start: Nanoseconds
    duration: Nanoseconds | None = None

    def shown(self) -> str:
        """From when on, and for how long."""
        return output.span(self.start.seconds, self.duration.seconds if self.duration is not None else None)


class Window(msgspec.Struct):
    unavailability: Unavailability
    machine_ids: list[MachineId] = []


class Schedule(msgspec.Struct):
    """The body of ``/maintenance/schedule``."""

    windows: list[Window] = []

    def without(self, machines: list[MachineId]) -> Schedule:
        """The same without these machines."""
        kept = [
            Window(window.unavailability, [one for one in window.machine_ids if one not in machines])
            for window in self.windows
        ]
        return Schedule([window for window in kept if window.machine_ids])

    def machines(self) -> list[MachineId]:
        """All that are in it."""
        return [machine for window in self.windows for machine in window.machine_ids]

    def window_of(self, hostname: str, ip: str) -> Unavailability | None:
        """When an agent's machine will be away, if that is planned."""
        return next((w.unavailability for w in self.windows if any(m.is_of(hostname, ip) for m in w.machine_ids)), None)


def find_node(nodes: Nodes, wanted: str) -> Node:
    """The agent with this id or address; else the only one on a host of that name, or whose id begins or ends so.

    Raises CommandError.
    """
    _refuse_nothing(wanted)
    known = nodes.all()
    found = (
        [node for node in known if wanted in (node.id, node.address)]
        or [node for node in known if node.machine.is_called(wanted)]
        or [node for node in known if node.is_abbreviated(wanted)]
    )
    if not found:
        raise CommandError(f"there is no node {wanted}; `headrace node list` shows all", NOT_THERE)
    if len(found) > 1:
        some = ", ".join(f"{node.id} ({node.address})" for node in found[:5])
        raise CommandError(f"{wanted} may mean {len(found)} nodes: {some}; name one by its id")
    return found[0]


def find_machine(nodes: Nodes, schedule: Schedule, wanted: str) -> MachineId:
    """The machine of this name, or with an agent of this id or address, or HOST@IP itself, or else with the only agent
    whose id begins or ends so.

    One that is scheduled is named as it is there. Raises CommandError.
    """
    _refuse_nothing(wanted)
    machines = [node.machine for node in nodes.all() if wanted in (node.id, node.address)]
    machines += [node.machine for node in nodes.all() if node.machine.is_called(wanted)]
    scheduled = [one for one in schedule.machines() if one.is_called(wanted)]
    scheduled += [one for one in schedule.machines() for its in machines if one.is_of(its.hostname, its.ip)]
    found = list(dict.fromkeys(scheduled or machines))
    if not found and any(node.is_abbreviated(wanted) for node in nodes.all()):
        return find_machine(nodes, schedule, find_node(nodes, wanted).id)
    if not found and "@" in wanted:
        hostname, _, ip = wanted.partition("@")
        return MachineId(hostname, ip)
    if not found:
        why = f"no agent is on a machine {wanted}, and none is scheduled; name one without agents as HOST@IP"
        raise CommandError(why, NOT_THERE)
    if len(found) > 1:
        raise CommandError(f"{wanted} may mean {', '.join(map(str, found[:5]))}; name one as HOST@IP")
    return found[0]


def _refuse_nothing(wanted: str) -> None:
    if not wanted.strip():
        raise CommandError("the name is empty (an unset variable?)")
