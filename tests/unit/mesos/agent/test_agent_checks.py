"""General checks: what is told of them, and when."""

from __future__ import annotations

import pytest

from headrace.kernel.process import Ended
from headrace.mesos.agent.core.checks import outcome_of, problem_of_general_check
from headrace.mesos.agent.core.events import Checked, ProbeCheck, Probed
from headrace.mesos.messages.common import (
    CheckCommand,
    CheckHttp,
    CheckInfo,
    CheckStatusCommand,
    CheckStatusInfo,
    CheckTcp,
    CommandInfo,
    HealthCheck,
)
from tests.unit.mesos.agent.agent_world import World, task

CHECK = CheckInfo("COMMAND", CheckCommand(CommandInfo("exit 7")), delay_seconds=0.0, interval_seconds=2.0)
NOTHING = CheckStatusInfo("COMMAND", command=CheckStatusCommand())
SEVEN = CheckStatusInfo("COMMAND", command=CheckStatusCommand(7))


@pytest.fixture
def world() -> World:
    world = World()
    world.register()
    world.run(task("t", check=CHECK, health_check=HealthCheck("COMMAND", CommandInfo("true"), delay_seconds=0.0)))
    world.start("c-1")
    world.acknowledge_all()
    return world


def test_nothing_is_known_at_first_and_changes_are_told(world: World) -> None:
    assert [u.status.check_status for u in world.updates] == [NOTHING, NOTHING]
    [probe] = world.fire("check/c-1")
    assert probe == ProbeCheck(world.core._books.containers["c-1"].spec(), CHECK, 20.0)
    world.handle(Checked("c-1", SEVEN))
    told = world.updates[-1].status
    assert (told.state, told.reason) == ("TASK_RUNNING", "REASON_TASK_CHECK_STATUS_UPDATED")
    assert (told.check_status, told.healthy) == (SEVEN, None)
    assert world.timers["check/c-1"] == world.now + 2
    sent = len(world.updates)
    world.handle(Checked("c-1", SEVEN))
    assert len(world.updates) == sent
    world.acknowledge_all()
    world.end("c-1", Ended(0))
    assert world.updates[-1].status.check_status == NOTHING


def test_health_and_check_are_told_together(world: World) -> None:
    world.handle(Checked("c-1", SEVEN), Probed("c-1", True))
    world.acknowledge_all()
    told = world.updates[-1].status
    assert (told.reason, told.healthy, told.check_status) == ("REASON_TASK_HEALTH_CHECK_STATUS_UPDATED", True, SEVEN)


def test_what_waits_is_overtaken(world: World) -> None:
    for code in range(50):
        world.handle(Checked("c-1", outcome_of(CHECK, exit_code=code)))
    world.acknowledge_all()
    told = [u.status.check_status for u in world.updates[2:]]
    assert told == [outcome_of(CHECK, exit_code=0), outcome_of(CHECK, exit_code=49)]


def test_after_a_crash_what_was_told_is_not_told_again(world: World) -> None:
    world.handle(Checked("c-1", SEVEN))
    world.acknowledge_all()
    world.crash()
    world.register()
    sent = len(world.updates)
    world.handle(Checked("c-1", SEVEN))
    assert len(world.updates) == sent


@pytest.mark.parametrize(
    ("check", "where"),
    [
        (CheckInfo("COMMAND"), "check.command.command.value"),
        (CheckInfo("HTTP"), "check.http"),
        (CheckInfo("HTTP", http=CheckHttp(80, "/a b")), "check.http.path"),
        (CheckInfo("TCP"), "check.tcp"),
        (CheckInfo("TCP", tcp=CheckTcp(0)), "check.tcp.port"),
        (CheckInfo("PING"), "check.type"),
    ],
)
def test_a_check_that_can_not_be_run_is_refused(check: CheckInfo, where: str) -> None:
    assert (problem_of_general_check(check) or "").startswith(where)
    world = World()
    world.register()
    world.run(task("t", check=check))
    assert world.states("t") == ["TASK_ERROR"]
