"""Options of Flink 1 that Flink 2 knows no more, not even by an older name: it would ignore them in silence.

Those are listed that a user may have set. Pure. Source: the option classes of Flink 1.20.5, compared with those of
2.2.1 and 2.3.0; every other older name still works there.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.flink.misspelt import misspelt

_SERIALIZERS = "pipeline.serialization-config says it now"
_SSL = "set security.ssl.internal.enabled and security.ssl.rest.enabled"
_NETTY = "Flink decides it now"
_SHUFFLE = "Flink has one kind of shuffle for it now"

REMOVED: dict[str, str] = {
    "cluster.evenly-spread-out-slots": "set taskmanager.load-balance.mode to SLOTS",
    "execution.checkpointing.force": "checkpoints of iterations are gone",
    "fine-grained.shuffle-mode.all-blocking": _SHUFFLE,
    "pipeline.auto-type-registration": _SERIALIZERS,
    "pipeline.default-kryo-serializers": _SERIALIZERS,
    "pipeline.registered-kryo-types": _SERIALIZERS,
    "pipeline.registered-pojo-types": _SERIALIZERS,
    "pipeline.time-characteristic": "event time is always there; table options say the rest",
    "security.ssl.enabled": _SSL,
    "web.ssl.enabled": _SSL,
    "jobmanager.web.ssl.enabled": _SSL,
    "state.backend.async": "snapshots are always asynchronous",
    "state.backend.rocksdb.checkpointdir": "set state.backend.rocksdb.localdir",
    "taskmanager.exit-on-fatal-akka-error": "set pekko.jvm-exit-on-fatal-error",
    "taskmanager.initial-registration-pause": "set cluster.registration.initial-timeout",
    "taskmanager.max-registration-pause": "set cluster.registration.max-timeout",
    "taskmanager.refused-registration-pause": "set cluster.registration.refused-registration-delay",
    "taskmanager.registration.initial-backoff": "set cluster.registration.initial-timeout",
    "taskmanager.registration.max-backoff": "set cluster.registration.max-timeout",
    "taskmanager.registration.refused-backoff": "set cluster.registration.refused-registration-delay",
    "taskmanager.network.batch-shuffle.compression.enabled": "set taskmanager.network.compression.codec to NONE",
    "taskmanager.network.blocking-shuffle.compression.enabled": "set taskmanager.network.compression.codec to NONE",
    "taskmanager.network.blocking-shuffle.type": _SHUFFLE,
    "taskmanager.network.hybrid-shuffle.enable-new-mode": _SHUFFLE,
    "taskmanager.network.sort-shuffle.min-parallelism": _SHUFFLE,
    "taskmanager.network.max-num-tcp-connections": _NETTY,
    "taskmanager.network.memory.buffers-per-channel": _NETTY,
    "taskmanager.network.memory.floating-buffers-per-gate": _NETTY,
    "taskmanager.network.memory.max-buffers-per-channel": _NETTY,
    "taskmanager.network.memory.max-overdraft-buffers-per-gate": _NETTY,
    "taskmanager.network.numberOfBuffers": "set taskmanager.memory.network.fraction, .min and .max",
    "taskmanager.network.netty.client.numThreads": _NETTY,
    "taskmanager.network.netty.num-arenas": _NETTY,
    "taskmanager.network.netty.sendReceiveBufferSize": _NETTY,
    "taskmanager.network.netty.server.backlog": _NETTY,
    "taskmanager.network.netty.server.numThreads": _NETTY,
    "taskmanager.network.netty.transport": _NETTY,
}
"""The option, and what to do instead."""


def without_effect(options: Mapping[str, str], version: str) -> list[str]:
    """What is to be said of those among ``options`` that Flink ``version`` would ignore: misspelt ones, too."""
    said = misspelt(options)
    if not version.startswith("2."):
        return said
    removed = sorted(options.keys() & REMOVED.keys())
    return said + [f"option {key} has no effect with Flink {version}: {REMOVED[key]}" for key in removed]
