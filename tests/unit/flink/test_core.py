"""The application master's core: life of workers, the driver, the JobManager, the end."""

from __future__ import annotations

import pytest

from headrace.flink.appmaster import events, jobmanager, reconciliation, records
from headrace.flink.appmaster.core import (
    EXIT_FAILED,
    EXIT_JOB_MANAGER,
    EXIT_MISTAKE,
    JOB_MANAGER,
    ApplicationMaster,
)
from headrace.flink.appmaster.events import Attachment, Driver, Finish, Goal, StartJobManager, TellDriver
from headrace.flink.appmaster.launch import GATHER_TIMER, REVIVE_RETRY, REVIVE_TIMER
from headrace.flink.appmaster.records import JobManagerRecord, Recovered
from headrace.flink.appmaster.worker_keeper import LAUNCH_TIMEOUT, REMEMBERED
from headrace.kernel.core import Delete, Effect, Put, Reply, SetTimer, TimerFired
from tests.unit.flink.appmaster_helpers import (
    DRIVER,
    apply,
    calls,
    drive,
    make,
    of,
    offer,
    running,
    status,
    told,
    worker,
)

GATHERED = TimerFired(GATHER_TIMER)


def test_first_start_starts_a_job_manager() -> None:
    effects = drive(make(), events.Started(job_manager_alive=False))
    assert of(effects, StartJobManager) == [StartJobManager(1)]
    assert [put.key for put in of(effects, Put)] == ["generation", "job-manager"]


def test_living_job_manager_is_left_alone() -> None:
    effects = drive(make(Recovered(1, "fw", DRIVER, JobManagerRecord(4))), events.Started(job_manager_alive=True))
    assert not of(effects, StartJobManager)


def test_request_is_stored_then_revives_then_launches() -> None:
    core = running()
    effects = drive(core, events.WorkerRequested(7, worker(1)))
    assert isinstance(effects[0], Put)
    assert effects[0].key == "workers/taskmanager-one-00001"
    assert calls(effects)[0].type == "REVIVE"
    assert Reply(7, None) in effects
    assert not drive(core, events.OffersReceived([offer(1)]))
    effects = drive(core, GATHERED)
    assert isinstance(effects[0], Put)
    assert b"Launched" in effects[0].value
    assert [call.type for call in calls(effects)] == ["ACCEPT", "SUPPRESS"]
    assert effects.index(effects[0]) < effects.index(of(effects, events.SendCall)[0])


def test_burst_goes_out_in_one_accept() -> None:
    core = running()
    drive(core, *(events.WorkerRequested(n, worker(n)) for n in range(3)), events.OffersReceived([offer(1)]))
    (accept,) = calls(drive(core, GATHERED), "ACCEPT")
    assert accept.accept is not None
    assert accept.accept.operations is not None
    launch = accept.accept.operations[0].launch
    assert launch is not None
    assert launch.task_infos is not None
    assert [task.name[-1] for task in launch.task_infos] == ["0", "1", "2"]


def test_offers_without_demand_are_declined_at_once() -> None:
    (decline,) = calls(drive(running(), events.OffersReceived([offer(1)])), "DECLINE")
    assert decline.decline is not None
    assert decline.decline.filters is not None
    assert decline.decline.filters.refuse_seconds == 3600


def test_useless_offer_is_given_back_and_the_story_says_why() -> None:
    core = running()
    drive(core, events.WorkerRequested(1, worker(1)), GATHERED)
    effects = drive(core, events.OffersReceived([offer(1, mem=512)]))
    (decline,) = calls(effects, "DECLINE")
    assert decline.decline is not None
    assert decline.decline.filters is not None
    assert decline.decline.filters.refuse_seconds == 120
    assert core.stories.of("taskmanager-one-00001")[-1].why == "host-1: mem 512 of 1024"
    effects = drive(core, events.OffersReceived([offer(2)]))
    assert calls(effects, "ACCEPT")


def test_request_twice_is_one_worker() -> None:
    core = running()
    drive(core, events.WorkerRequested(1, worker(1)))
    effects = drive(core, events.WorkerRequested(2, worker(1)))
    assert effects == [Reply(2, None)]


def test_what_has_ended_is_not_started_again_by_a_late_request() -> None:
    """The driver asks again when it attaches anew; the news of the end may still be on its way to it."""
    core = running([worker(1, goal=Goal.LAUNCHED)])
    drive(core, events.StatusReceived(status("taskmanager-one-00001", "TASK_GONE")))
    effects = drive(core, events.WorkerRequested(1, worker(1)), events.OffersReceived([offer(1)]))
    assert told(effects) == [("terminated", "taskmanager-one-00001")]
    assert not calls(effects, "ACCEPT")


