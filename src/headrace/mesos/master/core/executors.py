"""Executors in the books: entering, leaving, and what they and their frameworks say to each other.

An executor holds its own resources until it has exited; those of its tasks are the tasks' own.
"""

from __future__ import annotations

from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.model import Agent, Executor, Framework
from headrace.mesos.messages.agent_link import ExecutorExited, ShutdownExecutor, ToExecutor, ToFramework
from headrace.mesos.messages.common import AgentID, FrameworkID
from headrace.mesos.messages.scheduler import Event, ExecutorMessage, Failure, Shutdown


class Executors:
    """The rules of executors, over the books."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def add(self, agent: Agent, executor: Executor) -> None:
        """Enter an executor; its resources have been taken from the agent already."""
        agent.executors[executor.key] = executor
        framework = self._books.frameworks[executor.framework_id]
        framework.executors[agent.id, executor.id] = executor

    def remove(self, agent: Agent, executor: Executor) -> None:
        """The executor is no more: what it holds is free."""
        if self.drop(agent, executor) and executor.resources:
            self._books.allocator.recover(agent.id, executor.framework_id, executor.role, executor.resources)

    def drop(self, agent: Agent, executor: Executor) -> bool:
        """Take an executor out of the books, but leave what it holds; False if it was not there."""
        if agent.executors.pop(executor.key, None) is None:
            return False
        framework = self._books.frameworks.get(executor.framework_id)
        if framework is not None:
            framework.executors.pop((agent.id, executor.id), None)
        return True

    def exited(self, agent: Agent, call: ExecutorExited, now: float) -> None:
        """An agent says that an executor has ended."""
        executor = agent.executors.get((call.framework_id.value, call.executor_id.value))
        if executor is None:
            return
        self.remove(agent, executor)
        framework = self._books.frameworks.get(executor.framework_id)
        if framework is not None:
            why = f"executor {executor.id} of agent {agent.id} exited with status {call.status}"
            self._books.story(f"framework/{framework.id}", now, "executor exited", why)
            self._books.send(
                framework, Event("FAILURE", failure=Failure(AgentID(agent.id), call.executor_id, call.status))
            )

    def message(self, framework: Framework, call: ExecutorMessage) -> None:
        """Pass on what a framework says to one of its executors; it is lost if the agent is away."""
        agent = self._books.agents.get(call.agent_id.value)
        if agent is not None:
            self._books.tell(agent, ToExecutor(FrameworkID(framework.id), call.executor_id, call.data))

    def shutdown(self, framework: Framework, call: Shutdown, now: float) -> None:
        """The framework wants one of its executors to end, and all that it runs."""
        agent = self._books.agents.get(call.agent_id.value)
        known = (call.agent_id.value, call.executor_id.value) in framework.executors
        subject = f"framework/{framework.id}"
        if agent is None or not known:
            self._books.story(subject, now, "executor not shut down", f"{call.executor_id.value} is not known")
            return
        self._books.story(subject, now, "executor shut down", call.executor_id.value)
        self._books.tell(agent, ShutdownExecutor(FrameworkID(framework.id), call.executor_id))

    def to_framework(self, agent: Agent, call: ToFramework) -> None:
        """Pass on what an executor says; nobody is told if its framework is away."""
        framework = self._books.frameworks.get(call.framework_id.value)
        if framework is not None:
            message = ExecutorMessage(AgentID(agent.id), call.executor_id, call.data)
            self._books.send(framework, Event("MESSAGE", message=message))
