"""What a client may have of what is free: reservations, capabilities, constraints, minimums; conversions."""

from __future__ import annotations

from itertools import pairwise

import pytest

from headrace.mesos.master.allocator import Allocation, Allocator
from headrace.mesos.resources import EMPTY, Reservation, Resources, Tag

PLAIN = Resources({"cpus": 4000, "mem": 4_096_000}, {"ports": ((31000, 31009),)})
TWO = Resources.of(cpus=2, mem=512)
OF_A = TWO.tagged(Tag((Reservation("a"),)))
OF_AB = TWO.tagged(Tag((Reservation("a/b"),)))
REFINED = TWO.tagged(Tag((Reservation("a"), Reservation("a/b", dynamic=True))))
VOLUME = Resources.of(disk=100).tagged(Tag((Reservation("a"),), volume="v"))
SHARED_TAG = Tag((Reservation("a"),), volume="s", shared_size=64_000)
SHARED = Resources(parts={SHARED_TAG: Resources({"disk": 1000})})
REVOCABLE = TWO.tagged(Tag(revocable=True))
ALL = OF_A + OF_AB + REFINED + VOLUME + SHARED + REVOCABLE


def offered(allocator: Allocator, now: float = 0) -> dict[tuple[str, str], Resources]:
    """What each is offered of the one agent."""
    allocations = allocator.allocate(now)
    allocator.validate()
    found = {(one.framework_id, one.role): one.resources for one in allocations}
    assert len(found) == len(allocations)
    return found


def one_agent(total: Resources, **more: str) -> Allocator:
    allocator = Allocator(region="here")
    allocator.add_agent("s1", total, {}, **more)
    return allocator


@pytest.mark.parametrize(
    ("role", "capabilities", "expected"),
    [
        ("b", [], PLAIN),
        ("a", [], PLAIN + OF_A + VOLUME),
        ("a/b", [], PLAIN + OF_A + OF_AB + VOLUME),
        ("a/b/c", [], PLAIN + OF_A + OF_AB + VOLUME),
        ("a/c", [], PLAIN + OF_A + VOLUME),
        ("ab", [], PLAIN),
        ("a", ["RESERVATION_REFINEMENT"], PLAIN + OF_A + VOLUME),
        ("a/b", ["RESERVATION_REFINEMENT"], PLAIN + OF_A + OF_AB + REFINED + VOLUME),
        ("a", ["SHARED_RESOURCES"], PLAIN + OF_A + VOLUME + SHARED),
        ("b", ["SHARED_RESOURCES"], PLAIN),
        ("b", ["REVOCABLE_RESOURCES"], PLAIN + REVOCABLE),
        (
            "a/b",
            ["RESERVATION_REFINEMENT", "SHARED_RESOURCES", "REVOCABLE_RESOURCES"],
            PLAIN + ALL,
        ),
    ],
)
def test_what_a_role_and_capabilities_entitle_to(role: str, capabilities: list[str], expected: Resources) -> None:
    total = PLAIN + ALL
    allocator = one_agent(total)
    allocator.add_framework("f", [role], capabilities=capabilities)
    assert offered(allocator) == {("f", role): expected}
    assert allocator.available("s1") == total - expected + (SHARED if SHARED_TAG in expected.parts else EMPTY)


def test_what_one_may_not_have_goes_to_another() -> None:
    allocator = one_agent(PLAIN + OF_A)
    allocator.add_framework("f", ["b"])
    allocator.add_framework("g", ["a"])
    assert offered(allocator) == {("f", "b"): PLAIN, ("g", "a"): OF_A}
    allocator.recover("s1", "g", "a", OF_A, refuse_until=9)
    assert offered(allocator) == {}
    assert "reserved for role 'a'" in allocator.explain("f", "b", "s1")
    assert "has refused" in allocator.explain("g", "a", "s1")
    assert allocator.next_expiry() == 9
    assert offered(allocator, 9) == {("g", "a"): OF_A}


def test_what_is_reserved_waits_for_its_role() -> None:
    allocator = one_agent(OF_A)
    allocator.add_framework("f", ["b"])
    assert offered(allocator) == {}
    allocator.add_framework("g", ["a/x"])
    assert offered(allocator) == {("g", "a/x"): OF_A}


def test_roles_share_what_is_reserved_for_their_parent() -> None:
    allocator = Allocator()
    for number in range(4):
        allocator.add_agent(f"s{number}", OF_A + OF_AB, {})
    for framework, role in (("f", "a/b"), ("g", "a/c"), ("h", "b")):
        allocator.add_framework(framework, [role])
    got = [(one.framework_id, one.resources) for one in allocator.allocate(0)]
    assert {framework for framework, _ in got} == {"f", "g"}
    assert sum((resources for _, resources in got), EMPTY) == sum([OF_A + OF_AB] * 4, EMPTY)
    assert not any(resources.contains(OF_AB) for framework, resources in got if framework == "g")