def test_running_is_told_once_and_acknowledged() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    effects = drive(core, events.StatusReceived(status("taskmanager-one-00001", "TASK_RUNNING")))
    assert told(effects) == [("started", "taskmanager-one-00001")]
    assert calls(effects, "ACKNOWLEDGE")
    effects = drive(core, events.StatusReceived(status("taskmanager-one-00001", "TASK_RUNNING", uuid=None)))
    assert not told(effects)
    assert not calls(effects)


def test_sequences_never_go_back() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    (before,) = of(drive(core, events.StatusReceived(status("taskmanager-one-00001", "TASK_RUNNING"))), TellDriver)
    later = make(Recovered(4, "fw", DRIVER, JobManagerRecord(1), 0, [worker(1, goal=Goal.LAUNCHED)]))
    (reply,) = of(drive(later, events.DriverAttached(1, DRIVER)), Reply)
    assert reply.value.sequence > before.sequence


def test_new_worker_that_is_released_is_forgotten_and_offers_suppressed() -> None:
    core = running()
    drive(core, events.WorkerRequested(1, worker(1)))
    effects = drive(core, events.WorkerReleased(2, "taskmanager-one-00001"))
    assert of(effects, Delete)
    assert [call.type for call in calls(effects)] == ["SUPPRESS"]


def test_release_kills_until_the_task_has_ended() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    effects = drive(core, events.WorkerReleased(1, "taskmanager-one-00001"))
    assert b"Released" in of(effects, Put)[0].value
    assert calls(effects, "KILL")
    assert calls(drive(core, TimerFired("kill/taskmanager-one-00001"), now=5), "KILL")
    effects = drive(core, events.StatusReceived(status("taskmanager-one-00001", "TASK_KILLED")))
    assert of(effects, Delete)
    assert not told(effects)
    assert not calls(drive(core, TimerFired("kill/taskmanager-one-00001"), now=10))


def test_kills_of_a_worker_whose_agent_is_away_become_rare() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    key, now, pauses = f"kill/{worker(1).id}", 0.0, []
    effects = drive(core, events.WorkerReleased(1, worker(1).id))
    drive(core, events.StatusReceived(status(worker(1).id, "TASK_UNREACHABLE")))
    for _ in range(7):
        (timer,) = [one for one in of(effects, SetTimer) if one.key == key]
        pauses.append(timer.at - now)
        now = timer.at
        effects = drive(core, TimerFired(key), now=now)
        assert calls(effects, "KILL")
    assert pauses == [5, 10, 20, 40, 80, 80, 80]
    effects = drive(core, events.StatusReceived(status(worker(1).id, "TASK_RUNNING")), now=now)
    assert calls(effects, "KILL")
    assert SetTimer(key, now + 5) in effects


def test_a_revive_that_brings_no_offer_is_repeated() -> None:
    core = running()
    effects = drive(core, events.WorkerRequested(1, worker(1, cpus=99)), TimerFired(GATHER_TIMER))
    assert SetTimer(REVIVE_TIMER, REVIVE_RETRY) in effects
    effects = drive(core, TimerFired(REVIVE_TIMER), now=REVIVE_RETRY)
    assert [call.type for call in calls(effects)] == ["REVIVE"]
    assert SetTimer(REVIVE_TIMER, 2 * REVIVE_RETRY) in effects
    drive(core, events.OffersReceived([offer(1)]))
    assert not drive(core, TimerFired(REVIVE_TIMER))
    drive(core, events.WorkerReleased(2, worker(1).id))
    assert not drive(core, TimerFired(REVIVE_TIMER))


def test_stories_of_ended_workers_are_forgotten_and_the_others_stay() -> None:
    core = running([worker(0, goal=Goal.LAUNCHED)])
    drive(core, events.StatusReceived(status(worker(0).id, "TASK_RUNNING")), events.JobManagerEnded(1, "x"))
    for number in range(1, REMEMBERED + 10):
        drive(core, events.WorkerRequested(1, worker(number)), events.WorkerReleased(2, worker(number).id))
    assert not core.stories.of(worker(1).id)
    assert core.stories.of(worker(REMEMBERED + 9).id)
    assert core.stories.of(worker(0).id)
    assert core.stories.of(JOB_MANAGER)


