"""Operators that watch: the streams of SUBSCRIBE of the operator API, and what is told on them.

A stream begins with all that there is (SUBSCRIBED), and goes on with each change, in order; nobody has to ask again.
Without watchers a change costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from headrace.kernel.core import CancelTimer, Effect, SetTimer
from headrace.mesos.master.core import model
from headrace.mesos.master.core.described import Described, public_status
from headrace.mesos.master.core.effects import CloseOperator, SendToOperators
from headrace.mesos.messages.common import AgentID, FrameworkID, TaskStatus
from headrace.mesos.messages.operator_answers import (
    AgentRemoved,
    Event,
    FrameworkRemoved,
    OneAgent,
    OneFramework,
    Subscribed,
    TaskAdded,
    TaskUpdated,
)

HEARTBEAT_TIMER = "watcher/"
MOST = 1000
"""Streams at a time; one more, and the oldest is ended."""


class Watchers:
    """The streams, by their ids, oldest first."""

    def __init__(self, described: Described, emit: Callable[..., None], heartbeat_interval: float) -> None:
        self._described = described
        self._emit = emit
        self._interval = heartbeat_interval
        self._streams: dict[str, None] = {}

    @property
    def count(self) -> int:
        """How many watch."""
        return len(self._streams)

    # Streams

    def subscribe(self, stream: str, now: float) -> None:
        """A new stream: it is told all that there is."""
        if len(self._streams) >= MOST:
            oldest = next(iter(self._streams))
            self.closed(oldest)
            self._emit(CloseOperator(oldest))
        self._streams[stream] = None
        subscribed = Subscribed(self._described.state(), self._interval)
        self._emit(SendToOperators((stream,), Event("SUBSCRIBED", subscribed=subscribed)))
        self._beat(stream, now)

    def closed(self, stream: str) -> None:
        """The stream has ended, whoever ended it."""
        if stream in self._streams:
            del self._streams[stream]
            self._emit(CancelTimer(HEARTBEAT_TIMER + stream))

    def heartbeat(self, stream: str, now: float) -> None:
        """Prove that the connection lives."""
        if stream in self._streams:
            self._beat(stream, now)

    def _beat(self, stream: str, now: float) -> None:
        effects: tuple[Effect, ...] = (
            SendToOperators((stream,), Event("HEARTBEAT")),
            SetTimer(HEARTBEAT_TIMER + stream, now + self._interval),
        )
        self._emit(*effects)

    def _tell(self, event: Event) -> None:
        self._emit(SendToOperators(tuple(self._streams), event))

    # Changes

    def task_added(self, task: model.Task) -> None:
        """A task was launched, or an agent has reported it."""
        if self._streams:
            self._tell(Event("TASK_ADDED", task_added=TaskAdded(self._described.task(task))))

    def task_updated(self, task: model.Task, status: TaskStatus) -> None:
        """A task is in another state, or a check of it has another outcome."""
        if self._streams:
            updated = TaskUpdated(FrameworkID(task.framework_id), public_status(status), task.state)
            self._tell(Event("TASK_UPDATED", task_updated=updated))

    def agent_added(self, agent: model.Agent) -> None:
        """An agent has registered, for the first time or after it was unreachable; its tasks have been told of."""
        if self._streams:
            added = OneAgent(self._described.agent(agent, checkpoint=None))  # as recorded from Mesos
            self._tell(Event("AGENT_ADDED", agent_added=added))

    def agent_removed(self, agent_id: str) -> None:
        """An agent is unreachable, removed or gone."""
        if self._streams:
            self._tell(Event("AGENT_REMOVED", agent_removed=AgentRemoved(AgentID(agent_id))))

    def framework_added(self, framework: model.Framework) -> None:
        """A framework has subscribed, or an agent has reported that it runs something of it."""
        if self._streams:
            added = OneFramework(self._described.framework_alone(framework))
            self._tell(Event("FRAMEWORK_ADDED", framework_added=added))

    def framework_updated(self, framework: model.Framework) -> None:
        """A framework has come back, or changed its description."""
        if self._streams:
            updated = OneFramework(self._described.framework_alone(framework))
            self._tell(Event("FRAMEWORK_UPDATED", framework_updated=updated))

    def framework_removed(self, framework: model.Framework) -> None:
        """A framework is no more."""
        if self._streams:
            self._tell(Event("FRAMEWORK_REMOVED", framework_removed=FrameworkRemoved(framework.info)))
