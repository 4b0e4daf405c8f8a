"""The launch queue: instances that wait for an offer, since when, and what the offers in that time lacked.

While something waits (and its back-off delay is over) offers are wanted for its role: the first need revives
them at once. When nothing waits they are suppressed. An offer that suits nobody is declined for
long; a new need revives again, which makes the master forget that.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

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
_Latest = TypeVar("_Latest")


class Refusals(msgspec.Struct):
    """What offers were refused for: one app, or all of one ``kind`` that began to wait together."""

    kind: matcher.Kind | None = None
    count: int = 0
    last: float | None = None
    reasons: Counter[str] = msgspec.field(default_factory=Counter)
    by_agent: dict[str, Refusal] = msgspec.field(default_factory=dict)
    """The latest of each agent."""
    offers: dict[str, tuple[Offer, float]] = msgspec.field(default_factory=dict)

    def add(self, offer: Offer, refusal: Refusal, now: float) -> None:
        """An offer did not suit."""
        agent = offer.agent_id.value
        self.count += 1
        self.last = now
        self.reasons[refusal.reason] += 1
        _put_latest(self.by_agent, agent, refusal)
        _put_latest(self.offers, agent, (offer, now))


class Attempt(msgspec.Struct):
    """An app's waiting time: since when, what was launched in it, and what offers were refused for."""

    since: float
    refused: Refusals
    used: int = 0
    last_used: float | None = None
    _used_on: dict[str, Refusal | None] = {}
    """The agents whose offers were used, with their latest refusals before that."""

    def tried(self, offer: Offer, found: Match | Refusal, now: float) -> None:
        """An offer was looked at."""
        if isinstance(found, Refusal):
            self.refused.add(offer, found, now)
            return
        agent = offer.agent_id.value
        self.used += 1
        self.last_used = now
        _put_latest(self._used_on, agent, self.refused.by_agent.get(agent))

    @property
    def processed(self) -> int:
        """How many offers were looked at."""
        return self.used + self.refused.count

    @property
    def unused(self) -> int:
        """How many of them did not suit."""
        return self.refused.count

    @property
    def last_unused(self) -> float | None:
        """When one did not suit."""
        return self.refused.last

    @property
    def refusals(self) -> Counter[str]:
        """How many did not suit, by reason."""
        return self.refused.reasons

    @property
    def by_agent(self) -> dict[str, Refusal | None]:
        """What became of the last offer of each agent; None: it was used."""
        out: dict[str, Refusal | None] = {**self.refused.by_agent}
        for agent, before in self._used_on.items():
            if out.get(agent) is before:
                out[agent] = None
        return out

    @property
    def offers(self) -> dict[str, tuple[Offer, float]]:
        """The last offer of each agent that did not suit, and when."""
        return self.refused.offers


Form = tuple[RunSpec, matcher.Kind | None]
"""A definition that something is to be launched as, and its kind."""


class LaunchQueue:
    """Apps with waiting instances, longest first."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._interest = Interest(books)
        self.waiting: dict[str, dict[str, Instance]] = {}
        self.attempts: dict[str, Attempt] = {}
        self.without_secrets: dict[str, float] = {}
        """Until when apps are not tried, as a secret is missing."""
        self.lacking_secrets: dict[str, str] = {}
        """Which those were that were missing last."""
        self.demand = Demand(self._held_until)
        self.forms: dict[str, list[Form]] = {}
        """What that which waits is launched as: one definition, of an app whose turn has not come perhaps several."""
        self._beginning: dict[matcher.Kind, Refusals] = {}
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
            spec = self._books.in_force(app_id)
            roles |= {spec.role} if spec is not None else set()
        self.demand.set(app_id, frozenset(roles))
        forms = self.forms[app_id] = self._forms(app_id, waiting)
        versions = {one.config_version for one, _ in forms}
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

    def _forms(self, app_id: str, waiting: dict[str, Instance]) -> list[Form]:
        if app_id in self._books.put_off:
            each = (self._books.next_definition(one) for one in waiting.values())
            found = {one.version: one for one in each if one is not None}
            return [(one, matcher.kind(one)) for one in found.values()]
        spec = self._books.specs.get(app_id)
        return [(spec, matcher.kind(spec))] if spec is not None and waiting else []

    def _begun(self, app_id: str, now: float) -> Attempt:
        """Apps of one kind that begin to wait at the same time share what refuses them: thousands in one request."""
        forms = self.forms[app_id]
        kind = forms[0][1] if len(forms) == 1 and app_id not in self._books.per_agent else None
        if kind is None:
            return Attempt(now, Refusals())
        if now != self._last_begun:
            self._last_begun = now
            self._beginning.clear()
        shared = self._beginning.get(kind)
        if shared is None or shared.count:
            shared = self._beginning[kind] = Refusals(kind)
        return Attempt(now, shared)

    def nothing_waits(self, app_id: str) -> None:
        """All of the app is launched."""
        self.waiting.pop(app_id, None)
        self.attempts.pop(app_id, None)
        self.without_secrets.pop(app_id, None)
        self.lacking_secrets.pop(app_id, None)
        self._placed.pop(app_id, None)
        self._versions.pop(app_id, None)
        self.forms.pop(app_id, None)
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
        if app_id not in self._books.delays:
            return None
        delay = self._valid_delay(app_id, now)
        return delay.until if delay is not None and delay.until > now else None

    def _valid_delay(self, app_id: str, now: float) -> backoff.Delay | None:
        """While the app's turn has not come, the delay of any of its definitions counts."""
        delay, app = self._books.delays.get(app_id), self._books.specs.get(app_id)
        if delay is None or app is None:
            return None
        if app_id in self._books.put_off:
            each = (self._books.definition(one) for one in self._books.of_app(app_id))
            app = next((one for one in each if one is not None and one.config_version == delay.config_version), app)
        return backoff.valid(delay, app, now)

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
            if self._valid_delay(app_id, now) is None:
                self._books.put_delay(app_id, None)
            elif delay.until > now:
                self._books.wake(DELAY + app_id, delay.until)

    def delay_over(self) -> None:
        """An app's delay has passed."""
        for role in self.demand.wanted_roles():
            self._interest.need(role)

    def lacks_secret(self, app_id: str, why: str, now: float) -> None:
        """The app can't be launched; it is tried again a little later."""
        self.without_secrets[app_id] = now + _PATIENCE
        self.lacking_secrets[app_id] = why
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
        for app_id, attempt in self.attempts.items():
            waiting = self.waiting.get(app_id, {})
            assert self.forms[app_id] == self._forms(app_id, waiting), app_id  # noqa: S101
            if attempt.refused.kind is not None:  # what refuses one refuses all that share it
                each = [self._books.next_definition(one) for one in waiting.values()]
                kinds = {matcher.kind(one) for one in each if one is not None}
                assert kinds <= {attempt.refused.kind}, app_id  # noqa: S101


def _put_latest(known: dict[str, _Latest], agent: str, value: _Latest) -> None:
    """The agents' latest, oldest first, of so many agents."""
    known.pop(agent, None)
    if len(known) >= _AGENTS:
        del known[next(iter(known))]
    known[agent] = value
