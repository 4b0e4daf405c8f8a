"""What becomes of offers: reservations that nobody needs are undone, instances return to theirs, others are launched.

Offers are for the apps of the role that they are allocated to. What is launched is stored before the offer is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from headrace.marathon.core import everywhere, prestop, residency
from headrace.marathon.core.books import Books
from headrace.marathon.core.matcher import Kind, Match, Policy, Refusal, match, match_kept
from headrace.marathon.core.places import Place
from headrace.marathon.core.pods import launch_group
from headrace.marathon.core.queue import OVERDUE, LaunchQueue
from headrace.marathon.core.records import Condition, ContainerTask, Goal, Instance
from headrace.marathon.core.residency import Kept
from headrace.marathon.core.secrets import Values, missing, values
from headrace.marathon.core.tasks import task_info
from headrace.marathon.definitions.pod import Pod
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.common import Filters, Offer, OfferID
from headrace.mesos.messages.scheduler import Accept, Call, Decline, Launch, Operation
from headrace.mesos.resources import PLAIN, Resources

LEFTOVER = "leftover/"
_UNDONE = 10.0
"""Seconds after which something that an agent was told to undo, and does not offer again, is taken for undone."""


class _Use(msgspec.Struct):
    """An offer and what is to be done with it; ``before`` what makes resources what the launches need."""

    place: Place
    before: list[Operation] = []
    launches: list[Operation] = []

    def operations(self) -> list[Operation]:
        """All tasks in one LAUNCH, then the groups."""
        tasks = [task for one in self.launches if one.launch is not None for task in one.launch.task_infos or ()]
        groups = [one for one in self.launches if one.launch is None]
        return [*self.before, *([Operation("LAUNCH", launch=Launch(tasks))] if tasks else []), *groups]


class _Refused(msgspec.Struct):
    """Why an offer does not suit a kind, and the ids of the ``Refusals`` in which that is put down."""

    why: Refusal
    noted: set[int]


class OfferDesk:
    """Uses offers for what waits in the queue. ``secrets`` finds one by its source; asked for what is launched only."""

    def __init__(self, books: Books, queue: LaunchQueue, secrets: Callable[[str], bytes | None]) -> None:
        self._books = books
        self._queue = queue
        self._secrets = secrets
        self._undone: set[str] = set()
        settings = books.settings
        self._policy = Policy(
            settings.accepted_resource_roles_default_behavior,
            settings.maintenance_mode,
            settings.draining_seconds,
            settings.gpu_scheduling_behavior == "restricted",
        )

    def use(self, offers: Iterable[Offer], now: float) -> None:
        """Use what can be used, decline the rest."""
        if self._policy.home_region != self._books.home_region:
            self._policy = msgspec.structs.replace(self._policy, home_region=self._books.home_region)
        uses = [_Use(Place.of(offer, self._books.settings.role)) for offer in offers]
        for use in uses:
            self._look_at_kept(use, now)
        for role in dict.fromkeys(use.place.role for use in uses):
            self._fill_everywhere([use for use in uses if use.place.role == role], role, now)
            self._fill_all([use for use in uses if use.place.role == role], role, now)
        self._answer(uses)

    # what is reserved for instances

    def _look_at_kept(self, use: _Use, now: float) -> None:
        """Undo what nobody needs any more, launch whoever waits for its volumes."""
        for lease, kept in list(use.place.kept.items()):
            instance = self._books.instances.get(kept.instance_id)
            if instance is not None and instance.lease == lease:
                self._return(use, instance, now)
            elif lease in self._books.leftovers.all or kept.framework_id == self._books.framework_id:
                self._undo(use, lease, kept, now)
        for lease in self._books.leftovers.at(use.place.offer.agent_id.value, use.place.role):
            if lease not in use.place.kept and lease not in self._undone:
                # never made, or undone already; or in another offer, which then comes soon
                self._undone.add(lease)
                self._books.wake(LEFTOVER + lease, now + _UNDONE)

    def _undo(self, use: _Use, lease: str, kept: Kept, now: float) -> None:
        use.before += residency.undoing(kept.resources, use.place.role)
        host = use.place.offer.hostname
        self._books.tell("marathon", now, f"what was reserved for {kept.instance_id} on {host} is undone", "it is gone")
        if lease in self._books.leftovers.all:
            self._undone.add(lease)
            self._books.wake(LEFTOVER + lease, now + _UNDONE)

    def undone(self, lease: str) -> None:
        """The reservation has not been offered again since its agent was told to undo it."""
        self._undone.discard(lease)
        self._books.effects += self._books.leftovers.drop(lease)

    def _return(self, use: _Use, instance: Instance, now: float) -> None:
        waits = instance.condition is Condition.SCHEDULED and instance.goal is Goal.RUNNING
        waiting = self._queue.waiting.get(instance.app_id, {})
        app = self._books.next_definition(instance)
        if app is None or not waits or instance.id not in waiting or not self._queue.launchable(app.id, now):
            return
        randrange = self._books.randrange
        found = match_kept(use.place, app, instance, randrange, policy=self._policy, now=now)
        self._tried(use.place, app, found, now)
        secrets = self._values(app, now) if isinstance(found, Match) else None
        if isinstance(found, Refusal) or secrets is None:
            return
        del waiting[instance.id]
        del use.place.kept[instance.lease]
        self._launch(use, instance, app, found, secrets, now)

    # what is to be on every agent

    def _fill_everywhere(self, uses: list[_Use], role: str, now: float) -> None:
        """Launch an instance where there is none, or where one waits for its agent."""
        for app_id in list(self._books.per_agent):
            if role not in self._queue.demand.roles(app_id) or app_id not in self._queue.attempts:
                continue
            new = self._books.in_force(app_id)
            there = {one.agent_id: one for one in self._books.of_app(app_id)}
            for use in uses:
                instance = there.get(use.place.offer.agent_id.value)
                app = new if instance is None else self._books.next_definition(instance)
                if instance is not None and not everywhere.waits(instance):
                    continue
                if app is None or not app.per_agent or app.role != role or not self._queue.launchable(app_id, now):
                    continue
                self._launch_everywhere(use, app, instance, now)

    def _launch_everywhere(self, use: _Use, app: RunSpec, instance: Instance | None, now: float) -> None:
        spread = self._books.spread(app)
        found = match(use.place, app, spread, self._books.randrange, role=app.role, policy=self._policy, now=now)
        self._tried(use.place, app, found, now)
        secrets = self._values(app, now) if isinstance(found, Match) else None
        if isinstance(found, Refusal) or secrets is None:
            return
        if instance is None:
            instance = self._books.schedule(app, now)
        self._queue.waiting.get(app.id, {}).pop(instance.id, None)
        self._books.no_wake(everywhere.TIMER + instance.id)
        self._launch(use, instance, app, found, secrets, now)

    # what waits for anything that suits

    def _fill_all(self, uses: list[_Use], role: str, now: float) -> None:
        candidates = dict.fromkeys(self._queue.candidates(role, now))
        while uses and candidates:
            uses = [use for use in uses if self._fill(use, candidates, now)]

    def _fill(self, use: _Use, candidates: dict[str, None], now: float) -> bool:
        """Launch some, so that others have a turn; returns whether there may be room for more.

        Candidates of which nothing waits any more, and those that lack a secret, are removed.
        """
        limit = self._books.settings.max_instances_per_offer
        count = 0
        done: list[str] = []
        refused: dict[Kind | None, _Refused] = {}
        for app_id in candidates:
            tried = False
            for app, kind in self._queue.forms[app_id]:
                refusals = self._queue.attempts[app_id].refused
                before = refused.get(kind)
                if before is None:
                    tried = True
                    launched, refusal = self._fill_with(use, app, limit - count, now)
                    count += launched
                    if kind is not None and refusal is not None:
                        refused[kind] = _Refused(refusal, {id(refusals)})
                elif id(refusals) not in before.noted:  # what refuses one refuses all of its kind
                    before.noted.add(id(refusals))
                    refusals.add(use.place.offer, before.why, now)
            if not tried:
                continue
            if not self._queue.waiting.get(app_id) or self._queue.without_secrets.get(app_id, 0.0) > now:
                done.append(app_id)
            if count >= limit:
                break
        for app_id in done:
            if not self._queue.waiting.get(app_id):
                self._queue.nothing_waits(app_id)
            del candidates[app_id]
        return count >= limit

    def _fill_with(self, use: _Use, app: RunSpec, most: int, now: float) -> tuple[int, Refusal | None]:
        """Launch instances of one definition; returns how many, and what is against one more."""
        waiting = self._queue.waiting.get(app.id)
        count = 0
        while waiting and count < most:
            instance = self._next(waiting, use.place.role, app)
            if instance is None:
                self._try_elsewhere(use.place, app, waiting, now)
                break
            spread, randrange = self._books.spread(app), self._books.randrange
            found = match(use.place, app, spread, randrange, role=instance.role, policy=self._policy, now=now)
            self._tried(use.place, app, found, now)
            if isinstance(found, Refusal):
                return count, found
            secrets = self._values(app, now)
            if secrets is None:
                break
            del waiting[instance.id]
            count += 1
            self._launch(use, instance, app, found, secrets, now)
        return count, None

    def _next(self, waiting: dict[str, Instance], role: str, app: RunSpec) -> Instance | None:
        """An instance that may be launched anywhere, as this definition."""
        free = (one for one in waiting.values() if not one.home and one.role == role)
        return next((one for one in free if self._books.next_definition(one) is app), None)

    def _try_elsewhere(self, place: Place, app: RunSpec, waiting: dict[str, Instance], now: float) -> None:
        """All that wait have volumes, and not here: those that have them here were tried before."""
        kept = (one for one in waiting.values() if one.home and one.role == place.role and one.lease not in place.kept)
        instance = next(kept, None)
        if instance is not None:
            randrange = self._books.randrange
            self._tried(place, app, match_kept(place, app, instance, randrange, policy=self._policy, now=now), now)

    def _tried(self, place: Place, app: RunSpec, found: Match | Refusal, now: float) -> None:
        self._queue.attempts[app.id].tried(place.offer, found, now)
        if isinstance(found, Refusal):
            self._books.tell(app.id, now, f"offer of {place.offer.hostname} refused: {found.reason}", found.detail)

    def _values(self, app: RunSpec, now: float) -> Values | None:
        """The app's secrets by their names; None if there is one missing."""
        if not app.secrets:
            return {}
        found = values(app, self._secrets)
        lacking = missing(app, found, self._books.settings.secrets_dir)
        if lacking:
            self._queue.lacks_secret(app.id, lacking, now)
            self._books.tell(app.id, now, "waits for its secrets", lacking)
            return None
        return found

    # launching

    def _launch(self, use: _Use, instance: Instance, app: RunSpec, found: Match, secrets: Values, now: float) -> None:
        place, offer = use.place, use.place.offer
        held = found.resources
        if found.disks:
            held = self._settle(use, instance, app, found)
        elif not instance.home:
            place.free = place.free - held
        self._enter(place, instance, app, found, now)
        self._books.tell(instance.id, now, f"launched on {offer.hostname}", f"its offer has {place.free} left")
        bridge, enforced = self._books.settings.mesos_bridge_name, self._books.enforced(app.id)
        if isinstance(app, Pod):
            framework_id = self._books.framework_id or ""
            group = launch_group(
                app,
                instance,
                held,
                place.role,
                framework_id=framework_id,
                bridge=bridge,
                enforced=enforced,
                secrets=secrets,
            )
            use.launches.append(Operation("LAUNCH_GROUP", launch_group=group))
            return
        prefix = self._books.settings.env_prefix
        told = held.messages(place.role)
        task = task_info(app, instance, told, prefix=prefix, bridge=bridge, enforced=enforced, secrets=secrets)
        use.launches.append(Operation("LAUNCH", launch=Launch([task])))

    def _settle(self, use: _Use, instance: Instance, app: RunSpec, found: Match) -> Resources:
        """Reserve what the instance takes and make its volumes; returns what its tasks hold then."""
        place = use.place
        stay = residency.stay(
            instance,
            app,
            found.resources,
            found.disks,
            role=place.role,
            framework_id=self._books.framework_id or "",
            principal=self._books.settings.principal,
            lease=self._books.ids(),
            ids=self._books.ids,
        )
        place.free = place.free - found.resources - found.on_root
        for _, tag, amount in found.disks:
            if tag != PLAIN:
                place.disks = place.disks - Resources({"disk": amount}).tagged(tag)
        use.before += residency.making(stay, place.role)
        self._books.settle(instance, place.offer.agent_id.value, stay.lease, stay.volumes)
        return stay.held

    def _enter(self, place: Place, instance: Instance, app: RunSpec, found: Match, now: float) -> None:
        """Put down where the instance is."""
        offer = place.offer
        instance.version, instance.config_version = app.version, app.config_version
        instance.agent_id, instance.host = offer.agent_id.value, offer.hostname
        instance.agent_url = _address(offer)
        if instance.home:
            instance.home = instance.agent_id  # the same agent may have come back under another id
        self._books.placed(instance, dict(place.fields))
        instance.ports = found.ports
        instance.staged_at = now
        if isinstance(app, Pod):
            instance.containers = {one.name: ContainerTask(since=now) for one in app.containers}
        else:
            instance.pre_stop = prestop.call(app, instance)
        self._books.condition(instance, Condition.PROVISIONED, now)
        self._books.wake(OVERDUE + instance.id, now + self._books.settings.task_launch_confirm_timeout)

    def _answer(self, uses: list[_Use]) -> None:
        refuse = Filters(self._books.settings.decline_offer_duration)
        unused: list[OfferID] = []
        for use in uses:
            operations = use.operations()
            if operations:
                self._books.call(Call("ACCEPT", accept=Accept([use.place.offer.id], operations, refuse)))
            else:
                unused.append(use.place.offer.id)
        if unused:
            self._books.call(Call("DECLINE", decline=Decline(unused, refuse)))


def _address(offer: Offer) -> str:
    """Where the agent answers; empty if the offer does not say so."""
    url = offer.url
    host = (url.address.ip or url.address.hostname) if url is not None else None
    if url is None or not host:
        return ""
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}:{url.address.port or 5051}"
