"""The application master's core is asked to stop: destroyed, suspended, or started again."""

from __future__ import annotations

import pytest

from headrace.flink.appmaster import events, jobmanager, records
from headrace.flink.appmaster.events import Finish, Goal, StartJobManager, Stop, StopAsked, StopDecided
from headrace.flink.appmaster.finishing import STOP_LIMIT
from headrace.flink.appmaster.records import JobManagerRecord, Recovered
from headrace.kernel.core import Put, SetTimer, TimerFired
from tests.unit.flink.appmaster_helpers import DRIVER, apply, calls, drive, make, of, offer, running, status, worker

DESTROY, SUSPEND, RESTART = (StopDecided(stop, "test") for stop in Stop)
ENDED = events.JobManagerEnded(1, "signal 15")
REMOVED = events.MasterRefused("Framework has been removed")


def test_the_job_manager_ends_before_it_is_known_what_becomes_of_the_rest() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)], keep_workers=True)
    effects = drive(core, StopAsked(), now=100)
    assert of(effects, events.SignalJobManager) == [events.SignalJobManager(1, kill=False)]
    assert SetTimer("stop", 100 + STOP_LIMIT) in effects
    assert not calls(effects)
    assert not calls(drive(core, ENDED, TimerFired(jobmanager.START_TIMER)))
    assert not of(drive(core, TimerFired(jobmanager.START_TIMER)), StartJobManager)


@pytest.mark.parametrize(("decided", "gone"), [(DESTROY, True), (SUSPEND, False)])
def test_destroy_and_suspend_tear_down_and_end_when_both_are_gone(decided: StopDecided, gone: bool) -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)], keep_workers=True)
    effects = drive(core, StopAsked(), decided)
    assert [call.type for call in calls(effects)] == ["TEARDOWN"]
    assert not of(effects, Finish)
    assert not of(drive(core, ENDED), Finish)
    effects = drive(core, events.MasterDisconnected("closed"), REMOVED)
    assert of(effects, events.LeaveMaster)
    (finish,) = of(effects, Finish)
    assert (finish.status, finish.gone, finish.kept) == (0, gone, False)


def test_restart_ends_the_job_manager_and_nothing_else() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)], keep_workers=True)
    effects = drive(core, StopAsked(), RESTART)
    assert not of(effects, Finish)
    effects += drive(core, events.StatusReceived(status(worker(1).id, "TASK_RUNNING")), ENDED)
    assert [call.type for call in calls(effects)] == ["ACKNOWLEDGE"]
    (finish,) = of(effects, Finish)
    assert (finish.status, finish.gone, finish.kept) == (0, False, True)


def test_what_a_restart_leaves_is_the_next_ones() -> None:
    content: dict[str, bytes] = {}
    core = running([worker(1, goal=Goal.LAUNCHED)], keep_workers=True)
    apply([records.put_framework("fw"), records.put_worker(worker(1, goal=Goal.LAUNCHED))], content)
    apply(drive(core, StopAsked(), RESTART, ENDED), content)
    left = records.recover(content)
    assert (left.framework_id, [one.id for one in left.workers]) == ("fw", [worker(1).id])


@pytest.mark.parametrize("decided", [DESTROY, SUSPEND, RESTART])
def test_the_decision_may_come_after_the_job_manager_has_ended(decided: StopDecided) -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)], keep_workers=True)
    assert not of(drive(core, StopAsked(), ENDED), Finish)
    effects = drive(core, decided)
    assert bool(of(effects, Finish)) is (decided is RESTART)
    assert len(of([*effects, *drive(core, REMOVED)], Finish)) >= 1


@pytest.mark.parametrize("decided", [DESTROY, SUSPEND, RESTART])
@pytest.mark.parametrize("alive", [True, False])
def test_started_only_to_stop(alive: bool, decided: StopDecided) -> None:
    core = make(Recovered(3, "fw", DRIVER, JobManagerRecord(1), 0, [worker(1, goal=Goal.LAUNCHED)]))
    effects = drive(core, events.Started(alive, to_stop=True), decided)
    assert bool(of(effects, events.SignalJobManager)) is alive
    assert not of(effects, StartJobManager)
    torn_down = calls(drive(core, events.MasterConnected("fw")), "TEARDOWN")
    assert bool(torn_down) is (decided is not RESTART)


@pytest.mark.parametrize(
    ("decided", "gone", "kept"), [(DESTROY, True, False), (SUSPEND, False, True), (RESTART, False, True)]
)
def test_the_end_is_bounded_and_what_could_not_be_torn_down_is_kept_for_the_next(
    decided: StopDecided, gone: bool, kept: bool
) -> None:
    core = running()
    drive(core, StopAsked(), decided)
    assert events.SignalJobManager(1, kill=True) in drive(core, TimerFired(jobmanager.KILL_TIMER))
    effects = drive(core, TimerFired("stop"))
    assert of(effects, events.SignalJobManager) == [events.SignalJobManager(1, kill=True)]
    (finish,) = of(effects, Finish)
    assert (finish.gone, finish.kept) == (gone, kept)


def test_teardown_is_repeated_after_a_reconnection() -> None:
    core = running()
    drive(core, StopAsked(), DESTROY, events.MasterDisconnected("broken"))
    assert calls(drive(core, events.MasterConnected("fw")), "TEARDOWN")


def test_a_stopping_one_takes_no_more_requests_and_starts_nothing() -> None:
    core = running()
    drive(core, StopAsked())
    effects = drive(core, events.WorkerRequested(5, worker(1)), events.OffersReceived([offer(1)]))
    assert not of(effects, Put)
    assert not calls(effects, "ACCEPT")
    assert not of(drive(core, TimerFired(jobmanager.START_TIMER)), StartJobManager)


def test_a_job_that_ends_meanwhile_has_ended() -> None:
    """Flink says so before it hears of the end."""
    core = running()
    drive(core, StopAsked(), events.DriverDeregistered(1, "SUCCEEDED", ""), RESTART)
    (finish,) = of(drive(core, ENDED, REMOVED), Finish)
    assert (finish.said, finish.gone, finish.kept) == ("SUCCEEDED", True, False)
