"""The pure rules: planner, rolling upgrade, scaling, back-off, matcher, constraints, ports, environment."""

from __future__ import annotations

import re
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.marathon.core import backoff, planner, upgrade
from headrace.marathon.core.constraints import Spread, unmet
from headrace.marathon.core.environment import environment
from headrace.marathon.core.matcher import Match, Refusal, match
from headrace.marathon.core.places import Place
from headrace.marathon.core.ports import with_service_ports
from headrace.marathon.core.records import RESTART, SCALE, START, STOP, Action, Condition, Instance
from headrace.marathon.core.scaling import victims
from headrace.marathon.core.upgrade import Member
from headrace.marathon.definitions import patterns
from headrace.marathon.definitions.app import App, PortDefinition
from headrace.marathon.definitions.errors import Rejected
from headrace.marathon.definitions.parts import VersionInfo
from headrace.mesos.messages.common import AgentID, FrameworkID, Offer, OfferID
from headrace.mesos.resources import Resources


def app(app_id: str, config: str = "1", **fields: object) -> App:
    info = VersionInfo(last_scaling_at=config, last_config_change_at=config)
    return App(app_id, version=config, version_info=info, **fields)  # type: ignore[arg-type]


# planner


def test_a_new_app_has_two_steps() -> None:
    assert planner.steps({"/a": None}, {"/a": app("/a")}) == [[Action(START, "/a")], [Action(SCALE, "/a")]]


def test_all_kinds_of_changes() -> None:
    original = {"/gone": app("/gone"), "/scaled": app("/scaled"), "/changed": app("/changed"), "/same": app("/same")}
    target = {
        "/gone": None,
        "/scaled": app("/scaled", instances=3),
        "/changed": app("/changed", "2"),
        "/same": app("/same"),
        "/new": app("/new"),
    }
    assert planner.steps(original, target) == [
        [Action(STOP, "/gone")],
        [Action(START, "/new")],
        [Action(RESTART, "/changed"), Action(SCALE, "/new"), Action(SCALE, "/scaled")],
    ]


def test_a_changed_app_without_instances_is_only_scaled() -> None:
    steps = planner.steps({"/a": app("/a")}, {"/a": app("/a", "2", instances=0)})
    assert steps == [[Action(SCALE, "/a")]]


def test_layers_follow_dependencies_also_on_groups() -> None:
    apps = {
        "/db/one": app("/db/one"),
        "/db/two": app("/db/two", dependencies=["/db/one"]),
        "/web": app("/web", dependencies=["/db", "/unknown"]),
    }
    assert planner.layers(apps) == [["/db/one"], ["/db/two"], ["/web"]]


def test_a_circle_is_refused() -> None:
    apps = {"/a": app("/a", dependencies=["/b"]), "/b": app("/b", dependencies=["/c"]), "/c": app("/c")}
    assert len(planner.layers(apps)) == 3
    with pytest.raises(planner.CyclicDependencyError):
        planner.layers(apps | {"/c": app("/c", dependencies=["/a"])})
    with pytest.raises(planner.CyclicDependencyError):
        planner.layers({"/a": app("/a", dependencies=["/a"])})


@given(st.integers(1, 12), st.data())
def test_layers_put_dependencies_first(count: int, data: st.DataObject) -> None:
    names = [f"/{number}" for number in range(count)]
    apps = {}
    for number, name in enumerate(names):
        earlier = st.sets(st.sampled_from(names[:number])) if number else st.just(set())
        apps[name] = app(name, dependencies=sorted(data.draw(earlier)))
    depth = {one: at for at, layer in enumerate(planner.layers(apps)) for one in layer}
    assert depth.keys() == apps.keys()
    assert all(depth[need] < depth[one] for one in apps for need in apps[one].dependencies)


# rolling upgrade


@pytest.mark.parametrize(
    ("instances", "minimum", "over", "expected"),
    [
        (4, 1.0, 1.0, (4, 8)),
        (4, 0.5, 0.0, (2, 4)),
        (4, 1.0, 0.0, (4, 5)),
        (4, 0.99, 0.1, (4, 5)),
        (1, 1.0, 0.0, (1, 2)),
        (1, 0.0, 0.0, (0, 1)),
        (3, 0.5, 0.5, (2, 4)),
        (10, 0.1, 0.1, (1, 11)),
    ],
)
def test_limits(instances: int, minimum: float, over: float, expected: tuple[int, int]) -> None:
    assert upgrade.limits(instances, minimum, over) == expected


