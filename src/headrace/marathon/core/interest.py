"""What the master is told about offers: for which roles this framework stands, and for which it wants any.

A role that something new needs is revived, at most every so often; one that nothing needs is suppressed. A role that
the first app comes with is subscribed to, one that the last has left is given up.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headrace.marathon.core.books import Books
from headrace.marathon.core.events import Subscribe
from headrace.mesos.messages.scheduler import Call, Roles

REVIVE = "revive"


class _Role(msgspec.Struct):
    """``need``: offers that were refused before may suit now."""

    revived: bool = False
    suppressed: bool = True
    need: bool = False
    last_revive: float = float("-inf")


class Interest:
    """The roles, by name."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._subscribed = books.roles
        self._untold = False
        """Whether roles have changed while nobody listened: a subscription under way may name the old ones."""
        self._roles = {role: _Role() for role in self._subscribed}

    def need(self, role: str) -> None:
        """Something has come up that offers for the role are needed for."""
        self._roles.setdefault(role, _Role()).need = True

    def connected(self) -> None:
        """A new subscription knows nothing of what was revived or suppressed before."""
        self._roles = {role: _Role(suppressed=False, need=True) for role in self._subscribed}
        if self._untold:
            self._untold = False
            self._books.effects.append(Subscribe(self._subscribed, []))

    def announce(self, wanted: Callable[[str], bool], now: float) -> None:
        """Tell the master what has changed; at the end of each event. ``wanted``: whether a role needs offers."""
        self._subscribe(wanted)
        if not self._books.connected:
            return
        revive, suppress = [], []
        for name, role in self._roles.items():
            if not wanted(name):
                role.need = False
                if not role.suppressed:
                    role.suppressed, role.revived = True, False
                    suppress.append(name)
            elif (role.need or not role.revived) and self._due(role, now):
                role.revived, role.suppressed, role.need, role.last_revive = True, False, False, now
                revive.append(name)
        if suppress and self._books.settings.suppress_offers:
            self._books.call(Call("SUPPRESS", suppress=Roles(roles=suppress)))
        if revive:
            self._books.call(Call("REVIVE", revive=Roles(roles=revive)))

    def _due(self, role: _Role, now: float) -> bool:
        due = role.last_revive + self._books.settings.min_revive_offers_interval
        if now < due:
            self._books.wake(REVIVE, due)
        return now >= due

    def _subscribe(self, wanted: Callable[[str], bool]) -> None:
        """Stand for the roles that are in use, and for no others."""
        roles = self._books.roles
        known = self._subscribed
        if roles == known:
            return
        self._subscribed = roles
        states = {role: self._roles.get(role) or _Role() for role in roles}
        for role in roles:
            if role not in known and wanted(role):
                states[role].suppressed, states[role].need = False, True
        self._roles = states
        suppressed = [role for role, state in states.items() if state.suppressed]
        self._untold = not self._books.connected
        self._books.effects.append(Subscribe(roles, suppressed))
