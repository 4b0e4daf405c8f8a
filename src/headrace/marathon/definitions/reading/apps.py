"""Apps: their fields by schema, and an ``App`` of what was read."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from headrace.marathon.definitions import schema
from headrace.marathon.definitions.app import App, PortDefinition, Residency
from headrace.marathon.definitions.checks import Check, HealthCheck, PreStop, ReadinessCheck
from headrace.marathon.definitions.container import Container, PortMapping
from headrace.marathon.definitions.errors import Violation, unreadable
from headrace.marathon.definitions.limits import MAX_PRE_STOP
from headrace.marathon.definitions.parts import (
    HOST,
    Environment,
    ExecutorResources,
    Fetch,
    Network,
    ResourceLimits,
    Secret,
    UpgradeStrategy,
)
from headrace.marathon.definitions.paths import canonical
from headrace.marathon.definitions.reading import deprecated, fields

NO_COMMAND = (
    "Mesos has no way to run a command in a task that runs: give http, or have the task's own command trap SIGTERM"
)

_HEALTH_CHECK = schema.record(
    {
        "protocol": schema.enum("HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"),
        "path": fields.text,
        "port": fields.port,
        "portIndex": schema.integer(0),
        "command": schema.record({"value": fields.some_text}, frozenset({"value"})),
        "gracePeriodSeconds": schema.integer(0),
        "intervalSeconds": schema.integer(1),
        "timeoutSeconds": schema.integer(0),
        "maxConsecutiveFailures": schema.integer(0),
        "delaySeconds": schema.integer(0),
        "ignoreHttp1xx": schema.boolean,
        "ipProtocol": schema.enum("IPv4", "IPv6"),
    }
)

_READINESS_CHECK = schema.record(
    {
        "name": fields.some_text,
        "protocol": schema.enum("HTTP", "HTTPS"),
        "path": fields.text,
        "portName": fields.some_text,
        "intervalSeconds": schema.integer(1),
        "timeoutSeconds": schema.integer(1),
        "httpStatusCodesForReady": schema.array(schema.integer(100, 999), at_least=1),
        "preserveLastResponse": schema.boolean,
    }
)

_SHELL = schema.record(
    {"command": schema.record({"shell": fields.some_text}, frozenset({"shell"}))}, frozenset({"command"})
)
_CHECK = schema.record(
    {
        "http": schema.record({"portIndex": schema.integer(0), "port": fields.port, "path": fields.text}),
        "tcp": schema.record({"portIndex": schema.integer(0), "port": fields.port}),
        "exec": _SHELL,
        "intervalSeconds": schema.integer(1),
        "timeoutSeconds": schema.integer(0),
        "delaySeconds": schema.integer(0),
    }
)

_PORT_MAPPING = schema.record(
    {
        "containerPort": fields.port,
        "hostPort": fields.port,
        "servicePort": fields.port,
        "protocol": fields.protocol,
        "name": fields.port_name,
        "labels": fields.labels,
        "networkNames": schema.array(fields.text),
    }
)
_PARAMETER = schema.record({"key": fields.some_text, "value": fields.text}, frozenset({"key", "value"}))
_DOCKER = schema.record(
    {
        "image": fields.some_text,
        "forcePullImage": schema.boolean,
        "privileged": schema.boolean,
        "parameters": schema.array(_PARAMETER),
        "pullConfig": fields.pull_config,
        "credential": schema.anything,
        "network": schema.enum("BRIDGE", "HOST", "USER", "NONE"),
        "portMappings": schema.array(_PORT_MAPPING),
    },
    frozenset({"image"}),
)
_MODE = schema.enum("RO", "RW")
_EXTERNAL = schema.record(
    {
        "name": fields.some_text,
        "provider": fields.some_text,
        "options": schema.mapping(fields.text),
        "size": schema.integer(0),
        "shared": schema.boolean,
    },
    frozenset({"name", "provider"}),
)
_PERSISTENT_VOLUME = schema.record(
    {"containerPath": fields.some_text, "mode": _MODE, "persistent": fields.persistent},
    frozenset({"containerPath", "mode"}),
)
_EXTERNAL_VOLUME = schema.record(
    {"containerPath": fields.some_text, "mode": _MODE, "external": _EXTERNAL}, frozenset({"containerPath", "mode"})
)
_SECRET_VOLUME = schema.record({"containerPath": fields.some_text, "secret": fields.text}, frozenset({"containerPath"}))
_HOST_VOLUME = schema.record(
    {"containerPath": fields.some_text, "mode": _MODE, "hostPath": fields.some_text},
    frozenset({"containerPath", "mode"}),
)


def _no_command(value: Any, path: str, problems: schema.Problems) -> Any:
    problems.append(Violation(path, NO_COMMAND))
    return value


_PRE_STOP = schema.record(
    {
        "http": schema.record({"path": fields.text, "portIndex": schema.integer(0)}),
        "command": _no_command,
        "deadlineSeconds": schema.integer(1, MAX_PRE_STOP),
    },
    frozenset({"http"}),
)


def _volume(value: Any, path: str, problems: schema.Problems) -> Any:
    """Its kind is told by the key that is there; without any it is one of the host."""
    if isinstance(value, dict):
        for key, reader in (
            ("persistent", _PERSISTENT_VOLUME),
            ("external", _EXTERNAL_VOLUME),
            ("secret", _SECRET_VOLUME),
        ):
            if value.get(key) is not None:
                return reader(value, path, problems)
    return _HOST_VOLUME(value, path, problems)


_CONTAINER = schema.record(
    {
        "type": schema.enum("MESOS", "DOCKER"),
        "docker": _DOCKER,
        "volumes": schema.array(_volume),
        "portMappings": schema.array(_PORT_MAPPING),
        "linuxInfo": fields.linux_info,
    }
)

_DISCOVERY_PORT = schema.record(
    {
        "number": fields.port,
        "name": fields.port_name,
        "protocol": fields.protocol,
        "labels": fields.labels,
    },
    frozenset({"number", "name"}),
)
_IP_ADDRESS = schema.record(
    {
        "networkName": fields.some_text,
        "discovery": schema.record({"ports": schema.array(_DISCOVERY_PORT)}),
        "groups": schema.array(fields.text),
        "labels": fields.labels,
    }
)

_FIELDS: dict[str, schema.Reader] = {
    "id": fields.path_id,
    "cmd": schema.string(at_least=1),
    "args": schema.array(fields.text),
    "cpus": schema.number(0),
    "mem": schema.number(0),
    "disk": schema.number(0),
    "gpus": schema.integer(0),
    "instances": fields.instances,
    "backoffSeconds": schema.integer(0),
    "backoffFactor": schema.number(1.0),
    "maxLaunchDelaySeconds": schema.integer(0),
    "container": _CONTAINER,
    "constraints": schema.array(schema.array(fields.text, at_least=2, at_most=3)),
    "dependencies": schema.array(fields.path_id),
    "env": fields.environment(),
    "executor": schema.string(pattern=re.compile(r"(//cmd)|(/?[^/]+(/[^/]+)*)|")),
    "fetch": fields.fetch,
    "uris": schema.array(fields.text),
    "healthChecks": schema.array(_HEALTH_CHECK),
    "readinessChecks": schema.array(_READINESS_CHECK, at_most=1),
    "labels": fields.labels,
    "ports": schema.array(fields.port),
    "portDefinitions": schema.array(
        schema.record(
            {"port": fields.port, "protocol": fields.protocol, "name": fields.port_name, "labels": fields.labels}
        )
    ),
    "requirePorts": schema.boolean,
    "acceptedResourceRoles": schema.array(fields.text),
    "role": schema.string(at_least=1),
    "taskKillGracePeriodSeconds": schema.integer(0),
    "killSelection": fields.kill_selection,
    "unreachableStrategy": fields.unreachable,
    "upgradeStrategy": fields.upgrade,
    "user": fields.text,
    "networks": fields.networks,
    "secrets": fields.secrets,
    "ipAddress": _IP_ADDRESS,
    "residency": schema.record(
        {
            "relaunchEscalationTimeoutSeconds": schema.integer(0),
            "taskLostBehavior": schema.enum("WAIT_FOREVER", "RELAUNCH_AFTER_TIMEOUT"),
        }
    ),
    "check": _CHECK,
    "resourceLimits": fields.limits,
    "executorResources": fields.executor_resources,
    "tty": schema.boolean,
    "instancesPer": schema.enum("agent"),
    "preStop": _PRE_STOP,
    "version": fields.text,
}

_APP = schema.record(_FIELDS, frozenset({"id"}))
_UPDATE = schema.record(_FIELDS)


def read_fields(value: Any, *, path: str = "", whole: bool) -> dict[str, Any]:
    """The known fields of an app (``whole``) or of an update of one. Raises Rejected 422."""
    problems: schema.Problems = []
    read = (_APP if whole else _UPDATE)(value, path, problems)
    if problems:
        raise unreadable(problems)
    return dict(read)


def app_reader(value: Any, path: str, problems: schema.Problems) -> Any:
    """An app within a group."""
    return _APP(value, path, problems)


def to_app(given: dict[str, Any], *, default_role: str, base: str = "/", default_network: str | None = None) -> App:
    """An app from read fields; ``base`` is the group that it is in, ``default_network`` --default_network_name.

    Raises Rejected 422 if deprecated fields and their successors contradict.
    """
    given = dict(given)
    deprecated.normalise(given)
    app_id = canonical(given["id"], base)
    networks = _networks(given, default_network)
    host = any(one.mode == HOST for one in networks)
    container = _container(given, host)
    resident = container is not None and any(one.persistent is not None for one in container.volumes)
    ports = _ports(given) if host else []
    mappings = (container.port_mappings or []) if container is not None else []
    has_ports = bool(ports if host else mappings)
    return App(
        id=app_id,
        args=given.get("args", []),
        container=container,
        networks=networks,
        constraints=[fields.constraint(one) for one in given.get("constraints", [])],
        dependencies=[canonical(one, canonical("..", app_id)) for one in given.get("dependencies", [])],
        env=msgspec.convert(given.get("env", {}), Environment),
        secrets=msgspec.convert(given.get("secrets", {}), dict[str, Secret]),
        executor=given.get("executor", ""),
        executor_resources=_optional(given.get("executorResources"), ExecutorResources),
        resource_limits=_optional(given.get("resourceLimits"), ResourceLimits),
        fetch=msgspec.convert(given.get("fetch", []), list[Fetch]),
        health_checks=[_health_check(one, has_ports) for one in given.get("healthChecks", [])],
        readiness_checks=msgspec.convert(given.get("readinessChecks", []), list[ReadinessCheck]),
        check=_optional(given.get("check"), Check),
        pre_stop=_optional(given.get("preStop"), PreStop),
        port_definitions=ports,
        require_ports=given.get("requirePorts", False) and host,
        role=given.get("role", default_role),
        residency=msgspec.convert(given.get("residency", {}), Residency) if resident else None,
        unreachable_strategy=fields.unreachable_strategy(given.get("unreachableStrategy"), resident=resident),
        upgrade_strategy=_upgrade(given.get("upgradeStrategy"), resident=resident),
        **_plain(given),
    )


_PLAIN = {
    "cmd": "cmd",
    "cpus": "cpus",
    "mem": "mem",
    "disk": "disk",
    "gpus": "gpus",
    "instances": "instances",
    "backoffSeconds": "backoff_seconds",
    "backoffFactor": "backoff_factor",
    "maxLaunchDelaySeconds": "max_launch_delay_seconds",
    "labels": "labels",
    "acceptedResourceRoles": "accepted_resource_roles",
    "taskKillGracePeriodSeconds": "task_kill_grace_period_seconds",
    "killSelection": "kill_selection",
    "user": "user",
    "tty": "tty",
    "instancesPer": "instances_per",
}


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    per_agent = "instancesPer" in given  # how many there are then is not the definition's to say
    return {
        attribute: given[name]
        for name, attribute in _PLAIN.items()
        if name in given and not (per_agent and name == "instances")
    }


def _optional(given: Any, kind: type[Any]) -> Any:
    return None if given is None else msgspec.convert(given, kind)


def _upgrade(given: Any, *, resident: bool) -> UpgradeStrategy:
    if given is None:
        return UpgradeStrategy(0.5, 0.0) if resident else UpgradeStrategy()
    return msgspec.convert(given, UpgradeStrategy)


def _networks(given: dict[str, Any], default_network: str | None) -> list[Network]:
    networks: list[Network] = msgspec.convert(given.get("networks", []), list[Network])
    named = [
        msgspec.structs.replace(one, name=default_network) if one.mode == "container" and one.name is None else one
        for one in networks
    ]
    return named or [Network(HOST)]


def _container(given: dict[str, Any], host: bool) -> Container | None:
    """Networks that are not the host's need a container, and it has one port unless it says otherwise."""
    read = given.get("container")
    if host:
        container: Container | None = _optional(read, Container)
        return None if container is None else msgspec.structs.replace(container, port_mappings=None)
    container = msgspec.convert(read if read is not None else {"type": "MESOS"}, Container)
    mappings = container.port_mappings
    if mappings is None:
        mappings = [PortMapping(name="default")]
    if any(one["mode"] == "container/bridge" for one in given["networks"] if "mode" in one):
        mappings = [msgspec.structs.replace(one, host_port=one.host_port or 0) for one in mappings]
    return msgspec.structs.replace(container, port_mappings=mappings)


def _ports(given: dict[str, Any]) -> list[PortDefinition]:
    """No ``portDefinitions`` means one port; an empty list means none."""
    defined = given.get("portDefinitions")
    if defined is None:
        return [PortDefinition(name="default")]
    return msgspec.convert(defined, list[PortDefinition])


def _health_check(given: dict[str, Any], has_ports: bool) -> HealthCheck:
    values = dict(given)
    if "command" in values:
        values["command"] = values["command"]["value"]
    check = msgspec.convert(values, HealthCheck)
    if check.protocol != "COMMAND" and check.port is None and check.port_index is None and has_ports:
        return msgspec.structs.replace(check, port_index=0)
    return check
