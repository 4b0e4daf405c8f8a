"""Why an agent is not offered to a framework, in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from headrace.mesos.master.allocator.grants import (
    REGIONS,
    allocatable,
    below,
    capped,
    entitled,
    missing_capability,
    private,
)
from headrace.mesos.master.allocator.ledger import Ledger
from headrace.mesos.master.allocator.model import Agent, Client, Least
from headrace.mesos.master.allocator.quota import Quotas
from headrace.mesos.resources import Resources

LAST_DATE = datetime.max.replace(tzinfo=UTC).timestamp()


def explain(ledger: Ledger, least: Least, framework_id: str, role: str, agent_id: str) -> str:
    """The first reason that applies. A refusal that has ended since the last allocation still counts."""
    agent = ledger.agents.get(agent_id)
    if agent is None:
        return "the agent is not registered"
    framework = ledger.frameworks.get(framework_id)
    if framework is None:
        return "the framework is not registered"
    client = framework.clients.get(role)
    if client is None:
        return f"the framework is not subscribed to role '{role}'"
    if not framework.active:
        return "the framework is inactive: it is not connected"
    if client.suppressed:
        return f"the framework has suppressed offers for role '{role}' and not revived them"
    return _of_agent(agent, client) or _of_free(ledger.quotas, agent, client, least)


def _of_agent(agent: Agent, client: Client) -> str | None:
    if not agent.active:
        return "the agent is deactivated: it is not connected"
    for need in sorted(agent.needs - client.capabilities):
        what = "is in another region than the master" if need == REGIONS else "has GPUs"
        return f"the agent {what}, and the framework lacks the capability {need}"
    if not client.accepts(agent):
        return f"the offer constraints of the framework for role '{client.role.name}' exclude the agent"
    return None


def _of_free(quotas: Quotas, agent: Agent, client: Client, least: Least) -> str:
    if not private(agent.free):
        return f"no free resources: {_holders(agent) or 'the agent has none'}"
    least = least if client.least is None else client.least
    entitled_to = entitled(agent.free, client.role.name, client.capabilities)
    if not allocatable(entitled_to, least):
        return _kept_from(agent.free, client) or _too_little(entitled_to, least)
    offered = _within_quota(quotas, client, entitled_to)
    if not allocatable(offered, least):
        return _by_quota(quotas, client, entitled_to)
    if until := agent.refused_until(client, 0.0, offered):
        return f"the framework has refused {offered} until {_date(until)}"
    return "nothing: it is a candidate for the next allocation"


def _too_little(free: Resources, least: Least) -> str:
    wanted = " or ".join(str(one) for one in least) or "anything but shared volumes"
    return f"what is free ({free}) is less than is worth an offer ({wanted})"


def _kept_from(free: Resources, client: Client) -> str | None:
    """Of what the client may not have: why."""
    others = {tag.role for tag in free.parts if tag.reservations and not below(client.role.name, tag.role)}
    mine = [tag for tag in free.parts if not tag.reservations or below(client.role.name, tag.role)]
    missing = {need for tag in mine if (need := missing_capability(tag, client.capabilities)) is not None}
    why = [f"reserved for {_names(others)}"] if others else []
    why += [f"only for frameworks with the capability {' and '.join(sorted(missing))}"] if missing else []
    return f"what is free ({free}) is {', or '.join(why)}" if why else None


def _names(roles: Iterable[str]) -> str:
    return ", ".join(f"role '{role}'" for role in sorted(roles))


def _within_quota(quotas: Quotas, client: Client, offered: Resources) -> Resources:
    """What the better of the two stages would give."""
    role = client.role.top
    caps = quotas.caps(role, offered, guaranteed=True) if role in quotas.roles else None
    if caps is None:
        caps = quotas.caps(role, offered, guaranteed=False)
    return capped(offered, caps) if caps else offered


def _by_quota(quotas: Quotas, client: Client, offered: Resources) -> str:
    role = client.role.top
    quota = quotas.roles.get(role)
    consumed = Resources(quotas.consumed.get(role))
    if quota is not None and any(consumed.scalars.get(name, 0) >= limit for name, limit in quota.limits.items()):
        return f"role '{role}' is at its quota limit ({Resources(quota.limits)}): it consumes {consumed}"
    others = _names(other for other in quotas.hungry() if other != role)
    return f"what is free ({offered}) is kept for the quota guarantees of {others or 'other roles'}"


def _holders(agent: Agent) -> str:
    return _listed(f"{client.framework_id} ('{client.role.name}')" for client in agent.held)


def _listed(names: Iterable[str], most: int = 3) -> str:
    all_names = list(names)
    more = f" and {len(all_names) - most} more" if len(all_names) > most else ""
    return f"used by or offered to {', '.join(all_names[:most])}{more}" if all_names else ""


def _date(at: float) -> str:
    return "further notice" if at > LAST_DATE else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
