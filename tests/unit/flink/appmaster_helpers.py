"""What the tests of the application master's core have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from headrace.flink.appmaster import events, records
from headrace.flink.appmaster.core import ApplicationMaster
from headrace.flink.appmaster.events import AppMasterEvent, Driver, Goal, SendCall, Worker
from headrace.flink.appmaster.placement import Placement
from headrace.flink.appmaster.records import JobManagerRecord, Recovered
from headrace.flink.appmaster.tasks import TaskTemplate
from headrace.kernel.core import Delete, Effect, Put
from headrace.mesos.messages.common import (
    AgentID,
    AllocationInfo,
    CommandUri,
    FrameworkID,
    Offer,
    OfferID,
    Range,
    Ranges,
    Resource,
    Scalar,
    TaskID,
    TaskStatus,
)
from headrace.mesos.messages.scheduler import Call

EffectT = TypeVar("EffectT", bound=Effect)

TEMPLATE = TaskTemplate(
    cluster_id="/flink/session",
    framework_name="Flink",
    uris=[CommandUri("http://am/artifacts/abc/flink-dist.jar#sha256=abc")],
    flink_dist="flink-dist.jar",
    jvm_arguments=["-Dgreeting=a b"],
    environment={"GREETING": "a $b"},
)
DRIVER = Driver("one", "http://127.0.0.1:8081", "127.0.0.1:6123")


def worker(number: int, *, goal: Goal = Goal.NEW, attempt: str = "one", cpus: float = 1.0, mem: int = 1024) -> Worker:
    agent, host, ports = ("", "", []) if goal is Goal.NEW else ("agent-1", "host-1", [31000, 31001])
    name = f"taskmanager-{attempt}-{number:05d}"
    return Worker(name, cpus, mem, 1, "-Xmx1 -Xms1", ["-D", "a=b"], goal, agent, host, ports)


def offer(number: int, *, agent: int = 1, host: str = "", cpus: float = 4, mem: float = 4096, ports: int = 10) -> Offer:
    resources = [
        Resource("cpus", "SCALAR", scalar=Scalar(cpus)),
        Resource("mem", "SCALAR", scalar=Scalar(mem)),
        Resource("ports", "RANGES", ranges=Ranges([Range(31000, 31000 + ports - 1)] if ports else [])),
    ]
    return Offer(
        OfferID(f"offer-{number}"),
        FrameworkID("fw"),
        AgentID(f"agent-{agent}"),
        host or f"host-{agent}",
        resources=resources,
        allocation_info=AllocationInfo("*"),
    )


def status(worker_id: str, state: str, *, uuid: str | None = "dXVpZA==", agent: str = "agent-1") -> TaskStatus:
    return TaskStatus(TaskID(worker_id), state, agent_id=AgentID(agent), uuid=uuid)


def make(recovered: Recovered | None = None, *, keep_workers: bool = False) -> ApplicationMaster:
    return ApplicationMaster(recovered or Recovered(), TEMPLATE, refuse_seconds=120.0, keep_workers=keep_workers)


def running(workers: Sequence[Worker] = (), *, keep_workers: bool = False) -> ApplicationMaster:
    """A core that was started again with these workers, is connected, and has its JobManager and driver."""
    core = make(Recovered(3, "fw", DRIVER, JobManagerRecord(1), 5000, list(workers)), keep_workers=keep_workers)
    drive(core, events.Started(job_manager_alive=True), events.MasterConnected("fw"))
    return core


def drive(core: ApplicationMaster, *happened: AppMasterEvent, now: float = 0.0) -> list[Effect]:
    effects: list[Effect] = []
    for event in happened:
        effects += core.handle(event, now)
        core.validate()
    return effects


def calls(effects: Iterable[Effect], kind: str = "") -> list[Call]:
    return [effect.call for effect in effects if isinstance(effect, SendCall) and kind in ("", effect.call.type)]


def of(effects: Iterable[Effect], kind: type[EffectT]) -> list[EffectT]:
    return [effect for effect in effects if isinstance(effect, kind)]


def reasons(placement: Placement) -> dict[str, dict[str, str]]:
    """Why workers did not get a seat, by host."""
    return {
        worker_id: {refusal.hostname: refusal.why for refusal in refusals.values()}
        for worker_id, refusals in placement.refusals.items()
    }


def told(effects: Iterable[Effect]) -> list[tuple[str, str]]:
    return [(effect.kind, effect.id) for effect in of(effects, events.TellDriver)]


def apply(effects: Iterable[Effect], content: dict[str, bytes]) -> None:
    """What the store does with a batch."""
    for effect in effects:
        if isinstance(effect, Put):
            content[effect.key] = effect.value
        elif isinstance(effect, Delete):
            content.pop(effect.key, None)


def stored_workers(content: dict[str, bytes]) -> dict[str, Worker]:
    return {w.id: w for w in records.recover(content).workers}
