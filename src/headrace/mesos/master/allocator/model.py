"""What the allocator keeps: agents, frameworks, roles, and clients (a framework in one of its roles)."""

from __future__ import annotations

from math import inf

import msgspec

from headrace.mesos.master.allocator.fairness import Amounts, Cluster, Member, Ranking, amounts
from headrace.mesos.resources import Resources


class Allocation(msgspec.Struct, frozen=True, gc=False):
    """To be offered: ``resources`` of an agent to a framework in a role. Taken until recovered."""

    framework_id: str
    role: str
    agent_id: str
    resources: Resources


class Filter(msgspec.Struct, frozen=True, gc=False):
    """A refusal: a framework in a role wants neither these resources of an agent nor fewer before ``until``."""

    framework_id: str
    role: str
    resources: Resources
    until: float


class Framework:
    """A framework and the roles that it is subscribed to."""

    __slots__ = ("active", "clients", "id")

    def __init__(self, framework_id: str) -> None:
        self.id = framework_id
        self.active = True
        self.clients: dict[str, Client] = {}


class Role(Member):
    """A role: what all its clients hold together, and those of them who may be offered something."""

    __slots__ = ("clients", "name", "population")

    def __init__(self, name: str, index: int, weight: float, cluster: Cluster) -> None:
        super().__init__(index)
        self.name = name
        self.weight = weight
        self.clients: Ranking[Client] = Ranking(cluster)
        self.population = 0


class Client(Member):
    """A framework in one of its roles.

    It outlives its subscription for as long as it holds something (``holdings`` counts agents),
    and may precede it: agents report what runs before the framework is back.
    """

    __slots__ = ("eligible", "filtered", "framework_id", "holdings", "role", "subscribed", "suppressed")

    def __init__(self, framework_id: str, role: Role, index: int) -> None:
        super().__init__(index)
        self.framework_id = framework_id
        self.role = role
        self.subscribed = False
        self.suppressed = False
        self.eligible = False
        self.holdings = 0
        self.filtered: set[Agent] = set()

    def forget_refusals(self) -> None:
        """It refuses nothing any more."""
        for agent in list(self.filtered):
            agent.forget_refusals(self)


class Agent:
    """An agent: what it has, who holds what of it, who has refused what of it.

    ``wake`` is when the first refusal ends of an agent whose free resources nobody wants.
    """

    __slots__ = ("active", "amounts", "free", "held", "id", "overcommitted", "refused", "total", "wake")

    def __init__(self, agent_id: str, total: Resources) -> None:
        self.id = agent_id
        self.total = total
        self.active = True
        self.held: dict[Client, Resources] = {}
        self.refused: dict[Client, tuple[Filter, ...]] = {}
        self.overcommitted = False
        self.wake = inf
        self.set_free(total)

    def set_free(self, free: Resources) -> None:
        self.free = free
        self.amounts: Amounts = amounts(free)

    def recount(self) -> None:
        """Work out what is free from what is held; more may be held than there is."""
        free = self.total
        self.overcommitted = False
        for resources in self.held.values():
            self.overcommitted = self.overcommitted or not free.contains(resources)
            free = free - resources
        self.set_free(free)

    def refuse(self, client: Client, resources: Resources, until: float) -> None:
        """Note a refusal; those that it makes pointless go."""
        new = Filter(client.framework_id, client.role.name, resources, until)
        older = self.refused.get(client, ())
        if any(old.until >= until and old.resources.contains(resources) for old in older):
            return
        kept = tuple(old for old in older if old.until > until or not resources.contains(old.resources))
        self.refused[client] = (*kept, new)
        client.filtered.add(self)

    def refused_until(self, client: Client, now: float) -> float:
        """How long ``client`` refuses what is free now; 0 if it doesn't."""
        free = self.free
        until = 0.0
        for old in self.refused.get(client, ()):
            if old.until > now and old.until > until and (old.resources is free or old.resources.contains(free)):
                until = old.until
        return until

    def forget_refusals(self, client: Client, up_to: float = inf) -> None:
        """Drop the refusals of ``client`` that end by ``up_to``."""
        kept = tuple(old for old in self.refused.get(client, ()) if old.until > up_to)
        if kept:
            self.refused[client] = kept
        else:
            self.refused.pop(client, None)
            client.filtered.discard(self)
