"""Why an agent is not offered to a framework, in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from headrace.mesos.master.allocator.ledger import Ledger
from headrace.mesos.master.allocator.model import Agent, Client
from headrace.mesos.resources import Resources

LAST_DATE = datetime.max.replace(tzinfo=UTC).timestamp()


def allocatable(resources: Resources, least: tuple[Resources, ...]) -> bool:
    """Whether ``resources`` are worth an offer: they contain one of ``least``, or are any at all if that is empty."""
    return any(resources.contains(one) for one in least) if least else bool(resources)


def explain(ledger: Ledger, least: tuple[Resources, ...], framework_id: str, role: str, agent_id: str) -> str:
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
    return _explain_agent(agent, client, least)


def _explain_agent(agent: Agent, client: Client, least: tuple[Resources, ...]) -> str:
    if not agent.active:
        return "the agent is deactivated: it is not connected"
    if not agent.free:
        return f"no free resources: {_holders(agent) or 'the agent has none'}"
    if not allocatable(agent.free, least):
        wanted = " or ".join(str(one) for one in least)
        return f"what is free ({agent.free}) is less than is worth an offer ({wanted})"
    if until := agent.refused_until(client, 0.0):
        return f"the framework has refused {agent.free} until {_date(until)}"
    return "nothing: it is a candidate for the next allocation"


def _holders(agent: Agent) -> str:
    return _listed(f"{client.framework_id} ('{client.role.name}')" for client in agent.held)


def _listed(names: Iterable[str], most: int = 3) -> str:
    all_names = list(names)
    more = f" and {len(all_names) - most} more" if len(all_names) > most else ""
    return f"used by or offered to {', '.join(all_names[:most])}{more}" if all_names else ""


def _date(at: float) -> str:
    return "further notice" if at > LAST_DATE else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
