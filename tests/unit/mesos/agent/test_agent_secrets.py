"""Secrets that come by value: as variables, and as files that only their task can read."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.mesos.agent.core.containers import ContainerSpec, Place
from headrace.mesos.agent.core.health import problem_of_variables
from headrace.mesos.agent.core.secrets import variables_of
from headrace.mesos.agent.isolation.isolation import Active, Isolation
from headrace.mesos.agent.launcher import container_environment
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import CommandInfo, ContainerInfo

PLACE = Place("S", "fw", "task", "c-1")


def value(data: bytes) -> dict[str, Any]:
    return {"type": "VALUE", "value": {"data": base64.b64encode(data).decode()}}


def command(secret: Any) -> CommandInfo:
    variables = [{"name": "PASSWORD", "type": "SECRET", "secret": secret}, {"name": "PLAIN", "value": "x"}]
    return msgspec.convert({"value": "true", "environment": {"variables": variables}}, CommandInfo)


def test_a_secret_becomes_a_variable() -> None:
    given = command(value(b"hush"))
    assert problem_of_variables(given, "command") is None
    assert variables_of(given) == {"PASSWORD": "hush", "PLAIN": "x"}
    environment = container_environment({}, ContainerSpec(PLACE, "t", given), Path("/sandbox"), "host:1")
    assert environment["PASSWORD"] == "hush"


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ({"type": "REFERENCE", "reference": {"name": "x"}}, "only secrets of type VALUE"),
        ({}, "only secrets of type VALUE"),
        ({"type": "VALUE", "value": {"data": "hush"[:3]}}, "not base64"),
        (value(b"\xff"), "not UTF-8"),
        (value(b"a\0b"), "NUL"),
    ],
)
def test_a_secret_that_makes_no_sense_is_refused_untold(secret: Any, problem: str) -> None:
    found = problem_of_variables(command(secret), "command")
    assert found is not None
    assert found.startswith("command.environment.variables[0].")
    assert problem in found
    assert "hus" not in found


def prepared(tmp_path: Path, *, own_mounts: bool) -> tuple[Layout, Isolation, list[str]]:
    layout = Layout(tmp_path / "data")
    layout.create(PLACE)
    layout.run_dir("c-1").mkdir(parents=True)
    volume = {"container_path": "secret/file", "mode": "RO", "source": {"type": "SECRET", "secret": value(b"hush")}}
    container = msgspec.convert({"type": "MESOS", "volumes": [volume]}, ContainerInfo)
    isolation = Isolation(Active(own_mounts=own_mounts), layout)
    return layout, isolation, isolation.prepare(ContainerSpec(PLACE, "t", container=container), ["cmd"], None).before


@pytest.mark.parametrize("own_mounts", [False, True])
def test_a_secret_file_is_outside_of_the_sandbox_and_goes_with_its_container(tmp_path: Path, own_mounts: bool) -> None:
    layout, isolation, before = prepared(tmp_path, own_mounts=own_mounts)
    file = layout.secret("c-1", 0)
    assert file.read_bytes() == b"hush"
    assert file.stat().st_mode & 0o777 == 0o400
    seen = layout.sandbox(PLACE) / "secret" / "file"
    if own_mounts:
        at = before.index("ro")
        assert before[at : at + 3] == ["ro", str(file), str(seen)]
        assert seen.read_bytes() == b""
    else:
        assert os.readlink(seen) == str(file)
    assert isolation.remove("c-1")
    assert not file.exists()


def test_secrets_that_an_earlier_agent_left(tmp_path: Path) -> None:
    layout, isolation, _ = prepared(tmp_path, own_mounts=False)
    isolation.sweep({"c-1"})
    assert layout.secret("c-1", 0).exists()
    isolation.sweep(set())
    assert not layout.secrets("c-1").exists()
