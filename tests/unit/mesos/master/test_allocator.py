from __future__ import annotations

from typing import ClassVar

import pytest

from headrace.mesos.master.allocator import Allocation, Allocator, Filter
from headrace.mesos.master.allocator.cycle import Cycle
from headrace.mesos.master.allocator.model import Agent, Client
from headrace.mesos.resources import EMPTY, Resources

HOUR = 3600.0
WHOLE = Resources({"cpus": 4000, "mem": 4_096_000, "disk": 10_000_000}, {"ports": ((31000, 32000),)})
HALF = Resources({"cpus": 2000, "mem": 2_048_000, "disk": 5_000_000}, {"ports": ((31000, 31500),)})


def make(*frameworks: str, agents: int = 1, role: str | None = None) -> Allocator:
    """Agents s1, s2, … and frameworks in a role of their own name, or all in ``role``."""
    allocator = Allocator()
    for number in range(1, agents + 1):
        allocator.add_agent(f"s{number}", WHOLE, {})
    for framework in frameworks:
        allocator.add_framework(framework, [role or framework])
    return allocator


def who(allocations: list[Allocation]) -> list[tuple[str, str]]:
    return [(allocation.framework_id, allocation.agent_id) for allocation in allocations]


def decline(allocator: Allocator, allocations: list[Allocation], until: float | None = None) -> None:
    for a in allocations:
        allocator.recover(a.agent_id, a.framework_id, a.role, a.resources, refuse_until=until)


class TestDominantResourceFairness:
    """The example of the paper: 9 CPU and 18 GB; a task of A takes <1, 4>, one of B <3, 1>."""

    TASKS: ClassVar = {"A": Resources.of(cpus=1, mem=4096), "B": Resources.of(cpus=3, mem=1024)}
    CLUSTER = Resources.of(cpus=9, mem=18 * 1024)

    def run(self, allocator: Allocator, tasks: dict[str, Resources]) -> list[str]:
        """Each takes one task out of an offer and returns the rest, until nobody can take more."""
        allocator.add_agent("s1", self.CLUSTER, {})
        launched = []
        while allocations := allocator.allocate(0):
            (offer,) = allocations
            task = tasks[offer.framework_id]
            if offer.resources.contains(task):
                launched.append(offer.framework_id)
                decline(allocator, [Allocation(offer.framework_id, offer.role, "s1", offer.resources - task)])
            else:
                decline(allocator, allocations, HOUR)
            allocator.validate()
        return launched

    def test_sequence_of_table_1(self) -> None:
        allocator = make("B", "A", agents=0)
        assert self.run(allocator, self.TASKS) == ["B", "A", "A", "B", "A"]
        assert allocator.allocated("A") == Resources.of(cpus=3, mem=12 * 1024)
        assert allocator.allocated("B") == Resources.of(cpus=6, mem=2 * 1024)
        assert allocator.share("A") == allocator.share("B") == pytest.approx(2 / 3)

    def test_shares_after_each_step_of_table_1(self) -> None:
        allocator = make("B", "A", agents=0)
        allocator.add_agent("s1", self.CLUSTER, {})
        shares = []
        for _ in range(5):
            (offer,) = allocator.allocate(0)
            decline(
                allocator,
                [Allocation(offer.framework_id, offer.role, "s1", offer.resources - self.TASKS[offer.framework_id])],
            )
            shares.append((round(allocator.share("A") * 9), round(allocator.share("B") * 9)))
        assert shares == [(0, 3), (2, 3), (4, 3), (4, 6), (6, 6)]

    def test_other_tie_ends_the_same(self) -> None:
        assert self.run(make("A", "B", agents=0), self.TASKS) == ["A", "B", "A", "B", "A"]

    def test_two_frameworks_of_one_role_share_it_the_same_way(self) -> None:
        assert self.run(make("B", "A", agents=0, role="x"), self.TASKS) == ["B", "A", "A", "B", "A"]

    def test_weights(self) -> None:
        allocator = make("B", "A", agents=0)
        allocator.update_weight("A", 2)
        assert sorted(self.run(allocator, self.TASKS)) == ["A", "A", "A", "B", "B"]

    def test_weights_with_small_tasks_come_near_the_divisible_optimum(self) -> None:
        allocator = make("B", "A", agents=0)
        allocator.update_weight("A", 2)
        tasks = {"A": Resources.of(cpus=0.01, mem=40.96), "B": Resources.of(cpus=0.03, mem=10.24)}
        launched = self.run(allocator, tasks)
        assert launched.count("A") / 100 == pytest.approx(54 / 13, abs=0.02)
        assert launched.count("B") / 100 == pytest.approx(18 / 13, abs=0.02)


