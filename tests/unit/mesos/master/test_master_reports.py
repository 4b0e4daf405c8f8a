"""Registrations that contradict themselves never reach the books."""

from __future__ import annotations

import pytest

from headrace.mesos.master.reports import problem_of
from headrace.mesos.messages.agent_link import KnownTask, Register
from headrace.mesos.messages.common import (
    AgentID,
    AgentInfo,
    FrameworkID,
    Range,
    Ranges,
    Resource,
    Scalar,
    TaskID,
    TaskInfo,
    TaskStatus,
)

CPUS = Resource("cpus", "SCALAR", Scalar(1))


def ports(begin: int, end: int) -> Resource:
    return Resource("ports", "RANGES", ranges=Ranges([Range(begin, end)]))


def known(name: str, *resources: Resource, agent: str = "S0", state: str = "TASK_RUNNING") -> KnownTask:
    info = TaskInfo(name, TaskID(name), AgentID(agent), list(resources))
    return KnownTask(FrameworkID("F"), info, TaskStatus(TaskID(name), state))


def report(*tasks: KnownTask, agent: str | None = "S0", resources: tuple[Resource, ...] = (CPUS,)) -> Register:
    return Register(AgentInfo("h", 5051, list(resources)), "1", AgentID(agent) if agent else None, [], list(tasks))


@pytest.mark.parametrize(
    "good",
    [
        report(agent=None),
        report(known("a", CPUS, ports(1, 2)), known("b", CPUS, ports(3, 3))),
        report(known("a", ports(1, 2), state="TASK_FINISHED"), known("b", ports(2, 2))),
        report(known("a", Resource("cpus", "SCALAR", Scalar(99)))),
    ],
    ids=["new", "disjoint ports", "the port of an ended task", "more than the agent has by now"],
)
def test_what_agents_say_is_taken(good: Register) -> None:
    assert problem_of(good) is None


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (report(resources=(Resource("cpus", "SCALAR", Scalar(1), role="prod"),)), "reservations"),
        (report(resources=(Resource("cpus", "SCALAR", Scalar(-1)),)), "must be 0 or more"),
        (report(known("a", ports(1, 5)), known("b", ports(5, 6))), "task b of framework F holds ports"),
        (report(known("a", CPUS), known("a", CPUS)), "task a of framework F is reported twice"),
        (report(known("a", CPUS, agent="S1")), "belongs to agent S1"),
        (report(known("a", CPUS), agent=None), "belongs to agent S0"),
        (report(known("a", Resource("cpus"))), "task a of framework F: resource 'cpus' has neither"),
        (report(agent="../x"), "the agent id can't be used"),
    ],
)
def test_what_can_not_be_is_named(bad: Register, text: str) -> None:
    assert text in (problem_of(bad) or "")
