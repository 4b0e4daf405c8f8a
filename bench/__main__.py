"""``python -m bench [name …]``: print the figures of all benches, or of those named, as tables.

Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import sys

from bench import (
    allocator,
    executors,
    first_job,
    flink_recovery,
    flink_start,
    forms,
    launch,
    marathon_scale,
    master_scale,
    master_virtual,
    memory,
    recovery,
)
from bench.ending import status, unwind_when_asked_to_end
from bench.table import Row, render

BENCHES = {
    "launch": ("Starting tasks (real master, real agent)", launch.rows),
    "executors": ("Tasks through custom executors (real master, real agents)", executors.rows),
    "recovery": ("After a kill (real master, real agents, tasks running)", recovery.rows),
    "first-job": ("From `make run` to the first result, everything installed", first_job.rows),
    "flink-start": ("Starting Flink (real Flink, master and agent; beside plain java command lines)", flink_start.rows),
    "flink-recovery": (
        "Flink after a kill (real Flink, master and agent; a job with checkpoints)",
        flink_recovery.rows,
    ),
    "memory": ("Memory at rest", memory.rows),
    "marathon-scale": (
        "Marathon at scale (real master and Marathon, 1,000 simulated agents)",
        marathon_scale.rows,
    ),
    "master-scale": ("The master with many agents (real master, agents in another process)", master_scale.rows),
    "master-virtual": ("The master's core in virtual time", master_virtual.rows),
    "allocator": ("Allocator: one full cycle", allocator.rows),
    "forms": ("JSON beside protocol buffers at the scheduler API", forms.rows),
}


def main() -> None:
    names = sys.argv[1:] or list(BENCHES)
    for name in names:
        if name not in BENCHES:
            sys.exit(f"bench: there is no {name!r}; choose from {', '.join(BENCHES)}")
    unwind_when_asked_to_end()
    all_rows: list[Row] = []
    for name in names:
        title, measure = BENCHES[name]
        rows = measure()
        print(render(title, rows), flush=True)
        all_rows += rows
    sys.exit(status(all_rows))


main()