class TestOrder:
    def test_agents_go_round_equal_roles(self) -> None:
        assert who(make("f", "g", agents=4).allocate(0)) == [("f", "s1"), ("g", "s2"), ("f", "s3"), ("g", "s4")]

    def test_roles_before_frameworks(self) -> None:
        allocator = Allocator()
        for number in range(4):
            allocator.add_agent(f"s{number}", WHOLE, {})
        allocator.add_framework("f", ["x"])
        allocator.add_framework("g", ["x"])
        allocator.add_framework("h", ["y"])
        assert [framework for framework, _ in who(allocator.allocate(0))] == ["f", "h", "g", "h"]

    def test_weight_of_a_role(self) -> None:
        allocator = make("f", "g", agents=6)
        allocator.update_weight("g", 2)
        got = [framework for framework, _ in who(allocator.allocate(0))]
        assert (got.count("f"), got.count("g")) == (2, 4)
        assert allocator.weight("g") == 2
        assert allocator.share("f") == allocator.share("g") == pytest.approx(1 / 3)

    def test_weight_changes_the_turn_at_once(self) -> None:
        allocator = make("f", "g", agents=4)
        allocator.allocate(0)
        allocator.recover("s1", "f", "f", HALF)
        allocator.recover("s2", "g", "g", WHOLE)
        allocator.update_weight("f", 100)
        assert who(allocator.allocate(0)) == [("f", "s1"), ("f", "s2")]

    def test_among_equals_whoever_was_allocated_to_less(self) -> None:
        allocator = make("f", "g")
        for expected in ("f", "g", "f"):
            (offer,) = allocator.allocate(0)
            assert offer.framework_id == expected
            decline(allocator, [offer])

    def test_shuffle_decides_the_order_of_agents(self) -> None:
        allocator = Allocator(shuffle=lambda ids: ids.reverse())
        for number in range(3):
            allocator.add_agent(f"s{number}", WHOLE, {})
        allocator.add_framework("f", ["x"])
        assert who(allocator.allocate(0)) == [("f", "s2"), ("f", "s1"), ("f", "s0")]

    def test_shares_follow_the_size_of_the_cluster(self) -> None:
        allocator = Allocator()
        allocator.add_agent("s1", Resources.of(cpus=10, mem=1000), {("f", "f"): Resources.of(cpus=1)})
        allocator.add_agent("s2", Resources.of(cpus=10, mem=1000), {("g", "g"): Resources.of(mem=150)})
        allocator.add_framework("f", ["f"])
        allocator.add_framework("g", ["g"])
        assert (allocator.share("f"), allocator.share("g")) == (0.05, 0.075)
        allocator.add_agent("s3", Resources.of(mem=8000), {})
        allocator.deactivate_agent("s1")
        allocator.deactivate_agent("s3")
        assert who(allocator.allocate(0)) == [("g", "s2")]

    def test_all_kinds_count_and_ports_do_not(self) -> None:
        allocator = Allocator()
        allocator.add_agent(
            "s1",
            Resources({"cpus": 10_000, "disk": 10_000, "gpus": 4000}, {"ports": ((1, 10),)}),
            {("f", "f"): Resources.of(cpus=1, disk=2, gpus=3), ("g", "g"): Resources(ranges={"ports": ((1, 9),)})},
        )
        assert allocator.share("f") == 0.75
        assert allocator.share("g") == 0
        assert allocator.total == Resources.of(cpus=10, disk=10, gpus=4)


