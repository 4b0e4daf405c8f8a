"""S2-5: every command that the guides start lists its options."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.deploy.command import main as deploy
from headrace.flink.options import TABLE
from headrace.marathon import flags as marathon

SCRIPTS = Path(__file__).parents[3] / "scripts"


def test_s2_5_marathon_lists_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        marathon.parse(["run_jar", "--help"])
    output = capsys.readouterr().out
    actions = marathon.parser()._actions
    flags = [one.option_strings[0] for one in actions if one.option_strings and one.help != argparse.SUPPRESS]
    assert ended.value.code == 0
    assert {"--master", "--http_port"} <= set(flags)
    assert [flag for flag in flags if flag not in output] == []


def test_s2_5_application_master_lists_its_options() -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [str(SCRIPTS / "mesos-appmaster-job.sh"), "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [option.name for option in TABLE if option.supported and f"-D{option.name}=" not in done.stdout] == []


def test_s2_5_deploy_scripts_list_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        deploy(["start", "-h"])
    output = capsys.readouterr().out
    assert ended.value.code == 0
    assert [flag for flag in ("--home", "--sudo", "--takeover", "--keep-tasks", "--watch") if flag not in output] == []
