"""The launch queue: instances that wait for an offer, and what becomes of offers.

While something waits (and its back-off delay is over) offers are wanted: the first need revives
them at once. When nothing waits they are suppressed. An offer that suits nobody is declined for
long; a new need revives again, which makes the master forget that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from headrace.marathon.core import backoff
from headrace.marathon.core.books import Books
from headrace.marathon.core.matcher import Match, Place, Refusal, match
from headrace.marathon.core.pods import launch_group
from headrace.marathon.core.records import Condition, ContainerTask, Goal, Instance
from headrace.marathon.core.tasks import task_info
from headrace.marathon.definitions.pod import Pod
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.common import Filters, Offer, OfferID
from headrace.mesos.messages.scheduler import Accept, Call, Decline, Launch, Operation, Roles

REVIVE = "revive"
DELAY = "delay/"
OVERDUE = "overdue/"
_AGENTS = 1000


class Attempt(msgspec.Struct):
    """One app's waiting time: since when, and what the offers in it were refused for."""

    since: float
    processed: int = 0
    unused: int = 0
    last_used: float | None = None
    last_unused: float | None = None
    refusals: Counter[str] = msgspec.field(default_factory=Counter)
    by_agent: dict[str, Refusal | None] = msgspec.field(default_factory=dict)
    offers: dict[str, tuple[Offer, float]] = msgspec.field(default_factory=dict)