@pytest.mark.parametrize(
    ("total", "capability", "why"),
    [
        (REFINED, "RESERVATION_REFINEMENT", "only for frameworks with the capability RESERVATION_REFINEMENT"),
        (REVOCABLE, "REVOCABLE_RESOURCES", "only for frameworks with the capability REVOCABLE_RESOURCES"),
        (PLAIN + Resources.of(gpus=1), "GPU_RESOURCES", "has GPUs, and the framework lacks the capability"),
    ],
)
def test_a_capability_that_comes_later(total: Resources, capability: str, why: str) -> None:
    allocator = one_agent(total)
    allocator.add_framework("f", ["a/b"])
    assert offered(allocator) == {}
    assert why in allocator.explain("f", "a/b", "s1")
    allocator.update_framework("f", ["a/b"], [], capabilities=[capability])
    assert offered(allocator) == {("f", "a/b"): total}
    allocator.recover("s1", "f", "a/b", total)
    allocator.update_framework("f", ["a/b"], [], capabilities=[])
    assert offered(allocator) == {}


def test_agents_with_gpus_may_be_for_all() -> None:
    allocator = Allocator(filter_gpus=False)
    allocator.add_agent("s1", PLAIN + Resources.of(gpus=1), {})
    allocator.add_framework("f", ["x"])
    assert offered(allocator) == {("f", "x"): PLAIN + Resources.of(gpus=1)}


def test_an_agent_that_gets_gpus_while_it_is_there() -> None:
    allocator = one_agent(PLAIN)
    allocator.add_framework("f", ["x"])
    allocator.update_agent("s1", PLAIN + Resources.of(gpus=1))
    assert offered(allocator) == {}


@pytest.mark.parametrize(
    ("master", "agent", "capabilities", "gets_it"),
    [
        ("here", "there", [], False),
        ("here", "there", ["REGION_AWARE"], True),
        ("here", "here", [], True),
        ("here", None, [], True),
        (None, "there", [], True),
    ],
)
def test_regions(master: str | None, agent: str | None, capabilities: list[str], gets_it: bool) -> None:
    allocator = Allocator(region=master)
    allocator.add_agent("s1", PLAIN, {}, region=agent)
    allocator.add_framework("f", ["x"], capabilities=capabilities)
    assert offered(allocator) == ({("f", "x"): PLAIN} if gets_it else {})
    assert gets_it or "another region" in allocator.explain("f", "x", "s1")


class TestSharedVolumes:
    def share(self) -> Allocator:
        allocator = one_agent(PLAIN + SHARED)
        for framework in ("f", "g"):
            allocator.add_framework(framework, ["a"], capabilities=["SHARED_RESOURCES"])
        return allocator

    def test_several_hold_one_at_once(self) -> None:
        allocator = self.share()
        assert offered(allocator) == {("f", "a"): PLAIN + SHARED}
        allocator.recover("s1", "f", "a", TWO)
        assert offered(allocator) == {("g", "a"): TWO + SHARED}
        assert allocator.available("s1") == SHARED
        held = allocator.held("s1")
        assert all(resources.contains(SHARED) for resources in held.values())
        allocator.recover("s1", "f", "a", SHARED)
        allocator.validate()
        assert allocator.available("s1") == SHARED

    def test_it_is_not_offered_alone(self) -> None:
        allocator = Allocator(min_allocatable=())
        allocator.add_agent("s1", SHARED, {})
        allocator.add_framework("f", ["a"], capabilities=["SHARED_RESOURCES"])
        assert offered(allocator) == {}
        assert "no free resources" in allocator.explain("f", "a", "s1")

    def test_uses_add_up_but_count_once_for_fairness(self) -> None:
        allocator = self.share()
        allocator.suppress("g", [])
        offered(allocator)
        allocator.recover("s1", "f", "a", TWO)
        assert offered(allocator) == {("f", "a"): TWO + SHARED}
        assert allocator.held("s1")["f", "a"].parts[SHARED_TAG] == Resources({"disk": 2000})
        assert allocator.allocated("a", "f").scalar("disk") == 64

    def test_conversion_of_one_use_leaves_those_of_others(self) -> None:
        allocator = self.share()
        offered(allocator)
        allocator.recover("s1", "f", "a", TWO)
        offered(allocator)
        allocator.update_allocation("s1", "g", "a", TWO + SHARED, OF_A + SHARED)
        allocator.validate()
        assert allocator.held("s1") == {("f", "a"): PLAIN - TWO + SHARED, ("g", "a"): OF_A + SHARED}
        assert allocator.available("s1") == SHARED

    def test_tasks_may_use_more_than_was_offered(self) -> None:
        allocator = self.share()
        offered(allocator)
        allocator.update_allocation("s1", "f", "a", SHARED, SHARED + SHARED + SHARED)
        allocator.validate()
        assert allocator.available("s1") == SHARED
        allocator.recover("s1", "f", "a", SHARED + SHARED)
        assert allocator.held("s1") == {("f", "a"): PLAIN + SHARED}

    def test_making_and_destroying_one(self) -> None:
        disk = Resources.of(disk=64).tagged(Tag((Reservation("a"),)))
        allocator = one_agent(PLAIN + disk)
        allocator.add_framework("f", ["a"], capabilities=["SHARED_RESOURCES"])
        offered(allocator)
        allocator.update_allocation("s1", "f", "a", disk, SHARED)
        allocator.validate()
        assert allocator.available("s1") == SHARED
        assert allocator.total == PLAIN.plain - Resources({}, PLAIN.ranges) + Resources.of(disk=64)
        allocator.update_allocation("s1", "f", "a", SHARED, disk)
        allocator.validate()
        assert (allocator.available("s1"), allocator.held("s1")) == (EMPTY, {("f", "a"): PLAIN + disk})


