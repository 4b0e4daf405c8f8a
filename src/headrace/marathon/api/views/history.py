"""What has been: deployments that are over, instances that have ended."""

from __future__ import annotations

from typing import Any

from headrace.kernel.clock import iso8601
from headrace.marathon.api.views.deployments import deployment_view
from headrace.marathon.api.views.embeds import Embeds
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import Answer
from headrace.marathon.core.records import EndedContainer, EndedDeployment, EndedInstance
from headrace.marathon.definitions.errors import Rejected, unknown_app, unknown_pod


def ended_deployments(core: MarathonCore, now: float) -> Answer:
    """GET /v2/deployments?ended=true: newest first."""
    return Answer(200, [_deployment(one) for one in reversed(core.books.past.deployments.values())])


def one_deployment(core: MarathonCore, now: float, deployment_id: str, embeds: Embeds) -> Answer:
    """GET /v2/deployments/{id}: under way, or over."""
    running = core.deployments.running.get(deployment_id)
    if running is not None:
        return Answer(200, deployment_view(core, running, now, embeds))
    over = core.books.past.deployments.get(deployment_id)
    if over is None:
        raise Rejected(404, f"DeploymentPlan {deployment_id} does not exist, or is forgotten by now")
    return Answer(200, _deployment(over))


def app_history(core: MarathonCore, now: float, app_id: str) -> Answer:
    """GET /v2/apps/{id}/history: also of apps that are no more."""
    past = core.books.past
    instances, deployments = past.of_app(app_id), past.deployments_of(app_id)
    if app_id not in core.books.apps and not instances and not any(app_id in one.apps for one in deployments):
        raise unknown_app(app_id)
    return _history(app_id, instances, deployments)


def pod_history(core: MarathonCore, now: float, pod_id: str) -> Answer:
    """GET /v2/pods/{id}::history."""
    past = core.books.past
    instances, deployments = past.of_app(pod_id), past.deployments_of(pod_id)
    if pod_id not in core.books.pods and not instances and not any(pod_id in one.pods for one in deployments):
        raise unknown_pod(pod_id)
    return _history(pod_id, instances, deployments)


def termination_history(core: MarathonCore, pod_id: str) -> list[dict[str, Any]]:
    """The ended instances of a pod in Marathon's form, newest first."""
    return [_termination(one) for one in reversed(core.books.past.of_app(pod_id))]


def _history(spec_id: str, instances: list[EndedInstance], deployments: list[EndedDeployment]) -> Answer:
    body = {
        "id": spec_id,
        "instances": [_instance(one) for one in reversed(instances)],
        "deployments": [_deployment(one) for one in reversed(deployments)],
    }
    return Answer(200, body)


def _deployment(it: EndedDeployment) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": it.id,
        "version": it.version,
        "affectedApps": it.apps,
        "affectedPods": it.pods,
        "steps": [{"actions": [one.shown() for one in step]} for step in it.steps],
        "currentStep": min(it.at + 1, len(it.steps)),
        "totalSteps": len(it.steps),
        "begun": it.version,
        "ended": iso8601(it.ended),
        "outcome": it.outcome,
        "versions": {name: {"before": before, "after": after} for name, (before, after) in it.versions.items()},
    }
    extra = {"why": it.why, "replacedBy": it.replaced_by, "replaces": it.replaces, "reverts": it.reverts}
    return out | {name: value for name, value in extra.items() if value}


def _instance(it: EndedInstance) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": it.id,
        "taskIds": it.task_ids,
        "version": it.version,
        "state": it.state,
        "condition": it.condition.value,
        "cause": it.cause.value,
        "endedAt": iso8601(it.ended),
    }
    extra = {
        "why": it.why,
        "message": it.message,
        "reason": it.reason,
        "exitStatus": it.exit_status,
        "signal": it.signal or None,
        "host": it.host or None,
        "agentId": it.agent_id or None,
        "role": it.role or None,
        "stagedAt": _time(it.staged_at),
        "startedAt": _time(it.started_at),
        "healthy": it.healthy,
        "containers": [_container(one) for one in it.containers] or None,
        "sandbox": {"agent": it.agent_url, "path": it.sandbox} if it.sandbox and it.agent_url else None,
        "lastLines": it.logs or None,
        "lastLinesNote": it.logs_note or None,
    }
    return out | {name: value for name, value in extra.items() if value not in (None, "")}


def _container(it: EndedContainer) -> dict[str, Any]:
    out: dict[str, Any] = {"name": it.name, "taskId": it.task_id, "state": it.state}
    extra = {"message": it.message or None, "exitStatus": it.exit_status}
    return out | {name: value for name, value in extra.items() if value is not None}


def _termination(it: EndedInstance) -> dict[str, Any]:
    began = it.started_at if it.started_at is not None else it.staged_at
    out: dict[str, Any] = {
        "instanceID": it.id,
        "startedAt": iso8601(began if began is not None else it.ended),
        "terminatedAt": iso8601(it.ended),
        "containers": [_terminated(one) for one in it.containers],
    }
    message = it.message or it.why
    return out | ({"message": message} if message else {})


def _terminated(it: EndedContainer) -> dict[str, Any]:
    out: dict[str, Any] = {"containerId": it.task_id, "lastKnownState": it.state}
    if it.exit_status is not None:
        out["termination"] = {"exitCode": it.exit_status, "message": it.message}
    return out


def _time(at: float | None) -> str | None:
    return None if at is None else iso8601(at)
