"""Counts for monitoring."""

from __future__ import annotations

from collections import Counter

from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.records import Condition


def metrics(core: MarathonCore, now: float) -> dict[str, int]:
    """Gauges by name."""
    conditions = Counter(one.condition for one in core.books.instances.values())
    return {
        "marathon.apps.active.gauge": len(core.books.apps),
        "marathon.deployments.active.gauge": len(core.deployments.running),
        "marathon.instances.running.gauge": conditions[Condition.RUNNING],
        "marathon.instances.staged.gauge": conditions[Condition.STAGING] + conditions[Condition.PROVISIONED],
        "marathon.instances.unreachable.gauge": conditions[Condition.UNREACHABLE] + conditions[Condition.INACTIVE],
        "marathon.instances.launch-queue.gauge": conditions[Condition.SCHEDULED],
    }
