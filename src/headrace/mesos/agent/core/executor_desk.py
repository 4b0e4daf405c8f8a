"""What executors say over their API, and what the master wants of them.

Refusals are in Mesos's words. Whoever is on this machine may speak for an executor, as with Mesos; only what the
agent itself has started counts.
"""

from __future__ import annotations

import msgspec

from headrace.kernel.core import Effect, Reply
from headrace.mesos.agent.core.books import Books
from headrace.mesos.agent.core.delivered import DeliveredTask
from headrace.mesos.agent.core.events import Answer, ExecutorCalls, ExecutorStreamClosed, Send
from headrace.mesos.agent.core.executors import CustomExecutor
from headrace.mesos.agent.core.groups import GroupExecutor
from headrace.mesos.agent.core.records import QUEUED, REGISTERED
from headrace.mesos.messages.agent_link import StatusUpdate, ToExecutor, ToFramework
from headrace.mesos.messages.common import AgentID, FrameworkID, KillPolicy, TaskStatus
from headrace.mesos.messages.executor import Subscribe


class ExecutorDesk:
    """Serves the custom executors of an agent, and ends executors of both kinds."""

    def __init__(self, books: Books) -> None:
        self._books = books

    # their API

    def call(self, event: ExecutorCalls, now: float) -> list[Effect]:
        """A call; everything that it changes is stored before it is answered."""
        call = event.call
        executor = self._who(event)
        if isinstance(executor, Answer):
            return [Reply(event.to, executor)]
        effects: list[Effect] = []
        if call.type == "SUBSCRIBE" and call.subscribe is not None:
            effects = self._subscribe(executor, event.stream, call.subscribe, now)
            return [Reply(event.to, Answer(200)), *effects]
        if call.type == "UPDATE" and call.update is not None:
            effects = self._update(executor, call.update.status, now)
        elif call.type == "MESSAGE" and call.message is not None and self._books.context.connected:
            record = executor.record
            framework_id = FrameworkID(record.framework_id)
            effects = [Send(ToFramework(framework_id, record.executor.executor_id, call.message.data))]
        return [Reply(event.to, Answer(202)), *effects]

    def stream_closed(self, event: ExecutorStreamClosed) -> list[Effect]:
        """A connection is gone."""
        executor = self._books.executor(event.framework_id, event.executor_id)
        return executor.disconnected(event.stream) if isinstance(executor, CustomExecutor) else []

    def _who(self, event: ExecutorCalls) -> CustomExecutor | Answer:
        call = event.call
        framework_id = call.framework_id.value if call.framework_id else ""
        if framework_id not in self._books.frameworks:
            return Answer(400, "Framework cannot be found")
        executor = self._books.executor(framework_id, call.executor_id.value if call.executor_id else "")
        if not isinstance(executor, CustomExecutor):
            return Answer(400, "Executor cannot be found")
        if call.type != "SUBSCRIBE" and not executor.stream:
            return Answer(403, "Executor is not subscribed")
        return executor

    def _subscribe(self, executor: CustomExecutor, stream: int, body: Subscribe, now: float) -> list[Effect]:
        self._books.stories.tell(executor.subject, now, "executor subscribed")
        known = {task.task_id.value for task in body.unacknowledged_tasks or ()}
        effects = executor.subscribed(now, stream, known)
        for update in body.unacknowledged_updates or ():
            effects += self._update(executor, update.status, now)
        return effects

    def _update(self, executor: CustomExecutor, status: TaskStatus, now: float) -> list[Effect]:
        task = executor.tasks.get(status.task_id.value)
        if task is None:
            return self._update_of_unknown(executor, status, now)
        container = executor.container_status()
        return [*executor.acknowledge(status), *self._books.after(task, task.update(now, status, container), now)]

    def _update_of_unknown(self, executor: CustomExecutor, status: TaskStatus, now: float) -> list[Effect]:
        """One that is over is acknowledged once more; of any other task the framework hears once, as with Mesos."""
        if any(done.task.task_id == status.task_id for done in executor.completed):
            return executor.acknowledge(status)
        place = executor.record.place
        status = msgspec.structs.replace(
            status,
            agent_id=AgentID(place.agent_id),
            timestamp=status.timestamp if status.timestamp is not None else now,
        )
        update = StatusUpdate(FrameworkID(place.framework_id), status, status.state)
        return [Send(update)] if self._books.context.connected else []

    # the master's wishes

    def message(self, event: ToExecutor, now: float) -> list[Effect]:
        """Bytes of a framework; an executor that does not listen misses them, a default one has no use for them."""
        executor = self._books.executor(event.framework_id.value, event.executor_id.value)
        return executor.message(event.data) if isinstance(executor, CustomExecutor) else []

    def shut_down(self, framework_id: str, executor_id: str, now: float) -> list[Effect]:
        """End an executor with all that it runs."""
        executor = self._books.executor(framework_id, executor_id)
        if executor is None:
            return []
        self._books.stories.tell(executor.subject, now, "executor is shut down")
        if isinstance(executor, GroupExecutor):
            effects: list[Effect] = []
            for task in list(executor.tasks.values()):
                effects += self._books.after(task, task.kill(now, None), now)
            return effects
        return self.end(executor, now)

    def end(self, executor: CustomExecutor, now: float) -> list[Effect]:
        """Shut a custom executor down; one that has no process yet is gone at once."""
        effects = executor.shut_down(now)
        if not executor.live:
            effects += self._books.end_custom(executor, now, -1, executor.verdict(None))
        return effects

    def kill(self, task: DeliveredTask, policy: KillPolicy | None, now: float) -> list[Effect]:
        """End a task of a custom executor, and what is launched together with it if that is not under way yet.

        An executor that has not subscribed and is left without tasks is not waited for.
        """
        executor = self._books.executors.get(task.container_id)
        if task.phase == QUEUED and isinstance(executor, CustomExecutor):
            group = task.record.group
            queued = [t for t in executor.tasks.values() if t.phase == QUEUED and group and t.record.group == group]
            effects: list[Effect] = []
            for one in queued or [task]:
                effects += self._books.after(one, one.kill(now, policy), now)
            if executor.phase != REGISTERED and not any(t.live for t in executor.tasks.values()):
                effects += self.end(executor, now)
            return effects
        effects = self._books.after(task, task.kill(now, policy), now)
        told = executor.tell_kill(task, policy) if isinstance(executor, CustomExecutor) and task.live else []
        return [*effects, *told]
