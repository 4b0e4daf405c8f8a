"""Any sequence of operations, against a model that scans everything."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from headrace.mesos.master.allocator import Allocation, Allocator
from headrace.mesos.resources import EMPTY, Reservation, Resources, Tag
from tests.unit.mesos.master.allocator_model import Client, Model, stripped
from tests.unit.mesos.walks import Walker, walk

framework_ids = st.sampled_from(["f", "g", "h", "i", "j", "k"])
agent_ids = st.sampled_from(["s1", "s2", "s3", "s4"])
role_names = st.sampled_from(["x", "y", "z", "x/a", "x/b", "x/a/c"])
tops = st.sampled_from(["x", "y", "z"])
role_sets = st.sets(role_names, max_size=3)
capability_sets = st.sampled_from(
    [
        frozenset[str](),
        frozenset({"SHARED_RESOURCES", "RESERVATION_REFINEMENT"}),
        frozenset({"GPU_RESOURCES", "REGION_AWARE", "REVOCABLE_RESOURCES"}),
    ]
)
OF_X = Tag((Reservation("x"),))
OF_A = Tag((Reservation("x"), Reservation("x/a", dynamic=True)))
SHARED = Tag((Reservation("x"),), volume="shared", shared_size=500_000)
sizes = st.sampled_from(
    [
        Resources({"cpus": 4000, "mem": 4_096_000}, {"ports": ((1, 8),)}),
        Resources({"cpus": 2000, "mem": 8_192_000, "gpus": 2000}, {"ports": ((1, 8),)}),
        Resources.of(cpus=1, disk=100),
        Resources.of(mem=16),
        Resources({"mem": 64_000}, {"ports": ((1, 4),)}),
        Resources({"cpus": 1000}, parts={OF_X: Resources.of(cpus=2), OF_A: Resources.of(mem=64)}),
        Resources({"cpus": 2000}, parts={SHARED: Resources({"disk": 1000}), Tag(revocable=True): Resources.of(cpus=2)}),
        Resources({"mem": 64_000}, parts={Tag(source=b'{"type":"MOUNT"}'): Resources.of(disk=1000)}),
        Resources(parts={OF_A: Resources.of(cpus=2, mem=64)}),
    ]
)
leasts = st.dictionaries(
    role_names, st.sampled_from([(), (Resources.of(cpus=2),), (Resources.of(disk=1),)]), max_size=1
)
exclusions = st.dictionaries(role_names, st.frozensets(agent_ids, min_size=1), max_size=1)
amounts = st.dictionaries(st.sampled_from(["cpus", "mem", "disk"]), st.sampled_from([0.0, 1.0, 3.0, 64.0]), max_size=2)
waits = st.sampled_from([0.0, 1.0, 5.0, 60.0])


class Machine(Walker):
    """What the allocator is told, the model is told too."""

    def __init__(self) -> None:
        super().__init__()
        self.allocator = Allocator(shuffle=lambda ids: ids.reverse(), region="here")
        self.model = Model()

    # Frameworks

    @initialize(agents=st.sets(agent_ids, min_size=2), clients=st.dictionaries(framework_ids, role_sets, min_size=1))
    def start(self, agents: set[str], clients: dict[str, set[str]]) -> None:
        for agent in sorted(agents):
            self.model.totals[agent] = Resources.of(cpus=4, mem=4096)
            self.allocator.add_agent(agent, self.model.totals[agent], {})
        for framework, roles in clients.items():
            self.model.subscribe(framework, sorted(roles), ())
            self.allocator.add_framework(framework, sorted(roles))

    @rule(
        framework=framework_ids,
        roles=role_sets,
        suppressed=role_sets,
        capabilities=capability_sets,
        least=leasts,
        excluded=exclusions,
        data=st.data(),
    )
    def add_framework(
        self,
        framework: str,
        roles: set[str],
        suppressed: set[str],
        capabilities: frozenset[str],
        least: dict[str, Any],
        excluded: dict[str, frozenset[str]],
        data: Any,
    ) -> None:
        model = self.model
        if framework in model.active:
            return
        used = data.draw(st.dictionaries(agent_ids, st.dictionaries(role_names, sizes, max_size=1), max_size=1))
        self.allocator.add_framework(
            framework,
            sorted(roles),
            suppressed=suppressed,
            used=used,
            capabilities=capabilities,
            min_allocatable=least,
            constraints={role: excluding(agents) for role, agents in excluded.items()},
        )
        for agent, by_role in used.items():
            for role, resources in by_role.items():
                if agent in model.totals:
                    model.set_held(agent, (framework, role), resources)
        model.subscribe(framework, sorted(roles), suppressed)
        model.describe(framework, capabilities, least, excluded)

    @rule(
        framework=framework_ids,
        roles=role_sets,
        suppressed=role_sets,
        capabilities=capability_sets,
        least=leasts,
        excluded=exclusions,
        same=st.booleans(),
    )
    def update_framework(
        self,
        framework: str,
        roles: set[str],
        suppressed: set[str],
        capabilities: frozenset[str],
        least: dict[str, Any],
        excluded: dict[str, frozenset[str]],
        same: bool,
    ) -> None:
        model = self.model
        if framework not in model.active:
            return
        if same:
            self.allocator.update_framework(framework, sorted(roles), suppressed)
        else:
            constraints = {role: excluding(agents) for role, agents in excluded.items()}
            self.allocator.update_framework(
                framework,
                sorted(roles),
                suppressed,
                capabilities=capabilities,
                min_allocatable=least,
                constraints=constraints,
            )
            model.describe(framework, capabilities, least, excluded)
        model.subscribe(framework, sorted(roles), suppressed)

    @rule(framework=framework_ids)
    def remove_framework(self, framework: str) -> None:
        if framework in self.model.active:
            self.allocator.remove_framework(framework)
            self.model.subscribe(framework, (), ())
            del self.model.active[framework]
            self.model.describe(framework, frozenset(), {}, {})

    @rule(framework=framework_ids, active=st.booleans())
    def connect_framework(self, framework: str, active: bool) -> None:
        if framework not in self.model.active:
            return
        if active:
            self.allocator.activate_framework(framework)
        else:
            self.allocator.deactivate_framework(framework)
            for client in self.model.suppressed:
                if client[0] == framework:
                    self.model.drop(client)
        self.model.active[framework] = active

    @rule(framework=framework_ids, some=st.booleans(), revive=st.booleans())
    def revive_or_suppress(self, framework: str, some: bool, revive: bool) -> None:
        if framework not in self.model.active:
            return
        roles = [role for f, role in self.model.suppressed if f == framework]
        chosen = roles[:1] if some else []
        (self.allocator.revive if revive else self.allocator.suppress)(framework, chosen)
        for role in chosen or roles:
            self.model.suppressed[framework, role] = not revive
            if revive:
                self.model.drop((framework, role))

    # Roles

    @rule(role=role_names, weight=st.sampled_from([0.5, 1, 3]))
    def update_weight(self, role: str, weight: float) -> None:
        self.allocator.update_weight(role, weight)
        self.model.weights[role] = weight

    @rule(role=tops, guarantees=amounts, limits=amounts)
    def update_quota(self, role: str, guarantees: dict[str, float], limits: dict[str, float]) -> None:
        self.allocator.update_quota(role, guarantees, limits)
        self.model.set_quota(role, guarantees, limits)

    @rule()
    def remove_all_quota(self) -> None:
        for role in list(self.model.quotas):
            self.update_quota(role, {}, {})

    # Agents

    @rule(
        agent=agent_ids,
        size=sizes,
        used=st.dictionaries(st.tuples(framework_ids, role_names), sizes, max_size=2),
        region=st.sampled_from([None, None, "here", "there"]),
    )
    def add_agent(self, agent: str, size: Resources, used: dict[Client, Resources], region: str | None) -> None:
        if agent in self.model.totals:
            return
        self.allocator.add_agent(agent, size, used, region=region)
        self.model.totals[agent] = size
        if region == "there":
            self.model.remote.add(agent)
        for client, resources in used.items():
            self.model.set_held(agent, client, resources)

    @rule(agent=agent_ids, size=sizes)
    def update_agent(self, agent: str, size: Resources) -> None:
        if agent in self.model.totals:
            self.allocator.update_agent(agent, size)
            self.model.totals[agent] = size

    @rule(agent=agent_ids)
    def remove_agent(self, agent: str) -> None:
        if agent in self.model.totals:
            self.allocator.remove_agent(agent)
            self.model.remove_agent(agent)

    @rule(agent=agent_ids, active=st.booleans())
    def connect_agent(self, agent: str, active: bool) -> None:
        if agent in self.model.totals:
            (self.allocator.activate_agent if active else self.allocator.deactivate_agent)(agent)
            (self.model.disconnected.discard if active else self.model.disconnected.add)(agent)

    # What is held

    @precondition(lambda self: self.model.held)
    @rule(data=st.data(), part=st.sampled_from(["all", "scalars", "half", "parts"]), wait=st.none() | waits)
    def recover(self, data: Any, part: str, wait: float | None) -> None:
        agent, client = data.draw(st.sampled_from(sorted(self.model.held)))
        held = self.model.held[agent, client]
        resources = {
            "all": held,
            "scalars": Resources(held.scalars),
            "half": Resources({name: value // 2 for name, value in held.scalars.items()}, held.ranges),
            "parts": Resources(parts=held.parts),
        }[part]
        self.give_back(agent, client, resources, None if wait is None else self.model.now + wait)

    def give_back(self, agent: str, client: Client, resources: Resources, until: float | None) -> None:
        model = self.model
        self.allocator.recover(agent, client[0], client[1], resources, refuse_until=until)
        model.set_held(agent, client, model.held[agent, client] - resources)
        if until is not None and client in model.suppressed and model.active[client[0]]:
            model.filters.setdefault((agent, client), []).append((resources, until))

    @precondition(lambda self: self.model.held)
    @rule(data=st.data())
    def convert(self, data: Any) -> None:
        """RESERVE, UNRESERVE, CREATE and DESTROY, of an offer or a part of it."""
        model = self.model
        agent, client = data.draw(st.sampled_from(sorted(model.held)))
        held = model.held[agent, client]
        if not model.totals[agent].contains(stripped(held)):
            return
        choices: list[tuple[Resources, Resources]] = []
        if amount := held.scalars.get("cpus", 0) // 2:
            cpus = Resources({"cpus": amount})
            choices.append((cpus, cpus.tagged(Tag((Reservation(client[1], dynamic=True),)))))
        for tag, part in held.parts.items():
            if tag.shared:
                continue
            choices.append((part.tagged(tag), part))
            if tag.reservations and not tag.whole and (disk := part.scalars.get("mem")):
                volume = Tag(tag.reservations, volume=f"v{model.now}", shared_size=disk)
                choices.append((Resources({"mem": disk}).tagged(tag), Resources({"disk": 1000}).tagged(volume)))
        if choices:
            before, after = data.draw(st.sampled_from(choices))
            self.allocator.update_allocation(agent, client[0], client[1], before, after)
            model.set_held(agent, client, held - before + after)
            model.totals[agent] = model.totals[agent] - before + after

    # Cycles

    @rule(waits=st.lists(st.sampled_from([5.0, 60.0]), min_size=1))
    def refuse_everything(self, waits: list[float]) -> None:
        waits = waits * 300
        while offers := self.cycle():
            for offer in offers:
                client = (offer.framework_id, offer.role)
                self.give_back(offer.agent_id, client, offer.resources, self.model.now + waits.pop())

    @rule(wait=waits)
    def allocate(self, wait: float) -> None:
        self.model.now += wait
        self.cycle()

    def cycle(self) -> list[Allocation]:
        model = self.model
        allocations = self.allocator.allocate(model.now)
        for allocation in allocations:
            self.check_and_apply(allocation)
        for agent in model.totals:
            assert not model.wanting(agent), "a full scan would offer this agent"
            for client in model.eligible():
                assert "candidate" not in self.allocator.explain(*client, agent)
        self.check_next_expiry()
        return allocations

    def check_and_apply(self, allocation: Allocation) -> None:
        model = self.model
        agent, client = allocation.agent_id, (allocation.framework_id, allocation.role)
        assert agent not in model.disconnected
        assert allocation.resources in model.offers(agent, client)
        if not model.quotas:
            assert client in model.next_in_turn(model.wanting(agent))
        model.set_held(agent, client, model.held.get((agent, client), EMPTY) + allocation.resources)
        self.check_limits(client, allocation.resources)

    def check_limits(self, client: Client, granted: Resources) -> None:
        top = client[1].split("/")[0]
        if top in model_limits(self.model):
            consumed = self.model.consumed(top)
            for name, limit in model_limits(self.model)[top].items():
                anybodys = granted.where(lambda tag: not tag.reservations and not tag.revocable)
                assert not anybodys.quantity(name) or consumed.get(name, 0) <= limit

    def check_next_expiry(self) -> None:
        """It may be early, when the framework whose refusal ends has lost interest, but never late."""
        ends = [end for agent in self.model.totals for end in self.model.refusals(agent)]
        expiry = self.allocator.next_expiry()
        assert expiry is None or expiry > self.model.now
        assert (inf if expiry is None else expiry) <= min(ends, default=inf)

    # Always

    @invariant()
    def valid(self) -> None:
        self.allocator.validate()

    @invariant()
    def as_in_the_model(self) -> None:
        model = self.model
        for agent in model.totals:
            assert self.allocator.available(agent) == model.free(agent)
            held = {client: resources for (where, client), resources in model.held.items() if where == agent}
            assert self.allocator.held(agent) == held
        assert {*self.allocator.roles()} == {role for _, role in (*model.suppressed, *(c for _, c in model.held))}
        for role in self.allocator.roles():
            assert self.allocator.share(role) == model.share(role)
        for role, consumed in self.allocator.quota_consumption().items():
            assert consumed.scalars == {name: n for name, n in model.consumed(role).items() if n}


def excluding(agents: frozenset[str]) -> Callable[[str], bool]:
    return lambda agent: agent not in agents


def model_limits(model: Model) -> dict[str, dict[str, int]]:
    return {role: limits for role, (_, limits) in model.quotas.items()}


def test_allocator() -> None:
    walk(Machine, 1000, 30)
