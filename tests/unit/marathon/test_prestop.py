"""A task is asked to prepare for its end before it is told to end: once, with a deadline, over a restart."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.marathon.definitions import writing

from .simulation import Cluster

PRE_STOP: dict[str, Any] = {"http": {"path": "/leave"}, "deadlineSeconds": 20}


def running(**fields: Any) -> Cluster:
    it = Cluster()
    assert it.create("/a", preStop=PRE_STOP, portDefinitions=[{"port": 0}], **fields).status == 201
    it.settle()
    return it


def test_it_is_asked_first_and_ended_when_it_has_answered() -> None:
    it = running()
    it.delete("/a")
    (probe,) = it.probes.values()
    assert (probe.protocol, probe.path, probe.port, probe.timeout) == ("HTTP", "/leave", 31000, 20)
    assert it.killed == []
    it.advance(5)
    it.answer_probes()
    assert len(it.killed) == 1
    it.advance(20)
    assert len(it.killed) == 1, "the deadline does not count any more"
    it.end_killed()
    assert not it.core.deployments.running


@pytest.mark.parametrize("answer", [False, None])
def test_one_that_fails_or_does_not_answer_is_ended_all_the_same(answer: bool | None) -> None:
    it = running()
    it.update("/a", instances=0)
    if answer is None:
        it.advance(19)
        assert it.killed == []
        it.advance(2)
    else:
        it.answer_probes(passed=False)
    assert len(it.killed) == 1
    it.answer_probes()
    assert len(it.killed) == 1


def test_a_restart_in_the_middle_goes_on() -> None:
    it = running()
    it.delete("/a")  # the definition is gone with the app
    it.advance(8)
    it.crash()
    (probe,) = it.probes.values()
    assert probe.timeout == 12
    assert it.killed == []
    it.connect()
    assert len(it.probes) == 1
    it.answer_probes()
    it.crash()
    assert it.probes == {}, "it has answered"
    assert len(set(it.killed)) == 1
    it.end_killed()
    assert not it.instances("/a")


def test_time_passes_while_marathon_is_away() -> None:
    it = running()
    it.delete("/a")
    it.now += 100
    it.crash()
    assert it.probes == {}
    assert len(it.killed) == 1


def test_one_that_ends_meanwhile_is_not_killed() -> None:
    it = running()
    (task,) = it.alive()
    it.delete("/a")
    it.status(task, "TASK_FINISHED")
    it.answer_probes()
    it.advance(60)
    assert it.killed == []
    assert not it.instances("/a")


def test_one_that_does_not_run_yet_is_ended_at_once() -> None:
    it = Cluster()
    it.create("/a", preStop=PRE_STOP, portDefinitions=[{"port": 0}])
    it.offer()
    it.delete("/a")
    assert len(it.killed) == 1


def test_a_rolling_upgrade_asks_each_old_one() -> None:
    it = running(instances=3)
    it.update("/a", cmd="sleep 2")
    asked = set()
    for _ in range(10):
        if it.wants_offers:
            it.offer()
        it.run_all()
        asked |= {probe.task_id for probe in it.probes.values()}
        it.answer_probes()
        it.end_killed()
    assert len(asked) == 3
    assert not it.core.deployments.running


@pytest.mark.parametrize(
    ("pre_stop", "path", "word"),
    [
        ({"command": {"value": "x"}}, "/preStop/command", "trap SIGTERM"),
        ({"deadlineSeconds": 5}, "/preStop/http", "missing"),
        ({"http": {"portIndex": 1}}, "/preStop/http/portIndex", "1 ports"),
        ({"http": {"path": "x"}}, "/preStop/http/path", "begin with /"),
        ({"http": {}, "deadlineSeconds": 0}, "/preStop/deadlineSeconds", "error.min"),
    ],
)
def test_what_can_not_be_is_refused(pre_stop: dict[str, Any], path: str, word: str) -> None:
    answer = Cluster().create("/a", preStop=pre_stop, portDefinitions=[{"port": 0}])
    assert answer.status == 422
    found = {one["path"]: " ".join(one["errors"]) for one in answer.body["details"]}
    assert word in found[path]


def test_it_is_shown_only_when_set() -> None:
    it = running()
    shown = writing.whole(it.core.books.apps["/a"])
    assert shown["preStop"] == {"http": {"path": "/leave", "portIndex": 0}, "deadlineSeconds": 20}
    it.update("/a", preStop=None)
    assert "preStop" not in writing.whole(it.core.books.apps["/a"])
