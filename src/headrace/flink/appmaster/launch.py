"""Launch coordination: when offers are wanted, and what becomes of each.

Pure. Without demand all offers are declined and further ones suppressed. With demand they are
revived; requests that come in a burst are gathered for a moment, so that one ACCEPT serves them;
then workers are placed, and what is left of the offers is given back at once, for long: a larger
offer passes such a filter, and new demand clears it. A REVIVE may be lost, or refused by a master that is
busy: without any offer after it, it is said again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.flink.appmaster.events import SendCall, Worker
from headrace.flink.appmaster.placement import Placement, Seat, Terms, place
from headrace.flink.appmaster.waiting import WaitingBook
from headrace.kernel.core import CancelTimer, Effect, SetTimer
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import AgentID, Filters, Offer, OfferID, TaskInfo

GATHER_TIMER = "gather"
GATHER = 0.03
"""Seconds between the first request of a burst and its placing."""
REVIVE_TIMER = "revive"
REVIVE_RETRY = 30.0
"""Seconds after which a REVIVE is repeated that brought no offer."""
IDLE_REFUSAL = 3600.0
"""Seconds for which an offer is declined that came without demand."""


class LaunchCoordinator:
    """Holds offers and demand. ``refuse_seconds`` is for what is left over while there is demand."""

    def __init__(self, terms: Terms, refuse_seconds: float) -> None:
        self.waiting = WaitingBook(terms)
        self._terms = terms
        self._role = terms.role
        self._refuse_seconds = refuse_seconds
        self._offers: dict[str, Offer] = {}
        self._last_ports: dict[str, int] = {}
        self._connected = False
        self._gathering = False
        self._revived = False
        self._heard = False

    @property
    def suppressed(self) -> bool:
        """Whether the master was told that no offers are wanted."""
        return not self._revived

    def connected(self, now: float, demand: bool) -> list[Effect]:
        self._connected = True
        self.waiting.connected()
        self._offers.clear()
        self._revived = False
        return self.wanted(now) if demand else [_suppress(self._role)]

    def disconnected(self, why: str) -> list[Effect]:
        self.waiting.disconnected(why)
        self._connected = self._gathering = self._revived = False
        self._offers.clear()
        return [CancelTimer(GATHER_TIMER), CancelTimer(REVIVE_TIMER)]

    def wanted(self, now: float) -> list[Effect]:
        """There is new demand."""
        if not self._connected or self._gathering:
            return []
        self._gathering = self._revived = True
        return [*self._revive(now), SetTimer(GATHER_TIMER, now + GATHER)]

    def revive_again(self, now: float) -> list[Effect]:
        """The last REVIVE was a while ago: if no offer has come since, it is said once more."""
        return self._revive(now) if self._revived and not self._heard else []

    def _revive(self, now: float) -> list[Effect]:
        self._heard = False
        revive = scheduler.Call("REVIVE", revive=scheduler.Roles(roles=[self._role]))
        return [SendCall(revive), SetTimer(REVIVE_TIMER, now + REVIVE_RETRY)]

    def unwanted(self) -> list[Effect]:
        """The last demand is gone."""
        self.waiting.keep_only(())
        effects: list[Effect] = [CancelTimer(GATHER_TIMER), CancelTimer(REVIVE_TIMER)]
        effects += self._decline(list(self._offers), IDLE_REFUSAL)
        self._offers.clear()
        self._gathering = False
        if self._connected and self._revived:
            effects.append(_suppress(self._role))
        self._revived = False
        return effects

    def offered(self, offers: Sequence[Offer]) -> bool:
        """Keep offers; returns whether to place now."""
        self._heard = self._heard or bool(offers)
        self._offers.update((offer.id.value, offer) for offer in offers)
        return not self._gathering

    def rescinded(self, offer_id: str) -> None:
        self._offers.pop(offer_id, None)

    def gathered(self) -> None:
        """The burst is over."""
        self._gathering = False

    @property
    def offers(self) -> int:
        """How many are at hand."""
        return len(self._offers)

    def place(self, demand: Sequence[Worker], present: Sequence[Worker]) -> Placement:
        """Seats for the demand in the offers at hand; ``present`` have a seat already."""
        placement = place(demand, self._offers.values(), self._last_ports, self._terms, present)
        for seat in placement.seats:
            self._last_ports[seat.agent_id] = seat.ports[-1]
        return placement

    def settle(self, placement: Placement, task: Callable[[Seat], TaskInfo]) -> list[Effect]:
        """Accept what is used, one ACCEPT per agent, and decline the rest."""
        self._offers.clear()
        refuse = Filters(self._refuse_seconds if placement.refusals else IDLE_REFUSAL)
        effects: list[Effect] = []
        for agent_id, offer_ids in placement.used.items():
            tasks = [task(seat) for seat in placement.seats if seat.agent_id == agent_id]
            launch = scheduler.Operation("LAUNCH", launch=scheduler.Launch(tasks))
            accept = scheduler.Accept([OfferID(value) for value in offer_ids], [launch], refuse)
            effects.append(SendCall(scheduler.Call("ACCEPT", accept=accept)))
        return effects + self._decline(placement.unused, refuse.refuse_seconds or 0.0)

    def _decline(self, offer_ids: Sequence[str], seconds: float) -> list[Effect]:
        if not offer_ids:
            return []
        decline = scheduler.Decline([OfferID(value) for value in offer_ids], Filters(seconds))
        return [SendCall(scheduler.Call("DECLINE", decline=decline))]


def kill(worker_id: str, agent_id: str) -> SendCall:
    """KILL one task."""
    agent = AgentID(agent_id) if agent_id else None
    return SendCall(scheduler.Call("KILL", kill=scheduler.Kill(AgentID(worker_id), agent)))


def _suppress(role: str) -> SendCall:
    return SendCall(scheduler.Call("SUPPRESS", suppress=scheduler.Roles(roles=[role])))