def test_no_word_after_launch_asks_the_master() -> None:
    core = running()
    drive(core, events.WorkerRequested(1, worker(1)), events.OffersReceived([offer(1)]))
    effects = drive(core, GATHERED)
    assert SetTimer("launch/taskmanager-one-00001", LAUNCH_TIMEOUT) in effects
    effects = drive(core, TimerFired("launch/taskmanager-one-00001"), now=30)
    assert len(calls(effects, "RECONCILE")) == 1


RECONCILIATION = [
    # goal, what the master says, told to the driver, killed, goal afterwards (None: gone)
    (Goal.NEW, None, None, False, Goal.NEW),
    (Goal.NEW, "TASK_RUNNING", "started", False, Goal.LAUNCHED),
    (Goal.NEW, "TASK_LOST", "terminated", False, None),
    (Goal.NEW, "TASK_FINISHED", "terminated", False, None),
    (Goal.LAUNCHED, None, None, False, Goal.LAUNCHED),
    (Goal.LAUNCHED, "TASK_STAGING", None, False, Goal.LAUNCHED),
    (Goal.LAUNCHED, "TASK_RUNNING", "started", False, Goal.LAUNCHED),
    (Goal.LAUNCHED, "TASK_KILLING", None, False, Goal.LAUNCHED),
    (Goal.LAUNCHED, "TASK_UNREACHABLE", None, False, Goal.LAUNCHED),
    (Goal.LAUNCHED, "TASK_LOST", "terminated", False, None),
    (Goal.LAUNCHED, "TASK_FINISHED", "terminated", False, None),
    (Goal.LAUNCHED, "TASK_GONE", "terminated", False, None),
    (Goal.LAUNCHED, "TASK_UNKNOWN", "terminated", False, None),
    (Goal.RELEASED, None, None, True, Goal.RELEASED),
    (Goal.RELEASED, "TASK_RUNNING", None, True, Goal.RELEASED),
    (Goal.RELEASED, "TASK_LOST", None, True, None),
    (Goal.RELEASED, "TASK_FINISHED", None, True, None),
    (None, None, None, False, None),
    (None, "TASK_RUNNING", None, True, None),
    (None, "TASK_LOST", None, False, None),
    (None, "TASK_FINISHED", None, False, None),
]


@pytest.mark.parametrize(("goal", "said", "tell", "killed", "after"), RECONCILIATION)
def test_reconciliation_table(
    goal: Goal | None, said: str | None, tell: str | None, killed: bool, after: Goal | None
) -> None:
    workers = [] if goal is None else [worker(1, goal=goal)]
    core = make(Recovered(3, "fw", DRIVER, JobManagerRecord(1), 0, workers))
    effects = drive(core, events.Started(job_manager_alive=True), events.MasterConnected("fw"))
    if said is not None:
        effects += drive(core, events.StatusReceived(status("taskmanager-one-00001", said, uuid=None)))
    assert told(effects) == ([] if tell is None else [(tell, "taskmanager-one-00001")])
    assert bool(calls(effects, "KILL")) is killed
    (reply,) = of(drive(core, events.StateAsked(9)), Reply)
    assert [w["goal"] for w in reply.value["workers"]] == ([] if after is None else [after.value])


def test_unanswered_reconciliation_is_repeated_with_growing_pauses() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    now, pauses = 0.0, []
    for _ in range(6):
        effects = drive(core, TimerFired(reconciliation.RETRY_TIMER), now=now)
        (timer,) = [t for t in of(effects, SetTimer) if t.key == reconciliation.RETRY_TIMER]
        pauses.append(timer.at - now)
        now = timer.at
    assert pauses == [10, 20, 40, 60, 60, 60]
    drive(core, events.StatusReceived(status("taskmanager-one-00001", "TASK_RUNNING")))
    assert not drive(core, TimerFired(reconciliation.RETRY_TIMER), now=now)


def test_connecting_asks_for_all_and_one_by_one() -> None:
    core = make(Recovered(3, "fw", DRIVER, JobManagerRecord(1), 0, [worker(1, goal=Goal.LAUNCHED)]))
    asked = calls(drive(core, events.MasterConnected("fw")), "RECONCILE")
    assert [len(call.reconcile.tasks or []) for call in asked if call.reconcile] == [0, 1]


