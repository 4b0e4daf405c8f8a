"""What operations do to resources, and what they refuse."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.mesos.messages.common import Resource
from headrace.mesos.messages.scheduler import Operation
from headrace.mesos.operations import OperationError, apply
from headrace.mesos.resources import Resources


def raw(name: str, value: float, *roles: str, volume: str = "", shared: bool = False, **more: Any) -> dict[str, Any]:
    resource: dict[str, Any] = {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}
    if roles:
        resource["reservations"] = [{"type": "DYNAMIC", "role": role, "principal": "p"} for role in roles]
    if volume:
        resource["disk"] = {"persistence": {"id": volume}, "volume": {"container_path": "data", "mode": "RW"}}
    return resource | ({"shared": {}} if shared else {})


def some(*resources: dict[str, Any]) -> Resources:
    return Resources.parse(msgspec.convert(list(resources), list[Resource]))


def op(kind: str, **body: Any) -> Operation:
    return msgspec.convert({"type": kind, kind.lower(): body}, Operation)


PLAIN = some(raw("cpus", 4), raw("disk", 100))


def test_reserve_and_unreserve_refined() -> None:
    outer = op("RESERVE", resources=[raw("cpus", 1, "a"), raw("disk", 60, "a")])
    inner = op("RESERVE", resources=[raw("cpus", 0.5, "a", "a/b")])
    reserved = apply(inner, apply(outer, PLAIN))
    assert reserved == some(
        raw("cpus", 3), raw("cpus", 0.5, "a"), raw("cpus", 0.5, "a", "a/b"), raw("disk", 40), raw("disk", 60, "a")
    )
    back = apply(op("UNRESERVE", resources=[raw("cpus", 0.5, "a", "a/b")]), reserved)
    assert apply(op("UNRESERVE", resources=[raw("cpus", 1, "a"), raw("disk", 60, "a")]), back) == PLAIN


def test_the_old_form_of_a_reservation_does_the_same() -> None:
    old = raw("cpus", 1, role="a", reservation={"principal": "p"})
    assert apply(op("RESERVE", resources=[old]), PLAIN) == apply(op("RESERVE", resources=[raw("cpus", 1, "a")]), PLAIN)


def test_a_reservation_may_be_made_of_another() -> None:
    one = some(raw("cpus", 1, "a"))
    moved = apply(op("RESERVE", source=[raw("cpus", 1, "a")], resources=[raw("cpus", 1, "b")]), one)
    assert moved == some(raw("cpus", 1, "b"))


def test_volumes_are_made_grown_shrunk_and_destroyed() -> None:
    disk = some(raw("disk", 100, "a"))
    volume = apply(op("CREATE", volumes=[raw("disk", 30, "a", volume="v")]), disk)
    assert volume == some(raw("disk", 70, "a"), raw("disk", 30, "a", volume="v"))
    grown = apply(op("GROW_VOLUME", volume=raw("disk", 30, "a", volume="v"), addition=raw("disk", 20, "a")), volume)
    assert grown == some(raw("disk", 50, "a"), raw("disk", 50, "a", volume="v"))
    shrunk = apply(op("SHRINK_VOLUME", volume=raw("disk", 50, "a", volume="v"), subtract={"value": 10}), grown)
    assert shrunk == some(raw("disk", 60, "a"), raw("disk", 40, "a", volume="v"))
    assert apply(op("DESTROY", volumes=[raw("disk", 40, "a", volume="v")]), shrunk) == disk


def test_a_shared_volume_is_destroyed_with_its_last_use() -> None:
    disk = some(raw("disk", 100, "a"))
    shared = raw("disk", 30, "a", volume="v", shared=True)
    volume = apply(op("CREATE", volumes=[shared]), disk)
    assert volume == some(raw("disk", 70, "a"), shared)
    with pytest.raises(OperationError, match="cannot be removed due to additional shared copies"):
        apply(op("DESTROY", volumes=[shared]), volume + some(shared))
    assert apply(op("DESTROY", volumes=[shared]), volume) == disk


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (
            op("RESERVE", resources=[raw("cpus", 1000, "a")]),
            "cpus(allocated: r):4; disk(allocated: r):100 does not contain cpus(allocated: r):1000",
        ),
        (op("RESERVE", resources=[raw("cpus", 1)]), "Resource cpus:1 is not dynamically reserved"),
        (
            op("UNRESERVE", resources=[raw("cpus", 1, reservations=[{"type": "STATIC", "role": "a"}])]),
            "Resource cpus(reservations: [(STATIC,a)]):1 is not dynamically reserved",
        ),
        (op("CREATE", volumes=[raw("disk", 1)]), "Resource disk:1 does not have DiskInfo"),
        (
            op("DESTROY", volumes=[raw("disk", 1, "a")]),
            "Resource disk(reservations: [(DYNAMIC,a,p)]):1 is not a persistent volume",
        ),
        (
            op("RESERVE", resources=[raw("cpus", -1, "a")]),
            "Invalid resources: resource 'cpus' is -1.0; it must be 0 or more",
        ),
        (
            op("CREATE_DISK", source=raw("disk", 1), target_type="MOUNT"),
            "Operation CREATE_DISK is not supported: the agents have no resource providers",
        ),
        (
            op("SHRINK_VOLUME", volume=raw("disk", 1, "a"), subtract={"value": 1}),
            "Resource disk(reservations: [(DYNAMIC,a,p)]):1 is not a persistent volume",
        ),
    ],
)
def test_what_can_not_be_done(operation: Operation, text: str) -> None:
    with pytest.raises(OperationError) as caught:
        apply(operation, PLAIN, "r")
    assert str(caught.value) == text


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 50_000)), min_size=1, max_size=5),
)
def test_reserving_and_unreserving_loses_nothing(steps: list[tuple[str, int]]) -> None:
    left, done = PLAIN, []
    for role, amount in steps:
        operation = op("RESERVE", resources=[raw("disk", amount / 1000, role)])
        try:
            left = apply(operation, left)
            done.append(operation)
        except OperationError:
            continue
        assert left.without_tags() == PLAIN
    for operation in reversed(done):
        assert operation.reserve is not None
        left = apply(
            msgspec.convert({"type": "UNRESERVE", "unreserve": msgspec.to_builtins(operation.reserve)}, Operation), left
        )
    assert left == PLAIN
