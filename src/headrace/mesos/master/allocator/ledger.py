"""The ledger: who is there, who holds what, whose turn it is. It decides nothing.

A client exists while it is subscribed or holds something. What counts for fairness is kept in the
tree of roles, what counts against quota in ``quotas``, both with every change.
"""

from __future__ import annotations

from collections.abc import Collection

from headrace.mesos.master.allocator.fairness import NOTHING, Cluster, Ranking, amounts, more
from headrace.mesos.master.allocator.grants import GPUS, REGIONS, once, private, reserved, unreserved
from headrace.mesos.master.allocator.model import Agent, Client, Framework, Role
from headrace.mesos.master.allocator.quota import Quota, Quotas
from headrace.mesos.master.allocator.tree import RoleTree
from headrace.mesos.resources import EMPTY, Resources


class Ledger:
    """The state behind the allocator. ``filter_gpus``: agents with GPUs are for those who know GPUs."""

    def __init__(self, *, filter_gpus: bool = True) -> None:
        self._filter_gpus = filter_gpus
        self.cluster = Cluster()
        self.tree = RoleTree(self.cluster)
        self.quotas = Quotas()
        self.frameworks: dict[str, Framework] = {}
        self.clients: dict[tuple[str, str], Client] = {}
        self.agents: dict[str, Agent] = {}
        self.constrained: set[Client] = set()
        self._settled = self.cluster.version

    @property
    def ranking(self) -> Ranking[Role]:
        """Of the top-level roles."""
        return self.tree.ranking

    # Who is who

    def agent(self, agent_id: str) -> Agent:
        """Raises ValueError if it is not known."""
        if agent := self.agents.get(agent_id):
            return agent
        raise ValueError(f"agent {agent_id} is not known to the allocator")

    def framework(self, framework_id: str) -> Framework:
        """Raises ValueError if it is not known."""
        if framework := self.frameworks.get(framework_id):
            return framework
        raise ValueError(f"framework {framework_id} is not known to the allocator")

    def chosen(self, framework_id: str, roles: Collection[str]) -> list[Client]:
        """The framework in these of its roles; in all, if none are named. Raises ValueError for others."""
        clients = self.framework(framework_id).clients
        for role in roles:
            if role not in clients:
                raise ValueError(f"framework {framework_id} is not subscribed to role '{role}'")
        return [clients[role] for role in roles or clients]

    def holder(self, agent: Agent, framework_id: str, role: str, resources: Resources) -> Client:
        """The client, who must hold ``resources`` of ``agent``. Raises ValueError if it doesn't."""
        client = self.clients.get((framework_id, role))
        held = agent.held.get(client) if client else None
        if client is None or held is None or not (held is resources or held.contains(resources)):
            raise ValueError(
                f"framework {framework_id} can't give back {resources} of agent {agent.id} for role '{role}': "
                f"it holds {held or 'nothing'}"
            )
        return client

    def member(self, role: str, framework_id: str | None) -> Role | Client | None:
        """A role, or a framework in it, if known."""
        return self.tree.roles.get(role) if framework_id is None else self.clients.get((framework_id, role))

    def client(self, framework_id: str, role_name: str) -> Client:
        """The framework in that role, subscribed or not."""
        client = self.clients.get((framework_id, role_name))
        if client is None:
            client = self.clients[framework_id, role_name] = self.tree.enter(framework_id, role_name)
        return client

    def forget_if_done(self, client: Client) -> None:
        """A client that is neither subscribed nor holds anything goes, and so does an empty role."""
        if not client.subscribed and not client.holdings:
            del self.clients[client.framework_id, client.role.name]
            self.tree.leave(client)

    def settle(self) -> None:
        """If agents came or went, everybody's share is another one."""
        if self._settled != self.cluster.version:
            self._settled = self.cluster.version
            self.tree.settle()

    # Agents

    def add_agent(self, agent: Agent) -> None:
        """It is new, and nobody holds anything of it."""
        self.agents[agent.id] = agent
        self._count_total(agent, agent.total, 1)

    def remove_agent(self, agent: Agent) -> None:
        """It is gone, with all that was held of it."""
        for client in list(agent.refused):
            agent.forget_refusals(client)
        for client in self.constrained:
            client.verdicts.pop(agent, None)
        for client in list(agent.held):
            self.hold(agent, client, EMPTY)
        agent.active = False
        self.count_free(agent)
        del self.agents[agent.id]
        self._count_total(agent, agent.total, -1)

    def set_total(self, agent: Agent, total: Resources) -> None:
        """It has other resources in all; what is held stays held."""
        if total == agent.total:
            return
        if amounts(total) != amounts(agent.total):
            self.cluster.grow(more(amounts(agent.total), amounts(total)))
        self._count_reserved(agent.total, -1)
        self._count_reserved(total, 1)
        agent.total = total
        self._set_needs(agent)
        agent.recount()
        self.count_free(agent)

    def _count_total(self, agent: Agent, total: Resources, sign: int) -> None:
        self.cluster.grow(amounts(total), sign)
        self._count_reserved(total, sign)
        self._set_needs(agent)

    def _set_needs(self, agent: Agent) -> None:
        gpus = {GPUS} if self._filter_gpus and agent.total.quantity("gpus") else set()
        agent.needs = frozenset(gpus | {REGIONS} if agent.remote else gpus)

    # Quota

    def set_quota(self, role: str, quota: Quota | None) -> None:
        """The role has this quota, or none any more; everything is counted again."""
        quotas = self.quotas
        quotas.roles.pop(role, None)
        if quota is not None:
            quotas.roles[role] = quota
        quotas.clear()
        for agent in self.agents.values():
            agent.counted = {}
            self.count_free(agent)
            self._count_reserved(agent.total, 1)
            for client, resources in agent.held.items():
                quotas.consume(client.role.top, unreserved(resources))

    def count_free(self, agent: Agent) -> None:
        """What is free on ``agent``, or whether it is active, has changed."""
        if self.quotas.roles:
            counted = unreserved(agent.free) if agent.active else {}
            self.quotas.count_free(agent.counted, counted)
            agent.counted = counted

    def _count_reserved(self, resources: Resources, sign: int) -> None:
        if self.quotas.roles and resources.parts:
            for role, by in reserved(resources).items():
                self.quotas.consume(role.partition("/")[0], by, sign)

    # Who holds what

    def grant_all(self, agent: Agent, client: Client) -> None:
        """Everything that is free on ``agent``, and has no parts, goes to ``client``; there is no quota."""
        held = agent.held.get(client)
        if held is None:
            agent.held[client] = agent.free
            client.holdings += 1
        else:
            agent.held[client] = held + agent.free
        self.tree.grant(client, agent.amounts)
        agent.free, agent.amounts = EMPTY, NOTHING

    def grant(self, agent: Agent, client: Client, granted: Resources) -> None:
        """A part of what is free on ``agent`` goes to ``client``, who is eligible; the rankings are settled."""
        before = agent.held.get(client)
        after = granted if before is None else before + granted
        by = more(amounts(before), amounts(after)) if before is not None else amounts(granted)
        client.holdings += before is None
        agent.held[client] = after
        self.tree.grant(client, by)
        agent.set_free(agent.free - private(granted))
        if self.quotas.roles:
            self.quotas.consume(client.role.top, unreserved(granted))
            self.count_free(agent)

    def give_back(self, agent: Agent, client: Client, resources: Resources) -> None:
        """``client`` holds less of ``agent``; it must hold that much."""
        held = agent.held[client]
        if resources is held and not agent.free and not held.parts and not self.quotas.roles:
            self._give_all_back(agent, client)
            return
        self._set_held(agent, client, EMPTY if resources is held else held - resources)
        if agent.overcommitted:
            agent.recount()
        else:
            resources = private(resources)
            agent.set_free(agent.free + resources if agent.free else resources)
        if self.quotas.roles:
            self.count_free(agent)

    def _give_all_back(self, agent: Agent, client: Client) -> None:
        """The way back of ``grant_all``, for the many offers that are declined as they were."""
        agent.free = agent.held.pop(client)
        agent.amounts = cpus, mem, disk, gpus = amounts(agent.free)
        client.holdings -= 1
        self.tree.charge(client, (-cpus, -mem, -disk, -gpus))
        if agent.overcommitted:
            agent.recount()

    def hold(self, agent: Agent, client: Client, resources: Resources) -> None:
        """``client`` holds exactly this of ``agent``."""
        self._set_held(agent, client, resources)
        agent.recount()
        self.count_free(agent)
        self.forget_if_done(client)

    def convert(self, agent: Agent, client: Client, before: Resources, after: Resources) -> None:
        """A part of what ``client`` holds becomes something else, and so does the agent's total."""
        self._set_held(agent, client, agent.held[client] - before + after)
        self.set_total(agent, agent.total - once(before) + once(after))
        agent.recount()
        self.count_free(agent)

    def _set_held(self, agent: Agent, client: Client, after: Resources) -> None:
        before = agent.held.pop(client, EMPTY)
        if after:
            agent.held[client] = after
        client.holdings += bool(after) - bool(before)
        self.tree.charge(client, more(amounts(before), amounts(after)))
        if self.quotas.roles:
            self.quotas.consume(client.role.top, unreserved(before), -1)
            self.quotas.consume(client.role.top, unreserved(after))
