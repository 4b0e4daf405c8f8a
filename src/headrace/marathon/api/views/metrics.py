"""Counts for monitoring, as far as the core knows them."""

from __future__ import annotations

from collections import Counter

from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.records import Condition
from headrace.marathon.definitions.paths import ancestors

_STARTING = (Condition.PROVISIONED, Condition.STAGING, Condition.STARTING)


def metrics(core: MarathonCore, now: float) -> dict[str, int]:
    """Gauges by name, without the prefix."""
    books = core.books
    conditions = Counter(one.condition for one in books.instances.values())
    late = now - books.settings.task_launch_timeout
    groups = {path for path, count in books.within.items() if count} | set(books.groups)
    groups |= {above for path in books.groups for above in ancestors(path)}
    return {
        "apps.active.gauge": len(books.apps),
        "pods.active.gauge": len(books.pods),
        "groups.active.gauge": len(groups | {"/"}),
        "deployments.active.gauge": len(core.deployments.running),
        "instances.running.gauge": conditions[Condition.RUNNING],
        "instances.staged.gauge": sum(conditions[one] for one in _STARTING),
        "instances.unreachable.gauge": conditions[Condition.UNREACHABLE] + conditions[Condition.INACTIVE],
        "instances.launch-queue.gauge": conditions[Condition.SCHEDULED],
        "instances.launch-overdue.gauge": sum(
            one.condition in _STARTING and one.since < late for one in books.instances.values()
        ),
        "instances.inflight-kills.gauge": core.killer.in_flight,
        "instances.inflight-kill-attempts.gauge": core.killer.attempts,
    }
