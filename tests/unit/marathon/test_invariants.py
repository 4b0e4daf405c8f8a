"""What must hold for any input: plans with pods and groups, upgrades in place, matches of what is reserved, victims."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from headrace.marathon.core import planner, upgrade
from headrace.marathon.core.constraints import Spread
from headrace.marathon.core.matcher import Match, Policy, Refusal, kind, match
from headrace.marathon.core.places import Place
from headrace.marathon.core.records import RESTART, SCALE, START, STOP, Condition, Instance
from headrace.marathon.core.scaling import victims
from headrace.marathon.core.upgrade import Member
from headrace.marathon.definitions.app import App, PortDefinition
from headrace.marathon.definitions.group import Group
from headrace.marathon.definitions.parts import ExecutorResources, VersionInfo
from headrace.marathon.definitions.paths import ancestors
from headrace.marathon.definitions.pod import Pod, PodContainer
from headrace.marathon.definitions.pod import Resources as ContainerResources
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.common import AgentID, AllocationInfo, FrameworkID, Offer, OfferID
from headrace.mesos.resources import PLAIN, Reservation, Resources, Tag

IDS = ["/a/one", "/a/two", "/a/in/three", "/b/four", "/b/five", "/six"]
GROUPS = ["/a", "/a/in", "/b", "/unknown"]


def spec(spec_id: str, config: str = "1", instances: int = 1, dependencies: tuple[str, ...] = ()) -> RunSpec:
    """Every other one is a pod."""
    info = VersionInfo(last_scaling_at=config, last_config_change_at=config)
    needs = list(dependencies)
    if IDS.index(spec_id) % 2:
        container = PodContainer("c", ContainerResources(cpus=0.1, mem=1))
        return Pod(spec_id, [container], instances=instances, dependencies=needs, version=config, version_info=info)
    return App(spec_id, instances=instances, dependencies=needs, version=config, version_info=info)


# plans

_SOME = st.lists(st.sampled_from(IDS + GROUPS), max_size=2, unique=True).map(tuple)


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(IDS, _SOME)), st.dictionaries(st.sampled_from(GROUPS), _SOME))
def test_layers_of_apps_pods_and_groups(
    wanted: dict[str, tuple[str, ...]], of_groups: dict[str, tuple[str, ...]]
) -> None:
    """Whatever is needed, directly, through a group or by a group, is in an earlier layer; a circle is refused."""
    specs = {one: spec(one, dependencies=needs) for one, needs in wanted.items()}
    groups = {path: Group(dependencies=list(needs)) for path, needs in of_groups.items()}
    needs = {one: _needs(one, specs, groups) for one in specs}
    if _has_circle(needs):
        with pytest.raises(planner.CyclicDependencyError):
            planner.layers(specs, groups)
        return
    layers = planner.layers(specs, groups)
    depth = {one: at for at, layer in enumerate(layers) for one in layer}
    assert sorted(one for layer in layers for one in layer) == sorted(specs)
    for one in specs:
        assert depth[one] == max((depth[need] + 1 for need in needs[one]), default=0)


@settings(deadline=None)
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(IDS, _SOME)),
    st.dictionaries(st.sampled_from(GROUPS), _SOME),
    st.dictionaries(st.sampled_from(IDS), _SOME),
    st.dictionaries(st.sampled_from(GROUPS), _SOME),
)
def test_a_change_that_makes_a_circle_is_found_by_looking_only_at_what_it_touches(
    wanted: dict[str, tuple[str, ...]],
    of_groups: dict[str, tuple[str, ...]],
    changed: dict[str, tuple[str, ...]],
    changed_groups: dict[str, tuple[str, ...]],
) -> None:
    def made(specs: dict[str, tuple[str, ...]], groups: dict[str, tuple[str, ...]]) -> Any:
        return (
            {one: spec(one, dependencies=needs) for one, needs in specs.items()},
            {path: Group(dependencies=list(needs)) for path, needs in groups.items()},
        )

    specs, groups = made(wanted, of_groups)
    assume(not _has_circle({one: _needs(one, specs, groups) for one in specs}))
    specs, groups = made(wanted | changed, of_groups | changed_groups)
    with (
        pytest.raises(planner.CyclicDependencyError)
        if _has_circle({one: _needs(one, specs, groups) for one in specs})
        else nullcontext()
    ):
        planner.check_circles(changed, changed_groups, specs, groups)


def _needs(one: str, specs: dict[str, RunSpec], groups: dict[str, Group]) -> set[str]:
    given_ = [*specs[one].dependencies, *(need for path in ancestors(one) if path in groups
                                          for need in groups[path].dependencies)]  # fmt: skip
    found = {need for need in given_ if need in specs}
    return found | {other for need in given_ for other in specs if other.startswith(f"{need}/") and other != one}


def _has_circle(needs: dict[str, set[str]]) -> bool:
    left = dict(needs)
    while free := [one for one, of in left.items() if not of & left.keys()]:
        for one in free:
            del left[one]
    return bool(left)


_STATE = st.none() | st.tuples(st.sampled_from("12"), st.integers(0, 2))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(IDS), st.tuples(_STATE, _STATE)))
def test_a_plan_does_what_is_needed_and_nothing_else(changes: dict[str, tuple[tuple[str, int] | None, ...]]) -> None:
    """Stops before starts before scalings; each change has its actions, what stays has none."""
    original = {one: spec(one, *before) if before else None for one, (before, _) in changes.items()}
    target = {one: spec(one, *after) if after else None for one, (_, after) in changes.items()}
    steps = planner.steps(original, target)
    order = {STOP: 0, START: 1, SCALE: 2, RESTART: 2}
    kinds = [{order[one.action] for one in step} for step in steps]
    assert all(len(one) == 1 for one in kinds)
    assert [min(one) for one in kinds] == sorted(min(one) for one in kinds)
    done = [(action.app, action.action) for step in steps for action in step]
    expected = [(one, action) for one, (before, after) in changes.items() for action in _actions(before, after)]
    assert Counter(done) == Counter(expected)
    assert all(action.pod is bool(IDS.index(action.app) % 2) for step in steps for action in step)


def _actions(before: tuple[str, int] | None, after: tuple[str, int] | None) -> list[str]:
    if before == after:
        return []
    if after is None:
        return [STOP]
    if before is None:
        return [START, SCALE]
    return [RESTART] if before[0] != after[0] and after[1] else [SCALE]


# upgrades of what keeps volumes


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9), st.floats(0, 1), st.randoms(use_true_random=False))
def test_an_upgrade_in_place_keeps_its_limits_and_needs_no_other_place(
    instances: int, minimum: float, random: Random
) -> None:
    """In any order of events: one less than the minimum at the least, no instance too many, no volume made anew."""
    alive = {f"{n}": Member(f"{n}", False, False, True) for n in range(instances)}
    stopped: list[str] = []
    least, most = upgrade.limits(instances, minimum, 0.0, in_place=True)
    assert most == instances
    assert least == min(upgrade.limits(instances, minimum, 0.0)[0], instances - 1)
    for _ in range(400):
        moves = upgrade.moves(instances, minimum, 0.0, list(alive.values()), in_place=True)
        for name in moves.kill:
            alive[name] = Member(name, alive[name].new, True, alive[name].good)
        assert sum(one.good and not one.leaving for one in alive.values()) >= least
        assert moves.launch <= len(stopped), "nothing is stopped that could come back"
        for _ in range(moves.launch):
            name = stopped.pop(0)
            alive[name] = Member(name, True, False, False)
        if moves.done:
            assert all(one.new and one.good for one in alive.values())
            assert len(alive) == instances
            return
        events = [one for one in alive.values() if one.leaving or not one.good]
        assert events, "nothing moves, and it is not done"
        one = random.choice(events)
        if one.leaving:
            del alive[one.id]
            stopped.append(one.id)
        else:
            alive[one.id] = Member(one.id, one.new, False, True)
    raise AssertionError("the upgrade does not end")


# matches

_DEV = Tag((Reservation("dev"),))
_OTHER = Tag((Reservation("other"),))
_AMOUNT = st.integers(0, 5000)


@settings(max_examples=60, deadline=None)
@given(
    _AMOUNT, _AMOUNT, _AMOUNT, st.integers(250, 2000), st.booleans(), st.sampled_from(["any", "unreserved", "reserved"])
)
def test_an_offer_is_used_up_to_what_is_accepted(
    plain: int, reserved: int, foreign: int, each: int, pod: bool, accept: str
) -> None:
    """As many fit as the accepted resources allow, reserved ones are used first, nobody else's ever."""
    room = Resources({"cpus": plain, "mem": 1_000_000})
    for tag, amount in ((_DEV, reserved), (_OTHER, foreign)):
        room = room + Resources({"cpus": amount, "mem": 1_000_000} if amount else {}).tagged(tag)
    offer = Offer(OfferID("o"), FrameworkID("f"), AgentID("a"), "host-1", resources=room.messages("dev"),
                  allocation_info=AllocationInfo("dev"))  # fmt: skip
    place = Place.of(offer)
    it = _wish(each, pod)
    usable = {"any": plain + reserved, "unreserved": plain, "reserved": reserved}[accept]
    count, took = 0, Resources()
    while isinstance(found := match(place, it, Spread(()), lambda n: 0, role="dev", policy=Policy(accept)), Match):
        assert place.free.contains(found.resources)
        assert not any(tag == _OTHER for tag in found.resources.parts)
        place.free, took, count = place.free - found.resources, took + found.resources, count + 1
        assert found.resources.quantity("cpus") == each
    assert isinstance(found, Refusal)
    assert count == usable // each
    assert room.contains(took)
    if accept == "any" and took.plain.quantity("cpus"):
        assert took.parts.get(_DEV, Resources()).quantity("cpus") == reserved
    assert PLAIN not in took.parts


