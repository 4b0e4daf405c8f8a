"""From a request's JSON to an ``App``: read by schema, turn deprecated fields into their successors, fill defaults.

Fields that this version can't honour are read too (``Extras``), so that validation can refuse them
by name instead of ignoring them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from headrace.marathon.definitions import schema
from headrace.marathon.definitions.app import (
    App,
    Fetch,
    HealthCheck,
    PortDefinition,
    ReadinessCheck,
    UnreachableStrategy,
    UpgradeStrategy,
)
from headrace.marathon.definitions.errors import Rejected, Violation, invalid, unreadable
from headrace.marathon.definitions.paths import ID_PATTERN, canonical

MAX_DEPTH = 64
"""No definition needs deeper nesting, and what works through one recursively must not run out of stack."""
MAX_INSTANCES = 100_000
"""More of one app is a mistake rather than a wish, and would only fill the memory."""

_text = schema.string()
_path_id = schema.string(at_least=1, pattern=ID_PATTERN)
_labels = schema.mapping(_text)
_protocol = schema.enum("tcp", "udp", "udp,tcp")
_port = schema.integer(0, 65535)

_HEALTH_CHECK = schema.record(
    {
        "protocol": schema.enum("HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"),
        "path": _text,
        "port": _port,
        "portIndex": schema.integer(0),
        "command": schema.record({"value": schema.string(at_least=1)}, frozenset({"value"})),
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
        "name": schema.string(at_least=1),
        "protocol": schema.enum("HTTP", "HTTPS"),
        "path": _text,
        "portName": schema.string(at_least=1),
        "intervalSeconds": schema.integer(1),
        "timeoutSeconds": schema.integer(1),
        "httpStatusCodesForReady": schema.array(schema.integer(100, 999), at_least=1),
        "preserveLastResponse": schema.boolean,
    }
)


def _unreachable(value: Any, path: str, problems: schema.Problems) -> Any:
    if isinstance(value, str):
        return schema.enum("disabled")(value, path, problems)
    fields = {"inactiveAfterSeconds": schema.integer(0), "expungeAfterSeconds": schema.integer(0)}
    return schema.record(fields)(value, path, problems)


def _env_value(value: Any, path: str, problems: schema.Problems) -> Any:
    if isinstance(value, dict):
        return schema.record({"secret": _text}, frozenset({"secret"}))(value, path, problems)
    return _text(value, path, problems)


_CONTAINER = schema.record(
    {
        "type": schema.enum("MESOS", "DOCKER"),
        "docker": schema.anything,
        "volumes": schema.array(schema.anything),
        "portMappings": schema.array(schema.anything),
        "linuxInfo": schema.anything,
    }
)

_FIELDS: dict[str, schema.Reader] = {
    "id": _path_id,
    "cmd": schema.string(at_least=1),
    "args": schema.array(_text),
    "cpus": schema.number(0),
    "mem": schema.number(0),
    "disk": schema.number(0),
    "gpus": schema.integer(0),
    "instances": schema.integer(0, MAX_INSTANCES),
    "backoffSeconds": schema.integer(0),
    "backoffFactor": schema.number(1.0),
    "maxLaunchDelaySeconds": schema.integer(0),
    "container": _CONTAINER,
    "constraints": schema.array(schema.array(_text, at_least=2, at_most=3)),
    "dependencies": schema.array(_path_id),
    "env": schema.mapping(_env_value),
    "executor": schema.string(pattern=re.compile(r"(//cmd)|(/?[^/]+(/[^/]+)*)|")),
    "fetch": schema.array(
        schema.record(
            {
                "uri": schema.string(at_least=1, at_most=1024),
                "extract": schema.boolean,
                "executable": schema.boolean,
                "cache": schema.boolean,
                "destPath": _text,
            },
            frozenset({"uri"}),
        )
    ),
    "uris": schema.array(_text),
    "healthChecks": schema.array(_HEALTH_CHECK),
    "readinessChecks": schema.array(_READINESS_CHECK, at_most=1),
    "labels": _labels,
    "ports": schema.array(_port),
    "portDefinitions": schema.array(
        schema.record(
            {
                "port": _port,
                "protocol": _protocol,
                "name": schema.string(at_most=255, pattern=re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")),
                "labels": _labels,
            }
        )
    ),
    "requirePorts": schema.boolean,
    "acceptedResourceRoles": schema.array(_text),
    "role": schema.string(at_least=1),
    "taskKillGracePeriodSeconds": schema.integer(0),
    "killSelection": schema.enum("YOUNGEST_FIRST", "OLDEST_FIRST"),
    "unreachableStrategy": _unreachable,
    "upgradeStrategy": schema.record(
        {"minimumHealthCapacity": schema.number(0, 1), "maximumOverCapacity": schema.number(0, 1)},
        frozenset({"minimumHealthCapacity", "maximumOverCapacity"}),
    ),
    "user": _text,
    "networks": schema.array(
        schema.record({"mode": schema.enum("container", "container/bridge", "host"), "name": _text, "labels": _labels})
    ),
    "secrets": schema.mapping(schema.record({"source": _text}, frozenset({"source"}))),
    "ipAddress": schema.anything,
    "residency": schema.anything,
    "check": schema.anything,
    "resourceLimits": schema.anything,
    "executorResources": schema.anything,
    "tty": schema.boolean,
    "version": _text,
}

_APP = schema.record(_FIELDS, frozenset({"id"}))
_UPDATE = schema.record(_FIELDS)

_ARCHIVES = (".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip")


class Extras(msgspec.Struct, frozen=True):
    """What was given beside the fields of ``App``; validation refuses what can't be honoured."""

    networks: list[dict[str, Any]] = []
    secrets: dict[str, Any] = {}
    secret_env: list[str] = []
    ip_address: Any = None
    residency: Any = None
    check: Any = None
    resource_limits: Any = None
    executor_resources: Any = None
    tty: bool = False


