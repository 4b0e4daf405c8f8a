import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.mesos.messages.common import Range, Ranges, Resource, Scalar
from headrace.mesos.resources import EMPTY, InvalidResourceError, Reservation, Resources, Tag, describe, merge, without

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1])), max_size=6)
resources = st.builds(
    Resources,
    st.dictionaries(st.sampled_from(["cpus", "mem"]), st.integers(0, 5000)),
    st.fixed_dictionaries({"ports": spans.map(merge)}),
    st.fixed_dictionaries({"disks": st.frozensets(st.sampled_from("abc"))}),
)


def numbers(value: tuple[tuple[int, int], ...]) -> set[int]:
    return {n for begin, end in value for n in range(begin, end + 1)}


@given(spans, spans)
def test_ranges_behave_like_sets_of_numbers(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    left, right = merge(a), merge(b)
    assert numbers(without(left, right)) == numbers(left) - numbers(right)
    assert numbers(merge((*left, *right))) == numbers(left) | numbers(right)


@given(resources, resources)
def test_what_was_taken_can_be_given_back(total: Resources, part: Resources) -> None:
    if total.contains(part):
        assert (total - part) + part == total
    assert total.contains(EMPTY)
    assert (total + part).contains(total)


@given(resources)
def test_the_wire_form_keeps_everything(value: Resources) -> None:
    wire = msgspec.json.encode(value.messages())
    assert Resources.parse(msgspec.json.decode(wire, type=list[Resource])) == value


def test_sums_are_exact() -> None:
    total = EMPTY
    for _ in range(10):
        total += Resources.of(cpus=0.1)
    assert total == Resources.of(cpus=1)


def test_the_order_of_the_wire_form_and_the_text() -> None:
    value = Resources.parse(
        [
            Resource("disk", "SCALAR", scalar=Scalar(5)),
            Resource("cpus", "SCALAR", scalar=Scalar(0.5)),
            Resource("ports", "RANGES", ranges=Ranges([Range(31001, 31002), Range(31000, 31000)])),
        ]
    )
    assert [message.name for message in value.messages("r")] == ["ports", "cpus", "disk"]
    assert str(value) == "ports:[31000-31002]; cpus:0.5; disk:5"
    assert list(value.ports) == [31000, 31001, 31002]


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        (Resource("cpus", scalar=Scalar(-1)), "'cpus' is -1"),
        (Resource("cpus", scalar=Scalar(float("nan"))), "'cpus' is nan"),
        (Resource("cpus"), "neither scalar"),
        (Resource("", scalar=Scalar(1)), "no name"),
        (Resource("ports", ranges=Ranges([Range(5, 4)])), "5-4"),
    ],
)
def test_nonsense_is_refused_by_name(resource: Resource, message: str) -> None:
    with pytest.raises(InvalidResourceError, match=message):
        Resources.parse([resource])


def test_of_a_volume_that_is_held_nothing_is_free_whatever_size_it_has() -> None:
    tag = Tag((Reservation("a", True),), "v")
    small, large = (Resources({"disk": size}).tagged(tag) for size in (30_000, 60_000))
    assert not large - small
    assert not small - large
    assert not large.contains(small)


def test_named_more_than_once_amounts_add_up() -> None:
    cpus = Resources.of(cpus=0.5).messages()
    assert Resources.parse([*cpus, *cpus]) == Resources.of(cpus=1)
    reserved = Resources.of(cpus=0.5).tagged(Tag((Reservation("a"),))).messages()
    assert Resources.parse([*cpus, *reserved]).quantity("cpus") == 1000


@pytest.mark.parametrize("text", ["1e300", "1e15"])
def test_amounts_that_are_too_large_are_refused_as_such(text: str) -> None:
    with pytest.raises(InvalidResourceError, match="less than 1e15"):
        Resources.parse([Resource("cpus", "SCALAR", scalar=Scalar(float(text)))])


def test_ranges_stay_within_what_other_clients_can_read() -> None:
    with pytest.raises(InvalidResourceError, match="beyond 64 bits"):
        Resources.parse([Resource("ports", "RANGES", ranges=Ranges([Range(0, 2**63)]))])
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"begin": 0, "end": 99999999999999999999}', type=Range)


@pytest.mark.parametrize("value", [1e308, 1e24, float("inf"), float("-inf"), float("nan")])
def test_an_amount_of_any_size_can_be_told_of(value: float) -> None:
    resource = Resource("cpus", "SCALAR", Scalar(value))
    assert describe([resource]).startswith("cpus:")
    with pytest.raises(InvalidResourceError):
        Resources.parse([resource])
