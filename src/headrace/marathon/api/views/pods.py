"""Pods: definitions, versions, and what their instances do."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.kernel.clock import iso8601
from headrace.marathon.api.views.history import termination_history
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import Answer
from headrace.marathon.core.records import LOST, STOP, Condition, ContainerTask, Goal, Instance
from headrace.marathon.core.shapes import local_volumes
from headrace.marathon.definitions import writing
from headrace.marathon.definitions.errors import Rejected, unknown_pod
from headrace.marathon.definitions.pod import Pod, PodContainer
from headrace.marathon.definitions.timestamps import check_timestamp

_STATES = {
    Condition.SCHEDULED: "PENDING",
    Condition.PROVISIONED: "PENDING",
    Condition.STAGING: "STAGING",
    Condition.STARTING: "STAGING",
    Condition.RUNNING: "STABLE",
    Condition.UNREACHABLE: "DEGRADED",
    Condition.INACTIVE: "DEGRADED",
}


def pods(core: MarathonCore, now: float) -> Answer:
    """GET /v2/pods."""
    return Answer(200, [writing.whole_pod(one) for one in core.books.pods.values()])


def pod(core: MarathonCore, now: float, pod_id: str) -> Answer:
    """GET /v2/pods/{id}."""
    return Answer(200, writing.whole_pod(_existing(core, pod_id)))


def statuses(core: MarathonCore, now: float) -> Answer:
    """GET /v2/pods/::status."""
    return Answer(200, [pod_status(core, one, now) for one in core.books.pods.values()])


def status(core: MarathonCore, now: float, pod_id: str) -> Answer:
    """GET /v2/pods/{id}::status."""
    return Answer(200, pod_status(core, _existing(core, pod_id), now))


def versions(core: MarathonCore, now: float, pod_id: str) -> Answer:
    """GET /v2/pods/{id}::versions: newest first."""
    _existing(core, pod_id)
    return Answer(200, sorted(core.books.versions[pod_id], reverse=True))


def version(core: MarathonCore, now: float, pod_id: str, wanted: str) -> Answer:
    """GET /v2/pods/{id}::versions/{T}."""
    wanted = check_timestamp(wanted)
    _existing(core, pod_id)
    found = core.books.versions[pod_id].get(wanted)
    if not isinstance(found, Pod):
        raise Rejected(404, f"Pod '{pod_id}' does not exist in version {wanted}", details=[])
    return Answer(200, writing.whole_pod(found))


def pod_status(core: MarathonCore, it: Pod, now: float) -> dict[str, Any]:
    """What a pod's instances do."""
    instances = list(core.books.of_app(it.id))
    shown = [_instance(core, it, one) for one in instances]
    changed = max((one.since for one in instances), default=None)
    since = iso8601(changed) if changed is not None else it.version
    stable = sum(one["status"] == "STABLE" for one in shown)
    state = "TERMINAL" if _ends(core, it) else "STABLE" if stable >= it.instances else "DEGRADED"
    return {
        "id": it.id,
        "spec": writing.whole_pod(it),
        "status": state,
        "statusSince": since,
        "instances": shown,
        "terminationHistory": termination_history(core, it.id),
        "lastUpdated": iso8601(now),
        "lastChanged": since,
    }


def _ends(core: MarathonCore, it: Pod) -> bool:
    deployment = core.deployments.of_app(it.id)
    if deployment is None:
        return False
    return any(one.app == it.id and one.action == STOP for one in deployment.actions())


def _instance(core: MarathonCore, it: Pod, instance: Instance) -> dict[str, Any]:
    ran = core.books.definition(instance)
    spec = ran if isinstance(ran, Pod) else it
    state = "TERMINAL" if instance.goal is not Goal.RUNNING else _STATES.get(instance.condition, "TERMINAL")
    if state == "STABLE" and instance.healthy is False:
        state = "DEGRADED"
    out: dict[str, Any] = {
        "id": instance.id,
        "status": state,
        "statusSince": iso8601(instance.since),
        "agentHostname": instance.host or None,
        "agentId": instance.agent_id or None,
        "agentRegion": instance.place.get("@region"),
        "agentZone": instance.place.get("@zone"),
        "resources": msgspec.to_builtins(spec.total()),
        "networks": [{"addresses": instance.ip_addresses}] if instance.ip_addresses else [],
        "containers": [_container(spec, one, instance) for one in spec.containers if instance.containers],
        "localVolumes": local_volumes(instance),
        "lastUpdated": iso8601(instance.since),
        "lastChanged": iso8601(instance.since),
        "role": instance.role,
        "specReference": f"/v2/pods{spec.id}::versions/{instance.version}",
    }
    return {name: value for name, value in out.items() if value is not None}


def _container(spec: Pod, it: PodContainer, instance: Instance) -> dict[str, Any]:
    task = instance.containers.get(it.name, ContainerTask())
    healthy = _healthy(spec, it, instance)
    out: dict[str, Any] = {
        "name": it.name,
        "status": task.state or "TASK_STAGING",
        "statusSince": iso8601(task.since),
        "containerId": instance.container_task_id(it.name),
        "endpoints": _endpoints(spec, it, instance, healthy),
        "conditions": [],
        "resources": msgspec.to_builtins(it.resources),
        "lastUpdated": iso8601(task.since),
        "lastChanged": iso8601(task.since),
    }
    if healthy is not None:
        out["conditions"] = [
            {
                "name": "healthy",
                "value": str(healthy).lower(),
                "lastChanged": iso8601(task.since),
                "lastUpdated": iso8601(task.since),
            }
        ]
    if task.message and instance.condition not in LOST:
        out["message"] = task.message
    return out


def _healthy(spec: Pod, it: PodContainer, instance: Instance) -> bool | None:
    checked = [one.name for one in spec.containers if one.health_check is not None]
    if it.name not in checked or checked.index(it.name) >= len(instance.health):
        return None
    result = instance.health[checked.index(it.name)]
    return result.alive if result.known else None


def _endpoints(spec: Pod, it: PodContainer, instance: Instance, healthy: bool | None) -> list[dict[str, Any]]:
    check = it.health_check
    checked = {one.endpoint for one in (check.http, check.tcp) if one is not None} if check is not None else set()
    out = []
    for endpoint, host in zip(spec.endpoints, instance.ports, strict=False):
        if endpoint not in it.endpoints:
            continue
        shown: dict[str, Any] = {"name": endpoint.name}
        if host:
            shown["allocatedHostPort"] = host
        if endpoint.name in checked and healthy is not None:
            shown["healthy"] = healthy
        out.append(shown)
    return out


def _existing(core: MarathonCore, pod_id: str) -> Pod:
    found = core.books.pods.get(pod_id)
    if found is None:
        raise unknown_pod(pod_id)
    return found
