"""The allocator: which free resources of which agent are to be offered to whom.

The rules are those of Mesos's hierarchical DRF allocator. The role with the lowest weighted
dominant share is next, and in it the framework with the lowest dominant share, unless it is
inactive, has suppressed the role, or has refused these very resources of the agent (or more)
and the refusal has not ended. It gets everything that is free on the agent. What is offered
counts as held until it is recovered.

It is incremental. *Offerable* agents have something free that is worth an offer; *dirty* ones
of them have changed since they were last looked at. After ``allocate`` every offerable agent is
refused by everybody who could have it, and sleeps until it changes, the first refusal ends, or
a *newcomer* turns up, a client who could not or would not have it before. A cycle thus costs
what has changed, and the steady state nothing.

Pure: no clock, no randomness, no I/O. Seams for what is to come: a role is a member of a ranking
and so can rank child roles; quota limits whom ``_fair_order`` yields; reservations, what is granted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from math import inf

from headrace.mesos.master.allocator.explain import allocatable, explain
from headrace.mesos.master.allocator.fairness import KINDS, Amounts, amounts
from headrace.mesos.master.allocator.invariants import validate, validate_work
from headrace.mesos.master.allocator.ledger import Ledger
from headrace.mesos.master.allocator.model import Agent, Allocation, Client, Filter, Framework
from headrace.mesos.resources import EMPTY, Resources

MIN_ALLOCATABLE = (Resources.of(cpus=0.01), Resources.of(mem=32))
FEW = 4
"""So many newcomers are tried one by one; for more, every agent is looked at as a whole."""


class Allocator:
    """Decides offers; see the module. ValueError for what can't be, such as an unknown id; nothing changes then."""

    def __init__(
        self,
        *,
        shuffle: Callable[[list[str]], None] | None = None,
        min_allocatable: tuple[Resources, ...] = MIN_ALLOCATABLE,
    ) -> None:
        """``shuffle`` puts agent ids in a new order, in place; without it agents keep theirs.

        Only resources that contain one of ``min_allocatable`` are offered; if it is empty, all are.
        """
        self._shuffle = shuffle
        self._least = min_allocatable
        self._ledger = Ledger()
        self._offerable: dict[str, Agent] = {}
        self._dirty: dict[str, Agent] = {}
        self._newcomers: dict[Client, None] = {}
        self._wakes: list[tuple[float, str]] = []

    # Frameworks

    def add_framework(
        self,
        framework_id: str,
        roles: Collection[str],
        *,
        suppressed: Collection[str] = (),
        used: Mapping[str, Mapping[str, Resources]] | None = None,
    ) -> None:
        """A framework has subscribed; it is active.

        ``used`` (agent id, then role) is what it holds. It replaces what the agent reported of it;
        agents that are not known are passed over: they will report when they are added.
        """
        ledger = self._ledger
        if framework_id in ledger.frameworks:
            raise ValueError(f"framework {framework_id} is already known to the allocator")
        ledger.frameworks[framework_id] = Framework(framework_id)
        for agent_id, by_role in (used or {}).items():
            if agent := ledger.agents.get(agent_id):
                for role, resources in by_role.items():
                    ledger.hold(agent, ledger.client(framework_id, role), resources)
                self._touch(agent)
        self.update_framework(framework_id, roles, suppressed)

    def update_framework(self, framework_id: str, roles: Collection[str], suppressed: Collection[str]) -> None:
        """The framework is now subscribed to ``roles`` and wants no offers for ``suppressed``. Refusals stay."""
        framework = self._ledger.framework(framework_id)
        for role in [role for role in framework.clients if role not in roles]:
            self._unsubscribe(framework.clients.pop(role))
        for role in roles:
            client = framework.clients[role] = self._ledger.client(framework_id, role)
            client.subscribed = True
            client.suppressed = role in suppressed
            self._review(client)

    def remove_framework(self, framework_id: str) -> None:
        """The framework is gone for good; what it holds stays taken until it is recovered."""
        for client in self._ledger.framework(framework_id).clients.values():
            self._unsubscribe(client)
        del self._ledger.frameworks[framework_id]

    def activate_framework(self, framework_id: str) -> None:
        """The framework is connected: it may be offered resources."""
        framework = self._ledger.framework(framework_id)
        framework.active = True
        for client in framework.clients.values():
            self._review(client)

    def deactivate_framework(self, framework_id: str) -> None:
        """The framework is disconnected: no offers, and its refusals are forgotten."""
        framework = self._ledger.framework(framework_id)
        framework.active = False
        for client in framework.clients.values():
            client.forget_refusals()
            self._review(client)

    def revive(self, framework_id: str, roles: Collection[str]) -> None:
        """The framework wants offers again for ``roles`` (none given: all): no suppression, no refusals."""
        for client in self._ledger.chosen(framework_id, roles):
            client.suppressed = False
            self._review(client)
            if client.eligible and client.filtered:
                self._newcomers[client] = None
            client.forget_refusals()

    def suppress(self, framework_id: str, roles: Collection[str]) -> None:
        """The framework wants no offers for ``roles`` (none given: all). Refusals stay."""
        for client in self._ledger.chosen(framework_id, roles):
            client.suppressed = True
            self._review(client)

    def update_weight(self, role: str, weight: float) -> None:
        """A role with weight 2 gets twice the share of one with 1, which is what every role starts with."""
        self._ledger.set_weight(role, weight)

    # Agents

    def add_agent(self, agent_id: str, total: Resources, used: Mapping[tuple[str, str], Resources]) -> None:
        """An agent has registered; it is active.

        ``used`` by (framework id, role) is what runs there; the frameworks need not be known yet.
        """
        ledger = self._ledger
        if agent_id in ledger.agents:
            raise ValueError(f"agent {agent_id} is already known to the allocator")
        agent = ledger.agents[agent_id] = Agent(agent_id, total)
        ledger.cluster.grow(amounts(total))
        for (framework_id, role), resources in used.items():
            ledger.hold(agent, ledger.client(framework_id, role), resources)
        self._touch(agent)

    def remove_agent(self, agent_id: str) -> None:
        """The agent is gone, and with it all that was held of it: recovering that has no effect."""
        ledger = self._ledger
        agent = ledger.agent(agent_id)
        for client in list(agent.refused):
            agent.forget_refusals(client)
        for client in list(agent.held):
            ledger.hold(agent, client, EMPTY)
        self._withdraw(agent)
        del ledger.agents[agent_id]
        ledger.cluster.grow(amounts(agent.total), -1)

    def activate_agent(self, agent_id: str) -> None:
        """The agent is connected: what is free there may be offered."""
        agent = self._ledger.agent(agent_id)
        if not agent.active:
            agent.active = True
            self._touch(agent)

    def deactivate_agent(self, agent_id: str) -> None:
        """The agent is disconnected: nothing of it is offered. What is held of it stays held."""
        agent = self._ledger.agent(agent_id)
        agent.active = False
        self._withdraw(agent)

    def recover(
        self,
        agent_id: str,
        framework_id: str,
        role: str,
        resources: Resources,
        *,
        refuse_until: float | None = None,
    ) -> None:
        """Resources come back: declined, left of an offer, rescinded, or of a task that ended.

        With ``refuse_until`` the framework doesn't want them, or fewer, before that time. No effect
        if the agent is gone. Raises ValueError if the framework does not hold that much.
        """
        ledger = self._ledger
        agent = ledger.agents.get(agent_id)
        if agent is None:
            return
        client = ledger.clients.get((framework_id, role))
        held = agent.held.get(client) if client else None
        if client is None or held is None or not (held is resources or held.contains(resources)):
            raise ValueError(
                f"framework {framework_id} can't give back {resources} of agent {agent_id} for role '{role}': "
                f"it holds {held or 'nothing'}"
            )
        ledger.give_back(agent, client, resources)
        if refuse_until is not None and client.subscribed and ledger.frameworks[framework_id].active:
            agent.refuse(client, resources, refuse_until)
        ledger.forget_if_done(client)
        self._touch(agent)

    # Decisions

    def allocate(self, now: float) -> list[Allocation]:
        """What is to be offered now. Looks only at agents that have a reason to be looked at."""
        ledger, offerable, newcomers = self._ledger, self._offerable, self._newcomers
        ledger.settle()
        self._wake(now)
        if len(newcomers) > FEW:
            self._dirty = offerable.copy()
        order = list(offerable if newcomers else self._dirty) if ledger.ranking.order else []
        if self._shuffle:
            self._shuffle(order)
        allocations = []
        for agent_id in order:
            agent = offerable[agent_id]
            client = self._taker(agent, now)
            if client is not None:
                allocations.append(Allocation(client.framework_id, client.role.name, agent_id, agent.free))
                if agent.refused:
                    agent.forget_refusals(client, now)
                ledger.grant(agent, client)
                agent.wake = inf
                del offerable[agent_id]
        self._dirty.clear()
        newcomers.clear()
        return allocations

    def next_expiry(self) -> float | None:
        """The earliest end of a refusal that could lead to an allocation: call ``allocate`` then."""
        while self._wakes:
            at, agent_id = self._wakes[0]
            agent = self._offerable.get(agent_id)
            if agent is not None and agent.wake == at:
                return at
            heappop(self._wakes)
        return None

    def _taker(self, agent: Agent, now: float) -> Client | None:
        """Who gets what is free on ``agent``; None, and it sleeps, if nobody wants it."""
        changed = agent.id in self._dirty
        if changed and not agent.refused:
            return self._ledger.ranking.order[0][3].clients.order[0][3]
        wake = inf
        for client in self._fair_order() if changed else self._fair_newcomers():
            until = agent.refused_until(client, now)
            if not until:
                return client
            if until < wake:
                wake = until
        self._sleep(agent, wake)
        return None

    def _fair_order(self) -> Iterator[Client]:
        return (key[3] for role in self._ledger.ranking.order for key in role[3].clients.order)

    def _fair_newcomers(self) -> Iterable[Client]:
        if len(self._newcomers) == 1:
            return self._newcomers
        cluster = self._ledger.cluster
        return sorted(self._newcomers, key=lambda client: (client.role.turn(cluster), client.turn(cluster)))

    # Where there is something to do

    def _touch(self, agent: Agent) -> None:
        """Something about ``agent`` has changed: if it has anything to offer, it is to be looked at."""
        if agent.active and allocatable(agent.free, self._least):
            agent.wake = inf
            self._offerable[agent.id] = self._dirty[agent.id] = agent
        else:
            self._withdraw(agent)

    def _withdraw(self, agent: Agent) -> None:
        """``agent`` has nothing to offer."""
        agent.wake = inf
        self._offerable.pop(agent.id, None)
        self._dirty.pop(agent.id, None)

    def _sleep(self, agent: Agent, until: float) -> None:
        """Nobody wants ``agent`` before ``until``."""
        if until < agent.wake:
            agent.wake = until
            heappush(self._wakes, (until, agent.id))
            if len(self._wakes) > 2 * len(self._offerable) + 64:
                self._wakes = [(other.wake, other.id) for other in self._offerable.values() if other.wake < inf]
                heapify(self._wakes)

    def _wake(self, now: float) -> None:
        """Agents of which a refusal has ended are to be looked at again."""
        while self._wakes and self._wakes[0][0] <= now:
            at, agent_id = heappop(self._wakes)
            agent = self._offerable.get(agent_id)
            if agent is not None and agent.wake == at:
                agent.wake = inf
                self._dirty[agent_id] = agent

    def _review(self, client: Client) -> None:
        """May ``client`` be offered anything? If that is new, everything offerable is worth a look."""
        active = client.subscribed and self._ledger.frameworks[client.framework_id].active
        eligible = active and not client.suppressed
        if eligible and not client.eligible:
            self._newcomers[client] = None
        elif not eligible:
            self._newcomers.pop(client, None)
        self._ledger.set_eligible(client, eligible)

    def _unsubscribe(self, client: Client) -> None:
        client.subscribed = False
        client.forget_refusals()
        self._review(client)
        self._ledger.forget_if_done(client)

    # Views

    @property
    def total(self) -> Resources:
        """What all agents together have of the kinds that count for fairness."""
        return _resources(self._ledger.cluster.total)

    def roles(self) -> list[str]:
        """Every role that a framework is subscribed to or holds something in."""
        return list(self._ledger.roles)

    def weight(self, role: str) -> float:
        """The weight of ``role``; 1 unless it was given another."""
        return self._ledger.weights.get(role, 1.0)

    def share(self, role: str, framework_id: str | None = None) -> float:
        """The weighted dominant share of a role, or that of one framework in it; 0 for who is not known."""
        member = self._ledger.member(role, framework_id)
        return member.share(self._ledger.cluster) if member else 0.0

    def allocated(self, role: str, framework_id: str | None = None) -> Resources:
        """What a role, or one framework in it, holds of the kinds that count for fairness, offers included."""
        member = self._ledger.member(role, framework_id)
        return _resources(member.holds) if member else EMPTY

    def held(self, agent_id: str) -> dict[tuple[str, str], Resources]:
        """Who holds what of an agent, by (framework id, role)."""
        held = self._ledger.agent(agent_id).held
        return {(client.framework_id, client.role.name): resources for client, resources in held.items()}

    def available(self, agent_id: str) -> Resources:
        """What nobody holds of an agent."""
        return self._ledger.agent(agent_id).free

    def filters(self, agent_id: str) -> list[Filter]:
        """The refusals of an agent; some of them may have ended."""
        return [refusal for refusals in self._ledger.agent(agent_id).refused.values() for refusal in refusals]

    def explain(self, framework_id: str, role: str, agent_id: str) -> str:
        """Why the agent is not offered to the framework in that role, in words."""
        return explain(self._ledger, self._least, framework_id, role, agent_id)

    def validate(self) -> None:
        """Assert every invariant; for tests."""
        validate(self._ledger)
        validate_work(self._ledger, self._least, self._offerable, self._dirty, self._newcomers, self._wakes)


def _resources(held: Amounts) -> Resources:
    return Resources(dict(zip(KINDS, held, strict=True)))
