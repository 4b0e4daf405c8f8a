"""The launch queue: instances that wait for an offer, since when, and what the offers in that time lacked.

While something waits (and its back-off delay is over) offers are wanted for its role: the first need revives
them at once. When nothing waits they are suppressed. An offer that suits nobody is declined for
long; a new need revives again, which makes the master forget that.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from headrace.marathon.core import backoff, matcher
from headrace.marathon.core.books import Books
from headrace.marathon.core.demand import Demand
from headrace.marathon.core.interest import Interest
from headrace.marathon.core.matcher import Match, Refusal
from headrace.marathon.core.records import Condition, Goal, Instance
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.common import Offer

DELAY = "delay/"
OVERDUE = "overdue/"
SECRETS = "secrets"
_PATIENCE = 10.0
"""Seconds until secrets that were missing are looked for again."""
_AGENTS = 1000


class Attempt(msgspec.Struct):
    """A waiting time: since when, and what the offers in it were refused for; of one app, or of those of one kind.

    ``alike``: what refuses one of them refuses all.
    """

    since: float
    alike: bool = False
    processed: int = 0
    unused: int = 0
    last_used: float | None = None
    last_unused: float | None = None
    refusals: Counter[str] = msgspec.field(default_factory=Counter)
    by_agent: dict[str, Refusal | None] = msgspec.field(default_factory=dict)
    offers: dict[str, tuple[Offer, float]] = msgspec.field(default_factory=dict)

    def tried(self, offer: Offer, found: Match | Refusal, now: float) -> None:
        """An offer was looked at."""
        self.processed += 1
        agent = offer.agent_id.value
        self.by_agent.pop(agent, None)
        for known in (self.by_agent, self.offers):
            if len(known) >= _AGENTS and agent not in known:
                del known[next(iter(known))]
        if isinstance(found, Refusal):
            self.by_agent[agent] = found
            self.unused += 1
            self.last_unused = now
            self.refusals[found.reason] += 1
            self.offers.pop(agent, None)
            self.offers[agent] = (offer, now)
        else:
            self.by_agent[agent] = None
            self.last_used = now


class LaunchQueue:
    """Apps with waiting instances, longest first."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._interest = Interest(books)
        self.waiting: dict[str, dict[str, Instance]] = {}
        self.attempts: dict[str, Attempt] = {}
        self.without_secrets: dict[str, float] = {}
        """Until when apps are not tried, as a secret is missing."""
        self.demand = Demand(self._held_until)
        self._beginning: dict[matcher.Kind, Attempt] = {}
        self._last_begun = 0.0
        self._placed: dict[str, int] = {}
        self._versions: dict[str, set[str]] = {}
        """The configurations of what waits."""

    # demand

    def look(self, app_id: str, now: float) -> None:
        """Find out what of this app waits; called for every touched app."""
        waiting = {
            one.id: one
            for one in self._books.of_app(app_id)
            if one.condition is Condition.SCHEDULED and one.goal is Goal.RUNNING
        }
        everywhere = app_id in self._books.per_agent
        if not waiting and not everywhere:
            self.nothing_waits(app_id)
            return
        roles = {one.role for one in waiting.values()}
        if everywhere:  # new agents may come, so its offers are always wanted
            roles.add(self._books.specs[app_id].role)
        self.demand.set(app_id, frozenset(roles))
        versions = {one.config_version for one in waiting.values()}
        renewed = not versions <= self._versions.get(app_id, versions)
        self._versions[app_id] = versions
        if renewed:
            self.attempts.pop(app_id, None)
        if everywhere and app_id not in self.attempts:
            self._needs(app_id)
        placed = sum(1 for one in self._books.of_app(app_id) if one.place)
        if renewed or waiting.keys() - self.waiting.get(app_id, {}).keys() or placed < self._placed.get(app_id, 0):
            # more or other things to launch, or fewer siblings to keep away from: offers refused before may suit now
            self._needs(app_id)
        self._placed[app_id] = placed
        if waiting:
            self.waiting[app_id] = waiting
        else:
            self.waiting.pop(app_id, None)
        if app_id not in self.attempts:
            self.attempts[app_id] = self._begun(app_id, now)

    def _begun(self, app_id: str, now: float) -> Attempt:
        """Apps of one kind that begin to wait at the same time share it: thousands that come in one request."""
        spec = self._books.specs.get(app_id)
        kind = matcher.kind(spec) if spec is not None and app_id not in self._books.per_agent else None
        if kind is None:
            return Attempt(now)
        if now != self._last_begun:
            self._last_begun = now
            self._beginning.clear()
        return self._beginning.setdefault(kind, Attempt(now, alike=True))

    def nothing_waits(self, app_id: str) -> None:
        """All of the app is launched."""
        self.waiting.pop(app_id, None)
        self.attempts.pop(app_id, None)
        self.without_secrets.pop(app_id, None)
        self._placed.pop(app_id, None)
        self._versions.pop(app_id, None)
        self.demand.set(app_id, frozenset())

    def candidates(self, role: str, now: float) -> list[str]:
        """The apps of which something that waits may be launched with resources of a role, on any agent."""
        return [one for one in self.demand.all(role, now) if one not in self._books.per_agent]

    def launchable(self, app_id: str, now: float) -> bool:
        """Whether neither a delay nor a missing secret is in the way."""
        return self._held_until(app_id, now) <= now

    def _held_until(self, app_id: str, now: float) -> float:
        return max(self.delayed_until(app_id, now) or 0.0, self.without_secrets.get(app_id, 0.0))

    def _needs(self, app_id: str) -> None:
        for role in self.demand.roles(app_id):
            self._interest.need(role)

    # delays

    def delayed_until(self, app_id: str, now: float) -> float | None:
        """When the app may be launched again; None if at once."""
        app = self._books.specs.get(app_id)
        delay = backoff.valid(self._books.delays.get(app_id), app, now) if app is not None else None
        return delay.until if delay is not None and delay.until > now else None

    def failed(self, app: RunSpec, now: float) -> None:
        """A task of the app ended by itself."""
        self._books.put_delay(app.id, backoff.after_failure(self._books.delays.get(app.id), app, now))
        self._delay_changed(app.id, now)

    def progressed(self, app: RunSpec, now: float) -> None:
        """A task of the app came further."""
        before = self._books.delays.get(app.id)
        if before is None:
            return
        after = backoff.advanced(before, app, now)
        if after is None:
            self.reset_delay(app.id, now)
        else:
            self._books.put_delay(app.id, after)
            self._delay_changed(app.id, now)

    def reset_delay(self, app_id: str, now: float) -> None:
        """The app may be launched at once."""
        if app_id in self._books.delays:
            self._books.put_delay(app_id, None)
            self._books.no_wake(DELAY + app_id)
            self.demand.again(app_id)
            self._needs(app_id)

    def resume(self, now: float) -> None:
        """After a start: the delays of before go on; what has passed meanwhile is forgotten."""
        for app_id, delay in list(self._books.delays.items()):
            app = self._books.specs.get(app_id)
            if app is None or backoff.valid(delay, app, now) is None:
                self._books.put_delay(app_id, None)
            elif delay.until > now:
                self._books.wake(DELAY + app_id, delay.until)

    def delay_over(self) -> None:
        """An app's delay has passed."""
        for role in self.demand.wanted_roles():
            self._interest.need(role)

    def lacks_secret(self, app_id: str, now: float) -> None:
        """The app can't be launched; it is tried again a little later."""
        self.without_secrets[app_id] = now + _PATIENCE
        self._books.wake(SECRETS, now + _PATIENCE)

    def _delay_changed(self, app_id: str, now: float) -> None:
        delay = self._books.delays[app_id]
        self._books.wake(DELAY + app_id, delay.until)
        self._books.tell(app_id, now, f"launches wait for {delay.seconds:g} s", "its tasks keep ending")

    # offers

    def connected(self) -> None:
        """A new subscription knows nothing of what was revived or suppressed before."""
        self._interest.connected()

    def announce(self, now: float) -> None:
        """Tell the master which offers are wanted; at the end of each event."""
        self._interest.announce(lambda role: self._wants(role, now), now)

    def _wants(self, role: str, now: float) -> bool:
        if self._books.leftovers.roles[role]:
            return True
        return self.demand.any(role, now)

    def validate(self, now: float) -> None:
        """Assert that nothing is set aside that may be launched; for tests."""
        self.demand.validate()
        for role in self.demand.wanted_roles():
            apps = {*self.waiting, *self._books.per_agent}
            may = {one for one in apps if role in self.demand.roles(one) and self.launchable(one, now)}
            assert set(self.demand.all(role, now)) == may, (role, may)  # noqa: S101
