"""Which agents a framework is offered by its offer constraints, and what is wrong with some."""

from __future__ import annotations

import random
import re
import time
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from headrace.mesos.master.core import constraints
from headrace.mesos.master.core.regex import Regex, RegexError
from headrace.mesos.messages.common import (
    AgentInfo,
    Attribute,
    DomainInfo,
    FaultDomain,
    FrameworkInfo,
    MinAllocatableResources,
    Named,
    OfferConstraints,
    OfferFilters,
    ResourceQuantities,
    Scalar,
    Text,
)
from headrace.mesos.resources import Resources
from tests.unit.mesos.master.master_world import FakeAgent, FakeFramework, World, framework_info

AGENT = AgentInfo(
    "host-1.example",
    attributes=[Attribute("rack", "TEXT", text=Text("r2")), Attribute("slots", "SCALAR", scalar=Scalar(4))],
    domain=DomainInfo(FaultDomain(Named("eu"), Named("eu-1"))),
)


def given(*groups: list[dict[str, Any]], role: str = "test") -> OfferConstraints:
    constraints = {role: {"groups": [{"attribute_constraints": group} for group in groups]}}
    return msgspec.convert({"role_constraints": constraints}, OfferConstraints)


def on(name: str, **predicate: Any) -> dict[str, Any]:
    kind = "pseudoattribute_type" if name.isupper() else "attribute_name"
    return {"selector": {kind: name}, "predicate": predicate}


def equals(name: str, value: str) -> dict[str, Any]:
    return on(name, text_equals={"value": value})


@pytest.mark.parametrize(
    ("constraint", "met"),
    [
        (on("rack", exists={}), True),
        (on("none", exists={}), False),
        (on("rack", not_exists={}), False),
        (on("none", not_exists={}), True),
        (equals("rack", "r2"), True),
        (equals("rack", "r1"), False),
        (equals("none", "r1"), False),
        (equals("slots", "r1"), True),
        (on("rack", text_not_equals={"value": "r2"}), False),
        (on("none", text_not_equals={"value": "r2"}), True),
        (on("slots", text_not_equals={"value": "4"}), True),
        (on("rack", text_matches={"regex": "r[1-3]"}), True),
        (on("rack", text_matches={"regex": "r"}), False),
        (on("none", text_matches={"regex": ".*"}), False),
        (on("slots", text_matches={"regex": "x"}), True),
        (on("rack", text_not_matches={"regex": "r.*"}), False),
        (on("none", text_not_matches={"regex": ".*"}), True),
        (on("slots", text_not_matches={"regex": ".*"}), True),
        (on("HOSTNAME", text_matches={"regex": "host-\\d\\..*"}), True),
        (equals("REGION", "eu"), True),
        (equals("ZONE", "eu-2"), False),
    ],
)
def test_predicates(constraint: dict[str, Any], met: bool) -> None:
    read = constraints.read(given([constraint]), ["test"])
    assert read.admits("test", AGENT) is met
    assert read.admits("another role", AGENT)


def test_all_of_one_group_must_be_met() -> None:
    good, bad = equals("rack", "r2"), equals("rack", "r9")
    assert constraints.read(given([good, bad], [good]), ["test"]).admits("test", AGENT)
    assert not constraints.read(given([good, bad], [bad]), ["test"]).admits("test", AGENT)


def test_an_agent_without_a_domain_is_in_no_region() -> None:
    plain = msgspec.structs.replace(AGENT, domain=None)
    assert not constraints.read(given([on("REGION", exists={})]), ["test"]).admits("test", plain)
    assert constraints.read(given([on("ZONE", text_not_equals={"value": "x"})]), ["test"]).admits("test", plain)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (given(), "'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role test"),
        (
            given([]),
            "'OfferConstraints::RoleConstraints::groups' for role testcontains an empty RoleConstraints::Group",
        ),
        (
            given([{"selector": {}, "predicate": {"exists": {}}}]),
            "A role test has an invalid 'AttributeConstraint': Exactly one of 'AttributeConstraint::Selector::name' "
            "or 'AttributeConstraint::Selector::pseudoattribute_type' must be set",
        ),
        (
            given([on("UNKNOWN", exists={})]),
            "A role test has an invalid 'AttributeConstraint': Unknown pseudoattribute type",
        ),
        (given([on("rack")]), "A role test has an invalid 'AttributeConstraint': Unknown predicate type"),
        (
            given([on("rack", text_matches={"regex": "(a"})]),
            "A role test has an invalid 'AttributeConstraint': "
            "Failed to construct regex from pattern '(a': missing ): (a",
        ),
        (
            given([equals("rack", "x")], role="zz"),
            "Offer constraints specify `role_constraints` for a role 'zz'not contained in the set of roles",
        ),
    ],
)
def test_what_is_no_constraint(wrong: OfferConstraints, text: str) -> None:
    with pytest.raises(constraints.ConstraintError) as caught:
        constraints.read(wrong, ["test"])
    assert str(caught.value) == text


def test_minimums_may_be_left_to_the_master_or_taken_off() -> None:
    info = FrameworkInfo("u", "n", offer_filters={"a": OfferFilters(MinAllocatableResources()), "b": OfferFilters()})
    assert constraints.minimums_of(info) == {"a": ()}
    quantities = [ResourceQuantities({"cpus": Scalar(2)}), ResourceQuantities({"mem": Scalar(64)})]
    info = FrameworkInfo("u", "n", offer_filters={"a": OfferFilters(MinAllocatableResources(quantities))})
    assert constraints.minimums_of(info) == {"a": (Resources.of(cpus=2), Resources.of(mem=64))}