class LaunchQueue:
    """Apps with waiting instances, longest first."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.waiting: dict[str, dict[str, Instance]] = {}
        self.attempts: dict[str, Attempt] = {}
        self._revived = False
        self._suppressed = True
        self._last_revive = float("-inf")
        self._need = False
        self._placed: dict[str, int] = {}

    # demand

    def look(self, app_id: str, now: float) -> None:
        """Find out what of this app waits; called for every touched app."""
        waiting = {
            one.id: one
            for one in self._books.of_app(app_id)
            if one.condition is Condition.SCHEDULED and one.goal is Goal.RUNNING
        }
        if not waiting:
            self._nothing_waits(app_id)
            return
        placed = sum(1 for one in self._books.of_app(app_id) if one.place)
        if waiting.keys() - self.waiting.get(app_id, {}).keys() or placed < self._placed.get(app_id, 0):
            # more to launch, or fewer siblings to keep away from: offers refused before may suit now
            self._need = True
        self._placed[app_id] = placed
        self.waiting[app_id] = waiting
        self.attempts.setdefault(app_id, Attempt(now))

    def _nothing_waits(self, app_id: str) -> None:
        self.waiting.pop(app_id, None)
        self.attempts.pop(app_id, None)
        self._placed.pop(app_id, None)

    def delayed_until(self, app_id: str, now: float) -> float | None:
        """When the app may be launched again; None if at once."""
        app = self._books.specs.get(app_id)
        delay = backoff.valid(self._books.delays.get(app_id), app, now) if app is not None else None
        return delay.until if delay is not None and delay.until > now else None

    def failed(self, app: RunSpec, now: float) -> None:
        """A task of the app ended by itself."""
        self._books.delays[app.id] = backoff.after_failure(self._books.delays.get(app.id), app, now)
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
            self._books.delays[app.id] = after
            self._delay_changed(app.id, now)

    def reset_delay(self, app_id: str, now: float) -> None:
        """The app may be launched at once."""
        if self._books.delays.pop(app_id, None) is not None:
            self._books.no_wake(DELAY + app_id)
            self._need = True

    def delay_over(self) -> None:
        """An app's delay has passed."""
        self._need = True

    def _delay_changed(self, app_id: str, now: float) -> None:
        delay = self._books.delays[app_id]
        self._books.wake(DELAY + app_id, delay.until)
        self._books.tell(app_id, now, f"launches wait for {delay.seconds:g} s", "its tasks keep ending")

    # offers

    def connected(self) -> None:
        """A new subscription knows nothing of what was revived or suppressed before."""
        self._revived, self._suppressed, self._need = False, False, True
        self._last_revive = float("-inf")

    def announce(self, now: float) -> None:
        """Tell the master whether offers are wanted; at the end of each event."""
        if not self._books.connected:
            return
        wanted = any(self.delayed_until(app_id, now) is None for app_id in self.waiting)
        if not wanted:
            self._need = False
            if not self._suppressed:
                self._books.call(Call("SUPPRESS", suppress=Roles()))
                self._suppressed, self._revived = True, False
        elif self._need or not self._revived:
            due = self._last_revive + self._books.settings.min_revive_offers_interval
            if now >= due:
                self._books.call(Call("REVIVE", revive=Roles()))
                self._revived, self._suppressed, self._need, self._last_revive = True, False, False, now
            else:
                self._books.wake(REVIVE, due)

    def offers(self, offers: Iterable[Offer], now: float) -> None:
        """Use what can be used, decline the rest."""
        places = [Place.of(offer) for offer in offers]
        launches: list[list[Operation]] = [[] for _ in places]
        candidates = [app_id for app_id in self.waiting if self.delayed_until(app_id, now) is None]
        open_places = dict(enumerate(places))
        while open_places and candidates:
            for number, place in list(open_places.items()):
                launched = self._fill(place, candidates, now)
                launches[number] += launched
                if len(launched) < self._books.settings.max_instances_per_offer:
                    del open_places[number]
            for app_id in [one for one in candidates if not self.waiting[one]]:
                self._nothing_waits(app_id)
            candidates = [app_id for app_id in candidates if app_id in self.waiting]
        self._answer(places, launches)

    def _fill(self, place: Place, candidates: list[str], now: float) -> list[Operation]:
        launched: list[Operation] = []
        limit = self._books.settings.max_instances_per_offer
        for app_id in candidates:
            waiting = self.waiting.get(app_id)
            while waiting and len(launched) < limit:
                instance = next(iter(waiting.values()))
                found = self._try(place, self._books.specs[app_id], now)
                if found is None:
                    break
                del waiting[instance.id]
                launched.append(self._launch(place, instance, found, now))
            if len(launched) >= limit:
                break
        return launched

    def _try(self, place: Place, app: RunSpec, now: float) -> Match | None:
        attempt = self.attempts[app.id]
        found = match(place, app, self._books.spread(app), self._books.randrange, role=app.role)
        attempt.processed += 1
        agent = place.offer.agent_id.value
        attempt.by_agent.pop(agent, None)
        for known in (attempt.by_agent, attempt.offers):
            if len(known) >= _AGENTS and agent not in known:
                del known[next(iter(known))]
        if isinstance(found, Refusal):
            attempt.by_agent[agent] = found
            attempt.unused += 1
            attempt.last_unused = now
            attempt.refusals[found.reason] += 1
            attempt.offers.pop(agent, None)
            attempt.offers[agent] = (place.offer, now)
            self._books.tell(app.id, now, f"offer of {place.offer.hostname} refused: {found.reason}", found.detail)
            return None
        attempt.by_agent[agent] = None
        attempt.last_used = now
        return found

    def _launch(self, place: Place, instance: Instance, found: Match, now: float) -> Operation:
        app = self._books.specs[instance.app_id]
        offer = place.offer
        instance.version, instance.config_version = app.version, app.config_version
        instance.agent_id, instance.host = offer.agent_id.value, offer.hostname
        self._books.placed(instance, dict(place.fields))
        instance.ports = found.ports
        instance.staged_at = now
        if isinstance(app, Pod):
            instance.containers = {one.name: ContainerTask(since=now) for one in app.containers}
        self._books.condition(instance, Condition.PROVISIONED, now)
        self._books.wake(OVERDUE + instance.id, now + self._books.settings.task_launch_confirm_timeout)
        self._books.tell(instance.id, now, f"launched on {offer.hostname}", f"its offer has {place.free}")
        place.free = place.free - found.resources
        role = offer.allocation_info.role if offer.allocation_info is not None else None
        bridge = self._books.settings.mesos_bridge_name
        if isinstance(app, Pod):
            framework_id = self._books.framework_id or ""
            group = launch_group(app, instance, role, framework_id=framework_id, bridge=bridge)
            return Operation("LAUNCH_GROUP", launch_group=group)
        prefix = self._books.settings.env_prefix
        task = task_info(app, instance, found.resources.messages(role), prefix=prefix, bridge=bridge)
        return Operation("LAUNCH", launch=Launch([task]))

    def _answer(self, places: list[Place], launches: list[list[Operation]]) -> None:
        refuse = Filters(self._books.settings.decline_offer_duration)
        unused: list[OfferID] = []
        for place, launched in zip(places, launches, strict=True):
            if launched:
                operations = _together(launched)
                self._books.call(Call("ACCEPT", accept=Accept([place.offer.id], operations, refuse)))
            else:
                unused.append(place.offer.id)
        if unused:
            self._books.call(Call("DECLINE", decline=Decline(unused, refuse)))


def _together(operations: list[Operation]) -> list[Operation]:
    """All tasks in one LAUNCH, then the groups."""
    tasks = [task for one in operations if one.launch is not None for task in one.launch.task_infos or ()]
    groups = [one for one in operations if one.launch is None]
    return [Operation("LAUNCH", launch=Launch(tasks)), *groups] if tasks else groups
