"""Any sequence of operations, against a model that scans everything."""

from __future__ import annotations

from math import inf
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.mesos.master.allocator import Allocation, Allocator
from headrace.mesos.resources import EMPTY, Resources

KINDS = ("cpus", "mem", "disk", "gpus")
LEAST = (Resources.of(cpus=0.01), Resources.of(mem=32))

framework_ids = st.sampled_from(["f", "g", "h", "i", "j", "k"])
agent_ids = st.sampled_from(["s1", "s2", "s3", "s4"])
role_names = st.sampled_from(["x", "y", "z"])
role_sets = st.sets(role_names)
sizes = st.sampled_from(
    [
        Resources({"cpus": 4000, "mem": 4_096_000}, {"ports": ((1, 8),)}),
        Resources({"cpus": 2000, "mem": 8_192_000, "gpus": 2000}, {"ports": ((1, 8),)}),
        Resources.of(cpus=1, disk=100),
        Resources.of(mem=16),
        Resources({"mem": 64_000}, {"ports": ((1, 4),)}),
    ]
)
waits = st.sampled_from([0.0, 1.0, 5.0, 60.0])

Client = tuple[str, str]


class Machine(RuleBasedStateMachine):
    """The model: plain dicts, and questions answered by looking at everything."""

    def __init__(self) -> None:
        super().__init__()
        self.allocator = Allocator(min_allocatable=LEAST, shuffle=lambda ids: ids.reverse())
        self.now = 0.0
        self.active: dict[str, bool] = {}
        self.suppressed: dict[Client, bool] = {}
        self.totals: dict[str, Resources] = {}
        self.disconnected: set[str] = set()
        self.held: dict[tuple[str, Client], Resources] = {}
        self.filters: dict[tuple[str, Client], list[tuple[Resources, float]]] = {}
        self.weights: dict[str, float] = {}
        self.counts: dict[Client | str, int] = {}

    # What the model says

    def free(self, agent: str) -> Resources:
        free = self.totals[agent]
        for (holder_agent, _), resources in self.held.items():
            if holder_agent == agent:
                free = free - resources
        return free

    def offerable(self) -> list[str]:
        return [
            agent
            for agent in self.totals
            if agent not in self.disconnected and any(self.free(agent).contains(least) for least in LEAST)
        ]

    def refused_until(self, agent: str, client: Client) -> float:
        free = self.free(agent)
        filters = self.filters.get((agent, client), [])
        return max((until for refused, until in filters if until > self.now and refused.contains(free)), default=0)

    def eligible(self) -> list[Client]:
        return [client for client, suppressed in self.suppressed.items() if self.active[client[0]] and not suppressed]

    def wanting(self, agent: str) -> list[Client]:
        return [client for client in self.eligible() if not self.refused_until(agent, client)]

    def share(self, role: str, framework: str | None = None) -> float:
        mine = [r for (_, (f, x)), r in self.held.items() if x == role and framework in (None, f)]
        totals = {kind: sum(total.scalars.get(kind, 0) for total in self.totals.values()) for kind in KINDS}
        shares = [sum(r.scalars.get(kind, 0) for r in mine) / total for kind, total in totals.items() if total]
        return max(shares, default=0.0) / (self.weights.get(role, 1) if framework is None else 1)

    def next_roles(self, wanting: list[Client]) -> set[str]:
        turns = {role: (self.share(role), self.counts.get(role, 0)) for _, role in wanting}
        return {role for role, turn in turns.items() if turn == min(turns.values())}

    def next_in_role(self, role: str, wanting: list[Client]) -> set[Client]:
        turns = {(f, x): (self.share(x, f), self.counts.get((f, x), 0)) for f, x in wanting if x == role}
        return {client for client, turn in turns.items() if turn == min(turns.values())}

    # How the model changes

    def drop(self, filters_of: Client) -> None:
        for key in [key for key in self.filters if key[1] == filters_of]:
            del self.filters[key]

    def forget_the_gone(self) -> None:
        clients = {*self.suppressed, *(client for _, client in self.held)}
        roles = {role for _, role in clients}
        self.counts = {who: n for who, n in self.counts.items() if who in clients or who in roles}

    def set_held(self, agent: str, client: Client, resources: Resources) -> None:
        self.held.pop((agent, client), None)
        if resources:
            self.held[agent, client] = resources
        self.forget_the_gone()

    # Operations

    @initialize(agents=st.sets(agent_ids, min_size=2), clients=st.dictionaries(framework_ids, role_sets, min_size=1))
    def start(self, agents: set[str], clients: dict[str, set[str]]) -> None:
        for agent in sorted(agents):
            self.totals[agent] = Resources.of(cpus=4, mem=4096)
            self.allocator.add_agent(agent, self.totals[agent], {})
        for framework, roles in clients.items():
            self.active[framework] = True
            self.suppressed.update({(framework, role): False for role in sorted(roles)})
            self.allocator.add_framework(framework, sorted(roles))

    @rule(framework=framework_ids, roles=role_sets, suppressed=role_sets, data=st.data())
    def add_framework(self, framework: str, roles: set[str], suppressed: set[str], data: Any) -> None:
        if framework in self.active:
            return
        used = data.draw(st.dictionaries(agent_ids, st.dictionaries(role_names, sizes, max_size=1), max_size=1))
        self.allocator.add_framework(framework, sorted(roles), suppressed=suppressed, used=used)
        self.active[framework] = True
        for agent, by_role in used.items():
            for role, resources in by_role.items():
                if agent in self.totals:
                    self.set_held(agent, (framework, role), resources)
        self.suppressed.update({(framework, role): role in suppressed for role in sorted(roles)})

    @rule(framework=framework_ids, roles=role_sets, suppressed=role_sets)
    def update_framework(self, framework: str, roles: set[str], suppressed: set[str]) -> None:
        if framework not in self.active:
            return
        self.allocator.update_framework(framework, sorted(roles), suppressed)
        for client in [client for client in self.suppressed if client[0] == framework]:
            if client[1] not in roles:
                del self.suppressed[client]
                self.drop(client)
        self.suppressed.update({(framework, role): role in suppressed for role in sorted(roles)})
        self.forget_the_gone()

    @rule(framework=framework_ids)
    def remove_framework(self, framework: str) -> None:
        if framework not in self.active:
            return
        self.allocator.remove_framework(framework)
        del self.active[framework]
        for client in [client for client in self.suppressed if client[0] == framework]:
            del self.suppressed[client]
            self.drop(client)
        self.forget_the_gone()

    @rule(framework=framework_ids, active=st.booleans())
    def connect_framework(self, framework: str, active: bool) -> None:
        if framework not in self.active:
            return
        if active:
            self.allocator.activate_framework(framework)
        else:
            self.allocator.deactivate_framework(framework)
            for client in self.suppressed:
                if client[0] == framework:
                    self.drop(client)
        self.active[framework] = active

    @rule(framework=framework_ids, some=st.booleans(), revive=st.booleans())
    def revive_or_suppress(self, framework: str, some: bool, revive: bool) -> None:
        if framework not in self.active:
            return
        roles = [role for f, role in self.suppressed if f == framework]
        chosen = roles[:1] if some else []
        (self.allocator.revive if revive else self.allocator.suppress)(framework, chosen)
        for role in chosen or roles:
            self.suppressed[framework, role] = not revive
            if revive:
                self.drop((framework, role))

    @rule(role=role_names, weight=st.sampled_from([0.5, 1, 3]))
    def update_weight(self, role: str, weight: float) -> None:
        self.allocator.update_weight(role, weight)
        self.weights[role] = weight

    @rule(agent=agent_ids, size=sizes, used=st.dictionaries(st.tuples(framework_ids, role_names), sizes, max_size=2))
    def add_agent(self, agent: str, size: Resources, used: dict[Client, Resources]) -> None:
        if agent in self.totals:
            return
        self.allocator.add_agent(agent, size, used)
        self.totals[agent] = size
        for client, resources in used.items():
            self.set_held(agent, client, resources)

    @rule(agent=agent_ids)
    def remove_agent(self, agent: str) -> None:
        if agent not in self.totals:
            return
        self.allocator.remove_agent(agent)
        del self.totals[agent]
        self.disconnected.discard(agent)
        self.held = {key: resources for key, resources in self.held.items() if key[0] != agent}
        self.filters = {key: filters for key, filters in self.filters.items() if key[0] != agent}
        self.forget_the_gone()

    @rule(agent=agent_ids, active=st.booleans())
    def connect_agent(self, agent: str, active: bool) -> None:
        if agent not in self.totals:
            return
        (self.allocator.activate_agent if active else self.allocator.deactivate_agent)(agent)
        (self.disconnected.discard if active else self.disconnected.add)(agent)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), part=st.sampled_from(["all", "scalars", "half"]), wait=st.none() | waits)
    def recover(self, data: Any, part: str, wait: float | None) -> None:
        agent, client = data.draw(st.sampled_from(sorted(self.held)))
        held = self.held[agent, client]
        resources = {
            "all": held,
            "scalars": Resources(held.scalars),
            "half": Resources({name: value // 2 for name, value in held.scalars.items()}, held.ranges),
        }[part]
        until = None if wait is None else self.now + wait
        self.give_back(agent, client, resources, until)

    def give_back(self, agent: str, client: Client, resources: Resources, until: float | None) -> None:
        self.allocator.recover(agent, client[0], client[1], resources, refuse_until=until)
        self.set_held(agent, client, self.held[agent, client] - resources)
        if until is not None and client in self.suppressed and self.active[client[0]]:
            self.filters.setdefault((agent, client), []).append((resources, until))

    @rule(waits=st.lists(st.sampled_from([5.0, 60.0]), min_size=1))
    def refuse_everything(self, waits: list[float]) -> None:
        waits = waits * 100
        while offers := self.cycle():
            for offer in offers:
                client = (offer.framework_id, offer.role)
                self.give_back(offer.agent_id, client, offer.resources, self.now + waits.pop())

    @rule(wait=waits)
    def allocate(self, wait: float) -> None:
        self.now += wait
        self.cycle()

    def cycle(self) -> list[Allocation]:
        allocations = self.allocator.allocate(self.now)
        for allocation in allocations:
            self.check_and_apply(allocation)
        for agent in self.offerable():
            assert not self.wanting(agent), "a full scan would offer this agent"
            for client in self.eligible():
                assert "has refused" in self.allocator.explain(*client, agent)
        self.check_next_expiry()
        return allocations

    def check_and_apply(self, allocation: Allocation) -> None:
        agent, client = allocation.agent_id, (allocation.framework_id, allocation.role)
        assert agent in self.offerable()
        assert allocation.resources == self.free(agent)
        wanting = self.wanting(agent)
        assert client[1] in self.next_roles(wanting)
        assert client in self.next_in_role(client[1], wanting)
        self.set_held(agent, client, self.held.get((agent, client), EMPTY) + allocation.resources)
        for who in (client, client[1]):
            self.counts[who] = self.counts.get(who, 0) + 1

    def check_next_expiry(self) -> None:
        """It may be early, when the framework whose refusal ends has lost interest, but never late."""
        ends = [self.refused_until(agent, client) for agent in self.offerable() for client in self.eligible()]
        expiry = self.allocator.next_expiry()
        assert expiry is None or expiry > self.now
        assert (inf if expiry is None else expiry) <= min(ends, default=inf)

    # Always

    @invariant()
    def valid(self) -> None:
        self.allocator.validate()

    @invariant()
    def as_in_the_model(self) -> None:
        for agent in self.totals:
            assert self.allocator.available(agent) == self.free(agent)
            held = {client: resources for (where, client), resources in self.held.items() if where == agent}
            assert self.allocator.held(agent) == held
        for role in self.allocator.roles():
            assert self.allocator.share(role) == self.share(role)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
