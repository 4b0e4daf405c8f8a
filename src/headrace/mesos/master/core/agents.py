"""Agents: registration, what they report, what they say, pings.

An agent is connected while its stream is open; what happens when it ends stands in ``losses``. What an
agent reports of its tasks, executors, operations and resources is the truth: a master without memory
learns them from it, and one with memory corrects itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.kernel.core import CancelTimer, SetTimer
from headrace.mesos.master.core import registry
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.draining import Draining
from headrace.mesos.master.core.effects import CloseAgent, SendToAgent
from headrace.mesos.master.core.executors import Executors
from headrace.mesos.master.core.frameworks import Frameworks
from headrace.mesos.master.core.losses import RECOVERY_TIMER, Losses
from headrace.mesos.master.core.maintenance import Maintenance, machine_of
from headrace.mesos.master.core.model import Agent, Executor, Framework, Removal, Task
from headrace.mesos.master.core.operations import Operations
from headrace.mesos.master.core.reconciliation import latest
from headrace.mesos.master.core.sizes import Sizes
from headrace.mesos.master.core.tasks import Tasks
from headrace.mesos.messages.agent_link import (
    AgentCall,
    ExecutorExited,
    KillTask,
    KnownExecutor,
    KnownTask,
    OperationUpdate,
    Ping,
    Pong,
    Refused,
    Register,
    Registered,
    ShutdownFramework,
    StatusUpdate,
    ToFramework,
    Unregister,
)
from headrace.mesos.messages.common import AgentID, FrameworkID, FrameworkInfo, Identifier, Resource, TaskStatus
from headrace.mesos.messages.scheduler import Event, Update
from headrace.mesos.resources import Resources

PING_TIMER = "ping"
DOWN = "its machine is DOWN for maintenance"


class Agents:
    """The rules of agents, over the books."""

    def __init__(
        self,
        books: Books,
        frameworks: Frameworks,
        tasks: Tasks,
        executors: Executors,
        operations: Operations,
        losses: Losses,
        maintenance: Maintenance,
        draining: Draining,
    ) -> None:
        self._books = books
        self._frameworks = frameworks
        self._tasks = tasks
        self._executors = executors
        self._operations = operations
        self._losses = losses
        self._maintenance = maintenance
        self._draining = draining
        self._slots = min(15, max(1, int(books.settings.agent_ping_timeout)))
        self._slot = 0
        self._sizes = Sizes()

    # Registration

    def register(self, stream: str, call: Register, ip: str, now: float) -> None:
        """An agent has come, for the first time or again."""
        books = self._books
        if refused := self._refused(call, ip, now):
            books.emit(SendToAgent(stream, refused), CloseAgent(stream))
            return
        size = self._sizes.of(call.agent_info.resources)
        call = msgspec.structs.replace(call, agent_info=msgspec.structs.replace(call.agent_info, resources=size.said))
        total = size.total if call.total is None else self._sizes.of(call.total).total
        agent = books.agents.get(call.agent_id.value) if call.agent_id is not None else None
        known = agent is not None
        if agent is not None:
            self._register_again(agent, call, total, ip, now)
        else:
            agent = self._admit(call, total, ip, now)
        agent.version, agent.view = call.version, None
        self._connect(agent, stream, now)
        self._maintenance.greet(agent, now)
        self._take_report(agent, call, known, now)
        if not known:
            books.watchers.agent_added(agent)
        self._draining.greet(agent)
        self._send_orders(agent)

    def _refused(self, call: Register, ip: str, now: float) -> Refused | None:
        """Whether this agent may not come under its id, or not at all; it ends its tasks then."""
        books = self._books
        agent_id = call.agent_id.value if call.agent_id is not None else ""
        removal = books.removed.get(agent_id)
        if removal is not None:
            why = removal.why if removal.gone else "this agent id was removed; register as a new agent"
            return Refused(why, leave=removal.gone)
        machine = machine_of(books.machines, call.agent_info.hostname, ip)
        if machine is None or not machine.down:
            return None
        if agent_id:
            books.absent.pop(agent_id, None)
            if agent_id in books.awaited:
                books.awaited.discard(agent_id)
                books.watchers.agent_removed(agent_id)
            removal = books.removed[agent_id] = Removal(now, DOWN)
            books.forget_deactivation(agent_id)
            books.emit(*registry.remove_agent(agent_id, removal))
        return Refused(DOWN)

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
        books.counters["slave_registrations" if absent is None else "slave_reregistrations"] += 1
        books.agents[agent_id] = agent
        if absent is None or absent.since is not None or (absent.info, absent.ip) != (agent.info, ip):
            books.emit(registry.keep_agent(agent))
        if len(books.agents) == 1:
            books.emit(SetTimer(PING_TIMER, now + books.settings.agent_ping_timeout / self._slots))
        return agent

    def _replace_namesake(self, ip: str, port: int | None, now: float) -> None:
        """An agent that lost its memory: who answered at this address before is no more."""
        old = self._books.agent_addresses.get((ip, port or 0))
        if old is not None and self._books.agents.get(old.id) is old and not old.connected:
            self._losses.remove(old, "a new agent registered at the same address", now)

    def _register_again(self, agent: Agent, call: Register, total: Resources, ip: str, now: float) -> None:
        books = self._books
        books.counters["slave_reregistrations"] += 1
        if agent.stream is not None:
            old = agent.stream
            self._losses.disconnect(agent, f"agent {agent.id} registered again", now)
            books.emit(CloseAgent(old))
        agent.reregistered = now
        info = call.agent_info
        changed = info != agent.info or ip != agent.ip
        if changed or total != agent.total:
            self._losses.leave_address(agent)  # it may come from another one
            agent.ip = ip
            agent.describe(info, total)
        if changed:
            books.emit(registry.keep_agent(agent))

    def _connect(self, agent: Agent, stream: str, now: float) -> None:
        books = self._books
        agent.stream = stream
        agent.unanswered = 0
        self._losses.back(agent.id, now)
        books.agent_streams[stream] = agent
        books.agent_addresses[(agent.ip, agent.info.port or 0)] = agent
        books.story(f"agent/{agent.id}", now, "registered", f"from {agent.ip}")
        books.tell(agent, Registered(AgentID(agent.id), books.settings.agent_ping_timeout))

    # The agent's report

    def _take_report(self, agent: Agent, call: Register, known: bool, now: float) -> None:
        """Make the books agree with what the agent says that it has and runs."""
        books = self._books
        was = books.absent.pop(agent.id, None)
        if agent.id in books.awaited:
            books.awaited.discard(agent.id)
            if not books.awaited:
                books.emit(CancelTimer(RECOVERY_TIMER))
        for info in call.frameworks:
            self._meet_framework(info, now)
        self._end_strangers(agent, call)
        self._take_executors(agent, call.executors)
        taken = self._take_tasks(agent, call.tasks, now)
        self._operations.report(agent, call.operations, now)
        # from here on the allocator knows what is in use
        if known:
            books.allocator.remove_agent(agent.id)
        domain = agent.info.domain.fault_domain if agent.info.domain is not None else None
        region = domain.region.name if domain is not None else None
        books.allocator.add_agent(agent.id, agent.total, agent.used(), region=region)
        if was is not None and was.since is not None:
            for task in taken:
                status = latest(task, "Unreachable agent re-reregistered", "REASON_AGENT_REREGISTERED", now)
                books.send(books.frameworks[task.framework_id], Event("UPDATE", update=Update(status)))

    def _meet_framework(self, info: FrameworkInfo, now: float) -> None:
        books = self._books
        if info.id is None or info.id.value in books.frameworks or info.id.value in books.completed_ids:
            return
        framework = self._frameworks.recover(info, now)
        books.emit(registry.keep_framework(framework))
        books.watchers.framework_added(framework)
        self._frameworks.await_return(framework, now)
        books.story(f"framework/{framework.id}", now, "recovered", "from an agent's report")

    def _end_strangers(self, agent: Agent, call: Register) -> None:
        """What runs of frameworks that are no more."""
        owners = [known.framework_id.value for known in call.tasks]
        owners += [known.framework_id.value for known in call.executors]
        for framework_id in dict.fromkeys(owners):
            if framework_id not in self._books.frameworks:
                self._books.tell(agent, ShutdownFramework(FrameworkID(framework_id)))

    def _take_executors(self, agent: Agent, reported: Sequence[KnownExecutor]) -> None:
        found: dict[tuple[str, str], Executor] = {}
        for known in reported:
            framework = self._books.frameworks.get(known.framework_id.value)
            if framework is not None:
                resources = known.executor.resources
                role = _role_of(resources, framework)
                new = Executor(framework.id, role, agent.id, known.executor, Resources.parse(resources))
                found[new.key] = new
        for executor in [executor for key, executor in agent.executors.items() if key not in found]:
            self._executors.drop(agent, executor)
        for executor in found.values():
            self._executors.add(agent, executor)

    def _take_tasks(self, agent: Agent, reported: Sequence[KnownTask], now: float) -> list[Task]:
        books = self._books
        taken: dict[tuple[str, str], Task] = {}
        for known in reported:
            framework = books.frameworks.get(known.framework_id.value)
            if framework is None:
                continue
            task = framework.tasks.get(known.task.task_id.value)
            if task is not None and task.agent_id != agent.id:
                # lost with the agent, launched anew elsewhere, and now it is here twice
                books.tell(agent, KillTask(known.framework_id, known.task.task_id))
                continue
            task = self._take_task(agent, framework, task, known, now)
            taken[task.key] = task
        for missing in [task for key, task in agent.tasks.items() if key not in taken]:
            self._task_unknown(missing, now)
        return list(taken.values())

    def _take_task(self, agent: Agent, framework: Framework, task: Task | None, known: KnownTask, now: float) -> Task:
        if task is None:
            lost = framework.unreachable.pop(known.task.task_id.value, None)
            resources = known.task.resources
            task = Task(framework.id, _role_of(resources, framework), known.task, Resources.parse(resources))
            if known.executor_id is not None:
                task.executor_id = known.executor_id.value
            if lost is not None:
                task.statuses = lost.statuses
            self._tasks.meet(framework, agent, task, known.status, now)
        else:
            self._tasks.report(task, known.status, now)
        task.holds = not task.ended
        return task

    def _task_unknown(self, task: Task, now: float) -> None:
        """A task that the master sent to the agent, but the agent never had or has forgotten."""
        framework = self._books.frameworks[task.framework_id]
        task.holds = False
        if task.ended:
            # its framework has acknowledged the end, only the master had not heard of it
            self._tasks.remove(framework, task)
            return
        status = TaskStatus(
            Identifier(task.id),
            "TASK_DROPPED" if framework.partition_aware else "TASK_LOST",
            "Reconciliation: Task is unknown to the agent",
            "SOURCE_MASTER",
            "REASON_RECONCILIATION",
            agent_id=AgentID(task.agent_id),
            executor_id=task.told_executor,
            timestamp=now,
        )
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
        if agent.unanswered >= self._books.settings.max_agent_ping_timeouts:
            self._losses.back(agent.id, now)
        agent.unanswered = 0
        for call in calls:
            match call:
                case StatusUpdate():
                    self._tasks.update(agent, call, now)
                case ExecutorExited():
                    self._executors.exited(agent, call, now)
                case ToFramework():
                    self._executors.to_framework(agent, call)
                case OperationUpdate():
                    self._operations.update(agent, call, now)
                case Unregister():
                    self._losses.remove(agent, "the agent unregistered", now)
                    return
                case Pong() | Register():
                    pass

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
                self._losses.no_answer(agent, now)
            if agent.connected:
                agent.unanswered += 1
                books.tell(agent, Ping())


def _role_of(resources: Sequence[Resource] | None, framework: Framework) -> str:
    """Whom resources are allocated to; a report of before MULTI_ROLE does not say it."""
    for resource in resources or ():
        if resource.allocation_info is not None and resource.allocation_info.role:
            return resource.allocation_info.role
    return framework.roles[0] if framework.roles else "*"
