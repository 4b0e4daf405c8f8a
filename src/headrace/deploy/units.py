"""Units of systemd that start Apache Mesos's daemons, and bring them back when they end (the packages' Restart=always).

Without systemctl, or where systemd does not run, there are none.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable

import msgspec

from headrace.kernel.daemon import UserError

_ALIVE = ("active", "activating", "reloading", "deactivating")


class Unit(msgspec.Struct, frozen=True):
    """A unit as systemctl tells: ``active``, ``activating`` …; ``enabled``, ``disabled`` …"""

    name: str
    active: str
    enabled: str

    @property
    def alive(self) -> bool:
        """Whether its daemon runs, or will run again in a moment."""
        return self.active in _ALIVE

    @property
    def comes_back(self) -> bool:
        """Whether it is started with the machine."""
        return self.enabled.startswith("enabled")


def look(names: Iterable[str]) -> list[Unit]:
    """Those of the units that are alive or come back."""
    if shutil.which("systemctl") is None:
        return []
    found = [Unit(name, _ask("is-active", name), _ask("is-enabled", name)) for name in names]
    return [unit for unit in found if unit.alive or unit.comes_back]


def stop(unit: Unit) -> None:
    """Stop it, which also keeps systemd from starting its daemon again. Raises UserError."""
    done = _run("stop", unit.name)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise UserError(f"systemctl stop {unit.name} failed: {said[-1]}")


def advice(units: Iterable[Unit]) -> str:
    """What an operator has to know of units that are alive; empty if there are none."""
    alive = [unit for unit in units if unit.alive]
    if not alive:
        return ""
    names = " ".join(unit.name for unit in alive)
    several = "units" if len(alive) > 1 else "unit"
    return (
        f"systemd's {several} {names} ({', '.join(unit.active for unit in alive)}) would bring another daemon back; "
        f"--takeover stops that, or: systemctl disable --now {names}"
    )


def warning(units: Iterable[Unit]) -> str:
    """The same of units that are started with the machine; empty if there are none."""
    names = " ".join(unit.name for unit in units if unit.comes_back)
    return f"systemd starts {names} with the machine; to change that: systemctl disable {names}" if names else ""


def _ask(what: str, name: str) -> str:
    answer = _run(what, name).stdout.strip().splitlines()
    return answer[0] if answer else ""


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - fixed words and our own names of units
            ["systemctl", *words],  # noqa: S607 - whichever the machine has
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"systemctl {' '.join(words)} does not end") from None
