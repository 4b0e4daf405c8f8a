"""Options of Flink that look misspelt: Flink ignores what it does not know, in silence.

Pure. Only what is a letter or two away from an option that is known here is told; Flink has more than these.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.flink.options import TABLE

_FAR = 3
"""So many changed letters make another name."""
_TM, _JM, _CHECKPOINTS = "taskmanager.memory.", "jobmanager.memory.", "execution.checkpointing."
_PARTS = ("flink.size", "jvm-metaspace.size", "jvm-overhead.min", "jvm-overhead.max", "jvm-overhead.fraction")

NAMES: frozenset[str] = frozenset((
    *(name for option in TABLE for name in (option.name, *option.aliases)),
    *(memory + part for memory in (_TM, _JM) for part in _PARTS),
    *(_TM + part for part in (
        "framework.heap.size", "framework.off-heap.size", "task.heap.size", "task.off-heap.size", "managed.size",
        "managed.fraction", "network.min", "network.max", "network.fraction",
    )),
    *(_JM + part for part in ("heap.size", "off-heap.size", "enable-jvm-direct-memory-limit")),
    *(_CHECKPOINTS + part for part in (
        "interval", "timeout", "mode", "min-pause", "dir", "savepoint-dir", "storage", "incremental",
        "max-concurrent-checkpoints", "num-retained", "tolerable-failed-checkpoints", "unaligned.enabled",
    )),
    "parallelism.default", "pipeline.max-parallelism", "pipeline.jars", "pipeline.name", "jobmanager.scheduler",
    "scheduler-mode", "state.backend.type", "state.backend", "state.checkpoints.dir", "state.savepoints.dir",
    "state.checkpoints.num-retained", "restart-strategy", "restart-strategy.type", "rest.address", "rest.bind-address",
    "rest.bind-port", "taskmanager.host", "taskmanager.bind-host", "taskmanager.rpc.port", "taskmanager.data.port",
    "heartbeat.interval", "heartbeat.timeout", "io.tmp.dirs", "classloader.resolve-order",
    "security.kerberos.login.principal", "security.kerberos.login.contexts", "security.ssl.internal.enabled",
    "security.ssl.rest.enabled", "security.ssl.rest.authentication-enabled",
))  # fmt: skip


def misspelt(options: Mapping[str, str]) -> list[str]:
    """What is to be said of those among ``options`` that are nearly one that is known."""
    out = []
    for key in sorted(options.keys() - NAMES):
        near = min(NAMES, key=lambda name: (_distance(key, name), name))
        if _distance(key, near) < _FAR:
            out.append(f"option {key} is not known here, and Flink ignores what it does not know: {near} may be meant")
    return out


def _distance(one: str, other: str) -> int:
    """How many letters are to be put in, left out or changed, _FAR at most; capitals count as small letters."""
    if abs(len(one) - len(other)) >= _FAR:
        return _FAR
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one.lower(), 1):
        row, above = [at], row
        for column, its in enumerate(other.lower(), 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (letter != its)))
        if min(row) >= _FAR:
            return _FAR
    return row[-1]
