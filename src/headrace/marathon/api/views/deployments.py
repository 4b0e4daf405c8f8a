"""Deployments under way."""

from __future__ import annotations

from typing import Any

from headrace.kernel.clock import iso8601
from headrace.marathon.api.views.apps import readiness
from headrace.marathon.api.views.embeds import Embeds
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.deployments import Deployment
from headrace.marathon.core.events import Answer


def deployments(core: MarathonCore, now: float, embeds: Embeds) -> Answer:
    """GET /v2/deployments: those under way."""
    return Answer(200, [deployment_view(core, one, now, embeds) for one in core.deployments.running.values()])


def deployment_view(core: MarathonCore, deployment: Deployment, now: float, embeds: Embeds) -> dict[str, Any]:
    """As Marathon shows it; with ``why`` also what each current action still lacks, and when its time is up."""
    current = []
    for action in deployment.actions():
        app = core.books.apps.get(action.app)
        results = readiness(core, app) if app is not None else []
        shown: dict[str, Any] = {**action.shown(), "readinessCheckResults": results}
        if "why" in embeds:
            shown["why"] = core.explainer.deployment(deployment, action, now)
        current.append(shown)
    out = {
        "id": deployment.plan.id,
        "version": deployment.plan.version,
        "affectedApps": deployment.affected_apps,
        "affectedPods": deployment.affected_pods,
        "steps": [{"actions": [one.shown() for one in step]} for step in deployment.steps],
        "currentActions": current,
        "currentStep": deployment.at + 1,
        "totalSteps": len(deployment.steps),
    }
    if "why" in embeds and deployment.plan.deadline is not None:
        out["deadline"] = iso8601(deployment.plan.deadline)
    return out
