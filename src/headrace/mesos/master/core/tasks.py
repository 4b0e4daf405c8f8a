"""Tasks: status updates, acknowledgements, kills, and what the master itself has to say of a task.

A task's resources are free as soon as its newest state is terminal; the task itself stays in the
books until the framework has acknowledged that.
"""

from __future__ import annotations

from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.model import Agent, Framework, Task
from headrace.mesos.master.core.reconciliation import Reconciliation
from headrace.mesos.messages.agent_link import AcknowledgeUpdate, KillTask, ShutdownFramework, StatusUpdate
from headrace.mesos.messages.common import Identifier, TaskStatus, TimeInfo, is_terminal
from headrace.mesos.messages.scheduler import Acknowledge, Event, Kill, Update

COUNTED = {
    "TASK_FINISHED": "tasks_finished",
    "TASK_FAILED": "tasks_failed",
    "TASK_KILLED": "tasks_killed",
    "TASK_LOST": "tasks_lost",
    "TASK_ERROR": "tasks_error",
    "TASK_DROPPED": "tasks_dropped",
    "TASK_GONE": "tasks_gone",
    "TASK_GONE_BY_OPERATOR": "tasks_gone_by_operator",
}
"""Terminal states and the metrics that count them."""

_CHECKED = ("REASON_TASK_CHECK_STATUS_UPDATED", "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED")
"""Reasons of updates that operators are told of even if the state is the same."""


