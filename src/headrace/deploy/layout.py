"""The files of a cluster: ``MESOS_HOME/etc/mesos`` with the lists of machines and what each daemon's environment is.

    masters, agents (or slaves)      one machine per line; a line that begins with # says nothing
    mesos-master-env.sh              sourced by the master's machine before the master starts
    mesos-agent-env.sh               the same for agents; mesos-slave-env.sh is read too
    mesos-deploy-env.sh              sourced here: SSH_OPTS, DEPLOY_WITH_SUDO, HEADRACE_PYTHON

Source: Apache Mesos's deploy scripts, which have the same files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from headrace.kernel.daemon import UserError

_HOST = re.compile(r"(?:[A-Za-z0-9_.-]+@)?[A-Za-z0-9_.:][A-Za-z0-9_.:-]*", re.ASCII)
TEMPLATES = Path(__file__).parent / "templates"
DEPLOY_ENV = "mesos-deploy-env.sh"


class Component(msgspec.Struct, frozen=True):
    """A sort of daemon: what it is called, what runs it, its files, its units of systemd."""

    name: str
    module: str
    port: int
    lists: tuple[str, ...]
    environments: tuple[str, ...]
    units: tuple[str, ...]


MASTER = Component(
    "mesos-master",
    "headrace.mesos.master",
    5050,
    ("masters",),
    ("mesos-master-env.sh",),
    ("mesos-master", "headrace-master"),
)
AGENT = Component(
    "mesos-agent",
    "headrace.mesos.agent",
    5051,
    ("agents", "slaves"),
    ("mesos-agent-env.sh", "mesos-slave-env.sh"),
    ("mesos-slave", "mesos-agent", "headrace-agent"),
)
COMPONENTS = {component.name: component for component in (MASTER, AGENT)}


def directory(home: Path) -> Path:
    """Where the files are."""
    return home / "etc" / "mesos"


def home_of(environment: Mapping[str, str], given: str = "") -> Path:
    """MESOS_HOME, else / for files in /etc/mesos. Raises UserError."""
    home = Path(given or environment.get("MESOS_HOME") or "/").absolute()
    if not directory(home).is_dir():
        raise UserError(
            f"{directory(home)} is missing: set MESOS_HOME (or give --home), "
            "and let `headrace cluster init` put templates there"
        )
    return home


def hosts(home: Path, component: Component) -> list[str]:
    """The machines of a component. Raises UserError that names the file, and the line."""
    found = {
        name: parse_hosts(read(path), str(path))
        for name in component.lists
        if (path := directory(home) / name).exists()
    }
    if not found:
        raise UserError(f"Failed to find {directory(home) / component.lists[-1]}: write a machine on each line of it")
    first, *others = found
    for other in others:
        if found[other] != found[first]:
            raise UserError(f"{directory(home)}: {first} and {other} name different machines; remove one of them")
    return found[first]


def parse_hosts(text: str, where: str) -> list[str]:
    """One machine per line. Raises UserError."""
    out: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        name = line.strip()
        if not name or line.startswith("#"):
            continue
        if len(name.split()) > 1:
            raise UserError(f"{where}, line {number}: {name!r} is not one machine; comments have lines of their own")
        if not _HOST.fullmatch(name):
            raise UserError(f"{where}, line {number}: {name!r} is no name of a machine")
        if name in out:
            raise UserError(f"{where}, line {number}: {name} is named a second time")
        out.append(name)
    if not out:
        raise UserError(f"{where} names no machine; write one on each line")
    return out


def environment_file(home: Path, component: Component) -> Path:
    """What a daemon's machine sources. Raises UserError if it is not there."""
    for name in component.environments:
        if (path := directory(home) / name).exists():
            return path
    wanted = directory(home) / component.environments[0]
    raise UserError(
        f"{wanted} is missing on this machine; make it from {wanted.name}.template (`headrace cluster init`)"
    )


def write_templates(home: Path) -> list[Path]:
    """Put the templates there, but over nothing; returns those that were written."""
    target = directory(home)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for template in sorted(TEMPLATES.iterdir()):
        if not (path := target / template.name).exists():
            path.write_text(template.read_text())
            written.append(path)
    return written


def read(path: Path) -> str:
    """A text file. Raises UserError."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"{path} can't be read: {why}") from None
