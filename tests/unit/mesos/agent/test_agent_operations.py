"""Operations on the agent's resources: stored, told until acknowledged, and what becomes of volumes."""

from __future__ import annotations

import msgspec
import pytest

from headrace.mesos.agent.core.operations import DoesNotFitError, restored
from headrace.mesos.agent.core.records import TOTAL
from headrace.mesos.messages.agent_link import AcknowledgeOperation, ApplyOperation, OperationUpdate, Refused
from headrace.mesos.messages.common import (
    DiskInfo,
    DiskRoot,
    DiskSource,
    FrameworkID,
    Identifier,
    Persistence,
    ReservationInfo,
    Resource,
    Scalar,
    Volume,
)
from headrace.mesos.messages.scheduler import Operation, Reserve, Unreserve, Volumes
from headrace.mesos.resources import Resources
from tests.unit.mesos.agent.agent_world import INFO, World, task

FW = FrameworkID("fw")
OURS = [ReservationInfo("DYNAMIC", "ours", "p")]


def amount(name: str, value: float, **more: object) -> Resource:
    return msgspec.convert(
        {"name": name, "type": "SCALAR", "scalar": Scalar(value), **more}, Resource, from_attributes=True
    )


RESERVED = amount("cpus", 2, reservations=OURS)
DISK = amount("disk", 100, reservations=OURS)
VOLUME = msgspec.structs.replace(DISK, disk=DiskInfo(Persistence("v1", "p"), Volume("data", "RW")))


@pytest.fixture
def world() -> World:
    world = World()
    world.register()
    return world


def operation(kind: str, resource: Resource, operation_id: str | None = None) -> ApplyOperation:
    made = Operation(kind, Identifier(operation_id) if operation_id else None)
    match kind:
        case "RESERVE":
            made = msgspec.structs.replace(made, reserve=Reserve([resource]))
        case "UNRESERVE":
            made = msgspec.structs.replace(made, unreserve=Unreserve([resource]))
        case "CREATE":
            made = msgspec.structs.replace(made, create=Volumes([resource]))
        case "DESTROY":
            made = msgspec.structs.replace(made, destroy=Volumes([resource]))
    return ApplyOperation(made, FW)


def told(world: World) -> list[OperationUpdate]:
    return [call for call in world.calls if isinstance(call, OperationUpdate)]


def acknowledge(world: World, update: OperationUpdate) -> None:
    assert update.status.uuid
    assert update.status.operation_id
    world.handle(AcknowledgeOperation(update.status.operation_id, update.status.uuid.value, update.framework_id))


def stored(world: World) -> Resources:
    return Resources.parse(msgspec.json.decode(world.store[TOTAL], type=list[Resource]))


def test_an_operation_is_stored_and_told_until_it_is_acknowledged(world: World) -> None:
    world.handle(operation("RESERVE", RESERVED, "op"))
    assert stored(world) == world.core.total
    assert world.core.total.where(lambda tag: tag.dynamic) == Resources.parse([RESERVED])
    [update] = told(world)
    assert (update.framework_id, update.status.state, update.status.message) == (FW, "OPERATION_FINISHED", None)
    assert update.status.agent_id == Identifier("S0")
    waits = []
    for _ in range(3):
        sent = world.now
        world.fire("operation/fw/op")
        waits.append(world.now - sent)
    assert waits == [10, 20, 40]
    assert told(world) == [update] * 4
    world.crash()
    registration = world.core.registration()
    assert registration
    assert registration.operations[0].status == update.status
    assert Resources.parse(registration.total) == world.core.total
    world.register()
    assert told(world) == [update] * 5
    acknowledge(world, update)
    assert world.timers == {}
    assert not any(key.startswith("operations/") for key in world.store)
    acknowledge(world, update)
    world.crash()
    world.register()
    assert len(told(world)) == 5


