"""When sandboxes go: by age, by how full the disk is, and what an agent that was killed has left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.kernel import process
from headrace.kernel.core import Delete, Effect, SetTimer
from headrace.mesos.agent.core.completed import CompletedTasks
from headrace.mesos.agent.core.containers import Place
from headrace.mesos.agent.core.events import DiskUsage, RemoveSandbox
from headrace.mesos.agent.core.garbage import TIMER, Garbage, Old, allowed_age
from headrace.mesos.agent.sandbox.disk_usage import DiskUsageWatch, remove_leftovers, share_in_use
from headrace.mesos.agent.sandbox.layout import Layout
from tests.cluster.harness import wait_for
from tests.unit.mesos.agent.agent_world import World, task

WEEK = 7 * 86400.0


def old(name: str, ended_at: float) -> Old:
    return Old(ended_at, "fw", Place("S0", "fw", name, name), f"completed/{name}")


def removed(effects: list[Effect]) -> list[str]:
    return [effect.place.container_id for effect in effects if isinstance(effect, RemoveSandbox)]


@pytest.mark.parametrize(
    ("usage", "age"),
    [(0.0, 0.9 * WEEK), (0.5, 0.4 * WEEK), (0.9, 0.0), (1.0, 0.0)],
)
def test_the_age_that_a_full_disk_allows(usage: float, age: float) -> None:
    assert allowed_age(WEEK, 0.1, usage) == pytest.approx(age)


def test_the_oldest_goes_first_and_no_more_than_must() -> None:
    garbage = Garbage(1000.0, 0.1)
    assert garbage.add(old("a", 0.0)) == [SetTimer(TIMER, 1000.0)]
    assert garbage.add(old("b", 300.0)) == []
    assert garbage.add(old("c", 600.0)) == []
    assert garbage.prune(350.0, 0.5) == ([], [])  # 400 s are allowed
    gone, effects = garbage.prune(400.0, 0.5)
    assert [one.place.container_id for one in gone] == ["a"]
    assert effects == [Delete("completed/a"), RemoveSandbox(old("a", 0.0).place), SetTimer(TIMER, 1300.0)]
    assert removed(garbage.prune(601.0, 0.95)[1]) == ["b", "c"]
    assert len(garbage) == 0
    assert garbage.begin(700.0) == []


def test_a_clock_that_was_set_back_does_not_keep_older_ones() -> None:
    garbage = Garbage(100.0, 0.1)
    garbage.add(old("late", 500.0))
    assert garbage.add(old("early", 200.0)) == [SetTimer(TIMER, 300.0)]
    assert removed(garbage.collect(300.0)[1]) == ["early"]
    assert garbage.containers() == {"late"}


@given(st.lists(st.floats(0, 1000), max_size=30), st.floats(0, 2000), st.floats(0, 1))
def test_what_goes_is_exactly_what_is_too_old(ends: list[float], now: float, usage: float) -> None:
    garbage = Garbage(1000.0, 0.1)
    for number, ended_at in enumerate(ends):
        garbage.add(old(str(number), ended_at))
    gone, effects = garbage.prune(now, usage)
    age = allowed_age(1000.0, 0.1, usage)
    assert sorted(one.ended_at for one in gone) == sorted(end for end in ends if end + age <= now)
    assert len(garbage) == len(ends) - len(gone)
    assert removed(effects) == [one.place.container_id for one in gone]


def test_a_full_disk_takes_the_sandboxes_of_ended_tasks_only() -> None:
    world = World()
    world.register()
    world.run(task("ended"), task("runs"))
    ended, runs = world.starting
    world.start(ended)
    world.start(runs)
    world.end(ended, process.Ended(0))
    world.acknowledge_all()
    world.handle(DiskUsage(0.2))
    assert world.removed == []
    world.handle(DiskUsage(0.95))
    assert world.removed == [ended]
    assert world.core.completed.of("fw") == []
    assert not [key for key in world.store if key.startswith("completed/")]
    assert world.core.stories.of("agent")[-1].why == "95% of the disk is in use"


def test_after_a_restart_the_queue_is_the_same() -> None:
    world = World()
    world.register()
    world.run(task("t"))
    (container,) = world.starting
    world.start(container)
    world.end(container, process.Ended(0))
    world.acknowledge_all()
    world.crash()
    assert world.core.known() == {container}
    world.handle(DiskUsage(1.0))
    assert world.removed == [container]
    assert CompletedTasks([], 1.0).waiting == 0


def test_what_no_record_names_is_cleared_away_when_it_is_old(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for name in ("known", "old", "young"):
        layout.create(Place("S0", "fw", name, name))
        layout.run_dir(name).mkdir(parents=True)
        if name != "young":
            os.utime(layout.sandbox(Place("S0", "fw", name, name)), (50, 50))
            os.utime(layout.run_dir(name), (50, 50))
    layout.run_dir("lonely").mkdir()
    os.utime(layout.run_dir("lonely"), (50, 50))
    assert remove_leftovers(layout, {"known"}, 100.0) == 2
    assert [place.container_id for place in layout.places()] == ["known", "young"]
    assert sorted(layout.run_dirs()) == ["known", "young"]


def test_what_runs_is_no_leftover(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    sandbox, run_dir = layout.create(Place("S0", "fw", "t", "c")), layout.run_dir("c")
    run_dir.mkdir(parents=True)
    pid = process.start(
        ["sleep", "1000"],
        run_dir=run_dir,
        work_dir=sandbox,
        environment={"PATH": "/bin"},
        stdout=sandbox / "stdout",
        stderr=sandbox / "stderr",
    )
    try:
        assert process.read_pid(run_dir, patience=60) == pid
        assert remove_leftovers(layout, (), 1e12) == 0
    finally:
        process.signal_group(run_dir, 9)
        os.waitpid(pid, 0)
    # the supervisor is gone; the kernel takes its child, which has the lock too, an instant later
    wait_for(lambda: process.find(run_dir) is not process.Found.RUNNING, "nobody has the lock")
    assert remove_leftovers(layout, (), 1e12) == 1
    assert list(layout.places()) == []


def test_a_full_disk_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    posted: list[DiskUsage] = []
    watch = DiskUsageWatch(tmp_path, 60.0, 0.1, posted.append)
    for share in (0.5, 0.95, 0.96, 0.5, 0.95):
        watch._look(share)
    assert [event.share for event in posted] == [0.5, 0.95, 0.96, 0.5, 0.95]
    assert [record.getMessage().split(" % full")[0][-2:] for record in caplog.records] == ["95", "95"]
    assert 0 < share_in_use(tmp_path) < 1
