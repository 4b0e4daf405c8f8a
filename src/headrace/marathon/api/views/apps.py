"""Apps, their versions and tasks. Pure functions from the core's books to answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headrace.marathon.api.views.addresses import addresses
from headrace.marathon.api.views.embeds import Embeds
from headrace.marathon.api.views.why import why
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import Answer
from headrace.marathon.core.records import Instance
from headrace.marathon.core.shapes import task_view
from headrace.marathon.definitions import writing
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected, unknown_app
from headrace.marathon.definitions.timestamps import check_timestamp


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
    found = _named(core, app_id)
    tasks = [_task(core, one) for app in found for one in core.books.of_app(app.id) if one.listed]
    return Answer(200, {"tasks": tasks})


def app_addresses(core: MarathonCore, now: float, app_id: str) -> str:
    """The same as text: where the tasks are reached."""
    return addresses(core, _named(core, app_id))


def all_addresses(core: MarathonCore, now: float) -> str:
    """GET /v2/tasks as text."""
    return addresses(core, core.books.apps.values())


def _named(core: MarathonCore, app_id: str) -> list[App]:
    """The app, or with ``/*`` all of a group. Raises Rejected 404."""
    if not app_id.endswith("/*"):
        return [_existing(core, app_id)]
    return [one for one in core.books.apps.values() if one.id.startswith(app_id[:-1])]


def versions(core: MarathonCore, now: float, app_id: str) -> Answer:
    """GET /v2/apps/{id}/versions: newest first."""
    _existing(core, app_id)
    return Answer(200, {"versions": sorted(core.books.versions[app_id], reverse=True)})


def version(core: MarathonCore, now: float, app_id: str, wanted: str) -> Answer:
    """GET /v2/apps/{id}/versions/{T}."""
    wanted = check_timestamp(wanted)
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
        if one.listed and not one.containers and (not wanted or _status(one) in wanted)
    ]
    return Answer(200, {"tasks": shown})


def app_view(core: MarathonCore, app: App, now: float, embeds: Embeds) -> dict[str, Any]:
    """An app with the embeds that were asked for."""
    out = writing.whole(app)
    instances = list(core.books.of_app(app.id))
    if app.per_agent:
        out["instances"] = core.books.count(app.id)
    deployment = core.deployments.of_app(app.id)
    if "counts" in embeds:
        out |= _counts(instances)
    if "deployments" in embeds or "tasks" in embeds:
        out["deployments"] = [{"id": deployment.plan.id}] if deployment is not None else []
    if "readiness" in embeds:
        out["readinessCheckResults"] = readiness(core, app)
    if "tasks" in embeds:
        out["tasks"] = [_task(core, one, service_ports=True) for one in instances if one.listed]
    if "lastTaskFailure" in embeds and app.id in core.books.failures:
        out["lastTaskFailure"] = core.books.failures[app.id]
    if "taskStats" in embeds:
        out["taskStats"] = _stats(app, instances, now)
    if "why" in embeds:
        out["why"] = why(core.books.stories.of(app.id))
        out["waitsFor"] = core.explainer.app(app, now)
    return out


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


def readiness(core: MarathonCore, app: App) -> list[dict[str, Any]]:
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
