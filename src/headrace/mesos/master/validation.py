"""What Mesos checks of frameworks and tasks, with its messages: each function returns the complaint or None."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from headrace.mesos.master.model import Framework, roles_of
from headrace.mesos.messages.common import ExecutorInfo, FrameworkInfo, HealthCheck, Resource, TaskInfo
from headrace.mesos.resources import Resources, describe

MAX_ID = 255
MAX_DURATION = 2**63 / 1e9
"""Seconds; Mesos keeps durations as nanoseconds in 64 bits."""


def framework(info: FrameworkInfo, suppressed: Sequence[str], constraints: object) -> str | None:
    """Whether a framework may be as it says."""
    return (
        _roles(info)
        or _failover_timeout(info.failover_timeout)
        or _suppressed(info, suppressed)
        or (
            "'FrameworkInfo.offer_filters' is not supported by this master; leave it out"
            if info.offer_filters
            else None
        )
        or ("offer_constraints are not supported by this master; leave them out" if constraints else None)
    )


def framework_update(old: FrameworkInfo, new: FrameworkInfo) -> str | None:
    """Whether a subscribed framework may become that."""
    if new.principal != old.principal:
        return "Changing framework's principal is not allowed."
    for field, before, after in (
        ("user", old.user, new.user),
        ("checkpoint", _text(old.checkpoint), _text(new.checkpoint)),
    ):
        if before != after:
            return f"Updating 'FrameworkInfo.{field}' is unsupported; attempted to update from '{before}' to '{after}'"
    return None


def _text(flag: bool | None) -> str:
    return "true" if flag else "false"


def _roles(info: FrameworkInfo) -> str | None:
    multi_role = any(capability.type == "MULTI_ROLE" for capability in info.capabilities or ())
    if not multi_role:
        if info.roles:
            return "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
        wrong = role(info.role) if info.role is not None else None
        return f"'FrameworkInfo.role' is not a valid role: {wrong}" if wrong else None
    if info.role is not None:
        return "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
    roles = info.roles or []
    twice = sorted({name for name in roles if roles.count(name) > 1})
    if twice:
        return f"'FrameworkInfo.roles' contains duplicate items: {{ {', '.join(twice)} }}"
    for name in roles:
        if wrong := role(name):
            return f"'FrameworkInfo.roles' contains invalid role: {wrong}"
    return None


def role(name: str) -> str | None:
    """Whether ``name`` can be a role."""
    if name == "*":
        return None
    if not name:
        return "Empty role name is invalid"
    if name.startswith("/"):
        return f"Role '{name}' cannot start with a slash"
    if name.endswith("/"):
        return f"Role '{name}' cannot end with a slash"
    for part in name.split("/"):
        if not part:
            return f"Role '{name}' cannot contain two adjacent slashes"
        if part in (".", "..", "*"):
            return f"Role '{name}' cannot include '{part}' as a component"
        if part.startswith("-"):
            return f"Role component '{part}' is invalid because it begins with a dash"
        if any(c in "\b\t\n\v\f\r " for c in part):
            return f"Role component '{part}' is invalid because it contains backspace or whitespace"
    return None


def _failover_timeout(timeout: float | None) -> str | None:
    if timeout is not None and abs(timeout) > MAX_DURATION:
        return f"The framework failover_timeout ({timeout:g}) is invalid"
    return None


def _suppressed(info: FrameworkInfo, suppressed: Iterable[str]) -> str | None:
    roles = roles_of(info)
    for name in suppressed:
        if name not in roles:
            return f"Suppressed role '{name}' is not contained in the list of roles"
    return None


def task(info: TaskInfo, owner: Framework, agent_id: str, role_name: str, offered: Resources) -> str | None:
    """Whether a task may be launched on ``agent_id`` with what is left of its offers."""
    return (
        identifier(info.task_id.value)
        or _unique(info, owner)
        or _agent(info, agent_id)
        or _durations(info)
        or _health_check(info.health_check)
        or _resources(info.resources)
        or _executor(info, owner)
        or _usage(info.resources or [], role_name, offered)
    )


def identifier(value: str) -> str | None:
    """Whether this can be the id of a task."""
    if not value:
        return "ID must not be empty"
    if len(value) > MAX_ID:
        return f"ID must not be greater than {MAX_ID} characters"
    if value in (".", ".."):
        return f"'{value}' is disallowed"
    if any(c == "/" or c == "\\" or not c.isprintable() for c in value):
        return f"'{value}' contains invalid characters"
    return None


def _unique(info: TaskInfo, owner: Framework) -> str | None:
    if info.task_id.value in owner.tasks:
        return f"Task has duplicate ID: {info.task_id.value}"
    return None


def _agent(info: TaskInfo, agent_id: str) -> str | None:
    if info.agent_id.value != agent_id:
        return f"Task uses invalid agent {info.agent_id.value} while agent {agent_id} is expected"
    return None


def _durations(info: TaskInfo) -> str | None:
    grace = info.kill_policy.grace_period if info.kill_policy is not None else None
    if grace is not None and grace.nanoseconds < 0:
        return "Task's 'kill_policy.grace_period' must be non-negative"
    if info.max_completion_time is not None and info.max_completion_time.nanoseconds < 0:
        return "Task's `max_completion_time` must be non-negative"
    return None


def _health_check(check: HealthCheck | None) -> str | None:
    if check is None:
        return None
    body = {"COMMAND": "command", "HTTP": "http", "TCP": "tcp"}.get(check.type or "")
    if body is not None and getattr(check, body) is None:
        return f"Task uses invalid health check: Expecting '{body}' to be set for {check.type} health check"
    for field in ("delay_seconds", "grace_period_seconds", "interval_seconds", "timeout_seconds"):
        if (getattr(check, field) or 0) < 0:
            return f"Task uses invalid health check: Expecting '{field}' to be non-negative"
    return None


def _resources(resources: Sequence[Resource] | None) -> str | None:
    if not resources:
        return "Task uses no resources"
    for resource in resources:
        if wrong := _resource(resource):
            return f"Resource '{describe([resource])}' is invalid: {wrong}"
    return None


def _resource(resource: Resource) -> str | None:
    if not resource.name:
        return "Empty resource name"
    if resource.scalar is not None:
        if resource.scalar.value < 0:
            return "Invalid scalar resource: value <= 0"
        if resource.scalar.value >= 1e15:
            return "Invalid scalar resource: value is too large"
    elif resource.ranges is not None:
        if any(not 0 <= span.begin <= span.end for span in resource.ranges.range or ()):
            return "Invalid ranges resource: begin > end or begin < 0"
    elif resource.set is None:
        return "Neither scalar nor ranges nor set is given"
    if resource.role not in (None, "*") or resource.reservation or resource.reservations:
        return "Reservations are not supported by this master"
    if resource.disk or resource.revocable or resource.shared or resource.provider_id:
        return "Volumes, revocable, shared and provided resources are not supported by this master"
    return None


def _executor(info: TaskInfo, owner: Framework) -> str | None:
    if (info.command is None) == (info.executor is None):
        return "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
    if info.executor is None:
        return None
    return executor(info.executor, owner.id) or "Custom executors are not supported by this master; give a command"


def executor(info: ExecutorInfo, framework_id: str) -> str | None:
    """Whether a framework may use this executor."""
    if info.framework_id is not None and info.framework_id.value != framework_id:
        return (
            f"ExecutorInfo has an invalid FrameworkID (Actual: {info.framework_id.value} vs Expected: {framework_id})"
        )
    return None


def _usage(resources: Sequence[Resource], role_name: str, offered: Resources) -> str | None:
    stranger = any(
        resource.allocation_info is not None and resource.allocation_info.role not in (None, role_name)
        for resource in resources
    )
    if stranger or not offered.contains(Resources.parse(resources)):
        return (
            f"Total resources {describe(resources, role_name)} required by task and its executor "
            f"is more than available {describe(offered.messages(role_name))}"
        )
    return None


def preserved(old: FrameworkInfo, new: FrameworkInfo) -> FrameworkInfo:
    """``new`` with what a framework can't change by subscribing again."""
    return msgspec.structs.replace(new, user=old.user, checkpoint=old.checkpoint)
