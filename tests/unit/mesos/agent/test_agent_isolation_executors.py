"""The container of a custom executor grows with the tasks that it is given."""

from __future__ import annotations

from headrace.kernel.core import Effect
from headrace.mesos.agent.core.events import StartContainer, Tell, UpdateContainer
from headrace.mesos.agent.isolation.amounts import amounts_of
from tests.unit.mesos.agent.agent_world import World, delivered


def cpus(effect: Effect) -> float:
    assert isinstance(effect, StartContainer | UpdateContainer)
    return (amounts_of(effect.spec, False).shares or 0) / 1024


def test_an_executor_is_given_what_its_tasks_hold_before_it_hears_of_them() -> None:
    world = World()
    world.register()
    [start] = [e for e in world.run(delivered("a")) if isinstance(e, StartContainer)]
    world.start("c-1")
    told = [e for e in world.run(delivered("b")) if isinstance(e, UpdateContainer | Tell)]
    assert told == [], "nothing is told to an executor that does not listen yet"
    world.subscribe()
    effects = [e for e in world.run(delivered("c")) if isinstance(e, UpdateContainer | Tell)]
    assert [type(e) for e in effects] == [UpdateContainer, Tell]
    assert abs(cpus(effects[0]) - cpus(start) - 3 * 0.1) < 0.01
    world.says("a", "TASK_FINISHED", "u1")
    again = [cpus(e) for e in world.run(delivered("d")) if isinstance(e, UpdateContainer)]
    assert again == [cpus(effects[0])], "what a task held that has ended is not counted"
