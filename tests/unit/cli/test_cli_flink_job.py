"""Finding a cluster, filling in a script, telling what a job waits for."""

from __future__ import annotations

import pytest

from headrace.cli.api import CommandError
from headrace.cli.demo.steps import initial_tasks
from headrace.cli.flink_find import find_cluster
from headrace.cli.flink_job import fill_in
from headrace.cli.flink_rest import ClusterOverview, Job, Vertex
from headrace.cli.flink_waiting import waiting_for
from headrace.gateway.overview import FrameworkState, LabelState, MasterState


def framework(cluster: str, url: str, *, name: str = "Flink", active: bool = True, id_: str = "") -> FrameworkState:
    labels = [LabelState("headrace.cluster", cluster)] if cluster else []
    return FrameworkState(id=id_, name=name, webui_url=url, labels=labels, active=active)


def test_a_cluster_is_found_by_its_apps_id_with_or_without_slash() -> None:
    state = MasterState(frameworks=[framework("/a", "http://a"), framework("/b/c", "http://c")])
    assert find_cluster(state, "/b/c") == ("/b/c", "http://c")
    assert find_cluster(state, "a") == ("a", "http://a")


def test_the_living_framework_of_a_cluster_counts() -> None:
    state = MasterState(frameworks=[framework("/a", "http://new"), framework("/a", "http://old", active=False)])
    assert find_cluster(state, None) == ("/a", "http://new")


def test_a_foreign_cluster_is_found_by_its_frameworks_name() -> None:
    state = MasterState(frameworks=[framework("", "http://x", name="old flink"), framework("/a", "http://a")])
    assert find_cluster(state, "old flink") == ("old flink", "http://x")


def test_of_several_that_may_be_meant_none_is_taken() -> None:
    both = MasterState(frameworks=[framework("/flink", "http://a"), framework("flink", "http://b")])
    assert find_cluster(both, "/flink")[1] == "http://a"
    assert find_cluster(both, "flink")[1] == "http://b"
    named = MasterState(
        frameworks=[framework("/flink", "http://a", id_="f1"), framework("", "http://b", name="flink", id_="f2")]
    )
    with pytest.raises(CommandError, match=r"may mean 2 Flink clusters: /flink \(framework f1\), flink \(framework f2"):
        find_cluster(named, "flink")
    assert find_cluster(named, "/flink")[1] == "http://a"
    assert find_cluster(named, "f2")[1] == "http://b"
    one = MasterState(frameworks=[framework("/flink", "http://a", name="flink")])
    assert find_cluster(one, "flink")[1] == "http://a"


@pytest.mark.parametrize(
    ("frameworks", "cluster", "error"),
    [
        ([], None, "there is no Flink cluster"),
        ([framework("/a", "x"), framework("/b", "y")], None, "/a, /b"),
        ([framework("/a", "x")], "/z", "known clusters: /a"),
        ([framework("/a", "")], "/a", "starting"),
    ],
)
def test_what_is_wrong_is_said(frameworks: list[FrameworkState], cluster: str | None, error: str) -> None:
    with pytest.raises(CommandError, match=error):
        find_cluster(MasterState(frameworks=frameworks), cluster)


def test_a_value_cannot_leave_its_literal() -> None:
    assert fill_in("WITH ('path' = '${dir}')", {"dir": "it's"}) == "WITH ('path' = 'it''s')"


def test_a_missing_value_is_named() -> None:
    with pytest.raises(CommandError, match="a value for dir, other: give --set dir="):
        fill_in("${other} ${dir} ${there}", {"there": "1"})


def test_a_job_without_slots_says_how_many_it_needs() -> None:
    job = Job("j", "RUNNING", [Vertex("v", "CREATED", 3, {"SCHEDULED": 3}), Vertex("w", "CREATED", 1, {"CREATED": 1})])
    assert not job.all_running
    assert (
        waiting_for(job, ClusterOverview(1, 2, 2)) == "waiting for slots: needs 3 (2 of 2 slots free on 1 TaskManager)"
    )


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (Job("j", "RESTARTING"), "restarting after a failure"),
        (Job("j", "CANCELLING"), "the job is cancelling"),
        (Job("j", "RUNNING", [Vertex("v", "DEPLOYING", 1, {"DEPLOYING": 1})]), "tasks are being deployed"),
    ],
)
def test_other_waits(job: Job, text: str) -> None:
    assert waiting_for(job, ClusterOverview()).startswith(text)


def test_a_job_runs_when_all_its_tasks_do() -> None:
    assert Job(
        "j", "RUNNING", [Vertex(tasks={"RUNNING": 2, "SCHEDULED": 0}), Vertex(tasks={"FINISHED": 1})]
    ).all_running
    assert not Job("j", "RUNNING", []).all_running


@pytest.mark.parametrize(
    ("command", "count"),
    [
        ("mesos-appmaster.sh -Dmesos.initial-tasks=3 -Dx=y", 3),
        ("mesos-appmaster.sh", 1),
        ("x -Dmesos.initial-tasks=0", 1),
    ],
)
def test_initial_tasks(command: str, count: int) -> None:
    assert initial_tasks(command) == count
