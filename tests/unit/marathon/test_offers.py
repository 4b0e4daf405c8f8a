"""Offers: when they are asked for, what is made of them, and what looking at one costs."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.marathon.core.records import Condition
from headrace.marathon.core.settings import Settings
from headrace.mesos.client import Received
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import AgentID, Attribute, FrameworkID, Offer, OfferID, Text
from headrace.mesos.resources import Resources

from .simulation import ROOM, Cluster


def test_the_first_need_revives_at_once_and_idleness_suppresses() -> None:
    it = Cluster()
    assert it.wants_offers is False
    it.create("/a")
    assert [call.type for call in it.calls][-1] == "REVIVE"
    it.offer()
    assert [call.type for call in it.calls[-3:]] == ["REVIVE", "ACCEPT", "SUPPRESS"]


def test_an_offer_costs_the_same_however_large_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances are counted by where they are, not looked through for each offer."""
    it = Cluster()
    it.create("/a", instances=150, constraints=[["hostname", "UNIQUE"], ["rack", "GROUP_BY"]])
    for number in range(120):
        it.offer(f"host-{number}", rack=f"rack-{number % 3}")
    assert len(it.alive()) == 120
    looks: list[str] = []
    of_app = it.core.books.of_app

    def watched(app_id: str) -> Any:
        looks.append(app_id)
        return of_app(app_id)

    monkeypatch.setattr(it.core.books, "of_app", watched)
    it.core.handle(offers_of(("host-7", "rack-0"), ("host-121", "rack-0"), ("host-122", "rack-1")), it.now)
    assert looks == []
    assert sum(one.condition is Condition.PROVISIONED for one in of_app("/a")) == 122
    it.core.books.validate()


def test_the_offers_that_are_remembered_are_bounded() -> None:
    it = Cluster()
    it.create("/a", cpus=64)
    for first in range(0, 1200, 100):
        it.core.handle(offers_of(*((f"host-{first + number}", "r") for number in range(100))), it.now)
    attempt = it.core.queue.attempts["/a"]
    assert len(attempt.offers) == len(attempt.by_agent) == 1000
    assert "agent-host-1199" in attempt.offers
    assert "agent-host-0" not in attempt.offers


def offers_of(*places: tuple[str, str]) -> Received:
    """An event with offers of these hosts, each with a rack."""
    made = [
        Offer(
            OfferID(f"offer-{host}"),
            FrameworkID("framework-1"),
            AgentID(f"agent-{host}"),
            host,
            resources=ROOM.messages("*"),
            attributes=[Attribute("rack", "TEXT", text=Text(rack))],
        )
        for host, rack in places
    ]
    return Received(scheduler.Event("OFFERS", offers=scheduler.Offers(made)))


def test_unique_hosts_wait_for_another_host_and_say_why() -> None:
    it = Cluster()
    it.create("/a", instances=2, constraints=[["hostname", "UNIQUE"]])
    it.offer("host-1")
    it.offer("host-1")
    assert len(it.alive()) == 1
    assert it.wants_offers
    (summary,) = it.core.queue.attempts.values()
    assert summary.refusals["UnfulfilledConstraint"] == 2
    assert "UNIQUE" in it.core.books.stories.of("/a")[-1].why
    it.offer("host-2")
    assert len(it.alive()) == 2


def test_unused_offers_are_declined_for_long() -> None:
    it = Cluster()
    it.offer()
    assert it.calls[-1].decline is not None
    assert it.calls[-1].decline.filters is not None
    assert it.calls[-1].decline.filters.refuse_seconds == 120.0


def test_an_offer_is_not_overused() -> None:
    it = Cluster(Settings(max_instances_per_offer=100))
    it.create("/a", instances=10, cpus=1)
    it.offer(room=Resources.of(cpus=3.5, mem=8192) + Resources(ranges={"ports": ((31000, 31999),)}))
    assert len(it.alive()) == 3
    ports = [port for one in it.instances("/a") for port in one.ports]
    assert len(set(ports)) == 3


def test_several_tasks_go_into_one_accept() -> None:
    it = Cluster()
    it.create("/a", instances=12)
    it.calls.clear()
    it.offer()
    accepts = [call for call in it.calls if call.accept is not None]
    assert len(accepts) == 1
    assert len(it.alive()) == 12
