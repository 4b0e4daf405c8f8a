"""The command lines of the daemons, and what each agent of several on one machine may offer."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import msgspec

from headrace.cli.up.core import Kind
from headrace.cli.up.settings import DaemonSpec, Settings
from headrace.kernel.daemon import UserError
from headrace.mesos.resources import merge

_MODULE = {
    Kind.MASTER: "headrace.mesos.master",
    Kind.AGENT: "headrace.mesos.agent",
    Kind.MARATHON: "headrace.marathon",
}
_ROLE = "mesos_role"
"""Of Marathon. Volumes that are kept are reserved, which can't be done for the role ``*``; so it has one of its own."""
_FIRST_PORT, _PORTS = 31000, 1000
_PORT_RANGES = re.compile(r"ports\s*:\s*\[([\d\s,-]*)\]")
_SPAN = re.compile(r"(\d+)\s*-\s*(\d+)")
_MIB = 1024 * 1024


def command_line(spec: DaemonSpec, port: int, settings: Settings, *, master: str, java_home: Path | None) -> list[str]:
    """What starts the daemon on ``port``. ``master`` is the master's URL, unused by the master itself."""
    argv = [sys.executable, "-m", _MODULE[spec.kind], "--host", settings.host, "--port", str(port)]
    argv += ["--data", str(settings.root / spec.name)]
    if spec.kind is Kind.MASTER:
        argv += settings.master_flags
    else:
        argv += ["--master", master]
    if spec.kind is Kind.AGENT:
        if settings.resources:
            resources = with_ports_of_its_own(settings.resources, settings.agents, spec.index)
        else:
            resources = share_of_machine(settings.agents, spec.index)
        if resources:
            argv += ["--resources", resources]
        # what outlives a task may be kept in the first; the second is the master of clusters that name none
        variables = {"HEADRACE_DATA": str(settings.root), "HEADRACE_MASTER": master}
        if java_home is not None:
            variables["JAVA_HOME"] = str(java_home)
        argv += ["--executor-environment-variables", msgspec.json.encode(variables).decode()]
        argv += settings.agent_flags
    if spec.kind is Kind.MARATHON:
        if f"MARATHON_{_ROLE.upper()}" not in os.environ and not any(_ROLE in one for one in settings.marathon_flags):
            argv += [f"--{_ROLE}", "marathon"]
        argv += settings.marathon_flags
    return argv


def with_ports_of_its_own(resources: str, agents: int, index: int) -> str:
    """``resources`` with this agent's part of the ports: agents on one machine must not offer the same ones.

    Raises UserError if there are too few ports, or they can't be found in the text.
    """
    if agents == 1:
        return resources
    if "ports" not in resources:
        first = _FIRST_PORT + index * _PORTS
        return f"{resources};ports:[{first}-{first + _PORTS - 1}]"
    match = _PORT_RANGES.search(resources)
    if match is None:
        raise UserError("--resources for several agents must be of the form 'cpus:1;mem:1024;ports:[31000-31999]'")
    spans = [(int(begin), int(end)) for begin, end in _SPAN.findall(match[1])]
    ports = [port for begin, end in spans for port in range(begin, end + 1)]
    mine = ports[len(ports) * index // agents : len(ports) * (index + 1) // agents]
    if not mine:
        raise UserError(f"--resources has {len(ports)} ports, which is too few for {agents} agents")
    ranges = ",".join(f"{begin}-{end}" for begin, end in merge((port, port) for port in mine))
    return resources[: match.start(1)] + ranges + resources[match.end(1) :]


def share_of_machine(agents: int, index: int) -> str:
    """An equal part of the CPUs and the memory, and ports of its own; a single agent finds out by itself."""
    if agents == 1:
        return ""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB
    usable = memory - 1024 if memory > 2048 else memory // 2
    cpus = (os.cpu_count() or 1) / agents
    first = _FIRST_PORT + index * _PORTS
    return f"cpus:{cpus:.3f};mem:{usable // agents};ports:[{first}-{first + _PORTS - 1}]"
