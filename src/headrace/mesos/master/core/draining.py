"""Agents that an operator keeps out of the offers: deactivated, draining, drained.

Nothing of a deactivated agent is offered; what runs there goes on. A draining one is told to end its tasks; when all of
them and all operations are over and acknowledged it is drained, or gone if that was the wish. Both are stored
and hold until the agent is reactivated, whether it is here, away or unreachable meanwhile: one that is away
is drained when it is back. Source: Mesos documentation, "Performing Node Maintenance".
"""

from __future__ import annotations

import msgspec

from headrace.mesos.master.core import registry
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.effects import OK, Answer
from headrace.mesos.master.core.losses import Losses
from headrace.mesos.master.core.model import Agent, Deactivation, Drain
from headrace.mesos.master.core.offers import Offers
from headrace.mesos.messages import agent_link, operator
from headrace.mesos.messages.common import DurationInfo

UNKNOWN = Answer(400, "Unknown agent")
STILL_DRAINING = Answer(400, "Agent is still in the DRAINING state")
_SECOND = 1_000_000_000
_LONGEST = 2**63 - 1
"""Nanoseconds that a DurationInfo holds."""


class Draining:
    """The rules of deactivation and draining, over the books."""

    def __init__(self, books: Books, offers: Offers, losses: Losses) -> None:
        self._books = books
        self._offers = offers
        self._losses = losses

    # Orders of operators

    def drain(self, call: operator.DrainAgent, now: float) -> Answer:
        """End all that runs on an agent; a second order takes the place of the first."""
        agent_id = call.agent_id.value
        if not self._known(agent_id):
            return UNKNOWN
        grace = call.max_grace_period
        if grace is not None and (wrong := _problem_of(grace)):
            return Answer(400, f"Failed to validate master::Call: 'drain_agent.max_grace_period': {wrong}")
        limit = DurationInfo(_nanoseconds(grace)) if grace is not None else None
        drain = Drain(now, limit, bool(call.mark_gone))
        what = "draining, to be marked gone" if drain.mark_gone else "draining"
        self._put(agent_id, Deactivation(drain), what, now)
        agent = self._books.agents.get(agent_id)
        if agent is not None:
            self._tell(agent, drain)
        return OK

    def deactivate(self, agent_id: str, now: float) -> Answer:
        """Offer nothing of an agent from now on; one that is draining goes on with that."""
        if not self._known(agent_id):
            return UNKNOWN
        if agent_id not in self._books.deactivated:
            self._put(agent_id, Deactivation(), "deactivated", now)
        return OK

    def reactivate(self, agent_id: str, now: float) -> Answer:
        """Offer the agent's resources again. Draining can't be called off."""
        books = self._books
        if not self._known(agent_id):
            return UNKNOWN
        deactivation = books.deactivated.get(agent_id)
        if deactivation is None:
            return OK
        if deactivation.drain is not None and not deactivation.drain.drained:
            return STILL_DRAINING
        books.forget_deactivation(agent_id)
        books.story(f"agent/{agent_id}", now, "reactivated", "by an operator")
        agent = books.agents.get(agent_id)
        if agent is not None:
            self._note(agent)
            if agent.connected:
                books.allocator.activate_agent(agent_id)
        return OK

    def _known(self, agent_id: str) -> bool:
        return agent_id in self._books.agents or agent_id in self._books.absent

    def _put(self, agent_id: str, deactivation: Deactivation, what: str, now: float) -> None:
        books = self._books
        books.deactivated[agent_id] = deactivation
        books.emit(registry.keep_deactivation(agent_id, deactivation))
        books.story(f"agent/{agent_id}", now, what, "by an operator")
        agent = books.agents.get(agent_id)
        if agent is not None:
            self._note(agent)
            books.allocator.deactivate_agent(agent_id)
            self._offers.rescind(agent.offers.values(), f"agent {agent_id} is {what}", now)

    def _note(self, agent: Agent) -> None:
        agent.deactivation = self._books.deactivated.get(agent.id)
        agent.view = None

    # Agents

    def greet(self, agent: Agent) -> None:
        """An agent has registered and reported: it may be one that is to stay empty."""
        self._note(agent)
        if agent.deactivation is not None:
            self._books.allocator.deactivate_agent(agent.id)
            drain = agent.deactivation.drain
            if drain is not None and not drain.drained:
                self._tell(agent, drain)

    def _tell(self, agent: Agent, drain: Drain) -> None:
        self._books.tell(agent, agent_link.DrainAgent(drain.max_grace_period, drain.mark_gone))
        self._books.emptied[agent.id] = None

    def settle(self, now: float) -> None:
        """Look at the agents of which something has ended: which of them have been drained by that?"""
        books = self._books
        if not books.emptied:
            return
        emptied, books.emptied = books.emptied, {}
        for agent_id in emptied:
            agent = books.agents.get(agent_id)
            drain = agent.deactivation.drain if agent is not None and agent.deactivation is not None else None
            if agent is None or drain is None or drain.drained or not _is_empty(agent):
                continue
            if drain.mark_gone:
                self._losses.mark_gone(agent_id, now)
            else:
                done = msgspec.structs.replace(drain, drained=True)
                self._put(agent_id, Deactivation(done), "drained", now)


def _is_empty(agent: Agent) -> bool:
    """While its stream has ended nobody knows."""
    return agent.connected and not agent.tasks and not agent.operations


def _problem_of(grace: operator.Duration) -> str | None:
    if grace.seconds is None and grace.nanos is None and grace.nanoseconds is None:
        return "expecting 'seconds', as in {\"seconds\": 600}"
    if _nanoseconds(grace) < 0:
        return "it is negative"
    if _nanoseconds(grace) > _LONGEST:
        return f"it is longer than {_LONGEST // _SECOND} s"
    return None


def _nanoseconds(grace: operator.Duration) -> int:
    return (grace.seconds or 0) * _SECOND + (grace.nanos or 0) + (grace.nanoseconds or 0)
