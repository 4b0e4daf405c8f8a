"""The ledger: who is there, who holds what, whose turn it is. It decides nothing.

A client exists while it is subscribed or holds something, a role while it has clients. The
ranking of a role contains its eligible clients, the ranking of roles those that have any.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from math import inf

from headrace.mesos.master.allocator.fairness import NOTHING, Cluster, Ranking, amounts
from headrace.mesos.master.allocator.model import Agent, Client, Framework, Role
from headrace.mesos.resources import EMPTY, Resources


class Ledger:
    """The state behind the allocator."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.ranking: Ranking[Role] = Ranking(self.cluster)
        self.weights: dict[str, float] = {}
        self.roles: dict[str, Role] = {}
        self.frameworks: dict[str, Framework] = {}
        self.clients: dict[tuple[str, str], Client] = {}
        self.agents: dict[str, Agent] = {}
        self._indices = count()
        self._settled = self.cluster.version

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

    def member(self, role: str, framework_id: str | None) -> Role | Client | None:
        """A role, or a framework in it, if known."""
        return self.roles.get(role) if framework_id is None else self.clients.get((framework_id, role))

    def client(self, framework_id: str, role_name: str) -> Client:
        """The framework in that role, subscribed or not."""
        client = self.clients.get((framework_id, role_name))
        if client is None:
            role = self.roles.get(role_name)
            if role is None:
                weight = self.weights.get(role_name, 1.0)
                role = self.roles[role_name] = Role(role_name, next(self._indices), weight, self.cluster)
            role.population += 1
            client = self.clients[framework_id, role_name] = Client(framework_id, role, next(self._indices))
        return client

    def forget_if_done(self, client: Client) -> None:
        """A client that is neither subscribed nor holds anything goes, and so does an empty role."""
        if client.subscribed or client.holdings:
            return
        role = client.role
        del self.clients[client.framework_id, role.name]
        role.population -= 1
        if not role.population:
            del self.roles[role.name]

    # Whose turn it is

    def set_eligible(self, client: Client, eligible: bool) -> None:
        """Whether ``client`` may be offered anything."""
        if eligible == client.eligible:
            return
        client.eligible = eligible
        role = client.role
        if eligible:
            role.clients.add(client)
            if len(role.clients) == 1:
                self.ranking.add(role)
        else:
            role.clients.remove(client)
            if not role.clients.order:
                self.ranking.remove(role)

    def set_weight(self, role_name: str, weight: float) -> None:
        """Raises ValueError for a weight that is none."""
        if not 0 < weight < inf:
            raise ValueError(f"the weight of role '{role_name}' is {weight}; it must be above 0")
        self.weights[role_name] = weight
        if role := self.roles.get(role_name):
            role.weight = weight
            self._moved(role)

    def settle(self) -> None:
        """If agents came or went, everybody's share is another one."""
        if self._settled != self.cluster.version:
            self._settled = self.cluster.version
            self.ranking.settle()
            for role in self.ranking:
                role.clients.settle()

    # Who holds what

    def grant(self, agent: Agent, client: Client) -> None:
        """Everything that is free on ``agent`` goes to ``client``, who is eligible; the rankings are settled."""
        held = agent.held.get(client)
        if held is None:
            agent.held[client] = agent.free
            client.holdings += 1
        else:
            agent.held[client] = held + agent.free
        granted = agent.amounts
        role = client.role
        role.allocations += 1
        role.charge(granted)
        self.ranking.moved(role)
        client.allocations += 1
        client.charge(granted)
        role.clients.moved(client)
        agent.free, agent.amounts = EMPTY, NOTHING

    def give_back(self, agent: Agent, client: Client, resources: Resources) -> None:
        """``client`` holds less of ``agent``; it must hold that much."""
        held = agent.held[client]
        if remainder := EMPTY if resources is held else held - resources:
            agent.held[client] = remainder
        else:
            del agent.held[client]
            client.holdings -= 1
        returned = amounts(resources)
        client.credit(returned)
        client.role.credit(returned)
        self._moved_client(client)
        if agent.overcommitted:
            agent.recount()
        else:
            agent.set_free(agent.free + resources if agent.free else resources)

    def hold(self, agent: Agent, client: Client, resources: Resources) -> None:
        """``client`` holds exactly this of ``agent``."""
        if held := agent.held.get(client):
            self.give_back(agent, client, held)
        if resources:
            agent.held[client] = resources
            client.holdings += 1
            taken = amounts(resources)
            client.charge(taken)
            client.role.charge(taken)
            self._moved_client(client)
        agent.recount()
        self.forget_if_done(client)

    def _moved_client(self, client: Client) -> None:
        if client.eligible:
            client.role.clients.moved(client)
        self._moved(client.role)

    def _moved(self, role: Role) -> None:
        if role.clients.order:
            self.ranking.moved(role)
