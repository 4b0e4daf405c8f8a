"""The command lines of the daemons, and what each agent of several on one machine may offer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from headrace.cli.up.core import Kind
from headrace.cli.up.settings import DaemonSpec, Settings

_MODULE = {
    Kind.MASTER: "headrace.mesos.master",
    Kind.AGENT: "headrace.mesos.agent",
    Kind.MARATHON: "headrace.marathon",
}
_FIRST_PORT, _PORTS = 31000, 1000
_MIB = 1024 * 1024


def command_line(spec: DaemonSpec, port: int, settings: Settings, *, master: str, java_home: Path | None) -> list[str]:
    """What starts the daemon on ``port``. ``master`` is the master's URL, unused by the master itself."""
    argv = [sys.executable, "-m", _MODULE[spec.kind], "--host", settings.host, "--port", str(port)]
    argv += ["--data", str(settings.root / spec.name)]
    if spec.kind is not Kind.MASTER:
        argv += ["--master", master]
    if spec.kind is Kind.AGENT:
        resources = settings.resources or share_of_machine(settings.agents, spec.index)
        if resources:
            argv += ["--resources", resources]
        if java_home is not None:
            variables = msgspec.json.encode({"JAVA_HOME": str(java_home)}).decode()
            argv += ["--executor-environment-variables", variables]
    return argv


def share_of_machine(agents: int, index: int) -> str:
    """An equal part of the CPUs and the memory, and ports of its own; a single agent finds out by itself."""
    if agents == 1:
        return ""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB
    usable = memory - 1024 if memory > 2048 else memory // 2
    cpus = (os.cpu_count() or 1) / agents
    first = _FIRST_PORT + index * _PORTS
    return f"cpus:{cpus:.3f};mem:{usable // agents};ports:[{first}-{first + _PORTS - 1}]"