# In the master


def racks() -> tuple[World, FakeAgent, FakeAgent]:
    world = World()
    agents = []
    for number, rack in enumerate(("r1", "r2")):
        attributes = [Attribute("rack", "TEXT", text=Text(rack))]
        info = AgentInfo("h", 5051 + number, Resources.of(cpus=8, mem=1024).messages(), attributes)
        agents.append(FakeAgent(world, info))
        agents[-1].register()
    return world, agents[0], agents[1]


def update(framework: FakeFramework, wanted: OfferConstraints | None) -> Any:
    info = msgspec.to_builtins(framework.info) | {"id": {"value": framework.id}}
    return framework.call("UPDATE_FRAMEWORK", update_framework={"framework_info": info, "offer_constraints": wanted})


def agents_of(framework: FakeFramework) -> list[str]:
    return sorted(offer.agent_id.value for offer in framework.offers.values())


def test_offers_that_break_new_constraints_are_rescinded() -> None:
    world, first, second = racks()
    framework = world.framework()
    assert agents_of(framework) == [first.id, second.id]
    assert update(framework, given([equals("rack", "r2")])).status == 200
    assert "RESCIND" in framework.kinds
    world.advance(10)
    assert agents_of(framework) == [second.id]
    assert update(framework, None).status == 200
    assert agents_of(framework) == [first.id, second.id]


def test_constraints_come_with_the_subscription() -> None:
    world, first, _ = racks()
    framework = FakeFramework(world, framework_info())
    framework.subscribe(constraints=given([equals("rack", "r1")]))
    assert agents_of(framework) == [first.id]
    framework.disconnect()
    framework.subscribe()
    assert len(framework.offers) == 2


def test_bad_constraints_are_refused_and_change_nothing() -> None:
    world, _, _ = racks()
    framework = world.framework()
    answer = update(framework, given([]))
    assert answer.status == 400
    assert answer.text.startswith("'UpdateFramework.offer_constraints' are not valid: ")
    assert len(framework.offers) == 2
    other = FakeFramework(world, framework_info())
    other.subscribe(constraints=given([]))
    assert other.kinds == ["ERROR"]


# Patterns

PATTERNS = (
    *("a", "a*", "(a|b)*c", "[a-c]+\\d", "r[12]", "^ab$", "a{2,4}", "(a+)+b", "a?b??c", "[^a]b", "\\w+-\\d*"),
    *("(?i)AbC[x-z]", ".*x.*", "(?:ab)*", "(?P<n>a)b", "", "a|", "\\S+", "(a*)*", "(a|a)*b", "(?s).a", "\\D\\W"),
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_match_as_they_do_elsewhere(pattern: str) -> None:
    regex, chance = Regex(pattern), random.Random(pattern)
    for _ in range(100):
        text = "".join(chance.choice("abcxyz12-_ ABC\n") for _ in range(chance.randrange(6)))
        assert regex.matches(text) == bool(re.fullmatch(pattern, text)), (pattern, text)


def test_no_pattern_takes_long() -> None:
    started = time.perf_counter()
    for pattern in ("(a+)+b", "a*" * 20 + "b", "(a|a)*b", "(a*)*b", "(?:){4000000000}", "((){2000000000}b){9}"):
        assert not Regex(pattern).matches("a" * 255)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing ): ("),
        ("x[a", "missing ]: [a"),
        ("*", "no argument for repetition operator: *"),
        ("(?=a)b", "assert not supported"),
        ("(a)\\1", "groupref not supported"),
        ("\\bx", "word boundaries not supported"),
        ("(?m)a", "flags other than i and s not supported"),
        ("(?i:a)", "flags for a part not supported"),
    ],
)
def test_patterns_that_can_not_be_used(pattern: str, why: str) -> None:
    with pytest.raises(RegexError) as caught:
        Regex(pattern)
    assert str(caught.value) == f"Failed to construct regex from pattern '{pattern}': {why}"


@pytest.mark.parametrize("depth", range(100, 1000, 50))
def test_patterns_may_be_nested_deeply_or_are_refused(depth: int) -> None:
    with suppress(RegexError):
        assert Regex("(" * depth + "a" + ")" * depth).matches("a")


def test_what_a_pattern_costs_is_paid_once_for_texts_that_are_alike() -> None:
    regex = Regex("(.?){499}x")
    started = time.perf_counter()
    assert not any(regex.matches(f"host-{number:05}.example") for number in range(5000))
    assert time.perf_counter() - started < 0.5


def test_what_is_remembered_of_texts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.mesos.master.core.regex.MAX_REMEMBERED", 3)
    regex = Regex("^(a|b)*c$")
    for text in ("ababc", "c", "abab", "", "cc", "bac", "xc"):
        assert regex.matches(text) == bool(re.fullmatch("(a|b)*c", text)), text


def test_all_patterns_of_a_framework_count_together() -> None:
    patterns = [on("rack", text_matches={"regex": f"{letter}{{900}}"}) for letter in "abc"]
    constraints.read(given(patterns[:2], patterns[:2]), ["test"])
    with pytest.raises(constraints.ConstraintError, match="the maximum of 2000 states"):
        constraints.read(given(patterns[:2], patterns[2:]), ["test"])


@pytest.mark.parametrize("pattern", ["x{2000}", "(a{40}){40}", "(" * 5000 + ")" * 5000])
def test_patterns_that_are_too_large(pattern: str) -> None:
    with pytest.raises(RegexError, match="is too complex"):
        Regex(pattern)
