"""The allocator alone, measured as Apache Mesos 1.11.0 was on this machine.

A agents ``cpus:24;mem:4096;disk:4096;ports:[31000-32000]``, F frameworks, each in a role of its own
or all in one. The trigger is the same: a framework that has suppressed its role is activated; the
time is that of the activation and the cycle after it: the better of two medians of 5, as for Mesos (the
machine has other work). Everything is recovered between.

* full cycle: everything is free and has changed, and every agent goes to somebody;
* nothing free: everything is out in offers;
* all filtered: everything is free, and every framework has refused every agent for an hour;
* all looked at: the same, but the agents have just reconnected, so that each must be looked at.
  Mesos looks at every agent in every cycle; ours does so only in this case.

The special cases have no figure of Mesos: full cycles of 10,000 agents and 1,000 frameworks with roles
in a tree, reservations, GPUs, offer constraints, a limit, a guarantee. Bars are those of the issue: so
many times faster than Mesos.

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
from headrace.mesos.resources import Reservation, Resources, Tag

AGENT = Resources({"cpus": 24_000, "mem": 4_096_000, "disk": 4_096_000}, {"ports": ((31000, 32000),)})
SIZES = (100, 1000, 10_000)
FRAMEWORKS = (1, 10, 100, 1000)
RUNS, REPEATS = 2, 5
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
BAR_AGENTS = 1000
"""From this size on there are bars."""


def full_bar(size: Size) -> float | None:
    """Milliseconds that a full cycle may take: a tenth of what Mesos takes, a thirtieth for the largest cluster."""
    agents, frameworks, _ = size
    if agents < BAR_AGENTS:
        return None
    return MESOS[size][0] / (30 if (agents, frameworks) == (10_000, 1000) else 10)


def filtered_bar(size: Size) -> float | None:
    """Milliseconds for a cycle in which everybody has refused everything: a twentieth of what Mesos takes."""
    original = MESOS[size][2]
    return None if original is None or size[0] < BAR_AGENTS else original / 20


def shuffle(ids: list[str]) -> None:
    """Sorting by random keys is several times faster than random.shuffle."""
    ids.sort(key=lambda _: random.random())


def measure(size: Size) -> list[Row]:
    """Every figure of one size of cluster."""
    agents, frameworks, roles = size
    full_cycle, nothing_free, all_filtered = MESOS[size]

    def row(case: str, samples: list[float], bar: float | None, original: float | None) -> Row:
        of = f"{agents} agents x {frameworks} in {'own roles' if roles == 'own' else 'one role'}: {case}"
        return Row(of, best_median(samples) * 1000, "ms", bar, original)

    allocator = build(size)
    full, nothing = sample_full_cycles(allocator, agents)
    rows = [
        row("full cycle", full, full_bar(size), full_cycle),
        row("nothing free", nothing, None, nothing_free),
    ]
    if agents * frameworks <= MOST_REFUSALS:
        while offers := allocator.allocate(0):
            recover(allocator, offers, HOUR)
        filtered = [cycle(allocator)[0] for _ in range(RUNS * REPEATS)]
        looked_at = [cycle(allocator, lambda: reconnect(allocator, agents))[0] for _ in range(RUNS * REPEATS)]
        rows += [
            row("all filtered", filtered, filtered_bar(size), all_filtered),
            row("all looked at", looked_at, None, all_filtered),
        ]
        assert not allocator.allocate(HOUR - 1)
        assert len(allocator.allocate(HOUR)) == agents
    return rows


def best_median(samples: list[float]) -> float:
    """Of as many runs as there were."""
    return min(statistics.median(samples[start : start + REPEATS]) for start in range(0, len(samples), REPEATS))


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
    for _ in range(RUNS * REPEATS):
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


def special_rows() -> list[Row]:
    """Full cycles of the largest cluster in which agents, frameworks or roles are something special."""
    agents, frameworks = SIZES[-1], FRAMEWORKS[-1]
    reserved = AGENT + Resources.of(disk=100).tagged(Tag((Reservation("role-0"),)))
    gpus = AGENT + Resources.of(gpus=1)
    cases = {
        "roles in a tree of three levels": special(role=lambda n: f"top-{n % 10}/middle-{n % 100}/role-{n}"),
        "a reservation on every agent": special(reserved),
        "GPUs on every agent": special(gpus, capabilities=["GPU_RESOURCES"]),
        "GPUs on every agent, nobody may have them": special(gpus),
        "offer constraints of every framework": special(constraint=lambda _: True),
        "a limit of one role": special(quota=({}, {"cpus": 100})),
        "a guarantee for one role": special(quota=({"cpus": 10_000}, {})),
    }
    found = []
    for name, allocator in cases.items():
        seconds = [cycle_and_back(allocator) for _ in range(3)]
        of = f"{agents} agents x {frameworks} in own roles: full cycle, {name}"
        found.append(Row(of, min(seconds) * 1000, "ms"))
    return found


def special(
    total: Resources = AGENT,
    *,
    role: Callable[[int], str] = lambda n: f"role-{n}",
    capabilities: Iterable[str] = (),
    constraint: Callable[[str], bool] | None = None,
    quota: tuple[dict[str, float], dict[str, float]] | None = None,
) -> Allocator:
    """The largest cluster with agents of ``total``; ``quota`` is that of role-0."""
    allocator = Allocator(shuffle=shuffle)
    for number in range(SIZES[-1]):
        allocator.add_agent(f"agent-{number}", total, {})
    for number in range(FRAMEWORKS[-1]):
        mine = role(number)
        constraints = {mine: constraint} if constraint is not None else None
        allocator.add_framework(f"framework-{number}", [mine], capabilities=[*capabilities], constraints=constraints)
    allocator.add_framework("extra", ["extra"], suppressed=["extra"])
    if quota is not None:
        allocator.update_quota("role-0", *quota)
    return allocator


def cycle_and_back(allocator: Allocator) -> float:
    """Seconds of a cycle; what it gave away is recovered."""
    seconds, offers = cycle(allocator, lambda: reconnect(allocator, SIZES[-1]))
    recover(allocator, offers)
    return seconds


def rows(sizes: Iterable[Size] | None = None) -> list[Row]:
    """Every figure of ``sizes``; if none are given, of those with a bar."""
    chosen = sizes or [size for size in MESOS if full_bar(size) is not None]
    return [row for size in chosen for row in measure(size)] + special_rows()


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
