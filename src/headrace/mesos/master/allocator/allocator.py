"""The allocator: which free resources of which agent are to be offered to whom.

The rules are those of Mesos's hierarchical DRF allocator. Roles form a tree; at each level the one
with the lowest weighted dominant share is next, and in a role the framework with the lowest
dominant share, unless it is inactive, has suppressed the role, or has refused these very resources
of the agent (or more) and the refusal has not ended. It gets everything that is free on the agent
and that it may have: by reservation and capability (``grants``), by quota (``quota``), by its own
constraints. What it may not have stays free for others. What is offered counts as held until it is recovered.

It is incremental (``cycle``): a cycle costs what has changed, and the steady state nothing.
Pure: no clock, no randomness, no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from headrace.mesos.master.allocator.cycle import Cycle
from headrace.mesos.master.allocator.explain import explain
from headrace.mesos.master.allocator.fairness import KINDS, Amounts
from headrace.mesos.master.allocator.invariants import validate, validate_work
from headrace.mesos.master.allocator.ledger import Ledger
from headrace.mesos.master.allocator.model import Agent, Allocation, Client, Constraint, Filter, Framework, Least
from headrace.mesos.master.allocator.quota import Quota, consumption, thousandths
from headrace.mesos.resources import EMPTY, Resources

MIN_ALLOCATABLE: Least = (Resources.of(cpus=0.01), Resources.of(mem=32))


class Allocator:
    """Decides offers; see the module. ValueError for what can't be, such as an unknown id; nothing changes then."""

    def __init__(
        self,
        *,
        shuffle: Callable[[list[str]], None] | None = None,
        min_allocatable: Least = MIN_ALLOCATABLE,
        filter_gpus: bool = True,
        region: str | None = None,
    ) -> None:
        """``shuffle`` puts agent ids in a new order, in place; without it agents keep theirs.

        Only resources that contain the amounts of one of ``min_allocatable`` are offered; if it is empty, all are.
        ``filter_gpus``: agents that have GPUs are for frameworks with GPU_RESOURCES only. ``region`` is the master's.
        """
        self._region = region
        self._ledger = Ledger(filter_gpus=filter_gpus)
        self._cycle = Cycle(self._ledger, min_allocatable, shuffle)

    # Frameworks

    def add_framework(
        self,
        framework_id: str,
        roles: Collection[str],
        *,
        suppressed: Collection[str] = (),
        used: Mapping[str, Mapping[str, Resources]] | None = None,
        capabilities: Collection[str] = (),
        min_allocatable: Mapping[str, Least] | None = None,
        constraints: Mapping[str, Constraint] | None = None,
    ) -> None:
        """A framework has subscribed; it is active.

        ``capabilities``: as in FrameworkInfo. ``min_allocatable`` by role: instead of the allocator's; () for
        anything. ``constraints`` by role: given an agent's id, whether it may be offered; asked once for each agent.
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
                self._cycle.touch(agent)
        self.update_framework(
            framework_id,
            roles,
            suppressed,
            capabilities=capabilities,
            min_allocatable=min_allocatable,
            constraints=constraints,
        )

    def update_framework(
        self,
        framework_id: str,
        roles: Collection[str],
        suppressed: Collection[str],
        *,
        capabilities: Collection[str] | None = None,
        min_allocatable: Mapping[str, Least] | None = None,
        constraints: Mapping[str, Constraint] | None = None,
    ) -> None:
        """The framework is now subscribed to ``roles`` and wants no offers for ``suppressed``. Refusals stay.

        What is None stays as it was; an empty mapping takes all off.
        """
        framework = self._ledger.framework(framework_id)
        if capabilities is not None:
            framework.capabilities = frozenset(capabilities)
        if min_allocatable is not None:
            framework.least = min_allocatable
        if constraints is not None:
            framework.constraints = constraints
        for role in [role for role in framework.clients if role not in roles]:
            self._unsubscribe(framework.clients.pop(role))
        for role in roles:
            client = framework.clients[role] = self._ledger.client(framework_id, role)
            client.subscribed = True
            client.suppressed = role in suppressed
            self._describe(client, framework.capabilities, framework.least.get(role), framework.constraints.get(role))
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
                self._cycle.newcomers[client] = None
            client.forget_refusals()

    def suppress(self, framework_id: str, roles: Collection[str]) -> None:
        """The framework wants no offers for ``roles`` (none given: all). Refusals stay."""
        for client in self._ledger.chosen(framework_id, roles):
            client.suppressed = True
            self._review(client)

    def _describe(
        self, client: Client, capabilities: frozenset[str], least: Least | None, constraint: Constraint | None
    ) -> None:
        """If the framework says anything new of itself, it might now have what it could not have before."""
        if client.describe(capabilities, least, constraint):
            (self._ledger.constrained.add if constraint else self._ledger.constrained.discard)(client)
            self._cycle.set_lax(client, least is not None)
            if client.eligible:
                self._cycle.newcomers[client] = None

    def _review(self, client: Client) -> None:
        """May ``client`` be offered anything? If that is new, everything offerable is worth a look."""
        active = client.subscribed and self._ledger.frameworks[client.framework_id].active
        eligible = active and not client.suppressed
        if eligible and not client.eligible:
            self._cycle.newcomers[client] = None
        elif not eligible:
            self._cycle.newcomers.pop(client, None)
        self._ledger.tree.set_eligible(client, eligible)

    def _unsubscribe(self, client: Client) -> None:
        client.subscribed = False
        client.forget_refusals()
        self._describe(client, frozenset(), None, None)
        self._review(client)
        self._ledger.forget_if_done(client)

    # Roles

    def update_weight(self, role: str, weight: float) -> None:
        """A role with weight 2 gets twice the share of a sibling with 1, which is what every role starts with."""
        self._ledger.tree.set_weight(role, weight)

    def update_quota(self, role: str, guarantees: Mapping[str, float], limits: Mapping[str, float]) -> None:
        """What a top-level role (with the roles below it) is to get at least, and may have at most, by resource name.

        What is not named has no guarantee or no limit; both empty: the role has no quota. Offers stay:
        see ``over_limit``. Raises ValueError for a role that is not top-level and for amounts that are none.
        """
        if "/" in role:
            raise ValueError(f"role '{role}' can't have a quota: it is not a top-level role")
        quota = Quota(thousandths(role, "guarantee", guarantees), thousandths(role, "limit", limits))
        self._ledger.set_quota(role, quota if guarantees or limits else None)
        self._cycle.look_at_all()

    def over_limit(self, role: str) -> Resources:
        """By how much a role exceeds its limits (falsy: it doesn't): so much is to be rescinded of its offers."""
        return self._ledger.quotas.excess(role)

    def quota_consumption(self) -> dict[str, Resources]:
        """What counts against quota, for every role, subroles included: reservations, and what is held unreserved."""
        return consumption(self._ledger.agents.values())

    # Agents

    def add_agent(
        self,
        agent_id: str,
        total: Resources,
        used: Mapping[tuple[str, str], Resources],
        *,
        region: str | None = None,
    ) -> None:
        """An agent has registered; it is active. One of another ``region`` is for REGION_AWARE frameworks only.

        ``used`` by (framework id, role) is what runs there; the frameworks need not be known yet.
        """
        ledger = self._ledger
        if agent_id in ledger.agents:
            raise ValueError(f"agent {agent_id} is already known to the allocator")
        remote = region is not None and self._region is not None and region != self._region
        agent = Agent(agent_id, total, remote=remote)
        ledger.add_agent(agent)
        for (framework_id, role), resources in used.items():
            ledger.hold(agent, ledger.client(framework_id, role), resources)
        ledger.count_free(agent)
        self._cycle.touch(agent)

    def update_agent(self, agent_id: str, total: Resources) -> None:
        """What the agent has in all is another: an operator's operation, or oversubscription. Holders keep theirs."""
        agent = self._ledger.agent(agent_id)
        self._ledger.set_total(agent, total)
        self._cycle.touch(agent)

    def remove_agent(self, agent_id: str) -> None:
        """The agent is gone, and with it all that was held of it: recovering that has no effect."""
        agent = self._ledger.agent(agent_id)
        self._cycle.withdraw(agent)
        self._ledger.remove_agent(agent)

    def activate_agent(self, agent_id: str) -> None:
        """The agent is connected: what is free there may be offered."""
        agent = self._ledger.agent(agent_id)
        if not agent.active:
            agent.active = True
            self._ledger.count_free(agent)
            self._cycle.touch(agent)

    def deactivate_agent(self, agent_id: str) -> None:
        """The agent is disconnected: nothing of it is offered. What is held of it stays held."""
        agent = self._ledger.agent(agent_id)
        agent.active = False
        self._ledger.count_free(agent)
        self._cycle.withdraw(agent)

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
        client = ledger.holder(agent, framework_id, role, resources)
        ledger.give_back(agent, client, resources)
        if refuse_until is not None and client.subscribed and ledger.frameworks[framework_id].active:
            agent.refuse(client, resources, refuse_until)
        ledger.forget_if_done(client)
        self._cycle.touch(agent)

    def update_allocation(
        self, agent_id: str, framework_id: str, role: str, before: Resources, after: Resources
    ) -> None:
        """A part of what a client holds is converted (RESERVE, CREATE, GROW_VOLUME, …), and the agent's total with it.

        Raises ValueError if the client doesn't hold ``before``, or the agent is not known.
        """
        ledger = self._ledger
        agent = ledger.agent(agent_id)
        client = ledger.holder(agent, framework_id, role, before)
        ledger.convert(agent, client, before, after)
        ledger.forget_if_done(client)
        self._cycle.touch(agent)

    # Decisions

    def allocate(self, now: float) -> list[Allocation]:
        """What is to be offered now. Looks only at agents that have a reason to be looked at."""
        return self._cycle.allocate(now)

    def next_expiry(self) -> float | None:
        """The earliest end of a refusal that could lead to an allocation: call ``allocate`` then."""
        return self._cycle.next_expiry()

    # Views

    @property
    def total(self) -> Resources:
        """What all agents together have of the kinds that count for fairness."""
        return _resources(self._ledger.cluster.total)

    def roles(self) -> list[str]:
        """Every role that a framework is subscribed to or holds something in."""
        return [name for name, role in self._ledger.tree.roles.items() if role.clients]

    def weight(self, role: str) -> float:
        """The weight of ``role``; 1 unless it was given another."""
        return self._ledger.tree.weights.get(role, 1.0)

    def share(self, role: str, framework_id: str | None = None) -> float:
        """The weighted dominant share of a role with those below it, or of a framework in it; 0 for an unknown one."""
        member = self._ledger.member(role, framework_id)
        return member.share(self._ledger.cluster) if member else 0.0

    def allocated(self, role: str, framework_id: str | None = None) -> Resources:
        """What a role with those below it, or one framework in it, holds of the kinds that count for fairness."""
        member = self._ledger.member(role, framework_id)
        return _resources(member.holds) if member else EMPTY

    def held(self, agent_id: str) -> dict[tuple[str, str], Resources]:
        """Who holds what of an agent, by (framework id, role)."""
        held = self._ledger.agent(agent_id).held
        return {(client.framework_id, client.role.name): resources for client, resources in held.items()}

    def available(self, agent_id: str) -> Resources:
        """What nobody holds of an agent, and its shared volumes."""
        return self._ledger.agent(agent_id).free

    def filters(self, agent_id: str) -> list[Filter]:
        """The refusals of an agent; some of them may have ended."""
        return [refusal for refusals in self._ledger.agent(agent_id).refused.values() for refusal in refusals]

    def explain(self, framework_id: str, role: str, agent_id: str) -> str:
        """Why the agent is not offered to the framework in that role, in words."""
        return explain(self._ledger, self._cycle.least, framework_id, role, agent_id)

    def validate(self) -> None:
        """Assert every invariant; for tests."""
        validate(self._ledger)
        validate_work(self._ledger, self._cycle)


def _resources(held: Amounts) -> Resources:
    return Resources(dict(zip(KINDS, held, strict=True)))