def test_demand_outlives_a_disconnection() -> None:
    core = running()
    drive(core, events.WorkerRequested(1, worker(1)), events.MasterDisconnected("gone"))
    assert "REVIVE" in [call.type for call in calls(drive(core, events.MasterConnected("fw")))]


def test_rescinded_offer_is_not_used() -> None:
    core = running()
    drive(
        core, events.WorkerRequested(1, worker(1)), events.OffersReceived([offer(1)]), events.OfferRescinded("offer-1")
    )
    assert not calls(drive(core, GATHERED))


def test_removed_framework_starts_anew() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    effects = drive(core, events.MasterRefused("Framework has been removed"))
    assert of(effects, events.ForgetFramework)
    assert told(effects) == [("terminated", "taskmanager-one-00001")]
    effects = drive(core, events.MasterDisconnected("closed"), events.MasterConnected("fw-2"))
    assert Put("framework", b"fw-2") in effects


def test_other_refusals_change_nothing() -> None:
    assert not drive(running([worker(1, goal=Goal.LAUNCHED)]), events.MasterRefused("not authorized"))


# the driver


def attach(core: ApplicationMaster, driver: Driver) -> tuple[Attachment, list[Effect]]:
    effects = drive(core, events.DriverAttached(1, driver))
    (reply,) = of(effects, Reply)
    return reply.value, effects


def test_same_attempt_keeps_everything() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED), worker(2), worker(3, goal=Goal.RELEASED)])
    attachment, effects = attach(core, DRIVER)
    assert attachment.workers == ["taskmanager-one-00001"]
    assert not of(effects, Delete)


def test_new_attempt_of_a_highly_available_flink_keeps_what_was_launched() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED), worker(2)], keep_workers=True)
    attachment, effects = attach(core, Driver("two", DRIVER.web, "127.0.0.1:7000"))
    assert attachment.workers == ["taskmanager-one-00001"]
    assert [delete.key for delete in of(effects, Delete)] == ["workers/taskmanager-one-00002"]


def test_new_attempt_releases_the_old_ones_otherwise() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    attachment, effects = attach(core, Driver("two", DRIVER.web, DRIVER.rpc))
    assert attachment.workers == []
    assert calls(effects, "KILL")


def test_dashboard_is_shown() -> None:
    _, effects = attach(running(), DRIVER)
    assert of(effects, events.ShowWebUi) == [events.ShowWebUi(DRIVER.web, suppressed=True)]


def test_dashboard_is_shown_again_with_every_subscription_but_not_before() -> None:
    """A subscription under way may still say nothing of it: the link was lost when both came together."""
    core = running()
    assert not of(drive(core, events.MasterDisconnected("closed")), events.ShowWebUi)
    assert not of(attach(core, DRIVER)[1], events.ShowWebUi)
    assert of(drive(core, events.MasterConnected("fw")), events.ShowWebUi)


# the JobManager


@pytest.mark.parametrize("keep", [True, False])
def test_dead_job_manager_is_started_again(keep: bool) -> None:
    core = running([worker(1), worker(2, goal=Goal.LAUNCHED)], keep_workers=keep)
    effects = drive(core, events.JobManagerEnded(1, "signal 9"), now=10)
    assert [delete.key for delete in of(effects, Delete)] == ["workers/taskmanager-one-00001"]
    assert bool(calls(effects, "KILL")) is not keep
    (timer,) = [t for t in of(effects, SetTimer) if t.key == jobmanager.START_TIMER]
    assert 10 < timer.at <= 11
    assert of(drive(core, TimerFired(jobmanager.START_TIMER)), StartJobManager) == [StartJobManager(2)]


def test_end_of_an_older_run_is_no_news() -> None:
    core = running()
    drive(core, events.JobManagerEnded(1, "x"), TimerFired(jobmanager.START_TIMER))
    assert not drive(core, events.JobManagerEnded(1, "x"))


def test_job_manager_that_never_works_is_given_up() -> None:
    core = make()
    drive(core, events.Started(job_manager_alive=False))
    effects = []
    for run in (1, 2, 3):
        effects = drive(core, events.JobManagerEnded(run, "exit 1"), TimerFired(jobmanager.START_TIMER))
    assert [finish.status for finish in of(effects, Finish)] == [EXIT_JOB_MANAGER]


def test_our_own_deaths_are_no_failures_of_the_job_manager() -> None:
    """Each time before the process is made whose run was just stored."""
    content: dict[str, bytes] = {}
    for _ in range(2 * jobmanager.MOST_FAILURES):
        core = make(records.recover(content))
        for event in (events.Started(job_manager_alive=False), TimerFired(jobmanager.START_TIMER)):
            effects = drive(core, event)
            apply(effects, content)
            assert not of(effects, Finish)


