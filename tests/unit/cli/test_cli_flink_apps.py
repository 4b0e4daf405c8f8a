"""The definitions of apps that are Flink clusters: which Flink, and which job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.cli.api import CommandError
from headrace.cli.flink_apps import session_app
from headrace.cli.flink_job_cluster import jar_options

SIZES: dict[str, Any] = {"task_cpus": 1, "task_mem": 900, "slots": 1, "cpus": 0.5, "mem": 1024}


def test_a_version_of_flink_can_be_chosen() -> None:
    default = session_app("/f", "m:1", (), initial_tasks=0, **SIZES)["cmd"]
    chosen = session_app("/f", "m:1", (), initial_tasks=0, version="2.3", **SIZES)["cmd"]
    assert chosen.replace(" -Dheadrace.flink.version=2.3", "") == default != chosen


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("h:5050", "h:5050"),
        ("http://h:5050/", "h:5050"),
        ("https://h:5050", "https://h:5050"),
        ("zk://z1:2181,z2:2181/mesos", "zk://z1:2181,z2:2181/mesos"),
        ("file:///etc/master", "file:///etc/master"),
    ],
)
def test_the_app_is_told_the_master_as_it_was_given(given: str, told: str) -> None:
    command = session_app("/f", given, (), initial_tasks=0, **SIZES)["cmd"]
    assert f" -Dmesos.master={told} " in command


def test_a_python_program_is_known_by_its_name(tmp_path: Path) -> None:
    program = tmp_path / "job.py"
    program.touch()
    assert jar_options(program, None, ["a b", "c"]) == (
        f"headrace.job.python={program}",
        "headrace.job.arguments='a b' c",
    )
    with pytest.raises(CommandError, match="no --class"):
        jar_options(program, "Main", [])
    with pytest.raises(CommandError, match="there is no file"):
        jar_options(tmp_path / "other.py", None, [])
