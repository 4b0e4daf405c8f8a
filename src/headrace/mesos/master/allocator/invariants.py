"""What must always be true of the allocator; for tests."""
# ruff: noqa: S101

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import inf

from headrace.mesos.master.allocator.explain import allocatable
from headrace.mesos.master.allocator.fairness import Amounts, Member, Ranking, amounts
from headrace.mesos.master.allocator.ledger import Ledger
from headrace.mesos.master.allocator.model import Agent, Client, Role
from headrace.mesos.resources import Resources


def validate(ledger: Ledger) -> None:
    """Assert that the ledger adds up and that the rankings are in order."""
    for agent in ledger.agents.values():
        _validate_agent(agent)
    for client in ledger.clients.values():
        _validate_client(ledger, client)
    for role in ledger.roles.values():
        _validate_role(ledger, role)
    ranked = {role for role in ledger.roles.values() if role.clients.order}
    _validate_ranking(ledger, ledger.ranking, ranked)
    assert ledger.cluster.total == _sum(amounts(agent.total) for agent in ledger.agents.values())


def validate_work(
    ledger: Ledger,
    least: tuple[Resources, ...],
    offerable: Mapping[str, Agent],
    dirty: Mapping[str, Agent],
    newcomers: Collection[Client],
    wakes: Collection[tuple[float, str]],
) -> None:
    """Assert that the sets that say where there is something to do are the right ones."""
    for agent in ledger.agents.values():
        has_something = agent.active and allocatable(agent.free, least)
        assert offerable.get(agent.id) is (agent if has_something else None)
        assert agent.wake == inf or (agent.wake, agent.id) in wakes
        assert agent.wake == inf or (has_something and agent.id not in dirty)
    assert dirty.keys() <= offerable.keys() <= ledger.agents.keys()
    assert all(client.eligible for client in newcomers)


def _validate_agent(agent: Agent) -> None:
    free, disjoint = agent.total, True
    for resources in agent.held.values():
        assert resources
        disjoint = disjoint and free.contains(resources)
        free = free - resources
    assert agent.free == free
    assert agent.amounts == amounts(free)
    assert agent.overcommitted or disjoint
    assert all(agent.refused.values())


def _validate_client(ledger: Ledger, client: Client) -> None:
    held = [agent.held[client] for agent in ledger.agents.values() if client in agent.held]
    assert client.holdings == len(held)
    assert client.holds == _sum(amounts(resources) for resources in held)
    assert client.subscribed or held
    framework = ledger.frameworks.get(client.framework_id)
    active = framework is not None and framework.active
    assert client.subscribed == (framework is not None and framework.clients.get(client.role.name) is client)
    assert client.eligible == (client.subscribed and active and not client.suppressed)
    assert client.filtered == {agent for agent in ledger.agents.values() if client in agent.refused}
    assert not client.filtered or (client.subscribed and active)


def _validate_role(ledger: Ledger, role: Role) -> None:
    clients = [client for client in ledger.clients.values() if client.role is role]
    assert role.population == len(clients) > 0
    assert role.weight == ledger.weights.get(role.name, 1.0)
    assert role.holds == _sum(client.holds for client in clients)
    _validate_ranking(ledger, role.clients, {client for client in clients if client.eligible})


def _validate_ranking(ledger: Ledger, ranking: Ranking[Role] | Ranking[Client], members: Collection[Member]) -> None:
    order: list[tuple[float, int, int, Member]] = list(ranking.order)
    assert order == sorted(order)
    assert {key[3] for key in order} == members
    assert all(key is key[3].key for key in order)
    if len(order) > 1 and ranking.settled:
        assert all(key[:3] == key[3].turn(ledger.cluster) for key in order)


def _sum(parts: Iterable[Amounts]) -> Amounts:
    cpus, mem, disk, gpus = map(sum, zip((0, 0, 0, 0), *parts, strict=True))
    return cpus, mem, disk, gpus