class TestOffers:
    def test_an_offer_is_everything_free_and_is_made_once(self) -> None:
        allocator = make("f")
        assert allocator.allocate(0) == [Allocation("f", "f", "s1", WHOLE)]
        assert allocator.available("s1") == EMPTY
        assert allocator.allocate(0) == []

    def test_what_a_task_leaves_is_offered_and_its_end_too(self) -> None:
        allocator = make("f")
        allocator.allocate(0)
        allocator.recover("s1", "f", "f", WHOLE - HALF)
        assert allocator.allocate(0) == [Allocation("f", "f", "s1", WHOLE - HALF)]
        allocator.recover("s1", "f", "f", HALF)
        assert allocator.allocate(0) == [Allocation("f", "f", "s1", HALF)]
        assert allocator.held("s1") == {("f", "f"): WHOLE}

    def test_crumbs_are_not_offered(self) -> None:
        allocator = make("f")
        allocator.allocate(0)
        allocator.recover("s1", "f", "f", Resources.of(cpus=0.009, mem=31, disk=500).with_ports([31000]))
        assert allocator.allocate(0) == []
        assert "less than is worth an offer" in allocator.explain("f", "f", "s1")
        allocator.recover("s1", "f", "f", Resources.of(mem=1))
        assert len(allocator.allocate(0)) == 1

    def test_least_offer_can_be_given(self) -> None:
        disk = Resources.of(disk=1)
        for least, offered in (((), 1), ((Resources.of(cpus=1), disk), 1), ((Resources.of(cpus=1),), 0)):
            allocator = Allocator(min_allocatable=least)
            allocator.add_agent("s1", disk, {})
            allocator.add_framework("f", ["x"])
            assert len(allocator.allocate(0)) == offered

    def test_nothing_is_looked_at_without_a_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        allocator = make("f", "g", agents=3)
        decline(allocator, allocator.allocate(0), HOUR)
        decline(allocator, allocator.allocate(0), HOUR)
        assert allocator.allocate(0) == []
        looked_at: list[str] = []
        taker = Cycle._taker

        def watched(self: Cycle, agent: Agent, now: float, changed: bool) -> Client | None:
            looked_at.append(agent.id)
            return taker(self, agent, now, changed)

        monkeypatch.setattr(Cycle, "_taker", watched)
        assert allocator.allocate(1) == []
        assert looked_at == []
        allocator.deactivate_agent("s2")
        allocator.activate_agent("s2")
        assert allocator.allocate(2) == []
        assert looked_at == ["s2"]