def parse(body: bytes) -> Any:
    """A request body as JSON. Raises Rejected 400 with the parser's words."""
    if not body.strip():
        raise Rejected(
            400,
            "Please specify data in JSON format",
            details="No content to map due to end-of-input",
        )
    try:
        value = msgspec.json.decode(body)
    except RecursionError as error:
        raise _too_deep() from error
    except UnicodeDecodeError as error:
        raise Rejected(400, "Invalid JSON", details=f"not UTF-8: {error}") from error
    except msgspec.DecodeError as error:
        text = str(error)
        if "truncated" in text:
            text = f"Unexpected end-of-input: {text}"
        raise Rejected(400, "Invalid JSON", details=text) from error
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for one in level for child in _children(one)]
        if not level:
            return value
    raise _too_deep()


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep() -> Rejected:
    return Rejected(400, "Invalid JSON", details=f"Objects and arrays are nested more than {MAX_DEPTH} deep")


def read_fields(value: Any, *, path: str = "", whole: bool) -> dict[str, Any]:
    """The known fields of an app (``whole``) or of an update of one. Raises Rejected 422."""
    problems: schema.Problems = []
    fields = (_APP if whole else _UPDATE)(value, path, problems)
    if problems:
        raise unreadable(problems)
    return dict(fields)


def to_app(fields: dict[str, Any], *, default_role: str) -> tuple[App, Extras]:
    """An app from read fields. Raises Rejected 422 if deprecated fields and their successors contradict."""
    fields = dict(fields)
    _deprecated(fields)
    env = fields.get("env", {})
    app = App(
        id=canonical(fields["id"]),
        args=fields.get("args", []),
        container=fields.get("container"),
        constraints=[_constraint(one) for one in fields.get("constraints", [])],
        dependencies=[canonical(one, canonical("..", fields["id"])) for one in fields.get("dependencies", [])],
        env={name: value for name, value in env.items() if isinstance(value, str)},
        executor=fields.get("executor", ""),
        fetch=msgspec.convert(fields.get("fetch", []), list[Fetch]),
        health_checks=[_health_check(one, bool(_ports(fields))) for one in fields.get("healthChecks", [])],
        readiness_checks=msgspec.convert(fields.get("readinessChecks", []), list[ReadinessCheck]),
        port_definitions=_ports(fields),
        role=fields.get("role", default_role),
        unreachable_strategy=_unreachable_strategy(fields.get("unreachableStrategy")),
        upgrade_strategy=msgspec.convert(fields.get("upgradeStrategy", {}), UpgradeStrategy),
        **_plain(fields),
    )
    extras = Extras(
        networks=fields.get("networks", []),
        secrets=fields.get("secrets", {}),
        secret_env=[name for name, value in env.items() if not isinstance(value, str)],
        ip_address=fields.get("ipAddress"),
        residency=fields.get("residency"),
        check=fields.get("check"),
        resource_limits=fields.get("resourceLimits"),
        executor_resources=fields.get("executorResources"),
        tty=fields.get("tty", False),
    )
    return app, extras


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
    "requirePorts": "require_ports",
    "acceptedResourceRoles": "accepted_resource_roles",
    "taskKillGracePeriodSeconds": "task_kill_grace_period_seconds",
    "killSelection": "kill_selection",
    "user": "user",
}


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {attribute: fields[name] for name, attribute in _PLAIN.items() if name in fields}


def _deprecated(fields: dict[str, Any]) -> None:
    problems: schema.Problems = []
    uris, ports = fields.pop("uris", None), fields.pop("ports", None)
    if uris:
        if fields.get("fetch"):
            problems.append(Violation("/uris", "may not be set in conjunction with fetch"))
        fields["fetch"] = [{"uri": uri, "extract": uri.split("?")[0].endswith(_ARCHIVES)} for uri in uris]
    if ports is not None:
        defined = fields.get("portDefinitions")
        if len({port for port in ports if port}) < len([port for port in ports if port]):
            problems.append(Violation("/ports", "ports must be unique"))
        if defined is not None and [one.get("port", 0) for one in defined] != ports:
            problems.append(Violation("/ports", "cannot specify both ports and port definitions"))
        if defined is None:
            fields["portDefinitions"] = [{"port": port} for port in ports]
            if ports:
                fields["portDefinitions"][0]["name"] = "default"
    if problems:
        raise invalid(problems)


def _ports(fields: dict[str, Any]) -> list[PortDefinition]:
    """No ``portDefinitions`` means one port; an empty list means none."""
    given = fields.get("portDefinitions")
    if given is None:
        return [PortDefinition(name="default")]
    return msgspec.convert(given, list[PortDefinition])


def _health_check(fields: dict[str, Any], has_ports: bool) -> HealthCheck:
    values = dict(fields)
    if "command" in values:
        values["command"] = values["command"]["value"]
    check = msgspec.convert(values, HealthCheck)
    if check.protocol != "COMMAND" and check.port is None and check.port_index is None and has_ports:
        return msgspec.structs.replace(check, port_index=0)
    return check


def _constraint(given: list[str]) -> list[str]:
    """Old clients send an empty value with UNIQUE; it means none."""
    return given[:2] if len(given) == 3 and given[1] == "UNIQUE" and not given[2] else given


def _unreachable_strategy(given: Any) -> UnreachableStrategy | None:
    if given == "disabled":
        return None
    return msgspec.convert(given or {}, UnreachableStrategy)
