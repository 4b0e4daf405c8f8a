"""Agents: registration, loss, return, removal.

An agent is connected while its stream is open. When the stream ends its offers are rescinded and
its tasks keep their state; if it isn't back in time it is unreachable, and so are its tasks. It
may come back at any time under its id, unless it was removed. What it reports of its tasks
is the truth: a master without memory learns them from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.kernel.core import CancelTimer, Delete, SetTimer
from headrace.mesos.master import registry
from headrace.mesos.master.books import Books
from headrace.mesos.master.effects import CloseAgent, SendToAgent
from headrace.mesos.master.frameworks import Frameworks
from headrace.mesos.master.model import Absent, Agent, Framework, Task
from headrace.mesos.master.offers import Offers
from headrace.mesos.master.reconciliation import latest
from headrace.mesos.master.tasks import Tasks
from headrace.mesos.messages.agent_link import (
    AgentCall,
    KillTask,
    KnownTask,
    Ping,
    Pong,
    Refused,
    Register,
    Registered,
    ShutdownFramework,
    StatusUpdate,
    Unregister,
)
from headrace.mesos.messages.common import AgentID, AgentInfo, FrameworkInfo, Identifier, TaskStatus
from headrace.mesos.messages.scheduler import Event, Failure, Update
from headrace.mesos.resources import Resources

ABSENCE_TIMER = "absence/"
RECOVERY_TIMER = "recovery"
PING_TIMER = "ping"
MAX_ABSENT = 10_000


class Agents:
    """The rules of agents, over the books."""

    def __init__(self, books: Books, frameworks: Frameworks, offers: Offers, tasks: Tasks) -> None:
        self._books = books
        self._frameworks = frameworks
        self._offers = offers
        self._tasks = tasks
        self._slots = min(15, max(1, int(books.settings.agent_ping_timeout)))
        self._slot = 0

    # Registration

    def register(self, stream: str, call: Register, ip: str, now: float) -> None:
        """An agent has come, for the first time or again."""
        if call.agent_id is not None and call.agent_id.value in self._books.removed:
            refused = Refused("this agent id was removed; register as a new agent")
            self._books.emit(SendToAgent(stream, refused), CloseAgent(stream))
            return
        total = Resources.parse(call.agent_info.resources)
        agent = self._books.agents.get(call.agent_id.value) if call.agent_id is not None else None
        if agent is not None:
            self._register_again(agent, call.agent_info, total, ip, now)
        else:
            agent = self._admit(call, total, ip, now)
        agent.version = call.version
        self._connect(agent, stream, now)
        self._take_report(agent, call.frameworks, call.tasks, now)
        self._send_orders(agent)

    def _admit(self, call: Register, total: Resources, ip: str, now: float) -> Agent:
        books = self._books
        self._replace_namesake(ip, call.agent_info.port, now)
        number = books.next_agent
        books.next_agent += 1
        agent_id = f"{books.master.id}-S{number}" if call.agent_id is None else call.agent_id.value
        agent = Agent(agent_id, number, call.agent_info, total, ip, now)
        absent = books.absent.get(agent_id)
        if absent is not None:
            agent.registered, agent.reregistered = absent.registered, now
        books.agents[agent_id] = agent
        books.emit(registry.keep_agent(agent))
        books.allocator.add_agent(agent_id, total, {})
        if len(books.agents) == 1:
            books.emit(SetTimer(PING_TIMER, now + books.settings.agent_ping_timeout / self._slots))
        return agent

    def _replace_namesake(self, ip: str, port: int | None, now: float) -> None:
        """An agent that lost its memory: who answered at this address before is no more."""
        old = self._books.agent_addresses.get((ip, port or 0))
        if old is not None and not old.connected:
            self.remove(old, "a new agent registered at the same address", now)

    def _register_again(self, agent: Agent, info: AgentInfo, total: Resources, ip: str, now: float) -> None:
        books = self._books
        if agent.stream is not None:
            old = agent.stream
            self._disconnect(agent)
            self._offers.rescind(agent.offers.values(), f"agent {agent.id} registered again", now)
            books.emit(CloseAgent(old))
        books.emit(CancelTimer(ABSENCE_TIMER + agent.id))
        if info != agent.info or ip != agent.ip:
            agent.ip = ip
            agent.describe(info, total)
            books.emit(registry.keep_agent(agent))

    def _connect(self, agent: Agent, stream: str, now: float) -> None:
        books = self._books
        agent.stream = stream
        agent.unanswered = 0
        books.agent_streams[stream] = agent
        books.agent_addresses[(agent.ip, agent.info.port or 0)] = agent
        books.story(f"agent/{agent.id}", now, "registered", f"from {agent.ip}")
        books.tell(agent, Registered(AgentID(agent.id), books.settings.agent_ping_timeout))

    # The agent's report

    def _take_report(
        self, agent: Agent, frameworks: Sequence[FrameworkInfo], tasks: Sequence[KnownTask], now: float
    ) -> None:
        """Make the books agree with what the agent says that it runs."""
        books = self._books
        was = books.absent.pop(agent.id, None)
        books.awaited.discard(agent.id)
        if not books.awaited:
            books.emit(CancelTimer(RECOVERY_TIMER))
        for info in frameworks:
            self._meet_framework(info, now)
        back: list[tuple[Framework, Task]] = []
        reported: set[tuple[str, str]] = set()
        for known in tasks:
            framework = books.frameworks.get(known.framework_id.value)
            if framework is None:
                books.tell(agent, ShutdownFramework(known.framework_id))
                continue
            task = framework.tasks.get(known.task.task_id.value)
            if task is not None and task.agent_id != agent.id:
                # lost with the agent, launched anew elsewhere, and now it is here twice
                books.tell(agent, KillTask(known.framework_id, known.task.task_id))
                continue
            task = self._take_task(agent, framework, task, known, now)
            reported.add(task.key)
            if was is not None and was.since is not None:
                back.append((framework, task))
        for missing in [task for key, task in agent.tasks.items() if key not in reported]:
            self._task_unknown(missing, now)
        # from here on the allocator knows what is in use
        books.allocator.remove_agent(agent.id)
        books.allocator.add_agent(agent.id, agent.total, agent.used())
        for framework, task in back:
            status = latest(task, "Unreachable agent re-registered", "REASON_AGENT_REREGISTERED", now)
            books.send(framework, Event("UPDATE", update=Update(status)))

    def _meet_framework(self, info: FrameworkInfo, now: float) -> None:
        books = self._books
        if info.id is None or info.id.value in books.frameworks or info.id.value in books.completed_ids:
            return
        framework = self._frameworks.recover(info, now)
        books.emit(registry.keep_framework(framework))
        self._frameworks.await_return(framework, now)
        books.story(f"framework/{framework.id}", now, "recovered", "from an agent's report")

    def _take_task(self, agent: Agent, framework: Framework, task: Task | None, known: KnownTask, now: float) -> Task:
        if task is None:
            lost = framework.unreachable.pop(known.task.task_id.value, None)
            task = Task(framework.id, _role_of(known, framework), known.task, Resources.parse(known.task.resources))
            if lost is not None:
                task.statuses = lost.statuses
            self._tasks.add(framework, agent, task)
        self._tasks.report(task, known.status, now)
        task.holds = not task.ended
        return task

    def _task_unknown(self, task: Task, now: float) -> None:
        """A task that the master sent to the agent, but the agent never had or has forgotten."""
        framework = self._books.frameworks[task.framework_id]
        if task.ended:
            # its framework has acknowledged the end, only the master had not heard of it
            task.holds = False
            self._tasks.remove(framework, task)
            return
        status = TaskStatus(
            Identifier(task.id),
            "TASK_DROPPED" if framework.partition_aware else "TASK_LOST",
            "Reconciliation: Task is unknown to the agent",
            "SOURCE_MASTER",
            "REASON_RECONCILIATION",
            agent_id=AgentID(task.agent_id),
            timestamp=now,
        )
        task.holds = False
        self._tasks.end(framework, task, status, now)

    def _send_orders(self, agent: Agent) -> None:
        """What could not be said while the agent was away."""
        kills, agent.kills = agent.kills, {}
        for key, order in kills.items():
            task = agent.tasks.get(key)
            if task is not None and not task.ended and isinstance(order, KillTask):
                self._books.tell(agent, order)

    # Calls

    def called(self, stream: str, calls: Sequence[AgentCall], now: float) -> None:
        """Calls of a connected agent; those of an old stream are dropped: the agent sends again what matters."""
        agent = self._books.agent_streams.get(stream)
        if agent is None:
            return
        agent.unanswered = 0
        for call in calls:
            match call:
                case StatusUpdate():
                    self._tasks.update(agent, call, now)
                case Unregister():
                    self.remove(agent, "the agent unregistered", now)
                    return
                case Pong() | Register():
                    pass

    # Loss

    def stream_closed(self, stream: str, now: float) -> None:
        """The agent is gone, perhaps for a moment."""
        agent = self._books.agent_streams.get(stream)
        if agent is None:
            return
        self._disconnect(agent)
        timeout = self._books.settings.agent_reregister_timeout
        self._books.story(f"agent/{agent.id}", now, "disconnected", f"unreachable unless back within {timeout:g} s")
        self._offers.rescind(agent.offers.values(), f"agent {agent.id} disconnected", now)
        self._books.emit(SetTimer(ABSENCE_TIMER + agent.id, now + timeout))

    def _disconnect(self, agent: Agent) -> None:
        if agent.stream is not None:
            del self._books.agent_streams[agent.stream]
            agent.stream = None
            self._books.allocator.deactivate_agent(agent.id)

    def absence_timeout(self, agent_id: str, now: float) -> None:
        """The agent has not come back in time."""
        agent = self._books.agents.get(agent_id)
        if agent is not None and not agent.connected:
            self._unreachable(agent, now)

    def _unreachable(self, agent: Agent, now: float) -> None:
        books = self._books
        self._forget(agent, now, f"agent {agent.id} is unreachable")
        for task in list(agent.tasks.values()):
            framework = books.frameworks[task.framework_id]
            if task.ended:
                self._tasks.remove(framework, task)
            else:
                self._tasks.lose_sight(framework, task, now, since=now)
        absent = Absent(agent.info, agent.ip, agent.registered, now)
        self._keep_absent(agent.id, absent)
        books.counters["slave_unreachable_completed"] += 1
        books.story(f"agent/{agent.id}", now, "unreachable")
        books.tell_all(books.frameworks.values(), Event("FAILURE", failure=Failure(AgentID(agent.id))))

    def _keep_absent(self, agent_id: str, absent: Absent) -> None:
        books = self._books
        books.absent[agent_id] = absent
        books.emit(registry.keep_absent(agent_id, absent))
        if len(books.absent) > MAX_ABSENT:
            oldest = next(iter(books.absent))
            del books.absent[oldest]
            books.emit(Delete(registry.AGENTS + oldest))

    def remove(self, agent: Agent, why: str, now: float) -> None:
        """The agent is gone for good: its tasks are lost, its id is refused from now on."""
        books = self._books
        stream = agent.stream
        self._forget(agent, now, f"agent {agent.id} was removed")
        if stream is not None:
            books.emit(CloseAgent(stream))
        for task in list(agent.tasks.values()):
            framework = books.frameworks[task.framework_id]
            if task.ended:
                self._tasks.remove(framework, task)
            else:
                self._tasks.end(framework, task, _lost(agent, task, why, now), now)
        books.removed[agent.id] = None
        books.emit(*registry.remove_agent(agent.id, now, why))
        if len(books.removed) > registry.MAX_REMEMBERED:
            oldest = next(iter(books.removed))
            del books.removed[oldest]
            books.emit(Delete(registry.REMOVED + oldest))
        books.counters["slave_removals"] += 1
        books.story(f"agent/{agent.id}", now, "removed", why)
        books.tell_all(books.frameworks.values(), Event("FAILURE", failure=Failure(AgentID(agent.id))))

    def _forget(self, agent: Agent, now: float, why: str) -> None:
        """Take an agent out of the books; its tasks are left to the caller."""
        books = self._books
        self._disconnect(agent)
        self._offers.rescind(agent.offers.values(), why, now)
        books.allocator.remove_agent(agent.id)
        books.emit(CancelTimer(ABSENCE_TIMER + agent.id))
        del books.agents[agent.id]
        address = (agent.ip, agent.info.port or 0)
        if books.agent_addresses.get(address) is agent:
            del books.agent_addresses[address]

    # Restart of the master

    def await_return(self, now: float) -> None:
        """After a restart: agents of before have some time to register again."""
        if self._books.awaited:
            self._books.emit(SetTimer(RECOVERY_TIMER, now + self._books.settings.agent_reregister_timeout))

    def recovery_timeout(self, now: float) -> None:
        """Agents of before the restart that have not registered again are unreachable."""
        books = self._books
        for agent_id in sorted(books.awaited):
            old = books.absent[agent_id]
            self._keep_absent(agent_id, Absent(old.info, old.ip, old.registered, now))
            books.story(f"agent/{agent_id}", now, "unreachable", "not back after the restart of the master")
            books.tell_all(books.frameworks.values(), Event("FAILURE", failure=Failure(AgentID(agent_id))))
        books.awaited.clear()

    # Pings

    def ping(self, now: float) -> None:
        """Ping a share of the agents; each has its turn once in every ping interval."""
        books = self._books
        if not books.agents:
            return
        books.emit(SetTimer(PING_TIMER, now + books.settings.agent_ping_timeout / self._slots))
        self._slot = (self._slot + 1) % self._slots
        for agent in [a for a in books.agents.values() if a.connected and a.number % self._slots == self._slot]:
            if agent.unanswered >= books.settings.max_agent_ping_timeouts:
                self._no_answer(agent, now)
            else:
                agent.unanswered += 1
                books.tell(agent, Ping())

    def _no_answer(self, agent: Agent, now: float) -> None:
        stream = agent.stream
        self._unreachable(agent, now)
        if stream is not None:
            self._books.emit(CloseAgent(stream))


def _role_of(known: KnownTask, framework: Framework) -> str:
    for resource in known.task.resources or ():
        if resource.allocation_info is not None and resource.allocation_info.role:
            return resource.allocation_info.role
    return framework.roles[0] if framework.roles else "*"


def _lost(agent: Agent, task: Task, why: str, now: float) -> TaskStatus:
    return TaskStatus(
        Identifier(task.id),
        "TASK_LOST",
        f"Agent {agent.info.hostname} removed: {why}",
        "SOURCE_MASTER",
        "REASON_AGENT_REMOVED",
        agent_id=AgentID(agent.id),
        timestamp=now,
    )
