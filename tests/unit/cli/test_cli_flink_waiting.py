"""How it is told why a job waits for slots."""

from __future__ import annotations

import pytest

from headrace.cli import progress
from headrace.cli.flink_apps import Decision, start_waits
from headrace.cli.flink_rest import ClusterOverview, Job, Vertex
from headrace.cli.flink_waiting import (
    AppMasterState,
    Failure,
    RefusedAgent,
    Waiting,
    WantedWorker,
    failing,
    no_offers,
    told,
    waiting_for,
)

NEEDS = {"cpus": 2.0, "mem": 4096.0, "ports": 2.0}
B = RefusedAgent("host-b", "cpus 1.5 of 2", {"cpus": 1.5, "mem": 8192, "ports": 900})
C = RefusedAgent("host-c", "is not host host-b", {})
JOB = Job("j", "RUNNING", [Vertex("v", "CREATED", 4, {"SCHEDULED": 4})])


@pytest.mark.parametrize(
    ("row", "master", "text"),
    [
        (
            Waiting(1, ["w3"], NEEDS, agents=[B]),
            "",
            "worker w3 needs 2 cpus, 4.0 GiB, 2 ports; "
            "the closest agent is host-b with 1.5 cpus, 8.0 GiB, 900 ports: cpus 1.5 of 2",
        ),
        (
            Waiting(3, ["w1", "w2", "w3"], {"cpus": 1.0, "disk": 100.0, "gpus": 1.0}, agents=[B, C]),
            "",
            "3 workers (w1 …) each needs 1 cpu, 100 MiB disk, 1 gpu; the closest agent is host-b with 1.5 cpus, "
            "8.0 GiB, 900 ports: cpus 1.5 of 2; host-c: is not host host-b",
        ),
        (Waiting(1, ["w"], {}, agents=[B, C, C]), "", "2 more agents are too small or not allowed"),
        (Waiting(1, ["w"], {"cpus": 1}, why="no offers for role x"), "", "needs 1 cpu; no offers for role x"),
        (Waiting(1, ["w"], {"cpus": 1}, why="no offers"), "a: none free", "needs 1 cpu; no offers: a: none free"),
    ],
)
def test_a_workers_wait(row: Waiting, master: str, text: str) -> None:
    assert text in told(row, master)


def test_the_masters_reasons_are_said_once_each() -> None:
    assert no_offers([]) == "the master has no agents"
    reasons = [("a", "used up"), ("b", "used up"), ("c", "refused"), ("d", "3"), ("e", "4")]
    assert no_offers(reasons) == "a and 1 more: used up; c: refused; d: 3; and 1 more reasons"


def test_what_a_job_waits_for() -> None:
    state = AppMasterState(
        workers=[WantedWorker("New"), WantedWorker("Launched"), WantedWorker("Launched"), WantedWorker("Released")]
    )
    assert waiting_for(JOB, ClusterOverview(2, 2, 2), state, "because") == (
        "waiting for 4 slots: 2 of 3 TaskManagers registered; because"
    )
    assert waiting_for(JOB, ClusterOverview(3, 3, 1), state) == (
        "waiting for slots: needs 4 (1 of 3 slots free on 3 TaskManagers)"
    )


def test_workers_that_do_not_last() -> None:
    failure = Failure("w", 100.0, "TASK_FAILED: no java")
    assert failing(failure, 110.0).startswith("worker w has failed: TASK_FAILED: no java; see `headrace flink logs")
    assert failing(failure, 200.0) == failing(None, 0.0) == ""


@pytest.mark.parametrize(
    ("story", "text"),
    [
        ([], "waiting for the JobManager"),
        ([("deployment 1 begins", "")], "waiting for the JobManager"),
        (
            [("offer of h refused: InsufficientCpus", "0.2 of 0.5")],
            "waiting for room for the JobManager: offer of h refused: InsufficientCpus: 0.2 of 0.5",
        ),
        ([("offer of h refused: InsufficientCpus", ""), ("launched on h", "")], "waiting for the JobManager"),
    ],
)
def test_what_the_start_of_a_cluster_waits_for(story: list[tuple[str, str]], text: str) -> None:
    assert start_waits([Decision(*line) for line in story]) == text


# how it is shown


def test_without_a_terminal_each_change_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.waiting("a") as tell:
        for text in ("a", "", "b", "b"):
            tell(text)
    with progress.sending("x.jar", 3 * 1024 * 1024) as sent, progress.sending("small.jar", 10):
        sent(1)
    assert capsys.readouterr() == ("", "  a\n  b\n  uploading x.jar (3.0 MiB)\n")


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.waiting("a", quiet=True) as tell, progress.sending("x.jar", 10_000_000, quiet=True) as sent:
        tell("b")
        sent(1)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_line_and_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_on_terminal", lambda: True)
    with progress.waiting("[a]") as tell:
        tell("[/b]")
    with progress.sending("[x].jar", 100) as sent:
        sent(100)
    out, _ = capsys.readouterr()
    assert out == ""
