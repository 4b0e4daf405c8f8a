"""Quota: guarantees first, headroom, limits, chopping, and what is looked at again when there is more."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from headrace.mesos.master.allocator import Allocation, Allocator
from headrace.mesos.resources import EMPTY, Reservation, Resources, Tag

HOUR = 3600.0
AGENT = Resources({"cpus": 4000, "mem": 4_096_000}, {"ports": ((31000, 31009),)})
RESERVED = Resources.of(cpus=2).tagged(Tag((Reservation("a"),)))


def make(agents: int, *roles: str, total: Resources = AGENT) -> Allocator:
    """Equal agents, and in each role a framework of that name."""
    allocator = Allocator()
    for number in range(1, agents + 1):
        allocator.add_agent(f"s{number}", total, {})
    for role in roles:
        allocator.add_framework(role, [role])
    return allocator


def cycle(allocator: Allocator, now: float = 0) -> list[Allocation]:
    allocations = allocator.allocate(now)
    allocator.validate()
    return allocations


def cpus(allocations: list[Allocation]) -> dict[str, float]:
    got: dict[str, float] = {}
    for one in allocations:
        got[one.role] = got.get(one.role, 0) + one.resources.quantity("cpus") / 1000
    return got


def decline(allocator: Allocator, allocations: list[Allocation], until: float | None = None) -> None:
    for a in allocations:
        allocator.recover(a.agent_id, a.framework_id, a.role, a.resources, refuse_until=until)


class TestLimits:
    def test_an_offer_is_chopped_to_the_limit(self) -> None:
        allocator = make(1, "a")
        allocator.update_quota("a", {}, {"cpus": 3, "mem": 1024})
        chopped = Resources({"cpus": 3000, "mem": 1_024_000}, AGENT.ranges)
        assert cycle(allocator) == [Allocation("a", "a", "s1", chopped)]
        assert allocator.available("s1") == Resources.of(cpus=1, mem=3072)
        assert not allocator.over_limit("a")

    def test_what_is_chopped_off_goes_to_others(self) -> None:
        allocator = make(2, "a", "b")
        allocator.update_quota("a", {}, {"cpus": 3})
        got = cpus(cycle(allocator))
        assert got == {"a": 3, "b": 5}
        assert allocator.available("s1").scalars.get("cpus", 0) == 0

    @pytest.mark.parametrize(
        ("limits", "expected"),
        [({"cpus": 0, "mem": 0}, 0), ({"cpus": 0}, 0), ({"cpus": 6}, 6), ({"disk": 0}, 16), ({}, 16)],
    )
    def test_never_more_than_the_limit(self, limits: Mapping[str, float], expected: float) -> None:
        allocator = make(4, "a")
        allocator.update_quota("a", {}, limits)
        assert cpus(cycle(allocator)).get("a", 0) == expected

    def test_roles_below_count_and_are_limited_too(self) -> None:
        allocator = make(3, "a", "a/x", "a/y")
        allocator.update_quota("a", {}, {"cpus": 5})
        got = cpus(cycle(allocator))
        assert sum(got.values()) == 5
        assert allocator.quota_consumption()["a"].scalar("cpus") == 5

    def test_reservations_count_whether_they_are_held_or_not(self) -> None:
        allocator = make(2, "a", total=AGENT + RESERVED)
        allocator.update_quota("a", {}, {"cpus": 5})
        got = [one.resources for one in cycle(allocator)]
        assert sum(got, EMPTY).quantity("cpus") == 5000
        assert sum(one.scalars.get("cpus", 0) for one in got) == 1000
        assert allocator.quota_consumption()["a"].scalar("cpus") == 5

    def test_reserving_what_is_held_changes_nothing(self) -> None:
        allocator = make(1, "a")
        allocator.update_quota("a", {}, {"cpus": 3})
        cycle(allocator)
        allocator.update_allocation("s1", "a", "a", Resources.of(cpus=2), RESERVED)
        allocator.validate()
        assert allocator.quota_consumption()["a"].scalar("cpus") == 3
        allocator.recover("s1", "a", "a", RESERVED)
        (again,) = cycle(allocator)
        assert again.resources == RESERVED

    def test_revocable_resources_do_not_count(self) -> None:
        revocable = Resources.of(cpus=2).tagged(Tag(revocable=True))
        allocator = Allocator()
        allocator.add_agent("s1", AGENT + revocable, {})
        allocator.add_framework("a", ["a"], capabilities=["REVOCABLE_RESOURCES"])
        allocator.update_quota("a", {}, {"cpus": 1})
        (offer,) = cycle(allocator)
        assert offer.resources.scalars["cpus"] == 1000
        assert offer.resources.contains(revocable)
        assert allocator.quota_consumption()["a"].scalar("cpus") == 1

    def test_over_the_limit(self) -> None:
        allocator = make(1, "a")
        cycle(allocator)
        allocator.update_quota("a", {}, {"cpus": 1, "mem": 8192})
        assert allocator.over_limit("a") == Resources.of(cpus=3)
        assert not allocator.over_limit("b")
        allocator.recover("s1", "a", "a", AGENT)
        assert not allocator.over_limit("a")
        assert cpus(cycle(allocator)) == {"a": 1}

    def test_a_disk_that_can_not_be_split_is_had_whole_or_not_at_all(self) -> None:
        mount = Resources.of(disk=100).tagged(Tag(source=b'{"type":"MOUNT"}'))
        path = Resources.of(disk=100).tagged(Tag(source=b'{"type":"PATH"}'))
        allocator = make(1, "a", total=AGENT + mount + path)
        allocator.update_quota("a", {}, {"disk": 50})
        (offer,) = cycle(allocator)
        assert [part.scalar("disk") for part in offer.resources.parts.values()] == [50]

    def test_a_raised_limit_and_a_removed_one(self) -> None:
        allocator = make(3, "a")
        allocator.update_quota("a", {}, {"cpus": 1})
        assert cpus(cycle(allocator)) == {"a": 1}
        allocator.update_quota("a", {}, {"cpus": 7})
        assert cpus(cycle(allocator)) == {"a": 6}
        allocator.update_quota("a", {}, {})
        assert cpus(cycle(allocator)) == {"a": 5}

    def test_what_is_given_back_on_one_agent_may_be_had_on_another(self) -> None:
        """A limit of 4: one agent is used; it is refused, so another is looked at though it didn't change."""
        allocator = make(3, "a", total=Resources.of(cpus=4))
        allocator.update_quota("a", {}, {"cpus": 4})
        (first,) = cycle(allocator)
        assert cycle(allocator) == []
        assert "at its quota limit" in allocator.explain("a", "a", "s3")
        decline(allocator, [first], HOUR)
        (second,) = cycle(allocator)
        assert second.agent_id != first.agent_id
        decline(allocator, [second], HOUR)
        (third,) = cycle(allocator)
        assert len({first.agent_id, second.agent_id, third.agent_id}) == 3

    def test_what_is_given_back_is_spread_over_as_many_agents_as_it_takes(self) -> None:
        allocator = make(1, "a", total=Resources.of(cpus=4))
        allocator.update_quota("a", {}, {"cpus": 4})
        (offer,) = cycle(allocator)
        for agent in ("s2", "s3", "s4", "s5", "s6"):
            allocator.add_agent(agent, Resources.of(cpus=1), {})
        assert cycle(allocator) == []
        decline(allocator, [offer], HOUR)
        got = cycle(allocator)
        assert [one.resources for one in got] == [Resources.of(cpus=1)] * 4
        assert cycle(allocator) == []


