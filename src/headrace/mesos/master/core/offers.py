"""Offers: made from what the allocator grants, then accepted (``accept``), declined or rescinded.

What is declined returns to the allocator with the framework's filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headrace.kernel.core import CancelTimer, SetTimer
from headrace.mesos.master.allocator import Allocation
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.encoding import OfferEncoder
from headrace.mesos.master.core.model import Framework, Offer
from headrace.mesos.master.core.offers_event import OffersEvent, SplicedOffer
from headrace.mesos.messages.common import Filters, OfferID
from headrace.mesos.messages.scheduler import Decline, Event, Rescind

DEFAULT_REFUSE_SECONDS = 5.0
MAX_REFUSE_SECONDS = 365 * 86400.0
OFFER_TIMER = "offer/"

_NO_FILTERS = Filters()


class Offers:
    """The rules of offers, over the books."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._encoder = OfferEncoder()

    # Making and taking back

    def allocate(self, now: float) -> None:
        """Offer what the allocator grants: one OFFERS event for each framework."""
        by_framework: dict[str, list[Allocation]] = {}
        for allocation in self._books.allocator.allocate(now):
            by_framework.setdefault(allocation.framework_id, []).append(allocation)
        for framework_id, allocations in by_framework.items():
            framework = self._books.frameworks[framework_id]
            encoded = self._make(framework, allocations, now)
            framework.offer_counts["sent"] += len(encoded)
            self._books.send(framework, OffersEvent(encoded))

    def _make(self, framework: Framework, allocations: Sequence[Allocation], now: float) -> list[SplicedOffer]:
        books, encode = self._books, self._encoder.encode
        agents, offers, mine, timeout = books.agents, books.offers, framework.offers, books.settings.offer_timeout
        prefix, number, encoded = f"{books.master.id}-O", books.next_offer, []
        for one in allocations:
            agent = agents[one.agent_id]
            offer_id = f"{prefix}{number}"
            number += 1
            offer = Offer(offer_id, framework.id, one.role, agent.id, one.resources)
            offers[offer_id] = mine[offer_id] = agent.offers[offer_id] = offer
            if timeout is not None:
                books.emit(SetTimer(OFFER_TIMER + offer_id, now + timeout))
            encoded.append(encode(offer, framework, agent))
        books.next_offer = number
        return encoded

    def withdraw(self, offers: Iterable[Offer]) -> None:
        """Take offers back from a framework that is gone; nobody is told."""
        for offer in list(offers):
            self.take(offer)
            self.give_back(offer, None)

    def rescind(self, offers: Iterable[Offer], why: str, now: float) -> None:
        """Take offers back and tell their frameworks."""
        for offer in list(offers):
            framework = self._books.frameworks[offer.framework_id]
            self._books.story(f"framework/{framework.id}", now, f"offer of agent {offer.agent_id} rescinded", why)
            self.take(offer)
            self.give_back(offer, None)
            framework.offer_counts["rescinded"] += 1
            self._books.send(framework, Event("RESCIND", rescind=Rescind(OfferID(offer.id))))

    def expire(self, offer_id: str, now: float) -> None:
        """The offer was held for longer than offers may be."""
        offer = self._books.offers.get(offer_id)
        if offer is not None:
            self.rescind([offer], "held for longer than --offer_timeout", now)

    def take(self, offer: Offer) -> None:
        """The offer is no more; its framework still holds the resources."""
        books = self._books
        del books.offers[offer.id]
        del books.frameworks[offer.framework_id].offers[offer.id]
        del books.agents[offer.agent_id].offers[offer.id]
        if books.settings.offer_timeout is not None:
            books.emit(CancelTimer(OFFER_TIMER + offer.id))

    def give_back(self, offer: Offer, refuse_until: float | None) -> None:
        """The resources of an offer that is no more are free; its framework may refuse them for a while."""
        if offer.resources:
            self._books.allocator.recover(
                offer.agent_id, offer.framework_id, offer.role, offer.resources, refuse_until=refuse_until
            )

    # Decline

    def decline(self, framework: Framework, call: Decline, now: float) -> None:
        """The framework doesn't want these offers; unknown ones are no error."""
        until = self.refuse_until(call.filters, now, used=False)
        for offer_id in call.offer_ids or ():
            offer = framework.offers.get(offer_id.value)
            if offer is not None:
                framework.offer_counts["declined"] += 1
                self.take(offer)
                self.give_back(offer, until)

    def refuse_until(self, filters: Filters | None, now: float, *, used: bool) -> float | None:
        """When what is given back may be offered to the same framework again.

        A framework that uses a part of an offer may have the rest at once; one that uses nothing of it
        waits for a moment even if it asks for none.
        """
        seconds = (filters or _NO_FILTERS).refuse_seconds
        if seconds is None or seconds < 0:
            seconds = DEFAULT_REFUSE_SECONDS
        if not used:
            seconds = max(seconds, self._books.settings.allocation_interval)
        return now + min(seconds, MAX_REFUSE_SECONDS) if seconds > 0 else None
