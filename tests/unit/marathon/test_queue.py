"""The launch queue: what waits, and when offers are asked for anew."""

from __future__ import annotations

import pytest

from headrace.marathon.core.events import CancelDeployment
from headrace.marathon.core.records import Condition

from .simulation import Cluster

NOWHERE = [["hostname", "LIKE", "none"]]


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
