"""The units of systemd among the examples: their command lines are understood, and systemd finds nothing wrong."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.flink import high_availability
from headrace.flink.appmaster.stopping import decide
from headrace.flink.appmaster.supervision import situation
from headrace.flink.cluster import resolve
from headrace.flink.options import parse_arguments
from headrace.marathon import flags as marathon
from headrace.mesos.agent.flags import agent
from headrace.mesos.master import flags as master

UNITS = Path(__file__).parents[3] / "examples" / "systemd"
BIN = "/opt/headrace/bin/"
NAMES = sorted(path.name for path in UNITS.iterdir())


def setting(name: str, key: str) -> str:
    text = (UNITS / name).read_text().replace("\\\n", " ")
    (value,) = [line.partition("=")[2] for line in text.splitlines() if line.startswith(key + "=")]
    return value


def words(name: str) -> list[str]:
    return shlex.split(setting(name, "ExecStart").replace("%i", "main"))


def test_there_is_one_for_each_daemon() -> None:
    daemons = [f"headrace-{name}.service" for name in ("agent", "flink@", "marathon", "master")]
    assert daemons == NAMES


def test_the_command_lines_of_daemons_are_understood() -> None:
    parse: dict[str, Callable[[list[str]], object]] = {
        "agent": agent.parse,
        "marathon": marathon.parse,
        "master": master.parse,
    }
    for name, read in parse.items():
        program, command, *arguments = words(f"headrace-{name}.service")
        assert (program, command) == (BIN + "headrace", name)
        assert read(arguments)


def test_a_flink_cluster_is_suspended_by_stop_and_found_again() -> None:
    program, *arguments = words("headrace-flink@.service")
    assert program == BIN + "mesos-appmaster.sh"
    directory = Path(setting("headrace-flink@.service", "WorkingDirectory").replace("%i", "main"))
    options = high_availability.with_defaults({"mesos.master": "m:5050", **parse_arguments(arguments)}, {}, directory)
    cluster = resolve(options, {}, "headrace")
    assert high_availability.named_directory(cluster.flink, {}) == directory / "jobs" / "main"
    assert decide(situation(cluster, {}), None).stop.value == "suspend"


@pytest.mark.parametrize("name", NAMES)
def test_state_is_kept_where_the_unit_says(name: str) -> None:
    kept = [f"/var/lib/{part}" for part in setting(name, "StateDirectory").split()]
    used = [word for word in (UNITS / name).read_text().replace('"', " ").replace("=", " ").split() if "/var/" in word]
    assert used
    assert all(any(word.startswith(directory) for directory in kept) for word in used)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    for name in NAMES:
        text = (UNITS / name).read_text().replace(BIN, f"{Path(sys.executable).parent}/")
        (tmp_path / name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", *(f"./{name}" for name in NAMES)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
