"""Maintenance: schedule, inverse offers, machines that are taken down and brought up."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.mesos.messages.agent_link import Refused
from tests.unit.mesos.master.master_world import FakeAgent, FakeFramework, World

AWARE = ("MULTI_ROLE", "RESERVATION_REFINEMENT", "PARTITION_AWARE")
H1 = {"hostname": "h1", "ip": "10.0.0.1"}
SOON = {"start": {"nanoseconds": 5_000_000_000}}


@pytest.fixture
def world() -> World:
    return World()


def schedule(world: World, *machines: dict[str, str], unavailability: Any = SOON) -> tuple[int, str]:
    windows = [{"machine_ids": list(machines), "unavailability": unavailability}] if machines else []
    answer = world.order("UPDATE_MAINTENANCE_SCHEDULE", update_maintenance_schedule={"schedule": {"windows": windows}})
    return answer.status, answer.text


def start(world: World, *machines: dict[str, str]) -> tuple[int, str]:
    answer = world.order("START_MAINTENANCE", start_maintenance={"machines": list(machines)})
    return answer.status, answer.text


def stop(world: World, *machines: dict[str, str]) -> tuple[int, str]:
    answer = world.order("STOP_MAINTENANCE", stop_maintenance={"machines": list(machines)})
    return answer.status, answer.text


def with_task(world: World) -> tuple[FakeAgent, FakeFramework]:
    agent, framework = world.agent(), world.framework(capabilities=AWARE)
    framework.accept(framework.task("t1", agent))
    framework.acknowledge(agent.update("t1", "TASK_RUNNING"))
    framework.take()
    return agent, framework


def status(world: World) -> Any:
    import msgspec

    return msgspec.to_builtins(world.core.maintenance.status())


def test_offers_are_made_anew_with_the_unavailability_and_frameworks_are_asked_to_leave(world: World) -> None:
    agent, framework = with_task(world)
    assert schedule(world, H1) == (200, "")
    assert framework.kinds == ["RESCIND", "OFFERS", "INVERSE_OFFERS"]
    (offer,) = framework.offers.values()
    assert offer.unavailability is not None
    assert offer.unavailability.start.nanoseconds == 5_000_000_000
    (wish,) = framework.inverse_offers.values()
    assert wish.agent_id is not None
    assert (wish.agent_id.value, wish.unavailability) == (agent.id, offer.unavailability)
    assert wish.id.value == "m-O3", "they are numbered with the offers"
    assert status(world) == {"draining_machines": [{"id": H1}]}


@pytest.mark.parametrize("machine", [H1, {"hostname": "H1"}, {"ip": "10.0.0.1"}], ids=["both", "name", "address"])
def test_a_machine_may_be_named_in_part(world: World, machine: dict[str, str]) -> None:
    _, framework = with_task(world)
    schedule(world, machine)
    assert len(framework.inverse_offers) == 1


def test_others_are_left_alone(world: World) -> None:
    agent, framework = with_task(world)
    schedule(world, {"hostname": "h2", "ip": "10.0.0.1"})
    assert framework.kinds == []
    assert agent.heard(Refused) == []


@pytest.mark.parametrize(("call", "said"), [("ACCEPT", "ACCEPT"), ("DECLINE", "DECLINE")])
def test_an_answer_is_noted_and_asked_for_again_after_the_filter(world: World, call: str, said: str) -> None:
    _, framework = with_task(world)
    schedule(world, H1)
    (wish,) = framework.inverse_offers
    framework.take()
    ids = {"inverse_offer_ids": [{"value": wish}, {"value": "unknown"}], "filters": {"refuse_seconds": 3.0}}
    world.now += 1
    field = f"{call.lower()}_inverse_offers"
    assert framework.call(f"{call}_INVERSE_OFFERS", **{field: ids}).status == 202
    (machine,) = status(world)["draining_machines"]
    told = {"status": said, "framework_id": {"value": framework.id}, "timestamp": {"nanoseconds": 1001 * 10**9}}
    assert machine == {"id": H1, "statuses": [told]}
    world.advance(2)
    assert "INVERSE_OFFERS" not in framework.kinds
    world.advance(2)
    assert framework.kinds.count("INVERSE_OFFERS") == 1
    world.advance(20)
    assert framework.kinds.count("INVERSE_OFFERS") == 1, "it is not asked twice at a time"
    assert status(world)["draining_machines"][0]["statuses"] == [told]


def test_a_framework_that_comes_to_the_agent_later_is_asked_too(world: World) -> None:
    _, framework = with_task(world)
    framework.call("SUPPRESS")
    schedule(world, H1)
    late = world.framework("late", roles=["late"])
    world.advance(1.5)
    assert len(late.inverse_offers) == 1
    assert framework.kinds.count("INVERSE_OFFERS") == 1


def test_a_framework_that_fails_over_is_asked_anew(world: World) -> None:
    _, framework = with_task(world)
    schedule(world, H1)
    framework.disconnect()
    framework.take()
    framework.subscribe()
    world.advance(1.5)
    assert framework.kinds.count("INVERSE_OFFERS") == 1


def test_an_agent_that_was_away_for_a_moment_is_asked_about_anew(world: World) -> None:
    agent, framework = with_task(world)
    schedule(world, H1)
    agent.disconnect()
    assert not framework.inverse_offers
    framework.take()
    agent.register()
    assert framework.kinds == ["OFFERS", "INVERSE_OFFERS"]


def test_a_new_schedule_takes_the_place_of_the_old_one(world: World) -> None:
    _, framework = with_task(world)
    schedule(world, H1)
    framework.take()
    assert schedule(world) == (200, "")
    assert "RESCIND_INVERSE_OFFER" in framework.kinds
    (offer,) = framework.offers.values()
    assert offer.unavailability is None
    assert not framework.inverse_offers
    assert status(world) == {}
    assert "maintenance/schedule" not in world.store
    assert "maintenance" not in world.timers


def test_a_machine_that_goes_down_loses_its_agents_and_they_may_not_come_back_until_it_is_up(world: World) -> None:
    agent, framework = with_task(world)
    schedule(world, H1)
    framework.take()
    assert start(world, H1) == (200, "")
    assert framework.kinds == ["UPDATE", "RESCIND", "RESCIND_INVERSE_OFFER", "FAILURE"]
    lost = framework.statuses[-1]
    assert (lost.state, lost.reason) == ("TASK_LOST", "REASON_AGENT_REMOVED"), "even to one that is PARTITION_AWARE"
    assert lost.message == "Agent h1 removed: Operator initiated 'Machine DOWN'"
    assert agent.heard(Refused) == [Refused("Operator initiated 'Machine DOWN'")]
    assert status(world) == {"down_machines": [H1]}
    assert start(world, H1) == (
        400,
        """Machine '{"hostname":"h1","ip":"10.0.0.1"}' is not in DRAINING mode and cannot be brought down""",
    )
    assert schedule(world) == (
        400,
        """Machine '{"hostname":"h1","ip":"10.0.0.1"}' is deactivated and cannot be removed from the schedule""",
    )
    agent.tasks.clear()
    agent.id = None
    agent.register()
    assert isinstance(agent.events[-1], Refused)
    assert not world.books.agents
    other = world.agent("h2")
    assert world.books.agents.keys() == {other.id}
    assert stop(world, H1) == (200, "")
    assert status(world) == {}
    agent.register()
    assert world.books.agents[agent.id].unavailability is None


def test_the_schedule_and_what_is_down_survive_a_restart(world: World) -> None:
    agent, framework = with_task(world)
    schedule(world, H1, {"hostname": "h2"})
    start(world, H1)
    world.restart()
    assert status(world) == {"draining_machines": [{"id": {"hostname": "h2"}}], "down_machines": [H1]}
    agent.tasks.clear()
    agent.id = None
    agent.register()
    assert isinstance(agent.events[-1], Refused)
    framework.subscribe()
    assert world.agent("h2", port=5052).stream
    assert len(framework.inverse_offers) == 1


def test_an_agent_with_tasks_that_comes_to_a_machine_that_is_down_ends_them(world: World) -> None:
    agent, _ = with_task(world)
    agent.disconnect()
    world.advance(80)
    schedule(world, H1)
    start(world, H1)
    known = agent.id
    agent.register()
    assert isinstance(agent.events[-1], Refused)
    assert known in world.books.removed
    assert f"agents/{known}" not in world.store


NOT_PLANNED = """Machine '{"hostname":"h9"}' is not part of a maintenance schedule"""


@pytest.mark.parametrize(
    ("order", "machines", "text"),
    [
        (schedule, [{}], "Both 'hostname' and 'ip' for a machine are empty"),
        (schedule, [{"ip": "10.0.0"}], "Failed to parse the IP: '10.0.0'"),
        (schedule, [H1, H1], """Machine '{"hostname":"h1","ip":"10.0.0.1"}' appears more than once in the schedule"""),
        (start, [], "List of machines is empty"),
        (start, [{"hostname": "h9"}], NOT_PLANNED),
        (stop, [{"hostname": "h9"}], NOT_PLANNED),
        (stop, [{"hostname": "h1"}], """Machine '{"hostname":"h1"}' is not in DOWN mode and cannot be brought up"""),
        (start, [{"hostname": "h1"}], """Machine '{"hostname":"h1"}' is not in DRAINING mode and cannot be brought """),
    ],
)  # fmt: skip
def test_orders_that_make_no_sense_change_nothing(world: World, order: Any, machines: Any, text: str) -> None:
    _, framework = with_task(world)
    before = dict(world.store)
    status, said = order(world, *machines)
    assert status == 400
    assert said.startswith(text)
    assert world.store == before
    assert framework.kinds == []


def test_windows_are_checked(world: World) -> None:
    unavailability = {**SOON, "duration": {"nanoseconds": -1}}
    assert schedule(world, H1, unavailability=unavailability) == (400, "Unavailability 'duration' is negative")
    windows = [{"machine_ids": [], "unavailability": SOON}]
    answer = world.order("UPDATE_MAINTENANCE_SCHEDULE", update_maintenance_schedule={"schedule": {"windows": windows}})
    assert answer.text == "List of machines in the maintenance window is empty"
