"""Health and readiness: who asks, what an answer means, and what it holds up."""

from __future__ import annotations

import pytest

from .simulation import Cluster


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
