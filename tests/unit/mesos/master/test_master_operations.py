"""Reservations and volumes: what is done, refused and told, and that no status is lost."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from headrace.mesos.messages.agent_link import (
    AcknowledgeOperation,
    ApplyOperation,
    KnownOperation,
    OperationUpdate,
    RunTasks,
    Unregister,
)
from headrace.mesos.messages.common import FrameworkID, Offer, OperationID, OperationStatus, OperationUuid, Resource
from headrace.mesos.resources import Resources
from tests.unit.mesos.master.master_world import CAPABILITIES, FakeAgent, FakeFramework, World
from tests.unit.mesos.test_operations import raw, some

AMOUNTS: dict[str, Any] = {"cpus": 8.0, "mem": 1024.0, "disk": 1000.0}
UUID = base64.b64encode(bytes(16)).decode()


def joined(*more: str, principal: str | None = "p") -> tuple[World, FakeAgent, FakeFramework]:
    world = World()
    agent = world.agent(**AMOUNTS)
    return world, agent, world.framework(capabilities=(*CAPABILITIES, *more), principal=principal)


def op(kind: str, op_id: str = "", **body: Any) -> dict[str, Any]:
    return {"type": kind, kind.lower(): body} | ({"id": {"value": op_id}} if op_id else {})


def reserve(value: float, name: str = "disk", op_id: str = "", role: str = "test") -> dict[str, Any]:
    return op("RESERVE", op_id, resources=[raw(name, value, role)])


def volume(value: float, name: str = "v", **more: Any) -> dict[str, Any]:
    resource = raw("disk", value, "test", volume=name, **more)
    resource["disk"]["persistence"]["principal"] = "p"
    return resource


def offered(framework: FakeFramework) -> Resources:
    total = Resources()
    for offer in framework.offers.values():
        total = total + Resources.parse(offer.resources)
    return total


def only(framework: FakeFramework) -> OperationStatus:
    (status,) = framework.operation_statuses
    return status


def test_reserve_create_and_launch_in_one_call() -> None:
    world, agent, framework = joined()
    task = framework.task("t", agent) | {"resources": [raw("cpus", 1), volume(60)]}
    launch = {"type": "LAUNCH", "launch": {"task_infos": [task]}}
    framework.operate(reserve(100), op("CREATE", volumes=[volume(60)]), launch)
    assert not framework.statuses
    kinds = [type(e).__name__ for e in agent.events if isinstance(e, ApplyOperation | RunTasks)]
    assert kinds == ["ApplyOperation", "ApplyOperation", "RunTasks"]
    assert offered(framework) == some(raw("cpus", 7), raw("mem", 1024), raw("disk", 900), raw("disk", 40, "test"))
    assert world.books.agents[agent.id].total == agent.total
    framework.acknowledge(agent.update("t", "TASK_FINISHED"))
    assert offered(framework) == agent.total


def test_what_was_converted_comes_back_although_the_rest_is_refused() -> None:
    _, agent, framework = joined()
    framework.operate(reserve(100), refuse=1000)
    assert offered(framework) == agent.total  # the refusal is of what there was before


def test_destroy_and_unreserve_in_one_call() -> None:
    _, agent, framework = joined()
    framework.operate(reserve(100), op("CREATE", volumes=[volume(60)]))
    framework.operate(
        op("DESTROY", volumes=[volume(60)]),
        op("UNRESERVE", resources=[raw("disk", 100, "test")]),
        offers=list(framework.offers),
    )
    assert offered(framework) == Resources.of(**AMOUNTS) == agent.total


def test_volumes_are_resized() -> None:
    _, agent, framework = joined()
    framework.operate(reserve(100), op("CREATE", volumes=[volume(60)]))
    framework.operate(op("GROW_VOLUME", volume=volume(60), addition=raw("disk", 30, "test")))
    assert some(volume(90)).parts.items() <= offered(framework).parts.items()
    framework.operate(op("SHRINK_VOLUME", volume=volume(90), subtract={"value": 80}))
    assert offered(framework) == agent.total
    assert some(volume(10)).parts.items() <= offered(framework).parts.items()


# Feedback


def test_an_operation_with_an_id_is_told_of_until_it_is_acknowledged() -> None:
    world, agent, framework = joined()
    framework.operate(reserve(10, op_id="op-1"))
    status = only(framework)
    assert (status.state, status.operation_id) == ("OPERATION_FINISHED", OperationID("op-1"))
    assert status.agent_id is not None
    assert status.uuid is not None
    framework.take()
    framework.call(
        "RECONCILE_OPERATIONS",
        reconcile_operations={"operations": [{"operation_id": {"value": "op-1"}, "agent_id": {"value": agent.id}}]},
    )
    assert only(framework) == msgspec.structs.replace(status, uuid=None)
    framework.take()
    framework.disconnect()
    framework.subscribe()
    assert only(framework) == status
    acknowledge(framework, status)
    (told,) = agent.heard(AcknowledgeOperation)
    assert (told.operation_id.value, told.uuid, told.framework_id.value) == ("op-1", status.uuid.value, framework.id)
    assert not world.books.agents[agent.id].operations
    acknowledge(framework, status)
    assert len(agent.heard(AcknowledgeOperation)) == 1


def acknowledge(framework: FakeFramework, status: OperationStatus) -> None:
    assert status.agent_id is not None
    assert status.uuid is not None
    assert status.operation_id is not None
    body = {
        "agent_id": {"value": status.agent_id.value},
        "uuid": status.uuid.value,
        "operation_id": {"value": status.operation_id.value},
    }
    framework.call("ACKNOWLEDGE_OPERATION_STATUS", acknowledge_operation_status=body)


def test_an_id_can_be_used_again_only_after_its_status_was_acknowledged() -> None:
    world, _, framework = joined()
    framework.operate(reserve(10, op_id="op-1"))
    framework.operate(reserve(10, op_id="op-1"))
    first, second = framework.operation_statuses
    assert (second.state, second.message) == ("OPERATION_ERROR", "Operation has duplicate ID: op-1")
    acknowledge(framework, first)
    world.advance(1)
    framework.operate(reserve(10, op_id="op-1"))
    assert framework.operation_statuses[-1].state == "OPERATION_FINISHED"


def test_reconciliation_of_what_is_not_known() -> None:
    world, agent, framework = joined()
    removed = world.agent(port=5052)
    gone = removed.id
    removed.call(Unregister())
    lost = world.agent(port=5053)
    lost.disconnect()
    world.advance(80)
    framework.take()
    asked = [{"operation_id": {"value": "x"}, "agent_id": {"value": a}} for a in (agent.id, lost.id, gone, "zz")]
    framework.call(
        "RECONCILE_OPERATIONS", reconcile_operations={"operations": [{"operation_id": {"value": "x"}}, *asked]}
    )
    assert [(s.state, s.message) for s in framework.operation_statuses] == [
        ("OPERATION_UNKNOWN", "Reconciliation: Operation is unknown and no 'agent_id' was provided"),
        ("OPERATION_UNKNOWN", "Reconciliation: Operation is unknown"),
        ("OPERATION_UNREACHABLE", "Reconciliation: Agent is unreachable"),
        ("OPERATION_UNKNOWN", "Reconciliation: Both operation and agent are unknown"),
        ("OPERATION_UNKNOWN", "Reconciliation: Both operation and agent are unknown"),
    ]
    framework.take()
    framework.call("RECONCILE_OPERATIONS", reconcile_operations={"operations": []})
    assert not framework.events


def test_an_operation_is_pending_until_the_agent_answers_and_dropped_if_it_never_came_there() -> None:
    world, agent, framework = joined()
    agent.answers_operations = False
    framework.operate(reserve(10, op_id="op-1"))
    framework.take()
    framework.call("RECONCILE_OPERATIONS", reconcile_operations={})
    assert only(framework).state == "OPERATION_PENDING"
    framework.take()
    agent.disconnect()
    agent.operations.clear()
    agent.total = None
    agent.register()
    status = only(framework)
    assert (status.state, status.message) == (
        "OPERATION_DROPPED",
        "Reconciliation: Operation is unknown to the agent",
    )
    assert offered(framework) == Resources.of(**AMOUNTS)
    assert not world.books.frameworks[framework.id].operations


def test_a_status_survives_a_restart_of_the_master() -> None:
    world, agent, framework = joined()
    framework.operate(reserve(10, op_id="op-1"))
    status = only(framework)
    world.restart()
    framework.subscribe()
    framework.take()
    framework.call(
        "RECONCILE_OPERATIONS",
        reconcile_operations={"operations": [{"operation_id": {"value": "op-1"}, "agent_id": {"value": agent.id}}]},
    )
    assert only(framework).state == "OPERATION_RECOVERING"
    agent.register()
    framework.take()
    agent.call(OperationUpdate(msgspec.structs.replace(status, agent_id=None), FrameworkID(framework.id)))
    assert only(framework) == status
    assert offered(framework) == agent.total
    acknowledge(framework, status)
    assert not agent.operations


def test_an_agent_that_could_not_do_it_is_asked_what_it_has() -> None:
    world, agent, framework = joined()
    agent.answers_operations = False
    framework.operate(reserve(10, op_id="op-1"))
    stream = agent.stream
    failed = OperationStatus("OPERATION_ERROR", OperationID("op-1"), "no", uuid=OperationUuid(UUID))
    agent.call(OperationUpdate(failed, FrameworkID(framework.id)))
    assert only(framework).state == "OPERATION_ERROR"
    assert stream in world.closed
    agent.operations = {key: KnownOperation(k.operation, failed, k.framework_id) for key, k in agent.operations.items()}
    agent.total = None
    agent.disconnect()
    agent.register()
    agent.call(OperationUpdate(failed, FrameworkID(framework.id)))
    assert agent.stream not in world.closed
    assert offered(framework) == Resources.of(**AMOUNTS)


def test_nobody_waits_for_the_operations_of_a_framework_that_is_gone() -> None:
    world, agent, framework = joined()
    framework.operate(reserve(10, op_id="op-1"))
    status = only(framework)
    framework.call("TEARDOWN")
    assert not world.books.agents[agent.id].operations
    agent.call(OperationUpdate(status, FrameworkID(framework.id)))
    assert len(agent.heard(AcknowledgeOperation)) == 1


# Refusals

ON_AGENT = "; on agent m-S0 at slave(1)@10.0.0.1:5051 (h1)"
DISK = "disk(allocated: test)(reservations: [(DYNAMIC,test,p)])"
HAVE = "cpus(allocated: test):8; mem(allocated: test):1024; disk(allocated: test):1000"
REFUSED: list[tuple[dict[str, Any], str]] = [
    (reserve(1000, "cpus", "o"), f"{HAVE} does not contain cpus(allocated: test):1000"),
    (
        op(
            "RESERVE",
            "o",
            resources=[raw("cpus", 1) | {"reservations": [{"type": "DYNAMIC", "role": "test", "principal": "q"}]}],
        ),
        "A reserve operation was attempted by authenticated principal 'p', which does not match a reserved resource "
        "in the request with principal 'q'" + ON_AGENT,
    ),
    (
        op("RESERVE", "o", resources=[raw("cpus", 1) | {"reservations": [{"type": "DYNAMIC", "role": "test"}]}]),
        "A reserve operation was attempted by principal 'p', but there is a reserved resource in the request with "
        "no principal set" + ON_AGENT,
    ),
    (
        reserve(1, "cpus", "o", role="other"),
        "A reserve operation was attempted for a resource with role 'other', but the resource was allocated to "
        "role 'test'" + ON_AGENT,
    ),
    (
        op("RESERVE", "o", resources=[raw("cpus", 1)]),
        "Resource cpus(allocated: test):1 is not dynamically reserved" + ON_AGENT,
    ),
    (
        op("RESERVE", "o", source=[raw("cpus", 1, "a")], resources=[raw("cpus", 1, "test")]),
        "Operation attempted with invalid resources: "
        "Reservation updates are not yet implemented for the scheduler API.",
    ),
    (
        reserve(-1, "cpus", "o"),
        "Operation attempted with invalid resources: Resource 'cpus(reservations: [(DYNAMIC,test,p)]):-1' is invalid: "
        "Invalid scalar resource: value <= 0",
    ),
    (
        op("UNRESERVE", "o", resources=[raw("cpus", 1, "test")]),
        f"{HAVE} does not contain cpus(allocated: test)(reservations: [(DYNAMIC,test,p)]):1",
    ),
    (
        op("UNRESERVE", "o", resources=[volume(1)]),
        f"A dynamically reserved persistent volume {DISK}[v:data]:1 cannot be unreserved directly. "
        "Please destroy the persistent volume first then unreserve the resource" + ON_AGENT,
    ),
    (
        op("CREATE", "o", volumes=[volume(10)]),
        f"{HAVE} does not contain disk(allocated: test)(reservations: [(DYNAMIC,test,p)]):10",
    ),
    (
        op("CREATE", "o", volumes=[volume(10), volume(5)]),
        "Persistence ID 'v' is not unique" + ON_AGENT,
    ),
    (
        op("CREATE", "o", volumes=[volume(10, "a/b")]),
        "Invalid resources: Invalid DiskInfo: Invalid persistence ID for persistent volume: "
        "'a/b' contains invalid characters" + ON_AGENT,
    ),
    (
        op("CREATE", "o", volumes=[raw("disk", 10, "test")]),
        f"Not a persistent volume: Resource {DISK}:10 does not have DiskInfo" + ON_AGENT,
    ),
    (
        op("CREATE", "o", volumes=[raw("disk", 10, "test", volume="v")]),
        "Create volume operation attempted by principal 'p', but there is a volume in the operation with no principal "
        "set in 'disk.persistence'" + ON_AGENT,
    ),
    (
        op("CREATE", "o", volumes=[volume(10, shared=True)]),
        f"Create volume operation for '{DISK}[v:data]<SHARED>:10' has been attempted "
        "by framework 'm-0000' with no SHARED_RESOURCES capability" + ON_AGENT,
    ),
    (op("DESTROY", "o", volumes=[volume(10)]), "Persistent volumes not found" + ON_AGENT),
    (
        op("GROW_VOLUME", "o", volume=volume(10), addition=raw("disk", 0, "test")),
        "The size of 'GrowVolume.addition' field must be greater than zero" + ON_AGENT,
    ),
    (
        op("GROW_VOLUME", "o", volume=volume(10), addition=raw("disk", 5)),
        "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields" + ON_AGENT,
    ),
    (
        op("GROW_VOLUME", "o", volume=raw("disk", 10, "test"), addition=raw("disk", 5, "test")),
        "Invalid persistent volume in the 'GrowVolume.volume' field: "
        "Resource disk(allocated: test)(reservations: [(DYNAMIC,test,p)]):10 does not have DiskInfo" + ON_AGENT,
    ),
    (
        op("GROW_VOLUME", "o", volume=volume(10), addition=raw("disk", 5, "test")),
        f"Invalid GROW_VOLUME operation: {HAVE} does not contain "
        "disk(allocated: test)(reservations: [(DYNAMIC,test,p)])[v:data]:10; "
        "disk(allocated: test)(reservations: [(DYNAMIC,test,p)]):5",
    ),
    (
        op("GROW_VOLUME", "o", volume=volume(10, shared=True), addition=raw("disk", 5, "test")),
        "Growing a shared persistent volume is not supported" + ON_AGENT,
    ),
    (
        op("SHRINK_VOLUME", "o", volume=volume(10), subtract={"value": 10}),
        "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'" + ON_AGENT,
    ),
    (
        op("SHRINK_VOLUME", "o", volume=volume(10), subtract={"value": 0}),
        "Value of 'ShrinkVolume.subtract' must be greater than zero" + ON_AGENT,
    ),
    (
        op("CREATE_DISK", "o", source=raw("disk", 10), target_type="MOUNT"),
        "'source' is not managed by a resource provider" + ON_AGENT,
    ),
]


@pytest.mark.parametrize(("operation", "text"), REFUSED, ids=range(len(REFUSED)))
def test_refused_operations(operation: dict[str, Any], text: str) -> None:
    world, agent, framework = joined()
    framework.operate(operation)
    assert only(framework) == OperationStatus("OPERATION_ERROR", OperationID("o"), text)
    assert not agent.heard(ApplyOperation)
    world.advance(1)
    assert offered(framework) == Resources.of(**AMOUNTS)


def test_a_refused_operation_without_an_id_is_not_told_of_and_the_next_goes_on() -> None:
    _, agent, framework = joined()
    framework.operate(reserve(5000), reserve(10))
    assert not framework.operation_statuses
    assert len(agent.heard(ApplyOperation)) == 1


def test_operations_on_invalid_offers() -> None:
    _, _, framework = joined()
    framework.operate(reserve(1, op_id="o"), offers=["none"])
    assert only(framework).message == "Operation attempted with invalid offers: Offer none is no longer valid"


# Shared volumes


def test_a_shared_volume_is_used_by_more_tasks_than_it_was_offered_to() -> None:
    world, agent, framework = joined("SHARED_RESOURCES")
    shared = volume(60, shared=True)
    framework.operate(reserve(100), op("CREATE", volumes=[shared]))
    tasks = [framework.task(t, agent) | {"resources": [raw("cpus", 1), shared]} for t in ("a", "b", "c")]
    framework.accept(*tasks, offers=list(framework.offers))
    assert not framework.statuses
    assert len(agent.heard(RunTasks)[0].tasks) == 3
    assert some(shared).parts.items() <= offered(framework).parts.items()
    framework.operate(op("DESTROY", "d", volumes=[shared]))
    assert only(framework).message == "Persistent volumes in use" + ON_AGENT
    for task in ("a", "b", "c"):
        framework.acknowledge(agent.update(task, "TASK_FINISHED"))
    world.advance(1)
    before = dict(framework.offers)
    framework.operate(op("DESTROY", "e", volumes=[shared]), offers=[_with(framework, shared)])
    assert framework.operation_statuses[-1].state == "OPERATION_FINISHED"
    rescinded = {event.rescind.offer_id.value for event in framework.events if event.rescind is not None}
    assert len(rescinded) == len([o for o in before.values() if _has(o, shared)]) - 1
    assert offered(framework) == agent.total


def _has(offer: Offer, wanted: dict[str, Any]) -> bool:
    return Resources.parse(offer.resources).contains(some(wanted))


def _with(framework: FakeFramework, wanted: dict[str, Any]) -> str:
    return next(offer_id for offer_id, offer in framework.offers.items() if _has(offer, wanted))


def test_frameworks_that_know_no_refinement_read_and_write_the_old_form() -> None:
    world = World()
    world.agent(**AMOUNTS)
    framework = world.framework(capabilities=("MULTI_ROLE",), principal="p")
    old = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 2}, "role": "test", "reservation": {"principal": "p"}}
    framework.operate(op("RESERVE", resources=[old]))
    given = [r for offer in framework.offers.values() for r in offer.resources or ()]
    forms = {(r.name, r.role, r.reservation is not None, r.reservations is None) for r in given}
    assert ("cpus", "test", True, True) in forms
    assert ("cpus", "*", False, True) in forms
    assert Resources.parse([Resource(**{f: getattr(r, f) for f in r.__struct_fields__}) for r in given]) == offered(
        framework
    )
