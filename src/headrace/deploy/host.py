"""``python -m headrace.deploy.host start|stop|status|watch mesos-master|mesos-agent …``: one daemon of this machine.

What the cluster commands run on every machine, by ssh or here. The answer is a line of JSON (``report``); exit status
0 if there was one, 2 for a mistake, which is one line on stderr.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from headrace.deploy import layout, leftovers, processes, running, units
from headrace.deploy.layout import COMPONENTS
from headrace.deploy.report import Report, encode
from headrace.deploy.settings import Settings, settings
from headrace.deploy.sourcing import sourced
from headrace.kernel import listeners
from headrace.kernel.daemon import EXIT_USAGE, UserError
from headrace.kernel.flags import Parser

_PATIENCE = 20.0
"""Seconds that a daemon may take to end before it is killed."""
_LOOK = 0.25
_ENDING = 2.0
"""Seconds that a port may seem taken by nobody: whoever had it is ending."""


def start(daemon: Settings, *, several: bool, takeover: bool, patience: float) -> Report:
    """Start the daemon, and wait until it answers. Raises UserError, and leaves nothing behind then."""
    notes = _clear_units(daemon, takeover=takeover)
    if alone := (running.loopback_name(daemon.ip) if several else ""):
        raise UserError(alone)
    if (here := processes.read_pid_file(Path(daemon.pid_file))) is not None:
        return running.look(daemon, here, "started", [*notes, "it ran already"], patience=patience)
    notes += _clear_port(daemon, takeover=takeover)
    launched = running.launch(daemon)
    try:
        return running.look(daemon, launched, "started", notes, patience=patience)
    except UserError:
        processes.end(launched.process, signal.SIGTERM, _PATIENCE)
        Path(daemon.pid_file).unlink(missing_ok=True)
        raise


def stop(daemon: Settings, *, takeover: bool, keep_tasks: bool) -> Report:
    """End the daemon and, unless they are to be kept, an agent's tasks; look that nothing is left. Raises UserError."""
    notes = []
    path = Path(daemon.pid_file)
    here = processes.read_pid_file(path)
    agent = daemon.component is layout.AGENT
    if here is not None:
        number = signal.SIGUSR1 if agent and not keep_tasks else signal.SIGTERM
        if not processes.end(here.process, number, _PATIENCE):
            notes.append(f"process {here.process.pid} had to be killed")
    if agent and not keep_tasks and (count := leftovers.end_now(Path(daemon.work_dir))):
        notes.append(f"{count} processes of tasks were ended")
    path.unlink(missing_ok=True)
    if takeover:
        notes += _clear_units(daemon, takeover=True) + _clear_port(daemon, takeover=True)
    problem = _left(daemon)
    return Report("stopped" if here is not None else "not running", problem=problem, notes=notes)


def status(daemon: Settings) -> Report:
    """How the daemon is."""
    here = processes.read_pid_file(Path(daemon.pid_file))
    if here is None:
        return Report("not running", problem=_left(daemon))
    try:
        return running.look(daemon, here, "running", [], patience=2.0)
    except UserError as error:
        return Report("running", here.process.pid, problem=str(error))


def watch(daemon: Settings, *, expect: str, seconds: float) -> Report:
    """Look for a time whether it stays as it is: ``running`` or ``stopped``."""
    deadline = time.monotonic() + seconds
    while True:
        here = processes.read_pid_file(Path(daemon.pid_file))
        if expect == "stopped":
            problem = _left(daemon) if here is None else f"{processes.shown(here.process.pid)} runs again"
        elif here is None:
            problem = f"it has ended; {daemon.log} may say why"
        else:
            problem = running.foreign_owner(daemon, here.process) or _foreigners(daemon)
        if problem or time.monotonic() >= deadline:
            return Report("watched", here.process.pid if here else 0, problem=problem)
        time.sleep(min(_LOOK, max(0.0, deadline - time.monotonic())))


