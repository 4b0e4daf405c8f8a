"""What GET requests show: pure functions from the core's books to answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from headrace.kernel.clock import iso8601
from headrace.kernel.core import StoryLine
from headrace.marathon.core import matcher
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.deployments import Deployment
from headrace.marathon.core.events import Answer
from headrace.marathon.core.matcher import Refusal
from headrace.marathon.core.queue import Attempt
from headrace.marathon.core.records import Condition, Instance
from headrace.marathon.core.shapes import task_view
from headrace.marathon.definitions import writing
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected, unknown_app
from headrace.marathon.definitions.paths import ancestors, parent

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")
_PREFIX = re.compile(r"^(group\.)?apps?\.")


class Embeds(frozenset[str]):
    """Names of parts to show, without their prefixes; ``tasks`` brings ``deployments`` along."""

    @classmethod
    def of(cls, names: Iterable[str]) -> Embeds:
        plain = {_PREFIX.sub("", name) for name in names}
        if "failures" in plain:
            plain.add("lastTaskFailure")
        return cls(plain)


def apps(core: MarathonCore, now: float, chosen: Callable[[App], bool], embeds: Embeds) -> Answer:
    """GET /v2/apps."""
    shown = Embeds(embeds | {"counts", "deployments"})
    return Answer(
        200, {"apps": [app_view(core, app, now, shown) for app in list(core.books.apps.values()) if chosen(app)]}
    )


def app(core: MarathonCore, now: float, app_id: str, embeds: Embeds) -> Answer:
    """GET /v2/apps/{id}."""
    found = _existing(core, app_id)
    shown = Embeds(embeds | {"counts", "deployments", "tasks", "lastTaskFailure"})
    return Answer(200, {"app": app_view(core, found, now, shown)})


def apps_below(core: MarathonCore, now: float, group: str, embeds: Embeds) -> Answer:
    """GET /v2/apps/{group}/*."""
    prefix = group.rstrip("/") + "/"
    found = [one for one in core.books.apps.values() if one.id.startswith(prefix)]
    if not found and group != "/":
        raise Rejected(404, f"Group '{group}' does not exist")
    shown = Embeds(embeds | {"counts", "deployments"})
    return Answer(200, {"*": [app_view(core, one, now, shown) for one in found]})


def app_tasks(core: MarathonCore, now: float, app_id: str) -> Answer:
    """GET /v2/apps/{id}/tasks, and of all apps of a group with ``/*``."""
    if app_id.endswith("/*"):
        prefix = app_id[:-1]
        found = [one for one in core.books.apps if one.startswith(prefix)]
    else:
        found = [_existing(core, app_id).id]
    tasks = [_task(core, one) for app in found for one in core.books.of_app(app)]
    return Answer(200, {"tasks": tasks})


def versions(core: MarathonCore, now: float, app_id: str) -> Answer:
    """GET /v2/apps/{id}/versions: newest first."""
    _existing(core, app_id)
    return Answer(200, {"versions": sorted(core.books.versions[app_id], reverse=True)})


def version(core: MarathonCore, now: float, app_id: str, wanted: str) -> Answer:
    """GET /v2/apps/{id}/versions/{T}."""
    if not _TIMESTAMP.fullmatch(wanted):
        raise Rejected(422, f"Invalid timestamp provided '{wanted}'. Expecting ISO-8601 datetime string.")
    _existing(core, app_id)
    found = core.books.versions[app_id].get(wanted)
    if not isinstance(found, App):
        raise Rejected(404, f"App '{app_id}' does not exist in version {wanted}")
    return Answer(200, writing.whole(found))


def tasks(core: MarathonCore, now: float, statuses: list[str]) -> Answer:
    """GET /v2/tasks."""
    wanted = {one.lower() for one in statuses} & {"running", "staging"}
    shown = [
        _task(core, one, service_ports=True)
        for one in core.books.instances.values()
        if not wanted or _status(one) in wanted
    ]
    return Answer(200, {"tasks": shown})


def deployments(core: MarathonCore, now: float) -> Answer:
    """GET /v2/deployments."""
    return Answer(200, [_deployment(core, one) for one in core.deployments.running.values()])


def queue(core: MarathonCore, now: float, embeds: Embeds) -> Answer:
    """GET /v2/queue."""
    items = []
    for app_id, waiting in core.queue.waiting.items():
        if not waiting:
            continue
        attempt = core.queue.attempts[app_id]
        until = core.queue.delayed_until(app_id, now)
        item: dict[str, Any] = {
            "count": len(waiting),
            "delay": {"timeLeftSeconds": 0 if until is None else max(0, int(until - now)), "overdue": until is None},
            "since": iso8601(attempt.since),
            "processedOffersSummary": _summary(attempt),
            "app": writing.whole(core.books.apps[app_id]),
        }
        if "lastUnusedOffers" in embeds:
            item["lastUnusedOffers"] = [_unused(attempt, agent) for agent in attempt.offers]
        if "why" in embeds:
            item["why"] = why(core.books.stories.of(app_id))
        items.append(item)
    return Answer(200, {"queue": items})


def groups(core: MarathonCore, now: float, group: str, embeds: Embeds, *, whole: bool) -> Answer:
    """GET /v2/groups: the tree that the apps' ids make. ``whole``: no embeds were asked for."""
    prefix = group.rstrip("/") + "/"
    inside = [one for one in core.books.apps.values() if one.id.startswith(prefix)]
    if not inside and group != "/":
        raise Rejected(404, f"Group '{group}' does not exist")
    nodes: dict[str, dict[str, Any]] = {}

    def node(path: str) -> dict[str, Any]:
        if path not in nodes:
            nodes[path] = {"id": path, "apps": [], "pods": [], "groups": [], "dependencies": [], "version": ""}
            if path != group and (whole or "group.groups" in embeds):
                node(parent(path))["groups"].append(nodes[path])
        return nodes[path]

    for one in inside:
        home = node(parent(one.id))
        if whole or "group.apps" in embeds:
            home["apps"].append(writing.whole(one) if whole else app_view(core, one, now, embeds))
        for path in (*ancestors(one.id), "/"):
            if path in nodes:
                nodes[path]["version"] = max(nodes[path]["version"], one.version)
    top = node(group)
    top["version"] = top["version"] or iso8601(now)
    return Answer(200, top)


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


def app_view(core: MarathonCore, app: App, now: float, embeds: Embeds) -> dict[str, Any]:
    """An app with the embeds that were asked for."""
    out = writing.whole(app)
    instances = list(core.books.of_app(app.id))
    deployment = core.deployments.of_app(app.id)
    if "counts" in embeds:
        out |= _counts(instances)
    if "deployments" in embeds or "tasks" in embeds:
        out["deployments"] = [{"id": deployment.plan.id}] if deployment is not None else []
    if "readiness" in embeds:
        out["readinessCheckResults"] = _readiness(core, app)
    if "tasks" in embeds:
        out["tasks"] = [_task(core, one, service_ports=True) for one in instances]
    if "lastTaskFailure" in embeds and app.id in core.books.failures:
        out["lastTaskFailure"] = core.books.failures[app.id]
    if "taskStats" in embeds:
        out["taskStats"] = _stats(app, instances, now)
    if "why" in embeds:
        out["why"] = why(core.books.stories.of(app.id))
    return out


def why(lines: list[StoryLine]) -> list[dict[str, str]]:
    """A story for people: when, what, why."""
    return [{"at": iso8601(one.at), "what": one.what, "why": one.why} for one in lines]


def _existing(core: MarathonCore, app_id: str) -> App:
    found = core.books.apps.get(app_id)
    if found is None:
        raise unknown_app(app_id)
    return found


def _task(core: MarathonCore, instance: Instance, *, service_ports: bool = False) -> dict[str, Any]:
    return task_view(instance, core.books.definition(instance), service_ports=service_ports)


def _status(instance: Instance) -> str:
    return "running" if instance.state == "TASK_RUNNING" else "staging"


def _counts(instances: list[Instance]) -> dict[str, int]:
    return {
        "tasksStaged": sum(one.has_task and one.state in ("", "TASK_STAGING", "TASK_STARTING") for one in instances),
        "tasksRunning": sum(one.state == "TASK_RUNNING" for one in instances),
        "tasksHealthy": sum(one.healthy is True for one in instances),
        "tasksUnhealthy": sum(one.healthy is False for one in instances),
    }


def _stats(app: App, instances: list[Instance], now: float) -> dict[str, Any]:
    groups = {
        "startedAfterLastScaling": [one for one in instances if one.version >= app.version_info.last_scaling_at],
        "withLatestConfig": [one for one in instances if one.config_version == app.config_version],
        "withOutdatedConfig": [one for one in instances if one.config_version != app.config_version],
        "totalSummary": instances,
    }
    return {name: {"stats": _group_stats(group, now)} for name, group in groups.items() if group}


def _group_stats(instances: list[Instance], now: float) -> dict[str, Any]:
    names = {
        "tasksStaged": "staged",
        "tasksRunning": "running",
        "tasksHealthy": "healthy",
        "tasksUnhealthy": "unhealthy",
    }
    out: dict[str, Any] = {"counts": {names[name]: count for name, count in _counts(instances).items()}}
    lives = sorted(now - one.started_at for one in instances if one.started_at is not None)
    if lives:
        middle = len(lives) // 2
        median = lives[middle] if len(lives) % 2 else (lives[middle - 1] + lives[middle]) / 2
        out["lifeTime"] = {"averageSeconds": sum(lives) / len(lives), "medianSeconds": median}
    return out


def _readiness(core: MarathonCore, app: App) -> list[dict[str, Any]]:
    out = []
    for check in app.readiness_checks:
        for instance in core.books.of_app(app.id):
            result = core.health.readiness.get(instance.id)
            if result is None:
                continue
            shown: dict[str, Any] = {"name": check.name, "taskId": instance.task_id, "ready": result.ready}
            if check.preserve_last_response and result.status:
                shown["lastResponse"] = {
                    "status": result.status,
                    "contentType": result.content_type,
                    "body": result.body,
                }
            out.append(shown)
    return out


def _deployment(core: MarathonCore, deployment: Deployment) -> dict[str, Any]:
    current, pods = [], deployment.affected_pods()
    for action in deployment.actions():
        app = core.books.apps.get(action.app)
        results = _readiness(core, app) if app is not None else []
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