def test_unhealthy_old_ones_go_first_and_at_once() -> None:
    members = [Member("sick", False, False, False), *(Member(f"old{n}", False, False, True) for n in range(3))]
    moves = upgrade.moves(4, 0.75, 0.0, members)
    assert (moves.kill, moves.launch, moves.done) == (["sick"], 0, False)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(0, 9),
    st.floats(0, 1),
    st.floats(0, 1),
    st.randoms(use_true_random=False),
)
def test_every_upgrade_keeps_its_limits_and_comes_to_its_end(
    instances: int, before: int, minimum: float, over: float, random: object
) -> None:
    """Whatever order things happen in: never too few healthy, never too many, and it ends."""
    alive = {f"old{n}": Member(f"old{n}", False, False, True) for n in range(before)}
    least, most = upgrade.limits(instances, minimum, over)
    started = 0
    for _ in range(400):
        moves = upgrade.moves(instances, minimum, over, list(alive.values()))
        good = sum(one.good and not one.leaving for one in alive.values())
        for name in moves.kill:
            one = alive[name]
            alive[name] = Member(name, one.new, True, one.good)
        after = sum(one.good and not one.leaving for one in alive.values())
        assert after >= min(good, least), "a kill went below the minimum"
        for _ in range(moves.launch):
            started += 1
            alive[f"new{started}"] = Member(f"new{started}", True, False, False)
        assert len(alive) <= max(most, before)
        if moves.done:
            assert len(alive) == instances
            assert all(one.new for one in alive.values())
            return
        events = [one for one in alive.values() if one.leaving or not one.good]
        assert events, "nothing moves, and it is not done"
        one = random.choice(events)  # type: ignore[attr-defined]
        if one.leaving:
            del alive[one.id]
        else:
            alive[one.id] = Member(one.id, one.new, False, True)
    raise AssertionError("the upgrade does not end")


# scaling


def instance(name: str, since: float, condition: Condition = Condition.RUNNING, zone: str = "") -> Instance:
    return Instance(name, "/a", "1", "1", since, condition=condition, place={"zone": zone} if zone else {})


def test_who_goes_when_an_app_shrinks() -> None:
    old, young = instance("old", 1), instance("young", 2)
    staging, waiting = instance("staging", 0, Condition.STAGING), instance("waiting", 0, Condition.SCHEDULED)
    everybody = [old, young, staging, waiting]
    assert victims(everybody, 3) == [waiting, staging, young]
    assert victims([old, young], 1, youngest_first=False) == [old]
    assert victims(everybody, 2, named=["old"]) == [old, waiting]
    back = msgspec.structs.replace(old, since=3, started_at=0.5)
    assert victims([back, young], 1) == [young], "it was unreachable for a while, and is no younger for that"


def test_scaling_down_keeps_groups_even() -> None:
    group = [instance(f"a{n}", n, zone="a") for n in range(3)] + [instance("b", 9, zone="b")]
    assert {one.id[0] for one in victims(group, 2, group_by="zone")} == {"a"}


# back-off


def test_delays_grow_to_their_limit_and_start_anew_for_a_new_configuration() -> None:
    it = app("/a", backoff_seconds=1, backoff_factor=2.0, max_launch_delay_seconds=5)
    delay = None
    lengths = []
    for now in range(5):
        delay = backoff.after_failure(delay, it, float(now))
        lengths.append(delay.seconds)
    assert lengths == [1, 2, 4, 5, 5]
    assert backoff.valid(delay, app("/a", "2"), 5.0) is None
    assert backoff.valid(delay, it, 10.5) is None


@given(st.integers(0, 60), st.floats(1, 5), st.integers(0, 600), st.lists(st.booleans(), max_size=30))
def test_a_delay_stays_within_its_bounds(first: int, factor: float, longest: int, failures: list[bool]) -> None:
    it = app("/a", backoff_seconds=first, backoff_factor=factor, max_launch_delay_seconds=longest)
    delay, before, now = None, 0.0, 0.0
    for failed in failures:
        now += 1
        delay = backoff.after_failure(delay, it, now) if failed else backoff.advanced(delay, it, now)
        if delay is None:
            before = 0.0
            continue
        assert min(first, longest) <= delay.seconds <= longest
        assert delay.until == now + delay.seconds
        if backoff.valid(delay, it, now) is delay and failed and longest >= 2:
            assert delay.seconds >= min(before, longest) - 1e-9
        before = delay.seconds


# matcher


