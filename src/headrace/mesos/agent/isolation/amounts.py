"""How much a container holds and may use, as the kernel wants to be told it. The figures are Mesos's."""

from __future__ import annotations

import msgspec

from headrace.mesos.agent.core.containers import ContainerSpec

MIB = 1024 * 1024
SHARES_PER_CPU = 1024
FEWEST_SHARES = 2
CFS_PERIOD = 100_000
SHORTEST_QUOTA = 1_000
"""Microseconds."""
LEAST_MEMORY = 32 * MIB
UNLIMITED = {"cpus": 1e5, "mem": 1e12}
"""So much, in CPUs and MiB, is no bound: no machine has it, and the kernel takes no greater numbers."""


class Amounts(msgspec.Struct, frozen=True):
    """``quota`` in microseconds for each period, ``memory`` and ``memory_request`` in bytes; None: no bound."""

    shares: int | None = None
    quota: int | None = None
    memory_request: int | None = None
    memory: int | None = None

    @property
    def weight(self) -> int | None:
        """The shares as cgroup v2 has them, 1 to 10,000; by the usual conversion."""
        return None if self.shares is None else min(10_000, 1 + (self.shares - 2) * 9_999 // 262_142)


def amounts_of(spec: ContainerSpec, enable_cfs: bool) -> Amounts:
    """What ``spec`` asks for. A limit counts where there is one, else what it holds."""
    cpus, mem = _held(spec, "cpus"), _held(spec, "mem")
    shares = None if cpus is None else max(FEWEST_SHARES, int(cpus * SHARES_PER_CPU))
    bound = _bound(spec, "cpus", cpus if enable_cfs else None)
    quota = None if bound is None else max(SHORTEST_QUOTA, int(bound * CFS_PERIOD))
    request = None if mem is None else max(LEAST_MEMORY, int(mem * MIB))
    most = _bound(spec, "mem", mem)
    return Amounts(shares, quota, request, None if most is None else max(LEAST_MEMORY, int(most * MIB)))


def _held(spec: ContainerSpec, name: str) -> float | None:
    values = [r.scalar.value for r in spec.resources if r.name == name and r.scalar is not None]
    return min(sum(values), UNLIMITED[name]) if values else None


def _bound(spec: ContainerSpec, name: str, otherwise: float | None) -> float | None:
    limit = spec.limits.get(name)
    value = otherwise if limit is None else float(limit.value)
    return value if value is not None and value < UNLIMITED[name] else None
