"""The master's core: takes one event, hands it to whom it concerns, and lets the allocator speak last.

Pure: the master's id and the order in which agents are offered are handed in. The rules stand in the modules
named after their subjects: ``frameworks``, ``offers``, ``accept``, ``launching``, ``operations``, ``tasks``, …
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.kernel.core import CancelTimer, Effect, Reply, SetTimer, TimerFired
from headrace.mesos.master.core import agents, frameworks, inverse_offers, losses, offers, registry, watchers
from headrace.mesos.master.core.accept import Acceptance
from headrace.mesos.master.core.agents import Agents
from headrace.mesos.master.core.books import Books, Settings
from headrace.mesos.master.core.draining import Draining
from headrace.mesos.master.core.effects import ACCEPTED, Answer
from headrace.mesos.master.core.events import (
    AgentCalled,
    AgentRegisters,
    AgentStreamClosed,
    FrameworkCalled,
    FrameworkStreamClosed,
    FrameworkSubscribes,
    MasterEvent,
    OperatorCalled,
    OperatorRemovesQuota,
    OperatorStreamClosed,
    OperatorSubscribes,
    OperatorTearsDown,
    Started,
)
from headrace.mesos.master.core.executors import Executors
from headrace.mesos.master.core.frameworks import Frameworks
from headrace.mesos.master.core.inverse_offers import InverseOffersOut
from headrace.mesos.master.core.launching import Launcher
from headrace.mesos.master.core.losses import Losses
from headrace.mesos.master.core.maintenance import Maintenance
from headrace.mesos.master.core.model import Framework
from headrace.mesos.master.core.offers import Offers
from headrace.mesos.master.core.operations import Operations
from headrace.mesos.master.core.operators import Operators
from headrace.mesos.master.core.quota import Quotas
from headrace.mesos.master.core.reconciliation import Reconciliation
from headrace.mesos.master.core.tasks import Tasks
from headrace.mesos.master.core.weights import Weights
from headrace.mesos.messages.common import MasterInfo
from headrace.mesos.messages.scheduler import Call, Roles

ALLOCATION_TIMER = "allocation"


class MasterCore:
    """The master as a pure decider; ``books`` is what it knows, for those who only read."""

    def __init__(
        self, master: MasterInfo, settings: Settings, shuffle: Callable[[list[str]], None] | None = None
    ) -> None:
        """``master.id`` must be new with every start: ids of frameworks, agents and offers grow from it."""
        self.books = Books(master, settings, shuffle)
        self._reconciliation = Reconciliation(self.books)
        self._tasks = Tasks(self.books, self._reconciliation)
        self._offers = Offers(self.books)
        self._executors = Executors(self.books)
        self._operations = Operations(self.books)
        launcher = Launcher(self.books, self._tasks, self._executors)
        self._acceptance = Acceptance(self.books, self._offers, launcher, self._operations)
        self._frameworks = Frameworks(self.books, self._offers, self._tasks, self._executors, self._operations)
        self._inverse = InverseOffersOut(self.books)
        self.books.described.asked = self._inverse.outstanding
        self._losses = Losses(self.books, self._offers, self._tasks, self._executors, self._operations, self._inverse)
        self.maintenance = Maintenance(self.books, self._offers, self._inverse, self._losses)
        self._draining = Draining(self.books, self._offers, self._losses)
        self._agents = Agents(
            self.books,
            self._frameworks,
            self._tasks,
            self._executors,
            self._operations,
            self._losses,
            self.maintenance,
            self._draining,
        )
        self.quotas = Quotas(self.books, self._offers)
        self.weights = Weights(self.books, self._offers)
        self._operators = Operators(
            self.books,
            self._frameworks,
            self._offers,
            self._operations,
            self._losses,
            self.maintenance,
            self._draining,
            self.quotas,
            self.weights,
        )
        self._allocate_at: float | None = None

    def handle(self, event: MasterEvent, now: float) -> list[Effect]:
        """Take one event; return what to do. Resources that it freed are offered at once."""
        self._dispatch(event, now)
        self._draining.settle(now)
        self._offers.allocate(now)
        self._inverse.settle(now)
        self._set_allocation_timer()
        return self.books.take_outbox()

    def _dispatch(self, event: MasterEvent, now: float) -> None:
        match event:
            case FrameworkCalled(request, stream, call):
                self.books.emit(Reply(request, self._call(stream, call, now)))
            case AgentCalled(stream, calls):
                self._agents.called(stream, calls, now)
            case TimerFired(key):
                self._timer(key, now)
            case FrameworkSubscribes(stream, subscribe):
                self._frameworks.subscribe(stream, subscribe, now)
            case FrameworkStreamClosed(stream):
                self._frameworks.stream_closed(stream, now)
            case AgentRegisters(stream, register, ip):
                self._agents.register(stream, register, ip, now)
            case AgentStreamClosed(stream):
                self._losses.stream_closed(stream, now)
            case OperatorCalled(request, order):
                self.books.emit(Reply(request, self._operators.obey(order, now)))
            case OperatorTearsDown(request, framework_id):
                self.books.emit(Reply(request, self._operators.tear_down(framework_id, now)))
            case OperatorRemovesQuota(request, role, path):
                self.books.emit(Reply(request, self.quotas.remove(role, now, path)))
            case OperatorSubscribes(stream):
                self.books.watchers.subscribe(stream, now)
            case OperatorStreamClosed(stream):
                self.books.watchers.closed(stream)
            case Started(content):
                self._start(content, now)

    def _set_allocation_timer(self) -> None:
        at = self.books.allocator.next_expiry()
        if at != self._allocate_at:
            self._allocate_at = at
            self.books.emit(SetTimer(ALLOCATION_TIMER, at) if at is not None else CancelTimer(ALLOCATION_TIMER))

    # Calls of frameworks

    def _call(self, stream: str, call: Call, now: float) -> Answer:
        framework = self.books.frameworks.get(call.framework_id.value) if call.framework_id is not None else None
        if framework is None:
            return Answer(400, "Framework cannot be found")
        if wrong := _stranger(framework, stream):
            return wrong
        framework.calls[call.type or ""] += 1
        return self._obey(framework, call, now)

    def _obey(self, framework: Framework, call: Call, now: float) -> Answer:
        match call:
            case Call(type="ACCEPT", accept=body) if body is not None:
                self._acceptance.accept(framework, body, now)
            case Call(type="DECLINE", decline=body) if body is not None:
                self._offers.decline(framework, body, now)
            case Call(type="ACKNOWLEDGE", acknowledge=body) if body is not None:
                self._tasks.acknowledge(framework, body)
            case Call(type="KILL", kill=body) if body is not None:
                self._tasks.kill(framework, body, now)
            case Call(type="RECONCILE", reconcile=body) if body is not None:
                self._reconciliation.reconcile(framework, body, now)
            case Call(type="REVIVE", revive=roles):
                self._frameworks.revive(framework, _roles(roles))
            case Call(type="SUPPRESS", suppress=roles):
                self._frameworks.suppress(framework, _roles(roles))
            case Call(type="UPDATE_FRAMEWORK", update_framework=body) if body is not None:
                return self._frameworks.update(framework, body, now)
            case Call(type="TEARDOWN"):
                self._frameworks.remove(framework, now, "torn down by its scheduler")
            case _:
                self._obey_further(framework, call, now)
        return ACCEPTED

    def _obey_further(self, framework: Framework, call: Call, now: float) -> None:
        """Calls that concern executors, operations and maintenance."""
        match call:
            case Call(type="MESSAGE", message=body) if body is not None:
                self._executors.message(framework, body)
            case Call(type="SHUTDOWN", shutdown=body) if body is not None:
                self._executors.shutdown(framework, body, now)
            case Call(type="ACKNOWLEDGE_OPERATION_STATUS", acknowledge_operation_status=body) if body is not None:
                self._operations.acknowledge(framework, body)
            case Call(type="RECONCILE_OPERATIONS", reconcile_operations=body) if body is not None:
                self._operations.reconcile(framework, body)
            case Call(type="ACCEPT_INVERSE_OFFERS", accept_inverse_offers=body) if body is not None:
                self._inverse.answer(framework, body, "ACCEPT", now)
            case Call(type="DECLINE_INVERSE_OFFERS", decline_inverse_offers=body) if body is not None:
                self._inverse.answer(framework, body, "DECLINE", now)
            case Call(type=kind):
                # a hint that Mesos's allocator does not heed either
                self.books.story(f"framework/{framework.id}", now, f"{kind} has no effect")

    # Time and restart

    def _timer(self, key: str, now: float) -> None:
        kind, slash, name = key.partition("/")
        match kind + slash:
            case agents.PING_TIMER:
                self._agents.ping(now)
            case frameworks.HEARTBEAT_TIMER:
                self._frameworks.heartbeat(name, now)
            case frameworks.FAILOVER_TIMER:
                self._frameworks.failover_timeout(name, now)
            case losses.ABSENCE_TIMER:
                self._losses.absence_timeout(name, now)
            case losses.RECOVERY_TIMER:
                self._losses.recovery_timeout(now)
            case losses.REMOVAL_TIMER:
                self._losses.removal(now)
            case losses.REGISTRY_TIMER:
                self._losses.collect(now)
            case inverse_offers.MAINTENANCE_TIMER:
                self._inverse.look()
            case offers.OFFER_TIMER:
                self._offers.expire(name, now)
            case watchers.HEARTBEAT_TIMER:
                self.books.watchers.heartbeat(name, now)
            case _:
                self._allocate_at = None  # handle looks for what can be offered now

    def _start(self, content: Mapping[str, bytes], now: float) -> None:
        books = self.books
        books.started = now
        stored = registry.read(content)
        books.weights = {**books.settings.weights, **stored.weights}
        self.weights.restore()
        books.quotas = stored.quotas
        self.quotas.restore()
        books.schedule, books.machines = stored.schedule, stored.machines
        books.removed = stored.removed
        books.deactivated = stored.deactivated
        books.absent = stored.agents
        books.awaited = {agent_id for agent_id, absent in stored.agents.items() if absent.since is None}
        for framework_id, ended in stored.completed.items():
            books.completed_ids[framework_id] = None
            framework = Framework(framework_id, ended.info, ended.registered)
            framework.unregistered = ended.unregistered
            books.completed.append(framework)
        for living in stored.frameworks.values():
            framework = self._frameworks.recover(living.info, living.registered)
            self._frameworks.await_return(framework, now)
        self._losses.await_return(now)


def _stranger(framework: Framework, stream: str) -> Answer | None:
    """Whether a call on ``stream`` can't come from the framework's scheduler."""
    if not framework.connected:
        return Answer(403, "Framework is not subscribed")
    if not stream:
        return Answer(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header")
    if stream != framework.stream:
        return Answer(
            400,
            f"The stream ID '{stream}' included in this request didn't match "
            f"the stream ID currently associated with framework ID {framework.id}",
        )
    return None


def _roles(body: Roles | None) -> list[str]:
    return list(body.roles or ()) if body is not None else []
