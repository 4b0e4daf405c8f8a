"""Operations on resources: carried out on the books, sent to the agent, and told of to who asked for them.

The books change at once, as the master has checked everything; the agent does the same and answers if the operation
has an id. It repeats its answer until the framework has acknowledged it. Source: Apache Mesos documentation,
"Operations"; the texts are those of Mesos 1.11.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.mesos import operations
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.effects import CloseAgent
from headrace.mesos.master.core.model import Agent, Framework, TrackedOperation
from headrace.mesos.messages.agent_link import AcknowledgeOperation, ApplyOperation, KnownOperation, OperationUpdate
from headrace.mesos.messages.common import AgentID, FrameworkID, OperationStatus
from headrace.mesos.messages.scheduler import AcknowledgeOperation as Acknowledge
from headrace.mesos.messages.scheduler import (
    Event,
    Operation,
    ReconcileOperation,
    ReconcileOperations,
    UpdateOperationStatus,
)
from headrace.mesos.resources import EMPTY, Resources

ENDED = frozenset(
    {
        "OPERATION_FINISHED",
        "OPERATION_FAILED",
        "OPERATION_ERROR",
        "OPERATION_DROPPED",
        "OPERATION_GONE_BY_OPERATOR",
    }
)
"""States after which nothing more comes of an operation."""


class Operations:
    """The rules of operations, over the books."""

    def __init__(self, books: Books) -> None:
        self._books = books

    # Carrying out

    def carry_out(self, framework: Framework, agent: Agent, role: str, operation: Operation, now: float) -> None:
        """Do what was checked: the framework holds the resources, in ``role``, of an offer that it has accepted."""
        before, after = converted(operation)
        self._books.allocator.update_allocation(agent.id, framework.id, role, before, after)
        agent.total = agent.total - before + after
        if operation.id is not None:
            pending = OperationStatus("OPERATION_PENDING", operation.id, agent_id=AgentID(agent.id))
            self._enter(agent, framework, TrackedOperation(framework.id, agent.id, operation, pending))
            self._books.story(f"operation/{framework.id}/{operation.id.value}", now, "begun", operation.type or "")
        self._books.tell(agent, ApplyOperation(operation, FrameworkID(framework.id)))

    def carry_out_for_operator(self, agent: Agent, operation: Operation) -> None:
        """The same on resources that nobody holds."""
        before, after = converted(operation)
        agent.total = agent.total - before + after
        self._books.allocator.update_agent(agent.id, agent.total)
        self._books.tell(agent, ApplyOperation(operation))

    def drop(self, framework: Framework, operation: Operation, why: str, now: float) -> None:
        """The operation is not carried out; the framework is told if it gave it an id."""
        self._books.story(f"framework/{framework.id}", now, f"{operation.type} refused", why)
        if operation.id is not None:
            self._send(framework, OperationStatus("OPERATION_ERROR", operation.id, why))

    # From the agent

    def update(self, agent: Agent, call: OperationUpdate, now: float) -> None:
        """What became of an operation: note it, pass it on."""
        status = msgspec.structs.replace(call.status, agent_id=AgentID(agent.id))
        if status.operation_id is None:
            return
        owner = call.framework_id.value if call.framework_id is not None else ""
        framework = self._books.frameworks.get(owner)
        if framework is None:
            self._acknowledge_for_nobody(agent, call)
            return
        tracked = agent.operations.get((owner, status.operation_id.value))
        ahead = tracked is not None and tracked.status.state not in ENDED
        if tracked is None:
            tracked = TrackedOperation(owner, agent.id, None, status)
            self._enter(agent, framework, tracked)
        tracked.status = status
        self._books.story(f"operation/{owner}/{tracked.id}", now, status.state, status.message or "")
        self._send(framework, status)
        failed = status.state in ENDED and status.state != "OPERATION_FINISHED"
        if ahead and failed and agent.stream is not None:
            # the books went ahead of the agent: it is to register again and say what it really has
            self._books.emit(CloseAgent(agent.stream))

    def _acknowledge_for_nobody(self, agent: Agent, call: OperationUpdate) -> None:
        status = call.status
        if status.uuid is not None and status.operation_id is not None:
            told = AcknowledgeOperation(status.operation_id, status.uuid.value, call.framework_id)
            self._books.tell(agent, told)

    def report(self, agent: Agent, known: Sequence[KnownOperation], now: float) -> None:
        """Make the books agree with what a registering agent says; it repeats what is not acknowledged by itself."""
        reported: set[tuple[str, str]] = set()
        for one in known:
            framework = self._books.frameworks.get(one.framework_id.value) if one.framework_id is not None else None
            if framework is None or one.status.operation_id is None:
                self._acknowledge_for_nobody(agent, OperationUpdate(one.status, one.framework_id))
                continue
            status = msgspec.structs.replace(one.status, agent_id=AgentID(agent.id))
            tracked = TrackedOperation(framework.id, agent.id, one.operation, status)
            self._enter(agent, framework, tracked)
            reported.add(tracked.key)
        for missing in [tracked for key, tracked in agent.operations.items() if key not in reported]:
            self._remove(missing)
            if missing.status.state not in ENDED:
                self._end(missing, "OPERATION_DROPPED", "Reconciliation: Operation is unknown to the agent", now)

    def lost(self, agent: Agent, state: str, why: str, now: float) -> None:
        """The agent is gone (OPERATION_UNREACHABLE, OPERATION_GONE_BY_OPERATOR), and its operations with it."""
        for tracked in list(agent.operations.values()):
            self._remove(tracked)
            self._end(tracked, state, why, now)

    def _end(self, tracked: TrackedOperation, state: str, why: str, now: float) -> None:
        framework = self._books.frameworks.get(tracked.framework_id)
        if framework is not None:
            self._books.story(f"operation/{framework.id}/{tracked.id}", now, state, why)
            status = OperationStatus(state, tracked.status.operation_id, why, agent_id=AgentID(tracked.agent_id))
            self._send(framework, status)

    # From the framework

    def acknowledge(self, framework: Framework, call: Acknowledge) -> None:
        """The framework has a status: the agent may forget it."""
        agent = self._books.agents.get(call.agent_id.value) if call.agent_id is not None else None
        tracked = agent.operations.get((framework.id, call.operation_id.value)) if agent is not None else None
        if agent is None or tracked is None or tracked.status.uuid is None or tracked.status.uuid.value != call.uuid:
            return
        if tracked.status.state in ENDED:
            self._remove(tracked)
        self._books.tell(agent, AcknowledgeOperation(call.operation_id, call.uuid, FrameworkID(framework.id)))

    def reconcile(self, framework: Framework, call: ReconcileOperations) -> None:
        """Answer for the operations that are asked about; for all that are known if none is."""
        if not call.operations:
            for tracked in list(framework.operations.values()):
                self._send(framework, _latest(tracked))
        for asked in call.operations or ():
            self._send(framework, self._answer(framework, asked))

    def _answer(self, framework: Framework, asked: ReconcileOperation) -> OperationStatus:
        tracked = framework.operations.get(asked.operation_id.value)
        if tracked is not None:
            return _latest(tracked)
        state, why = self._unknown(asked.agent_id.value if asked.agent_id is not None else None)
        return OperationStatus(
            state,
            asked.operation_id,
            f"Reconciliation: {why}",
            agent_id=asked.agent_id,
            resource_provider_id=asked.resource_provider_id,
        )

    def _unknown(self, agent_id: str | None) -> tuple[str, str]:
        books = self._books
        if agent_id is None:
            return "OPERATION_UNKNOWN", "Operation is unknown and no 'agent_id' was provided"
        if agent_id in books.awaited:
            return "OPERATION_RECOVERING", "Agent is recovered but has not re-registered"
        if agent_id in books.agents:
            return "OPERATION_UNKNOWN", "Operation is unknown"
        if agent_id in books.absent:
            return "OPERATION_UNREACHABLE", "Agent is unreachable"
        if (removal := books.removed.get(agent_id)) is not None and removal.gone:
            return "OPERATION_GONE_BY_OPERATOR", "Agent marked gone by operator"
        return "OPERATION_UNKNOWN", "Both operation and agent are unknown"

    def repeat_unacknowledged(self, framework: Framework) -> None:
        """A framework is back: send again what it has not acknowledged, rather than wait for the agents to."""
        for tracked in framework.operations.values():
            if tracked.status.uuid is not None:
                self._send(framework, tracked.status)

    def forget(self, framework: Framework) -> None:
        """The framework is no more: nobody waits for its operations."""
        for tracked in list(framework.operations.values()):
            self._remove(tracked)

    # Books

    def _enter(self, agent: Agent, framework: Framework, tracked: TrackedOperation) -> None:
        agent.operations[tracked.key] = framework.operations[tracked.id] = tracked

    def _remove(self, tracked: TrackedOperation) -> None:
        agent = self._books.agents.get(tracked.agent_id)
        if agent is not None:
            agent.operations.pop(tracked.key, None)
            if agent.deactivation is not None:
                self._books.emptied[agent.id] = None
        framework = self._books.frameworks.get(tracked.framework_id)
        if framework is not None:
            framework.operations.pop(tracked.id, None)

    def _send(self, framework: Framework, status: OperationStatus) -> None:
        event = Event("UPDATE_OPERATION_STATUS", update_operation_status=UpdateOperationStatus(status))
        self._books.send(framework, event)


def converted(operation: Operation) -> tuple[Resources, Resources]:
    """All that an operation takes away, and all that it puts there instead. Raises operations.OperationError."""
    before, after = EMPTY, EMPTY
    for step in operations.conversions(operation):
        before, after = before + step.consumed, after + step.converted
    return before, after


def _latest(tracked: TrackedOperation) -> OperationStatus:
    """The master's own word; it needs no acknowledgement."""
    return msgspec.structs.replace(tracked.status, uuid=None)
