"""Which apps want offers, by role, and which of them may be launched now.

Apps that may not be (a delay, a missing secret) are set aside until their time has come or something about them
changes, so that asking costs nothing while thousands of them wait.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable


class Demand:
    """``held_until`` says from when on an app may be launched; what is past means that it may be now."""

    def __init__(self, held_until: Callable[[str, float], float]) -> None:
        self._held_until = held_until
        self._roles: dict[str, frozenset[str]] = {}
        self._ready: dict[str, OrderedDict[str, None]] = {}
        self._held: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._in_heap: dict[str, float] = {}
        """The latest entry of each app."""
        self._apps: Counter[str] = Counter()
        """How many want offers for a role."""

    def set(self, app_id: str, roles: frozenset[str]) -> None:
        """The app wants offers for these roles from now on, and something about it may have changed."""
        before = self.roles(app_id)
        if not before and not roles:
            return
        for role in before - roles:
            self._ready[role].pop(app_id, None)
        if before != roles:
            self._apps.subtract(before - roles)
            self._apps.update(roles - before)
        self._held.pop(app_id, None)
        if not roles:
            self._roles.pop(app_id, None)
            return
        self._roles[app_id] = roles
        for role in roles:
            self._ready.setdefault(role, OrderedDict()).setdefault(app_id)

    def again(self, app_id: str) -> None:
        """Something about the app has changed: it may be launched, perhaps."""
        self.set(app_id, self.roles(app_id))

    def roles(self, app_id: str) -> frozenset[str]:
        """The roles that the app wants offers for."""
        return self._roles.get(app_id, frozenset())

    def wanted_roles(self) -> list[str]:
        """The roles that any app wants offers for, now or later."""
        return [role for role, count in self._apps.items() if count]

    def any(self, role: str, now: float) -> bool:
        """Whether an app may be launched with resources of the role."""
        self._take_back(now)
        ready = self._ready.get(role)
        while ready:
            app_id = next(iter(ready))
            if self._may(app_id, now):
                return True
        return False

    def all(self, role: str, now: float) -> list[str]:
        """The apps that may be launched with resources of the role."""
        self._take_back(now)
        return [app_id for app_id in list(self._ready.get(role, ())) if self._may(app_id, now)]

    def _may(self, app_id: str, now: float) -> bool:
        until = self._held_until(app_id, now)
        if until <= now:
            return True
        for role in self.roles(app_id):
            self._ready[role].pop(app_id, None)
        self._held[app_id] = until
        if self._in_heap.get(app_id) != until:
            self._in_heap[app_id] = until
            heapq.heappush(self._heap, (until, app_id))
        return False

    def _take_back(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            until, app_id = heapq.heappop(self._heap)
            if self._in_heap.get(app_id) == until:
                del self._in_heap[app_id]
            if self._held.get(app_id) == until:
                self.again(app_id)

    def validate(self) -> None:
        """Assert that every app is either ready, for all its roles, or held; for tests."""
        for app_id, roles in self._roles.items():
            ready = {role for role, apps in self._ready.items() if app_id in apps}
            assert ready == (frozenset() if app_id in self._held else roles), app_id  # noqa: S101
        assert self._held.keys() <= self._roles.keys()  # noqa: S101
        assert {(until, app_id) for app_id, until in self._held.items()} <= set(self._heap)  # noqa: S101
        assert Counter(role for roles in self._roles.values() for role in roles) == +self._apps  # noqa: S101
