"""Apps and pods as the API shows them: which fields are always there, which only when set."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.checks import HealthCheck
from headrace.marathon.definitions.container import Container, Volume
from headrace.marathon.definitions.parts import Environment, Network, UnreachableStrategy, VersionInfo
from headrace.marathon.definitions.pod import Pod, PodContainer


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
        "networks": _networks(app.networks),
        "requirePorts": app.require_ports,
        "upgradeStrategy": msgspec.to_builtins(app.upgrade_strategy),
        "killSelection": app.kill_selection,
        "unreachableStrategy": _unreachable(app.unreachable_strategy),
        "role": app.role,
    }
    if app.host_networking:
        out["portDefinitions"] = [_full(one) for one in app.port_definitions]
    out |= {name: value for name, value in _if_not_empty(app).items() if value}
    for name, value in (
        ("executorResources", app.executor_resources),
        ("resourceLimits", app.resource_limits),
        ("residency", app.residency),
        ("check", app.check),
        ("preStop", app.pre_stop),
    ):
        if value is not None:
            out[name] = msgspec.to_builtins(value)
    for name, plain in (
        ("taskKillGracePeriodSeconds", app.task_kill_grace_period_seconds),
        ("tty", app.tty),
        ("instancesPer", app.instances_per),
    ):
        if plain is not None:
            out[name] = plain
    return out


def _if_not_empty(app: App) -> dict[str, Any]:
    return {
        "args": app.args,
        "constraints": app.constraints,
        "container": None if app.container is None else container(app.container),
        "dependencies": app.dependencies,
        "env": _environment(app.env),
        "secrets": msgspec.to_builtins(app.secrets),
        "fetch": [_full(one) for one in app.fetch],
        "healthChecks": [health_check(one) for one in app.health_checks],
        "readinessChecks": [_full(one) for one in app.readiness_checks],
        "acceptedResourceRoles": app.accepted_resource_roles,
        "user": app.user,
    }


def whole(app: App) -> dict[str, Any]:
    """The definition with the version, which is the server's to set."""
    return definition(app) | {"version": app.version, "versionInfo": version_info(app.version_info)}


def version_info(info: VersionInfo) -> dict[str, str]:
    """When the instances, and when anything else changed last."""
    return {"lastScalingAt": info.last_scaling_at, "lastConfigChangeAt": info.last_config_change_at}


def container(given: Container) -> dict[str, Any]:
    """A container, with the defaults of its parts."""
    out: dict[str, Any] = {"type": given.type}
    if given.docker is not None:
        docker = _full(given.docker)
        if given.type != "DOCKER":
            docker.pop("parameters", None)
            docker.pop("privileged", None)
        docker["parameters"] = [_full(one) for one in given.docker.parameters]
        if given.docker.pull_config is not None:
            docker["pullConfig"] = {"secret": given.docker.pull_config.secret}
        out["docker"] = docker if given.type == "DOCKER" else {k: v for k, v in docker.items() if k != "parameters"}
    out["volumes"] = [_volume(one) for one in given.volumes]
    if given.port_mappings is not None:
        out["portMappings"] = [_mapping(msgspec.to_builtins(one), _full(one)) for one in given.port_mappings]
    if given.linux_info is not None:
        out["linuxInfo"] = msgspec.to_builtins(given.linux_info)
    return out


def _mapping(set_fields: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    if "networkNames" not in set_fields:
        full.pop("networkNames", None)
    return full


def _volume(volume: Volume) -> dict[str, Any]:
    fields = {
        "mode": volume.mode,
        "hostPath": volume.host_path,
        "secret": volume.secret,
        "persistent": None if volume.persistent is None else _full(volume.persistent),
        "external": None if volume.external is None else _full(volume.external),
    }
    set_fields = {name: value for name, value in fields.items() if value is not None}
    return {"containerPath": volume.container_path, **set_fields}


def _networks(networks: list[Network]) -> list[dict[str, Any]]:
    out = []
    for network in networks:
        one: dict[str, Any] = {} if network.name is None else {"name": network.name}
        one["mode"] = network.mode
        if network.labels:
            one["labels"] = network.labels
        out.append(one)
    return out


def _environment(variables: Environment) -> dict[str, Any]:
    return {name: value if isinstance(value, str) else {"secret": value.secret} for name, value in variables.items()}


def _unreachable(strategy: UnreachableStrategy | None) -> Any:
    return "disabled" if strategy is None else msgspec.to_builtins(strategy)


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


def pod(it: Pod) -> dict[str, Any]:
    """A pod, without its version."""
    scheduling: dict[str, Any] = {
        "backoff": {
            "backoff": it.backoff_seconds,
            "backoffFactor": it.backoff_factor,
            "maxLaunchDelay": it.max_launch_delay_seconds,
        },
        "upgrade": msgspec.to_builtins(it.upgrade_strategy),
        "killSelection": it.kill_selection,
        "unreachableStrategy": _unreachable(it.unreachable_strategy),
        "placement": {
            "constraints": [_constraint(one) for one in it.constraints],
            "acceptedResourceRoles": it.accepted_resource_roles,
        },
    }
    out: dict[str, Any] = {
        "id": it.id,
        "labels": it.labels,
        "environment": _environment(it.environment),
        "containers": [_pod_container(one) for one in it.containers],
        "secrets": msgspec.to_builtins(it.secrets),
        "volumes": msgspec.to_builtins(it.volumes),
        "networks": _networks(it.networks),
        "scaling": {"kind": "fixed", "instances": it.instances},
        "scheduling": scheduling,
        "executorResources": msgspec.to_builtins(it.executor_resources),
        "role": it.role,
    }
    if it.user is not None:
        out["user"] = it.user
    if it.linux_info is not None:
        out["linuxInfo"] = msgspec.to_builtins(it.linux_info)
    if it.legacy_shared_cgroups is not None:
        out["legacySharedCgroups"] = it.legacy_shared_cgroups
    if it.dependencies:
        out["dependencies"] = it.dependencies
    return out


def whole_pod(it: Pod) -> dict[str, Any]:
    """A pod with the version, which is the server's to set."""
    return pod(it) | {"version": it.version}


def _pod_container(it: PodContainer) -> dict[str, Any]:
    out: dict[str, Any] = _without_none(msgspec.to_builtins(it))
    return out


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(one) for name, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list) else value


def _constraint(given: list[str]) -> dict[str, str]:
    out = {"fieldName": given[0], "operator": given[1]}
    return out | {"value": given[2]} if len(given) > 2 else out
