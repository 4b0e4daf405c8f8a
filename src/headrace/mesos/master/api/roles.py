"""``/roles``: the roles that anybody knows of, what each holds with the roles below it, its weight and its quota.

Counted when asked, so that it costs nothing otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.mesos.master.api.shapes import reservations
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.model import Quota
from headrace.mesos.messages.common import FrameworkID
from headrace.mesos.resources import MILLI, Resources

_NO_QUOTA = Quota()


class Counted:
    """What is counted of a role; amounts in thousandths by resource name."""

    __slots__ = ("allocated", "consumed", "frameworks", "offered", "reserved")

    def __init__(self) -> None:
        self.frameworks: list[str] = []
        self.allocated: dict[str, int] = {}
        self.offered: dict[str, int] = {}
        self.reserved: dict[str, int] = {}
        self.consumed: dict[str, int] = {}

    def held(self) -> dict[str, int]:
        """What its frameworks hold or are offered."""
        both = dict(self.allocated)
        _add(both, self.offered)
        return both

    def framework_ids(self) -> list[FrameworkID]:
        """Those that are subscribed to it."""
        return [FrameworkID(framework_id) for framework_id in self.frameworks]


def roles(books: Books) -> list[dict[str, Any]]:
    """All roles as ``/roles`` has them."""
    return [_shown(books, name, role) for name, role in counted(books)]


def counted(books: Books) -> list[tuple[str, Counted]]:
    """All roles, by name."""
    found: dict[str, Counted] = {role: Counted() for role in (*books.weights, *books.quotas)}
    for framework in books.frameworks.values():
        for role in framework.roles:
            _of(found, role)[0].frameworks.append(framework.id)
    _count_agents(books, found)
    return sorted(found.items())


def _count_agents(books: Books, found: dict[str, Counted]) -> None:
    for agent in books.agents.values():
        used = agent.used() if agent.tasks or agent.executors else {}
        for (_, owner), held in used.items():
            taken = held.without_tags().scalars
            # what is reserved counts as consumed whether it is held or not
            free = held.where(lambda tag: not tag.reservations).scalars if held.parts else taken
            for role in _of(found, owner):
                _add(role.allocated, taken)
                _add(role.consumed, free)
        for offer in agent.offers.values():
            amounts = offer.resources.without_tags().scalars
            for role in _of(found, offer.role):
                _add(role.offered, amounts)
        if agent.total.parts:
            _count_reserved(agent.total, found)


def _count_reserved(total: Resources, found: dict[str, Counted]) -> None:
    for owner, reserved in reservations(total).items():
        amounts = reserved.without_tags().scalars
        for role in _of(found, owner):
            _add(role.reserved, amounts)
            _add(role.consumed, amounts)


def _of(found: dict[str, Counted], name: str) -> list[Counted]:
    """A role and those above it, itself first."""
    return [found.setdefault(each, Counted()) for each in _upwards(name)]


def _upwards(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition("/")[0]


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _shown(books: Books, name: str, role: Counted) -> dict[str, Any]:
    quota = books.quotas.get(name, _NO_QUOTA)
    return {
        "name": name,
        "weight": books.weights.get(name, 1.0),
        "quota": {
            "role": name,
            "guarantee": _amounts(quota.guarantees),
            "limit": _amounts(quota.limits),
            "consumed": _amounts(role.consumed),
        },
        "resources": _amounts(role.held()),
        "allocated": _amounts(role.allocated),
        "offered": _amounts(role.offered),
        "reserved": _amounts(role.reserved),
        "frameworks": role.frameworks,
    }


def _amounts(amounts: Mapping[str, int]) -> dict[str, float]:
    return {name: amount / MILLI for name, amount in sorted(amounts.items())}