def _wish(millis: int, pod: bool) -> RunSpec:
    if not pod:
        return App("/x", cpus=millis / 1000, mem=1.0, role="dev")
    half = millis // 2
    parts = [PodContainer(f"c{part}", ContainerResources(part / 1000, 1)) for part in (half, millis - half)]
    return Pod("/x", parts, role="dev", executor_resources=ExecutorResources(0.0, 1.0, 0.0))


_PORTS = st.lists(st.sampled_from([0, 31000, 31001, 8080]), max_size=2, unique=True)
_DEFINITION = st.fixed_dictionaries(
    {
        "cpus": st.sampled_from([0.5, 1.0]),
        "mem": st.sampled_from([1.0, 64.0]),
        "gpus": st.sampled_from([0, 1]),
        "accepted_resource_roles": st.sampled_from([[], ["*"], ["dev"]]),
        "port_definitions": _PORTS.map(lambda ports: [PortDefinition(port) for port in ports]),
        "require_ports": st.booleans(),
        "labels": st.sampled_from([{}, {"x": "y"}, {"GPU_SCHEDULING_BEHAVIOR": "unrestricted"}]),
        "cmd": st.sampled_from(["x", "y"]),
    }
)


@settings(max_examples=200, deadline=None)
@given(_DEFINITION, _DEFINITION, _AMOUNT, _AMOUNT, st.integers(0, 1), st.booleans())
def test_an_offer_that_refuses_one_refuses_all_of_its_kind(
    one: dict[str, Any], other: dict[str, Any], plain: int, reserved: int, gpus: int, same: bool
) -> None:
    first = App("/one", role="dev", **one)
    second = App("/other", role="dev", **({**one, "cmd": other["cmd"]} if same else other))
    assume(kind(first) == kind(second))
    room = Resources({"cpus": plain, "mem": 10_000, "gpus": 1000 * gpus}, {"ports": ((31000, 31000),)})
    room = room + Resources({"cpus": reserved, "mem": 10_000} if reserved else {}).tagged(_DEV)
    offer = Offer(OfferID("o"), FrameworkID("f"), AgentID("a"), "host-1", resources=room.messages("dev"),
                  allocation_info=AllocationInfo("dev"))  # fmt: skip
    found = [match(Place.of(offer), it, Spread(()), lambda n: 0, role="dev") for it in (first, second)]
    assert found[0] == found[1]


