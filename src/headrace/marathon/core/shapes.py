"""Tasks and health results as the API shows them. Pure."""

from __future__ import annotations

from typing import Any

from headrace.kernel.clock import iso8601
from headrace.marathon.core.records import LOST, Goal, HealthResult, Instance
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.common import TaskStatus


def task_view(instance: Instance, app: RunSpec | None, *, service_ports: bool = False) -> dict[str, Any]:
    """One task of an instance that is ``listed``. All have ``host`` and ``ports`` (a stopped one []): clients ask."""
    out: dict[str, Any] = {
        "id": instance.task_id,
        "appId": instance.app_id,
        "host": instance.host,
        "slaveId": instance.agent_id or None,
        "region": instance.place.get("@region"),
        "zone": instance.place.get("@zone"),
        "state": instance.state or ("TASK_KILLED" if instance.goal is Goal.STOPPED else "TASK_STAGING"),
        "localVolumes": local_volumes(instance),
        "role": instance.role,
        "ipAddresses": ip_addresses(instance),
        "ports": instance.ports if instance.has_task else [],
    }
    if instance.has_task:
        out["version"] = instance.version
        if instance.staged_at is not None:
            out["stagedAt"] = iso8601(instance.staged_at)
        if instance.started_at is not None:
            out["startedAt"] = iso8601(instance.started_at)
    results = [result_view(instance, one) for one in instance.health if one.known]
    if results and instance.condition not in LOST:
        out["healthCheckResults"] = results
    if instance.check and instance.condition not in LOST:
        out["checkResult"] = instance.check
    if service_ports:
        out["servicePorts"] = [one.service for one in app.ports] if isinstance(app, App) else []
    return {name: value for name, value in out.items() if value is not None}


def check_result(status: TaskStatus) -> dict[str, dict[str, int | bool]]:
    """What a general check found, if the status says so."""
    told = status.check_status
    if told is None:
        return {}
    code = told.command.exit_code if told.command is not None else None
    answer = told.http.status_code if told.http is not None else None
    open_ = told.tcp.succeeded if told.tcp is not None else None
    found = (("command", "exitCode", code), ("http", "statusCode", answer), ("tcp", "succeeded", open_))
    return {kind: {name: value} for kind, name, value in found if value is not None}


def local_volumes(instance: Instance) -> list[dict[str, str]]:
    """An instance's persistent volumes."""
    return [
        {
            "runSpecId": instance.app_id,
            "containerPath": one.path,
            "uuid": one.id.rpartition("#")[2],
            "persistenceId": one.id,
        }
        for one in instance.volumes
    ]


def result_view(instance: Instance, result: HealthResult) -> dict[str, object]:
    """A health check's result as the API shows it."""
    out: dict[str, object] = {"alive": result.alive, "consecutiveFailures": result.consecutive_failures}
    for name, value in (
        ("firstSuccess", result.first_success),
        ("lastSuccess", result.last_success),
        ("lastFailure", result.last_failure),
    ):
        if value is not None:
            out[name] = iso8601(value)
    if result.last_failure_cause is not None:
        out["lastFailureCause"] = result.last_failure_cause
    out["instanceId"] = instance.id
    return out


def ip_addresses(instance: Instance) -> list[dict[str, str]]:
    """The addresses of an instance's task, each with its protocol."""
    return [{"ipAddress": one, "protocol": "IPv6" if ":" in one else "IPv4"} for one in instance.ip_addresses]


def instance_view(instance: Instance) -> dict[str, Any]:
    """An instance of a pod, as the answer to a request that ends it."""
    return {
        "instanceId": {"idString": instance.id},
        "runSpecId": instance.app_id,
        "condition": instance.condition.value,
        "agentInfo": {"host": instance.host, "agentId": instance.agent_id},
        "containers": [
            {"name": name, "taskId": instance.container_task_id(name), "state": one.state}
            for name, one in instance.containers.items()
        ],
    }
