"""Why something waits and what would be enough; deadlines; what a restart of Marathon does not forget."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.marathon.api.views import deployments as views
from headrace.marathon.api.views import history
from headrace.marathon.api.views.embeds import Embeds
from headrace.marathon.api.views.queue import queue
from headrace.marathon.core.events import CancelDeployment, ChangeGroup, CreateApp, UpdateApps
from headrace.marathon.core.settings import Settings
from headrace.marathon.definitions import writing
from headrace.mesos.resources import Resources

from .simulation import ORIGIN, ROOM, Cluster

WHY = Embeds(["why"])
SMALL = Resources.of(cpus=2.5, mem=8192, disk=1000) + Resources(ranges={"ports": ((31000, 31999),)})
CHECK = {"name": "r", "portName": "web", "path": "/ready", "intervalSeconds": 5, "timeoutSeconds": 1}


def waits(it: Cluster) -> list[dict[str, Any]]:
    (item,) = queue(it.core, it.now, WHY).body["queue"]
    return list(msgspec.to_builtins(item["waitsFor"]))


def is_healthy(it: Cluster) -> bool | None:
    return it.instances("/a")[0].healthy


def lacks(it: Cluster) -> list[str]:
    (deployment,) = views.deployments(it.core, it.now, WHY).body
    (action,) = deployment["currentActions"]
    return [one.text for one in action["why"]]


def test_what_would_be_enough() -> None:
    it = Cluster()
    it.create("/a", cpus=4)
    assert "none has come" in waits(it)[0]["text"]
    it.offer("agent-2", Resources.of(cpus=1, mem=8192))
    it.offer("agent-3", SMALL)
    it.offer("agent-4", Resources.of(cpus=9, mem=1))
    first, second = waits(it)
    assert first["text"] == "needs 4 cpus on one agent; the largest free is 2.5 on agent-3 (2 agents lack that)"
    assert (first["reason"], first["needed"], first["largest"], first["host"]) == (
        "InsufficientCpus",
        4.0,
        2.5,
        "agent-3",
    )
    assert second["text"].startswith("needs 16 MiB of memory on one agent; the largest free is 1 on agent-4 (1 agent")
    assert lacks(it)[:2] == ["0 of 1 instances are good", first["text"]]


def test_a_constraint_in_the_way_is_named() -> None:
    it = Cluster()
    it.create("/a", instances=2, constraints=[["hostname", "UNIQUE"]])
    it.offer()
    it.offer()
    (one,) = waits(it)
    assert (one["reason"], one["agents"]) == ("UnfulfilledConstraint", 1)
    assert "hostname" in one["text"]


def test_a_delay_is_named_and_survives_a_restart() -> None:
    it = Cluster()
    it.create("/a", backoffSeconds=100)
    it.offer()
    (task,) = it.alive()
    it.status(task, "TASK_FAILED", "no disk")
    it.advance(30)
    it.crash()
    (one,) = waits(it)
    assert one["kind"] == "delay"
    assert one["text"] == "launches wait 70 s more, as tasks keep ending; the last one: TASK_FAILED no disk"
    wanted = [it.wants_offers]
    for seconds in (69, 2):
        it.advance(seconds)
        wanted.append(it.wants_offers)
    assert wanted == [False, False, True]
    it.delete("/a")
    it.settle()
    assert not [key for key in it.store if key.startswith("delay/")]


def test_checks_that_hold_a_deployment_up_are_named_with_their_last_answer() -> None:
    it = Cluster()
    ports = [{"port": 0, "name": "web"}]
    it.create("/a", portDefinitions=ports, readinessChecks=[CHECK])
    it.offer()
    assert "is Provisioned on host-1" in lacks(it)[1]
    it.run_all()
    it.advance(0.1)
    it.answer_probes(passed=False)
    it.advance(4)
    assert lacks(it)[1].endswith("readiness (HTTP /ready) said 500 4 s ago")
    it.delete("/a")
    it.settle()
    it.create("/b", healthChecks=[{"protocol": "HTTP", "path": "/ok", "gracePeriodSeconds": 60}])
    it.offer()
    it.run_all()
    assert lacks(it)[1].endswith("health check HTTP /ok has no answer yet")
    it.advance(0.2)
    it.answer_probes(passed=False)
    assert lacks(it)[1].endswith("health check HTTP /ok has not succeeded yet; 0 s ago: refused")


@pytest.mark.parametrize(("protocol", "said"), [("MESOS_HTTP", "; the first check is in 8 s"), ("HTTP", "")])
def test_a_check_that_the_agent_has_not_begun_says_when(protocol: str, said: str) -> None:
    it = Cluster()
    check = {"protocol": protocol, "path": "/ok", "delaySeconds": 10, "gracePeriodSeconds": 60}
    it.create("/a", portDefinitions=[{"port": 0}], healthChecks=[check])
    it.offer()
    it.run_all()
    it.advance(2)
    assert lacks(it)[1].endswith(f"health check {protocol} /ok has no answer yet{said}")
    it.advance(9)
    assert lacks(it)[1].endswith(f"health check {protocol} /ok has no answer yet")


def test_an_instance_that_does_not_end_is_named() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    it.delete("/a")
    head, one = lacks(it)
    assert head == "1 instance has not ended yet"
    assert "is being ended (the app is removed), and has not ended yet" in one


def test_a_deployment_that_stands_still_is_told_ever_more_rarely() -> None:
    it = Cluster()
    it.create("/a", cpus=100)
    it.offer()
    it.advance(7 * 60 - 1)

    def told() -> list[dict[str, Any]]:
        return [fields for kind, fields in it.events if kind == "deployment_stalled_event"]

    assert len(told()) == 2, "at 120 s and 240 s; then at 480 s"
    assert [one["text"] for one in told()[0]["why"]][1].startswith("needs 100 cpus")
    it.update("/a", force=True, cpus=0.1)
    it.settle()
    it.advance(10_000)
    assert len(told()) == 2, "nothing is left to be told"


def test_health_survives_a_restart() -> None:
    it = Cluster()
    it.create("/a", healthChecks=[{"protocol": "TCP", "gracePeriodSeconds": 0, "maxConsecutiveFailures": 2}])
    it.settle()
    assert is_healthy(it) is True
    it.advance(60)
    it.answer_probes(passed=False)
    it.crash()
    assert is_healthy(it) is False, "not unknown"
    for _ in range(2):
        it.advance(60)
        it.answer_probes(passed=False)
        it.crash()
    assert it.killed, "failures before a restart count"


# deadlines


def deploy(it: Cluster, deadline: int, **fields: Any) -> str:
    answer = it.ask(
        lambda to: UpdateApps(
            to,
            [("/a", fields)],
            partial=True,
            create=True,
            single=True,
            force=False,
            origin=ORIGIN,
            deadline=deadline,
        )
    )
    return str(answer.body["deploymentId"])


@pytest.mark.parametrize("crash", [False, True])
def test_a_deployment_that_takes_too_long_is_undone(crash: bool) -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    before = it.core.books.apps["/a"]
    late = deploy(it, 100, cpus=100)
    it.advance(90)
    if crash:
        it.crash()
    assert late in it.core.deployments.running
    it.advance(11)
    it.settle()
    assert it.core.books.apps["/a"] == before
    assert it.core.deployments.running == {}
    shown = history.one_deployment(it.core, it.now, late, Embeds()).body
    assert (shown["outcome"], shown["why"]) == ("reverted", "its deadline has passed")
    (back,) = [one for one in it.core.books.past.deployments.values() if one.reverts == late]
    assert back.outcome == "succeeded"


def test_a_deployment_in_time_is_left_alone() -> None:
    it = Cluster()
    it.create("/a")
    it.settle()
    deploy(it, 100, cmd="sleep 2000")
    it.settle()
    it.advance(1000)
    assert it.core.books.apps["/a"].cmd == "sleep 2000"


def test_a_new_app_that_does_not_come_up_in_time_is_removed() -> None:
    it = Cluster()
    body = {"id": "/a", "cmd": "x", "cpus": 100}
    it.ask(lambda to: CreateApp(to, body, False, ORIGIN, 50))
    it.advance(51)
    assert it.core.books.apps == {}


def test_the_definition_may_have_a_deadline_and_shows_it_only_then() -> None:
    it = Cluster()
    it.create("/a")
    assert "deadlineSeconds" not in writing.whole(it.core.books.apps["/a"])["upgradeStrategy"]
    it.settle()
    strategy = {"minimumHealthCapacity": 1, "maximumOverCapacity": 1, "deadlineSeconds": 30}
    it.update("/a", upgradeStrategy=strategy)
    it.settle()
    assert writing.whole(it.core.books.apps["/a"])["upgradeStrategy"] == strategy
    it.crash()
    it.update("/a", cpus=100)
    it.advance(31)
    assert it.core.books.apps["/a"].cpus == 0.1
    it.advance(1000)
    it.settle()
    assert it.core.books.apps["/a"].cpus == 0.1, "the way back has no deadline"
    assert it.update("/a", upgradeStrategy={**strategy, "deadlineSeconds": 0}).status == 422


def test_a_way_back_that_is_barred_ends_the_deployment_all_the_same() -> None:
    it = Cluster(Settings(min_revive_offers_interval=0.0))
    it.create("/a/b")
    it.settle()
    it.delete("/a/b")  # its task does not end, so the deployment goes on
    (deployment,) = it.core.deployments.running.values()
    deployment.plan = msgspec.structs.replace(deployment.plan, deadline=it.now)
    it.create("/a")  # now /a/b can't come back
    it.core.books.wake(f"deadline/{deployment.plan.id}", it.now)
    it.offer(room=ROOM)
    it.advance(1)
    outcome = it.core.books.past.deployments[deployment.plan.id]
    assert outcome.outcome == "cancelled"
    assert "can't be undone" in outcome.why


def test_an_event_tells_of_what_waits_without_a_deployment() -> None:
    """A minute after it began, then more rarely; with the reason; not while a deployment is about it."""
    it = Cluster()
    it.create("/a", backoffSeconds=0)
    it.settle()
    (instance,) = it.instances("/a")
    it.status(instance.task_id, "TASK_FAILED", "no more")
    it.offer(room=Resources.of(cpus=0.01, mem=1))

    def told() -> list[dict[str, Any]]:
        return [fields for kind, fields in it.events if kind == "instances_waiting_event"]

    it.create("/b", constraints=[["hostname", "LIKE", "none"]])
    it.advance(50)
    assert not told()
    it.advance(80)
    (event,) = told()
    assert (event["runSpecId"], event["count"]) == ("/a", 1)
    assert "needs 0.1 cpus" in event["why"][0]
    it.advance(600)
    assert len(told()) in (3, 4)
    it.crash()
    it.advance(130)
    before = len(told())
    it.offer()
    it.run_all()
    it.advance(4000)
    assert len(told()) == before


def told_of(it: Cluster) -> list[str]:
    return [fields["runSpecId"] for kind, fields in it.events if kind == "instances_waiting_event"]


def many(count: int) -> Cluster:
    """Apps that wait, of one deployment."""
    it = Cluster()
    apps = [{"id": f"a{number}", "cmd": "x", "cpus": 64} for number in range(count)]
    body = {"apps": apps}
    it.ask(lambda to: ChangeGroup(to, "/g", body, create=True, dry_run=False, force=False, origin=ORIGIN))
    it.offer()
    return it


def test_a_look_at_a_large_deployment_explains_what_is_shown_only(monkeypatch: pytest.MonkeyPatch) -> None:
    it, explained = many(200), 0
    explain = it.core.explainer.deployment

    def counted(*given: Any) -> Any:
        nonlocal explained
        explained += 1
        return explain(*given)

    monkeypatch.setattr(it.core.explainer, "deployment", counted)
    it.advance(121)
    ((_, event),) = [one for one in it.events if one[0] == "deployment_stalled_event"]
    assert (len(event["why"]), explained) == (20, 10)
    assert it.core.books.stories.of("/g/a0")[-1].why == "0 of 1 instances are good"


def test_of_many_that_wait_some_are_told_at_a_time_and_all_in_the_end() -> None:
    it = many(250)
    (deployment,) = it.core.deployments.running
    it.ask(lambda to: CancelDeployment(to, deployment, force=True))
    before = it.now
    while len(told_of(it)) < 250 and it.now < before + 200:
        seen = len(told_of(it))
        it.advance(0.5)
        assert len(told_of(it)) - seen <= 100
    assert sorted(told_of(it)) == sorted(f"/g/a{number}" for number in range(250))
    assert it.now < before + 125
    it.advance(63)
    assert sorted(told_of(it)) == sorted([*(f"/g/a{number}" for number in range(250))] * 2), "nobody is left behind"
