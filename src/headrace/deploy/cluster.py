"""Starts, stops and watches all daemons of a cluster: the master's machine first, then all agents' at once.

Nothing is "started" before it answers as itself, and one machine's failure is told with its name and makes the whole
command fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from headrace.deploy import layout, remote
from headrace.deploy.layout import AGENT, MASTER, Component
from headrace.deploy.remote import Way
from headrace.deploy.report import Report, decode

_SSH_TIME = 60.0
"""Seconds that a machine may take beyond what was asked of it: ssh, sudo, and stopping what has to be killed."""


class Wishes(msgspec.Struct, frozen=True):
    """What the operator asks for. Times in seconds."""

    takeover: bool = False
    keep_tasks: bool = False
    timeout: float = 20.0
    watch: float = 0.0


class Cluster:
    """The machines of one MESOS_HOME. ``say`` gets lines for people, ``complain`` those that tell of failure."""

    def __init__(
        self, home: Path, way: Way, wishes: Wishes, say: Callable[[str], None], complain: Callable[[str], None]
    ) -> None:
        self._home = home
        self._way = way
        self._wishes = wishes
        self._say = say
        self._complain = complain
        self._machines = {component.name: layout.hosts(home, component) for component in (MASTER, AGENT)}

    async def start(self) -> bool:
        """Start everything; whether all went well."""
        for component in (MASTER, AGENT):
            if not await self._on_all("start", component, "Starting"):
                if component is MASTER:
                    self._complain("agents are not started, because there is no master")
                return False
        if not await self._watched("running", (MASTER, AGENT)):
            return False
        self._say("Everything's started!")
        return True

    async def stop(self) -> bool:
        """Stop everything; whether nothing is left."""
        well = await self._on_all("stop", AGENT, "Stopping")
        well = await self._on_all("stop", MASTER, "Stopping") and well
        if not well or not await self._watched("stopped", (AGENT, MASTER)):
            return False
        self._say("Everything's stopped!")
        return True

    async def status(self) -> bool:
        """Tell how everything is; whether all runs."""
        results = [await self._on_all("status", component, "") for component in (MASTER, AGENT)]
        return all(results)

    async def _watched(self, expect: str, components: Sequence[Component]) -> bool:
        if not self._wishes.watch:
            return True
        self._say(f"Watching for {self._wishes.watch:g} s …")
        results = await asyncio.gather(
            *(self._on_all("watch", component, "", "--expect", expect) for component in components)
        )
        return all(results)

    async def _on_all(self, operation: str, component: Component, doing: str, *more: str) -> bool:
        machines = self._machines[component.name]
        if doing:
            for machine in machines:
                self._say(f"{doing} {component.name} on {machine}")
        return all(await asyncio.gather(*(self._on(machine, operation, component, more) for machine in machines)))

    async def _on(self, machine: str, operation: str, component: Component, more: Sequence[str]) -> bool:
        wishes = self._wishes
        seconds = wishes.watch if operation == "watch" else wishes.timeout
        words = ["-m", "headrace.deploy.host", operation, component.name, "--home", str(self._home)]
        words += ["--machine", machine, "--timeout", f"{seconds:g}", *more]
        words += ["--masters", str(len(self._machines[MASTER.name]))]
        words += [
            flag
            for flag, wanted in (
                ("--several", len({m for machines in self._machines.values() for m in machines}) > 1),
                ("--takeover", wishes.takeover and operation in ("start", "stop")),
                ("--keep-tasks", wishes.keep_tasks and operation == "stop"),
            )
            if wanted
        ]
        outcome = await remote.run(self._way, machine, words, seconds + _SSH_TIME)
        return self._tell(f"{component.name} on {machine}", operation, outcome)

    def _tell(self, what: str, operation: str, outcome: remote.Outcome) -> bool:
        report = decode(outcome.output)
        if report is None:
            self._complain(f"{what}: {outcome.trouble or 'the answer was not understood'}")
            return False
        for note in report.notes:
            self._say(f"{what}: {note}")
        if report.problem:
            self._complain(f"{what}: {report.problem}")
            return False
        if operation != "watch":
            self._say(f"{what}: {_state(report)}")
        return operation != "status" or report.state == "running"


def _state(report: Report) -> str:
    process = f", process {report.pid}" if report.pid else ""
    return f"{report.state}{process}{', ' + report.url if report.url else ''}"