class TestRefusals:
    def test_refused_until(self) -> None:
        allocator = make("f")
        decline(allocator, allocator.allocate(0), 5.0)
        assert allocator.allocate(0) == []
        assert allocator.filters("s1") == [Filter("f", "f", WHOLE, 5.0)]
        assert allocator.next_expiry() == 5.0
        assert allocator.allocate(4.9) == []
        assert who(allocator.allocate(5.0)) == [("f", "s1")]
        assert allocator.next_expiry() is None
        assert allocator.filters("s1") == []

    def test_goes_to_the_next_framework(self) -> None:
        allocator = make("f", "g")
        decline(allocator, allocator.allocate(0), HOUR)
        assert who(allocator.allocate(0)) == [("g", "s1")]
        assert allocator.next_expiry() is None

    def test_more_than_was_refused_is_offered(self) -> None:
        allocator = make("f")
        allocator.allocate(0)
        allocator.recover("s1", "f", "f", HALF, refuse_until=HOUR)
        assert allocator.allocate(0) == []
        allocator.recover("s1", "f", "f", Resources.of(cpus=1))
        assert allocator.allocate(0) == [Allocation("f", "f", "s1", HALF + Resources.of(cpus=1))]

    def test_fewer_than_was_refused_are_not(self) -> None:
        allocator = make("f", "g")
        decline(allocator, allocator.allocate(0), HOUR)
        allocator.allocate(0)
        allocator.recover("s1", "g", "g", HALF, refuse_until=HOUR)
        assert allocator.allocate(0) == []

    def test_a_refusal_covers_again_when_less_is_free(self) -> None:
        allocator = make("f", "g")
        (offer,) = allocator.allocate(0)
        allocator.recover("s1", "f", "f", HALF, refuse_until=HOUR)
        allocator.suppress("g", [])
        assert allocator.allocate(0) == []
        allocator.recover("s1", "f", "f", offer.resources - HALF)
        (offer,) = allocator.allocate(0)
        assert offer.resources == WHOLE
        allocator.recover("s1", "f", "f", HALF)
        assert allocator.allocate(0) == []

    def test_only_for_the_role_that_refused(self) -> None:
        allocator = Allocator()
        allocator.add_agent("s1", WHOLE, {})
        allocator.add_framework("f", ["x", "y"])
        decline(allocator, allocator.allocate(0), HOUR)
        (offer,) = allocator.allocate(0)
        assert offer.role == "y"

    def test_the_longer_of_two_counts(self) -> None:
        allocator = make("f")
        allocator.allocate(0)
        allocator.recover("s1", "f", "f", HALF, refuse_until=50)
        allocator.recover("s1", "f", "f", WHOLE - HALF, refuse_until=9)
        allocator.validate()
        (offer,) = allocator.allocate(0)
        decline(allocator, [offer], 20)
        assert allocator.allocate(10) == []
        assert {(refusal.resources, refusal.until) for refusal in allocator.filters("s1")} == {(HALF, 50), (WHOLE, 20)}
        assert allocator.next_expiry() == 20
        assert allocator.allocate(20) == [offer]

    def test_a_wider_and_longer_refusal_replaces_others(self) -> None:
        allocator = make("f")
        allocator.allocate(0)
        allocator.recover("s1", "f", "f", HALF, refuse_until=5)
        allocator.recover("s1", "f", "f", WHOLE - HALF, refuse_until=5)
        decline(allocator, allocator.allocate(0), 5)
        assert allocator.filters("s1") == [Filter("f", "f", WHOLE, 5)]

    def test_refusal_of_the_past_is_none(self) -> None:
        allocator = make("f")
        decline(allocator, allocator.allocate(10), 10)
        assert who(allocator.allocate(10)) == [("f", "s1")]

    def test_refusal_without_end(self) -> None:
        allocator = make("f")
        decline(allocator, allocator.allocate(0), float("inf"))
        assert allocator.allocate(1e12) == []
        assert allocator.next_expiry() is None
        assert "until further notice" in allocator.explain("f", "f", "s1")

    def test_revive(self) -> None:
        allocator = make("f", "g", agents=2)
        decline(allocator, allocator.allocate(0), HOUR)
        decline(allocator, allocator.allocate(0), HOUR)
        assert allocator.allocate(0) == []
        allocator.revive("g", [])
        assert who(allocator.allocate(0)) == [("g", "s1"), ("g", "s2")]
        assert [refusal.framework_id for refusal in allocator.filters("s1")] == ["f"]

    def test_several_newcomers_share_what_others_refused(self) -> None:
        for newcomers in (2, 8):
            allocator = make("f", agents=4)
            decline(allocator, allocator.allocate(0), HOUR)
            assert allocator.allocate(0) == []
            for number in range(newcomers):
                allocator.add_framework(f"n{number}", [f"n{number}"])
            got = [framework for framework, _ in who(allocator.allocate(0))]
            assert got == [f"n{number % newcomers}" for number in range(4)]

    def test_newcomers_come_in_the_order_of_their_roles_first(self) -> None:
        allocator = make("f", agents=2)
        allocator.add_agent("s3", WHOLE, {("g", "g"): HALF, ("h", "f"): WHOLE - HALF})
        decline(allocator, allocator.allocate(0), HOUR)
        assert allocator.allocate(0) == []
        allocator.add_framework("i", ["f"])
        allocator.add_framework("g", ["g", "k"])
        allocator.update_weight("g", 10)
        assert [(a.framework_id, a.role) for a in allocator.allocate(0)] == [("g", "k"), ("g", "g")]

    def test_first_of_several_refusals_to_end(self) -> None:
        allocator = make("f", "g", "h")
        for until in (20, 10, 30):
            decline(allocator, allocator.allocate(0), until)
        assert allocator.allocate(0) == []
        assert allocator.next_expiry() == 10
        assert who(allocator.allocate(10)) == [("g", "s1")]

    def test_expiries_do_not_pile_up(self) -> None:
        allocator = make("f")
        for number in range(1000):
            decline(allocator, allocator.allocate(number), number + HOUR)
            assert allocator.allocate(number) == []
            allocator.revive("f", [])
        assert len(allocator._cycle.wakes._times) < 100


