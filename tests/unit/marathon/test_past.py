"""What is remembered of deployments and instances that are over: what, why, how much, and after a crash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kernel.core import Delete, Effect, Put
from headrace.marathon.api.views import history, pods
from headrace.marathon.api.views.embeds import Embeds
from headrace.marathon.core import past
from headrace.marathon.core.events import CancelDeployment, CreatePod, KillTasks, LogsRead
from headrace.marathon.core.past import Past
from headrace.marathon.core.records import Cause, Condition, EndedDeployment, Instance
from headrace.marathon.definitions.errors import Rejected

from .simulation import ORIGIN, Cluster


def ended(it: Cluster, app_id: str = "/a") -> list[dict[str, Any]]:
    return list(history.app_history(it.core, it.now, app_id).body["instances"])


def deployments(it: Cluster) -> list[dict[str, Any]]:
    return list(history.ended_deployments(it.core, it.now).body)


def running(it: Cluster, app_id: str = "/a", **fields: Any) -> str:
    it.create(app_id, **fields)
    it.settle()
    return it.instances(app_id)[0].task_id


def test_a_failed_task_is_remembered_with_its_status_and_last_lines() -> None:
    it = Cluster()
    task = running(it)
    it.status(task, "TASK_FAILED", "Command exited with status 3", "REASON_COMMAND_EXECUTOR_FAILED")
    (reading,) = it.readings.values()
    assert reading.url == "http://host-1:5051"
    assert reading.paths["stderr"] == f"/frameworks/framework-1/executors/{task}/runs/latest/stderr"
    it.post(LogsRead(reading.key, {"stderr": ["no such file"]}))
    (shown,) = ended(it)
    assert (shown["exitStatus"], shown["cause"], shown["state"]) == (3, "ended", "TASK_FAILED")
    assert shown["reason"] == "REASON_COMMAND_EXECUTOR_FAILED"
    assert shown["taskIds"] == [task]
    assert shown["lastLines"] == {"stderr": ["no such file"]}
    it.crash()
    assert ended(it) == [shown]


def test_the_cause_is_who_ended_it() -> None:
    it = Cluster()
    task = running(it)
    it.ask(
        lambda to: KillTasks(to, "/a", [task], None, scale=False, wipe=False, single=True, force=False, origin=ORIGIN)
    )
    it.crash()  # the cause is known after a restart too
    it.status(task, "TASK_KILLED", "Command terminated with signal Terminated")
    it.settle()
    it.update("/a", cmd="sleep 2000")
    it.settle()
    it.update("/a", instances=0)
    it.settle()
    shown = ended(it)
    assert [one["cause"] for one in shown] == ["scale", "upgrade", "api"]
    assert shown[2]["why"] == "killed through the API"
    assert shown[2]["signal"] == "Terminated"
    it.create("/b", healthChecks=[{"protocol": "TCP", "gracePeriodSeconds": 0, "maxConsecutiveFailures": 1}])
    it.offer()
    it.run_all()
    for _ in range(3):
        it.advance(60)
        it.answer_probes(passed=False)
    it.end_killed()
    assert [one["cause"] for one in ended(it, "/b")] == ["health"]
    assert ended(it, "/b")[0]["healthy"] is False


def test_what_was_never_launched_leaves_nothing() -> None:
    it = Cluster()
    it.create("/a", instances=3)
    it.delete("/a")
    assert ended(it) == []


def test_an_unreachable_instance_that_is_given_up_is_lost() -> None:
    it = Cluster()
    task = running(it)
    it.status(task, "TASK_UNREACHABLE")
    it.settle()
    it.advance(600)
    (shown,) = ended(it)
    assert shown["cause"] == "lost"
    assert not it.readings, "nobody answers there"


def test_an_app_that_is_gone_has_its_history_and_an_unknown_one_has_none() -> None:
    it = Cluster()
    running(it)
    it.delete("/a")
    it.settle()
    assert [one["cause"] for one in ended(it)] == ["removed"]
    assert [one["steps"][-1]["actions"][0]["action"] for one in deployments(it)] == [
        "StopApplication",
        "ScaleApplication",
    ]
    with pytest.raises(Rejected) as refused:
        ended(it, "/b")
    assert refused.value.status == 404


def test_a_deployment_says_how_it_ended_and_who_replaced_it() -> None:
    it = Cluster()
    first = it.create("/a").headers["Marathon-Deployment-Id"]
    second = it.update("/a", force=True, cmd="sleep 2").headers["Marathon-Deployment-Id"]
    third = it.ask(lambda to: CancelDeployment(to, second, force=False)).headers["Marathon-Deployment-Id"]
    it.ask(lambda to: CancelDeployment(to, third, force=True))
    it.crash()
    shown = {one["id"]: one for one in deployments(it)}
    assert [one["id"] for one in deployments(it)] == [third, second, first]
    assert [one["outcome"] for one in shown.values()] == ["cancelled", "reverted", "replaced"]
    assert (shown[first]["replacedBy"], shown[second]["replacedBy"]) == (second, third)
    assert (shown[second]["replaces"], shown[third]["reverts"]) == ([first], second)
    assert shown[second]["versions"]["/a"]["after"] is not None
    found = history.one_deployment(it.core, it.now, first, Embeds())
    assert found.body == shown[first]


def test_a_pods_termination_history() -> None:
    it = Cluster()
    container = {"name": "c", "exec": {"command": {"shell": "x"}}, "resources": {"cpus": 0.1, "mem": 32}}
    it.ask(lambda to: CreatePod(to, {"id": "/p", "containers": [container]}, False, ORIGIN))
    it.settle()
    (task,) = it.alive()
    it.status(task, "TASK_FAILED", "Command exited with status 7")
    (shown,) = pods.status(it.core, it.now, "/p").body["terminationHistory"]
    (part,) = shown["containers"]
    assert part["containerId"] == task
    assert part["termination"] == {"exitCode": 7, "message": "Command exited with status 7"}
    assert shown["startedAt"] <= shown["terminatedAt"]
    (reading,) = it.readings.values()
    assert reading.paths["c/stdout"].endswith(f"/tasks/{task}/stdout")


def test_when_many_end_at_once_not_all_are_read() -> None:
    it = Cluster()
    it.create("/a", instances=past.MAX_READING + 5)
    it.settle()
    for task in sorted(it.alive()):
        it.status(task, "TASK_FAILED")
    assert len(it.readings) == past.MAX_READING
    assert "at once" in ended(it)[0]["lastLinesNote"]
    for key in list(it.readings):
        it.post(LogsRead(key, note="refused"))
    assert ended(it)[-1]["lastLinesNote"] == "refused"


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=150))
def test_it_is_bounded_and_the_store_holds_just_what_is_known(ends: list[tuple[int, bool]]) -> None:
    store: dict[str, bytes] = {}

    def emit(effect: Effect) -> None:
        if isinstance(effect, Put):
            store[effect.key] = effect.value
        elif isinstance(effect, Delete):
            del store[effect.key]

    it = Past([], [], emit)
    for number, (app, deployment) in enumerate(ends):
        if deployment:
            it.deployment_over(EndedDeployment(str(number), "", "succeeded", number))
        else:
            one = Instance(f"i-{number}", f"/{app % 4}", "", "", 0.0, agent_id="a")
            it.instance_over(one, "f", number, state="TASK_FAILED", condition=Condition.FAILED)
        assert all(len(it.of_app(f"/{app}")) <= past.MAX_OF_APP for app in range(4))
        assert len(it.deployments) <= past.MAX_DEPLOYMENTS
    keys = {f"past/deployment/{one}" for one in it.deployments} | {f"past/instance/{one}" for one in it.instances}
    assert store.keys() == keys


def test_all_apps_together_are_bounded_too() -> None:
    it = Past([], [], lambda effect: None)
    for number in range(past.MAX_INSTANCES + 50):
        one = Instance(f"i-{number}", f"/{number}", "", "", 0.0, cause=Cause.SCALE)
        it.instance_over(one, "f", number, state="TASK_KILLED", condition=Condition.KILLED)
    assert len(it.instances) == past.MAX_INSTANCES
    assert not it.of_app("/49")
    assert it.of_app("/50")
