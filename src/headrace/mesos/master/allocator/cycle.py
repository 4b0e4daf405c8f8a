"""The cycle: which agents have a reason to be looked at, and who gets what of them.

*Offerable* agents have something free that is worth an offer; *dirty* ones of them have changed
since they were last looked at. After ``allocate`` every offerable agent is refused by everybody who
could have it, and sleeps until it changes, the first refusal ends, or a *newcomer* turns up, a client
who could not or would not have it before. Agents of which quota has *held back* something are
looked at again when a role may have more than it could then. The less a client may have of an agent
the less it can want it, so whoever refused needs not be asked again when others took a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf

from headrace.mesos.master.allocator.grants import allocatable, capped, entitled, owners
from headrace.mesos.master.allocator.ledger import Ledger
from headrace.mesos.master.allocator.model import Agent, Allocation, Client, Least
from headrace.mesos.master.allocator.wakes import Wakes
from headrace.mesos.resources import EMPTY, Resources

FEW = 4
"""So many newcomers are tried one by one; for more, every agent is looked at as a whole."""
MANY = 32
"""For so many who are capable of an agent it pays to sort them, rather than to walk past all who are not."""
AT_ONCE = 64
"""So many agents of which something was held back are looked at, before it is asked whether there is more to give."""
_VERDICTS = 1024

Allowed = dict[object, tuple[Resources, bool]]
"""By kind of client: what it may have of an agent, and whether that is worth an offer to most."""


class Cycle:
    """Decides offers over a ledger. ``lax`` are clients with a minimum of their own for offers."""

    def __init__(self, ledger: Ledger, least: Least, shuffle: Callable[[list[str]], None] | None) -> None:
        self._ledger = ledger
        self.least = least
        self._shuffle = shuffle
        self.offerable: dict[str, Agent] = {}
        self.dirty: dict[str, Agent] = {}
        self.held_back: dict[str, Agent] = {}
        self.newcomers: dict[Client, None] = {}
        self.lax: set[Client] = set()
        self.wakes = Wakes(self.offerable)
        self._order: list[Client] = []
        self._verdicts: dict[Resources, bool] = {}
        self._capable: dict[frozenset[str], list[Client]] = {}
        self._room: list[float] | None = None

    # Where there is something to do

    def touch(self, agent: Agent) -> None:
        """Something about ``agent`` has changed: if it has anything to offer, it is to be looked at."""
        if agent.active and self.worth(agent):
            agent.wake = inf
            self.offerable[agent.id] = self.dirty[agent.id] = agent
        else:
            self.withdraw(agent)

    def worth(self, agent: Agent) -> bool:
        """Whether what is free on ``agent`` could be an offer to somebody; notes whether to anybody."""
        free = agent.free
        worth = self._is_worth(free)
        agent.plain = worth and not free.parts and not agent.needs
        return worth or (bool(self.lax) and allocatable(free, ()))

    def _is_worth(self, free: Resources) -> bool:
        """Many agents have the same free, so a verdict is kept for a while."""
        if free.parts:
            return allocatable(free, self.least)
        verdict = self._verdicts.get(free)
        if verdict is None:
            if len(self._verdicts) >= _VERDICTS:
                self._verdicts.clear()
            verdict = self._verdicts[free] = allocatable(free, self.least)
        return verdict

    def withdraw(self, agent: Agent) -> None:
        """``agent`` has nothing to offer."""
        agent.wake = inf
        self.offerable.pop(agent.id, None)
        self.dirty.pop(agent.id, None)
        self.held_back.pop(agent.id, None)

    def set_lax(self, client: Client, lax: bool) -> None:
        """If there are clients that take less than others, smaller leftovers are worth an offer."""
        before = bool(self.lax)
        (self.lax.add if lax else self.lax.discard)(client)
        if before != bool(self.lax):
            for agent in self._ledger.agents.values():
                if agent.active and self.worth(agent) != (agent.id in self.offerable):
                    self.touch(agent)

    def look_at_all(self) -> None:
        """The rules have changed for everybody."""
        self.dirty = self.offerable.copy()
        for agent in self.dirty.values():
            agent.wake = inf
        self.held_back.clear()
        self._room = None

    def next_expiry(self) -> float | None:
        """The earliest end of a refusal that could lead to an allocation."""
        return self.wakes.next()

    def _sleep(self, agent: Agent, until: float) -> None:
        """Nobody wants ``agent`` before ``until``."""
        if until < agent.wake:
            agent.wake = until
            self.wakes.add(agent)

    def _wake(self, now: float) -> None:
        """Agents of which a refusal has ended are to be looked at again."""
        for agent in self.wakes.due(now):
            agent.wake = inf
            self.dirty[agent.id] = agent

    # Who gets what

    def allocate(self, now: float) -> list[Allocation]:
        """What is to be offered now."""
        ledger, newcomers = self._ledger, self.newcomers
        ledger.settle()
        self._wake(now)
        if len(newcomers) > FEW:
            self.dirty = self.offerable.copy()
        order = self._shuffled(self.offerable if newcomers else self.dirty) if ledger.ranking.order else []
        allocations: list[Allocation] = []
        if ledger.quotas.roles:
            self._by_quota(order, now, allocations)
        else:
            self._by_share(order, now, allocations)
        self.dirty.clear()
        newcomers.clear()
        self._order.clear()
        self._capable.clear()
        self.wakes.tidy()
        return allocations

    def _shuffled(self, agent_ids: Iterable[str]) -> list[str]:
        order = list(agent_ids)
        if self._shuffle:
            self._shuffle(order)
        return order

    def _by_share(self, order: list[str], now: float, allocations: list[Allocation]) -> None:
        ledger, offerable, dirty, tree = self._ledger, self.offerable, self.dirty, self._ledger.tree
        for agent_id in order:
            agent = offerable[agent_id]
            if not agent.plain:
                self._share_out(agent, now, allocations)
                continue
            changed = agent_id in dirty
            taker: Client | None
            if agent.refused or not changed or (taker := tree.first()).choosy:
                taker = self._taker(agent, now, changed)
                if taker is None:
                    continue
                agent.forget_refusals(taker, now)
            allocations.append(Allocation(taker.framework_id, taker.role.name, agent_id, agent.free))
            ledger.grant_all(agent, taker)
            if self._order:
                self._order.clear()
            agent.wake = inf
            del offerable[agent_id]

    def _taker(self, agent: Agent, now: float, changed: bool) -> Client | None:
        """Who gets all that is free on an agent that is nothing special; None, and it sleeps, if nobody wants it."""
        wake, free, refused = inf, agent.free, agent.refused
        order = self._order
        for client in (order or self._ledger.tree.clients()) if changed else self._fair_newcomers():
            filters = refused.get(client)
            if filters is not None:
                only = filters[0]
                if len(filters) == 1 and only.resources is free:
                    until = only.until
                else:
                    until = agent.refused_until(client, now, free)
                if until > now:
                    if until < wake:
                        wake = until
                    continue
            if not client.choosy or self._suits(agent, client, free):
                return client
        if changed and not order:
            # nobody took it, so nobody's turn has changed for the next agent
            order.extend(self._ledger.tree.clients())
        self._sleep(agent, wake)
        return None

    def _share_out(
        self, agent: Agent, now: float, allocations: list[Allocation], hungry: list[str] | None = None
    ) -> None:
        """Give what is free on ``agent`` to those who may have a part of it; ``hungry``: only to these roles."""
        changed = agent.id in self.dirty
        if changed and hungry is None:
            self.held_back.pop(agent.id, None)
        asked: set[Client] = set()
        wake = inf
        while True:
            allowed: Allowed = {}
            for client in self._candidates(agent, changed, hungry):
                if client in asked:
                    continue
                asked.add(client)
                offered = self._offered(agent, client, allowed, hungry is not None)
                if offered is None:
                    continue
                until = agent.refused_until(client, now, offered)
                if not until:
                    break
                wake = min(wake, until)
            else:
                break
            allocations.append(Allocation(client.framework_id, client.role.name, agent.id, offered))
            agent.forget_refusals(client, now)
            self._ledger.grant(agent, client, offered)
            self._order.clear()
            if not self.worth(agent):
                self.withdraw(agent)
                return
        self._sleep(agent, wake)

    def _candidates(self, agent: Agent, changed: bool, hungry: list[str] | None) -> Iterable[Client]:
        """Who is to be asked, in the order of their turn."""
        tree = self._ledger.tree
        if not changed:
            newcomers = self._fair_newcomers()
            return newcomers if hungry is None else [one for one in newcomers if one.role.top in hungry]
        if hungry is not None:
            return tree.clients_of(hungry)
        if agent.needs and len(capable := self._capable_of(agent.needs)) <= MANY:
            return tree.in_turn(capable)
        roles = owners(agent.free)
        return tree.clients() if roles is None else tree.clients_of(roles)

    def _capable_of(self, needs: frozenset[str]) -> list[Client]:
        """Who may be offered agents with these needs; nobody's capabilities change during a cycle."""
        found = self._capable.get(needs)
        if found is None:
            found = self._capable[needs] = [one for one in self._ledger.tree.clients() if needs <= one.capabilities]
        return found

    def _fair_newcomers(self) -> Iterable[Client]:
        return self.newcomers if len(self.newcomers) == 1 else self._ledger.tree.in_turn(self.newcomers)

    def _offered(self, agent: Agent, client: Client, allowed: Allowed, guaranteed: bool) -> Resources | None:
        """What ``client`` may have of what is free on ``agent``; None if that is nothing worth an offer.

        ``allowed`` keeps what those of a kind may have, while nothing is granted.
        """
        if not agent.needs <= client.capabilities:
            return None
        top = client.role.top if client.role.top in self._ledger.quotas.roles else ""
        kind = (client.role.name, client.capabilities) if agent.free.parts else top
        found = allowed.get(kind)
        if found is None:
            offered = self._allowed(agent, client, guaranteed)
            found = allowed[kind] = (offered, allocatable(offered, self.least))
        offered, worth = found
        if not (worth if client.least is None else allocatable(offered, client.least)):
            return None
        return offered if client.accepts(agent) else None

    def _allowed(self, agent: Agent, client: Client, guaranteed: bool) -> Resources:
        """What clients such as this one may have of ``agent`` by reservation, capability and quota."""
        offered = entitled(agent.free, client.role.name, client.capabilities)
        quotas = self._ledger.quotas
        if not quotas.roles:
            return offered
        caps = quotas.caps(client.role.top, offered, guaranteed=guaranteed)
        if caps is None:
            return EMPTY
        if not caps:
            return offered
        self.held_back[agent.id] = agent
        return capped(offered, caps)

    def _suits(self, agent: Agent, client: Client, offered: Resources) -> bool:
        least = self.least if client.least is None else client.least
        return allocatable(offered, least) and client.accepts(agent)

    # With quota

    def _by_quota(self, order: list[str], now: float, allocations: list[Allocation]) -> None:
        """First the guarantees, then fair shares; then the same where something was held back, if there is more now."""
        self._in_stages(order, now, allocations, lambda: True)
        if self.held_back and self._has_grown():
            again = [agent_id for agent_id in self.held_back if agent_id not in self.dirty]
            for start in range(0, len(again), AT_ONCE):
                some = again[start : start + AT_ONCE]
                self.dirty.update((agent_id, self.held_back[agent_id]) for agent_id in some)
                self._in_stages(self._shuffled(some), now, allocations, self._has_grown)
                if not self._has_grown():
                    break
        self._room = self._ledger.quotas.room()

    def _in_stages(
        self, order: list[str], now: float, allocations: list[Allocation], goes_on: Callable[[], bool]
    ) -> None:
        hungry: list[str] | None = self._ledger.quotas.hungry()
        for agent_id in order if hungry else ():
            if self._looked_at(agent_id, now, allocations, hungry):
                hungry = self._ledger.quotas.hungry()
                if not goes_on():
                    return
                if not hungry:
                    break
        for agent_id in order:
            if self._looked_at(agent_id, now, allocations, None) and not goes_on():
                return

    def _looked_at(self, agent_id: str, now: float, allocations: list[Allocation], hungry: list[str] | None) -> bool:
        """Look at an agent that may be given away already; whether anything of it was allocated."""
        given = len(allocations)
        agent = self.offerable.get(agent_id)
        if agent is not None:
            self._share_out(agent, now, allocations, hungry)
        return len(allocations) > given

    def _has_grown(self) -> bool:
        """Whether any role may have more than when something was last held back."""
        before = self._room
        return before is not None and any(
            now > then for now, then in zip(self._ledger.quotas.room(), before, strict=True)
        )
