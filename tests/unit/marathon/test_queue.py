"""The launch queue: what waits, and when offers are asked for anew."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.marathon.api.views.embeds import Embeds
from headrace.marathon.api.views.queue import queue
from headrace.marathon.core.catalog import _successor
from headrace.marathon.core.events import CancelDeployment, ChangeGroup
from headrace.marathon.core.records import Condition
from headrace.mesos.resources import Resources

from .simulation import ORIGIN, ROOM, Cluster

NOWHERE = [["hostname", "LIKE", "none"]]


def app(app_id: str, **fields: Any) -> dict[str, Any]:
    return {"id": app_id, "cmd": "old", "cpus": 4, "mem": 16, **fields}


def put(it: Cluster, *apps: dict[str, Any]) -> None:
    """All at once, which begin to wait together."""
    event = ChangeGroup(0, "/", {"apps": [*apps]}, create=False, dry_run=False, force=True, origin=ORIGIN)
    assert it.ask(lambda to: msgspec.structs.replace(event, to=to)).status == 200


def summary(it: Cluster, app_id: str) -> dict[str, Any]:
    items = {one["app"]["id"]: one for one in queue(it.core, it.now, Embeds()).body["queue"]}
    found: dict[str, Any] = items[app_id]["processedOffersSummary"]
    return found


@pytest.mark.parametrize("change", [{"cpus": 100}, {"constraints": NOWHERE}], ids=["cpus", "constraints"])
@pytest.mark.parametrize("dependencies", [[], ["/c"]], ids=["now", "later"])
def test_a_change_of_one_app_is_nothing_to_those_that_wait_like_it(
    change: dict[str, Any], dependencies: list[str]
) -> None:
    it = Cluster()
    put(it, app("/a"), app("/b"), app("/d", instances=3))
    put(it, app("/a", dependencies=dependencies, **change), app("/c", cpus=1000), app("/b"), app("/d", instances=3))
    it.offer()
    for refusals in (it.core.queue.attempts[one].refusals for one in ("/b", "/d") if one in it.core.queue.attempts):
        assert refusals.keys() <= {"InsufficientCpus"}
    (why,) = it.core.explainer.waiting(it.core.books.specs["/d"], it.now)
    assert (why.needed, why.largest) == (4, 0), "what its own definition needs"
    it.offer("host-2")
    it.offer("host-3")
    assert it.instances("/b")[0].condition is Condition.PROVISIONED
    assert all(one.condition is Condition.PROVISIONED for one in it.instances("/d"))


def test_what_waits_stays_what_it_was_until_its_step() -> None:
    it = Cluster()
    put(it, app("/a", instances=2))
    put(it, app("/a", instances=2, cmd="new", mem=32, dependencies=["/c"]), app("/c", cpus=100))
    it.offer()
    it.run_all()
    assert it.commands("/a") == ["old", "old"]
    it.crash()
    task_id = min(it.alive())
    it.status(task_id, "TASK_FAILED")
    before = it.core.queue.delayed_until("/a", it.now)
    assert before is not None, "launches of the old version are delayed, too"
    it.advance(before - it.now)
    it.offer()
    it.run_all()
    assert it.commands("/a") == ["old", "old"]
    put(it, app("/a", instances=2, cmd="new", mem=32, dependencies=["/c"]), app("/c", cpus=1))
    it.settle()
    assert it.commands("/a") == ["new", "new"]
    assert it.commands("/c") == ["old"]


def test_what_waits_is_what_the_app_is_when_its_deployment_is_given_up() -> None:
    it = Cluster()
    put(it, app("/a"))
    put(it, app("/a", cmd="new", role="*", dependencies=["/c"]), app("/c", cpus=100))
    (plan,) = it.core.deployments.running
    it.ask(lambda to: CancelDeployment(to, plan, True))
    it.offer()
    assert it.commands("/a") == ["new"]


def test_both_versions_that_wait_get_what_suits_them() -> None:
    """A change that has replaced one under way, and whose step comes later, leaves instances of two versions."""
    it = Cluster()
    put(it, app("/a"))
    it.settle()
    put(it, app("/a", cpus=1, cmd="smaller"))
    put(it, app("/a", cpus=1, cmd="newest", dependencies=["/c"]), app("/c", cpus=1000))
    it.status(min(it.alive()), "TASK_FAILED")
    it.advance(10)
    it.offer(room=ROOM - Resources.of(cpus=6))
    assert it.commands("/a") == ["smaller"]
    it.offer()
    assert it.commands("/a") == ["old", "smaller"]


def test_each_app_counts_its_own_offers() -> None:
    it = Cluster()
    put(it, *(app(f"/a{number}") for number in range(5)), app("/large", instances=3))
    it.offer()
    for app_id in ("/a2", "/a3", "/a4", "/large"):
        found = summary(it, app_id)
        assert (found["processedOffersCount"], found["unusedOffersCount"]) == (1, 1), app_id
        assert "lastUsedOfferAt" not in found
    it.offer("host-2")
    it.offer("host-3")
    found = summary(it, "/large")
    assert found["processedOffersCount"] == found["unusedOffersCount"] + 1, "one of its instances is launched"
    assert found["lastUsedOfferAt"] == found["lastUnusedOfferAt"]


def test_an_app_that_begins_to_wait_later_has_no_part_in_what_was_refused_before() -> None:
    it = Cluster()
    put(it, app("/a", cpus=100))
    it.offer()
    put(it, app("/a", cpus=100), app("/b", cpus=100))
    it.offer()
    assert summary(it, "/a")["processedOffersCount"] == 2
    assert summary(it, "/b")["processedOffersCount"] == 1


@pytest.mark.parametrize(
    ("version", "next_one"),
    [
        ("2026-11-21T10:00:00.000Z", "2026-11-21T10:00:00.001Z"),
        ("2026-11-21T23:59:59.999Z", "2026-11-22T00:00:00.000Z"),
        ("2024-02-28T23:59:59.999Z", "2024-02-29T00:00:00.000Z"),
        ("2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00.000Z"),
    ],
)
def test_versions_keep_to_the_calendar(version: str, next_one: str) -> None:
    assert _successor(version) == next_one


@pytest.mark.parametrize("how", ["reverted", "forced"])
def test_what_waits_for_something_else_now_asks_for_offers_again(how: str) -> None:
    """Offers that were refused for the sake of the old definition suit the new one."""
    it = Cluster()
    it.create("/a", instances=2, upgradeStrategy={"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0})
    it.settle()
    it.update("/a", constraints=NOWHERE)
    it.end_killed()
    it.offer()
    attempt = it.core.queue.attempts["/a"]
    assert attempt.refusals["UnfulfilledConstraint"] == 1
    it.wanted_roles.clear()  # the master has an answer for each of its offers
    if how == "forced":
        it.update("/a", constraints=[], force=True)
    else:
        (plan,) = it.core.deployments.running
        it.ask(lambda to: CancelDeployment(to, plan, False))
    assert it.core.queue.attempts["/a"].processed == 0, "its reasons were about the old definition"
    assert it.wants_offers
    it.settle()
    assert [one.condition for one in it.instances("/a")] == [Condition.RUNNING] * 2
