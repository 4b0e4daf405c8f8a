"""An app as the API shows it: which fields are always there, which only when set."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.marathon.definitions.app import App, HealthCheck


def definition(app: App) -> dict[str, Any]:
    """The fields that describe the app; a later PUT of them changes nothing."""
    out: dict[str, Any] = {"id": app.id}
    if app.cmd is not None:
        out["cmd"] = app.cmd
    out |= {
        "backoffFactor": app.backoff_factor,
        "backoffSeconds": app.backoff_seconds,
        "cpus": app.cpus,
        "disk": app.disk,
        "executor": app.executor,
        "gpus": app.gpus,
        "instances": app.instances,
        "labels": app.labels,
        "maxLaunchDelaySeconds": app.max_launch_delay_seconds,
        "mem": app.mem,
        "networks": [{"mode": "host"}],
        "portDefinitions": [_full(one) for one in app.port_definitions],
        "requirePorts": app.require_ports,
        "upgradeStrategy": msgspec.to_builtins(app.upgrade_strategy),
        "killSelection": app.kill_selection,
        "unreachableStrategy": "disabled"
        if app.unreachable_strategy is None
        else msgspec.to_builtins(app.unreachable_strategy),
        "role": app.role,
    }
    optional: dict[str, Any] = {
        "args": app.args,
        "constraints": app.constraints,
        "dependencies": app.dependencies,
        "env": app.env,
        "fetch": [_full(one) for one in app.fetch],
        "healthChecks": [health_check(one) for one in app.health_checks],
        "readinessChecks": [_full(one) for one in app.readiness_checks],
        "acceptedResourceRoles": app.accepted_resource_roles,
        "container": app.container,
        "user": app.user,
    }
    out |= {name: value for name, value in optional.items() if value}
    if app.task_kill_grace_period_seconds is not None:
        out["taskKillGracePeriodSeconds"] = app.task_kill_grace_period_seconds
    return out


def whole(app: App) -> dict[str, Any]:
    """The definition with the version, which is the server's to set."""
    return definition(app) | {
        "version": app.version,
        "versionInfo": {
            "lastScalingAt": app.version_info.last_scaling_at,
            "lastConfigChangeAt": app.version_info.last_config_change_at,
        },
    }


def _full(part: msgspec.Struct) -> dict[str, Any]:
    """Defaults included, None left out."""
    names = zip(part.__struct_fields__, part.__struct_encode_fields__, strict=True)
    return {shown: value for name, shown in names if (value := getattr(part, name)) is not None}


def health_check(check: HealthCheck) -> dict[str, Any]:
    """A health check with all its defaults."""
    out = _full(check)
    if check.command is not None:
        out["command"] = {"value": check.command}
    return out
