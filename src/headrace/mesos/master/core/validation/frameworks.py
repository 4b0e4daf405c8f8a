"""What Mesos checks of frameworks, in its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from headrace.mesos.master.core import constraints as offer_constraints
from headrace.mesos.master.core.model import roles_of
from headrace.mesos.messages.common import FrameworkInfo
from headrace.mesos.resources.roles import role

MAX_DURATION = 2**63 / 1e9
"""Seconds; Mesos keeps durations as nanoseconds in 64 bits."""


def framework(info: FrameworkInfo, suppressed: Sequence[str]) -> str | None:
    """Whether a framework may be as it says."""
    return (
        _roles(info)
        or _offer_filters(info)
        or _failover_timeout(info.failover_timeout)
        or _suppressed(info, suppressed)
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


def preserved(old: FrameworkInfo, new: FrameworkInfo) -> FrameworkInfo:
    """``new`` with what a framework can't change by subscribing again."""
    return msgspec.structs.replace(new, user=old.user, checkpoint=old.checkpoint)


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


def _offer_filters(info: FrameworkInfo) -> str | None:
    try:
        offer_constraints.minimums_of(info)
    except offer_constraints.ConstraintError as error:
        return str(error)
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
