"""Inverse offers: the wish that a framework leave an agent whose machine is to be serviced.

Every connected framework that holds something of such an agent, be it only an offer, gets one. It may
answer that it will leave or that it won't; the answer is noted, and some time later it is asked
again if it is still there. Source: Mesos documentation, "Maintenance Primitives".
"""

from __future__ import annotations

from collections.abc import Iterable

from headrace.kernel.core import CancelTimer, SetTimer
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.encoding import url
from headrace.mesos.master.core.model import Agent, Framework
from headrace.mesos.messages.common import AgentID, FrameworkID, Identifier, InverseOffer, OfferID, TimeInfo
from headrace.mesos.messages.operator import InverseOfferStatus
from headrace.mesos.messages.scheduler import Event, InverseAnswer, InverseOffers, RescindInverse

DEFAULT_REFUSE_SECONDS = 5.0
MAINTENANCE_TIMER = "maintenance"
INTERVAL = 1.0
"""Seconds between two looks for frameworks that are still on agents to be serviced."""


class Wish:
    """What one framework has been asked about one agent. ``offer_id`` is empty once it has answered."""

    __slots__ = ("again_at", "offer_id", "status", "stream", "timestamp")

    def __init__(self, offer_id: str, stream: str) -> None:
        self.offer_id = offer_id
        self.stream = stream
        self.status = "UNKNOWN"
        self.timestamp = 0.0
        self.again_at = 0.0


class InverseOffersOut:
    """The rules of inverse offers, over the books."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._agents: dict[str, Agent] = {}
        self._wishes: dict[str, dict[str, Wish]] = {}
        self._due = False

    def watch(self, agent: Agent) -> None:
        """Frameworks on this agent are to be asked to leave if it has an unavailability; otherwise no longer."""
        self.rescind(agent)
        if agent.unavailability is not None:
            self._agents[agent.id] = agent
        self._due = True

    def look(self) -> None:
        """It is time to look for frameworks that are to be asked."""
        self._due = True

    def rescind(self, agent: Agent) -> None:
        """Take back what was asked about an agent."""
        if self._agents.pop(agent.id, None) is not None:
            self._due = True
        for framework_id, wish in self._wishes.pop(agent.id, {}).items():
            framework = self._books.frameworks.get(framework_id)
            if framework is not None and wish.offer_id and wish.stream == framework.stream:
                rescind = RescindInverse(OfferID(wish.offer_id))
                self._books.send(framework, Event("RESCIND_INVERSE_OFFER", rescind_inverse_offer=rescind))

    def settle(self, now: float) -> None:
        """Ask whom there is to ask, if there may be anybody."""
        if self._due:
            self._due = False
            self._offer(now)

    def _offer(self, now: float) -> None:
        """Ask those who have not been asked, or whose answer is some time ago."""
        by_framework: dict[str, list[InverseOffer]] = {}
        for agent in self._agents.values():
            if agent.connected:
                for framework in self._holders(agent):
                    if asked := self._ask(agent, framework, now):
                        by_framework.setdefault(framework.id, []).append(asked)
        for framework_id, asked_all in by_framework.items():
            event = Event("INVERSE_OFFERS", inverse_offers=InverseOffers(asked_all))
            self._books.send(self._books.frameworks[framework_id], event)
        self._books.emit(
            SetTimer(MAINTENANCE_TIMER, now + INTERVAL) if self._agents else CancelTimer(MAINTENANCE_TIMER)
        )

    def _holders(self, agent: Agent) -> list[Framework]:
        ids = dict.fromkeys(framework_id for framework_id, _ in agent.used())
        ids.update(dict.fromkeys(offer.framework_id for offer in agent.offers.values()))
        return [self._books.frameworks[i] for i in ids if self._books.frameworks[i].connected]

    def _ask(self, agent: Agent, framework: Framework, now: float) -> InverseOffer | None:
        wishes = self._wishes.setdefault(agent.id, {})
        wish = wishes.get(framework.id)
        if wish is not None and wish.stream == framework.stream and (wish.offer_id or wish.again_at > now):
            return None
        books = self._books
        offer_id = f"{books.master.id}-O{books.next_offer}"
        books.next_offer += 1
        new = wishes[framework.id] = Wish(offer_id, framework.stream or "")
        if wish is not None:
            new.status, new.timestamp = wish.status, wish.timestamp
        return _inverse_offer(offer_id, framework, agent)

    def outstanding(self, framework: Framework) -> list[InverseOffer]:
        """What a framework has been asked and has not answered."""
        asked = ((self._agents.get(i), wishes.get(framework.id)) for i, wishes in self._wishes.items())
        return [
            _inverse_offer(wish.offer_id, framework, agent)
            for agent, wish in asked
            if agent is not None and wish is not None and wish.offer_id and wish.stream == framework.stream
        ]

    def answer(self, framework: Framework, call: InverseAnswer, status: str, now: float) -> None:
        """A framework accepts or declines; unknown inverse offers are no error."""
        ids = {offer_id.value for offer_id in call.inverse_offer_ids or ()}
        seconds = call.filters.refuse_seconds if call.filters is not None else None
        if seconds is None or seconds < 0:
            seconds = DEFAULT_REFUSE_SECONDS
        for agent_id, wishes in self._wishes.items():
            wish = wishes.get(framework.id)
            if wish is not None and wish.offer_id in ids:
                wish.offer_id, wish.status, wish.timestamp = "", status, now
                wish.again_at = now + seconds
                self._books.story(f"framework/{framework.id}", now, f"inverse offer of agent {agent_id}: {status}")

    def statuses(self, agents: Iterable[Agent]) -> list[InverseOfferStatus]:
        """What frameworks have answered about these agents."""
        return [
            InverseOfferStatus(wish.status, Identifier(framework_id), TimeInfo(round(wish.timestamp * 1e9)))
            for agent in agents
            for framework_id, wish in self._wishes.get(agent.id, {}).items()
            if wish.status != "UNKNOWN" and framework_id in self._books.frameworks
        ]


def _inverse_offer(offer_id: str, framework: Framework, agent: Agent) -> InverseOffer:
    assert agent.unavailability is not None  # noqa: S101
    return InverseOffer(
        OfferID(offer_id),
        FrameworkID(framework.id),
        agent.unavailability,
        url(agent.info, agent.ip),
        AgentID(agent.id),
    )
