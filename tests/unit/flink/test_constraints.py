"""Constraints: which agents may, or had better, have TaskManagers."""

from __future__ import annotations

import pytest

from headrace.flink.appmaster.events import Goal, Worker
from headrace.flink.appmaster.placement import Placement, Terms, place
from headrace.flink.constraints import Constraints, constraints, value_of
from headrace.kernel.daemon import UserError
from headrace.mesos.messages.common import Attribute, Offer, Range, Ranges, Scalar, Set, Text
from tests.unit.flink.appmaster_helpers import offer, reasons, worker

HARD = "mesos.constraints.hard.hostattribute"
ATTRIBUTES = [
    Attribute("rack", "TEXT", text=Text("r1")),
    Attribute("image", "TEXT", text=Text("docker:1")),
    Attribute("level", "SCALAR", scalar=Scalar(3)),
    Attribute("slots", "RANGES", ranges=Ranges([Range(1, 5), Range(8, 9)])),
    Attribute("kinds", "SET", set=Set(["a", "b"])),
    Attribute("empty", "RANGES", ranges=Ranges()),
]


def refusal(text: str) -> str:
    return constraints({HARD: text}).refusal("Host-1", ATTRIBUTES)


@pytest.mark.parametrize(
    "text",
    [
        "rack:r1",
        " rack : r1 , level:3",
        "level:3.0",
        "slots:4",
        "slots:8-9",
        "kinds:b",
        "HOSTNAME:host-1",
        "HOSTNAME:HOST-1,rack:r1",
        "image:docker:1",
        "",
    ],
)
def test_hard_rules_that_hold(text: str) -> None:
    assert refusal(text) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rack:r2", "attribute rack is r1, not r2"),
        ("Rack:r1", "has no attribute Rack, which must be r1"),
        ("level:4", "attribute level is 3, not 4"),
        ("level:three", "attribute level is 3, not three"),
        ("slots:6", "attribute slots is [1-5, 8-9], not 6"),
        ("slots:4-8", "attribute slots is [1-5, 8-9], not 4-8"),
        ("slots:x-y", "attribute slots is [1-5, 8-9], not x-y"),
        ("empty:1", "attribute empty is [], not 1"),
        ("kinds:c", "attribute kinds is {a, b}, not c"),
        ("HOSTNAME:h2", "is not host h2"),
        ("hostname:Host-1", "has no attribute hostname, which must be Host-1"),
        ("rack:r2,level:4", "attribute rack is r1, not r2; attribute level is 3, not 4"),
    ],
)
def test_hard_rules_that_do_not(text: str, why: str) -> None:
    assert refusal(text) == why


@pytest.mark.parametrize("key", [HARD, "headrace.constraints.soft.hostattribute"])
@pytest.mark.parametrize("entry", ["rack", "rack:", ":r1", ":"])
def test_a_malformed_entry_is_named(key: str, entry: str) -> None:
    with pytest.raises(UserError, match=key) as error:
        constraints({key: f"a:b,{entry}"})
    assert repr(entry) in str(error.value)


def test_values() -> None:
    assert [value_of(name, "H", ATTRIBUTES) for name in ("HOSTNAME", "rack", "level", "none")] == ["h", "r1", "3", ""]


# where workers go


def on(number: int, rack: str = "", **resources: float) -> Offer:
    import msgspec

    attributes = [Attribute("rack", "TEXT", text=Text(rack))] if rack else []
    return msgspec.structs.replace(offer(number, agent=number, **resources), attributes=attributes)  # type: ignore[arg-type]


def seats(placement: Placement) -> list[str]:
    return [seat.agent_id.removeprefix("agent-") for seat in placement.seats]


def placed(count: int, offers: list[Offer], rules: Constraints, present: list[Worker] | None = None) -> Placement:
    return place([worker(n) for n in range(count)], offers, {}, Terms(constraints=rules), present or [])


def present(number: int, host: str, **places: str) -> Worker:
    import msgspec

    return msgspec.structs.replace(worker(90 + number, goal=Goal.LAUNCHED), hostname=host, places=places)


def test_hard_rule_bars_agents_and_says_why() -> None:
    rules = constraints({HARD: "rack:b"})
    placement = placed(3, [on(1, "a"), on(2, "b", cpus=2), on(3)], rules)
    assert seats(placement) == ["2", "2"]
    assert reasons(placement) == {
        worker(2).id: {
            "host-1": "attribute rack is a, not b",
            "host-2": "cpus 0 of 1",
            "host-3": "has no attribute rack, which must be b",
        }
    }
    assert placement.unused == ["offer-1", "offer-3"]


def test_soft_rules_decide_the_order_only() -> None:
    rules = constraints({"headrace.constraints.soft.hostattribute": "rack:b,HOSTNAME:host-3"})
    offers = [on(1, "a", cpus=1), on(2, "b", cpus=1), on(3, "b", cpus=1)]
    assert seats(placed(3, offers, rules)) == ["3", "2", "1"]


def test_unique_attribute() -> None:
    rules = constraints({"headrace.constraints.unique": "rack"})
    placement = placed(4, [on(1, "a"), on(2, "a"), on(3, "b"), on(4)], rules, [present(1, "h", rack="c")])
    assert seats(placement) == ["1", "3"]
    (why, _) = reasons(placement).values()
    assert why["host-2"] == "a TaskManager is there already, and rack must be unique"
    assert why["host-4"] == "has no attribute rack, which must be unique"


def test_unique_host_counts_those_that_are_there() -> None:
    rules = constraints({"headrace.constraints.unique": "HOSTNAME"})
    placement = placed(2, [on(1), on(2)], rules, [present(1, "HOST-1")])
    assert seats(placement) == ["2"]
    assert list(placement.seats[0].places.items()) == [("HOSTNAME", "host-2")]


def test_spread_evens_out() -> None:
    rules = constraints({"headrace.constraints.spread": "rack"})
    offers = [on(1, "a"), on(2, "b"), on(3, "b"), on(4, "c", cpus=1)]
    assert seats(placed(6, offers, rules)) == ["1", "2", "4", "1", "2", "1"]
    there = [present(n, "h", rack="a") for n in range(2)]
    assert seats(placed(4, offers, rules, there)) == ["2", "4", "2", "1"]


def test_spread_goes_on_where_there_is_room() -> None:
    rules = constraints({"headrace.constraints.spread": "rack"})
    assert seats(placed(4, [on(1, "a", cpus=1), on(2, "b")], rules)) == ["1", "2", "2", "2"]


def test_spread_of_several_sizes_counts_together() -> None:
    workers = [worker(1), worker(2, cpus=2), worker(3)]
    rules = constraints({"headrace.constraints.spread": "HOSTNAME"})
    placement = place(workers, [on(1), on(2)], {}, Terms(constraints=rules))
    assert seats(placement) == ["1", "2", "1"]


def test_soft_rules_break_the_ties_of_spreading() -> None:
    rules = constraints({"headrace.constraints.spread": "rack", "headrace.constraints.soft.hostattribute": "rack:b"})
    assert seats(placed(3, [on(1, "a"), on(2, "b")], rules)) == ["2", "1", "2"]


def test_many_workers_on_many_agents_are_placed_quickly() -> None:
    rules = constraints({"headrace.constraints.spread": "HOSTNAME", "headrace.constraints.unique": "HOSTNAME"})
    offers = [on(n, "a") for n in range(300)]
    assert len(placed(300, offers, rules).seats) == 300
