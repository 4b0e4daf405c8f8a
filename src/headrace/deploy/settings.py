"""What a daemon is started with, out of its machine's environment; pure.

MESOS_<flag> is the flag, in whichever case, as for the daemons themselves; ``log_dir`` is the deploy tool's: daemons
log to stderr, which goes to a file there.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.deploy.layout import AGENT, Component
from headrace.kernel.daemon import UserError

_PREFIX = "MESOS_"
_UNKNOWN = "unknown-machine"
_HERE = ("localhost", "127.0.0.1", "::1")


class Settings(msgspec.Struct, frozen=True):
    """``ip`` and ``port`` are where it will listen; port 0 takes a free one. ``environment`` is all of it."""

    component: Component
    work_dir: str
    log: str
    ip: str
    port: int
    environment: dict[str, str]

    @property
    def pid_file(self) -> str:
        return f"{self.work_dir}/{self.component.name}.pid"


def settings(
    component: Component,
    environment: Mapping[str, str],
    *,
    machine: str,
    source: str,
    masters: int = 1,
    several: bool = False,
) -> Settings:
    """Read ``environment``, as ``machine`` has it after sourcing ``source``. ``several``: there are other machines.

    Raises UserError that names the file.
    """

    def said(*flags: str) -> str:
        """The value of the variable for any of these flags; empty if there is none."""
        names = [name for name in environment if name.startswith(_PREFIX) and name[len(_PREFIX) :].lower() in flags]
        values = {environment[name].strip() for name in names}
        if len(values) > 1:
            raise UserError(f"{source}: {' and '.join(sorted(names))} say different things; leave one of them")
        return values.pop() if values else ""

    work_dir = said("work_dir", "data")
    if not work_dir:
        raise UserError(
            f"{source} sets no MESOS_work_dir, and without it the {component.name} does not know where to keep its "
            f"state; add a line such as: export MESOS_work_dir=/var/lib/mesos/{component.name.removeprefix('mesos-')}"
        )
    log_dir = said("log_dir") or work_dir
    for name, value in (("MESOS_work_dir", work_dir), ("MESOS_log_dir", log_dir)):
        if not value.startswith("/"):
            raise UserError(f"{source}: {name} is {value!r}, which depends on who starts it; give an absolute path")
    if component is AGENT:
        _check_master(said("master"), source)
    elif masters > 1 and not said("zk"):
        raise UserError(
            f"{source} sets no MESOS_zk: {masters} masters without a ZooKeeper would be {masters} clusters; set it on "
            "all of their machines, or name one machine in masters"
        )
    own = {name: value for name, value in environment.items() if name.lower() != "mesos_log_dir"}
    ip = said("ip", "host")
    name = machine.rpartition("@")[2]
    if not ip:
        if several and name in _HERE:
            raise UserError(
                f"this machine is called {name} in the list, and other machines could not reach it: write its name "
                f"there, or set MESOS_ip and MESOS_hostname in {source}"
            )
        ip = "127.0.0.1" if name in _HERE else name
        own[_PREFIX + "ip"] = ip
    return Settings(
        component, work_dir, f"{log_dir}/{component.name}.log", ip, _port(said("port"), component, source), own
    )


def _check_master(master: str, source: str) -> None:
    if not master:
        raise UserError(f"{source} sets no MESOS_master; add: export MESOS_master=HOST:PORT")
    if _UNKNOWN in master:
        raise UserError(
            f"{source}: MESOS_master is {master}, as the template has it; write where the master is: "
            "export MESOS_master=HOST:PORT"
        )


def _port(text: str, component: Component, source: str) -> int:
    if not text:
        return component.port
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise UserError(f"{source}: MESOS_port is {text!r}; give a port from 0 to 65535")
    return int(text)
