"""Deployments under way."""

from __future__ import annotations

from typing import Any

from headrace.marathon.api.views.apps import readiness
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.deployments import Deployment
from headrace.marathon.core.events import Answer


def deployments(core: MarathonCore, now: float) -> Answer:
    """GET /v2/deployments."""
    return Answer(200, [_deployment(core, one) for one in core.deployments.running.values()])


def _deployment(core: MarathonCore, deployment: Deployment) -> dict[str, Any]:
    current, pods = [], deployment.affected_pods()
    for action in deployment.actions():
        app = core.books.apps.get(action.app)
        results = readiness(core, app) if app is not None else []
        current.append({**action.shown(), "readinessCheckResults": results})
    return {
        "id": deployment.plan.id,
        "version": deployment.plan.version,
        "affectedApps": [one for one in deployment.affected() if one not in pods],
        "affectedPods": pods,
        "steps": [{"actions": [one.shown() for one in step]} for step in deployment.steps],
        "currentActions": current,
        "currentStep": deployment.at + 1,
        "totalSteps": len(deployment.steps),
    }
