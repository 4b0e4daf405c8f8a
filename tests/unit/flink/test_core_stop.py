"""The application master's core is asked to stop: destroyed, suspended, or started again."""

from __future__ import annotations

import logging

import pytest

from headrace.flink.appmaster import events, jobmanager, records
from headrace.flink.appmaster.events import Finish, Goal, StartJobManager, Stop, StopAsked, StopDecided
from headrace.flink.appmaster.finishing import STOP_LIMIT, Finishing
from headrace.flink.appmaster.jobmanager import JobManagerKeeper
from headrace.flink.appmaster.process import begins_end, level_of_error
from headrace.flink.appmaster.records import JobManagerRecord, Recovered
from headrace.kernel.core import Effect, Put, SetTimer, TimerFired
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


def stop_timers(effects: list[Effect]) -> dict[str, float]:
    """When JobManager and cluster have had their time."""
    return {timer.key: timer.at for timer in of(effects, SetTimer) if timer.key in ("stop", jobmanager.KILL_TIMER)}


def test_a_task_ends_before_its_agent_kills_it_and_what_was_started_by_hand_gets_more_time() -> None:
    for hurried in (True, False):
        end = Finishing(JobManagerKeeper(None), hurried=hurried)
        end._job_manager.found()
        limits = (STOP_LIMIT, jobmanager.STOP_PATIENCE) if hurried else (8, 4)
        assert stop_timers(end.begin(100)) == {"stop": 100 + limits[0], jobmanager.KILL_TIMER: 100 + limits[1]}
        assert end.begin(101) == []


def test_a_task_whose_job_has_ended_has_time_until_it_is_asked_to_stop() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    effects = drive(core, events.DriverDeregistered(9, "SUCCEEDED", ""), now=100)
    assert stop_timers(effects) == {"stop": 108, jobmanager.KILL_TIMER: 104}
    assert stop_timers(drive(core, StopAsked(), now=101)) == {"stop": 101 + STOP_LIMIT}
    assert not of(drive(core, StopAsked(), now=102), SetTimer)


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
    assert len(of(effects if decided is RESTART else drive(core, REMOVED), Finish)) == 1


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
    ("decided", "gone", "left"), [(DESTROY, True, "fw"), (SUSPEND, False, "fw"), (RESTART, False, "")]
)
def test_the_end_is_bounded_and_what_could_not_be_torn_down_is_kept_for_the_next(
    decided: StopDecided, gone: bool, left: str
) -> None:
    core = running()
    drive(core, StopAsked(), decided)
    assert events.SignalJobManager(1, kill=True) in drive(core, TimerFired(jobmanager.KILL_TIMER))
    effects = drive(core, TimerFired("stop"))
    assert of(effects, events.SignalJobManager) == [events.SignalJobManager(1, kill=True)]
    (finish,) = of(effects, Finish)
    assert (finish.gone, finish.kept, finish.left) == (gone, True, left)


@pytest.mark.parametrize("late", [DESTROY, SUSPEND, RESTART])
@pytest.mark.parametrize("connected", [True, False])
def test_without_a_decision_in_time_it_is_suspended(late: StopDecided, connected: bool) -> None:
    """Nobody says what is meant, and perhaps no master answers: the end comes all the same, and loses nothing."""
    core = running()
    drive(core, *([] if connected else [events.MasterDisconnected("gone")]), StopAsked(), ENDED)
    (finish,) = of(drive(core, TimerFired("stop")), Finish)
    assert (finish.status, finish.gone, finish.kept, finish.left) == (0, False, True, "fw")
    assert not of(drive(core, late), Finish)


def test_what_is_left_of_a_destroyed_cluster_is_its_framework_and_workers_to_be_killed() -> None:
    content: dict[str, bytes] = {}
    left = [records.put_framework("fw"), records.put_driver(DRIVER), records.put_job_manager(JobManagerRecord(7))]
    apply([*left, records.put_generation(3), records.put_failed(9), records.put_port(5000)], content)
    apply(map(records.put_worker, (worker(1, goal=Goal.LAUNCHED), worker(2))), content)
    apply(records.leave_framework(content), content)
    found = records.recover(content)
    assert found == Recovered(3, "fw", workers=[worker(1, goal=Goal.RELEASED)])
    core = make(found)
    effects = drive(core, events.Started(job_manager_alive=False), events.MasterConnected("fw"))
    assert [call.kill.task_id.value for call in calls(effects, "KILL") if call.kill] == [worker(1).id]


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


@pytest.mark.parametrize(
    ("event", "meant"),
    [
        (StopAsked(), True),
        (events.DriverDeregistered(1, "SUCCEEDED", ""), True),
        (ENDED, False),
        (events.OffersReceived([offer(1)]), False),
    ],
)
def test_an_end_that_is_meant_is_known(event: events.AppMasterEvent, meant: bool) -> None:
    """What ends then is told without a warning."""
    core = running([worker(1, goal=Goal.LAUNCHED)], keep_workers=True)
    assert any(map(begins_end, drive(core, event))) is meant


def test_only_a_teardown_of_ours_makes_the_masters_words_harmless() -> None:
    assert level_of_error("Framework has been removed", ends=True) == logging.INFO
    assert level_of_error("Framework has been removed", ends=False) == logging.ERROR
    assert level_of_error("Framework failed over", ends=True) == logging.ERROR
