"""50,000 agents and 200 frameworks in virtual time: what one allocation pass through the master's core costs.

A framework that holds everything leaves: all agents come free in one event, and the pass gives them to the others. It
is timed from the allocator's first look to the last offer made and encoded. In a process of its own, so that its
memory is what it says.

    python -m bench.master_virtual [--agents 50000] [--frameworks 200]
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import random
import time
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from bench.table import Row, render
from bench.virtual import Simulation, VirtualAgent, VirtualFramework
from headrace.kernel.core import TimerFired
from headrace.mesos.master.allocator import Allocation
from headrace.mesos.master.core.master import ALLOCATION_TIMER
from headrace.mesos.resources import Resources

AGENTS, FRAMEWORKS = 50_000, 200
AGENT = Resources({"cpus": 24_000, "mem": 4_096_000, "disk": 4_096_000}, {"ports": ((31000, 32000),)})


class Figures(NamedTuple):
    """Seconds and MiB."""

    registered: float
    first: float
    whole_event: float
    full_pass: float
    empty_pass: float
    memory: float


def measure(agents: int, frameworks: int) -> Figures:
    """All figures of one size."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 5, 5)  # as in the master
    before = resident()
    world = Simulation(lambda ids: ids.sort(key=lambda _: random.random()))
    began = time.process_time()
    for number in range(agents):
        VirtualAgent(world, number, AGENT)
    registered = time.process_time() - began
    gc.collect()
    gc.freeze()
    began = time.process_time()
    first = VirtualFramework(world, "first")
    first_pass = time.process_time() - began
    assert first.offers == agents
    others = [VirtualFramework(world, f"role-{number}") for number in range(frameworks)]
    assert not any(other.offers for other in others)
    gc.collect()
    gc.freeze()
    looks: list[float] = []
    allocate = world.core.books.allocator.allocate

    def timed(now: float) -> list[Allocation]:
        looks.append(time.process_time())
        return allocate(now)

    with patch.object(world.core.books.allocator, "allocate", timed):
        began = time.process_time()
        first.leave()
        ended = time.process_time()
    [look], whole = looks, ended - began
    shares = [other.offers for other in others]
    assert sum(shares) == agents
    assert max(shares) - min(shares) <= 1, "equal shares"
    began = time.process_time()
    world.core.handle(TimerFired(ALLOCATION_TIMER), world.now)
    empty_pass = time.process_time() - began
    return Figures(registered, first_pass, whole, ended - look, empty_pass, resident() - before)


def resident() -> float:
    """MiB of this process."""
    [line] = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def rows(agents: int = AGENTS, frameworks: int = FRAMEWORKS) -> list[Row]:
    """The figures of this bench."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(measure, (agents, frameworks))
    of = f"{agents:,} agents x {frameworks} frameworks: "
    return [
        Row(of + "one pass, everything comes free and is offered", found.full_pass, "s", 0.5),
        Row(of + "the same with taking back the offers before it", found.whole_event, "s"),
        Row(of + "one pass, everything goes to one", found.first, "s"),
        Row(of + "a pass that finds nothing", found.empty_pass * 1000, "ms"),
        Row(of + "memory of agents, frameworks and offers", found.memory, "MiB"),
        Row(f"{agents:,} agents registered, CPU", found.registered, "s"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="The master's core with very many agents, in virtual time.")
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--frameworks", type=int, default=FRAMEWORKS)
    given = parser.parse_args()
    print(render("The master's core in virtual time", rows(given.agents, given.frameworks)))


if __name__ == "__main__":
    main()
