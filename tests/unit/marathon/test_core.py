"""The whole core in a simulated cluster: deployments, failures, health, unreachable agents, crashes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.kernel.core import Put, Reply
from headrace.marathon.core.books import Settings
from headrace.marathon.core.events import (
    CancelDeployment,
    CreateApp,
    ForgetFramework,
    KillTasks,
    ResetDelay,
    SendCall,
    UpdateApps,
)
from headrace.marathon.core.records import STOP, Condition
from headrace.mesos.client import Received
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import AgentID, Attribute, FrameworkID, Offer, OfferID, Text
from headrace.mesos.resources import Resources

from .simulation import ORIGIN, ROOM, Cluster


def kill(it: Cluster, *task_ids: str, scale: bool = False, wipe: bool = False) -> Any:
    return it.ask(
        lambda to: KillTasks(
            to, None, list(task_ids), None, scale=scale, wipe=wipe, single=False, force=False, origin=ORIGIN
        )
    )


def test_the_first_need_revives_at_once_and_idleness_suppresses() -> None:
    it = Cluster()
    assert it.wants_offers is False
    it.create("/a")
    assert [call.type for call in it.calls][-1] == "REVIVE"
    it.offer()
    assert [call.type for call in it.calls[-3:]] == ["REVIVE", "ACCEPT", "SUPPRESS"]


def test_an_instance_is_stored_before_it_is_accepted() -> None:
    it = Cluster()
    it.create("/a")
    before = len(it.store)
    it.offer()
    assert len(it.store) == before
    (stored,) = [json.loads(value) for key, value in it.store.items() if key.startswith("instance/")]
    assert stored["condition"] == "Provisioned"
    assert stored["agent_id"] == "agent-host-1"


def test_a_create_is_stored_before_it_is_answered() -> None:
    it = Cluster()
    body = {"id": "/a", "cmd": "x"}
    effects = list(it.core.handle(CreateApp(1, body, False, ORIGIN), it.now))
    keys = {one.key.split("/")[0] for one in effects if isinstance(one, Put)}
    assert keys == {"app", "version", "deployment", "instance", "change"}
    assert [one.value.status for one in effects if isinstance(one, Reply)] == [201]


def test_a_new_app_runs() -> None:
    it = Cluster()
    answer = it.create("/a", instances=3)
    assert answer.status == 201
    it.settle()
    assert len(it.alive()) == 3
    assert not it.core.deployments.running
    assert it.kinds().count("deployment_step_success") == 2
    assert it.kinds()[-1] == "deployment_success"
    order = ["api_post_event", "group_change_success", "deployment_info", "status_update_event", "deployment_success"]
    places = [it.kinds().index(kind) for kind in order]
    assert sorted(places[1:]) == places[1:]


def test_the_same_again_changes_nothing() -> None:
    it = Cluster()
    it.create("/a", instances=2)
    it.settle()
    version, tasks = it.core.books.apps["/a"].version, it.alive()
    answer = it.update("/a", instances=2)
    assert answer.status == 200
    assert (it.core.books.apps["/a"].version, it.alive()) == (version, tasks)
    assert not it.core.deployments.running


def test_scaling_keeps_the_configuration_version_and_a_change_does_not() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    first = it.core.books.apps["/a"]
    it.advance(5)
    it.update("/a", instances=2)
    it.settle()
    scaled = it.core.books.apps["/a"]
    assert scaled.config_version == first.config_version
    assert scaled.version > first.version
    it.update("/a", cmd="other")
    changed = it.core.books.apps["/a"]
    assert changed.config_version == changed.version > scaled.version


def test_a_locked_app_needs_force() -> None:
    it = Cluster()
    first = it.create("/a", instances=2).body["deployments"][0]["id"]
    refused = it.update("/a", instances=1)
    assert refused.status == 409
    assert refused.body["deployments"] == [{"id": first}]
    assert it.core.books.apps["/a"].instances == 2
    assert it.update("/a", force=True, instances=1).status == 200
    assert ("deployment_failed", first) in [(kind, fields.get("id")) for kind, fields in it.events]
    it.settle()
    assert len(it.alive()) == 1


def test_a_failing_app_backs_off() -> None:
    it = Cluster()
    it.create("/a", backoffSeconds=10, backoffFactor=2)
    for delay in (10, 20):
        it.offer()
        (task,) = it.alive()
        it.status(task, "TASK_RUNNING")
        it.status(task, "TASK_FAILED", "exit 1")
        until = it.core.queue.delayed_until("/a", it.now)
        assert until == pytest.approx(it.now + delay)
        assert not it.wants_offers
        it.offer()
        assert not it.alive(), "nothing is launched during the delay"
        it.advance(delay)
        assert it.wants_offers
    assert it.core.books.failures["/a"].message == "exit 1"
    it.settle()
    assert it.alive() == {f"{it.instances('/a')[0].id}._app.3"}


def test_back_off_survives_scaling_but_not_a_change_or_a_reset() -> None:
    it = Cluster()
    it.create("/a", backoffSeconds=100)
    it.offer()
    (task,) = it.alive()
    it.status(task, "TASK_RUNNING")
    it.status(task, "TASK_FINISHED")
    assert it.update("/a", instances=2).status == 200
    assert it.core.queue.delayed_until("/a", it.now)
    assert it.ask(lambda to: ResetDelay(to, "/a")).status == 204
    assert it.core.queue.delayed_until("/a", it.now) is None
    assert it.wants_offers
    assert it.ask(lambda to: ResetDelay(to, "/nope")).status == 404


def test_a_killed_task_comes_back_at_once_as_the_next_incarnation() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    (task,) = it.alive()
    answer = kill(it, task)
    assert [one["id"] for one in answer.body["tasks"]] == [task]
    it.end_killed()
    it.settle()
    assert it.alive() == {task.removesuffix(".1") + ".2"}
    assert "/a" not in it.core.books.delays


def test_wiping_takes_the_instance_along_and_scaling_wants_fewer() -> None:
    it = Cluster()
    it.create("/a", instances=3)
    it.settle()
    one, two, three = sorted(it.alive())
    kill(it, one, wipe=True)
    it.settle()
    assert len(it.alive()) == 3
    assert one.removesuffix("1") + "2" not in it.alive()
    kill(it, two, scale=True)
    it.settle()
    assert it.core.books.apps["/a"].instances == 2
    assert two not in it.alive()
    assert three in it.alive()
    assert kill(it, three, scale=True, wipe=True).status == 400


def test_a_kill_is_said_again_until_it_works() -> None:
    it = Cluster(Settings(kill_retry_interval=30))
    it.create("/a")
    it.settle()
    it.delete("/a")
    assert len(it.killed) == 1
    it.advance(65)
    assert len(it.killed) == 3
    it.crash()
    assert len(it.killed) == 4
    it.end_killed()
    it.advance(100)
    assert not it.killed
    assert [key for key in it.store if key != "framework" and not key.startswith(("change/", "past/"))] == []
    assert "app_terminated_event" in it.kinds()


def test_a_task_of_nobody_is_killed_and_all_is_acknowledged() -> None:
    it = Cluster()
    it.status("ghost.instance-1._app.1", "TASK_RUNNING")
    assert it.killed == ["ghost.instance-1._app.1"]
    it.status("ghost.instance-1._app.1", "TASK_KILLED")
    assert "unknown_instance_terminated_event" in it.kinds()
    assert [call.type for call in it.calls].count("ACKNOWLEDGE") == 2


def test_health_decides_when_a_deployment_goes_on() -> None:
    it = Cluster()
    it.create("/a", healthChecks=[{"protocol": "TCP", "gracePeriodSeconds": 60, "intervalSeconds": 10}])
    it.offer()
    it.run_all()
    it.advance(1)
    it.answer_probes(passed=False)
    assert it.core.deployments.running, "failures within the grace period say nothing"
    it.advance(1)
    it.answer_probes()
    assert not it.core.deployments.running
    assert it.instances("/a")[0].healthy is True


def test_the_failure_after_the_maximum_kills_and_is_no_back_off() -> None:
    it = Cluster()
    checks = [{"protocol": "TCP", "gracePeriodSeconds": 0, "intervalSeconds": 10, "maxConsecutiveFailures": 2}]
    it.create("/a", healthChecks=checks)
    it.offer()
    it.run_all()
    for failures in range(3):
        assert not it.killed, failures
        it.advance(10)
        it.answer_probes(passed=False)
    assert len(it.killed) == 1
    assert it.kinds().count("failed_health_check_event") == 3
    assert "unhealthy_instance_kill_event" in it.kinds()
    it.end_killed()
    assert it.core.queue.delayed_until("/a", it.now) is None
    assert it.instances("/a")[0].incarnation == 2


COMMAND = {"protocol": "COMMAND", "command": {"value": "test -e ok"}, "delaySeconds": 1, "maxConsecutiveFailures": 2}


def test_the_agent_runs_a_command_check_and_its_word_counts() -> None:
    it = Cluster()
    it.create("/a", healthChecks=[COMMAND])
    it.offer()
    (task,) = it.alive()
    check = it.infos[task].health_check
    assert check is not None
    assert check.command is not None
    assert (check.type, check.command.value, check.command.shell) == ("COMMAND", "test -e ok", True)
    assert (check.delay_seconds, check.grace_period_seconds, check.consecutive_failures) == (1, 300, 2)
    it.run_all()
    it.advance(100)
    assert not it.probes, "nobody else probes"
    assert it.core.deployments.running
    it.status(task, "TASK_RUNNING", healthy=True)
    assert it.instances("/a")[0].healthy is True
    assert not it.core.deployments.running
    it.advance(1)
    for _ in range(2):
        it.status(task, "TASK_RUNNING", healthy=False)
    (result,) = it.instances("/a")[0].health
    assert (result.alive, result.consecutive_failures) == (False, 2)
    it.status(task, "TASK_RUNNING", reason="REASON_RECONCILIATION", healthy=False)
    assert result.consecutive_failures == 2, "an answer to a question is no new probe"
    assert it.kinds().count("failed_health_check_event") == 2
    assert it.kinds().count("instance_health_changed_event") == 2
    assert not it.killed, "the agent kills by itself"
    it.status(task, "TASK_KILLED", "ended by signal 15", healthy=False)
    assert "health check failed" in it.core.books.failures["/a"].message
    assert it.instances("/a")[0].incarnation == 2
    assert it.core.queue.delayed_until("/a", it.now) is None


def test_what_the_agent_said_of_health_is_asked_again_after_a_crash() -> None:
    it = Cluster()
    it.create("/a", healthChecks=[COMMAND])
    it.offer()
    it.run_all()
    it.crash()
    (task,) = it.alive()
    it.status(task, "TASK_RUNNING", reason="REASON_RECONCILIATION", healthy=True)
    assert it.instances("/a")[0].healthy is True


@pytest.mark.parametrize(
    ("protocols", "handed_over", "probed"),
    [
        (["MESOS_HTTP"], "HTTP", []),
        (["MESOS_TCP"], "TCP", []),
        (["MESOS_HTTPS"], None, ["HTTPS"]),
        (["COMMAND", "MESOS_HTTP"], "COMMAND", ["HTTP"]),
        (["TCP", "COMMAND", "COMMAND"], "COMMAND", ["TCP"]),
        (["HTTP"], None, ["HTTP"]),
    ],
)
def test_every_check_is_run_by_somebody(protocols: list[str], handed_over: str | None, probed: list[str]) -> None:
    it = Cluster()
    checks = [{"protocol": one, "path": "/up"} for one in protocols]
    for check in checks:
        if check["protocol"] == "COMMAND":
            check |= {"command": {"value": "true"}}  # type: ignore[dict-item]
    it.create("/a", healthChecks=checks)
    it.offer()
    it.run_all()
    (task,) = it.alive()
    agents = it.infos[task].health_check
    assert (agents.type if agents is not None else None) == handed_over
    if agents is not None and agents.http is not None:
        assert (agents.http.port, agents.http.path, agents.consecutive_failures) == (31000, "/up", 3)
    if agents is not None and agents.tcp is not None:
        assert agents.tcp.port == 31000
    it.advance(1)
    assert sorted(probe.protocol for probe in it.probes.values()) == probed
    it.answer_probes()
    assert it.instances("/a")[0].healthy is (None if handed_over else True)
    if handed_over:
        it.status(task, "TASK_RUNNING", healthy=True)
    assert it.instances("/a")[0].healthy is True


def test_several_commands_become_one_check_that_all_must_pass() -> None:
    it = Cluster()
    second = COMMAND | {"command": {"value": "echo '$x\"; exit 1"}, "intervalSeconds": 7, "maxConsecutiveFailures": 0}
    it.create("/a", healthChecks=[COMMAND, second])
    it.offer()
    (info,) = it.infos.values()
    assert info.health_check is not None
    command = info.health_check.command
    assert command is not None
    assert command.shell is False
    assert command.arguments is not None
    assert command.arguments[-2:] == ["test -e ok", "echo '$x\"; exit 1"]
    assert (info.health_check.interval_seconds, info.health_check.consecutive_failures) == (7, 2)


def test_an_offer_costs_the_same_however_large_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances are counted by where they are, not looked through for each offer."""
    it = Cluster()
    it.create("/a", instances=150, constraints=[["hostname", "UNIQUE"], ["rack", "GROUP_BY"]])
    for number in range(120):
        it.offer(f"host-{number}", rack=f"rack-{number % 3}")
    assert len(it.alive()) == 120
    looks: list[str] = []
    of_app = it.core.books.of_app

    def watched(app_id: str) -> Any:
        looks.append(app_id)
        return of_app(app_id)

    monkeypatch.setattr(it.core.books, "of_app", watched)
    it.core.handle(offers_of(("host-7", "rack-0"), ("host-121", "rack-0"), ("host-122", "rack-1")), it.now)
    assert looks == []
    assert sum(one.condition is Condition.PROVISIONED for one in of_app("/a")) == 122
    it.core.books.validate()


