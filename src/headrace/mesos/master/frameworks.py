"""Frameworks: subscription, failover, absence, removal.

A framework whose stream ends keeps its tasks for its failover timeout; then it is removed and its
tasks are ended. After a restart of the master every framework gets at least the time in which
agents have to be back.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.kernel.core import CancelTimer, Delete, SetTimer
from headrace.mesos.master import registry, validation
from headrace.mesos.master.books import Books
from headrace.mesos.master.effects import OK, Answer, CloseFramework, SendToFramework
from headrace.mesos.master.model import Agent, Framework, Task
from headrace.mesos.master.offers import Offers
from headrace.mesos.master.tasks import Tasks
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.agent_link import ShutdownFramework
from headrace.mesos.messages.common import FrameworkID, FrameworkInfo, Identifier, TaskStatus
from headrace.mesos.messages.scheduler import Event, Subscribe, UpdateFramework

HEARTBEAT_TIMER = "heartbeat/"
FAILOVER_TIMER = "failover/"


class Frameworks:
    """The rules of frameworks, over the books."""

    def __init__(self, books: Books, offers: Offers, tasks: Tasks) -> None:
        self._books = books
        self._offers = offers
        self._tasks = tasks

    # Subscription

    def subscribe(self, stream: str, call: Subscribe, now: float) -> None:
        """A framework wants the events on ``stream``: a new one, one that comes back, or one that fails over."""
        info = call.framework_info
        suppressed = frozenset(call.suppressed_roles or ())
        known = self._books.frameworks.get(info.id.value) if info.id is not None else None
        wrong = validation.framework(info, call.suppressed_roles or (), call.offer_constraints)
        if wrong is None and info.id is not None:
            wrong = self._may_have_id(info, known)
        if wrong is not None:
            self._refuse(stream, wrong)
            return
        if known is None:
            framework = self._enter(info, suppressed, now)
        else:
            framework = known
            self._come_back(framework, info, suppressed, now)
        framework.calls["SUBSCRIBE"] += 1
        self._connect(framework, stream, now)

    def _refuse(self, stream: str, why: str) -> None:
        error = Event("ERROR", error=scheduler.Error(why))
        self._books.emit(SendToFramework(stream, error), CloseFramework(stream))

    def _may_have_id(self, info: FrameworkInfo, known: Framework | None) -> str | None:
        if info.id is None:
            return None
        if info.id.value in self._books.completed_ids:
            return "Framework has been removed"
        if known is None:
            return validation.identifier(info.id.value)
        if known.info.principal != info.principal:
            return "Changing framework's principal is not allowed."
        return None

    def _enter(self, info: FrameworkInfo, suppressed: frozenset[str], now: float) -> Framework:
        books = self._books
        if info.id is None:
            framework_id = f"{books.master.id}-{books.next_framework:04d}"
            books.next_framework += 1
            info = msgspec.structs.replace(info, id=FrameworkID(framework_id))
        framework = self.recover(info, now)
        framework.suppressed = suppressed
        framework.recovered = False
        books.allocator.update_framework(framework.id, framework.roles, suppressed)
        books.emit(registry.keep_framework(framework))
        books.story(f"framework/{framework.id}", now, "subscribed", f"as {info.name}")
        return framework

    def recover(self, info: FrameworkInfo, now: float) -> Framework:
        """Enter a framework that is not connected. ``info`` carries its id."""
        assert info.id is not None  # noqa: S101
        framework = Framework(info.id.value, info, now)
        framework.recovered = True
        self._books.frameworks[framework.id] = framework
        self._books.allocator.add_framework(framework.id, framework.roles)
        self._books.allocator.deactivate_framework(framework.id)
        return framework

    def _come_back(self, framework: Framework, info: FrameworkInfo, suppressed: frozenset[str], now: float) -> None:
        if framework.stream is not None:
            old = framework.stream
            self._books.send(framework, Event("ERROR", error=scheduler.Error("Framework failed over")))
            self._disconnect(framework)
            self._books.emit(CloseFramework(old))
            why = "failed over to a new scheduler"
        else:
            self._books.emit(CancelTimer(FAILOVER_TIMER + framework.id))
            why = "came back"
        framework.reregistered = now
        framework.recovered = False
        self._describe(framework, validation.preserved(framework.info, info), suppressed, now)
        self._books.story(f"framework/{framework.id}", now, "subscribed", why)

    def _connect(self, framework: Framework, stream: str, now: float) -> None:
        books = self._books
        framework.stream = stream
        books.framework_streams[stream] = framework
        interval = books.settings.heartbeat_interval
        subscribed = scheduler.Subscribed(FrameworkID(framework.id), interval, books.master)
        books.send(framework, Event("SUBSCRIBED", subscribed=subscribed))
        books.send(framework, Event("HEARTBEAT"))
        books.emit(SetTimer(HEARTBEAT_TIMER + framework.id, now + interval))
        books.allocator.activate_framework(framework.id)
        self._tasks.repeat_unacknowledged(framework)

    def heartbeat(self, framework_id: str, now: float) -> None:
        """Prove to a connected framework that the connection lives."""
        framework = self._books.frameworks.get(framework_id)
        if framework is not None and framework.connected:
            self._books.send(framework, Event("HEARTBEAT"))
            self._books.emit(SetTimer(HEARTBEAT_TIMER + framework_id, now + self._books.settings.heartbeat_interval))

    # Changes

    def update(self, framework: Framework, call: UpdateFramework, now: float) -> Answer:
        """The framework changes its description; offers for roles that it leaves are rescinded."""
        info, suppressed = call.framework_info, call.suppressed_roles or []
        if wrong := validation.framework(info, suppressed, call.offer_constraints):
            return Answer(400, f"Supplied FrameworkInfo is not valid: {wrong}")
        if wrong := validation.framework_update(framework.info, info):
            return Answer(400, f"FrameworkInfo update is not valid: {wrong}")
        self._describe(framework, info, frozenset(suppressed), now)
        return OK

    def _describe(self, framework: Framework, info: FrameworkInfo, suppressed: frozenset[str], now: float) -> None:
        changed = info != framework.info
        framework.describe(info)
        framework.suppressed = suppressed
        left = [offer for offer in framework.offers.values() if offer.role not in framework.roles]
        self._offers.rescind(left, "the framework left the role", now)
        self._books.allocator.update_framework(framework.id, framework.roles, suppressed)
        if changed:
            self._books.emit(registry.keep_framework(framework))

    def revive(self, framework: Framework, roles: Sequence[str]) -> None:
        """The framework wants offers again, for these roles or for all of its own."""
        chosen = [role for role in roles if role in framework.roles]
        if roles and not chosen:
            return
        framework.suppressed -= frozenset(chosen or framework.roles)
        self._books.allocator.revive(framework.id, chosen)

    def suppress(self, framework: Framework, roles: Sequence[str]) -> None:
        """The framework wants no offers, for these roles or for all of its own."""
        chosen = [role for role in roles if role in framework.roles]
        if roles and not chosen:
            return
        framework.suppressed |= frozenset(chosen or framework.roles)
        self._books.allocator.suppress(framework.id, chosen)

    # Absence and end

    def stream_closed(self, stream: str, now: float) -> None:
        """The framework's scheduler is gone; its tasks go on until the failover timeout."""
        framework = self._books.framework_streams.get(stream)
        if framework is None:
            return
        self._disconnect(framework)
        timeout = max(0.0, framework.info.failover_timeout or 0.0)
        self._books.story(f"framework/{framework.id}", now, "disconnected", f"failover timeout {timeout:g} s")
        if timeout > 0:
            self._books.emit(SetTimer(FAILOVER_TIMER + framework.id, now + timeout))
        else:
            self.remove(framework, now, "disconnected without a failover timeout")

    def _disconnect(self, framework: Framework) -> None:
        stream, framework.stream = framework.stream, None
        if stream is not None:
            del self._books.framework_streams[stream]
            self._books.emit(CancelTimer(HEARTBEAT_TIMER + framework.id))
        self._books.allocator.deactivate_framework(framework.id)
        self._offers.withdraw(framework.offers.values())

    def await_return(self, framework: Framework, now: float) -> None:
        """After a restart of the master: how long a framework may take to subscribe again."""
        timeout = max(framework.info.failover_timeout or 0.0, self._books.settings.agent_reregister_timeout)
        self._books.emit(SetTimer(FAILOVER_TIMER + framework.id, now + timeout))

    def failover_timeout(self, framework_id: str, now: float) -> None:
        """The framework has not come back in time."""
        framework = self._books.frameworks.get(framework_id)
        if framework is not None and not framework.connected:
            self.remove(framework, now, "did not come back within its failover timeout")

    def remove(self, framework: Framework, now: float, why: str) -> None:
        """The framework is no more: its tasks are ended, its id is refused from now on."""
        books = self._books
        stream = framework.stream
        self._disconnect(framework)
        if stream is not None:
            books.emit(CloseFramework(stream))
        books.emit(CancelTimer(FAILOVER_TIMER + framework.id))
        for agent in self._agents_of(framework):
            books.tell(agent, ShutdownFramework(FrameworkID(framework.id)))
        for task in list(framework.tasks.values()):
            self._tasks.end(framework, task, _removed(framework, task, now), now)
        framework.unreachable.clear()
        framework.unregistered = now
        books.allocator.remove_framework(framework.id)
        del books.frameworks[framework.id]
        books.completed.append(framework)
        self._remember(framework)
        books.story(f"framework/{framework.id}", now, "removed", why)

    def _agents_of(self, framework: Framework) -> list[Agent]:
        ids = dict.fromkeys(task.agent_id for task in framework.tasks.values())
        return [self._books.agents[agent_id] for agent_id in ids]

    def _remember(self, framework: Framework) -> None:
        books = self._books
        books.completed_ids[framework.id] = None
        books.emit(*registry.end_framework(framework))
        while len(books.completed_ids) > registry.MAX_REMEMBERED:
            oldest = next(iter(books.completed_ids))
            del books.completed_ids[oldest]
            books.emit(Delete(registry.COMPLETED + oldest))


def _removed(framework: Framework, task: Task, now: float) -> TaskStatus:
    return TaskStatus(
        Identifier(task.id),
        task.state if task.ended else "TASK_KILLED",
        f"Framework {framework.id} removed",
        "SOURCE_MASTER",
        "REASON_FRAMEWORK_REMOVED",
        agent_id=Identifier(task.agent_id),
        timestamp=now,
    )