class TestConversions:
    DISK = Resources.of(cpus=1, disk=100)
    RESERVED = Tag((Reservation("a", dynamic=True, principal="p"),))
    MADE = Tag((Reservation("a", dynamic=True, principal="p"),), volume="v", owner="p")

    def test_reserve_create_destroy_unreserve(self) -> None:
        allocator = one_agent(self.DISK)
        allocator.add_framework("f", ["a"])
        allocator.add_framework("g", ["b"])
        allocator.suppress("g", [])
        disk = Resources.of(disk=100)
        steps = [disk, disk.tagged(self.RESERVED), disk.tagged(self.MADE)]
        offered(allocator)
        for before, after in pairwise(steps):
            allocator.update_allocation("s1", "f", "a", before, after)
            allocator.validate()
        made = Resources.of(cpus=1) + disk.tagged(self.MADE)
        assert allocator.held("s1") == {("f", "a"): made}
        allocator.recover("s1", "f", "a", made)
        allocator.suppress("f", [])
        allocator.revive("g", [])
        assert offered(allocator) == {("g", "b"): Resources.of(cpus=1)}
        allocator.update_agent("s1", self.DISK)
        assert allocator.available("s1") == disk

    def test_grow_and_shrink(self) -> None:
        allocator = one_agent(self.DISK + Resources.of(disk=50).tagged(self.MADE))
        allocator.add_framework("f", ["a"])
        offered(allocator)
        small, large = Resources.of(disk=50).tagged(self.MADE), Resources.of(disk=80).tagged(self.MADE)
        allocator.update_allocation("s1", "f", "a", small + Resources.of(disk=30), large)
        allocator.validate()
        assert allocator.held("s1") == {("f", "a"): Resources.of(cpus=1, disk=70) + large}
        assert allocator.total == Resources.of(cpus=1, disk=150)
        allocator.update_allocation("s1", "f", "a", large, small + Resources.of(disk=30))
        assert allocator.held("s1") == {("f", "a"): self.DISK + small}

    def test_only_what_is_held_can_be_converted(self) -> None:
        allocator = one_agent(self.DISK)
        allocator.add_framework("f", ["a"])
        with pytest.raises(ValueError, match="it holds nothing"):
            allocator.update_allocation("s1", "f", "a", TWO, OF_A)
        with pytest.raises(ValueError, match="agent s9 is not known"):
            allocator.update_allocation("s9", "f", "a", TWO, OF_A)
        allocator.validate()

    def test_a_filter_of_what_was_plain_does_not_cover_what_is_reserved(self) -> None:
        allocator = one_agent(PLAIN)
        allocator.add_framework("f", ["a"])
        offered(allocator)
        allocator.update_allocation("s1", "f", "a", TWO, OF_A)
        allocator.recover("s1", "f", "a", PLAIN - TWO + OF_A)
        (offer,) = allocator.allocate(0)
        allocator.recover("s1", "f", "a", offer.resources, refuse_until=9)
        assert offered(allocator) == {}
        allocator.update_agent("s1", PLAIN)
        assert offered(allocator) == {("f", "a"): PLAIN}

    def test_oversubscribed_resources_come_and_go(self) -> None:
        allocator = one_agent(PLAIN)
        allocator.add_framework("f", ["a"], capabilities=["REVOCABLE_RESOURCES"])
        offered(allocator)
        allocator.update_agent("s1", PLAIN + REVOCABLE)
        assert offered(allocator) == {("f", "a"): REVOCABLE}
        allocator.update_agent("s1", PLAIN)
        allocator.validate()
        assert allocator.available("s1") == EMPTY
        allocator.recover("s1", "f", "a", PLAIN + REVOCABLE)
        assert allocator.available("s1") == PLAIN


