"""The orchestrator's core: takes an event, hands it to the part that knows, then looks at the touched apps."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Sequence
from typing import Any

from headrace.kernel.core import Effect, Event, Put, Reply, TimerFired
from headrace.kernel.ids import IdSource
from headrace.marathon import repository
from headrace.marathon.core import everywhere, interest, kills, line, offers, prestop, queue, tracking
from headrace.marathon.core import health as checks
from headrace.marathon.core.books import Books
from headrace.marathon.core.changes import AppChanges, Deployer, GroupChanges, InstanceChanges, PodChanges
from headrace.marathon.core.deployments import DEADLINE, STALLED, Deployments, adjust
from headrace.marathon.core.events import (
    Answer,
    CancelDeployment,
    ChangeGroup,
    CreateApp,
    CreatePod,
    DeleteApp,
    DeleteGroup,
    DeletePod,
    EnforceRole,
    ForgetFramework,
    KillInstances,
    KillTasks,
    LogsRead,
    Look,
    Probed,
    ResetDelay,
    RestartApp,
    Start,
    UpdateApps,
    UpdatePod,
)
from headrace.marathon.core.health import Health
from headrace.marathon.core.kills import Killer
from headrace.marathon.core.line import Line
from headrace.marathon.core.offers import OfferDesk
from headrace.marathon.core.queue import LaunchQueue
from headrace.marathon.core.secrets import OncePerEvent
from headrace.marathon.core.settings import Settings
from headrace.marathon.core.stalls import Stalls
from headrace.marathon.core.tracking import Tracker
from headrace.marathon.core.waits import WAITS, Waits
from headrace.marathon.core.why import Explainer
from headrace.marathon.definitions.errors import Rejected, TooManyDeployments
from headrace.mesos.client import ClientEvent, Connected, Disconnected, Received
from headrace.mesos.messages import scheduler

_REMOVED = "Framework has been removed"
_SETTLE = "settle"
_LOOK = "look at all apps"
_LARGE = 100
_PAUSE_PER_INSTANCE = 20e-6
"""Looking at an app costs its size. So after the statuses of a large one it is looked at a little
later, once for all that came in between, which bounds the cost to a small share of the time."""


class MarathonCore:
    """Decides about apps, instances and deployments.

    ``content`` is what the store held; ``ids`` makes uuids; ``randrange(n)`` gives 0..n-1; ``secrets`` finds a
    secret by its source, None if there is none; it is asked at launches, once per event, and must be quick.
    """

    def __init__(
        self,
        content: repository.Content,
        settings: Settings,
        ids: IdSource,
        randrange: Callable[[int], int],
        secrets: Callable[[str], bytes | None] | None = None,
    ) -> None:
        self.books = Books(content, settings, ids, randrange)
        self.killer = Killer(self.books)
        self.queue = LaunchQueue(self.books)
        self._secrets = OncePerEvent(secrets or (lambda source: None))
        self.offers = OfferDesk(self.books, self.queue, self._secrets)
        self.health = Health(self.books, self.killer)
        self.tracker = Tracker(self.books, self.queue, self.health, self.killer)
        self.deployments = Deployments(self.books, self.queue, self.killer, content.plans)
        self.explainer = Explainer(self.books, self.queue, self.health)
        self._stalls = Stalls(self.books, self.deployments, self.explainer)
        self._waits = Waits(self.books, self.queue, self.deployments, self.explainer)
        self._deployer = Deployer(self.books, self.queue, self.deployments)
        self._later: set[str] = set()
        self._handlers = self._request_handlers()
        self._line = Line(self.books, self.deployments, self._request)

    def _request_handlers(self) -> dict[type[Event], Callable[[Any, float], Answer]]:
        books = self.books
        deployer = self._deployer
        apps, pods, groups = (
            AppChanges(books, deployer),
            PodChanges(books, deployer, self.killer),
            GroupChanges(books, deployer),
        )
        instances = InstanceChanges(books, self.queue, self.deployments, self.killer, deployer)
        return {
            CreateApp: apps.create,
            UpdateApps: apps.update,
            DeleteApp: apps.delete,
            RestartApp: apps.restart,
            CreatePod: pods.create,
            UpdatePod: pods.update,
            DeletePod: pods.delete,
            KillInstances: pods.kill,
            ChangeGroup: groups.change,
            DeleteGroup: groups.delete,
            EnforceRole: groups.enforce,
            KillTasks: instances.kill,
            CancelDeployment: instances.cancel,
            ResetDelay: instances.reset_delay,
        }

    def handle(self, event: Event | ClientEvent, now: float) -> Sequence[Effect]:
        match event:
            case Look(to, view):
                return [Reply(to, view(self, now))]
            case Start():
                self._start(now)
            case TimerFired(key):
                self._timer(key, now)
            case Probed(key=key) if key.startswith(prestop.TIMER):
                self.killer.prepared(event, now)
            case Probed():
                self.health.probed(event, now)
                self._postpone(now)
            case LogsRead():
                self.books.past.logs_read(event)
            case Received(message):
                self._message(message, now)
            case Connected():
                self._connected(event, now)
            case Disconnected():
                self.books.connected = False
                self.books.publish("scheduler_disconnected_event")
            case _:
                self._request(event, now)
        return self._settled(now)

    def _start(self, now: float) -> None:
        """Take up what was left: watch what runs, go on with deployments, launch what is missing."""
        self.tracker.resume(now)
        self.queue.resume(now)
        self.deployments.resume(now)
        instances = {one.app_id for one in self.books.instances.values()}
        for app_id in (*self.books.specs, *instances, *self.deployments.held()):
            self.books.touch(app_id)
        self.books.wake(_LOOK, now + self.books.settings.scale_apps_initial_delay)

    def _look_at_all(self, now: float) -> None:
        """Nothing should be missing or too many, as apps are looked at when they change; but one looks."""
        for app_id in self.books.specs:
            self.books.touch(app_id)
        self._postpone(now)
        self.books.wake(_LOOK, now + self.books.settings.scale_apps_interval)

    def _request(self, event: Event, now: float) -> None:
        handler = self._handlers.get(type(event))
        if handler is None:
            raise TypeError(f"unknown event {event!r}")
        try:
            answer = handler(event, now)
        except TooManyDeployments as refusal:
            self._line.join(event, refusal, now)
            return
        except Rejected as rejected:
            answer = Answer(rejected.status, rejected.body)
        to: int = event.to  # type: ignore[attr-defined]  # all requests have it
        self.books.effects.append(Reply(to, answer))

    def _postpone(self, now: float) -> None:
        """Leave the touched apps that are large for later."""
        for app_id in list(self.books.touched):
            size = self.books.size(app_id)
            if size >= _LARGE:
                del self.books.touched[app_id]
                if not self._later:
                    self.books.wake(_SETTLE, now + size * _PAUSE_PER_INSTANCE)
                self._later.add(app_id)

    def _timer(self, key: str, now: float) -> None:
        if key == interest.REVIVE:
            pass  # the queue looks at the time itself
        elif key == line.TIMER:
            self._line.timer(now)
        elif key == _SETTLE:
            for app_id in self._later:
                self.books.touch(app_id)
            self._later.clear()
        elif key == _LOOK:
            self._look_at_all(now)
        elif key == tracking.RECONCILE:
            if self.books.connected:
                self.tracker.reconcile(now)
        elif key == queue.SECRETS or key.startswith(queue.DELAY):
            self.queue.delay_over()
        elif key.startswith(offers.LEFTOVER):
            self.offers.undone(key.removeprefix(offers.LEFTOVER))
        elif key.startswith(checks.TIMER):
            self.health.timer(key)
        elif key.startswith(everywhere.TIMER):
            everywhere.waited(self.books, key.removeprefix(everywhere.TIMER), now)
        elif key.startswith(prestop.TIMER):
            self.killer.time_is_up(key.removeprefix(prestop.TIMER), now)
        elif key.startswith(STALLED):
            self._stalls.look(key.removeprefix(STALLED), now)
        elif key == WAITS:
            self._waits.look(now)
        elif key.startswith(DEADLINE):
            self._deployer.expire(key.removeprefix(DEADLINE), now)
        elif key.startswith(kills.TIMER):
            self.killer.timer(key.removeprefix(kills.TIMER), now)
        elif key.startswith(queue.OVERDUE):
            self.tracker.overdue(key.removeprefix(queue.OVERDUE), now)
        elif key.startswith(tracking.UNREACHABLE):
            self.tracker.unreachable_timer(key.removeprefix(tracking.UNREACHABLE), now)

    def _connected(self, event: Connected, now: float) -> None:
        master = event.master.hostname if event.master is not None else ""
        again = self.books.framework_id == event.framework_id
        kind = "scheduler_reregistered_event" if again else "scheduler_registered_event"
        self.books.publish(kind, frameworkId=event.framework_id, master=master)
        if not again:
            if self.books.framework_id is not None:
                self.tracker.abandon(now, "the master knows this Marathon under a new framework id")
            self.books.framework_id = event.framework_id
            self.books.effects.append(Put(repository.FRAMEWORK, event.framework_id.encode()))
        domain = event.master.domain if event.master is not None else None
        fault_domain = domain.fault_domain if domain is not None else None
        self.books.home_region = fault_domain.region.name if fault_domain is not None else None
        self.books.connected = True
        self.queue.connected()
        self.killer.connected(now)
        self.tracker.reconcile(now, first=True)

    def _message(self, message: scheduler.Event, now: float) -> None:
        if message.offers is not None:
            self.offers.use(message.offers.offers, now)
            self._secrets.forget()
            self._postpone(now)
        elif message.update is not None:
            self.tracker.status(message.update.status, now)
            self._postpone(now)
        elif message.message is not None:
            self._executor_says(message.message, now)
        elif message.error is not None and _REMOVED in message.error.message:
            self.books.tell("marathon", now, "subscribes anew", message.error.message)
            self.books.effects.append(ForgetFramework())

    def _executor_says(self, message: scheduler.ExecutorMessage, now: float) -> None:
        """Nothing is made of it but an event."""
        try:
            data = a2b_base64(message.data)
        except ValueError as error:
            what = f"a message of executor {message.executor_id.value} is not told"
            self.books.tell("marathon", now, what, f"its data is not base64: {error}")
            return
        self.books.publish(
            "framework_message_event",
            slaveId=message.agent_id.value,
            executorId=message.executor_id.value,
            message=list(data),
        )

    def _settled(self, now: float) -> list[Effect]:
        """Look at every touched app, until nothing moves any more."""
        books = self.books
        self._look_at_touched(now)
        while self._line.admit(now):
            self._look_at_touched(now)
        self.queue.announce(now)
        self._waits.arm(now)
        effects, books.effects = books.effects, []
        return effects

    def _look_at_touched(self, now: float) -> None:
        touched = self.books.touched
        while touched:
            app_id, _ = touched.popitem(last=False)
            self._later.discard(app_id)
            deployment = self.deployments.of_app(app_id)
            if deployment is not None:
                self.deployments.advance(deployment, app_id, now)
            if not self.deployments.drives(app_id):
                self._balance(app_id, now)
            self.queue.look(app_id, now)

    def _balance(self, app_id: str, now: float) -> None:
        app = self.books.specs.get(app_id)
        if app is not None:
            adjust(self.books, self.killer, app, now, [])
            return
        for instance in list(self.books.of_app(app_id)):
            self.killer.decommission(instance, now, "its app is no more")
