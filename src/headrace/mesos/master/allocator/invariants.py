"""What must always be true of the allocator; for tests."""
# ruff: noqa: S101

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import inf
from typing import Any

from headrace.mesos.master.allocator.cycle import Cycle
from headrace.mesos.master.allocator.fairness import Amounts, Ranking, amounts
from headrace.mesos.master.allocator.grants import private, unreserved
from headrace.mesos.master.allocator.ledger import Ledger
from headrace.mesos.master.allocator.model import Agent, Client, Role
from headrace.mesos.master.allocator.quota import consumption


def validate(ledger: Ledger) -> None:
    """Assert that the ledger adds up and that the rankings are in order."""
    for agent in ledger.agents.values():
        _validate_agent(agent)
    for client in ledger.clients.values():
        _validate_client(ledger, client)
    assert {client for role in ledger.tree.roles.values() for client in role.clients} == {*ledger.clients.values()}
    for role in ledger.tree.roles.values():
        _validate_role(ledger, role)
    _validate_ranking(ledger, ledger.ranking, _live(ledger.tree.root.children.values()))
    assert ledger.cluster.total == _sum(amounts(agent.total) for agent in ledger.agents.values())
    _validate_quotas(ledger)


def validate_work(ledger: Ledger, cycle: Cycle) -> None:
    """Assert that the sets that say where there is something to do are the right ones."""
    offerable, dirty = cycle.offerable, cycle.dirty
    for agent in ledger.agents.values():
        has_something = agent.active and cycle.worth(agent)
        assert offerable.get(agent.id) is (agent if has_something else None)
        assert agent.wake == inf or cycle.wakes.has(agent)
        assert agent.wake == inf or (has_something and agent.id not in dirty)
    assert dirty.keys() <= offerable.keys() <= ledger.agents.keys()
    assert cycle.held_back.keys() <= offerable.keys()
    assert not cycle.held_back or ledger.quotas.roles
    assert all(client.eligible for client in cycle.newcomers)
    assert cycle.lax == {client for client in ledger.clients.values() if client.least is not None}


def _validate_agent(agent: Agent) -> None:
    free, disjoint = agent.total, True
    for resources in agent.held.values():
        assert resources
        disjoint = disjoint and free.contains(private(resources))
        free = free - private(resources)
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
    assert client.subscribed or not client.choosy
    assert (client in ledger.constrained) == (client.constraint is not None)
    assert client.verdicts.keys() <= {*ledger.agents.values()}


def _validate_role(ledger: Ledger, role: Role) -> None:
    assert role.clients or role.children
    assert bool(role.children) == (role.own is not None)
    assert all(client.role is role and client.leaf is (role.own or role) for client in role.clients)
    assert role.weight == ledger.tree.weights.get(role.name, 1.0)
    held = _sum(client.holds for client in role.clients)
    eligible = {client for client in role.clients if client.eligible}
    if role.own is None:
        assert role.holds == held
        _validate_ranking(ledger, role.ranking, eligible)
    else:
        assert role.own.holds == held
        assert role.holds == _sum([held, *(child.holds for child in role.children.values())])
        _validate_ranking(ledger, role.own.ranking, eligible)
        _validate_ranking(ledger, role.ranking, _live([role.own, *role.children.values()]))


def _live(roles: Iterable[Role]) -> set[Role]:
    return {role for role in roles if role.ranking.order}


def _validate_ranking(ledger: Ledger, ranking: Ranking[Any], members: Collection[Any]) -> None:
    order: list[tuple[float, int, int, Any]] = list(ranking.order)
    assert order == sorted(order)
    assert {key[3] for key in order} == members
    assert all(key is key[3].key for key in order)
    if len(order) > 1 and ranking.settled:
        assert all(key[:3] == key[3].turn(ledger.cluster) for key in order)


def _validate_quotas(ledger: Ledger) -> None:
    quotas = ledger.quotas
    consumed = consumption(ledger.agents.values())
    required: dict[str, int] = {}
    for role, quota in quotas.roles.items():
        scalars = consumed[role].scalars if role in consumed else {}
        assert _some(quotas.consumed[role]) == scalars
        for name, amount in quota.guarantees.items():
            required[name] = required.get(name, 0) + max(0, amount - scalars.get(name, 0))
    assert quotas.required == required
    free: dict[str, int] = {}
    for agent in ledger.agents.values() if quotas.roles else ():
        for name, amount in unreserved(agent.free).items() if agent.active else ():
            free[name] = free.get(name, 0) + amount
    assert _some(quotas.free) == _some(free)


def _some(by_name: dict[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in by_name.items() if amount}


def _sum(parts: Iterable[Amounts]) -> Amounts:
    cpus, mem, disk, gpus = map(sum, zip((0, 0, 0, 0), *parts, strict=True))
    return cpus, mem, disk, gpus
