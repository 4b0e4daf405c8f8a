"""The rules of apps."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Violation, invalid
from headrace.marathon.definitions.rules import common
from headrace.marathon.definitions.rules.constraints import constraints
from headrace.marathon.definitions.rules.context import GPUS, Context
from headrace.marathon.definitions.rules.health import health
from headrace.marathon.definitions.rules.volumes import container

_CMD = "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'."
_MIGRATION = (
    "DCOS_PACKAGE_FRAMEWORK_NAME and DCOS_MIGRATION_API_PATH must be defined when using DCOS_MIGRATION_API_VERSION"
)


def check_app(app: App, context: Context) -> None:
    """Raises Rejected 422 with every broken rule of the first stage that has any."""
    for stage in (_canonical, _definition):
        violations = list(stage(app, context))
        if violations:
            raise invalid(violations)


def check_update(before: App, after: App) -> None:
    """What an app can't change any more, above all one that keeps volumes. Raises Rejected 422."""
    if before.per_agent is not after.per_agent:
        raise invalid([Violation("/instancesPer", "can't be set or cleared later; remove the app and make it anew")])
    if not before.resident:
        return
    violations: list[Violation] = []
    if _kept(before) != _kept(after):
        violations.append(Violation("/container/volumes", "Persistent volumes can not be changed!"))
    if (before.cpus, before.mem, before.disk, before.gpus) != (after.cpus, after.mem, after.disk, after.gpus):
        violations.append(Violation("/", "Resident Tasks may not change resource requirements!"))
    if [one.host for one in before.ports if one.host] != [one.host for one in after.ports if one.host]:
        violations.append(Violation("/", "Resident Tasks may not change resource requirements!"))
    if violations:
        raise invalid(violations)


def _canonical(app: App, context: Context) -> Iterator[Violation]:
    yield from common.identity(app.id)
    yield from _command(app)
    yield from common.environment(app.env, "/env", app.secrets, context)
    yield from common.secrets(app.secrets, context)
    yield from common.labels(app.labels, "/labels")
    yield from common.fetches(app.fetch, "/fetch")
    yield from common.networks(app.networks)
    yield from constraints(app.constraints, "/constraints")
    yield from _ports(app)
    yield from container(app, context)
    if app.gpus:
        yield from context.needs(GPUS, "/gpus")
    if app.gpus and app.docker:
        yield Violation("/gpus", "GPU resources only work with the Mesos containerizer")
    if app.executor not in ("", "//cmd"):
        yield Violation("/executor", "Custom executors are not supported; leave executor out")


def _definition(app: App, context: Context) -> Iterator[Violation]:
    yield from health(app)
    yield from _strategies(app)
    yield from common.unreachable(app.unreachable_strategy, resident=app.resident, what="tasks")
    if app.resident:
        yield from common.resident_upgrade(app.upgrade_strategy, "/upgradeStrategy/maximumOverCapacity")
    yield from _limits(app)
    if app.pre_stop is not None:
        if not app.pre_stop.http.path.startswith("/"):
            yield Violation("/preStop/http/path", "must begin with /")
        if app.pre_stop.http.port_index >= len(app.ports):
            yield Violation("/preStop/http/portIndex", f"the app has {len(app.ports)} ports; they are counted from 0")
    if app.per_agent and app.resident:
        yield Violation("/instancesPer", "an app with an instance on every agent can't keep persistent volumes")
    yield from common.roles(app.role, app.accepted_resource_roles, resident=app.resident, context=context, what="apps")
    if app.labels.keys() >= {"DCOS_MIGRATION_API_VERSION"} and not app.labels.keys() >= {
        "DCOS_PACKAGE_FRAMEWORK_NAME",
        "DCOS_MIGRATION_API_PATH",
    }:
        yield Violation("/", _MIGRATION)


def _command(app: App) -> Iterator[Violation]:
    if "\0" in (app.cmd or "") or any("\0" in one for one in app.args):
        yield Violation("/cmd" if app.cmd is not None else "/args", "must not contain NUL")
    both, neither = app.cmd is not None and app.args, app.cmd is None and not app.args
    if both or (neither and app.container is None):
        yield Violation("/", _CMD)
    elif neither and app.container is not None and app.container.docker is None:
        yield Violation("/", _CMD + " This container has no image, so it needs one of them.")


def _ports(app: App) -> Iterator[Violation]:
    numbers = [one.port for one in app.port_definitions if one.port]
    names = [one.name for one in app.port_definitions if one.name is not None]
    if len(set(numbers)) < len(numbers):
        yield Violation("/portDefinitions", "Ports must be unique.")
    if len(set(names)) < len(names):
        yield Violation("/portDefinitions", "Port names must be unique.")


def _strategies(app: App) -> Iterator[Violation]:
    external = app.container is not None and any(one.external is not None for one in app.container.volumes)
    single = app.labels.get("MARATHON_SINGLE_INSTANCE_APP", "").lower() == "true"
    if single and app.instances > 1:
        yield Violation("/", "Single instance app may only have one instance")
    upgrade = app.upgrade_strategy
    if single and upgrade.minimum_health_capacity != 0:
        got = upgrade.minimum_health_capacity
        yield Violation("/upgradeStrategy/minimumHealthCapacity", f"got {got}, expected 0.0")
    if (single or external) and upgrade.maximum_over_capacity != 0:
        got = upgrade.maximum_over_capacity
        yield Violation("/upgradeStrategy/maximumOverCapacity", f"got {got}, expected 0.0")


def _limits(app: App) -> Iterator[Violation]:
    limits = app.resource_limits
    if limits is None:
        return
    for name, limit, request in (("cpus", limits.cpus, app.cpus), ("mem", limits.mem, app.mem)):
        if isinstance(limit, float) and limit < request:
            yield Violation(f"/resourceLimits/{name}", f"got {limit:g}, expected {request:g} or more")


def _kept(app: App) -> list[object]:
    return [one for one in app.container.volumes if one.persistent is not None] if app.container is not None else []
