"""Reservations and volumes by order of an operator, and other orders; texts as recorded from Mesos."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.mesos.messages.agent_link import ApplyOperation
from tests.unit.mesos.master.master_world import FakeAgent, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def agent(world: World) -> FakeAgent:
    return world.agent("127.0.0.1", cpus=8, mem=8192, disk=20480)


def reserved(name: str, amount: float, role: str = "resv", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": "SCALAR",
        "scalar": {"value": amount},
        "reservations": [{"type": "DYNAMIC", "role": role}],
        **more,
    }


def volume(amount: float) -> dict[str, Any]:
    disk = {"persistence": {"id": "ov-1"}, "volume": {"mode": "RW", "container_path": "d"}}
    return reserved("disk", amount, disk=disk)


def give(world: World, kind: str, agent_id: str | None, *given: dict[str, Any]) -> tuple[int, str]:
    field = "volumes" if "VOLUMES" in kind else "resources"
    answer = world.order(kind, **{kind.lower(): {"agent_id": {"value": agent_id}, field: list(given)}})
    return answer.status, answer.text


def test_reserving_creating_resizing_and_all_of_it_back(world: World, agent: FakeAgent) -> None:
    before = world.books.agents[agent.id].total
    resources = [reserved("cpus", 1), reserved("mem", 128), reserved("disk", 256)]
    assert give(world, "RESERVE_RESOURCES", agent.id, *resources) == (202, "")
    assert give(world, "CREATE_VOLUMES", agent.id, volume(64)) == (202, "")
    grow = {"agent_id": {"value": agent.id}, "volume": volume(64), "addition": reserved("disk", 16)}
    assert world.order("GROW_VOLUME", grow_volume=grow).status == 202
    shrink = {"agent_id": {"value": agent.id}, "volume": volume(80), "subtract": {"value": 16}}
    assert world.order("SHRINK_VOLUME", shrink_volume=shrink).status == 202
    assert give(world, "UNRESERVE_RESOURCES", agent.id, reserved("disk", 256)) == (
        409,
        "cpus:7; mem:8064; disk:20224; cpus(reservations: [(DYNAMIC,resv)]):1; "
        "mem(reservations: [(DYNAMIC,resv)]):128; disk(reservations: [(DYNAMIC,resv)]):192; "
        "disk(reservations: [(DYNAMIC,resv)])[ov-1:d]:64 does not contain "
        "disk(reservations: [(DYNAMIC,resv)]):256",
    )
    assert give(world, "DESTROY_VOLUMES", agent.id, volume(64)) == (202, "")
    assert give(world, "UNRESERVE_RESOURCES", agent.id, *resources) == (202, "")
    assert world.books.agents[agent.id].total == before
    assert [event.operation.type for event in agent.heard(ApplyOperation)] == [
        *("RESERVE", "CREATE", "GROW_VOLUME", "SHRINK_VOLUME", "DESTROY", "UNRESERVE")
    ]
    assert agent.total == before


def test_offers_that_stand_in_the_way_are_taken_back(world: World, agent: FakeAgent) -> None:
    framework = world.framework()
    framework.take()
    assert give(world, "RESERVE_RESOURCES", agent.id, reserved("cpus", 0.5)) == (202, "")
    assert framework.kinds == ["RESCIND", "OFFERS"]
    (offer,) = framework.offers.values()
    assert next(r.scalar.value for r in offer.resources or () if r.name == "cpus" and r.scalar) == 7.5


def test_offers_that_do_not_stand_in_the_way_stay(world: World, agent: FakeAgent) -> None:
    framework = world.framework()
    framework.accept(framework.task("t1", agent, resources={"cpus": 8, "mem": 32}))
    framework.take()
    assert give(world, "RESERVE_RESOURCES", agent.id, reserved("cpus", 1)) == (
        409,
        "mem:8160; disk:20480 does not contain cpus:1",
    )
    assert framework.kinds == [], "an order that is refused takes nothing back"


RESERVE_INVALID = "Invalid RESERVE operation on agent m-S0 at slave(1)@10.0.0.1:5051 (127.0.0.1): "


@pytest.mark.parametrize(
    ("given", "status", "text"),
    [
        (reserved("cpus", 1000), 409, "cpus:8; mem:8192; disk:20480 does not contain cpus:1000"),
        (
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}},
            400,
            RESERVE_INVALID + "Resource cpus:1 is not dynamically reserved",
        ),
        (
            reserved("cpus", 1, role="*"),
            400,
            "Failed to validate master::Call: Resource 'cpus(reservations: [(DYNAMIC,*)]):1' is invalid: "
            'Invalid reservation: role "*" cannot be reserved',
        ),
        (
            {**reserved("cpus", 1), "reservations": [{"type": "STATIC", "role": "s"}]},
            400,
            RESERVE_INVALID + "Resource cpus(reservations: [(STATIC,s)]):1 is not dynamically reserved",
        ),
    ],
    ids=["more than there is", "plain", "of *", "static"],
)
def test_reservations_that_can_not_be(world: World, agent: FakeAgent, given: Any, status: int, text: str) -> None:
    total = world.books.agents[agent.id].total
    assert give(world, "RESERVE_RESOURCES", agent.id, given) == (status, text)
    assert world.books.agents[agent.id].total == total
    assert not agent.heard(ApplyOperation)


def test_nobody_has_that_id(world: World) -> None:
    no_agent = (400, "No agent found with specified ID")
    assert give(world, "RESERVE_RESOURCES", "nope", reserved("cpus", 1)) == no_agent
    answer = world.order("TEARDOWN", teardown={"framework_id": {"value": "nope"}})
    assert (answer.status, answer.text) == (400, "No framework found with specified ID")
    gone = world.order("MARK_AGENT_GONE", mark_agent_gone={"agent_id": {"value": "nope"}})
    assert gone.status == 404


def test_a_framework_can_be_torn_down(world: World, agent: FakeAgent) -> None:
    framework = world.framework()
    assert world.order("TEARDOWN", teardown={"framework_id": {"value": framework.id}}).status == 200
    assert framework.id not in world.books.frameworks


@pytest.mark.parametrize("value", [1e15, 1e308], ids=["large", "larger"])
def test_amounts_without_bounds_are_refused(world: World, agent: FakeAgent, value: float) -> None:
    total = world.books.agents[agent.id].total
    assert give(world, "RESERVE_RESOURCES", agent.id, reserved("cpus", value))[0] == 400
    assert give(world, "UNRESERVE_RESOURCES", agent.id, {**reserved("disk", value), "reservations": []})[0] == 400
    config = {"role": "r", "limits": {"cpus": {"value": value}}, "guarantees": {"cpus": {"value": value}}}
    assert world.order("UPDATE_QUOTA", update_quota={"quota_configs": [config], "force": True}).status == 400
    assert world.books.agents[agent.id].total == total
