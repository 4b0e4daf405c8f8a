"""Taking resources out of offers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.flink.appmaster.placement import Terms, place
from headrace.flink.appmaster.taking import all_ports, lacks, take, usable
from headrace.mesos.messages.common import (
    DiskInfo,
    DiskSource,
    Empty,
    Persistence,
    Range,
    Ranges,
    ReservationInfo,
    Resource,
    Scalar,
)
from headrace.mesos.resources import Resources
from tests.unit.flink.appmaster_helpers import offer, reasons, worker


def scalar(name: str, value: float, role: str = "", **more: object) -> Resource:
    reservations = [ReservationInfo("STATIC", role)] if role else None
    return Resource(name, "SCALAR", scalar=Scalar(value), reservations=reservations, **more)  # type: ignore[arg-type]


def ports(begin: int, end: int, role: str = "") -> Resource:
    reservations = [ReservationInfo("DYNAMIC", role)] if role else None
    return Resource("ports", "RANGES", ranges=Ranges([Range(begin, end)]), reservations=reservations)


def described(taken: Resources) -> list[tuple[str, float | str, str]]:
    out: list[tuple[str, float | str, str]] = []
    for one in taken.messages("x"):
        role = one.reservations[-1].role if one.reservations else ""
        spans = one.ranges.range if one.ranges else None
        amount = one.scalar.value if one.scalar else ",".join(f"{s.begin}-{s.end}" for s in spans or ())
        out.append((one.name, amount, role or ""))
    return sorted(out, key=str)


def test_only_what_is_ours_or_anybodys() -> None:
    offered = [
        scalar("cpus", 1),
        scalar("cpus", 2, "us"),
        scalar("cpus", 4, "them"),
        scalar("mem", 8, revocable=Empty()),
        scalar("disk", 16, "us", disk=DiskInfo(Persistence("volume"))),
        scalar("disk", 32, disk=DiskInfo(source=DiskSource("MOUNT"))),
        scalar("mem", 64, shared=Empty()),
        scalar("gpus", 1, "us"),
    ]
    free = usable(offered, "us")
    assert [free.quantity(name) for name in ("cpus", "mem", "disk", "gpus")] == [3000, 0, 0, 1000]
    assert usable(offered, "us/below").quantity("cpus") == 3000
    assert usable(offered, "usable").quantity("cpus") == 1000


def test_reserved_ones_go_first() -> None:
    free = usable([scalar("cpus", 1), scalar("cpus", 2, "us"), ports(10, 11), ports(20, 20, "us")], "us")
    taken = take(free, {"cpus": 2.5}, [10, 20])
    assert described(taken) == [
        ("cpus", 0.5, ""),
        ("cpus", 2.0, "us"),
        ("ports", "10-10", ""),
        ("ports", "20-20", "us"),
    ]
    assert described(free - taken) == [("cpus", 0.5, ""), ("ports", "11-11", "")]


def test_all_ports_are_found() -> None:
    assert all_ports(usable([ports(10, 11), ports(12, 20, "us")], "us")) == ((10, 20),)


def test_what_is_lacking_is_said() -> None:
    free = usable([scalar("cpus", 1), scalar("mem", 100)], "*")
    assert lacks(free, {"cpus": 1, "mem": 128, "gpus": 1}, 2) == "mem 100 of 128, gpus 0 of 1, fewer than 2 ports"


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=6), st.integers(0, 12))
def test_nothing_is_lost_or_made(parts: list[tuple[int, bool]], wanted: int) -> None:
    free = usable([scalar("cpus", amount, "us" if reserved else "") for amount, reserved in parts], "us")
    if not lacks(free, {"cpus": wanted}, 0):
        taken = take(free, {"cpus": wanted}, [])
        assert taken.quantity("cpus") == wanted * 1000
        assert (free - taken).quantity("cpus") + wanted * 1000 == free.quantity("cpus")


def test_further_scalars_and_ports_of_a_cluster() -> None:
    import msgspec

    terms = Terms(scalars={"gpus": 1.0, "disk": 10.0}, ports=3)
    rich = offer(1)
    rich = msgspec.structs.replace(rich, resources=[*(rich.resources or []), scalar("gpus", 1), scalar("disk", 50)])
    placement = place([worker(1), worker(2)], [rich], {}, terms)
    (seat,) = placement.seats
    names = {resource.name for resource in seat.resources}
    assert names == {"cpus", "mem", "ports", "gpus", "disk"}
    assert len(seat.ports) == 3
    assert reasons(placement) == {worker(2).id: {"host-1": "gpus 0 of 1"}}