def test_job_manager_that_once_worked_is_never_given_up() -> None:
    core = running()
    drive(core, events.DriverAttached(1, DRIVER))
    run, now, pauses, effects = 1, 0.0, [], []
    for _ in range(12):
        effects = drive(core, events.JobManagerEnded(run, "exit 1"), now=now)
        (timer,) = [t for t in of(effects, SetTimer) if t.key == jobmanager.START_TIMER]
        pauses.append(timer.at - now)
        now = timer.at
        (started,) = of(drive(core, TimerFired(jobmanager.START_TIMER), now=now), StartJobManager)
        run = started.run
    assert not of(effects, Finish)
    assert pauses[0] <= 0.1
    assert pauses[-1] == jobmanager.LAST_PAUSE


def test_a_job_manager_that_attaches_and_dies_is_started_less_and_less_often() -> None:
    core = running()
    run, now, pauses = 1, 0.0, []
    for attempt in range(10):
        drive(core, events.DriverAttached(1, Driver(f"attempt-{attempt}", "w", "r")), now=now)
        now += jobmanager.STEADY + 1 if attempt == 9 else 3
        effects = drive(core, events.JobManagerEnded(run, "exit 1"), now=now)
        (timer,) = [t for t in of(effects, SetTimer) if t.key == jobmanager.START_TIMER]
        pauses.append(round(timer.at - now, 3))
        now = timer.at
        (started,) = of(drive(core, TimerFired(jobmanager.START_TIMER), now=now), StartJobManager)
        run = started.run
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 0.1]
    assert core.stories.of(JOB_MANAGER)[-1].why == "in 0.1 s"


def test_an_end_for_good_takes_the_jobs_along() -> None:
    core = running()
    ends = events.JobManagerEnded(1, "exit 0"), events.MasterRefused("Framework has been removed")
    effects = drive(core, events.DriverDeregistered(1, "FAILED", ""), *ends)
    assert [finish.gone for finish in of(effects, Finish)] == [True]


def test_a_job_manager_that_does_not_start_leaves_what_it_keeps() -> None:
    core = make()
    drive(core, events.Started(job_manager_alive=False))
    for run in (1, 2, 3):
        effects = drive(core, events.JobManagerEnded(run, "exit 1"), TimerFired(jobmanager.START_TIMER))
    assert [finish.gone for finish in of(effects, Finish)] == [False]


# the end by Flink; by SIGTERM: test_core_stop


@pytest.mark.parametrize(("said", "code"), [("SUCCEEDED", 0), ("CANCELED", 0), ("FAILED", EXIT_FAILED)])
def test_flinks_own_shutdown(said: str, code: int) -> None:
    core = running()
    effects = drive(core, events.DriverDeregistered(1, said, ""))
    assert effects[0] == Reply(1, None)
    assert calls(effects, "TEARDOWN")
    effects = drive(core, events.JobManagerEnded(1, "exit 0"), events.MasterRefused("Framework has been removed"))
    assert [finish.status for finish in of(effects, Finish)] == [code]


def test_flink_ends_by_itself_when_it_says_so() -> None:
    core = running()
    effects = drive(core, events.DriverDeregistered(1, "SUCCEEDED", ""), now=100)
    assert not of(effects, events.SignalJobManager)
    assert events.SignalJobManager(1, kill=True) in drive(core, TimerFired(jobmanager.KILL_TIMER))


def test_a_mistake_of_the_user_is_not_tried_again() -> None:
    core = make()
    drive(core, events.Started(job_manager_alive=False))
    effects = drive(core, events.JobManagerEnded(1, "exit 20", "there is no job graph"))
    assert of(effects, Finish) == [Finish(EXIT_MISTAKE, "there is no job graph")]
    assert not of(drive(core, TimerFired(jobmanager.START_TIMER)), StartJobManager)


@pytest.mark.parametrize("said", ["SUCCEEDED", "FAILED"])
def test_what_flink_said_is_told_at_the_end(said: str) -> None:
    core = running()
    drive(core, events.DriverDeregistered(1, said, ""))
    effects = drive(core, events.JobManagerEnded(1, "exit 0"), events.MasterRefused("Framework has been removed"))
    assert [finish.said for finish in of(effects, Finish)] == [said]