class TestGuarantees:
    def test_they_come_first(self) -> None:
        allocator = make(2, "b", "a")
        allocator.update_quota("a", {"cpus": 8, "mem": 8192}, {})
        assert cpus(cycle(allocator)) == {"a": 8}

    def test_roles_below_have_their_share_of_it(self) -> None:
        allocator = make(2, "b", "a/x")
        allocator.update_quota("a", {"cpus": 8}, {})
        assert cpus(cycle(allocator)) == {"a/x": 8}

    def test_hungry_roles_take_turns_by_fairness(self) -> None:
        allocator = make(4, "b", "c", "a")
        allocator.update_quota("a", {"cpus": 8}, {})
        allocator.update_quota("c", {"cpus": 8}, {})
        got = [one.role for one in cycle(allocator)]
        assert sorted(got) == ["a", "a", "c", "c"]
        assert got[0] != got[1]

    def test_more_than_the_guarantee_comes_along_with_it(self) -> None:
        """Mesos lets a role have the rest of the agent, so that offers are not in pieces."""
        allocator = make(1, "a", "b")
        allocator.update_quota("a", {"cpus": 1}, {})
        assert cycle(allocator) == [Allocation("a", "a", "s1", AGENT)]

    def test_but_not_what_others_are_guaranteed(self) -> None:
        allocator = make(1, "a", "b")
        allocator.update_quota("a", {"cpus": 1}, {})
        allocator.update_quota("b", {"cpus": 2, "mem": 1024}, {})
        got = cycle(allocator)
        assert cpus(got) == {"a": 2, "b": 2}
        assert got[0].resources == Resources({"cpus": 2000, "mem": 3_072_000}, AGENT.ranges)

    def test_nor_beyond_the_limit(self) -> None:
        allocator = make(1, "a", "b")
        allocator.update_quota("a", {"cpus": 1}, {"cpus": 1})
        assert cpus(cycle(allocator)) == {"a": 1, "b": 3}

    def test_headroom_is_kept_for_a_role_without_frameworks(self) -> None:
        allocator = make(2, "b")
        allocator.update_quota("a", {"cpus": 5}, {})
        assert cpus(cycle(allocator)) == {"b": 3}
        agent = next(agent for agent in ("s1", "s2") if allocator.available(agent).scalars.get("cpus") == 4000)
        assert "kept for the quota guarantees of role 'a'" in allocator.explain("b", "b", agent)
        allocator.add_framework("a", ["a"])
        assert cpus(cycle(allocator)) == {"a": 5}

    def test_headroom_grows_with_the_cluster(self) -> None:
        allocator = make(1, "b", total=Resources.of(cpus=4))
        allocator.update_quota("a", {"cpus": 4}, {})
        assert cycle(allocator) == []
        allocator.add_agent("s2", Resources.of(cpus=4), {})
        assert cpus(cycle(allocator)) == {"b": 4}
        allocator.add_agent("s3", Resources.of(cpus=4), {("x", "a"): Resources.of(cpus=4)})
        assert cpus(cycle(allocator)) == {"b": 4}

    def test_an_agent_that_is_away_is_no_headroom(self) -> None:
        allocator = make(2, "b")
        allocator.update_quota("a", {"cpus": 4, "mem": 4096}, {})
        allocator.deactivate_agent("s1")
        assert cpus(cycle(allocator)) == {}
        allocator.activate_agent("s1")
        assert cpus(cycle(allocator)) == {"b": 4}

    def test_reservations_satisfy_it_and_are_no_headroom(self) -> None:
        allocator = make(1, "b", total=Resources.of(cpus=4) + RESERVED)
        allocator.update_quota("a", {"cpus": 3}, {})
        assert cpus(cycle(allocator)) == {"b": 3}

    def test_what_a_role_gives_back_is_kept_for_it(self) -> None:
        allocator = make(2, "a", "b", total=Resources.of(cpus=4))
        allocator.update_quota("a", {"cpus": 4}, {})
        mine, others = sorted(cycle(allocator), key=lambda one: one.role)
        decline(allocator, [mine], HOUR)
        assert cycle(allocator) == []
        decline(allocator, [others], HOUR)
        assert {one.role: one.agent_id for one in cycle(allocator)} == {"a": others.agent_id, "b": mine.agent_id}

    def test_a_refusal_in_the_first_stage_ends(self) -> None:
        """What is offered as a guarantee only is offered again when its refusal ends."""
        allocator = make(1, "a", total=Resources.of(cpus=4))
        allocator.update_quota("a", {"cpus": 2}, {})
        allocator.update_quota("b", {"cpus": 4}, {})
        (offer,) = cycle(allocator)
        assert offer.resources == Resources.of(cpus=2)
        decline(allocator, [offer], 10)
        assert cycle(allocator) == []
        assert allocator.next_expiry() == 10
        assert cycle(allocator, 10) == [offer]

    def test_a_cluster_that_is_promised_twice_serves_who_is_there(self) -> None:
        allocator = make(1, "a")
        allocator.update_quota("a", {"cpus": 4}, {})
        allocator.update_quota("b", {"cpus": 4}, {})
        assert cpus(cycle(allocator)) == {"a": 4}

    def test_newcomers_get_their_guarantee_of_agents_that_slept(self) -> None:
        allocator = make(2, "b", total=Resources.of(cpus=4))
        allocator.update_quota("a", {"cpus": 4}, {})
        decline(allocator, cycle(allocator), HOUR)
        decline(allocator, cycle(allocator), HOUR)
        assert cycle(allocator) == []
        allocator.add_framework("c", ["c"])
        allocator.add_framework("a", ["a"])
        got = [(one.role, one.resources.scalar("cpus")) for one in cycle(allocator)]
        assert sorted(got) == [("a", 4), ("c", 4)]


class TestMistakes:
    @pytest.mark.parametrize(
        ("role", "guarantees", "limits", "message"),
        [
            ("a/b", {"cpus": 1}, {}, "role 'a/b' can't have a quota"),
            ("a", {"cpus": -1}, {}, "the guarantee of role 'a' for cpus is -1"),
            ("a", {}, {"mem": float("nan")}, "the limit of role 'a' for mem is nan"),
        ],
    )
    def test_raises_and_changes_nothing(
        self, role: str, guarantees: dict[str, float], limits: dict[str, float], message: str
    ) -> None:
        allocator = make(1, "a")
        with pytest.raises(ValueError, match=message):
            allocator.update_quota(role, guarantees, limits)
        assert cycle(allocator) == [Allocation("a", "a", "s1", AGENT)]


def test_consumption_by_role() -> None:
    """Of the role that it is held in, or that it is reserved for, and of all above it."""
    allocator = make(1, "a/x", "b", total=AGENT + RESERVED)
    assert allocator.quota_consumption() == {"a": Resources.of(cpus=2)}
    cycle(allocator)
    assert allocator.quota_consumption() == {"a": Resources.of(cpus=6, mem=4096), "a/x": Resources.of(cpus=4, mem=4096)}
