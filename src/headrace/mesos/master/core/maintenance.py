"""Planned maintenance: the schedule, and machines that are drained, taken down and brought up again.

Offers of an agent whose machine is in the schedule say when it will be unavailable, and frameworks that
are there get inverse offers. A machine that is down has no agents: those that it had are removed, and
none may register until it is up. Answers and texts are Mesos's. Source: Mesos documentation,
"Maintenance Primitives".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from headrace.mesos.master.core import registry
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.effects import OK, Answer
from headrace.mesos.master.core.inverse_offers import InverseOffersOut
from headrace.mesos.master.core.losses import Losses
from headrace.mesos.master.core.model import Agent, Machine, MachineKey
from headrace.mesos.master.core.offers import Offers
from headrace.mesos.master.core.registry import machine_key
from headrace.mesos.messages.operator import ClusterStatus, DrainingMachine, MachineID, Schedule

_ADDRESS = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)


class Maintenance:
    """The rules of maintenance, over the books."""

    def __init__(self, books: Books, offers: Offers, inverse: InverseOffersOut, losses: Losses) -> None:
        self._books = books
        self._offers = offers
        self._inverse = inverse
        self._losses = losses

    # Orders of operators

    def update_schedule(self, schedule: Schedule, now: float) -> Answer:
        """From now on this is planned, and nothing else."""
        windows = tuple(schedule.windows or ())
        if wrong := _problem_of(schedule) or self._down_and_missing(schedule):
            return Answer(400, wrong)
        old = self._books.machines
        machines: dict[MachineKey, Machine] = {}
        for window in windows:
            for machine in window.machine_ids or ():
                key = machine_key(machine)
                down = key in old and old[key].down
                machines[key] = Machine(machine, window.unavailability, down)
        self._books.schedule, self._books.machines = windows, machines
        self._store()
        for agent in self._books.agents.values():
            self._plan(agent, now)
        return OK

    def _down_and_missing(self, schedule: Schedule) -> str | None:
        planned = {machine_key(m) for window in schedule.windows or () for m in window.machine_ids or ()}
        for key, machine in self._books.machines.items():
            if machine.down and key not in planned:
                return f"Machine '{_named(machine.id)}' is deactivated and cannot be removed from the schedule"
        return None

    def start(self, ids: Sequence[MachineID], now: float) -> Answer:
        """Take machines down: their agents end."""
        if wrong := _problem_of_machines(ids) or self._not_in_mode(ids, down=False):
            return Answer(400, wrong)
        for machine_id in ids:
            key = machine_key(machine_id)
            self._books.machines[key] = msgspec.structs.replace(self._books.machines[key], down=True)
            self._books.story(f"machine/{_named(machine_id)}", now, "down", "by an operator")
        self._store()
        agents = self._agents()
        for machine_id in ids:
            for agent in agents.get(machine_key(machine_id), ()):
                self._losses.remove(agent, "Operator initiated 'Machine DOWN'", now, refuse=True)
        return OK

    def stop(self, ids: Sequence[MachineID], now: float) -> Answer:
        """Machines are up again, and no longer in the schedule."""
        if wrong := _problem_of_machines(ids) or self._not_in_mode(ids, down=True):
            return Answer(400, wrong)
        books = self._books
        ended = {machine_key(machine_id) for machine_id in ids}
        for key in ended:
            del books.machines[key]
        windows = [
            msgspec.structs.replace(
                window, machine_ids=[m for m in window.machine_ids or () if machine_key(m) not in ended]
            )
            for window in books.schedule
        ]
        books.schedule = tuple(window for window in windows if window.machine_ids)
        for machine_id in ids:
            books.story(f"machine/{_named(machine_id)}", now, "up", "by an operator")
        self._store()
        return OK

    def _not_in_mode(self, ids: Sequence[MachineID], *, down: bool) -> str | None:
        agents = self._agents()
        for machine_id in ids:
            machine = self._books.machines.get(machine_key(machine_id))
            if machine is None and machine_key(machine_id) not in agents:
                return f"Machine '{_named(machine_id)}' is not part of a maintenance schedule"
            if machine is None or machine.down != down:
                mode, way = ("DOWN", "up") if down else ("DRAINING", "down")
                return f"Machine '{_named(machine_id)}' is not in {mode} mode and cannot be brought {way}"
        return None

    def _store(self) -> None:
        self._books.emit(registry.keep_maintenance(self._books.schedule, self._books.machines))

    # Agents

    def greet(self, agent: Agent, now: float) -> None:
        """An agent has registered."""
        self._plan(agent, now)
        if agent.unavailability is not None:
            self._inverse.watch(agent)

    def _plan(self, agent: Agent, now: float) -> None:
        """Note when an agent will be unavailable, if that has changed."""
        machine = machine_of(self._books.machines, agent.info.hostname, agent.ip)
        unavailability = machine.unavailability if machine is not None else None
        if unavailability == agent.unavailability:
            return
        agent.unavailability = unavailability
        what = "maintenance planned" if unavailability is not None else "no maintenance planned any more"
        self._books.story(f"agent/{agent.id}", now, what)
        self._offers.rescind(agent.offers.values(), f"the maintenance of agent {agent.id} has changed", now)
        self._inverse.watch(agent)

    def _agents(self) -> dict[MachineKey, list[Agent]]:
        """All agents by every name of their machines."""
        out: dict[MachineKey, list[Agent]] = {}
        for agent in self._books.agents.values():
            for key in _keys(agent.info.hostname, agent.ip):
                out.setdefault(key, []).append(agent)
        return out

    # Views

    def status(self) -> ClusterStatus:
        """Which machines are down, which are drained, and what frameworks have answered."""
        machines = self._books.machines
        agents = self._agents() if machines else {}
        draining = [
            DrainingMachine(machine.id, self._inverse.statuses(agents.get(key, ())) or None)
            for key, machine in machines.items()
            if not machine.down
        ]
        down = [machine.id for machine in machines.values() if machine.down]
        return ClusterStatus(draining or None, down or None)

    def schedule(self) -> Schedule:
        """What is planned."""
        return Schedule(list(self._books.schedule) or None)


def machine_of(machines: Mapping[MachineKey, Machine], hostname: str, ip: str) -> Machine | None:
    """The scheduled machine that an agent is on; one may be named by its host name or its address alone."""
    if not machines:
        return None
    return next((machines[key] for key in _keys(hostname, ip) if key in machines), None)


def _keys(hostname: str, ip: str) -> tuple[MachineKey, ...]:
    return (hostname.lower(), ip), (hostname.lower(), ""), ("", ip)


def _named(machine: MachineID) -> str:
    return msgspec.json.encode(machine).decode()


def _problem_of(schedule: Schedule) -> str | None:
    seen: set[MachineKey] = set()
    for window in schedule.windows or ():
        if not window.machine_ids:
            return "List of machines in the maintenance window is empty"
        duration = window.unavailability.duration
        if duration is not None and duration.nanoseconds < 0:
            return "Unavailability 'duration' is negative"
        if wrong := _problem_of_each(window.machine_ids, seen):
            return wrong
    return None


def _problem_of_machines(ids: Sequence[MachineID]) -> str | None:
    return _problem_of_each(ids, set()) if ids else "List of machines is empty"


def _problem_of_each(ids: Sequence[MachineID], seen: set[MachineKey]) -> str | None:
    for machine in ids:
        if not machine.hostname and not machine.ip:
            return "Both 'hostname' and 'ip' for a machine are empty"
        match = _ADDRESS.fullmatch(machine.ip) if machine.ip else None
        if machine.ip and (match is None or any(int(part) > 255 for part in match.groups())):
            return f"Failed to parse the IP: '{machine.ip}'"
        if machine_key(machine) in seen:
            return f"Machine '{_named(machine)}' appears more than once in the schedule"
        seen.add(machine_key(machine))
    return None
