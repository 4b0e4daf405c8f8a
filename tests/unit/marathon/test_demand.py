"""Who may be launched now: whatever happens in whatever order, the same as if all were asked anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.marathon.core.demand import Demand

APPS, ROLES = ["/a", "/b", "/c"], ["x", "y"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from(APPS), st.frozensets(st.sampled_from(ROLES))),
        st.tuples(st.just("hold"), st.sampled_from(APPS), st.integers(0, 5)),
        st.tuples(st.just("free"), st.sampled_from(APPS), st.just(0)),
        st.tuples(st.just("wait"), st.just(""), st.integers(1, 3)),
        st.tuples(st.just("any"), st.sampled_from(ROLES), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_it_answers_as_if_all_were_asked_anew(steps: list[tuple[str, str, int | frozenset[str]]]) -> None:
    until: dict[str, float] = {}
    roles: dict[str, frozenset[str]] = {}
    now = 0.0
    demand = Demand(lambda app_id, _: until.get(app_id, 0.0))

    def may(role: str) -> set[str]:
        return {one for one, its in roles.items() if role in its and until.get(one, 0.0) <= now}

    for kind, name, value in steps:
        match kind, value:
            case "set", frozenset():
                roles[name] = value
                demand.set(name, value)
            case "hold", int():  # later, or a failure of an app whose delay is not over: it is told of neither
                until[name] = max(until.get(name, 0.0), now + value)
            case "free", _:  # sooner: it is told
                until.pop(name, None)
                demand.again(name)
            case "wait", int():
                now += value
            case _:
                assert demand.any(name, now) is bool(may(name))
        demand.validate()
    for role in ROLES:
        assert set(demand.all(role, now)) == may(role)
        demand.validate()
    assert {*demand.wanted_roles()} == {role for its in roles.values() for role in its}


def test_whoever_is_held_is_not_asked_again_and_again() -> None:
    asked: list[str] = []

    def held_until(app_id: str, now: float) -> float:
        asked.append(app_id)
        return 100.0

    demand = Demand(held_until)
    for number in range(50):
        demand.set(f"/app-{number}", frozenset({"x"}))
    for now in range(99):
        assert not demand.any("x", float(now))
    assert len(asked) == 50
    assert demand.any("x", 100.0)
    assert len(asked) == 51


def test_an_app_that_changes_all_the_time_leaves_nothing_behind() -> None:
    demand = Demand(lambda app_id, now: 100.0)
    for now in range(50):
        demand.set("/a", frozenset({"x"}))
        assert not demand.any("x", float(now))
    assert len(demand._heap) == 1
