"""The rules that an app must keep, each with Marathon's own message. Pure.

First come the rules of the app itself, then what this version can't honour yet: that is refused
by name, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from headrace.marathon.definitions import patterns
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Violation, invalid
from headrace.marathon.definitions.paths import RESERVED, ancestors
from headrace.marathon.definitions.reading import Extras

_CMD = "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'."
_INDEX = "Health check port indices must address an element of the ports array or container port mappings."
_OPERATORS = ("UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "MAX_PER", "UNLIKE", "IS")
_FEATURE = "Feature {0} is not enabled. Enable with --enable_features {0})"
_URI = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_URI_PATH = re.compile(r"[!-~]*")
_MIGRATION = (
    "DCOS_PACKAGE_FRAMEWORK_NAME and DCOS_MIGRATION_API_PATH must be defined when using DCOS_MIGRATION_API_VERSION"
)


def check_app(app: App, extras: Extras, *, role: str) -> None:
    """Raises Rejected 422 with every broken rule. ``role`` is the one that this Marathon has."""
    violations = [*_own_rules(app, extras), *_networks(extras)]
    if not violations:
        violations = [*_roles(app, role), *_not_yet(app, extras)]
    if violations:
        raise invalid(violations)


def check_root(apps: Iterable[str], app_id: str) -> None:
    """That ``app_id`` fits among the ids of ``apps``: an app is no group. Raises Rejected 422."""
    above = set(ancestors(app_id))
    for other in apps:
        if other != app_id and (other in above or other.startswith(app_id + "/")):
            raise invalid([Violation("/", "Groups and Applications may not have the same identifier.")])


def _own_rules(app: App, extras: Extras) -> Iterator[Violation]:
    yield from _identity(app)
    yield from _command(app)
    for name, index in zip(app.env, range(len(app.env)), strict=True):
        if not name:
            yield Violation(f"/env/keys({index})", "must not be empty")
        if "=" in name or "\0" in name + app.env[name]:
            yield Violation(f"/env/{name}", "no process can have such a variable: '=' in its name, or a NUL in it")
    for name, value in app.labels.items():
        if "\0" in name + value:
            yield Violation(f"/labels/{name}", "must not contain NUL: labels become variables of the tasks")
    for index, fetch in enumerate(app.fetch):
        if not _URI.fullmatch(fetch.uri):
            yield Violation(f"/fetch({index})/uri", "URI has invalid syntax.")
    for index, constraint in enumerate(app.constraints):
        error = constraint_error(constraint)
        if error:
            yield Violation(f"/constraints({index})", error)
    yield from _ports(app)
    if not (app.container or {}).get("docker"):
        yield from _health(app)  # an image has ports of its own, and is refused below
    yield from _strategies(app)
    if app.labels.keys() >= {"DCOS_MIGRATION_API_VERSION"} and not app.labels.keys() >= {
        "DCOS_PACKAGE_FRAMEWORK_NAME",
        "DCOS_MIGRATION_API_PATH",
    }:
        yield Violation("/", _MIGRATION)
    if extras.check is not None and (app.container or {}).get("docker"):
        yield Violation("/", "AppDefinition must not use 'checks' if using docker")


def _identity(app: App) -> Iterator[Violation]:
    if app.id == "/":
        yield Violation("/id", "Path must contain at least one path element")
    elif app.id.rsplit("/", 1)[1] in RESERVED:
        words = ", ".join(RESERVED)
        yield Violation("/id", f"must not end with any of the following reserved keywords: {words}")


def _command(app: App) -> Iterator[Violation]:
    if "\0" in (app.cmd or "") or any("\0" in one for one in app.args):
        yield Violation("/cmd" if app.cmd is not None else "/args", "must not contain NUL")
    both, neither = app.cmd is not None and app.args, app.cmd is None and not app.args
    if both or (neither and app.container is None):
        yield Violation("/", _CMD)
    if app.container is not None and app.container.get("type", "DOCKER") == "DOCKER":
        if not app.container.get("docker"):
            yield Violation("/container/docker", "not defined")
    elif neither and app.container is not None:
        yield Violation("/", _CMD + " This container has no image, so it needs one of them.")


def constraint_error(constraint: list[str]) -> str:
    """What is wrong with one constraint; empty if nothing is."""
    field, operator = constraint[0], constraint[1]
    value = constraint[2] if len(constraint) > 2 else None
    if operator not in _OPERATORS:
        names = "UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS"
        return f"operator must be one of the following {names}"
    if not field:
        return "illegal constraint specification"
    match operator:
        case "UNIQUE":
            return "UNIQUE does not accept a value" if value else ""
        case "GROUP_BY":
            ok = not value or (value.isascii() and value.isdigit() and int(value) > 0)
            return "" if ok else "GROUP BY must define an integer value or else no value at all"
        case "MAX_PER":
            ok = value is not None and value.isascii() and value.isdigit()
            return "" if ok else "MAX_PER must define an integer value"
        case "LIKE" | "UNLIKE":
            return _regex_error(value, operator)
        case "IS":
            if value is None or not re.fullmatch(r"[a-zA-Z0-9_/.-]*", value):
                return "IS only supports Mesos text and float values"
    return ""


def _regex_error(value: str | None, operator: str) -> str:
    if value is None:
        return f"{operator} must define a regular expression"
    problem = patterns.problem(value)
    return f"'{value}' {problem}" if problem else ""


def _ports(app: App) -> Iterator[Violation]:
    numbers = [one.port for one in app.port_definitions if one.port]
    names = [one.name for one in app.port_definitions if one.name is not None]
    if len(set(numbers)) < len(numbers):
        yield Violation("/portDefinitions", "Ports must be unique.")
    if len(set(names)) < len(names):
        yield Violation("/portDefinitions", "Port names must be unique.")


def _health(app: App) -> Iterator[Violation]:
    names = {one.name for one in app.port_definitions}
    for index, check in enumerate(app.health_checks):
        path = f"/healthChecks({index})"
        if check.protocol == "COMMAND":
            if check.command is None:
                yield Violation(f"{path}/command", "must not be empty")
            elif "\0" in check.command:
                yield Violation(f"{path}/command/value", "must not contain NUL")
        elif check.port is None and (check.port_index is None or check.port_index >= len(app.port_definitions)):
            yield Violation(path, _INDEX)
        yield from _check_path(check.path, f"{path}/path", "health check")
        if check.ip_protocol == "IPv6":
            yield Violation(f"{path}/ipProtocol", "IPv6 can only be used for container type DOCKER")
    if sum(1 for check in app.health_checks if check.protocol.startswith("MESOS_")) > 1:
        yield Violation("/", "AppDefinition can contain at most one Mesos health check")
    for index, readiness in enumerate(app.readiness_checks):
        path = f"/readinessChecks({index})"
        yield from _check_path(readiness.path, f"{path}/path", "readiness check")
        if readiness.port_name not in names:
            yield Violation(f"{path}/portName", f"No port definition reference for portName {readiness.port_name}")
        if readiness.timeout_seconds >= readiness.interval_seconds:
            got, limit = readiness.timeout_seconds, readiness.interval_seconds
            yield Violation(f"{path}/timeoutSeconds", f"got {got}, expected less than {limit}")


def _check_path(given: str | None, path: str, what: str) -> Iterator[Violation]:
    if given is not None and not _URI_PATH.fullmatch(given):
        shown = "printable ASCII characters without blanks; percent-encode all others"
        yield Violation(path, f"{what} path must be {shown}")


def _strategies(app: App) -> Iterator[Violation]:
    unreachable = app.unreachable_strategy
    if unreachable is not None and unreachable.inactive_after_seconds > unreachable.expunge_after_seconds:
        limit = unreachable.expunge_after_seconds
        yield Violation("/unreachableStrategy", f"must be less or equal to expungeAfterSeconds, which is {limit}")
    if app.labels.get("MARATHON_SINGLE_INSTANCE_APP", "").lower() != "true":
        return
    if app.instances > 1:
        yield Violation("/", "Single instance app may only have one instance")
    upgrade = app.upgrade_strategy
    if upgrade.minimum_health_capacity != 0:
        got = upgrade.minimum_health_capacity
        yield Violation("/upgradeStrategy/minimumHealthCapacity", f"got {got}, expected 0.0")
    if upgrade.maximum_over_capacity != 0:
        got = upgrade.maximum_over_capacity
        yield Violation("/upgradeStrategy/maximumOverCapacity", f"got {got}, expected 0.0")


def _networks(extras: Extras) -> Iterator[Violation]:
    modes = [one.get("mode", "container") for one in extras.networks]
    for network in extras.networks:
        mode = network.get("mode", "container")
        if mode == "host" and (network.get("name") or network.get("labels")):
            yield Violation("/networks", "Host networks may not have names or labels")
        if mode == "container/bridge" and network.get("name"):
            yield Violation("/networks", "Bridge networks may not have names")
        if mode == "container" and not network.get("name"):
            yield Violation("/networks", "Network name must be specified when container network is selected.")
    if len(modes) > 1 and set(modes) != {"container"}:
        yield Violation(
            "/networks",
            "May specify a single host network, single bridge network, or else 1-to-n container networks",
        )


def _roles(app: App, role: str) -> Iterator[Violation]:
    if _persistent(app) and app.role == "*":
        yield Violation("/role", "Resident apps cannot have the role *")
    if app.role != role:
        yield Violation("/role", f"got {app.role}, expected one of: [{role}]")
    allowed = ["*"] if role == "*" else ["*", role]
    if any(one not in allowed for one in app.accepted_resource_roles):
        names = ", ".join(allowed)
        yield Violation("/acceptedResourceRoles", f"acceptedResourceRoles can only contain {names}")


def _persistent(app: App) -> bool:
    return any("persistent" in one for one in _volumes(app))


def _volumes(app: App) -> list[dict[str, Any]]:
    return [one for one in (app.container or {}).get("volumes", []) if isinstance(one, dict)]


def _not_yet(app: App, extras: Extras) -> Iterator[Violation]:
    container = app.container or {}
    if container.get("docker"):
        yield Violation("/container/docker", "Container images can't be run by this version; give a cmd without one")
    for name in ("portMappings", "linuxInfo"):
        if container.get(name):
            yield Violation(f"/container/{name}", "is not supported by this version; leave it out")
    for index, volume in enumerate((app.container or {}).get("volumes", [])):
        yield _volume_refusal(volume, f"/container/volumes({index})")
    if any(one.get("mode", "container") != "host" for one in extras.networks):
        yield Violation("/networks", "Only host networking is supported by this version; leave networks out")
    if extras.secrets:
        yield Violation("/secrets", _FEATURE.format("secrets"))
    for name in extras.secret_env:
        yield Violation(f"/env/{name}", _FEATURE.format("secrets"))
    if app.gpus:
        yield Violation("/gpus", _FEATURE.format("gpu_resources"))
    if app.executor not in ("", "//cmd"):
        yield Violation("/executor", "Custom executors are not supported by this version; leave executor out")
    unsupported: dict[str, Any] = {
        "/ipAddress": extras.ip_address,
        "/residency": extras.residency,
        "/check": extras.check,
        "/resourceLimits": _limits(extras.resource_limits),
        "/executorResources": extras.executor_resources,
        "/tty": extras.tty or None,
    }
    for path, value in unsupported.items():
        if value is not None:
            yield Violation(path, "is not supported by this version; leave it out")


def _limits(limits: Any) -> Any:
    """Without limits a task may use what is there, so 'unlimited' needs nothing done."""
    if isinstance(limits, dict) and all(value == "unlimited" for value in limits.values()):
        return None
    return limits


def _volume_refusal(volume: Any, path: str) -> Violation:
    if isinstance(volume, dict) and "secret" in volume:
        return Violation(path, _FEATURE.format("secrets"))
    if isinstance(volume, dict) and "external" in volume:
        return Violation(path, _FEATURE.format("external_volumes"))
    if isinstance(volume, dict) and "persistent" in volume:
        return Violation(path, "Persistent volumes are not supported by this version; leave them out")
    if isinstance(volume, dict) and "hostPath" not in volume:
        return Violation(f"{path}/hostPath", "undefined")
    return Violation(path, "Volumes need a container image, which this version can't run; leave them out")


def with_version(app: App, version: str, *, config_changed: bool, before: App | None) -> App:
    """The app as of ``version``: a scaling keeps the time of the last configuration change."""
    info = msgspec.structs.replace(
        app.version_info,
        last_scaling_at=version,
        last_config_change_at=version if config_changed or before is None else before.config_version,
    )
    return msgspec.structs.replace(app, version=version, version_info=info)
