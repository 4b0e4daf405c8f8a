"""The tree of roles: fairness among siblings, weights, the implicit leaf."""

from __future__ import annotations

import pytest

from headrace.mesos.master.allocator import Allocator
from headrace.mesos.resources import Resources

AGENT = Resources.of(cpus=1, mem=1024)


def make(agents: int, *clients: tuple[str, str]) -> Allocator:
    """So many equal agents; clients are (framework, role)."""
    allocator = Allocator()
    for number in range(agents):
        allocator.add_agent(f"s{number}", AGENT, {})
    for framework, role in clients:
        allocator.add_framework(framework, [role])
    return allocator


def counts(allocator: Allocator) -> dict[str, int]:
    """How many agents each framework is offered."""
    got: dict[str, int] = {}
    for allocation in allocator.allocate(0):
        got[allocation.framework_id] = got.get(allocation.framework_id, 0) + 1
    allocator.validate()
    return got


@pytest.mark.parametrize(
    ("clients", "weights", "expected"),
    [
        ({"f": "a", "g": "b"}, {}, {"f": 6, "g": 6}),
        ({"f": "a/x", "g": "a/y", "h": "b"}, {}, {"f": 3, "g": 3, "h": 6}),
        ({"f": "a", "g": "a/y", "h": "b"}, {}, {"f": 3, "g": 3, "h": 6}),
        ({"f": "a", "g": "a/x", "h": "a/y"}, {}, {"f": 4, "g": 4, "h": 4}),
        ({"f": "a/x/1", "g": "a/x/2", "h": "a/y", "i": "b"}, {"a": 2}, {"f": 2, "g": 2, "h": 4, "i": 4}),
        ({"f": "a/x", "g": "a/y", "h": "b"}, {"a/x": 5, "b": 1}, {"f": 5, "g": 1, "h": 6}),
        ({"f": "a", "g": "a/x"}, {"a": 7, "a/x": 3}, {"f": 3, "g": 9}),
    ],
    ids=["flat", "children share", "leaf as a child", "leaf among children", "deep", "weight below", "leaf weighs 1"],
)
def test_siblings_share_what_their_parent_gets(
    clients: dict[str, str], weights: dict[str, float], expected: dict[str, int]
) -> None:
    allocator = make(12, *clients.items())
    for role, weight in weights.items():
        allocator.update_weight(role, weight)
    assert counts(allocator) == expected


def test_weights_may_come_before_the_role() -> None:
    allocator = make(4)
    allocator.update_weight("a/x", 3)
    allocator.add_framework("f", ["a/x"])
    allocator.add_framework("g", ["a/y"])
    assert counts(allocator) == {"f": 3, "g": 1}


def test_two_frameworks_in_the_implicit_leaf() -> None:
    assert counts(make(8, ("f", "a"), ("g", "a"), ("h", "a/x"))) == {"f": 2, "g": 2, "h": 4}


def test_shares_are_those_of_whole_subtrees() -> None:
    allocator = make(4, ("f", "a"), ("g", "a/x"), ("h", "a/x/y"))
    counts(allocator)
    assert allocator.share("a") == 1
    assert allocator.share("a/x") == 0.5
    assert allocator.share("a/x/y") == allocator.share("a/x", "g") == 0.25
    assert allocator.allocated("a/x") == Resources.of(cpus=2, mem=2048)
    assert allocator.allocated("a", "f") == Resources.of(cpus=2, mem=2048)


def test_a_role_without_frameworks_is_no_role_but_keeps_its_place() -> None:
    allocator = make(2, ("f", "a/x/y"))
    assert allocator.roles() == ["a/x/y"]
    assert counts(allocator) == {"f": 2}
    assert allocator.share("a") == 1


def test_children_come_and_go_while_their_parent_holds_something() -> None:
    allocator = make(4, ("f", "a"), ("z", "b"))
    assert counts(allocator) == {"f": 2, "z": 2}
    allocator.add_framework("g", ["a/x"])
    allocator.validate()
    for agent in ("s0", "s1", "s2", "s3"):
        for (framework, role), resources in allocator.held(agent).items():
            allocator.recover(agent, framework, role, resources)
            allocator.validate()
    assert counts(allocator) == {"f": 1, "g": 1, "z": 2}
    allocator.remove_framework("g")
    allocator.validate()
    (mine,) = [agent for agent in ("s0", "s1", "s2", "s3") if ("g", "a/x") in allocator.held(agent)]
    allocator.recover(mine, "g", "a/x", AGENT)
    allocator.validate()
    assert allocator.roles() == ["a", "b"]
    assert counts(allocator) == {"f": 1}


def test_suppressed_children_are_passed_over() -> None:
    allocator = make(4, ("f", "a/x"), ("g", "a/y"), ("h", "b"))
    allocator.suppress("f", [])
    allocator.suppress("g", [])
    assert counts(allocator) == {"h": 4}
    allocator.revive("g", [])
    allocator.recover("s0", "h", "b", AGENT)
    assert counts(allocator) == {"g": 1}


def test_newcomers_of_any_depth_take_turns() -> None:
    allocator = make(4, ("f", "c"))
    for offer in allocator.allocate(0):
        allocator.recover(offer.agent_id, "f", "c", offer.resources, refuse_until=9)
    assert counts(allocator) == {}
    allocator.add_framework("g", ["a"])
    allocator.add_framework("h", ["a/x"])
    allocator.add_framework("i", ["b"])
    assert counts(allocator) == {"g": 1, "h": 1, "i": 2}


def test_refusals_are_walked_past_at_every_level() -> None:
    """After the first, ``a`` was allocated to more often than ``b``."""
    allocator = make(1, ("f", "a/x"), ("g", "a/y"), ("h", "b"))
    for expected in ("f", "h", "g"):
        (offer,) = allocator.allocate(0)
        assert offer.framework_id == expected
        allocator.recover("s0", offer.framework_id, offer.role, offer.resources, refuse_until=9)
    assert counts(allocator) == {}
