"""Sandboxes on disk, and the flags of an agent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace.kernel.daemon import UserError
from headrace.mesos.agent.core.containers import Place
from headrace.mesos.agent.daemon import own_address
from headrace.mesos.agent.flags import agent as flags
from headrace.mesos.agent.sandbox.layout import Layout


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


def test_the_tasks_of_a_group_lie_in_their_executors_sandbox(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    parent, child = place("ex"), Place("S0", "fw", "t", "child", "ex")
    assert layout.create(child, "task-1") == layout.sandbox(parent) / "containers" / "child"
    assert os.readlink(layout.executor_runs(parent) / "latest") == "ex"
    layout.create(parent)
    other = Place("S0", "fw", "t", "other", "ex")
    layout.create(other, "task-1")  # the task's second run
    link = layout.sandbox(parent) / "tasks" / "task-1"
    assert link.resolve() == layout.sandbox(other)
    layout.run_dir("child").mkdir(parents=True)
    layout.remove(child)
    assert os.listdir(layout.sandbox(parent) / "containers") == ["other"]
    assert link.is_symlink()
    assert layout.run_dirs() == []
    layout.remove(other)
    assert not link.is_symlink()
    assert [one.container_id for one in layout.places()] == ["ex"]
    layout.remove(parent)
    assert not (tmp_path / "slaves" / "S0").exists()


def test_a_volume_of_a_nested_role_is_no_deeper(tmp_path: Path) -> None:
    assert Layout(tmp_path).volume("a/b", "v") == tmp_path / "volumes/roles/a b/v"


def test_links_of_an_executor_lead_nobody_out(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    parent, child = place("ex"), Place("S0", "fw", "t", "child", "ex")
    outside = tmp_path / "outside"
    (outside / "child").mkdir(parents=True)
    (layout.create(parent) / "containers").symlink_to(outside)
    layout.remove(child)
    assert (outside / "child").is_dir()
    with pytest.raises(OSError, match="is not the agent's own any more"):
        layout.create(child, "task-1")
    assert not (outside / "tasks").exists()


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


def test_flags_about_sandboxes(tmp_path: Path) -> None:
    given = flags.parse(
        [
            "--master=h:1",
            f"--data={tmp_path}",
            "--fetcher_cache_size=1.5GB",
            "--fetcher-cache-dir=/cache",
            "--gc_disk_headroom=0.25",
            "--enforce_container_disk_quota",
            "--max_stdout_size=10MB",
            "--default_role=a/b",
        ]
    )
    shown = given.shown()
    assert (shown["fetcher_cache_size"], shown["fetcher_cache_dir"]) == ("1536MB", "/cache")
    assert (shown["gc_disk_headroom"], shown["disk_watch_interval"]) == ("0.25", "60secs")
    assert (shown["enforce_container_disk_quota"], shown["container_disk_watch_interval"]) == ("true", "15secs")
    assert (given.sandboxes.max_stdout_size, given.sandboxes.max_stderr_size) == (10 << 20, 0)
    assert given.default_role == "a/b"
    plain = flags.parse(["--master=h:1", f"--data={tmp_path}"])
    assert plain.shown()["fetcher_cache_dir"] == str(tmp_path / "fetch-cache")


@pytest.mark.parametrize(
    ("flag", "part"),
    [
        ("--gc-delay=soon", "'soon' is no duration"),
        ("--gc-delay=3parsecs", "'3parsecs' is no duration"),
        ("--executor-environment-variables=[]", "not a JSON object"),
        ("--executor-environment-variables=file:///no/such", "can't read /no/such"),
        ("--fetcher_cache_size=2", "--fetcher_cache_size: '2' is no size"),
        ("--fetcher_cache_size=2GiB", "give a number with B, KB, MB, GB, TB"),
        ("--fetcher_stall_timeout=0secs", "--fetcher_stall_timeout: it must be more than nothing"),
        ("--gc_disk_headroom=2", "--gc_disk_headroom: '2' is no share"),
        ("--max_stdout_size=1KB", "give 64KB or more, or 0B for never"),
        ("--rotated_files=0", "no number of files from 1 to 999"),
        ("--enforce_container_disk_quota=maybe", "'maybe' is not true or false"),
        ("--default_role=a b", "--default_role: 'a b' can't be a role's name"),
        ('--executor-environment-variables={"A": 1}', "not a JSON object"),
    ],
)
def test_flags_that_make_no_sense(tmp_path: Path, flag: str, part: str) -> None:
    with pytest.raises(UserError, match=part):
        flags.parse(["--master=h:1", f"--data={tmp_path}", flag])


def test_the_address_that_others_are_told() -> None:
    assert own_address("127.0.0.5", "http://host:1") == "127.0.0.5"
    assert own_address("0.0.0.0", "http://127.0.0.1:1") == "127.0.0.1"
