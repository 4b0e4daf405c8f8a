"""Loss of agents: away for a moment, unreachable, removed, gone.

An agent whose stream has ended is away; its tasks keep their state. If it isn't back in time it is
unreachable, and so are its tasks; it may still come back under its id at any time. One that was
removed or marked gone may not. How many agents may become unreachable in a time can be limited:
those that come back before their turn have lost nothing.
"""

from __future__ import annotations

from headrace.kernel.core import CancelTimer, Delete, SetTimer
from headrace.mesos.master.core import registry
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.effects import OK, Answer, CloseAgent, Warn
from headrace.mesos.master.core.executors import Executors
from headrace.mesos.master.core.inverse_offers import InverseOffersOut
from headrace.mesos.master.core.model import Absent, Agent, Framework, Removal, Task
from headrace.mesos.master.core.offers import Offers
from headrace.mesos.master.core.operations import Operations
from headrace.mesos.master.core.tasks import Tasks
from headrace.mesos.messages.agent_link import Refused
from headrace.mesos.messages.common import AgentID, Identifier, TaskStatus
from headrace.mesos.messages.scheduler import Event, Failure

ABSENCE_TIMER = "absence/"
RECOVERY_TIMER = "recovery"
REMOVAL_TIMER = "removal"
REGISTRY_TIMER = "registry"
GONE = "Agent has been marked gone"


