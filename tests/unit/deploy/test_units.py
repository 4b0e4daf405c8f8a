"""Units of systemd, by a stand-in for systemctl."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.deploy import units
from headrace.deploy.units import Unit
from headrace.kernel.daemon import UserError

SYSTEMCTL = """#!/bin/sh
[ "$1" != stop ] || { echo "Failed to stop $2: Access denied" >&2; exit 1; }
case $1-$2 in
is-active-mesos-slave) echo activating; exit 3 ;;
is-enabled-mesos-slave) echo enabled ;;
is-enabled-mesos-master) echo enabled ;;
is-active-*) echo inactive; exit 3 ;;
*) echo disabled; exit 1 ;;
esac
"""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemctl"
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.usefixtures("systemctl")
def test_s2_18_a_unit_that_is_about_to_bring_its_daemon_back_is_alive() -> None:
    (slave,) = units.look(["mesos-slave", "mesos-agent"])
    assert slave == Unit("mesos-slave", "activating", "enabled")
    assert (slave.alive, slave.comes_back) == (True, True)
    assert units.advice([slave]).endswith("--takeover stops that, or: systemctl disable --now mesos-slave")


@pytest.mark.usefixtures("systemctl")
def test_s2_18_a_unit_that_starts_with_the_machine_is_warned_of() -> None:
    (master,) = units.look(["mesos-master"])
    assert not master.alive
    assert units.advice([master]) == ""
    assert units.warning([master]) == (
        "systemd starts mesos-master with the machine; to change that: systemctl disable mesos-master"
    )


@pytest.mark.usefixtures("systemctl")
def test_s2_19_a_unit_that_can_not_be_stopped_is_told() -> None:
    with pytest.raises(UserError, match="systemctl stop mesos-slave failed: Failed to stop mesos-slave: Access denied"):
        units.stop(Unit("mesos-slave", "active", "enabled"))


def test_without_systemctl_there_are_no_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert units.look(["mesos-master"]) == []