class TestConstraints:
    def test_an_agent_is_asked_about_once(self) -> None:
        asked: list[str] = []

        def only_s2(agent_id: str) -> bool:
            asked.append(agent_id)
            return agent_id == "s2"

        allocator = Allocator()
        for agent in ("s1", "s2"):
            allocator.add_agent(agent, PLAIN, {})
        allocator.add_framework("f", ["x", "y"], constraints={"x": only_s2}, suppressed=["y"])
        assert allocator.allocate(0) == [Allocation("f", "x", "s2", PLAIN)]
        assert "offer constraints" in allocator.explain("f", "x", "s1")
        allocator.recover("s2", "f", "x", PLAIN)
        allocator.deactivate_agent("s1")
        allocator.activate_agent("s1")
        assert len(allocator.allocate(0)) == 1
        assert sorted(asked) == ["s1", "s2"]
        allocator.remove_agent("s1")
        allocator.add_agent("s1", PLAIN, {})
        assert allocator.allocate(0) == []
        assert sorted(asked) == ["s1", "s1", "s2"]
        allocator.revive("f", ["y"])
        assert allocator.allocate(0) == [Allocation("f", "y", "s1", PLAIN)]

    def test_new_ones_take_the_place_of_old_ones(self) -> None:
        allocator = one_agent(PLAIN)
        allocator.add_framework("f", ["x"], constraints={"x": lambda _: False})
        assert offered(allocator) == {}
        allocator.update_framework("f", ["x"], [])
        assert offered(allocator) == {}
        allocator.update_framework("f", ["x"], [], constraints={"x": lambda _: True})
        assert offered(allocator) == {("f", "x"): PLAIN}
        allocator.recover("s1", "f", "x", PLAIN)
        allocator.update_framework("f", ["x"], [], constraints={"x": lambda _: False})
        assert offered(allocator) == {}
        allocator.update_framework("f", ["x"], [], constraints={})
        assert offered(allocator) == {("f", "x"): PLAIN}

    def test_what_one_is_kept_from_goes_to_the_next(self) -> None:
        allocator = one_agent(PLAIN)
        allocator.add_framework("f", ["x"], constraints={"x": lambda _: False})
        allocator.add_framework("g", ["y"])
        assert offered(allocator) == {("g", "y"): PLAIN}


class TestMinimums:
    @pytest.mark.parametrize(
        ("least", "free", "gets_it"),
        [
            (None, Resources.of(cpus=0.005), False),
            ((), Resources.of(cpus=0.005), True),
            ((), Resources(ranges={"ports": ((1, 1),)}), True),
            ((Resources.of(disk=5),), Resources.of(disk=5), True),
            ((Resources.of(cpus=8), Resources.of(cpus=1, mem=64)), Resources.of(cpus=1, mem=64), True),
            ((Resources.of(cpus=8),), Resources.of(cpus=7, mem=64), False),
            ((Resources.of(cpus=3),), Resources.of(cpus=1) + OF_A, True),
            ((Resources.of(cpus=3),), Resources.of(cpus=1) + OF_AB, False),
        ],
    )
    def test_of_a_framework(self, least: tuple[Resources, ...] | None, free: Resources, gets_it: bool) -> None:
        allocator = one_agent(free)
        allocator.add_framework("f", ["a"], min_allocatable=None if least is None else {"a": least})
        assert offered(allocator) == ({("f", "a"): free} if gets_it else {})

    def test_leftovers_go_to_who_takes_less(self) -> None:
        allocator = one_agent(Resources.of(cpus=2, disk=5))
        allocator.add_framework("f", ["x"])
        offered(allocator)
        allocator.recover("s1", "f", "x", Resources.of(disk=5))
        assert offered(allocator) == {}
        allocator.add_framework("g", ["y"], min_allocatable={"y": ()})
        assert offered(allocator) == {("g", "y"): Resources.of(disk=5)}
        allocator.recover("s1", "g", "y", Resources.of(disk=5))
        allocator.update_framework("g", ["y"], [], min_allocatable={})
        assert offered(allocator) == {}

    def test_the_picky_one_comes_first_again_when_there_is_enough(self) -> None:
        allocator = one_agent(PLAIN)
        allocator.add_framework("f", ["x"], min_allocatable={"x": (Resources.of(cpus=4),)})
        offered(allocator)
        allocator.recover("s1", "f", "x", Resources.of(cpus=3))
        assert offered(allocator) == {}
        assert "less than is worth an offer (cpus:4)" in allocator.explain("f", "x", "s1")
        allocator.recover("s1", "f", "x", Resources.of(cpus=1))
        assert offered(allocator) == {("f", "x"): Resources.of(cpus=4)}
