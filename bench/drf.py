"""Dominant resource fairness over time (Ghodsi et al., NSDI 2011), by the real allocator and core in virtual time.

Two figures of the paper: the example of a cluster of <9 CPUs, 18 GB>, and two jobs on 48 machines whose demands change.

    python -m bench.drf        writes docs/drf.svg
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.virtual import Simulation, VirtualAgent, VirtualFramework
from headrace.mesos.resources import Resources

GB = 1024
SVG = Path(__file__).parents[1] / "docs" / "drf.svg"
MACHINES, MACHINE = 48, Resources.of(cpus=4, mem=15 * GB)
PHASE, PHASES = 120.0, 3
DEMANDS = {
    "job-1": [Resources.of(cpus=1, mem=10 * GB), Resources.of(cpus=2, mem=4 * GB), Resources.of(cpus=1, mem=7 * GB)],
    "job-2": [Resources.of(cpus=1, mem=1 * GB), Resources.of(cpus=1, mem=3 * GB), Resources.of(cpus=1, mem=4 * GB)],
}
TASK_SECONDS = (2.0, 6.0)
STEP = BREAK = 1.0
"""A phase begins when all tasks of the one before have ended; nothing is started in its last two seconds."""


class Point(NamedTuple):
    """The shares of one job at a time."""

    at: float
    cpus: float
    mem: float

    @property
    def dominant(self) -> float:
        return max(self.cpus, self.mem)


def example() -> dict[str, tuple[int, float]]:
    """One machine of <9 CPUs, 18 GB>; A's tasks take <1, 4>, B's <3, 1>: by name, tasks and dominant share."""
    world = Simulation()
    users = {
        "A": VirtualFramework(world, "A", Resources.of(cpus=1, mem=4 * GB)),
        "B": VirtualFramework(world, "B", Resources.of(cpus=3, mem=1 * GB)),
    }
    VirtualAgent(world, 0, Resources.of(cpus=9, mem=18 * GB), lambda: 1e9)
    return {name: (user.running, world.core.books.allocator.share(name)) for name, user in users.items()}


def over_time(seed: int = 1, machines: int = MACHINES, phase: float = PHASE) -> dict[str, list[Point]]:
    """The shares of the two jobs on all machines, each second of three phases."""
    rng = random.Random(seed)
    world = Simulation(rng.shuffle)

    def seconds() -> float:
        return min(rng.uniform(*TASK_SECONDS), phase - BREAK - world.now % phase)

    for number in range(machines):
        VirtualAgent(world, number, MACHINE, seconds)
    jobs = {name: VirtualFramework(world, name, demands[0]) for name, demands in DEMANDS.items()}
    points: dict[str, list[Point]] = {name: [] for name in jobs}
    allocator = world.core.books.allocator
    for step in range(int(PHASES * phase / STEP)):
        for name, job in jobs.items():
            job.demand = DEMANDS[name][int(world.now // phase)]
            job.wanted = 0 if world.now % phase >= phase - 2 * BREAK else None
        world.run_until((step + 1) * STEP)
        for name, job in jobs.items():
            held = job.held
            cpus, mem = (held.scalar(kind) / allocator.total.scalar(kind) for kind in ("cpus", "mem"))
            points[name].append(Point(world.now, cpus, mem))
    return points


def mean(points: Sequence[Point], number: int, phase: float = PHASE) -> Point:
    """The means of the second half of a phase, but for its end."""
    some = [point for point in points if phase / 2 < point.at - number * phase < phase - 2 * BREAK]
    return Point(number, sum(p.cpus for p in some) / len(some), sum(p.mem for p in some) / len(some))


# The picture

WIDTH, HEIGHT, LEFT, TOP, GAP, CAPTION_HEIGHT = 640, 150, 60, 30, 50, 34
CAPTION = (
    "What each job holds of a cluster of 48 machines of 4 CPUs and 15 GB; its dominant share is the larger one.",
    "Dashed: all tasks have ended, and others come. Where the shares are equal, job 2 hides job 1.",
)
COLOURS = {"job-1": "#1f6feb", "job-2": "#d4660a"}
PANELS = {"CPU": "cpus", "memory": "mem", "dominant share": "dominant"}


def svg(points: dict[str, list[Point]]) -> str:
    """Three panels, one above the other: shares of CPU and of memory, dominant shares."""
    tall = TOP + len(PANELS) * (HEIGHT + GAP) + CAPTION_HEIGHT
    wide = LEFT + WIDTH + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" font-family="sans-serif" font-size="12">',
        "<title>Shares of two jobs over time under dominant resource fairness</title>",
        f'<rect width="{wide}" height="{tall}" fill="#ffffff"/>',
    ]
    for number, (title, kind) in enumerate(PANELS.items()):
        top = TOP + number * (HEIGHT + GAP)
        parts += _axes(title, top)
        parts += [_line(points[name], kind, top, colour) for name, colour in COLOURS.items()]
    for number, (name, colour) in enumerate(COLOURS.items()):
        x, y = LEFT + WIDTH + 10, TOP + 10 + 18 * number
        parts.append(f'<line x1="{x}" x2="{x + 18}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 24}" y="{y}" fill="{colour}">{name.replace("-", " ")}</text>')
    for number, text in enumerate(CAPTION):
        y = tall - CAPTION_HEIGHT + 8 + 16 * number
        parts.append(f'<text x="{LEFT}" y="{y}" fill="#57606a">{text}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _axes(title: str, top: int) -> list[str]:
    parts = [f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{title}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = top + HEIGHT * (1 - share)
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:g}" y2="{y:g}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:g}" text-anchor="end">{share:.0%}</text>')
    for phase in range(PHASES + 1):
        x = LEFT + WIDTH * phase / PHASES
        parts.append(
            f'<line x1="{x:g}" x2="{x:g}" y1="{top}" y2="{top + HEIGHT}" stroke="#8c959f" stroke-dasharray="3"/>'
        )
        parts.append(f'<text x="{x:g}" y="{top + HEIGHT + 16}" text-anchor="middle">{phase * PHASE:g} s</text>')
    return parts


def _line(points: Sequence[Point], kind: str, top: int, colour: str) -> str:
    places = " ".join(
        f"{LEFT + WIDTH * point.at / (PHASES * PHASE):.1f},{top + HEIGHT * (1 - getattr(point, kind)):.1f}"
        for point in points
    )
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def main() -> None:
    for name, (tasks, share) in example().items():
        print(f"{name}: {tasks} tasks, dominant share {share:.3f}")
    points = over_time()
    for phase in range(PHASES):
        for name, some in points.items():
            at = mean(some, phase)
            print(f"phase {phase + 1}, {name}: CPU {at.cpus:.1%}, memory {at.mem:.1%}, dominant {at.dominant:.1%}")
    SVG.write_text(svg(points))


if __name__ == "__main__":
    main()
