"""Quota of top-level roles: guarantees and limits of scalar amounts, and what counts against them.

A role consumes, for itself and the roles below it, everything that is reserved for it and what its
clients hold that is neither reserved nor revocable. A guarantee that is not used up requires
*headroom*: so much of what is free, unreserved and not revocable on active agents is kept from
everybody else. All amounts are thousandths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf

import msgspec

from headrace.mesos.master.allocator.grants import reserved, unreserved
from headrace.mesos.master.allocator.model import Agent
from headrace.mesos.resources import MILLI, Resources


class Quota(msgspec.Struct, frozen=True):
    """Of one role; what is not named has no guarantee, or no limit."""

    guarantees: dict[str, int] = {}
    limits: dict[str, int] = {}


class Quotas:
    """The quota of each role that has one, and the state that decides what it allows.

    ``consumed`` by role, ``required`` and ``free`` (the headroom that must and that does exist) by name.
    All are kept only while there is any quota.
    """

    __slots__ = ("consumed", "free", "required", "roles")

    def __init__(self) -> None:
        self.roles: dict[str, Quota] = {}
        self.consumed: dict[str, dict[str, int]] = {}
        self.required: dict[str, int] = {}
        self.free: dict[str, int] = {}

    def clear(self) -> None:
        """Everything is to be counted again."""
        self.consumed = {role: {} for role in self.roles}
        self.free = {}
        self.required = {}
        for quota in self.roles.values():
            for name, amount in quota.guarantees.items():
                self.required[name] = self.required.get(name, 0) + amount

    # Counting

    def consume(self, role: str, by: Mapping[str, int], sign: int = 1) -> None:
        """The top-level role consumes that much more; ``sign`` -1: less."""
        consumed = self.consumed.get(role)
        if consumed is None:
            return
        guarantees = self.roles[role].guarantees
        for name, amount in by.items():
            before = consumed.get(name, 0)
            after = consumed[name] = before + sign * amount
            guarantee = guarantees.get(name)
            if guarantee is not None:
                self.required[name] += max(0, guarantee - after) - max(0, guarantee - before)

    def count_free(self, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        """An agent has other free resources than before."""
        free = self.free
        for name, amount in before.items():
            free[name] -= amount
        for name, amount in after.items():
            free[name] = free.get(name, 0) + amount

    # What it allows

    def hungry(self) -> list[str]:
        """The roles that have not got what they are guaranteed."""
        return [role for role in self.roles if self._is_hungry(role)] if any(self.required.values()) else []

    def _is_hungry(self, role: str) -> bool:
        consumed = self.consumed[role]
        return any(amount > consumed.get(name, 0) for name, amount in self.roles[role].guarantees.items())

    def caps(self, role: str, offered: Resources, *, guaranteed: bool) -> dict[str, int] | None:
        """To how much of it, by name, ``offered`` must be cut down for a top-level role; names that fit are left out.

        ``guaranteed``: it gets what it still needs for its guarantee whatever headroom others require, and
        with it what else is to spare. None if that brings it no nearer to its guarantee.
        """
        quota = self.roles.get(role)
        caps: dict[str, int] = {}
        progress = False
        for name, amount in unreserved(offered).items():
            cap = self._to_spare(name)
            if guaranteed and (missing := min(amount, self._missing(role, name))) > 0:
                progress = True
                cap += missing
            if quota is not None and name in quota.limits:
                cap = min(cap, self._below_limit(role, name))
            if cap < amount:
                caps[name] = int(cap)
        return caps if progress or not guaranteed else None

    def _missing(self, role: str, name: str) -> int:
        return max(0, self.roles[role].guarantees.get(name, 0) - self.consumed[role].get(name, 0))

    def _below_limit(self, role: str, name: str) -> int:
        return max(0, self.roles[role].limits[name] - self.consumed[role].get(name, 0))

    def _to_spare(self, name: str) -> float:
        """What is free beyond the headroom required; nothing of what nobody misses is kept back."""
        required = self.required.get(name, 0)
        return max(0, self.free.get(name, 0) - required) if required else inf

    def room(self) -> list[float]:
        """How much each role may still get, in an order that is the same until a quota changes.

        What was held back while none of it was greater is held back now.
        """
        found: list[float] = [self._to_spare(name) for name in self.required]
        for role, quota in self.roles.items():
            found += [self._missing(role, name) for name in quota.guarantees]
            found += [self._below_limit(role, name) for name in quota.limits]
        return found

    def excess(self, role: str) -> Resources:
        """By how much a role is over its limits."""
        quota = self.roles.get(role)
        if quota is None:
            return Resources()
        consumed = self.consumed[role]
        return Resources({name: max(0, consumed.get(name, 0) - limit) for name, limit in quota.limits.items()})


def thousandths(role: str, what: str, amounts: Mapping[str, float]) -> dict[str, int]:
    """Amounts as they are kept. Raises ValueError for one that is none."""
    for name, amount in amounts.items():
        if not 0 <= amount < inf:
            raise ValueError(f"the {what} of role '{role}' for {name} is {amount}; it must be 0 or more")
    return {name: round(amount * MILLI) for name, amount in amounts.items()}


def consumption(agents: Iterable[Agent]) -> dict[str, Resources]:
    """What each role and those below it consume, counted on ``agents``; roles that consume nothing are left out."""
    found: dict[str, dict[str, int]] = {}
    for agent in agents:
        for role, by in reserved(agent.total).items():
            _add(found, role, by)
        for client, resources in agent.held.items():
            _add(found, client.role.name, unreserved(resources))
    return {role: Resources(by_name) for role, by_name in found.items()}


def _add(found: dict[str, dict[str, int]], role: str, by: Mapping[str, int]) -> None:
    while role:
        total = found.setdefault(role, {})
        for name, amount in by.items():
            total[name] = total.get(name, 0) + amount
        role = role.rpartition("/")[0]
