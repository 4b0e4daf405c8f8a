"""What the allocator must do, as plain dicts and questions answered by looking at everything."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from headrace.mesos.resources import EMPTY, PLAIN, Resources, Tag

KINDS = ("cpus", "mem", "disk", "gpus")
LEAST = (Resources.of(cpus=0.01), Resources.of(mem=32))

Client = tuple[str, str]
Amounts = dict[str, int]


def stripped(resources: Resources) -> Resources:
    """Without shared volumes."""
    return resources.where(lambda tag: not tag.shared)


def is_worth(resources: Resources, least: tuple[Resources, ...]) -> bool:
    def enough(one: Resources) -> bool:
        return all(resources.quantity(name) >= amount for name, amount in one.scalars.items())

    return bool(stripped(resources)) and (not least or any(map(enough, least)))


def is_below(role: str, ancestor: str) -> bool:
    return f"{role}/".startswith(f"{ancestor}/")


class Model:
    """Everything is thousandths, as in Resources."""

    def __init__(self) -> None:
        self.now = 0.0
        self.active: dict[str, bool] = {}
        self.capabilities: dict[str, frozenset[str]] = {}
        self.least: dict[Client, tuple[Resources, ...]] = {}
        self.excluded: dict[Client, frozenset[str]] = {}
        self.suppressed: dict[Client, bool] = {}
        self.totals: dict[str, Resources] = {}
        self.remote: set[str] = set()
        self.disconnected: set[str] = set()
        self.held: dict[tuple[str, Client], Resources] = {}
        self.filters: dict[tuple[str, Client], list[tuple[Resources, float]]] = {}
        self.weights: dict[str, float] = {}
        self.quotas: dict[str, tuple[Amounts, Amounts]] = {}

    # How it changes

    def subscribe(self, framework: str, roles: Collection[str], suppressed: Collection[str]) -> None:
        self.active.setdefault(framework, True)
        for client in [client for client in self.suppressed if client[0] == framework and client[1] not in roles]:
            del self.suppressed[client]
            self.drop(client)
        self.suppressed.update({(framework, role): role in suppressed for role in roles})

    def describe(
        self,
        framework: str,
        capabilities: frozenset[str],
        least: dict[str, tuple[Resources, ...]],
        excluded: dict[str, frozenset[str]],
    ) -> None:
        self.capabilities[framework] = capabilities
        for mine in (self.least, self.excluded):
            for client in [client for client in mine if client[0] == framework]:
                del mine[client]
        self.least.update({(framework, role): one for role, one in least.items()})
        self.excluded.update({(framework, role): agents for role, agents in excluded.items()})

    def drop(self, filters_of: Client) -> None:
        for key in [key for key in self.filters if key[1] == filters_of]:
            del self.filters[key]

    def set_held(self, agent: str, client: Client, resources: Resources) -> None:
        self.held.pop((agent, client), None)
        if resources:
            self.held[agent, client] = resources

    def set_quota(self, role: str, guarantees: dict[str, float], limits: dict[str, float]) -> None:
        self.quotas.pop(role, None)
        if guarantees or limits:
            self.quotas[role] = (
                {name: round(1000 * amount) for name, amount in guarantees.items()},
                {name: round(1000 * amount) for name, amount in limits.items()},
            )

    def remove_agent(self, agent: str) -> None:
        del self.totals[agent]
        self.disconnected.discard(agent)
        self.remote.discard(agent)
        self.held = {key: resources for key, resources in self.held.items() if key[0] != agent}
        self.filters = {key: filters for key, filters in self.filters.items() if key[0] != agent}

    # What is there

    def free(self, agent: str) -> Resources:
        free = self.totals[agent]
        for (where, _), resources in self.held.items():
            if where == agent:
                free = free - stripped(resources)
        return free

    def eligible(self) -> list[Client]:
        return [client for client, suppressed in self.suppressed.items() if self.active[client[0]] and not suppressed]

    # Shares

    def share(self, role: str, *, framework: str | None = None, own: bool = False) -> float:
        """Of a role with those below it, of what it holds itself (``own``), or of a framework in it."""
        mine = [
            resources
            for (_, (f, x)), resources in self.held.items()
            if framework in (None, f) and (x == role if own or framework else is_below(x, role))
        ]
        totals = {kind: sum(total.quantity(kind) for total in self.totals.values()) for kind in KINDS}
        shares = [sum(r.quantity(kind) for r in mine) / total for kind, total in totals.items() if total]
        return max(shares, default=0.0) / (1 if own or framework else self.weights.get(role, 1))

    def next_in_turn(self, wanting: list[Client], above: str = "") -> list[Client]:
        """Who may be next of ``wanting``, who are all in roles below ``above``; several if their shares are equal."""
        roles = {role for _, role in [*self.suppressed, *(client for _, client in self.held)]}
        if above and not any(is_below(role, above) and role != above for role in roles):
            return self._lowest(wanting, {c: self.share(above, framework=c[0]) for c in wanting})
        children = {client: self._child(client[1], above) for client in wanting}
        shares = {
            client: self.share(above, own=True) if child == above else self.share(child)
            for client, child in children.items()
        }
        found: list[Client] = []
        for child in {children[client] for client in self._lowest(wanting, shares)}:
            inside = [client for client in wanting if children[client] == child]
            if child == above:
                found += self._lowest(inside, {c: self.share(above, framework=c[0]) for c in inside})
            else:
                found += self.next_in_turn(inside, child)
        return found

    @staticmethod
    def _child(role: str, above: str) -> str:
        if role == above:
            return role
        depth = above.count("/") + 2 if above else 1
        return "/".join(role.split("/")[:depth])

    @staticmethod
    def _lowest(clients: Iterable[Client], shares: dict[Client, float]) -> list[Client]:
        return [client for client in clients if shares[client] == min(shares.values())]

    # Quota

    def consumed(self, role: str) -> Amounts:
        total: Amounts = {}
        for resources in self.totals.values():
            for tag, part in resources.parts.items():
                if tag.reservations and is_below(tag.role, role):
                    for name, amount in part.scalars.items():
                        total[name] = total.get(name, 0) + (tag.shared_size or amount)
        for (_, (_, held_in)), resources in self.held.items():
            if is_below(held_in, role):
                for name, amount in self.anybodys(resources).items():
                    total[name] = total.get(name, 0) + amount
        return total

    @staticmethod
    def anybodys(resources: Resources) -> Amounts:
        counted = resources.where(lambda tag: not tag.reservations and not tag.revocable)
        names = {*counted.scalars, *(name for part in counted.parts.values() for name in part.scalars)}
        return {name: counted.quantity(name) for name in names}

    def missing(self, role: str) -> Amounts:
        consumed = self.consumed(role)
        guarantees = self.quotas.get(role, ({}, {}))[0]
        return {
            name: amount - consumed.get(name, 0)
            for name, amount in guarantees.items()
            if amount > consumed.get(name, 0)
        }

    def caps(self, role: str, offered: Resources, stage: int) -> Amounts | None:
        """How much of each kind at most; None if the stage is not for this role."""
        required: Amounts = {}
        for other in self.quotas:
            for name, amount in self.missing(other).items():
                required[name] = required.get(name, 0) + amount
        agents = [agent for agent in self.totals if agent not in self.disconnected]
        consumed, missing = self.consumed(role), self.missing(role)
        limits = self.quotas.get(role, ({}, {}))[1]
        caps: Amounts = {}
        progress = False
        for name, amount in self.anybodys(offered).items():
            headroom = sum(self.anybodys(self.free(agent)).get(name, 0) for agent in agents)
            cap = max(0, headroom - required[name]) if name in required else amount
            if stage == 1 and (needed := min(amount, missing.get(name, 0))):
                progress = True
                cap += needed
            if name in limits:
                cap = min(cap, max(0, limits[name] - consumed.get(name, 0)))
            caps[name] = min(cap, amount)
        return caps if progress or stage == 2 else None

    # Who may have what

    def offers(self, agent: str, client: Client) -> list[Resources]:
        """What may be offered, in the first stage or the second; refusals are left aside."""
        if agent in self.disconnected or agent in self.excluded.get(client, ()):
            return []
        capabilities = self.capabilities.get(client[0], frozenset())
        if agent in self.remote and "REGION_AWARE" not in capabilities:
            return []
        if self.totals[agent].quantity("gpus") and "GPU_RESOURCES" not in capabilities:
            return []
        entitled = self.free(agent).where(lambda tag: self._may_have(tag, client[1], capabilities))
        found = [self._cut(entitled, self.caps(client[1].split("/")[0], entitled, stage)) for stage in (1, 2)]
        return [offer for offer in found if is_worth(offer, self.least.get(client, LEAST))]

    @staticmethod
    def _may_have(tag: Tag, role: str, capabilities: frozenset[str]) -> bool:
        return (
            (not tag.reservations or is_below(role, tag.role))
            and (len(tag.reservations) < 2 or "RESERVATION_REFINEMENT" in capabilities)
            and (not tag.shared or "SHARED_RESOURCES" in capabilities)
            and (not tag.revocable or "REVOCABLE_RESOURCES" in capabilities)
        )

    @staticmethod
    def _cut(offered: Resources, caps: Amounts | None) -> Resources:
        if caps is None:
            return EMPTY
        kept = offered.where(lambda tag: bool(tag.reservations) or tag.revocable)
        plain = offered.plain
        scalars = {name: min(amount, caps[name]) for name, amount in plain.scalars.items()}
        kept = kept + Resources(scalars, plain.ranges, plain.sets)
        for tag, part in offered.parts.items():
            rest = {name: caps[name] - scalars.get(name, 0) for name in part.scalars if name in caps}
            if (
                not tag.reservations
                and not tag.revocable
                and tag != PLAIN
                and all(rest[name] >= amount for name, amount in part.scalars.items())
            ):
                kept = kept + part.tagged(tag)
        return kept

    def refused_until(self, agent: str, client: Client, offered: Resources) -> float:
        filters = self.filters.get((agent, client), [])
        return max((until for refused, until in filters if until > self.now and refused.contains(offered)), default=0)

    def wanting(self, agent: str) -> list[Client]:
        """Who would take something of the agent."""
        return [
            client
            for client in self.eligible()
            if any(not self.refused_until(agent, client, offer) for offer in self.offers(agent, client))
        ]

    def refusals(self, agent: str) -> list[float]:
        """When what clients refuse now may be offered to them."""
        return [
            until
            for client in self.eligible()
            for offer in self.offers(agent, client)
            if (until := self.refused_until(agent, client, offer))
        ]