def _clear_units(daemon: Settings, *, takeover: bool) -> list[str]:
    """Refuse units that would bring foreign daemons back, or stop them. Raises UserError."""
    found = units.look(daemon.component.units)
    alive = [unit for unit in found if unit.alive]
    if alive and not takeover:
        raise UserError(units.advice(alive))
    for unit in alive:
        units.stop(unit)
    notes = [f"systemd's unit {unit.name} was stopped" for unit in alive]
    return [*notes, warning] if (warning := units.warning(found)) else notes


def _clear_port(daemon: Settings, *, takeover: bool) -> list[str]:
    """Refuse a port that somebody has, or end a Mesos daemon that has it. Raises UserError."""
    address = running.address_of(daemon.ip)
    identity = _owner(daemon.port, address) if daemon.port else None
    if identity is None:
        return []
    pid = identity.pid
    if not processes.kind(pid):
        raise UserError(f"port {daemon.port} is taken by {processes.shown(pid)}, which is no Mesos daemon: stop it")
    if not takeover:
        raise UserError(f"port {daemon.port} is taken by {processes.shown(pid)}; --takeover ends that process")
    told = processes.shown(pid)
    try:
        processes.end(identity, signal.SIGTERM, _PATIENCE)
    except PermissionError:
        raise UserError(f"port {daemon.port} is taken by {told}, which this user may not end") from None
    return [f"{told} had port {daemon.port} and was ended"]


def _owner(port: int, address: str) -> processes.Identity | None:
    """Who has a port; None if it is free. Raises UserError if that can't be seen."""
    deadline = time.monotonic() + _ENDING
    while listeners.taken(port, address):
        pid = listeners.owner(port, address)
        if pid is not None and (identity := processes.identify(pid)) is not None:
            return identity
        if time.monotonic() > deadline:
            raise UserError(f"port {port} is taken by a process of another user (root: ss -ltnp)")
        time.sleep(_LOOK)
    return None


def _left(daemon: Settings) -> str:
    """Who runs though the daemon does not; empty if nobody does."""
    address = running.address_of(daemon.ip)
    if daemon.port and (pid := listeners.owner(daemon.port, address)) is not None:
        return f"{processes.shown(pid)} listens on port {daemon.port}; it was not started by this tool{_hint(daemon)}"
    return _foreigners(daemon)


def _foreigners(daemon: Settings) -> str:
    for pid in processes.apache_daemons(daemon.component.name):
        return f"{processes.shown(pid)} runs, which was not started by this tool{_hint(daemon)}"
    return units.advice(units.look(daemon.component.units))


def _hint(daemon: Settings) -> str:
    said = units.advice(units.look(daemon.component.units))
    return f": {said}" if said else "; --takeover ends it if it has the port"


def main(arguments: list[str]) -> int:
    """Run one operation; returns the exit status."""
    try:
        given = _parser().parse_args(arguments)
        component = COMPONENTS[given.component]
        file = layout.environment_file(Path(given.home), component)
        daemon = settings(
            component,
            sourced(file, os.environ),
            machine=given.machine,
            source=str(file),
            masters=given.masters,
            several=given.several and given.operation == "start",
        )
        if given.operation == "start":
            report = start(daemon, several=given.several, takeover=given.takeover, patience=given.timeout)
        elif given.operation == "stop":
            report = stop(daemon, takeover=given.takeover, keep_tasks=given.keep_tasks)
        elif given.operation == "watch":
            report = watch(daemon, expect=given.expect, seconds=given.timeout)
        else:
            report = status(daemon)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    print(encode(report))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("headrace.deploy.host", "One daemon of this machine.")
    parser.add_argument("operation", choices=("start", "stop", "status", "watch"))
    parser.add_argument("component", choices=sorted(COMPONENTS))
    parser.add_argument("--home", required=True, help="MESOS_HOME")
    parser.add_argument("--machine", required=True, help="how the lists name this machine")
    parser.add_argument("--several", action="store_true", help="the cluster has other machines")
    parser.add_argument("--masters", type=int, default=1, help="how many masters the cluster has")
    parser.add_argument("--takeover", action="store_true", help="stop foreign units and daemons in the way")
    parser.add_argument("--keep-tasks", action="store_true", help="stop an agent and leave its tasks")
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds to wait, or to watch")
    parser.add_argument("--expect", choices=("running", "stopped"), default="running", help="what to watch for")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