def test_where_siblings_or_secrets_count_there_is_no_kind() -> None:
    assert kind(App("/a", constraints=[["hostname", "UNIQUE"]])) is None
    assert kind(App("/a")) == kind(App("/b"))
    assert kind(App("/a")) != kind(App("/a", role="dev"))


# victims

_INSTANCES = st.lists(
    st.tuples(st.sampled_from([Condition.RUNNING, Condition.STAGING, Condition.SCHEDULED]), st.sampled_from("abc")),
    max_size=12,
)


@given(_INSTANCES, st.integers(0, 13), st.booleans(), st.booleans(), st.sets(st.integers(0, 11), max_size=3))
def test_victims_are_named_first_and_leave_groups_even(
    there: list[tuple[Condition, str]], count: int, youngest: bool, grouped: bool, named: set[int]
) -> None:
    instances = [
        Instance(f"i{n}", "/a", "1", "1", float(n), condition=condition,
                 place={} if condition is Condition.SCHEDULED else {"zone": zone})
        for n, (condition, zone) in enumerate(there)
    ]  # fmt: skip
    names = [f"i{n}" for n in named if n < len(there)]
    chosen = victims(instances, count, named=names, youngest_first=youngest, group_by="zone" if grouped else None)
    ids = [one.id for one in chosen]
    assert len(ids) == len(set(ids)) == min(count, len(there))
    assert set(ids[: len(names)]) <= set(names)
    others = [one for one in chosen if one.id not in names]
    left = [one for one in instances if one.id not in ids]
    if others and any(one.condition is not Condition.SCHEDULED for one in others):
        assert not any(one.condition is Condition.SCHEDULED for one in left), "what waits goes first"
    if not grouped:
        assert others == sorted(
            others,
            key=lambda one: (
                [Condition.SCHEDULED, Condition.STAGING, Condition.RUNNING].index(one.condition),
                -one.since if youngest else one.since,
            ),
        )
        return
    sizes = Counter(one.place["zone"] for one in left if one.place)
    for zone in {one.place["zone"] for one in others if one.place}:
        assert sizes[zone] + 1 >= max(sizes.values(), default=0), "it was of a largest group"
