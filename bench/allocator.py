"""The allocator alone, measured as Apache Mesos 1.11.0 was on this machine.

A agents ``cpus:24;mem:4096;disk:4096;ports:[31000-32000]``, F frameworks, each in a role of its own
or all in one. The trigger is the same: a framework that has suppressed its role is activated; the
time is that of the activation and the cycle after it, median of 5. Everything is recovered between.

* full cycle: everything is free and has changed, and every agent goes to somebody;
* nothing free: everything is out in offers;
* all filtered: everything is free, and every framework has refused every agent for an hour;
* all looked at: the same, but the agents have just reconnected, so that each must be looked at.
  Mesos looks at every agent in every cycle; ours does so only in this case.

    python bench/allocator.py [--json]      every size; ``make bench`` prints those with a bar
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.table import Row, render
from headrace.mesos.master.allocator import Allocation, Allocator
from headrace.mesos.resources import Resources

AGENT = Resources({"cpus": 24_000, "mem": 4_096_000, "disk": 4_096_000}, {"ports": ((31000, 32000),)})
SIZES = (100, 1000, 10_000)
FRAMEWORKS = (1, 10, 100, 1000)
REPEATS = 5
HOUR = 3600.0
MOST_REFUSALS = 100_000
"""No more are set up for "all filtered"; nor were they for Mesos."""

Size = tuple[int, int, str]
"""Agents, frameworks, "own" roles or "one"."""

# Milliseconds, the better of two runs (../shared/reference/mesos-figures.md): full cycle, nothing free, all filtered
MESOS: dict[Size, tuple[float, float, float | None]] = {
    (100, 1, "own"): (3.8, 0.20, 0.40),
    (100, 10, "own"): (3.8, 0.24, 7.6),
    (100, 100, "own"): (3.8, 1.0, 43),
    (100, 1000, "own"): (29, 21, None),
    (1000, 1, "own"): (26, 5.6, 9.4),
    (1000, 10, "own"): (32, 3.5, 48),
    (1000, 100, "own"): (43, 16, 474),
    (1000, 1000, "own"): (200, 162, None),
    (10_000, 1, "own"): (297, 36, 94),
    (10_000, 10, "own"): (311, 52, 509),
    (10_000, 100, "own"): (415, 113, None),
    (10_000, 1000, "own"): (2950, 2061, None),
    (100, 1, "one"): (4.0, 0.15, None),
    (100, 10, "one"): (7.8, 0.43, None),
    (100, 100, "one"): (2.9, 0.16, None),
    (100, 1000, "one"): (9.4, 0.44, None),
    (1000, 1, "one"): (33, 1.7, None),
    (1000, 10, "one"): (27, 2.5, None),
    (1000, 100, "one"): (34, 5.0, None),
    (1000, 1000, "one"): (66, 5.2, None),
    (10_000, 1, "one"): (398, 57, None),
    (10_000, 10, "one"): (519, 56, None),
    (10_000, 100, "one"): (421, 44, None),
    (10_000, 1000, "one"): (961, 52, None),
}
BARS: dict[tuple[int, int], float] = {(10_000, 1): 30, (10_000, 100): 60, (10_000, 1000): 200}
"""Of the full cycle, in milliseconds, by agents and frameworks."""


def shuffle(ids: list[str]) -> None:
    """Sorting by random keys is several times faster than random.shuffle."""
    ids.sort(key=lambda _: random.random())


def measure(size: Size) -> list[Row]:
    """Every figure of one size of cluster."""
    agents, frameworks, roles = size
    full_cycle, nothing_free, all_filtered = MESOS[size]

    def row(case: str, samples: list[float], bar: float | None, original: float | None) -> Row:
        of = f"{agents} agents x {frameworks} in {'own roles' if roles == 'own' else 'one role'}: {case}"
        return Row(of, statistics.median(samples) * 1000, "ms", bar, original)

    allocator = build(size)
    full, nothing = sample_full_cycles(allocator, agents)
    rows = [
        row("full cycle", full, BARS.get((agents, frameworks)), full_cycle),
        row("nothing free", nothing, None, nothing_free),
    ]
    if agents * frameworks <= MOST_REFUSALS:
        while offers := allocator.allocate(0):
            recover(allocator, offers, HOUR)
        filtered = [cycle(allocator)[0] for _ in range(REPEATS)]
        looked_at = [cycle(allocator, lambda: reconnect(allocator, agents))[0] for _ in range(REPEATS)]
        rows += [
            row("all filtered", filtered, None, all_filtered),
            row("all looked at", looked_at, None, all_filtered),
        ]
        assert not allocator.allocate(HOUR - 1)
        assert len(allocator.allocate(HOUR)) == agents
    return rows


def build(size: Size) -> Allocator:
    agents, frameworks, roles = size
    allocator = Allocator(shuffle=shuffle)
    for number in range(agents):
        allocator.add_agent(f"agent-{number}", AGENT, {})
    for number in range(frameworks):
        allocator.add_framework(f"framework-{number}", [f"role-{number}" if roles == "own" else "role"])
    allocator.add_framework("extra", ["extra"], suppressed=["extra"])
    return allocator


def sample_full_cycles(allocator: Allocator, agents: int) -> tuple[list[float], list[float]]:
    """Seconds of cycles that give everything away, and of those that find nothing."""
    full, nothing = [], []
    for _ in range(REPEATS):
        seconds, offers = cycle(allocator)
        assert len(offers) == agents
        full.append(seconds)
        seconds, more = cycle(allocator)
        assert not more
        nothing.append(seconds)
        recover(allocator, offers)
    return full, nothing


def cycle(allocator: Allocator, before: Callable[[], None] = lambda: None) -> tuple[float, list[Allocation]]:
    """Seconds that the trigger and the cycle take, and what is offered."""
    allocator.deactivate_framework("extra")
    before()
    gc.collect()
    start = time.perf_counter()
    allocator.activate_framework("extra")
    offers = allocator.allocate(0)
    return time.perf_counter() - start, offers


def recover(allocator: Allocator, offers: list[Allocation], refuse_until: float | None = None) -> None:
    for offer in offers:
        allocator.recover(offer.agent_id, offer.framework_id, offer.role, offer.resources, refuse_until=refuse_until)


def reconnect(allocator: Allocator, agents: int) -> None:
    for number in range(agents):
        allocator.deactivate_agent(f"agent-{number}")
        allocator.activate_agent(f"agent-{number}")


def rows(sizes: Iterable[Size] | None = None) -> list[Row]:
    """Every figure of ``sizes``; if none are given, of those with a bar."""
    chosen = sizes or [(agents, frameworks, roles) for roles in ("own", "one") for agents, frameworks in BARS]
    return [row for size in chosen for row in measure(size)]


def main() -> None:
    found = rows(
        (agents, frameworks, roles) for roles, agents, frameworks in product(("own", "one"), SIZES, FRAMEWORKS)
    )
    if "--json" in sys.argv[1:]:
        figures = [{"name": r.name, "ms": r.ours, "bar": r.bar, "mesos": r.original, "times": r.ratio} for r in found]
        print(json.dumps(figures, indent=1))
    else:
        print(render("Allocator", found))


if __name__ == "__main__":
    main()