def offer(spans: tuple[tuple[int, int], ...] = ((31000, 31009),), cpus: float = 4, mem: float = 100) -> Place:
    room = Resources.of(cpus=cpus, mem=mem) + Resources(ranges={"ports": spans})
    return Place.of(Offer(OfferID("o"), FrameworkID("f"), AgentID("a"), "host-1", resources=room.messages()))


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), min_size=1, max_size=4),
    st.integers(0, 12),
    st.floats(0.001, 6),
    st.integers(0, 1000),
)
def test_a_match_takes_only_what_is_offered(gaps: list[tuple[int, int]], wanted: int, cpus: float, random: int) -> None:
    spans, at = [], 30_000
    for gap, length in gaps:
        spans.append((at + gap, at + gap + length))
        at += gap + length + 1
    place = offer(tuple(spans))
    it = app("/a", cpus=cpus, mem=10.0, port_definitions=[PortDefinition()] * wanted)
    found = match(place, it, Spread(()), lambda n: random % n, role="*")
    total = sum(end - begin + 1 for begin, end in spans)
    if isinstance(found, Refusal):
        assert found.reason == ("InsufficientCpus" if round(cpus * 1000) > 4000 else "InsufficientPorts")
        assert cpus > 3.99 or total < wanted
        return
    assert isinstance(found, Match)
    assert place.free.contains(found.resources)
    assert len(set(found.ports)) == wanted == len(found.ports)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cpus": 5.0}, "InsufficientCpus"),
        ({"mem": 101.0}, "InsufficientMemory"),
        ({"disk": 1.0, "mem": 1.0}, "InsufficientDisk"),
        ({"mem": 1.0, "port_definitions": [PortDefinition(80)], "require_ports": True}, "InsufficientPorts"),
        ({"mem": 1.0, "constraints": [["hostname", "UNLIKE", "host-.*"]]}, "UnfulfilledConstraint"),
        ({"mem": 1.0, "accepted_resource_roles": ["dev"]}, "UnfulfilledRole"),
    ],
)
def test_refusals_name_the_reason(fields: dict[str, object], reason: str) -> None:
    found = match(offer(), app("/a", **fields), Spread(()), lambda n: 0, role="*")  # type: ignore[arg-type]
    assert isinstance(found, Refusal)
    assert found.reason == reason
    assert found.detail


def test_required_ports_are_taken_exactly() -> None:
    it = app("/a", mem=1.0, port_definitions=[PortDefinition(31005), PortDefinition(31002)], require_ports=True)
    found = match(offer(), it, Spread(()), lambda n: 0, role="*")
    assert isinstance(found, Match)
    assert found.ports == [31005, 31002]


# constraints


@pytest.mark.parametrize(
    ("constraint", "here", "there", "ok"),
    [
        (["hostname", "UNIQUE"], "a", ["b"], True),
        (["@hostname", "UNIQUE"], "a", ["a"], False),
        (["rack", "CLUSTER"], "a", [], True),
        (["rack", "CLUSTER"], "a", ["b"], False),
        (["rack", "CLUSTER", "a"], "a", [], True),
        (["rack", "LIKE", "r[1-3]"], "r2", [], True),
        (["rack", "LIKE", "r[1-3]"], "r22", [], False),
        (["rack", "UNLIKE", "r[1-3]"], None, [], True),
        (["rack", "LIKE", ".*"], None, [], False),
        (["rack", "MAX_PER", "2"], "a", ["a", "a"], False),
        (["rack", "MAX_PER", "2"], "a", ["a", "b"], True),
        (["rack", "IS", "1.0"], "1", [], True),
        (["rack", "IS", "b"], "a", [], False),
        (["rack", "GROUP_BY", "2"], "a", ["a", "b", "a"], False),
        (["rack", "GROUP_BY", "2"], "b", ["a", "b", "a"], True),
        (["rack", "GROUP_BY", "2"], "c", ["a", "b"], False),
        (["rack", "GROUP_BY"], "a", ["a", "b", "a"], False),
    ],
)
def test_constraints(constraint: list[str], here: str | None, there: list[str], ok: bool) -> None:
    field = constraint[0].removeprefix("@")
    place = {} if here is None else {field: here}
    spread = Spread([constraint])
    for one in (*there, "gone"):
        spread.add({field: one})
    spread.remove({field: "gone"})
    why = unmet([constraint], place, spread, 4)
    assert (why == "") is ok, why


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcd")), max_size=40))
def test_a_spread_knows_what_is_where(changes: list[tuple[bool, str]]) -> None:
    spread, there = Spread([["rack", "GROUP_BY"], ["zone", "LIKE", "x"]]), list[str]()
    for add, value in changes:
        if add:
            there.append(value)
            spread.add({"rack": value, "zone": "x"})
        elif value in there:
            there.remove(value)
            spread.remove({"rack": value, "zone": "x"})
    assert spread.tallies.keys() == {"rack"}
    assert spread.tallies["rack"].counts == dict(Counter(there))
    assert spread.tallies["rack"].sizes == dict(Counter(Counter(there).values()))


