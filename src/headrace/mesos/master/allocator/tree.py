"""The tree of roles: fairness among siblings at every level.

A role exists while it has clients or roles below it. Each ranking contains those members below
which somebody may be offered something. A framework in role ``a`` competes with ``a/b`` and ``a/c``
as one more child of ``a``, the implicit leaf that Mesos calls ``a/.``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from math import inf

from headrace.mesos.master.allocator.fairness import Amounts, Cluster, Ranking
from headrace.mesos.master.allocator.model import Client, Role


class RoleTree:
    """Roles by name, their weights and places. It knows no agents."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._indices = count()
        self.root = Role("", next(self._indices), None, cluster)
        self.roles: dict[str, Role] = {}
        self.weights: dict[str, float] = {}

    @property
    def ranking(self) -> Ranking[Role]:
        """Of the top-level roles."""
        return self.root.ranking

    # Coming and going

    def enter(self, framework_id: str, role_name: str) -> Client:
        """A new client of a role."""
        role = self._role(role_name)
        client = Client(framework_id, role, next(self._indices))
        role.clients[client] = None
        return client

    def leave(self, client: Client) -> None:
        """The client is no more; it holds nothing and isn't eligible."""
        del client.role.clients[client]
        self._prune(client.role)

    def _role(self, name: str) -> Role:
        role = self.roles.get(name)
        if role is None:
            above, slash, _ = name.rpartition("/")
            parent = self._role(above) if slash else self.root
            role = self.roles[name] = parent.children[name] = Role(name, next(self._indices), parent, self._cluster)
            role.weight = self.weights.get(name, 1.0)
            if parent is not self.root and parent.own is None:
                self._split(parent)
        return role

    def _prune(self, role: Role) -> None:
        if role.clients or role.children or role.parent is None:
            return
        parent = role.parent
        del self.roles[role.name], parent.children[role.name]
        if parent is not self.root and not parent.children:
            self._join(parent)
        self._prune(parent)

    def _split(self, role: Role) -> None:
        """The first role below ``role`` appears: its clients become one child among others."""
        own = role.own = Role(role.name + "/.", next(self._indices), role, self._cluster)
        own.ranking, role.ranking = role.ranking, Ranking(self._cluster)
        own.allocations = role.allocations
        own.charge(role.holds)
        if own.ranking.order:
            role.ranking.add(own)
        for client in role.clients:
            client.leaf = own

    def _join(self, role: Role) -> None:
        """The last role below ``role`` is gone."""
        if role.own is not None:
            role.ranking, role.own = role.own.ranking, None
        for client in role.clients:
            client.leaf = role

    # Whose turn it is

    def set_weight(self, role_name: str, weight: float) -> None:
        """Raises ValueError for a weight that is none."""
        if not 0 < weight < inf:
            raise ValueError(f"the weight of role '{role_name}' is {weight}; it must be above 0")
        self.weights[role_name] = weight
        role = self.roles.get(role_name)
        if role is not None and role.parent is not None:
            role.weight = weight
            if role.ranking.order:
                role.parent.ranking.moved(role)

    def set_eligible(self, client: Client, eligible: bool) -> None:
        """Whether ``client`` may be offered anything."""
        if eligible == client.eligible:
            return
        client.eligible = eligible
        member: Client | Role = client
        node: Role | None = client.leaf
        while node is not None:
            ranking = node.ranking
            if eligible:
                ranking.add(member)
                if len(ranking.order) > 1:
                    return
            else:
                ranking.remove(member)
                if ranking.order:
                    return
            member, node = node, node.parent

    def charge(self, client: Client, by: Amounts) -> None:
        """The client, and so its roles, hold that much more."""
        client.charge(by)
        if client.eligible:
            client.leaf.ranking.moved(client)
        node = client.leaf
        while (parent := node.parent) is not None:
            node.charge(by)
            if node.ranking.order:
                parent.ranking.moved(node)
            node = parent

    def grant(self, client: Client, by: Amounts) -> None:
        """An eligible client is allocated that much; the rankings are settled."""
        client.allocations += 1
        client.charge(by)
        node = client.leaf
        if len(node.ranking.order) > 1:
            node.ranking.moved(client)
        while (parent := node.parent) is not None:
            node.allocations += 1
            node.charge(by)
            if len(parent.ranking.order) > 1:
                parent.ranking.moved(node)
            node = parent

    def settle(self) -> None:
        """The cluster's totals have changed, and with them all shares."""
        _settle(self.root)

    # Walks

    def first(self) -> Client:
        """Whose turn it is; there must be an eligible client."""
        node: Role = self.root.ranking.order[0][3]
        while node.own is not None:
            node = node.ranking.order[0][3]
        client: Client = node.ranking.order[0][3]
        return client

    def clients(self) -> Iterator[Client]:
        """All eligible ones in the order of their turn."""
        return _walk_roles(self.root)

    def clients_of(self, names: Iterable[str]) -> Iterable[Client]:
        """The eligible ones of these roles and those below them, in the order of their turn."""
        roles = [role for name in names if (role := self.roles.get(name)) is not None]
        if len(roles) == 1:
            return _walk(roles[0])
        found = {client: None for role in roles for client in _walk(role)}
        return sorted(found, key=lambda client: client.place(self._cluster))

    def in_turn(self, clients: Iterable[Client]) -> list[Client]:
        """These clients in the order of their turn."""
        return sorted(clients, key=lambda client: client.place(self._cluster))


def _walk(role: Role) -> Iterator[Client]:
    if role.own is not None:
        return _walk_roles(role)
    return (key[3] for key in role.ranking.order)


def _walk_roles(role: Role) -> Iterator[Client]:
    for key in role.ranking.order:
        below = key[3]
        if below.own is not None:
            yield from _walk_roles(below)
        else:
            for client_key in below.ranking.order:
                yield client_key[3]


def _settle(role: Role) -> None:
    role.ranking.settle()
    for member in role.ranking:
        if isinstance(member, Role):
            _settle(member)