def test_an_ended_task_leaves_its_place_to_others() -> None:
    it = Cluster()
    it.create("/a", instances=2, constraints=[["hostname", "UNIQUE"]])
    it.offer("host-1")
    it.offer("host-1")
    (first,) = it.alive()
    it.run_all()
    kill(it, first)
    it.end_killed()
    it.offer("host-1")
    assert len(it.alive()) == 1, "its next incarnation may be where it was"
    it.offer("host-2")
    it.run_all()
    assert it.update("/a", force=True, instances=0).status == 200
    it.end_killed()
    assert not it.alive()
    it.update("/a", force=True, instances=2)
    it.offer("host-1")
    it.offer("host-2")
    assert len(it.alive()) == 2


def test_the_offers_that_are_remembered_are_bounded() -> None:
    it = Cluster()
    it.create("/a", cpus=64)
    for first in range(0, 1200, 100):
        it.core.handle(offers_of(*((f"host-{first + number}", "r") for number in range(100))), it.now)
    attempt = it.core.queue.attempts["/a"]
    assert len(attempt.offers) == len(attempt.by_agent) == 1000
    assert "agent-host-1199" in attempt.offers
    assert "agent-host-0" not in attempt.offers


def offers_of(*places: tuple[str, str]) -> Received:
    """An event with offers of these hosts, each with a rack."""
    made = [
        Offer(
            OfferID(f"offer-{host}"),
            FrameworkID("framework-1"),
            AgentID(f"agent-{host}"),
            host,
            resources=ROOM.messages("*"),
            attributes=[Attribute("rack", "TEXT", text=Text(rack))],
        )
        for host, rack in places
    ]
    return Received(scheduler.Event("OFFERS", offers=scheduler.Offers(made)))