class Losses:
    """The rules of loss, over the books."""

    def __init__(
        self,
        books: Books,
        offers: Offers,
        tasks: Tasks,
        executors: Executors,
        operations: Operations,
        inverse: InverseOffersOut,
    ) -> None:
        self._books = books
        self._offers = offers
        self._tasks = tasks
        self._executors = executors
        self._operations = operations
        self._inverse = inverse
        self._waiting: dict[str, None] = {}
        self._next_removal = 0.0
        self._expected = 0
        self._collecting = False

    # Away

    def stream_closed(self, stream: str, now: float) -> None:
        """The agent is gone, perhaps for a moment."""
        agent = self._books.agent_streams.get(stream)
        if agent is None:
            return
        self.disconnect(agent, f"agent {agent.id} disconnected", now)
        timeout = self._books.settings.absence_timeout
        self._books.story(f"agent/{agent.id}", now, "disconnected", f"unreachable unless back within {timeout:g} s")
        self._books.emit(SetTimer(ABSENCE_TIMER + agent.id, now + timeout))

    def disconnect(self, agent: Agent, why: str, now: float) -> None:
        """Nothing of this agent can be offered."""
        if agent.stream is not None:
            del self._books.agent_streams[agent.stream]
            agent.stream = None
            self._books.allocator.deactivate_agent(agent.id)
        self._offers.rescind(agent.offers.values(), why, now)
        self._inverse.rescind(agent)

    def absence_timeout(self, agent_id: str, now: float) -> None:
        """The agent has not come back in time."""
        agent = self._books.agents.get(agent_id)
        if agent is not None and not agent.connected:
            self._lose(agent_id, now)

    def no_answer(self, agent: Agent, now: float) -> None:
        """The agent is connected, but has answered no ping for too long."""
        self._lose(agent.id, now)

    def back(self, agent_id: str, now: float) -> None:
        """The agent shows that it lives."""
        self._books.emit(CancelTimer(ABSENCE_TIMER + agent_id))
        if agent_id in self._waiting:
            del self._waiting[agent_id]
            self._books.counters["slave_unreachable_canceled"] += 1
            self._books.story(f"agent/{agent_id}", now, "not unreachable", "it came back before its turn")

    # Unreachable

    def _lose(self, agent_id: str, now: float) -> None:
        """The agent is unreachable from now on, or as soon as the rate limit allows."""
        if agent_id in self._waiting:
            return
        self._books.counters["slave_unreachable_scheduled"] += 1
        if self._books.settings.removal_spacing == 0:
            self._become_unreachable(agent_id, now)
            return
        self._waiting[agent_id] = None
        self.removal(now)
        if agent_id in self._waiting:
            self._books.story(f"agent/{agent_id}", now, "to be unreachable", "waits for --agent_removal_rate_limit")

    def removal(self, now: float) -> None:
        """One more agent may become unreachable, if it is time."""
        if self._waiting and now >= self._next_removal:
            agent_id = next(iter(self._waiting))
            del self._waiting[agent_id]
            self._next_removal = now + self._books.settings.removal_spacing
            self._become_unreachable(agent_id, now)
        if self._waiting:
            self._books.emit(SetTimer(REMOVAL_TIMER, self._next_removal))

    def _become_unreachable(self, agent_id: str, now: float) -> None:
        agent = self._books.agents.get(agent_id)
        if agent is not None:
            self._unreachable(agent, now)
        elif agent_id in self._books.awaited:
            self._never_came(agent_id, now)

    def _unreachable(self, agent: Agent, now: float) -> None:
        books = self._books
        stream = agent.stream
        for task in list(agent.tasks.values()):
            framework = books.frameworks[task.framework_id]
            if task.ended:
                self._tasks.remove(framework, task)
            else:
                self._tasks.lose_sight(framework, task, now, since=now)
        self._operations.lost(agent, "OPERATION_UNREACHABLE", "Agent was marked unreachable", now)
        self._forget(agent, f"agent {agent.id} is unreachable", now)
        if stream is not None:
            books.emit(CloseAgent(stream))
        self._keep_absent(agent.id, Absent(agent.info, agent.ip, agent.registered, now), now)
        books.counters["slave_unreachable_completed"] += 1
        books.story(f"agent/{agent.id}", now, "unreachable")
        self._tell(agent.id)

    def _never_came(self, agent_id: str, now: float) -> None:
        books = self._books
        books.awaited.discard(agent_id)
        old = books.absent.pop(agent_id)
        self._keep_absent(agent_id, Absent(old.info, old.ip, old.registered, now), now)
        books.counters["recovery_slave_removals"] += 1
        books.story(f"agent/{agent_id}", now, "unreachable", "not back after the restart of the master")
        self._tell(agent_id)

    def _keep_absent(self, agent_id: str, absent: Absent, now: float) -> None:
        books = self._books
        books.absent[agent_id] = absent
        books.emit(registry.keep_absent(agent_id, absent))
        self._collect_later(now)
        if len(books.absent) > books.settings.registry_max_agent_count:
            # never one that may still be on its way back after a restart
            self._forget_absent(next(i for i, one in books.absent.items() if one.since is not None))

    def _forget_absent(self, agent_id: str) -> None:
        del self._books.absent[agent_id]
        self._books.awaited.discard(agent_id)
        self._books.forget_deactivation(agent_id)
        self._books.emit(Delete(registry.AGENTS + agent_id))

    # Removed, gone

    def remove(self, agent: Agent, why: str, now: float, *, refuse: bool = False) -> None:
        """The agent is no more: its tasks are lost, its id is refused from now on. ``refuse``: it is told so."""
        lost = _End(f"Agent {agent.info.hostname} removed: {why}", "REASON_AGENT_REMOVED")
        self._remove(agent, lost, Removal(now, why), Refused(why) if refuse else None)

    def mark_gone(self, agent_id: str, now: float) -> Answer:
        """An operator says that the agent never comes back."""
        books = self._books
        agent = books.agents.get(agent_id)
        if agent is not None:
            self._remove(agent, _GONE, Removal(now, GONE, gone=True), Refused(GONE, leave=True))
        elif agent_id in books.absent:
            self._absent_gone(agent_id, now)
        elif agent_id not in books.removed:
            return Answer(404, "Agent not found")
        return OK

    def _absent_gone(self, agent_id: str, now: float) -> None:
        books = self._books
        self._waiting.pop(agent_id, None)
        if agent_id in books.awaited:  # else those who watch know
            books.watchers.agent_removed(agent_id)
        self._forget_absent(agent_id)
        self._refuse_from_now_on(agent_id, Removal(now, GONE, gone=True))
        for framework in books.frameworks.values():
            for task in [task for task in framework.unreachable.values() if task.agent_id == agent_id]:
                del framework.unreachable[task.id]
                self._tasks.end(framework, task, _GONE.status(task, framework, now), now)
        books.story(f"agent/{agent_id}", now, "gone", "marked gone by an operator")

    def _remove(self, agent: Agent, end: _End, removal: Removal, last_word: Refused | None) -> None:
        books, now = self._books, removal.at
        stream = agent.stream
        for task in list(agent.tasks.values()):
            framework = books.frameworks[task.framework_id]
            if task.ended:
                self._tasks.remove(framework, task)
            else:
                self._tasks.end(framework, task, end.status(task, framework, now), now)
        self._operations.lost(agent, "OPERATION_GONE_BY_OPERATOR", end.message, now)
        if last_word is not None:
            books.tell(agent, last_word)
        self._forget(agent, f"agent {agent.id} was removed", now)
        if stream is not None:
            books.emit(CloseAgent(stream))
        self._refuse_from_now_on(agent.id, removal)
        books.counters["slave_removals"] += 1
        books.story(f"agent/{agent.id}", now, "removed", removal.why)
        self._tell(agent.id)

    def _refuse_from_now_on(self, agent_id: str, removal: Removal) -> None:
        books = self._books
        books.removed[agent_id] = removal
        books.forget_deactivation(agent_id)
        books.emit(*registry.remove_agent(agent_id, removal))
        self._collect_later(removal.at)
        if len(books.removed) > books.settings.registry_max_agent_count:
            self._forget_removed(next(iter(books.removed)))

    def _forget_removed(self, agent_id: str) -> None:
        del self._books.removed[agent_id]
        self._books.emit(Delete(registry.REMOVED + agent_id))

    def _forget(self, agent: Agent, why: str, now: float) -> None:
        """Take an agent out of the books; its tasks are out already."""
        books = self._books
        self.disconnect(agent, why, now)
        self._waiting.pop(agent.id, None)
        for executor in list(agent.executors.values()):
            self._executors.drop(agent, executor)
        books.allocator.remove_agent(agent.id)
        books.emit(CancelTimer(ABSENCE_TIMER + agent.id))
        del books.agents[agent.id]
        self.leave_address(agent)

    def leave_address(self, agent: Agent) -> None:
        """Nobody is looked for there any more, unless another agent has taken the address over."""
        address = (agent.ip, agent.info.port or 0)
        if self._books.agent_addresses.get(address) is agent:
            del self._books.agent_addresses[address]

    def _tell(self, agent_id: str) -> None:
        self._books.watchers.agent_removed(agent_id)
        self._books.tell_all(self._books.frameworks.values(), Event("FAILURE", failure=Failure(AgentID(agent_id))))

    # Restart of the master

    def await_return(self, now: float) -> None:
        """After a restart: agents of before have some time to register again."""
        self._expected = len(self._books.awaited)
        if self._expected:
            self._books.emit(SetTimer(RECOVERY_TIMER, now + self._books.settings.agent_reregister_timeout))
        if self._books.removed or self._books.absent:
            self._collect_later(now)

    def recovery_timeout(self, now: float) -> None:
        """Agents of before the restart that have not registered again are unreachable, unless they are too many."""
        books = self._books
        missing, limit = len(books.awaited), books.settings.recovery_removal_limit
        if missing > limit * self._expected:
            text = (
                f"{missing} of {self._expected} agents have not registered again after the restart of the master. "
                f"That is more than --recovery_agent_removal_limit={limit:.0%} allows to become unreachable: "
                "they are waited for. Look for what keeps them away, or raise the limit"
            )
            books.emit(Warn(text), SetTimer(RECOVERY_TIMER, now + books.settings.agent_reregister_timeout))
            return
        for agent_id in sorted(books.awaited):
            self._lose(agent_id, now)

    # What need not be remembered any more

    def _collect_later(self, now: float) -> None:
        if not self._collecting:
            self._collecting = True
            self._books.emit(SetTimer(REGISTRY_TIMER, now + self._books.settings.registry_gc_interval))

    def collect(self, now: float) -> None:
        """Forget agents that have been unreachable or removed for very long."""
        books = self._books
        oldest = now - books.settings.registry_max_agent_age
        for agent_id in [i for i, absent in books.absent.items() if absent.since is not None and absent.since < oldest]:
            self._forget_absent(agent_id)
        for agent_id in [i for i, removal in books.removed.items() if removal.at < oldest]:
            self._forget_removed(agent_id)
        self._collecting = False
        if books.absent or books.removed:
            self._collect_later(now)


class _End:
    """How the tasks of an agent end: what their frameworks are told. ``aware``: those that are PARTITION_AWARE."""

    __slots__ = ("aware", "message", "reason")

    def __init__(self, message: str, reason: str, aware: str = "TASK_LOST") -> None:
        self.message, self.reason, self.aware = message, reason, aware

    def status(self, task: Task, framework: Framework, now: float) -> TaskStatus:
        state = self.aware if framework.partition_aware else "TASK_LOST"
        return TaskStatus(
            Identifier(task.id),
            state,
            self.message,
            "SOURCE_MASTER",
            self.reason,
            agent_id=AgentID(task.agent_id),
            executor_id=task.told_executor,
            timestamp=now,
        )


_GONE = _End(GONE, "REASON_AGENT_REMOVED_BY_OPERATOR", "TASK_GONE_BY_OPERATOR")
