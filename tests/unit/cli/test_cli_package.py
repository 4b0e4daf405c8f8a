"""``headrace package``: what it refuses, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.cli.commands import package
from headrace.cli.main import main

FLINK = package._App("/flink", {"DCOS_PACKAGE_NAME": "flink", "DCOS_PACKAGE_VERSION": "1"})
OTHER = package._App("/two/flink", {"DCOS_PACKAGE_NAME": "flink", "DCOS_PACKAGE_VERSION": "2"})


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[package._App]:
    apps: list[package._App] = []

    async def answer(_marathon: object) -> list[package._App]:
        return apps

    monkeypatch.setattr(package, "_installed", answer)
    return apps


def test_render_prints_the_app_and_tells_it_the_master(tmp_path: Path) -> None:
    (tmp_path / "o.json").write_text('{"service": {"slots": 3}}')
    arguments = [
        "render",
        "flink",
        "--options",
        str(tmp_path / "o.json"),
        "--master",
        "http://m1:5050",
        "--app-id",
        "/x",
    ]
    result = CliRunner().invoke(main, ["package", *arguments])
    app = json.loads(result.output)
    assert (app["id"], app["env"]["FLINK_MESOS_MASTER"], app["env"]["FLINK_TASK_SLOTS"]) == ("/x", "m1:5050", "3")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["render", "spark"], 2, "package 'spark' is not in"),
        (["render", "flink", "--package-version", "9"], 2, "has no version '9'"),
        (["render", "flink", "--repo", "/no/such"], 2, "/no/such is no directory of packages"),
        (["render", "flink", "--options", "OPTIONS"], 2, "service.slots: must be an integer"),
        (["uninstall", "spark"], 1, "package spark is not installed"),
        (["uninstall", "flink"], 1, "package flink is installed as /flink, /two/flink; name one with --app-id"),
        (["install", "flink"], 1, "package flink is installed already, as app /flink"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], status: int, said: str, installed: list[package._App], tmp_path: Path
) -> None:
    installed += [FLINK, OTHER]
    (tmp_path / "o.json").write_text('{"service": {"slots": "x"}}')
    words = [str(tmp_path / "o.json") if word == "OPTIONS" else word for word in arguments]
    result = CliRunner().invoke(main, ["package", *words])
    assert result.exit_code == status, result.output
    assert said in " ".join(result.output.split())


def test_list_shows_what_is_installed_and_what_could_be(installed: list[package._App]) -> None:
    installed += [OTHER]
    rows = json.loads(CliRunner().invoke(main, ["package", "list", "flink", "--json"]).output)
    assert rows[0] == {"name": "flink", "version": "2", "app": "/two/flink"}
    assert [(row["name"], row["app"]) for row in rows[1:]] == [("flink", "")]
