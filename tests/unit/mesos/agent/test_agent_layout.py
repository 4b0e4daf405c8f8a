"""Sandboxes on disk, and the flags of an agent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace.kernel.daemon import UserError
from headrace.mesos.agent import flags
from headrace.mesos.agent.containers import Place
from headrace.mesos.agent.daemon import own_address
from headrace.mesos.agent.layout import Layout
from headrace.mesos.agent.link import master_url


def place(container: str, executor: str = "t") -> Place:
    return Place("S0", "fw", executor, container)


def test_latest_follows_the_newest_run(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    first = layout.create(place("c1"))
    assert first == tmp_path / "slaves/S0/frameworks/fw/executors/t/runs/c1"
    layout.create(place("c2"))
    assert (first.parent / "latest").resolve().name == "c2"
    assert layout.create(place("c2")) == first.parent / "c2"


def test_clear_leaves_nothing_of_an_earlier_try(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    (layout.create(place("c1")) / "half").touch()
    assert os.listdir(layout.clear(place("c1"))) == []


def test_remove_takes_what_is_empty_then_and_no_more(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for run in (place("c1"), place("c2"), place("d1", "other")):
        layout.create(run)
        layout.run_dir(run.container_id).mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (layout.sandbox(place("c1")) / "link").symlink_to(outside)
    layout.remove(place("c1"))
    runs = layout.executor_runs(place("c2"))
    assert sorted(os.listdir(runs)) == ["c2", "latest"]
    layout.remove(place("c2"))
    assert not runs.parent.exists()
    layout.remove(place("d1", "other"))
    assert not (tmp_path / "slaves" / "S0").exists()
    assert list(layout.runs.iterdir()) == []
    assert (outside / "file").exists()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("host:5050", "http://host:5050"),
        ("http://host:5050/", "http://host:5050"),
        ("https://host:1", "https://host:1"),
        ("http://[::1]:5050", "http://[::1]:5050"),
    ],
)
def test_where_the_master_is(text: str, url: str) -> None:
    assert master_url(text) == url


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":5050", "host:port", "ftp://host:1", "zk://a:1/m", "http://h:1/x"]
)
def test_where_no_master_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"no master's address|zk://"):
        master_url(text)


def test_mesos_names_of_flags_are_understood(tmp_path: Path) -> None:
    given = flags.parse(
        [
            "--master=h:1",
            f"--work_dir={tmp_path}",
            "--ip=127.0.0.2",
            "--gc_delay=2days",
            '--executor_environment_variables={"SECRET": "s3cret"}',
        ]
    )
    assert (given.data, given.host, given.gc_delay) == (tmp_path, "127.0.0.2", 172800.0)
    assert given.executor_environment_variables == {"SECRET": "s3cret"}
    assert "s3cret" not in str(given.shown())


@pytest.mark.parametrize(
    ("flag", "part"),
    [
        ("--gc-delay=soon", "'soon' is no duration"),
        ("--gc-delay=3parsecs", "'3parsecs' is no duration"),
        ("--executor-environment-variables=[]", "not a JSON object"),
        ('--executor-environment-variables={"A": 1}', "not a JSON object"),
    ],
)
def test_flags_that_make_no_sense(tmp_path: Path, flag: str, part: str) -> None:
    with pytest.raises(UserError, match=part):
        flags.parse(["--master=h:1", f"--data={tmp_path}", flag])


def test_the_address_that_others_are_told() -> None:
    assert own_address("127.0.0.5", "http://host:1") == "127.0.0.5"
    assert own_address("0.0.0.0", "http://127.0.0.1:1") == "127.0.0.1"