def test_late_probes_of_an_earlier_task_say_nothing() -> None:
    it = Cluster()
    it.create("/a", healthChecks=[{"protocol": "TCP", "gracePeriodSeconds": 0}])
    it.offer()
    it.run_all()
    it.advance(1)
    (task,) = it.alive()
    it.status(task, "TASK_FAILED")
    it.answer_probes()
    assert it.instances("/a")[0].health == []


def test_readiness_holds_a_deployment() -> None:
    it = Cluster()
    it.create("/a", readinessChecks=[{"portName": "default", "intervalSeconds": 5, "timeoutSeconds": 1}])
    it.offer()
    it.run_all()
    it.advance(0)
    it.answer_probes(passed=False)
    assert it.core.deployments.running
    it.advance(5)
    it.answer_probes()
    assert not it.core.deployments.running


def test_a_rolling_restart_never_has_too_few() -> None:
    it = Cluster()
    it.create("/a", instances=4, upgradeStrategy={"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0})
    it.settle()
    old = it.alive()
    it.restart("/a")
    assert len(it.killed) == 2
    for _ in range(20):
        running = [one for one in it.tasks.values() if one == "TASK_RUNNING"]
        assert 2 <= len(running) <= len(it.alive()) <= 4
        it.end_killed()
        it.offer()
        it.run_all()
    assert not it.core.deployments.running
    assert not it.alive() & old
    assert len(it.alive()) == 4


def test_dependencies_come_first() -> None:
    it = Cluster()
    it.create("/web", dependencies=["/db"], instances=0)
    it.create("/db", instances=0)
    body = [("/web", {"instances": 1}), ("/db", {"instances": 1})]
    answer = it.ask(lambda to: UpdateApps(to, body, True, True, False, True, ORIGIN))
    assert answer.status == 200
    it.offer()
    assert [task.split(".")[0] for task in it.alive()] == ["db"]
    it.run_all()
    it.offer()
    assert len(it.alive()) == 2


def test_cancel_leaves_and_revert_takes_back() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    old = it.alive()
    deployment = it.update("/a", cmd="other", instances=2).body["deploymentId"]
    assert it.ask(lambda to: CancelDeployment(to, deployment, force=False)).status == 200
    it.settle()
    assert it.core.books.apps["/a"].cmd == "sleep 1000"
    assert it.alive() == old, "what still ran of the old version stays"
    second = it.create("/b", instances=2).body["deployments"][0]["id"]
    assert it.ask(lambda to: CancelDeployment(to, second, force=True)).status == 202
    assert "/b" in it.core.books.apps
    third = it.update("/b", instances=5).body["deploymentId"]
    assert it.ask(lambda to: CancelDeployment(to, third, force=False)).status == 200
    assert it.core.books.apps["/b"].instances == 2


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


def test_an_app_is_said_to_be_stopped_for_as_long_as_its_tasks_are_being_killed() -> None:
    """By that the application master of Flink knows that its app is destroyed, and that its jobs' files may go."""
    it = Cluster()
    it.create("/a")
    it.settle()
    it.delete("/a")
    assert it.killed

    def stopped() -> list[str]:
        actions = [action for one in it.core.deployments.running.values() for action in one.actions()]
        return [action.app for action in actions if action.action == STOP]

    assert stopped() == ["/a"]
    it.crash()
    assert stopped() == ["/a"]
    it.end_killed()
    it.settle()
    assert not it.core.deployments.running


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


def test_a_task_that_does_not_start_is_killed() -> None:
    it = Cluster(Settings(task_launch_confirm_timeout=10))
    it.create("/a")
    it.offer()
    it.advance(11)
    assert len(it.killed) == 1


def test_unique_hosts_wait_for_another_host_and_say_why() -> None:
    it = Cluster()
    it.create("/a", instances=2, constraints=[["hostname", "UNIQUE"]])
    it.offer("host-1")
    it.offer("host-1")
    assert len(it.alive()) == 1
    assert it.wants_offers
    (summary,) = it.core.queue.attempts.values()
    assert summary.refusals["UnfulfilledConstraint"] == 2
    assert "UNIQUE" in it.core.books.stories.of("/a")[-1].why
    it.offer("host-2")
    assert len(it.alive()) == 2


def test_unused_offers_are_declined_for_long() -> None:
    it = Cluster()
    it.offer()
    assert it.calls[-1].decline is not None
    assert it.calls[-1].decline.filters is not None
    assert it.calls[-1].decline.filters.refuse_seconds == 120.0


def test_an_offer_is_not_overused() -> None:
    it = Cluster(Settings(max_instances_per_offer=100))
    it.create("/a", instances=10, cpus=1)
    it.offer(room=Resources.of(cpus=3.5, mem=8192) + Resources(ranges={"ports": ((31000, 31999),)}))
    assert len(it.alive()) == 3
    ports = [port for one in it.instances("/a") for port in one.ports]
    assert len(set(ports)) == 3


def test_several_tasks_go_into_one_accept() -> None:
    it = Cluster()
    it.create("/a", instances=12)
    it.calls.clear()
    it.offer()
    accepts = [call for call in it.calls if call.accept is not None]
    assert len(accepts) == 1
    assert len(it.alive()) == 12


def test_a_rollback_to_a_version() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    first = it.core.books.apps["/a"]
    it.update("/a", cmd="other")
    it.settle()
    assert it.update("/a", version=first.version).status == 200
    it.settle()
    assert it.core.books.apps["/a"].cmd == first.cmd
    assert it.update("/a", version="2020-01-01T00:00:00.000Z").status == 404


def test_too_many_deployments_are_refused() -> None:
    it = Cluster(Settings(max_running_deployments=1))
    it.create("/a")
    assert it.create("/b").status == 403
    assert "/b" not in it.core.books.apps


def test_nothing_changes_when_one_of_several_is_bad() -> None:
    it = Cluster()
    before = dict(it.store)
    body: list[tuple[str, Any]] = [("/a", {"id": "/a", "cmd": "x"}), ("/b", {"id": "/b"})]
    answer = it.ask(lambda to: UpdateApps(to, body, True, True, False, False, ORIGIN))
    assert answer.status == 422
    assert it.store == before


def test_versions_grow_also_within_a_millisecond() -> None:
    it = Cluster()
    versions = [it.core.books.next_version(it.now) for _ in range(2500)]
    assert versions == sorted(set(versions))


def test_calls_are_said_after_what_they_rest_on_is_stored() -> None:
    it = Cluster()
    it.create("/a")
    seen: list[str] = []
    original = it._carry_out
    it._carry_out = lambda effects: (seen.extend(type(one).__name__ for one in effects), original(effects))  # type: ignore[method-assign, assignment, func-returns-value]
    it.offer()
    assert seen.index("Put") < seen.index(SendCall.__name__)


def test_a_large_app_is_looked_at_once_for_many_statuses() -> None:
    it = Cluster(Settings(max_instances_per_offer=1000))
    it.create("/a", instances=300, cpus=0.01)
    it.offer()
    it.run_all()
    assert it.core.deployments.running, "nobody has looked yet"
    it.advance(0.01)
    assert not it.core.deployments.running
    assert len(it.alive()) == 300
