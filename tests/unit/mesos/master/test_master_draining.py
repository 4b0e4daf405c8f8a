"""Agents that are deactivated or drained: nothing is offered, tasks end, and it holds whatever dies."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.kernel.core import Effect
from headrace.mesos.master.api import shapes
from headrace.mesos.master.core.events import MasterEvent
from headrace.mesos.messages.agent_link import DrainAgent, Refused, StatusUpdate
from headrace.mesos.messages.common import FrameworkID, is_terminal
from tests.unit.mesos.master.master_world import CAPABILITIES, FakeAgent, FakeFramework, World

AWARE = (*CAPABILITIES, "PARTITION_AWARE")


def order(world: World, kind: str, agent: FakeAgent | str, **more: Any) -> tuple[int, str]:
    agent_id = agent if isinstance(agent, str) else agent.id
    answer = world.order(kind, **{kind.lower(): {"agent_id": {"value": agent_id}, **more}})
    return answer.status, answer.text


def state_of(world: World, agent: FakeAgent) -> str | None:
    deactivation = world.books.deactivated.get(agent.id)
    return deactivation.drain.state if deactivation is not None and deactivation.drain is not None else None


def with_task(world: World) -> tuple[FakeAgent, FakeFramework]:
    agent, framework = world.agent(), world.framework(capabilities=AWARE)
    framework.accept(framework.task("t1", agent))
    framework.acknowledge(agent.update("t1", "TASK_RUNNING"))
    framework.take()
    return agent, framework


def end(agent: FakeAgent, framework: FakeFramework, task_id: str = "t1") -> None:
    status = agent.update(task_id, "TASK_KILLED")
    del agent.tasks[task_id]
    framework.acknowledge(status)


# Deactivation


def test_nothing_of_a_deactivated_agent_is_offered_until_it_is_reactivated() -> None:
    world = World()
    agent, framework = with_task(world)
    assert framework.offers
    assert order(world, "DEACTIVATE_AGENT", agent) == (200, "")
    assert framework.take()[-1].type == "RESCIND"
    assert not framework.offers
    end(agent, framework)
    world.advance(60)
    assert not framework.offers
    assert agent.heard(DrainAgent) == [], "what runs there is left alone"
    assert order(world, "REACTIVATE_AGENT", agent) == (200, "")
    assert framework.offers


@pytest.mark.parametrize("kind", ["DRAIN_AGENT", "DEACTIVATE_AGENT", "REACTIVATE_AGENT"])
def test_an_unknown_agent_is_told_of(kind: str) -> None:
    assert order(World(), kind, "nobody") == (400, "Unknown agent")


def test_orders_may_be_given_twice() -> None:
    world = World()
    agent = world.agent()
    assert order(world, "REACTIVATE_AGENT", agent) == (200, "")
    for _ in range(2):
        assert order(world, "DEACTIVATE_AGENT", agent) == (200, "")
    for _ in range(2):
        assert order(world, "REACTIVATE_AGENT", agent) == (200, "")
    assert not [key for key in world.store if key.startswith("deactivated/")]


def test_deactivation_survives_the_restart_of_the_master_and_the_absence_of_the_agent() -> None:
    world = World()
    agent = world.agent()
    order(world, "DEACTIVATE_AGENT", agent)
    agent.disconnect()
    world.restart()
    world.advance(100)
    assert agent.id in world.books.absent, "unreachable"
    world.restart("o")
    agent.register()
    framework = world.framework()
    assert not framework.offers
    agent.disconnect()
    assert order(world, "REACTIVATE_AGENT", agent) == (200, "")
    assert not framework.offers, "it is away"
    agent.register()
    assert framework.offers


def test_an_accepted_offer_of_a_draining_agent_is_no_longer_valid() -> None:
    world = World()
    agent, framework = with_task(world)
    (offer_id,) = framework.offers
    order(world, "DRAIN_AGENT", agent)
    framework.take()
    framework.accept(framework.task("t2", agent), offers=[offer_id])
    (status,) = framework.statuses
    assert (status.state, status.reason) == ("TASK_DROPPED", "REASON_INVALID_OFFERS")


# Draining


def test_a_draining_agent_is_told_so_and_drained_when_the_last_end_is_acknowledged() -> None:
    world = World()
    agent, framework = with_task(world)
    assert order(world, "DRAIN_AGENT", agent, max_grace_period={"seconds": 2}) == (200, "")
    (told,) = agent.heard(DrainAgent)
    assert told.max_grace_period is not None
    assert (told.max_grace_period.nanoseconds, told.mark_gone) == (2_000_000_000, False)
    assert state_of(world, agent) == "DRAINING"
    status = agent.update("t1", "TASK_KILLED")
    assert state_of(world, agent) == "DRAINING", "its framework has not acknowledged"
    assert order(world, "REACTIVATE_AGENT", agent) == (400, "Agent is still in the DRAINING state")
    framework.acknowledge(status)
    assert state_of(world, agent) == "DRAINED"
    assert not framework.offers
    assert order(world, "REACTIVATE_AGENT", agent) == (200, "")
    assert framework.offers
    assert state_of(world, agent) is None


def test_an_agent_without_tasks_is_drained_at_once() -> None:
    world = World()
    agent = world.agent()
    order(world, "DRAIN_AGENT", agent)
    assert state_of(world, agent) == "DRAINED"


def test_an_operation_that_is_not_acknowledged_keeps_an_agent_from_being_drained() -> None:
    world = World()
    agent, framework = world.agent(disk=100, cpus=2, mem=100), world.framework(capabilities=AWARE, principal="p")
    resources = [
        {
            "name": "disk",
            "type": "SCALAR",
            "scalar": {"value": 10},
            "reservations": [{"type": "DYNAMIC", "role": "test", "principal": "p"}],
        }
    ]
    framework.operate({"type": "RESERVE", "id": {"value": "o"}, "reserve": {"resources": resources}})
    order(world, "DRAIN_AGENT", agent)
    assert state_of(world, agent) == "DRAINING"
    framework.acknowledge_operation(framework.operation_statuses[-1])
    assert state_of(world, agent) == "DRAINED"


def test_an_agent_that_is_away_is_drained_when_it_is_back() -> None:
    world = World()
    agent, framework = with_task(world)
    agent.disconnect()
    assert order(world, "DRAIN_AGENT", agent) == (200, "")
    world.advance(100)
    assert framework.statuses[-1].state == "TASK_UNREACHABLE"
    assert state_of(world, agent) == "DRAINING", "nobody knows what runs there"
    agent.register()
    assert agent.heard(DrainAgent)
    assert not framework.offers
    end(agent, framework)
    assert state_of(world, agent) == "DRAINED"


def test_draining_goes_on_after_a_restart_of_the_master() -> None:
    world = World()
    agent, framework = with_task(world)
    order(world, "DRAIN_AGENT", agent, max_grace_period={"nanoseconds": 5})
    agent.events.clear()
    world.restart()
    framework.subscribe()
    agent.register()
    (told,) = agent.heard(DrainAgent)
    assert told.max_grace_period.nanoseconds == 5
    end(agent, framework)
    assert state_of(world, agent) == "DRAINED"
    world.restart("o")
    absent, deactivation = world.books.absent[agent.id], world.books.deactivated[agent.id]
    seen = shapes.absent(str(agent.id), absent, deactivation)
    assert (seen["deactivated"], seen["drain_info"].state) == (True, "DRAINED")
    agent.events.clear()
    agent.register()
    assert state_of(world, agent) == "DRAINED"
    assert agent.heard(DrainAgent) == []


def test_an_agent_is_gone_when_it_is_empty_if_that_is_the_wish() -> None:
    world = World()
    agent, framework = with_task(world)
    order(world, "DRAIN_AGENT", agent, mark_gone=True)
    assert agent.heard(DrainAgent)[0].mark_gone
    agent_id = agent.id
    end(agent, framework)
    (refused,) = agent.heard(Refused)
    assert refused.leave
    assert world.books.removed[agent_id].gone
    assert not [key for key in world.store if key.startswith("deactivated/")]


def test_a_second_order_takes_the_place_of_the_first() -> None:
    world = World()
    agent, _ = with_task(world)
    order(world, "DRAIN_AGENT", agent, max_grace_period={"seconds": 600})
    order(world, "DEACTIVATE_AGENT", agent)
    assert state_of(world, agent) == "DRAINING", "that is no way to call it off"
    order(world, "DRAIN_AGENT", agent, max_grace_period={"seconds": 0}, mark_gone=True)
    assert [one.max_grace_period.nanoseconds for one in agent.heard(DrainAgent)] == [600_000_000_000, 0]


def test_the_end_of_a_framework_may_drain_its_agents() -> None:
    world = World()
    agent, framework = with_task(world)
    order(world, "DRAIN_AGENT", agent)
    framework.call("TEARDOWN")
    assert state_of(world, agent) == "DRAINED"


@pytest.mark.parametrize("grace", [{}, {"seconds": -1}, {"seconds": 1, "nanos": -2_000_000_000}, {"seconds": 2**40}])
def test_a_grace_period_that_is_none_is_refused_and_changes_nothing(grace: dict[str, int]) -> None:
    world = World()
    agent, framework = with_task(world)
    status, text = order(world, "DRAIN_AGENT", agent, max_grace_period=grace)
    assert status == 400
    assert "'drain_agent.max_grace_period'" in text
    assert framework.offers
    assert not world.books.deactivated


def test_an_agent_that_is_removed_or_forgotten_is_no_longer_deactivated() -> None:
    world = World()
    first, second = world.agent(port=5051), world.agent(port=5052)
    for agent in (first, second):
        order(world, "DEACTIVATE_AGENT", agent)
    world.order("MARK_AGENT_GONE", mark_agent_gone={"agent_id": {"value": first.id}})
    second.disconnect()
    world.advance(100)
    assert list(world.books.deactivated) == [second.id]
    world.advance(world.settings.registry_max_agent_age + 2 * world.settings.registry_gc_interval)
    assert not world.books.deactivated
    assert not [key for key in world.store if key.startswith("deactivated/")]


def test_what_people_see_of_it() -> None:
    world = World()
    agent, framework = with_task(world)
    assert b'"deactivated":false' in shapes.agent(world.books.agents[agent.id])
    order(world, "DRAIN_AGENT", agent, max_grace_period={"seconds": 2})
    seen = shapes.agent(world.books.agents[agent.id])
    assert b'"deactivated":true' in seen
    assert b'"active":false' in seen
    drain_info = b'{"state":"DRAINING","config":{"max_grace_period":{"nanoseconds":2000000000},"mark_gone":false}}'
    assert b'"drain_info":' + drain_info in seen
    assert b'"estimated_drain_start_time_seconds":1000.0' in seen
    end(agent, framework)
    described = world.books.described.agent(world.books.agents[agent.id])
    assert (described.active, described.deactivated, described.drain_info.state) == (False, True, "DRAINED")
    assert described.estimated_drain_start_time.nanoseconds == 1000 * 10**9


# Killed at any point


class DiedError(Exception):
    """The master was killed."""


class MortalWorld(World):
    """Its master dies over the ``nth`` time that it stores anything of a draining: before that, or just after."""

    def __init__(self, nth: int, *, stored: bool) -> None:
        self.nth, self.stored = 0, stored
        self.before: dict[str, bytes] = {}
        super().__init__()
        self.nth = nth

    def feed(self, event: MasterEvent) -> list[Effect]:
        self.before = dict(self.store)
        return super().feed(event)

    def _perform(self, effect: Effect) -> None:
        changed = {key for key, _ in self.store.items() ^ self.before.items()}
        if any(key.startswith(("deactivated/", "removed/")) for key in changed) and self.nth:
            self.nth -= 1
            before, self.before = self.before, dict(self.store)
            if not self.nth:
                self.store = self.store if self.stored else before
                raise DiedError
        super()._perform(effect)


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_master_that_dies_over_it_goes_on_with_it(nth: int, stored: bool, gone: bool) -> None:
    world = MortalWorld(nth, stored=stored)
    agent, framework = with_task(world)
    agent_id, died, deaths = agent.id or "", False, 0

    def go_on() -> None:
        if agent_id not in world.books.deactivated and agent_id not in world.books.removed:
            order(world, "DRAIN_AGENT", agent_id, mark_gone=gone)  # nobody has answered the operator
        if agent.heard(DrainAgent) and not is_terminal(agent.tasks["t1"][2].state):
            agent.update("t1", "TASK_KILLED")
        for status in [one for one in framework.statuses if one.uuid and is_terminal(one.state)]:
            framework.acknowledge(status)

    for _ in range(4):
        try:
            if died:
                world.restart(f"n{deaths}")
                died = False
                framework.subscribe()
                agent.register()
                if agent.stream is not None:
                    agent.call(
                        StatusUpdate(FrameworkID(framework.id), agent.tasks["t1"][2], agent.tasks["t1"][2].state)
                    )
            go_on()
        except DiedError:
            deaths, died = deaths + 1, True
    assert deaths == 1
    if gone:
        assert world.books.removed[agent_id].gone
        assert agent.heard(Refused)[-1].leave
    else:
        assert world.books.deactivated[agent_id].drain.drained
        assert not framework.offers
