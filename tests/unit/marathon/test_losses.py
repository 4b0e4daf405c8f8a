"""What is lost or unreachable, and what is found again: agents, tasks, the framework."""

from __future__ import annotations

from headrace.marathon.core.events import (
    ForgetFramework,
)
from headrace.marathon.core.records import Condition
from headrace.marathon.core.settings import Settings
from headrace.mesos.client import Received
from headrace.mesos.messages import scheduler

from .simulation import Cluster


def test_a_task_of_nobody_is_killed_and_all_is_acknowledged() -> None:
    it = Cluster()
    it.status("ghost.instance-1._app.1", "TASK_RUNNING")
    assert it.killed == ["ghost.instance-1._app.1"]
    it.status("ghost.instance-1._app.1", "TASK_KILLED")
    assert "unknown_instance_terminated_event" in it.kinds()
    assert [call.type for call in it.calls].count("ACKNOWLEDGE") == 2


def test_an_unreachable_task_is_replaced_and_the_surplus_goes_when_it_comes_back() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    (lost,) = it.alive()
    it.status(lost, "TASK_UNREACHABLE")
    assert it.instances("/a")[0].condition is Condition.INACTIVE
    it.offer()
    it.run_all()
    assert len(it.instances("/a")) == 2, "both are listed"
    it.status(lost, "TASK_RUNNING")
    assert len(it.killed) == 1
    it.settle()
    assert len(it.alive()) == 1


def test_an_unreachable_task_that_stays_away_is_forgotten() -> None:
    it = Cluster()
    it.create("/a", unreachableStrategy={"inactiveAfterSeconds": 10, "expungeAfterSeconds": 60})
    it.settle()
    (lost,) = it.alive()
    it.status(lost, "TASK_UNREACHABLE")
    it.advance(9)
    assert len(it.instances("/a")) == 1
    it.advance(1)
    it.offer()
    it.run_all()
    assert len(it.instances("/a")) == 2
    it.advance(60)
    assert [one.condition for one in it.instances("/a")] == [Condition.RUNNING]
    it.status(lost, "TASK_RUNNING")
    assert it.killed == [lost]


def test_what_was_due_while_marathon_was_down_is_done_at_the_start() -> None:
    it = Cluster()
    it.create("/a", instances=2)
    it.settle()
    for task in sorted(it.alive()):
        it.status(task, "TASK_UNREACHABLE")
    it.now += 3600
    it.crash()
    assert [one.condition for one in it.instances("/a")] == [Condition.SCHEDULED] * 2


def test_disabled_waits_for_ever() -> None:
    it = Cluster()
    it.create("/a", unreachableStrategy="disabled")
    it.settle()
    (lost,) = it.alive()
    it.status(lost, "TASK_UNREACHABLE")
    it.advance(1_000_000)
    assert not it.wants_offers
    it.status(lost, "TASK_RUNNING")
    assert [one.condition for one in it.instances("/a")] == [Condition.RUNNING]


def test_a_removed_framework_begins_anew() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    error = scheduler.Event("ERROR", error=scheduler.Error("Framework has been removed"))
    effects = it.core.handle(Received(error), it.now)
    assert ForgetFramework() in effects
    it.tasks.clear()
    it.connect("framework-2")
    assert it.store["framework"] == b"framework-2"
    it.settle()
    assert len(it.alive()) == 1
    assert it.instances("/a")[0].incarnation == 2


def test_after_subscribing_everything_is_reconciled() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    it.calls.clear()
    it.crash()
    asked = [call.reconcile for call in it.calls if call.reconcile is not None]
    assert [len(one.tasks or ()) for one in asked] == [1, 0]
    (task,) = it.alive()
    it.status(task, "TASK_GONE", reason="REASON_RECONCILIATION")
    it.settle()
    assert len(it.alive()) == 1


def test_a_launch_that_the_master_never_heard_of_is_no_failure() -> None:
    """Marathon was killed after it had stored the launch and before it had sent it."""
    it = Cluster()
    it.create("/a")
    it.offer()
    (task,) = it.tasks
    it.tasks.clear()
    it.crash()
    it.status(task, "TASK_GONE", reason="REASON_RECONCILIATION")
    assert not it.core.books.failures
    assert not it.core.books.delays
    it.settle()
    assert it.alive() == {task.removesuffix(".1") + ".2"}


def test_a_task_that_does_not_start_is_killed() -> None:
    it = Cluster(Settings(task_launch_confirm_timeout=10))
    it.create("/a")
    it.offer()
    it.advance(11)
    assert len(it.killed) == 1
