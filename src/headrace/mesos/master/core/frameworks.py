"""Frameworks: subscription, failover, absence, removal.

A framework whose stream ends keeps its tasks for its failover timeout; then it is removed and its
tasks are ended. After a restart of the master every framework gets at least the time in which
agents have to be back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from headrace.kernel.core import CancelTimer, Delete, SetTimer
from headrace.mesos.master.core import constraints, registry, validation
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.constraints import Constraints
from headrace.mesos.master.core.effects import OK, Answer, CloseFramework, SendToFramework
from headrace.mesos.master.core.executors import Executors
from headrace.mesos.master.core.model import Agent, Framework, Task, roles_of
from headrace.mesos.master.core.offers import Offers
from headrace.mesos.master.core.operations import Operations
from headrace.mesos.master.core.tasks import Tasks
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.agent_link import ShutdownFramework
from headrace.mesos.messages.common import FrameworkID, FrameworkInfo, Identifier, TaskStatus
from headrace.mesos.messages.scheduler import Event, Subscribe, UpdateFramework

HEARTBEAT_TIMER = "heartbeat/"
FAILOVER_TIMER = "failover/"


class Frameworks:
    """The rules of frameworks, over the books."""

    def __init__(
        self, books: Books, offers: Offers, tasks: Tasks, executors: Executors, operations: Operations
    ) -> None:
        self._books = books
        self._offers = offers
        self._tasks = tasks
        self._executors = executors
        self._operations = operations

    # Subscription

    def subscribe(self, stream: str, call: Subscribe, now: float) -> None:
        """A framework wants the events on ``stream``: a new one, one that comes back, or one that fails over."""
        info = call.framework_info
        if info.id is not None and not info.id.value:
            info = msgspec.structs.replace(info, id=None)
        suppressed = frozenset(call.suppressed_roles or ())
        known = self._books.frameworks.get(info.id.value) if info.id is not None else None
        wrong = validation.framework(info, call.suppressed_roles or ())
        if wrong is None and info.id is not None:
            wrong = self._may_have_id(info, known)
        if wrong is not None:
            self._refuse(stream, wrong)
            return
        try:
            wanted = constraints.read(call.offer_constraints, roles_of(info))
        except constraints.ConstraintError as error:
            self._refuse(stream, str(error))
            return
        if known is None:
            framework = self._enter(info, suppressed, wanted, now)
        else:
            framework = known
            self._come_back(framework, info, suppressed, wanted, now)
        framework.calls["SUBSCRIBE"] += 1
        self._connect(framework, stream, now)
        if known is None:
            self._books.watchers.framework_added(framework)
        else:
            self._books.watchers.framework_updated(framework)

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

    def _enter(self, info: FrameworkInfo, suppressed: frozenset[str], wanted: Constraints, now: float) -> Framework:
        books = self._books
        if info.id is None:
            framework_id = f"{books.master.id}-{books.next_framework:04d}"
            books.next_framework += 1
            info = msgspec.structs.replace(info, id=FrameworkID(framework_id))
        framework = self.recover(info, now)
        framework.recovered = False
        self._tell_allocator(framework, suppressed, wanted)
        books.emit(registry.keep_framework(framework))
        books.story(f"framework/{framework.id}", now, "subscribed", f"as {info.name}")
        return framework

    def recover(self, info: FrameworkInfo, now: float) -> Framework:
        """Enter a framework that is not connected. ``info`` carries its id."""
        assert info.id is not None  # noqa: S101
        framework = Framework(info.id.value, info, now, self._books.settings.max_completed_tasks)
        framework.recovered = True
        self._books.frameworks[framework.id] = framework
        self._books.allocator.add_framework(
            framework.id,
            framework.roles,
            capabilities=framework.capabilities,
            min_allocatable=constraints.minimums_of(info),
        )
        self._books.allocator.deactivate_framework(framework.id)
        return framework

    def _come_back(
        self,
        framework: Framework,
        info: FrameworkInfo,
        suppressed: frozenset[str],
        wanted: Constraints,
        now: float,
    ) -> None:
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
        self._describe(framework, validation.preserved(framework.info, info), suppressed, wanted, now)
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
        self._operations.repeat_unacknowledged(framework)

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
        if wrong := validation.framework(info, suppressed):
            return Answer(400, f"Supplied FrameworkInfo is not valid: {wrong}")
        if wrong := validation.framework_update(framework.info, info):
            return Answer(400, f"FrameworkInfo update is not valid: {wrong}")
        try:
            wanted = constraints.read(call.offer_constraints, roles_of(info))
        except constraints.ConstraintError as error:
            return Answer(400, f"'UpdateFramework.offer_constraints' are not valid: {error}")
        self._describe(framework, info, frozenset(suppressed), wanted, now)
        self._books.watchers.framework_updated(framework)
        return OK

    def _describe(
        self,
        framework: Framework,
        info: FrameworkInfo,
        suppressed: frozenset[str],
        wanted: Constraints,
        now: float,
    ) -> None:
        changed = info != framework.info
        framework.describe(info)
        left = [offer for offer in framework.offers.values() if offer.role not in framework.roles]
        self._offers.rescind(left, "the framework left the role", now)
        agents = self._books.agents
        left = [o for o in framework.offers.values() if not wanted.admits(o.role, agents[o.agent_id].info)]
        self._offers.rescind(left, "the framework's offer constraints rule the agent out", now)
        self._tell_allocator(framework, suppressed, wanted)
        if changed:
            self._books.emit(registry.keep_framework(framework))

    def _tell_allocator(self, framework: Framework, suppressed: frozenset[str], wanted: Constraints) -> None:
        framework.suppressed, framework.constraints = suppressed, wanted
        self._books.allocator.update_framework(
            framework.id,
            framework.roles,
            suppressed,
            capabilities=framework.capabilities,
            min_allocatable=constraints.minimums_of(framework.info),
            constraints={role: self._test(wanted, role) for role in wanted.roles},
        )

    def _test(self, wanted: Constraints, role: str) -> Callable[[str], bool]:
        agents = self._books.agents
        return lambda agent_id: wanted.admits(role, agents[agent_id].info)

    def revive(self, framework: Framework, roles: Sequence[str]) -> None:
        """The framework wants offers again, for these roles or for all of its own. With a foreign role: no effect."""
        if all(role in framework.roles for role in roles):
            framework.suppressed -= frozenset(roles or framework.roles)
            self._books.allocator.revive(framework.id, roles)

    def suppress(self, framework: Framework, roles: Sequence[str]) -> None:
        """The framework wants no offers, for these roles or for all of its own. With a foreign role: no effect."""
        if all(role in framework.roles for role in roles):
            framework.suppressed |= frozenset(roles or framework.roles)
            self._books.allocator.suppress(framework.id, roles)

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
        for executor in list(framework.executors.values()):
            self._executors.remove(books.agents[executor.agent_id], executor)
        self._operations.forget(framework)
        framework.unreachable.clear()
        framework.unregistered = now
        books.allocator.remove_framework(framework.id)
        del books.frameworks[framework.id]
        books.completed.append(framework)
        self._remember(framework)
        books.story(f"framework/{framework.id}", now, "removed", why)
        books.watchers.framework_removed(framework)

    def _agents_of(self, framework: Framework) -> list[Agent]:
        ids = dict.fromkeys(task.agent_id for task in framework.tasks.values())
        ids.update(dict.fromkeys(executor.agent_id for executor in framework.executors.values()))
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
        executor_id=task.told_executor,
        timestamp=now,
    )
