"""Registrations that contradict themselves never reach the books."""

from __future__ import annotations

import msgspec
import pytest

from headrace.mesos.master.core.reports import problem_of
from headrace.mesos.messages.agent_link import KnownExecutor, KnownOperation, KnownTask, Register
from headrace.mesos.messages.common import (
    AgentID,
    AgentInfo,
    AllocationInfo,
    DiskInfo,
    DomainInfo,
    Empty,
    ExecutorID,
    ExecutorInfo,
    FaultDomain,
    FrameworkID,
    FrameworkInfo,
    Named,
    OperationStatus,
    Persistence,
    Range,
    Ranges,
    ReservationInfo,
    Resource,
    Scalar,
    TaskID,
    TaskInfo,
    TaskStatus,
    Volume,
)
from headrace.mesos.messages.scheduler import Operation

CPUS = Resource("cpus", "SCALAR", Scalar(1))


def ports(begin: int, end: int) -> Resource:
    return Resource("ports", "RANGES", ranges=Ranges([Range(begin, end)]))


def known(name: str, *resources: Resource, agent: str = "S0", state: str = "TASK_RUNNING") -> KnownTask:
    info = TaskInfo(name, TaskID(name), AgentID(agent), list(resources))
    return KnownTask(FrameworkID("F"), info, TaskStatus(TaskID(name), state))


def reserved(role: str, kind: str = "STATIC") -> Resource:
    return Resource("cpus", "SCALAR", Scalar(1), reservations=[ReservationInfo(kind, role)])


def volume(name: str, *, shared: bool = False) -> Resource:
    disk = DiskInfo(Persistence(name), Volume("path", "RW"))
    reservations = [ReservationInfo("DYNAMIC", "a")]
    return Resource(
        *("disk", "SCALAR", Scalar(8)), reservations=reservations, disk=disk, shared=Empty() if shared else None
    )


def executor(name: str, *resources: Resource) -> KnownExecutor:
    return KnownExecutor(FrameworkID("F"), ExecutorInfo(ExecutorID(name), "CUSTOM", resources=list(resources)))


def report(
    *tasks: KnownTask,
    agent: str | None = "S0",
    resources: tuple[Resource, ...] = (CPUS,),
    executors: tuple[KnownExecutor, ...] = (),
    total: tuple[Resource, ...] = (),
) -> Register:
    return Register(
        AgentInfo("h", 5051, list(resources)),
        "1",
        AgentID(agent) if agent else None,
        tasks=list(tasks),
        executors=list(executors),
        total=list(total) or None,
    )


@pytest.mark.parametrize(
    "good",
    [
        report(agent=None),
        report(known("a", CPUS, ports(1, 2)), known("b", CPUS, ports(3, 3))),
        report(known("a", ports(1, 2), state="TASK_FINISHED"), known("b", ports(2, 2))),
        report(known("a", Resource("cpus", "SCALAR", Scalar(99)))),
        report(resources=(Resource("cpus", "SCALAR", Scalar(1), role="prod"), reserved("prod"))),
        report(total=(volume("v"), volume("w"), reserved("a", "DYNAMIC"))),
        report(known("a", CPUS), executors=(executor("e", CPUS), executor("f"))),
        report(known("a", volume("v", shared=True)), known("b", volume("v", shared=True))),
    ],
    ids=[
        *("new", "disjoint ports", "the port of an ended task", "more than the agent has by now"),
        *("static reservations", "volumes and dynamic reservations in the total", "executors", "a shared volume"),
    ],
)
def test_what_agents_say_is_taken(good: Register) -> None:
    assert problem_of(good) is None


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (
            report(resources=(reserved("a b"),)),
            "agent_info.resources: resource 'cpus' is reserved for a role that can't",
        ),
        (report(resources=(reserved("a", "DYNAMIC"),)), "dynamically reserved; only 'total' can have that"),
        (report(total=(volume("v"), volume("v"))), "total: resource 'disk' is the volume v of role a, which is named"),
        (report(total=(Resource("cpus", scalar=Scalar(1), allocation_info=AllocationInfo("a")),)), "allocated to"),
        (report(executors=(executor("e"), executor("e"))), "executor e of framework F is reported twice"),
        (report(executors=(executor("../e"),)), "the id of executor ../e of framework F can't be used"),
        (report(known("a", ports(1, 5)), executors=(executor("e", ports(2, 2)),)), "executor e of framework F holds"),
        (report(known("a", volume("v")), known("b", volume("v"))), "task b of framework F holds ports, items or vol"),
        (report(executors=(executor("e", Resource("x")),)), "executor e of framework F: resource 'x' has neither"),
        (report(resources=(Resource("cpus", "SCALAR", Scalar(-1)),)), "must be 0 or more"),
        (report(known("a", ports(1, 5)), known("b", ports(5, 6))), "task b of framework F holds ports"),
        (report(known("a", CPUS), known("a", CPUS)), "task a of framework F is reported twice"),
        (report(known("a", CPUS, agent="S1")), "belongs to agent S1"),
        (report(known("a", CPUS), agent=None), "belongs to agent S0"),
        (report(known("a", Resource("cpus"))), "task a of framework F: resource 'cpus' has neither"),
        (report(agent="../x"), "the agent id can't be used"),
        (
            msgspec.structs.replace(report(), frameworks=[FrameworkInfo("u", "n", id=FrameworkID("../../../x"))]),
            "the id of framework ../../../x can't be used: '../../../x' contains invalid characters",
        ),
        (
            report(msgspec.structs.replace(known("a", CPUS), framework_id=FrameworkID("../x"))),
            "the id of framework ../x can't be used",
        ),
        (
            report(executors=(msgspec.structs.replace(executor("e"), framework_id=FrameworkID("../x")),)),
            "the id of framework ../x can't be used",
        ),
        (
            msgspec.structs.replace(
                report(),
                operations=[
                    KnownOperation(Operation("RESERVE"), OperationStatus("OPERATION_FINISHED"), FrameworkID("../x"))
                ],
            ),
            "the id of framework ../x can't be used",
        ),
        (
            report(msgspec.structs.replace(known("a", CPUS), executor_id=ExecutorID("../e"))),
            "the id of task a of framework F can't be used: '../e'",
        ),
        (
            msgspec.structs.replace(report(), frameworks=[FrameworkInfo("u", "n", role="a b")]),
            "framework n: 'FrameworkInfo.role' is not a valid role: Role component 'a b' is invalid",
        ),
    ],
)
def test_what_can_not_be_is_named(bad: Register, text: str) -> None:
    assert text in (problem_of(bad) or "")


def test_a_domain_may_be_required() -> None:
    without = report()
    assert "--require_agent_domain" in (problem_of(without, domain_required=True) or "")
    info = AgentInfo("h", 5051, [CPUS], domain=DomainInfo(FaultDomain(Named("eu"), Named("eu-1"))))
    assert problem_of(Register(info, "1"), domain_required=True) is None