# regular expressions of strangers


@pytest.mark.parametrize(
    "pattern",
    [
        "r[1-3]", "host-.*", "(a|b)c", "web-[0-9]{1,3}", "(?:eu|us)-(?:east|west)-[0-9]+", "a{", "[(*+]+", r"\(a\*\)*",
        "|".join(f"host{number}" for number in range(30)), "(rack-)?[a-z]+", "a+?", "[]*]+", "(a{2}){3}", "",
    ],
)  # fmt: skip
def test_ordinary_expressions_are_allowed(pattern: str) -> None:
    assert patterns.problem(pattern) == ""
    for text in ("r1", "host-1", "eu-east-12", "a" * 60):
        assert patterns.matches(pattern, text) is (re.fullmatch(pattern, text) is not None)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+", "(a*)*b", "(a|a)*", "((a+))+", "(?:a+)+", "(?P<n>a+)*", "(a?){30}a{30}", "(.*)*", "((a|b)c)+",
        "a?" * 60 + "a" * 60, "(a|a)" * 40, "([a-z]+){2,}", "(?x)(a+) +", "(?x:(a+) +)", "a" * 257, "(", "[a",
        r"(\)a+)+", "(a[)]+)+", "(?=a+)*",
    ],
)  # fmt: skip
def test_expressions_that_could_run_for_ever_are_refused(pattern: str) -> None:
    assert patterns.problem(pattern)
    assert patterns.matches(pattern, "a" * 60) is None


def test_what_would_take_long_on_a_long_text_is_not_tried() -> None:
    assert patterns.matches(".*.*.*.*x", "ab") is False
    assert patterns.matches(".*.*.*.*x", "a" * 1000) is None
    assert patterns.matches(".*", "a" * 1024) is True
    assert patterns.matches(".*", "a" * 1025) is None
    for operator in ("LIKE", "UNLIKE"):
        constraint = ["rack", operator, ".*.*.*.*x"]
        assert unmet([constraint], {"rack": "a" * 1000}, Spread([constraint]), 1)


# ports and environment


def test_service_ports_are_assigned_and_kept() -> None:
    it = app("/a", port_definitions=[PortDefinition(), PortDefinition(9000), PortDefinition()])
    first = with_service_ports(it, None, lambda port: port == 10_000, 10_000, 10_002)
    assert [one.port for one in first.port_definitions] == [10_001, 9000, 10_002]
    again = with_service_ports(it, first, lambda port: True, 10_000, 10_002)
    assert again.port_definitions == first.port_definitions
    with pytest.raises(Rejected, match="taken"):
        with_service_ports(it, None, lambda port: True, 10_000, 10_002)


def test_what_a_task_is_told() -> None:
    it = app(
        "/team/web",
        env={"HOST": "mine", "X": "y"},
        labels={"my-label": "v"},
        port_definitions=[PortDefinition(8080, name="http"), PortDefinition(10_001, name="admin-ui")],
    )
    task = Instance("team_web.instance-1", "/team/web", "1", "1", 0.0, host="host-1", ports=[31000, 31001])
    told = environment(it, task)
    assert told == {
        "MESOS_TASK_ID": "team_web.instance-1._app.1",
        "MARATHON_APP_ID": "/team/web",
        "MARATHON_APP_VERSION": "1",
        "MARATHON_APP_RESOURCE_CPUS": "1.0",
        "MARATHON_APP_RESOURCE_MEM": "128.0",
        "MARATHON_APP_RESOURCE_DISK": "0.0",
        "MARATHON_APP_RESOURCE_GPUS": "0",
        "MARATHON_APP_ENFORCE_GROUP_ROLE": "FALSE",
        "MARATHON_APP_LABELS": "MY_LABEL",
        "MARATHON_APP_LABEL_MY_LABEL": "v",
        "HOST": "mine",
        "X": "y",
        "PORT": "31000",
        "PORTS": "31000,31001",
        "PORT0": "31000",
        "PORT1": "31001",
        "PORT_8080": "31000",
        "PORT_10001": "31001",
        "PORT_HTTP": "31000",
        "PORT_ADMIN_UI": "31001",
    }
    assert environment(it, task, prefix="P_")["P_PORT0"] == "31000"
