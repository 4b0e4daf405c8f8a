"""Reservations that nobody needs any more, until they are undone. Stored, so that none is forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import msgspec

from headrace.kernel.core import Delete, Effect, Put
from headrace.marathon import repository
from headrace.marathon.core.records import Leftover


class Leftovers:
    """By lease. ``roles`` counts those that offers are needed for."""

    def __init__(self, stored: Mapping[str, Leftover]) -> None:
        self.all = dict(stored)
        self.roles = Counter(one.role for one in self.all.values())
        self._at: dict[str, set[str]] = {}
        for lease, one in self.all.items():
            self._at.setdefault(one.agent_id, set()).add(lease)

    def add(self, leftover: Leftover) -> list[Effect]:
        """To be undone from now on."""
        self.all[leftover.lease] = leftover
        self.roles[leftover.role] += 1
        self._at.setdefault(leftover.agent_id, set()).add(leftover.lease)
        return [Put(repository.leftover_key(leftover.lease), msgspec.json.encode(leftover))]

    def drop(self, lease: str) -> list[Effect]:
        """Nothing is reserved any more."""
        leftover = self.all.pop(lease, None)
        if leftover is None:
            return []
        self.roles[leftover.role] -= 1
        there = self._at[leftover.agent_id]
        there.discard(lease)
        if not there:
            del self._at[leftover.agent_id]
        return [Delete(repository.leftover_key(lease))]

    def at(self, agent_id: str, role: str) -> Collection[str]:
        """The leases of those on an agent that are offered to a role."""
        return [lease for lease in self._at.get(agent_id, ()) if self.all[lease].role == role]

    def validate(self) -> None:
        """Assert what must always hold; for tests."""
        assert Counter(one.role for one in self.all.values()) == +self.roles  # noqa: S101
        assert {lease for leases in self._at.values() for lease in leases} == self.all.keys()  # noqa: S101
