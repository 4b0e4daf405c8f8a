"""The core with agents and frameworks that live: in virtual time, without processes. The DRF paper's figures."""

from __future__ import annotations

import pytest

from bench import drf
from bench.virtual import Simulation, VirtualAgent, VirtualFramework
from headrace.mesos.resources import Resources


def test_the_example_of_the_paper() -> None:
    """<9 CPUs, 18 GB>; tasks of <1, 4> and <3, 1>: three and two, and both hold two thirds of what they need most."""
    users = drf.example()
    assert [tasks for tasks, _ in users.values()] == [3, 2]
    assert [share for _, share in users.values()] == pytest.approx([2 / 3, 2 / 3])


def test_shares_over_time_are_equal_where_both_can_use_what_is_free() -> None:
    phase = 30.0
    points = drf.over_time(machines=8, phase=phase)
    first, second, third = ([drf.mean(points[name], number, phase) for name in points] for number in range(3))
    # 10 GB of 15 are one task a machine, and the other takes all CPUs that are left
    assert [first[0].mem, first[1].cpus] == pytest.approx([2 / 3, 3 / 4])
    assert second[0].dominant == pytest.approx(second[1].dominant, abs=0.05) == pytest.approx(1 / 2, abs=0.05)
    assert third[0].dominant == pytest.approx(third[1].dominant, abs=0.06)


def test_the_picture_in_the_docs_is_the_simulation() -> None:
    text = drf.SVG.read_text()
    for name, colour in drf.COLOURS.items():
        assert text.count(f'fill="none" stroke="{colour}"') == len(drf.PANELS), name
        assert f">{name.replace('-', ' ')}</text>" in text
    assert f"{drf.PHASES * drf.PHASE:g} s</text>" in text


def test_a_pass_over_many_agents_and_frameworks_is_fair_and_tasks_run_to_their_end() -> None:
    world = Simulation()
    agents = [VirtualAgent(world, number, Resources.of(cpus=2, mem=64)) for number in range(300)]
    first = VirtualFramework(world, "first")
    others = [VirtualFramework(world, f"role-{number}", Resources.of(cpus=1, mem=32), 40) for number in range(10)]
    assert (first.offers, [other.running for other in others]) == (300, [0] * 10)
    first.leave()
    assert [other.running for other in others] == [40] * 10
    for other in others:
        other.wanted, other.refuse = 0, 1e6
    world.run_until(200.0)  # pings are answered meanwhile
    assert [other.running for other in others] == [0] * 10
    assert sum(agent.tasks for agent in agents) == 0
    assert all(agent.connected for agent in world.core.books.agents.values())
    world.core.books.allocator.validate()
