"""What the allocator keeps: agents, frameworks, roles, and clients (a framework in one of its roles)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import msgspec

from headrace.mesos.master.allocator.fairness import Amounts, Cluster, Member, Ranking, amounts
from headrace.mesos.master.allocator.grants import private
from headrace.mesos.resources import Resources

Least = tuple[Resources, ...]
"""Amounts, one of which an offer must contain; none at all: anything is worth an offer."""
Constraint = Callable[[str], bool]
"""Whether an agent, given by its id, may be offered."""


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
    """A framework and the roles that it is subscribed to; ``least`` and ``constraints`` by role."""

    __slots__ = ("active", "capabilities", "clients", "constraints", "id", "least")

    def __init__(self, framework_id: str) -> None:
        self.id = framework_id
        self.active = True
        self.clients: dict[str, Client] = {}
        self.capabilities: frozenset[str] = frozenset()
        self.least: Mapping[str, Least] = {}
        self.constraints: Mapping[str, Constraint] = {}


class Role(Member):
    """A role: what all its clients and those of the roles below it hold together, and who may be offered something.

    ``ranking`` ranks its clients. Once there are roles below it, it ranks these and ``own``: an implicit
    leaf that its clients then form, with a weight of 1.
    """

    __slots__ = ("children", "clients", "name", "own", "parent", "ranking", "top")

    def __init__(self, name: str, index: int, parent: Role | None, cluster: Cluster) -> None:
        super().__init__(index)
        self.name = name
        self.parent = parent
        self.top: str = parent.top if parent is not None and parent.top else name
        self.children: dict[str, Role] = {}
        self.clients: dict[Client, None] = {}
        self.own: Role | None = None
        self.ranking: Ranking[Any] = Ranking(cluster)


class Client(Member):
    """A framework in one of its roles.

    It outlives its subscription for as long as it holds something (``holdings`` counts agents),
    and may precede it: agents report what runs before the framework is back. ``leaf`` ranks it: its
    role or the implicit leaf of that. ``choosy``: it has its own ``least`` or a ``constraint``.
    """

    __slots__ = (
        *("capabilities", "choosy", "constraint", "eligible", "filtered", "framework_id", "holdings"),
        *("leaf", "least", "role", "subscribed", "suppressed", "verdicts"),
    )

    def __init__(self, framework_id: str, role: Role, index: int) -> None:
        super().__init__(index)
        self.framework_id = framework_id
        self.role = role
        self.leaf = role.own or role
        self.subscribed = False
        self.suppressed = False
        self.eligible = False
        self.holdings = 0
        self.filtered: set[Agent] = set()
        self.capabilities: frozenset[str] = frozenset()
        self.least: Least | None = None
        self.constraint: Constraint | None = None
        self.verdicts: dict[Agent, bool] = {}
        self.choosy = False

    def describe(self, capabilities: frozenset[str], least: Least | None, constraint: Constraint | None) -> bool:
        """Take over what the framework says of itself; whether that is new."""
        if (capabilities, least, constraint) == (self.capabilities, self.least, self.constraint):
            return False
        if constraint is not self.constraint:
            self.verdicts.clear()
        self.capabilities, self.least, self.constraint = capabilities, least, constraint
        self.choosy = least is not None or constraint is not None
        return True

    def accepts(self, agent: Agent) -> bool:
        """Whether its constraint, if it has one, lets it be offered that agent; asked once for each."""
        if self.constraint is None:
            return True
        verdict = self.verdicts.get(agent)
        if verdict is None:
            verdict = self.verdicts[agent] = self.constraint(agent.id)
        return verdict

    def place(self, cluster: Cluster) -> tuple[tuple[float, int, int], ...]:
        """Sorts clients of any roles as a walk through the tree of roles meets them."""
        turns = [self.turn(cluster)]
        node = self.leaf
        while node.parent is not None:
            turns.append(node.turn(cluster))
            node = node.parent
        return tuple(reversed(turns))

    def forget_refusals(self) -> None:
        """It refuses nothing any more."""
        for agent in list(self.filtered):
            agent.forget_refusals(self)


class Agent:
    """An agent: what it has, who holds what of it, who has refused what of it.

    Shared volumes are always free. ``needs`` are capabilities without which nothing of it is offered.
    ``plain``: what is free is worth an offer, and anybody may have all of it, as far as the agent is
    concerned. ``wake`` is when the first refusal ends of an agent whose free resources nobody wants.
    ``counted`` is what of it counts as headroom for quota.
    """

    __slots__ = (
        *("active", "amounts", "counted", "free", "held", "id", "needs", "overcommitted"),
        *("plain", "refused", "remote", "total", "wake"),
    )

    def __init__(self, agent_id: str, total: Resources, *, remote: bool = False) -> None:
        self.id = agent_id
        self.total = total
        self.remote = remote
        self.needs: frozenset[str] = frozenset()
        self.active = True
        self.held: dict[Client, Resources] = {}
        self.refused: dict[Client, tuple[Filter, ...]] = {}
        self.counted: dict[str, int] = {}
        self.overcommitted = False
        self.plain = False
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
            taken = private(resources)
            self.overcommitted = self.overcommitted or not free.contains(taken)
            free = free - taken
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

    def refused_until(self, client: Client, now: float, offered: Resources) -> float:
        """How long ``client`` refuses ``offered``; 0 if it doesn't."""
        until = 0.0
        for old in self.refused.get(client, ()):
            if old.until > now and old.until > until and (old.resources is offered or old.resources.contains(offered)):
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
