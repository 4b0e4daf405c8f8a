"""The launch queue: what waits, and what offers were refused for."""

from __future__ import annotations

from collections import Counter
from typing import Any

from headrace.kernel.clock import iso8601
from headrace.marathon.api.views.embeds import Embeds
from headrace.marathon.api.views.why import why
from headrace.marathon.core import matcher
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import Answer
from headrace.marathon.core.matcher import Refusal
from headrace.marathon.core.queue import Attempt
from headrace.marathon.definitions import writing
from headrace.marathon.definitions.app import App


def queue(core: MarathonCore, now: float, embeds: Embeds) -> Answer:
    """GET /v2/queue."""
    items = []
    for app_id, waiting in core.queue.waiting.items():
        if not waiting:
            continue
        attempt, spec = core.queue.attempts[app_id], core.books.specs[app_id]
        until = core.queue.delayed_until(app_id, now)
        item: dict[str, Any] = {
            "count": len(waiting),
            "delay": {"timeLeftSeconds": 0 if until is None else max(0, int(until - now)), "overdue": until is None},
            "since": iso8601(attempt.since),
            "processedOffersSummary": _summary(attempt),
            **({"app": writing.whole(spec)} if isinstance(spec, App) else {"pod": writing.whole_pod(spec)}),
        }
        if spec.role != core.books.settings.role:  # clients from before roles refuse the key
            item["role"] = spec.role
        if "lastUnusedOffers" in embeds:
            item["lastUnusedOffers"] = [_unused(attempt, agent) for agent in attempt.offers]
        if "why" in embeds:
            item["why"] = why(core.books.stories.of(app_id))
            item["waitsFor"] = core.explainer.waiting(spec, now)
        items.append(item)
    return Answer(200, {"queue": items})


def _summary(attempt: Attempt) -> dict[str, Any]:
    last = Counter(one.reason for one in attempt.by_agent.values() if isinstance(one, Refusal))
    out: dict[str, Any] = {
        "processedOffersCount": attempt.processed,
        "unusedOffersCount": attempt.unused,
        "rejectSummaryLastOffers": _funnel(last, len(attempt.by_agent)),
        "rejectSummaryLaunchAttempt": _funnel(attempt.refusals, attempt.processed),
    }
    if attempt.last_unused is not None:
        out["lastUnusedOfferAt"] = iso8601(attempt.last_unused)
    if attempt.last_used is not None:
        out["lastUsedOfferAt"] = iso8601(attempt.last_used)
    return out


def _funnel(refusals: Counter[str], offers: int) -> list[dict[str, Any]]:
    """Per reason, in order: how many offers it refused of those that got so far."""
    out = []
    for reason in matcher.REASONS:
        out.append({"reason": reason, "declined": refusals[reason], "processed": offers})
        offers -= refusals[reason]
    return out


def _unused(attempt: Attempt, agent: str) -> dict[str, Any]:
    offer, at = attempt.offers[agent]
    refusal = attempt.by_agent.get(agent)
    return {
        "offer": {
            "id": offer.id.value,
            "agentId": agent,
            "hostname": offer.hostname,
            "resources": offer.resources or [],
            "attributes": offer.attributes or [],
        },
        "reason": [refusal.reason] if isinstance(refusal, Refusal) else [],
        "timestamp": iso8601(at),
    }