class TestWhoIsOffered:
    def test_suppressed(self) -> None:
        allocator = make("f")
        allocator.suppress("f", ["f"])
        assert allocator.allocate(0) == []
        assert "suppressed" in allocator.explain("f", "f", "s1")
        allocator.revive("f", ["f"])
        assert who(allocator.allocate(0)) == [("f", "s1")]

    def test_suppressed_from_the_start(self) -> None:
        allocator = make()
        allocator.add_framework("f", ["x", "y"], suppressed=["x"])
        assert [offer.role for offer in allocator.allocate(0)] == ["y"]

    def test_suppressing_keeps_what_is_offered_and_refused(self) -> None:
        allocator = make("f", agents=2)
        first, second = allocator.allocate(0)
        decline(allocator, [first], HOUR)
        allocator.suppress("f", [])
        assert allocator.held("s2") == {("f", "f"): second.resources}
        allocator.update_framework("f", ["f"], [])
        assert allocator.allocate(0) == []
        assert allocator.next_expiry() == HOUR

    def test_deactivated_framework(self) -> None:
        allocator = make("f")
        decline(allocator, allocator.allocate(0), HOUR)
        allocator.deactivate_framework("f")
        assert allocator.allocate(0) == []
        assert allocator.filters("s1") == []
        assert "inactive" in allocator.explain("f", "f", "s1")
        allocator.activate_framework("f")
        assert who(allocator.allocate(0)) == [("f", "s1")]

    def test_recovery_for_a_deactivated_framework_sets_no_filter(self) -> None:
        allocator = make("f")
        offers = allocator.allocate(0)
        allocator.deactivate_framework("f")
        decline(allocator, offers, HOUR)
        allocator.activate_framework("f")
        assert who(allocator.allocate(0)) == [("f", "s1")]

    def test_roles_of_a_framework_change(self) -> None:
        allocator = Allocator()
        allocator.add_agent("s1", WHOLE, {})
        allocator.add_framework("f", ["x"])
        decline(allocator, allocator.allocate(0), HOUR)
        allocator.update_framework("f", ["y"], [])
        assert [offer.role for offer in allocator.allocate(0)] == ["y"]
        assert allocator.roles() == ["y"]

    def test_deactivated_agent(self) -> None:
        allocator = make("f", agents=2)
        allocator.deactivate_agent("s1")
        assert who(allocator.allocate(0)) == [("f", "s2")]
        assert "deactivated" in allocator.explain("f", "f", "s1")
        allocator.activate_agent("s1")
        assert who(allocator.allocate(0)) == [("f", "s1")]

    def test_agent_removed_while_offered(self) -> None:
        allocator = make("f")
        offers = allocator.allocate(0)
        allocator.remove_agent("s1")
        assert allocator.share("f") == 0
        decline(allocator, offers, HOUR)
        allocator.validate()
        allocator.add_agent("s1", WHOLE, {})
        assert who(allocator.allocate(0)) == [("f", "s1")]