class Tasks:
    """The rules of tasks, over the books."""

    def __init__(self, books: Books, reconciliation: Reconciliation) -> None:
        self._books = books
        self._reconciliation = reconciliation

    # Entering and leaving the books

    def add(self, framework: Framework, agent: Agent, task: Task) -> None:
        """Enter a task; its resources have been taken from the agent already."""
        framework.tasks[task.id] = task
        agent.tasks[task.key] = task
        self._books.watchers.task_added(task)

    def meet(self, framework: Framework, agent: Agent, task: Task, status: TaskStatus, now: float) -> None:
        """Enter a task that an agent reports and nobody here knew, in the state that it has reached."""
        framework.tasks[task.id] = task
        agent.tasks[task.key] = task
        task.note(status)
        self._advance(task, status.state, status, now)
        self._books.watchers.task_added(task)

    def free(self, task: Task) -> None:
        """Give back what a task holds; does nothing the second time."""
        if task.holds:
            task.holds = False
            self._books.allocator.recover(task.agent_id, task.framework_id, task.role, task.resources)

    def remove(self, framework: Framework, task: Task) -> None:
        """The task is over: only its record stays."""
        self.free(task)
        framework.tasks.pop(task.id, None)
        agent = self._books.agents.get(task.agent_id)
        if agent is not None:
            agent.tasks.pop(task.key, None)
            agent.kills.pop(task.key, None)
            if agent.deactivation is not None:
                self._books.emptied[agent.id] = None
        task.unacknowledged = None
        task.slim()
        framework.completed.append(task)

    def end(self, framework: Framework, task: Task, status: TaskStatus, now: float) -> None:
        """The master ends a task by a status of its own; nobody acknowledges it."""
        self._say(framework, task, status, now)
        self.remove(framework, task)

    def lose_sight(self, framework: Framework, task: Task, now: float, since: float) -> None:
        """The task's agent is unreachable: the task may be running or not."""
        state = "TASK_UNREACHABLE" if framework.partition_aware else "TASK_LOST"
        status = TaskStatus(
            Identifier(task.id),
            state,
            "health check timed out",
            "SOURCE_MASTER",
            "REASON_AGENT_REMOVED",
            agent_id=Identifier(task.agent_id),
            executor_id=task.told_executor,
            timestamp=now,
            unreachable_time=TimeInfo(round(since * 1e9)),
        )
        self._say(framework, task, status, now)
        self.free(task)
        framework.tasks.pop(task.id, None)
        task.unacknowledged = None
        framework.unreachable[task.id] = task
        if len(framework.unreachable) > self._books.settings.max_unreachable_tasks:
            del framework.unreachable[next(iter(framework.unreachable))]

    # From the agent

    def update(self, agent: Agent, update: StatusUpdate, now: float) -> None:
        """A status update of an agent: note it, pass it on."""
        framework_id = update.framework_id.value
        framework = self._books.frameworks.get(framework_id)
        if framework is None:
            # nobody is left to acknowledge it
            self._books.tell(agent, ShutdownFramework(update.framework_id))
            return
        status = update.status
        task = framework.tasks.get(status.task_id.value)
        if task is not None and task.agent_id != agent.id:
            # of a second one of this name, which its framework must not take for the first
            if status.uuid is not None:
                self._books.tell(agent, AcknowledgeUpdate(update.framework_id, status.task_id, status.uuid))
            return
        if task is not None:
            self._follow(task, status, update.latest_state, now)
        self._books.send(framework, Event("UPDATE", update=Update(status)))
        if task is not None and status.uuid is None and is_terminal(status.state):
            self.remove(framework, task)  # nobody acknowledges an update without a uuid

    def report(self, task: Task, status: TaskStatus, now: float) -> None:
        """An agent that registers says in which state a known task is."""
        self._note(task, status, status.state, now)

    def _follow(self, task: Task, status: TaskStatus, latest_state: str, now: float) -> None:
        if status.uuid is not None:
            task.unacknowledged = status
        # one that has ended stays so, whatever is still said of it
        self._note(task, status, task.state if task.ended else latest_state, now)
        if task.ended:
            self.free(task)

    def _note(self, task: Task, status: TaskStatus, state: str, now: float) -> None:
        """Keep a status and the newest state; operators are told if the status says anything new."""
        new = task.note(status) or status.reason in _CHECKED
        self._advance(task, state, status, now)
        if new:
            self._books.watchers.task_updated(task, status)

    def _advance(self, task: Task, state: str, status: TaskStatus, now: float) -> None:
        if state == task.state:
            return
        task.state = state
        self._books.story(f"task/{task.framework_id}/{task.id}", now, state, status.message or status.reason or "")
        if is_terminal(state):
            self._books.counters[COUNTED[state]] += 1

    def _say(self, framework: Framework, task: Task, status: TaskStatus, now: float) -> None:
        self._note(task, status, status.state, now)
        self._books.send(framework, Event("UPDATE", update=Update(status)))

    # From the framework

    def acknowledge(self, framework: Framework, call: Acknowledge) -> None:
        """The framework has an update: the agent may send the next.

        While the agent is away this has no effect: it would not hear of it, and says the update again when it is back.
        """
        agent = self._books.agents.get(call.agent_id.value)
        if agent is None or not agent.connected:
            return
        task = framework.tasks.get(call.task_id.value)
        status = task.unacknowledged if task is not None else None
        if task is not None and status is not None and status.uuid == call.uuid:
            task.unacknowledged = None
            if is_terminal(status.state):
                self.remove(framework, task)
        self._books.tell(agent, AcknowledgeUpdate(Identifier(framework.id), call.task_id, call.uuid))

    def kill(self, framework: Framework, call: Kill, now: float) -> None:
        """End a task: now, or when its agent is back; an unknown one is reconciled."""
        books = self._books
        task = framework.tasks.get(call.task_id.value)
        if task is None:
            self._reconciliation.one(framework, call.task_id, call.agent_id, now)
            return
        subject = f"task/{framework.id}/{task.id}"
        if call.agent_id is not None and call.agent_id.value != task.agent_id:
            books.story(subject, now, "not killed", f"the call names agent {call.agent_id.value}")
            return
        if task.ended:
            return  # its last update is on its way
        agent = books.agents[task.agent_id]
        order = KillTask(Identifier(framework.id), call.task_id, call.kill_policy)
        if agent.connected:
            books.story(subject, now, "killed by its framework")
            books.tell(agent, order)
        else:
            books.story(subject, now, "to be killed", "when its agent is back")
            agent.kills[task.key] = order

    def repeat_unacknowledged(self, framework: Framework) -> None:
        """A framework is back: send again what it has not acknowledged, rather than wait for the agents to."""
        for task in framework.tasks.values():
            if task.unacknowledged is not None:
                self._books.send(framework, Event("UPDATE", update=Update(task.unacknowledged)))
