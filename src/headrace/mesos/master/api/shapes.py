"""Agents, frameworks, tasks and resources as JSON of the v0 endpoints, in Mesos's shape.

What does not change about an agent is encoded once and spliced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from headrace.mesos.master.core.described import AGENT_CAPABILITIES, both_forms, drain_info, scalars_of
from headrace.mesos.master.core.model import Absent, Agent, Deactivation, Drain, Executor, Framework, Offer, Task
from headrace.mesos.messages.common import AgentInfo, Attribute, CommandInfo, TaskStatus
from headrace.mesos.public import public_form
from headrace.mesos.resources import EMPTY, MILLI, Resources, Tag

STATES = (
    *("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_FINISHED"),
    *("TASK_KILLED", "TASK_FAILED", "TASK_LOST", "TASK_ERROR", "TASK_UNREACHABLE"),
)
_KEPT = 4096
"""Encoded forms that are kept, by what they are of."""
_USUAL = ("disk", "mem", "gpus", "cpus")

_encode = msgspec.json.Encoder().encode

_FEW = 16


# Agents


def agent(one: Agent) -> bytes:
    """An agent as an open JSON object: ``{…`` without its closing brace."""
    view = one.view
    if view is None or view[0] is not one.total:
        view = one.view = (one.total, _encode(_agent_head(one))[:-1])
    used = total_of(one.used().values()) if one.tasks or one.executors else EMPTY
    offered = total_of(offer.resources for offer in one.offers.values())
    return b'%b,%b"used_resources":%b,"offered_resources":%b,"active":%b' % (
        view[1],
        b'"reregistered_time":%b,' % _encode(one.reregistered) if one.reregistered is not None else b"",
        encoded_amounts(used) if used else _NOTHING,
        encoded_amounts(offered) if offered else _NOTHING,
        b"true" if one.active else b"false",
    )


def _agent_head(one: Agent) -> dict[str, Any]:
    reserved = {role: amounts(part) for role, part in reservations(one.total).items()}
    return {
        **_known_of(one.id, one.info, one.ip, one.registered, one.total),
        "reserved_resources": reserved,
        "unreserved_resources": msgspec.Raw(encoded_amounts(unreserved(one.total))),
        "deactivated": one.deactivation is not None,
        "version": one.version,
        "capabilities": AGENT_CAPABILITIES,
        **(_draining(one.deactivation.drain) if one.deactivation is not None else {}),
    }


def _draining(drain: Drain | None) -> dict[str, Any]:
    if drain is None:
        return {}
    return {"drain_info": drain_info(drain), "estimated_drain_start_time_seconds": drain.started}


def _known_of(agent_id: str, info: AgentInfo, ip: str, registered: float, total: Resources) -> dict[str, Any]:
    return {
        "id": agent_id,
        "hostname": info.hostname,
        "port": info.port or 0,
        "attributes": {attribute.name: _attribute(attribute) for attribute in info.attributes or ()},
        "pid": f"slave(1)@{ip}:{info.port or 0}",
        "registered_time": registered,
        "resources": msgspec.Raw(encoded_amounts(total)),
        **({"domain": info.domain} if info.domain is not None else {}),
    }


def absent(agent_id: str, one: Absent, deactivation: Deactivation | None) -> dict[str, Any]:
    """An agent that is known, but away."""
    total = Resources.parse(one.info.resources)
    return {
        **_known_of(agent_id, one.info, one.ip, one.registered, total),
        "active": False,
        "deactivated": deactivation is not None,
        **(_draining(deactivation.drain) if deactivation is not None else {}),
    }


def _attribute(attribute: Attribute) -> Any:
    if attribute.scalar is not None:
        return attribute.scalar.value
    if attribute.text is not None:
        return attribute.text.value
    if attribute.ranges is not None:
        return "[" + ", ".join(f"{span.begin}-{span.end}" for span in attribute.ranges.range or ()) + "]"
    return "{" + ", ".join((attribute.set.item if attribute.set is not None else None) or ()) + "}"


def joined(open_object: bytes, more: Mapping[str, Any]) -> msgspec.Raw:
    """An open object with more fields, closed."""
    return msgspec.Raw(open_object + b"," + _encode(more)[1:])


def full_resources(one: Agent) -> dict[str, Any]:
    """An agent's resources one by one, as ``/slaves`` has them."""
    used = one.used().items() if one.tasks or one.executors else ()
    return {
        "reserved_resources_full": {role: _list(_full(part, None)) for role, part in reservations(one.total).items()},
        "unreserved_resources_full": _list(_full(unreserved(one.total), None)),
        "used_resources_full": _list(*(_full(held, role) for (_, role), held in used)),
        "offered_resources_full": _list(*(_full(offer.resources, offer.role) for offer in one.offers.values())),
    }


@lru_cache(_KEPT)
def _full(resources: Resources, role: str | None) -> bytes:
    """Messages, encoded, without the brackets around them."""
    return _encode([both_forms(message) for message in resources.messages(role)])[1:-1]


def _list(*parts: bytes) -> msgspec.Raw:
    return msgspec.Raw(b"[%b]" % b",".join(part for part in parts if part))


# Frameworks


def framework(one: Framework) -> dict[str, Any]:
    """A framework with all that it has."""
    info = one.info
    used = _used(one)
    offered = scalars_of(offer.resources for offer in one.offers.values())
    return {
        **_framework_head(one, used, offered),
        "user": info.user,
        "failover_timeout": info.failover_timeout or 0.0,
        "checkpoint": bool(info.checkpoint),
        "registered_time": one.registered,
        "unregistered_time": one.unregistered,
        **({"reregistered_time": one.reregistered} if one.reregistered is not None else {}),
        **({"principal": info.principal} if info.principal else {}),
        "resources": _scalars(used + offered),
        **({"roles": one.roles} if "MULTI_ROLE" in one.capabilities else {"role": info.role or "*"}),
        "tasks": [task(each) for each in one.tasks.values()],
        "unreachable_tasks": [task(each) for each in one.unreachable.values()],
        "completed_tasks": [task(each) for each in one.completed],
        "offers": [_offer(offer) for offer in one.offers.values()],
        "executors": [_executor(executor) for executor in one.executors.values()],
        **({"labels": info.labels.labels or []} if info.labels is not None else {}),
        "offer_constraints": one.constraints.given,
    }


def _used(one: Framework) -> Resources:
    used = scalars_of(each.resources for each in one.tasks.values() if each.holds)
    return used + scalars_of(executor.resources for executor in one.executors.values())


def _framework_head(one: Framework, used: Resources, offered: Resources) -> dict[str, Any]:
    info = one.info
    return {
        "id": one.id,
        "name": info.name,
        "used_resources": _scalars(used),
        "offered_resources": _scalars(offered),
        "capabilities": [capability.type for capability in info.capabilities or () if capability.type],
        "hostname": info.hostname or "",
        "webui_url": info.webui_url or "",
        "active": one.connected,
        "connected": one.connected,
        "recovered": one.recovered,
    }


def framework_summary(one: Framework) -> dict[str, Any]:
    """A framework with the number of its tasks in each state."""
    offered = scalars_of(offer.resources for offer in one.offers.values())
    tasks = list(all_tasks(one))
    return {
        **_framework_head(one, _used(one), offered),
        **counts(tasks),
        "slave_ids": list(dict.fromkeys(each.agent_id for each in tasks)),
    }


def _offer(offer: Offer) -> dict[str, Any]:
    return {
        "id": offer.id,
        "framework_id": offer.framework_id,
        "allocation_info": {"role": offer.role},
        "slave_id": offer.agent_id,
        "resources": msgspec.Raw(encoded_amounts(offer.resources)),
    }


def _executor(executor: Executor) -> dict[str, Any]:
    info = public_form(executor.info)
    return {
        "executor_id": executor.id,
        "name": info.name or "",
        "framework_id": executor.framework_id,
        "command": _command(info.command),
        "resources": msgspec.Raw(encoded_amounts(executor.resources)),
        **({"role": executor.role} if executor.resources else {}),
        **({"source": info.source} if info.source else {}),
        **({"labels": info.labels.labels or []} if info.labels is not None else {}),
        **({"type": info.type} if info.type else {}),
        "slave_id": executor.agent_id,
    }


def _command(info: CommandInfo | None) -> dict[str, Any]:
    """The command of a public form."""
    if info is None:
        return {"shell": True, "argv": [], "uris": []}
    return {
        "shell": info.shell is not False,
        **({"value": info.value} if info.value is not None else {}),
        "argv": info.arguments or [],
        **({"user": info.user} if info.user else {}),
        "uris": info.uris or [],
    }


# Tasks


def all_tasks(one: Framework) -> Iterator[Task]:
    """Running, unreachable and completed ones."""
    yield from one.tasks.values()
    yield from one.unreachable.values()
    yield from one.completed


def task(one: Task) -> dict[str, Any]:
    """A task with its history."""
    info = public_form(one.info)
    out: dict[str, Any] = {
        "id": one.id,
        "name": info.name,
        "framework_id": one.framework_id,
        "executor_id": one.executor_id,
        "slave_id": one.agent_id,
        "state": one.state,
        "resources": msgspec.Raw(encoded_amounts(one.resources)),
        "role": one.role,
        "statuses": [_status(status) for status in one.statuses],
    }
    if info.limits:
        out["limits"] = {name: limit.value for name, limit in info.limits.items()}
    if info.labels is not None:
        out["labels"] = info.labels.labels or []
    if info.discovery is not None:
        out["discovery"] = info.discovery
    if info.container is not None:
        out["container"] = info.container
    if info.health_check is not None:
        out["health_check"] = info.health_check
    return out


def _status(status: TaskStatus) -> dict[str, Any]:
    where = status.container_status
    return {
        "state": status.state,
        "timestamp": status.timestamp or 0.0,
        **({"labels": status.labels.labels or []} if status.labels is not None else {}),
        **({"healthy": status.healthy} if status.healthy is not None else {}),
        **({"container_status": msgspec.structs.replace(where, executor_pid=None)} if where is not None else {}),
    }


def counts(tasks: Iterable[Task]) -> dict[str, int]:
    """How many tasks are in each state."""
    return {**dict.fromkeys(STATES, 0), **Counter(one.state for one in tasks)}


# Resources


def total_of(many: Iterable[Resources]) -> Resources:
    """The sum. Of many, most are alike: such as are one object are multiplied, not added up."""
    few = list(many)
    if len(few) > _FEW:
        times = Counter(map(id, few))
        few = [_multiplied(one, times[id(one)]) for one in {id(one): one for one in few}.values()]
    total = EMPTY
    for one in few:
        total = total + one if total else one
    return total


def _multiplied(one: Resources, times: int) -> Resources:
    """So many of the same; what is a range or a set stays as it is."""
    if times == 1:
        return one
    parts = {tag: _multiplied(part, times) for tag, part in one.parts.items()}
    return Resources({name: amount * times for name, amount in one.scalars.items()}, one.ranges, one.sets, parts)


def reservations(total: Resources) -> dict[str, Resources]:
    """What is reserved, by role."""
    parts: dict[str, dict[Tag, Resources]] = {}
    for tag, part in total.parts.items():
        if tag.reservations:
            parts.setdefault(tag.role, {})[tag] = part
    return {role: Resources(parts=those) for role, those in parts.items()}


def unreserved(total: Resources) -> Resources:
    """What is anybody's."""
    return total.where(lambda tag: not tag.reservations) if total.parts else total


@lru_cache(_KEPT)
def encoded_amounts(resources: Resources) -> bytes:
    """``amounts`` as JSON; many agents and offers have the same."""
    return _encode(amounts(resources))


def amounts(resources: Resources) -> dict[str, Any]:
    """Scalars as numbers, the usual ones even if there is none of them; ranges and sets as text."""
    out = _scalars(resources)
    everything = resources.without_tags() if resources.parts else resources
    for name, spans in everything.ranges.items():
        out[name] = "[" + ", ".join(f"{begin}-{end}" for begin, end in spans) + "]"
    for name, items in everything.sets.items():
        out[name] = "{" + ", ".join(sorted(items)) + "}"
    return out


def _scalars(resources: Resources) -> dict[str, Any]:
    """Revocable amounts are named apart."""
    if not resources.parts:
        scalars = resources.scalars
        out: dict[str, Any] = {name: scalars.get(name, 0) / MILLI for name in _USUAL}
        out.update((name, amount / MILLI) for name, amount in scalars.items())
        return out
    lasting = resources.where(lambda tag: not tag.revocable).without_tags()
    revocable = resources.where(lambda tag: tag.revocable).without_tags()
    out = _scalars(lasting)
    out.update((f"{name}_revocable", amount / MILLI) for name, amount in revocable.scalars.items())
    return out


_NOTHING = _encode(amounts(EMPTY))
