"""Pods: their fields by schema, and a ``Pod`` of what was read."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from headrace.marathon.definitions import schema
from headrace.marathon.definitions.errors import Violation, unreadable
from headrace.marathon.definitions.parts import (
    HOST,
    Environment,
    ExecutorResources,
    LinuxInfo,
    Network,
    Secret,
    UpgradeStrategy,
)
from headrace.marathon.definitions.paths import canonical
from headrace.marathon.definitions.pod import Pod, PodContainer, PodVolume
from headrace.marathon.definitions.reading import fields

_NAME = schema.string(at_least=1, at_most=63, pattern=fields.LEGACY_NAME)
_environment = fields.environment(re.compile(r"[A-Za-z_][A-Za-z0-9_]*"))

_COMMAND = schema.record({"shell": fields.some_text, "argv": schema.array(fields.text, at_least=1)})
_EXEC = schema.record({"command": _COMMAND, "overrideEntrypoint": schema.boolean}, frozenset({"command"}))
_HTTP = schema.record(
    {"endpoint": _NAME, "path": fields.some_text, "scheme": schema.enum("HTTP", "HTTPS")}, frozenset({"endpoint"})
)
_TCP = schema.record({"endpoint": _NAME}, frozenset({"endpoint"}))
_CHECK_EXEC = schema.record({"command": _COMMAND}, frozenset({"command"}))

_HEALTH_CHECK = schema.record(
    {
        "http": _HTTP,
        "tcp": _TCP,
        "exec": _CHECK_EXEC,
        "gracePeriodSeconds": schema.integer(0),
        "intervalSeconds": schema.integer(0),
        "maxConsecutiveFailures": schema.integer(0),
        "timeoutSeconds": schema.integer(0),
        "delaySeconds": schema.integer(0),
    }
)
_CHECK = schema.record(
    {
        "http": _HTTP,
        "tcp": _TCP,
        "exec": _CHECK_EXEC,
        "intervalSeconds": schema.integer(0),
        "timeoutSeconds": schema.integer(0),
        "delaySeconds": schema.integer(0),
    }
)
_RESOURCES = schema.record(
    {"cpus": schema.number(0), "mem": schema.number(0), "disk": schema.number(0), "gpus": schema.integer(0)},
    frozenset({"cpus", "mem"}),
)
_ENDPOINT = schema.record(
    {
        "name": _NAME,
        "containerPort": schema.integer(1, 65535),
        "hostPort": fields.port,
        "protocol": schema.array(fields.text),
        "labels": fields.labels,
        "networkNames": schema.array(fields.text),
    },
    frozenset({"name"}),
)
_IMAGE = schema.record(
    {
        "kind": schema.enum("DOCKER"),
        "id": fields.some_text,
        "pullConfig": fields.pull_config,
        "forcePull": schema.boolean,
        "labels": fields.labels,
    },
    frozenset({"kind", "id"}),
)
_MOUNT = schema.record(
    {"name": _NAME, "mountPath": schema.string(at_least=1, at_most=1024), "readOnly": schema.boolean},
    frozenset({"name", "mountPath"}),
)


def _no_pre_stop(value: Any, path: str, problems: schema.Problems) -> Any:
    words = "only apps have it; let the container handle SIGTERM within lifecycle.killGracePeriodSeconds"
    problems.append(Violation(path, words))
    return value


_CONTAINER = schema.record(
    {
        "name": _NAME,
        "exec": _EXEC,
        "resources": _RESOURCES,
        "resourceLimits": fields.limits,
        "endpoints": schema.array(_ENDPOINT),
        "image": _IMAGE,
        "environment": _environment,
        "user": fields.text,
        "healthCheck": _HEALTH_CHECK,
        "check": _CHECK,
        "volumeMounts": schema.array(_MOUNT),
        "artifacts": fields.fetch,
        "labels": fields.labels,
        "lifecycle": schema.record({"killGracePeriodSeconds": schema.number(0)}),
        "preStop": _no_pre_stop,
        "linuxInfo": fields.linux_info,
        "tty": schema.boolean,
    },
    frozenset({"name", "resources"}),
)
_VOLUME = schema.record(
    {"name": _NAME, "host": fields.some_text, "secret": fields.some_text, "persistent": fields.persistent},
    frozenset({"name"}),
)
_CONSTRAINT = schema.record(
    {
        "fieldName": fields.text,
        "operator": schema.enum("UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"),
        "value": fields.text,
    },
    frozenset({"fieldName", "operator"}),
)
_SCHEDULING = schema.record(
    {
        "backoff": schema.record(
            {"backoff": schema.number(0), "backoffFactor": schema.number(1.0), "maxLaunchDelay": schema.number(0)}
        ),
        "upgrade": fields.upgrade,
        "placement": schema.record(
            {"constraints": schema.array(_CONSTRAINT), "acceptedResourceRoles": schema.array(fields.text)}
        ),
        "killSelection": fields.kill_selection,
        "unreachableStrategy": fields.unreachable,
    }
)
_SCALING = schema.record({"kind": schema.enum("fixed"), "instances": fields.instances}, frozenset({"kind"}))

_POD = schema.record(
    {
        "id": fields.path_id,
        "labels": fields.labels,
        "version": fields.text,
        "user": fields.text,
        "environment": _environment,
        "containers": schema.array(_CONTAINER),
        "secrets": fields.secrets,
        "volumes": schema.array(_VOLUME),
        "networks": fields.networks,
        "scaling": _SCALING,
        "scheduling": _SCHEDULING,
        "executorResources": fields.executor_resources,
        "role": schema.string(at_least=1),
        "linuxInfo": fields.linux_info,
        "legacySharedCgroups": schema.boolean,
        "dependencies": schema.array(fields.path_id),
        "preStop": _no_pre_stop,
    },
    frozenset({"id", "containers"}),
)


def pod_reader(value: Any, path: str, problems: schema.Problems) -> Any:
    """A pod within a group."""
    return _POD(value, path, problems)


def read_pod(value: Any, *, default_role: str, default_network: str | None = None) -> Pod:
    """A pod from JSON; ``default_network`` is --default_network_name. Raises Rejected 422."""
    problems: schema.Problems = []
    read = _POD(value, "", problems)
    if problems:
        raise unreadable(problems)
    return to_pod(read, default_role=default_role, default_network=default_network)


def to_pod(given: dict[str, Any], *, default_role: str, base: str = "/", default_network: str | None = None) -> Pod:
    """A pod from read fields; ``base`` is the group that it is in."""
    pod_id = canonical(given["id"], base)
    scheduling: dict[str, Any] = given.get("scheduling", {})
    backoff, placement = scheduling.get("backoff", {}), scheduling.get("placement", {})
    volumes = msgspec.convert(given.get("volumes", []), list[PodVolume])
    resident = any(one.persistent is not None for one in volumes)
    upgrade = scheduling.get("upgrade")
    networks = msgspec.convert(given.get("networks", []), list[Network])
    return Pod(
        id=pod_id,
        containers=msgspec.convert(given["containers"], list[PodContainer]),
        labels=given.get("labels", {}),
        user=given.get("user"),
        environment=msgspec.convert(given.get("environment", {}), Environment),
        secrets=msgspec.convert(given.get("secrets", {}), dict[str, Secret]),
        volumes=volumes,
        networks=[
            msgspec.structs.replace(one, name=default_network) if one.mode == "container" and one.name is None else one
            for one in networks
        ]
        or [Network(HOST)],
        instances=given.get("scaling", {}).get("instances", 1),
        backoff_seconds=float(backoff.get("backoff", 1)),
        backoff_factor=float(backoff.get("backoffFactor", 1.15)),
        max_launch_delay_seconds=float(backoff.get("maxLaunchDelay", 300)),
        constraints=[_constraint(one) for one in placement.get("constraints", [])],
        accepted_resource_roles=placement.get("acceptedResourceRoles", []),
        role=given.get("role", default_role),
        kill_selection=scheduling.get("killSelection", "YOUNGEST_FIRST"),
        unreachable_strategy=fields.unreachable_strategy(scheduling.get("unreachableStrategy"), resident=resident),
        upgrade_strategy=UpgradeStrategy(0.5, 0.0)
        if upgrade is None and resident
        else msgspec.convert(upgrade or {}, UpgradeStrategy),
        executor_resources=msgspec.convert(given.get("executorResources", {}), ExecutorResources),
        linux_info=msgspec.convert(given["linuxInfo"], LinuxInfo) if "linuxInfo" in given else None,
        legacy_shared_cgroups=given.get("legacySharedCgroups"),
        dependencies=[canonical(one, canonical("..", pod_id)) for one in given.get("dependencies", [])],
    )


def _constraint(given: dict[str, Any]) -> list[str]:
    parts = [given["fieldName"], given["operator"]]
    return fields.constraint([*parts, given["value"]] if "value" in given else parts)