class TestFailover:
    def test_framework_removed_and_added_keeps_what_it_holds(self) -> None:
        allocator = make("f", "g")
        allocator.allocate(0)
        allocator.recover("s1", "f", "f", WHOLE - HALF)
        allocator.remove_framework("f")
        allocator.validate()
        assert allocator.allocated("f") == Resources.of(cpus=2, mem=2048, disk=5000)
        allocator.add_framework("f", ["f"])
        assert who(allocator.allocate(0)) == [("g", "s1")]
        allocator.recover("s1", "f", "f", HALF)
        assert allocator.allocate(0) == [Allocation("f", "f", "s1", HALF)]

    def test_agent_reports_before_its_framework_is_back(self) -> None:
        allocator = Allocator()
        allocator.add_agent("s1", WHOLE, {("f", "x"): HALF})
        assert allocator.share("x") == 0.5
        allocator.add_framework("f", ["x"], used={"s1": {"x": HALF}, "gone": {"x": HALF}})
        assert allocator.share("x", "f") == 0.5
        assert allocator.allocate(0) == [Allocation("f", "x", "s1", WHOLE - HALF)]

    def test_what_a_framework_holds_replaces_what_was_reported(self) -> None:
        allocator = Allocator()
        allocator.add_agent("s1", WHOLE, {("f", "x"): WHOLE})
        allocator.add_framework("f", ["x"], used={"s1": {"x": HALF}})
        assert allocator.available("s1") == WHOLE - HALF
        assert len(allocator.allocate(0)) == 1

    def test_a_gone_framework_is_forgotten_when_all_is_back(self) -> None:
        allocator = make("f")
        offers = allocator.allocate(0)
        allocator.remove_framework("f")
        decline(allocator, offers, HOUR)
        assert allocator.roles() == []
        assert allocator.available("s1") == WHOLE
        assert allocator.filters("s1") == []

    def test_an_agent_that_uses_more_than_it_has(self) -> None:
        allocator = Allocator()
        used = {("f", "x"): Resources.of(cpus=3), ("g", "x"): Resources.of(cpus=3)}
        allocator.add_agent("s1", Resources.of(cpus=4), used)
        allocator.add_framework("f", ["x"])
        assert allocator.available("s1") == EMPTY
        allocator.recover("s1", "g", "x", Resources.of(cpus=3))
        assert allocator.allocate(0) == [Allocation("f", "x", "s1", Resources.of(cpus=1))]


class TestMistakes:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda a: a.add_framework("f", ["x"]), "framework f is already known"),
            (lambda a: a.add_agent("s1", WHOLE, {}), "agent s1 is already known"),
            (lambda a: a.remove_framework("g"), "framework g is not known"),
            (lambda a: a.remove_agent("s9"), "agent s9 is not known"),
            (lambda a: a.revive("f", ["f", "x"]), "framework f is not subscribed to role 'x'"),
            (lambda a: a.suppress("f", ["f", "x"]), "framework f is not subscribed to role 'x'"),
            (lambda a: a.update_weight("f", 0), "the weight of role 'f' is 0"),
            (lambda a: a.update_weight("f", float("nan")), "the weight of role 'f' is nan"),
            (lambda a: a.recover("s1", "f", "f", HALF), "it holds nothing"),
            (lambda a: a.recover("s1", "g", "f", HALF), "framework g can't give back cpus:2|framework g can't"),
        ],
    )
    def test_raises_and_changes_nothing(self, call: object, message: str) -> None:
        allocator = make("f")
        assert callable(call)
        with pytest.raises(ValueError, match=message):
            call(allocator)
        allocator.validate()
        assert who(allocator.allocate(0)) == [("f", "s1")]

    def test_more_than_is_held_can_not_come_back(self) -> None:
        allocator = make("f")
        allocator.allocate(0)
        allocator.recover("s1", "f", "f", HALF)
        with pytest.raises(ValueError, match="it holds ports"):
            allocator.recover("s1", "f", "f", WHOLE)
        assert allocator.available("s1") == HALF


class TestExplain:
    def test_reasons(self) -> None:
        allocator = make("f", "g")
        assert allocator.explain("f", "f", "s9") == "the agent is not registered"
        assert allocator.explain("h", "f", "s1") == "the framework is not registered"
        assert allocator.explain("f", "g", "s1") == "the framework is not subscribed to role 'g'"
        assert "candidate for the next allocation" in allocator.explain("f", "f", "s1")
        allocator.allocate(0)
        assert allocator.explain("g", "g", "s1") == "no free resources: used by or offered to f ('f')"
        allocator.recover("s1", "f", "f", HALF, refuse_until=60.5)
        assert allocator.explain("f", "f", "s1").endswith("until 1970-01-01T00:01:00.500+00:00")
        assert str(HALF) in allocator.explain("f", "f", "s1")

    def test_an_agent_without_resources(self) -> None:
        allocator = make("f", agents=0)
        allocator.add_agent("s1", EMPTY, {})
        assert allocator.explain("f", "f", "s1") == "no free resources: the agent has none"