def test_an_operation_without_an_id_is_carried_out_in_silence(world: World) -> None:
    world.handle(operation("RESERVE", RESERVED))
    assert told(world) == []
    assert stored(world) == world.core.total != Resources.parse(INFO.resources)


def test_one_without_an_id_that_fails_makes_the_agent_tell_the_master_what_it_has(world: World) -> None:
    world.handle(operation("RESERVE", amount("cpus", 99, reservations=OURS), "op"))
    assert world.reconnects == 0, "its status says it"
    world.handle(operation("RESERVE", amount("cpus", 99, reservations=OURS)))
    assert world.reconnects == 1
    said = world.core.registration()
    assert said
    assert Resources.parse(said.total) == Resources.parse(INFO.resources)


def test_one_that_can_not_be_done_changes_nothing_and_says_why(world: World) -> None:
    before = world.core.total
    world.handle(operation("RESERVE", amount("cpus", 99, reservations=OURS), "op"))
    [update] = told(world)
    assert update.status.state == "OPERATION_FAILED"
    assert "does not contain" in (update.status.message or "")
    assert world.core.total == before
    assert TOTAL not in world.store


def test_one_that_is_repeated_is_done_once(world: World) -> None:
    for _ in range(2):
        world.handle(operation("RESERVE", RESERVED, "op"))
    assert world.core.total.where(lambda tag: tag.dynamic) == Resources.parse([RESERVED])
    assert len({update.status.uuid for update in told(world)}) == 1


def test_volumes_are_made_kept_and_removed() -> None:
    world = World(resources=[*(INFO.resources or []), amount("disk", 500)])
    world.register()
    world.handle(operation("RESERVE", DISK), operation("CREATE", VOLUME))
    assert world.volumes == {("ours", "v1")}
    world.run(task("t", resources=[VOLUME]))
    world.volumes.clear()
    world.crash()
    assert world.volumes == {("ours", "v1")}
    assert world.core.used() == Resources.parse([VOLUME])
    world.handle(operation("DESTROY", VOLUME))
    assert world.volumes == set()
    world.handle(operation("UNRESERVE", DISK))
    assert world.core.total == Resources.parse([*(INFO.resources or []), amount("disk", 500)])


def test_a_new_agent_keeps_what_was_reserved_but_tells_nobody(world: World) -> None:
    world.handle(operation("RESERVE", RESERVED, "op"))
    total = world.core.total
    world.handle(Refused("gone"))
    assert world.core.total == total
    world.register("S1")
    assert len(told(world)) == 1
    assert world.timers == {}


def test_a_message_while_the_master_is_away_waits(world: World) -> None:
    world.core._context.connected = False
    world.handle(operation("RESERVE", RESERVED, "op"))
    assert told(world) == []
    world.register()
    assert len(told(world)) == 1


def test_reservations_and_volumes_survive_a_change_of_the_flag() -> None:
    mount = DiskSource("PATH", DiskRoot("/d"))
    static = [ReservationInfo("STATIC", "ours")]
    flag = [
        amount("cpus", 4),
        amount("disk", 500),
        amount("disk", 50, reservations=static, disk=DiskInfo(source=mount)),
    ]
    on_path = amount("disk", 20, reservations=static, disk=DiskInfo(Persistence("v2"), Volume("x"), mount))
    left = amount("disk", 30, reservations=static, disk=DiskInfo(source=mount))
    total = Resources.parse([amount("cpus", 2), RESERVED, amount("disk", 400), VOLUME, left, on_path])
    assert restored(Resources.parse(flag), total) == total
    more = [amount("cpus", 10), *flag[1:]]
    assert restored(Resources.parse(more), total) == total + Resources.of(cpus=6)
    with pytest.raises(DoesNotFitError, match=r"cpus\(reservations: \[\(DYNAMIC,ours,p\)\]\):2 is in use"):
        restored(Resources.parse([amount("cpus", 1), *flag[1:]]), total)
